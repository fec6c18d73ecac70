/** Where a browser is to come back to: whether that can be used at all. */
import * as Effect from "effect/Effect"
import { Misconfigured } from "../../TokenError.js"
import type * as CallbackListener from "../CallbackListener.js"

/** As `BrowserLogin.Loopback`. */
export interface Loopback {
  readonly host?: CallbackListener.Host | undefined
  readonly port?: number | undefined
  readonly path?: string | undefined
}

/** As `BrowserLogin.Manual`. */
export interface Manual {
  readonly manual: string
}

export type Place =
  | { readonly _tag: "Loopback"; readonly listen: CallbackListener.Options }
  | { readonly _tag: "Manual"; readonly redirectUri: string }

export const check = (source: string, redirect: Loopback | Manual): Effect.Effect<Place, Misconfigured> =>
  "manual" in redirect ? manual(source, redirect) : loopback(source, redirect)

const loopback = (
  source: string,
  { host, path = "/callback", port }: Loopback
): Effect.Effect<Place, Misconfigured> => {
  if (host !== undefined && !hosts.has(host)) {
    return invalid(source, "the redirect's host is not this machine", "Give 127.0.0.1, [::1] or localhost.")
  }
  if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
    return invalid(source, "the redirect's port is none", "Give 1 to 65535, or leave it out.")
  }
  if (!isPath(path)) {
    return invalid(
      source,
      "the redirect's path is none",
      "Give a plain one such as /callback, of at most 512 characters."
    )
  }
  const resultPath = path.endsWith("/") ? `${path}done` : `${path}/done`
  return Effect.succeed({ _tag: "Loopback", listen: { host, port, path, resultPath } })
}

const hosts: ReadonlySet<string> = new Set<CallbackListener.Host>(["127.0.0.1", "[::1]", "localhost"])

/** One that browsers leave as it is. */
const isPath = (path: string): boolean =>
  path.length <= 512 && /^\/(?:[A-Za-z0-9._~-]+(?:\/|$))*$/.test(path) &&
  new URL(path, "http://127.0.0.1").pathname === path

const manual = (source: string, { manual }: Manual): Effect.Effect<Place, Misconfigured> => {
  const url = manual.length <= 2048 && URL.canParse(manual) ? new URL(manual) : undefined
  if (url === undefined || url.hash !== "" || url.username !== "" || url.password !== "") {
    return invalid(
      source,
      "the redirect is no absolute URL without credentials and fragment",
      "Give the redirect URI that is registered."
    )
  }
  return url.protocol === "http:" && !hosts.has(url.hostname)
    ? Effect.fail(
      new Misconfigured({
        source,
        reason: "InsecureUrl",
        detail: "the redirect would carry the code in the clear over the network",
        hint: "Register an https address, or one of this machine."
      })
    )
    : Effect.succeed({ _tag: "Manual", redirectUri: manual })
}

const invalid = (source: string, detail: string, hint: string): Effect.Effect<never, Misconfigured> =>
  Effect.fail(new Misconfigured({ source, reason: "InvalidOption", detail, hint }))

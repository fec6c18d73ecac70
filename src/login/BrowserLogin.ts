/**
 * A login with the authorization code grant in the person's browser, which comes back to this machine (RFC 8252).
 *
 * The listener is open before the browser is, on this machine only. State and issuer of what comes back are checked
 * first; whatever does not belong to the login gets a page that says so, and the login goes on. The first callback
 * that belongs to it is sent on to a page without a code in its address, which is shown when the code has been
 * redeemed, and says how that went.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Grant } from "../Grant.js"
import * as AuthorizationCode from "../oauth/AuthorizationCode.js"
import type * as TokenEndpoint from "../oauth/TokenEndpoint.js"
import { Misconfigured } from "../TokenError.js"
import * as BrowserLauncher from "./BrowserLauncher.js"
import type * as CallbackListener from "./CallbackListener.js"
import { CallbackListener as Listener } from "./CallbackListener.js"
import * as Flow from "./internal/browserFlow.js"
import * as Redirects from "./internal/browserRedirect.js"
import { Login } from "./Login.js"
import * as LoginPages from "./LoginPages.js"
import * as LoginPrompt from "./LoginPrompt.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends AuthorizationCode.Options {
  /** Where the browser comes back to. Default: a free port of this machine, under `/callback`. */
  readonly redirect?: Redirect | undefined
  /** How long the person may take. Default 5 minutes. */
  readonly loginTimeLimit?: Duration.DurationInput | undefined
  /** Whether to open a browser, or only show the address. Default true. */
  readonly openBrowser?: boolean | undefined
  /**
   * Whether the person can paste the address that the browser ended at, as is needed where that browser is on
   * another machine. Default: where the `LoginPrompt` can read something.
   */
  readonly paste?: boolean | undefined
  /** What the browser shows at the end. */
  readonly pages?: LoginPages.Options | undefined
}

/**
 * Where the browser comes back to: a listener of this login, or an address of somebody else from whose page the
 * person pastes the address.
 *
 * @since 0.1.0
 * @category models
 */
export type Redirect = Loopback | Manual

/**
 * A listener on this machine.
 *
 * @since 0.1.0
 * @category models
 */
export interface Loopback {
  /**
   * What it is called in the redirect URI; to a server these are three addresses. Default `127.0.0.1`, and `[::1]`
   * on a machine without that. With `localhost`, which browsers look up, both are listened on; RFC 8252 §8.3 advises
   * against it.
   */
  readonly host?: CallbackListener.Host | undefined
  /**
   * For servers that don't ignore the port as they should (RFC 8252 §7.3). One that is taken fails the login with
   * `Misconfigured`; another one is never tried. Default: a free one.
   */
  readonly port?: number | undefined
  /** Exactly as registered. Default `/callback`. */
  readonly path?: string | undefined
}

/**
 * No listener: the browser ends at this address, and the person pastes what its address bar shows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Manual {
  /** The redirect URI as registered: https, of this machine, or of a scheme of one's own. */
  readonly manual: string
}

/**
 * A way to log in.
 *
 * @since 0.1.0
 * @category models
 */
export interface BrowserLogin {
  readonly name: string
  /**
   * Logs in; each run asks the person anew. Can be interrupted while it waits, and closes the listener then. Sources
   * and `SignIn` run it by `Grant.keeping`, so that a grant that has arrived is stored whoever leaves.
   *
   * - `ReauthRequired`: nobody came back in time (`LoginExpired`), or access was denied.
   * - `Misconfigured`: the port is taken, or the server knows the client or the redirect URI otherwise.
   */
  readonly login: Effect.Effect<Grant, TokenEndpoint.GrantError>
  /** How long one login may take: what the person may, the exchange after that, and the last page. */
  readonly timeLimit: Duration.Duration
}

/**
 * A login for one client, shown through the `LoginPrompt` in the context, on the console where none is given. Fails when
 * the client's secret or key can't be used, or an option of the redirect or of the pages.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<
  BrowserLogin,
  Misconfigured,
  HttpClient.HttpClient | BrowserLauncher.BrowserLauncher | Listener
> = Effect.fnUntraced(function*(options) {
  const code = yield* AuthorizationCode.make(options)
  const source = code.name
  const prompt = yield* LoginPrompt.LoginPrompt
  const place = yield* Redirects.check(source, options.redirect ?? {})
  const limit = Duration.decode(options.loginTimeLimit ?? Duration.minutes(5))
  const paste = prompt.canPaste && options.paste !== false
  if (place._tag === "Manual" && !paste) return yield* nothingToReadFrom(source)
  const login = Flow.run({
    source,
    code,
    prompt,
    place,
    limit,
    paste,
    openBrowser: options.openBrowser ?? true,
    launcher: BrowserLauncher.make(yield* BrowserLauncher.BrowserLauncher),
    listener: yield* Listener,
    render: yield* LoginPages.make(source, options.pages)
  })
  const timeLimit = Duration.sum(Duration.sum(limit, code.exchangeTimeLimit), Flow.farewellLimit)
  return { name: source, login, timeLimit }
})

/**
 * The program's login in a browser.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<
  Login,
  Misconfigured,
  HttpClient.HttpClient | BrowserLauncher.BrowserLauncher | Listener
> => Layer.effect(Login, make(options))

const nothingToReadFrom = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the login needs an address to be pasted, and nothing can be pasted here",
    hint: "Give a LoginPrompt with `pasted` and leave `paste` on, or leave the listener to it."
  })

/**
 * Which addresses secrets may be sent to: https anywhere, http on this machine only.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import { Misconfigured } from "../../TokenError.js"

const maxLength = 2048

/** Whether the host is this machine by an address or name that no resolver can point elsewhere. */
const isLoopback = (url: URL): boolean =>
  url.hostname === "localhost" || url.hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(url.hostname)

/** The URL, unless it is too long or none at all. */
export const parse = (text: string): URL | undefined =>
  text.length <= maxLength && URL.canParse(text) ? new URL(text) : undefined

/** Whether requests to it can be read on the way. */
export const isInsecure = (url: URL): boolean =>
  url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(url))

/** A URL that secrets may be sent to; `what` names it in errors. */
export const secure = (source: string, what: string, text: string): Either.Either<URL, Misconfigured> => {
  const url = parse(text)
  if (url === undefined) return Either.left(unusable(source, `${what} is not a URL`))
  if (isInsecure(url)) return Either.left(insecure(source, what))
  if (url.username !== "" || url.password !== "") {
    return Either.left(unusable(source, `${what} holds a user name or a password`))
  }
  return url.hash === "" ? Either.right(url) : Either.left(unusable(source, `${what} has a fragment`))
}

const unusable = (source: string, detail: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail,
    hint: "Give an absolute https URL without credentials and fragment."
  })

const insecure = (source: string, what: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InsecureUrl",
    detail: `${what} is neither https nor http on a loopback address`,
    hint: "Use https; plain http is allowed for localhost, 127.0.0.0/8 and [::1] only."
  })

/**
 * Which addresses a resource, or the authorization server that it names, may send us to. One that is elsewhere
 * must not make this program ask machines that only this program can reach.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Misconfigured } from "../../TokenError.js"
import * as Url from "./url.js"

/** A URL that secrets may be sent to; `what` names it in errors. */
export const secure = (source: string, what: string, text: string): Effect.Effect<URL, Misconfigured> =>
  Url.secure(source, what, text)

/** The same for one that somebody at `from` has named. */
export const reachable = (
  source: string,
  what: string,
  text: string,
  from: URL
): Effect.Effect<URL, Misconfigured> =>
  Effect.filterOrFail(
    Url.secure(source, what, text),
    (url) => isReachable(url, from),
    () => inward(source, what)
  )

/**
 * Whether this can be the issuer of a server that the resource at `from` has named (RFC 8414 §2). A URI is of
 * visible ASCII (RFC 3986 §2); issuers are shown to people, who other characters may deceive.
 */
export const isIssuer = (issuer: string, from: URL): boolean => {
  const url = Url.parse(issuer)
  return url !== undefined && !Url.isInsecure(url) && isReachable(url, from) && isVisible(issuer) &&
    !/[?#@]/.test(issuer)
}

/** Whether it is written as a URI is: the URL parser takes line breaks and more out of what it is given. */
export const isVisible = (text: string): boolean => /^[\x21-\x7e]+$/.test(text)

const isReachable = (url: URL, from: URL): boolean =>
  !isLocal(url.hostname) || url.hostname === from.hostname || isLocal(from.hostname)

/** Hosts of this machine and of the networks around it, as far as the name alone tells. */
const isLocal = (hostname: string): boolean => local.test(hostname) || localSix.test(hostname)

const local =
  /^(?:(?:.*\.)?localhost\.?|(?:.*\.)?(?:local|internal|lan|svc|home\.arpa)\.?|[^.[]+\.?|(?:0|10|127|22[4-9]|2[3-5]\d)(?:\.\d+){3}|198\.1[89](?:\.\d+){2}|192\.168(?:\.\d+){2}|169\.254(?:\.\d+){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d+){2}|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])(?:\.\d+){2})$/

/** Loopback, unspecified, unique local, link and site local, multicast, and IPv4 in IPv6, whatever that holds. */
const localSix = /^\[(?:::|f[cdef]|64:ff9b:|2002:)/

const inward = (source: string, what: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InsecureUrl",
    detail: `${what} is one of this machine or its network, and who names it is elsewhere`,
    hint: "Don't follow it unless you know why; report it to whoever runs the resource or its server."
  })

/**
 * Proofs of possession (RFC 9449 §4), which oauth4webapi makes and signs.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import { Misconfigured } from "../../TokenError.js"
import type { Keys } from "./dpopKey.js"
import type { Nonces } from "./dpopNonces.js"
import * as NonceMemory from "./dpopNonces.js"

/**
 * What makes the proofs of one attempt, dated now by `Clock`. `clockOffset` is how far the server's clock is ahead, in
 * milliseconds.
 */
export const handle = (
  keys: Keys,
  nonces: Nonces,
  clockOffset: number
): Effect.Effect<oauth.DPoPHandle> =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    oauth.DPoP({}, keys, {
      [oauth.modifyAssertion]: (_header, payload) => {
        payload["iat"] = Math.floor((now + clockOffset) / 1000)
        const nonce = NonceMemory.find(nonces, String(payload["htu"]), now)
        if (nonce !== undefined) payload["nonce"] = nonce.value
      }
    }))

/** The hash of the public key that servers know it by (RFC 7638, RFC 9449 §6). */
export const thumbprint = (keys: Keys): Effect.Effect<string> =>
  Effect.promise(() => oauth.DPoP({}, keys).calculateThumbprint())

/** A request to a resource that is to be proven. */
export interface ResourceRequest {
  readonly method: string
  readonly url: URL
  readonly accessToken: string
}

/** The proof for a request to a resource, which somebody else sends: here it goes nowhere. */
export const forResource = (
  source: string,
  dpop: oauth.DPoPHandle,
  { accessToken, method, url }: ResourceRequest
): Effect.Effect<Redacted.Redacted<string>, Misconfigured> =>
  Effect.tryPromise({
    try: async () => {
      let proof = ""
      await oauth.protectedResourceRequest(accessToken, method, url, undefined, undefined, {
        DPoP: dpop,
        [oauth.allowInsecureRequests]: true,
        [oauth.customFetch]: (_url, { headers }) => {
          proof = headers["dpop"] ?? ""
          return Promise.resolve(new Response())
        }
      })
      return Redacted.make(proof)
    },
    catch: () => unmade(source)
  })

const unmade = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidKey",
    detail: "no proof of possession could be made for the request",
    hint: "Check the request's method and address, and that the token and its key are in order."
  })

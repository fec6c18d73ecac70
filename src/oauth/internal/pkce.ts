/**
 * The challenge that binds a code to the login it was made for (RFC 7636 §4.2). Computed on the spot: Web Crypto
 * would answer from another thread, and a login on a virtual clock can't wait for that.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2.js"
import * as Encoding from "effect/Encoding"

/** The fields of a request that begins a login. */
export type Challenge = {
  readonly code_challenge: string
  readonly code_challenge_method: "S256"
}

/** The challenge to this verifier. */
export const challenge = (verifier: string): Challenge => ({
  code_challenge: Encoding.encodeBase64Url(sha256(new TextEncoder().encode(verifier))),
  code_challenge_method: "S256"
})

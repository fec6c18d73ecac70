/**
 * SHA-256, computed on the spot: Web Crypto answers from another thread, which a virtual clock can't wait for.
 *
 * @since 0.1.0
 */
import { sha256 } from "@noble/hashes/sha2.js"
import * as Encoding from "effect/Encoding"

/** The hash itself. */
export const bytesOf = (text: string): Uint8Array => sha256(new TextEncoder().encode(text))

/** The hash in base64url (RFC 7636 §4.2, RFC 9449 §4.2). */
export const digest = (text: string): string => Encoding.encodeBase64Url(bytesOf(text))

/** The first half of the hash in base64url (OpenID Connect Core §3.1.3.6). */
export const halfDigest = (text: string): string => Encoding.encodeBase64Url(bytesOf(text).subarray(0, 16))

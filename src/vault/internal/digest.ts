/** SHA-256 through Web Crypto, which every supported platform has. */
import * as Effect from "effect/Effect"

const encoder = new TextEncoder()

/** The SHA-256 of the text's UTF-8, as 64 lower-case hex digits. */
export const sha256Hex = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", encoder.encode(text))),
    (digest) => Array.from(new Uint8Array(digest), hex).join("")
  )

const hex = (byte: number): string => byte.toString(16).padStart(2, "0")

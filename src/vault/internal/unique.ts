/** Names that must not come twice, whoever makes them. */
import * as Effect from "effect/Effect"
import { randomBytes, toBase64Url } from "./encryptionBytes.js"

/** From the platform's cryptographic generator, which nothing can replace. */
export const unique: Effect.Effect<string> = Effect.map(randomBytes(16), toBase64Url)

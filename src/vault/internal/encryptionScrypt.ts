/**
 * scrypt of the platform; the only place of the encryption that needs Node.
 */
import * as Effect from "effect/Effect"
import { scrypt } from "node:crypto"
import type { Bytes } from "./encryptionBytes.js"

/** Bytes from a passphrase, with 8 blocks and one lane; `cost` is the logarithm to base 2 of N. */
export const derive = (
  passphrase: Bytes,
  salt: Bytes,
  cost: number,
  length: number
): Effect.Effect<Bytes> =>
  Effect.async((resume) => {
    const N = 2 ** cost
    scrypt(passphrase, salt, length, { N, r: 8, p: 1, maxmem: 128 * 8 * (N + 8) }, (error, bytes) => {
      resume(error === null ? Effect.succeed(new Uint8Array(bytes)) : Effect.die(error))
    })
  })

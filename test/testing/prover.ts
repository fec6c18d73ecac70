// Proofs of possession (RFC 9449) made by hand, sound or not.
import * as Effect from "effect/Effect"
import * as Jose from "jose"
import { createHash, randomUUID } from "node:crypto"

export interface Changes {
  readonly htm?: string
  readonly htu?: string
  readonly iat?: number | undefined
  readonly jti?: string | undefined
  readonly nonce?: string | undefined
  /** The token that goes with it. */
  readonly access?: string | undefined
  readonly typ?: string
  readonly jwk?: Jose.JWK
}

export interface Prover {
  readonly jwk: Jose.JWK
  readonly thumbprint: string
  /** The header to send. */
  readonly prove: (changes: Changes) => Effect.Effect<Record<string, string>>
}

/** One with a new key. */
export const make: Effect.Effect<Prover> = Effect.promise(async () => {
  const { privateKey, publicKey } = await Jose.generateKeyPair("ES256")
  const jwk = await Jose.exportJWK(publicKey)
  return {
    jwk,
    thumbprint: await Jose.calculateJwkThumbprint(jwk),
    prove: (changes) => Effect.promise(() => prove(privateKey, jwk, changes))
  }
})

const prove = async (
  key: Jose.CryptoKey,
  jwk: Jose.JWK,
  { access, typ, jwk: shown, ...changes }: Changes
): Promise<Record<string, string>> => {
  const hash = access === undefined ? {} : { ath: createHash("sha256").update(access).digest("base64url") }
  const claims = Object.entries({ jti: randomUUID(), ...changes, ...hash })
  const dpop = await new Jose.SignJWT(Object.fromEntries(claims.filter(([, value]) => value !== undefined)))
    .setProtectedHeader({ alg: "ES256", typ: typ ?? "dpop+jwt", jwk: shown ?? jwk })
    .sign(key)
  return { dpop }
}

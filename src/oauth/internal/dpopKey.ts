/**
 * The keys whose possession is proven: private JWKs as JSON text, which any vault can keep.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"
import * as oauth from "oauth4webapi"
import { Misconfigured } from "../../TokenError.js"

/** A key as it signs. */
export type Keys = oauth.CryptoKeyPair

export type Algorithm = "ES256" | "ES384" | "ES512" | "Ed25519" | "PS256" | "RS256"

/** What a vault can store: see the bounds of its records. */
const longest = 16 * 1024

/** A new key as JSON text. */
export const generate = (
  source: string,
  algorithm: Algorithm
): Effect.Effect<Redacted.Redacted<string>, Misconfigured> =>
  Effect.tryPromise({
    try: async () => {
      const { privateKey } = await oauth.generateKeyPair(algorithm, { extractable: true })
      const { crv, d, dp, dq, e, kty, n, p, q, qi, x, y } = await jose.exportJWK(privateKey)
      return Redacted.make(
        JSON.stringify({ alg: algorithm, crv, d, dp, dq, e, kty, n, p, q, qi, x, y })
      )
    },
    catch: () => invalid(source, `a key for ${algorithm} can't be made here`)
  })

/** The key, imported once for as long as somebody holds its text. */
export const imported = (
  source: string,
  key: Redacted.Redacted<string>
): Effect.Effect<Keys, Misconfigured> =>
  Effect.suspend(() => {
    const found = known.get(key)
    return found !== undefined
      ? Effect.succeed(found)
      : Effect.tap(importKey(source, Redacted.value(key)), (keys) => Effect.sync(() => known.set(key, keys)))
  })

const known = new WeakMap<Redacted.Redacted<string>, Keys>()

const importKey = Effect.fnUntraced(function*(source: string, text: string) {
  const jwk = yield* parse(source, text)
  const algorithm = algorithmOf(jwk)
  if (algorithm === undefined) return yield* invalid(source, "its algorithm is not one that signs proofs")
  const { crv, e, kty, n, x, y } = jwk
  const privateKey = yield* importJwk(source, jwk, algorithm)
  const publicKey = yield* importJwk(source, { crv, e, kty, n, x, y, ext: true } as jose.JWK, algorithm)
  return canSign(privateKey) && publicKey.type === "public"
    ? { privateKey, publicKey }
    : yield* invalid(source, "it is not a private key that may sign, or an RSA key under 2048 bits")
})

const parse = (source: string, text: string): Effect.Effect<jose.JWK, Misconfigured> =>
  Effect.filterOrFail(
    Effect.try({
      try: (): unknown => text.length <= longest ? JSON.parse(text) : undefined,
      catch: () => notJwk(source)
    }),
    (jwk): jwk is jose.JWK => typeof jwk === "object" && jwk !== null && "kty" in jwk && "d" in jwk,
    () => notJwk(source)
  )

const importJwk = (
  source: string,
  jwk: jose.JWK,
  algorithm: string
): Effect.Effect<oauth.CryptoKey, Misconfigured> =>
  Effect.filterOrFail(
    Effect.tryPromise({
      try: () => jose.importJWK({ ...jwk }, algorithm),
      catch: () => invalid(source, "it could not be imported")
    }),
    (key): key is jose.CryptoKey => !(key instanceof Uint8Array),
    () => notJwk(source)
  )

/** The algorithm that the key names or that its kind implies; only asymmetric ones sign proofs (RFC 9449 §4.2). */
const algorithmOf = ({ alg, crv, kty, use = "sig" }: jose.JWK): string | undefined => {
  if (use !== "sig") return undefined
  if (alg !== undefined) return /^(?:[ERP]S(?:256|384|512)|Ed25519|EdDSA)$/.test(alg) ? alg : undefined
  if (kty === "RSA") return "RS256"
  return Object.hasOwn(ofCurve, crv ?? "") ? ofCurve[crv ?? ""] : undefined
}

const ofCurve: Readonly<Record<string, string>> = {
  "P-256": "ES256",
  "P-384": "ES384",
  "P-521": "ES512",
  Ed25519: "Ed25519"
}

const canSign = (key: oauth.CryptoKey): boolean =>
  key.type === "private" && key.usages.includes("sign") &&
  !("modulusLength" in key.algorithm && Number(key.algorithm.modulusLength) < 2048)

/** A bound token that came without its key. */
export const missing = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidKey",
    detail: "its token is bound to a key that did not come with it",
    hint: "Log in with the dpop option on, or give the key with the token."
  })

const notJwk = (source: string): Misconfigured => invalid(source, "it is not a private JWK as JSON text")

const invalid = (source: string, why: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidKey",
    detail: `the key for proofs of possession can't be used: ${why}`,
    hint: "Give a private JWK as JSON text, as Dpop.generate makes one, or let a new key be made."
  })

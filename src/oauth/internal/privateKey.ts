/**
 * The keys that assertions are signed with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"
import type * as oauth from "oauth4webapi"
import { Misconfigured } from "../../TokenError.js"
import type { PrivateKeyJwtOptions } from "../Client.js"

/** A private key, and how it is called. */
export interface Signer {
  readonly key: oauth.CryptoKey
  readonly keyId: string | undefined
}

/** Which key, and what can't be read off it. */
export interface Options extends Pick<PrivateKeyJwtOptions, "algorithm" | "key" | "keyId"> {}

/** The key, if it is one that may sign. */
export const load = (source: string, options: Options): Effect.Effect<Signer, Misconfigured> =>
  Effect.map(importKey(source, options), ({ key, kid }) => ({ key, keyId: options.keyId ?? kid }))

/** The JWS algorithm that the key signs with; nothing for a key of an unknown kind. */
export const algorithmOf = ({ algorithm }: oauth.CryptoKey): string | undefined => {
  switch (algorithm.name) {
    case "RSASSA-PKCS1-v1_5":
      return `RS${hashBits(algorithm)}`
    case "RSA-PSS":
      return `PS${hashBits(algorithm)}`
    case "ECDSA":
      return ecdsa["namedCurve" in algorithm ? String(algorithm.namedCurve) : ""]
    case "Ed25519":
      return "EdDSA"
    default:
      return undefined
  }
}

const hashBits = (algorithm: object): string => {
  const hash = Predicate.hasProperty(algorithm, "hash") ? algorithm.hash : undefined
  const name = Predicate.hasProperty(hash, "name") ? hash.name : undefined
  return name === "SHA-384" ? "384" : name === "SHA-512" ? "512" : "256"
}

const ecdsa: Readonly<Record<string, string>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" }

interface Imported {
  readonly key: oauth.CryptoKey
  readonly kid: string | undefined
}

const importKey = (source: string, options: Options): Effect.Effect<Imported, Misconfigured> =>
  Effect.filterOrFail(
    Redacted.isRedacted(options.key)
      ? importRedacted(source, Redacted.value<string | JsonWebKey>(options.key), options.algorithm)
      : Effect.succeed({ key: options.key, kid: undefined }),
    ({ key }) => canSign(key),
    () => invalidKey(source, "the key is not a private key that may sign, or an RSA key under 2048 bits")
  )

const importRedacted = (
  source: string,
  key: string | JsonWebKey,
  algorithm: string | undefined
): Effect.Effect<Imported, Misconfigured> => {
  if (typeof key !== "string") return importJwk(source, key, algorithm)
  const text = key.trim()
  if (text === "") return Effect.fail(emptySecret(source))
  return text.startsWith("{")
    ? Effect.flatMap(parseJwk(source, text), (jwk) => importJwk(source, jwk, algorithm))
    : importPem(source, text, algorithm)
}

const parseJwk = (source: string, text: string): Effect.Effect<JsonWebKey, Misconfigured> =>
  Effect.try({
    try: () => JSON.parse(text) as JsonWebKey,
    catch: () => invalidKey(source, "the JWK is not JSON")
  })

const importJwk = (
  source: string,
  jwk: jose.JWK & JsonWebKey,
  algorithm: string | undefined
): Effect.Effect<Imported, Misconfigured> => {
  const alg = algorithm ?? jwk.alg ?? usualAlgorithm(jwk)
  return Effect.tryPromise({
    try: () => jose.importJWK({ ...jwk }, alg),
    catch: () => invalidKey(source, "the JWK could not be imported")
  }).pipe(
    Effect.filterOrFail(
      (key): key is jose.CryptoKey => !(key instanceof Uint8Array),
      () => invalidKey(source, "the JWK is a shared secret")
    ),
    Effect.map((key) => ({ key, kid: typeof jwk.kid === "string" ? jwk.kid : undefined }))
  )
}

const usualAlgorithm = (jwk: JsonWebKey): string => {
  if (jwk.kty === "RSA") return "RS256"
  if (jwk.kty !== "EC") return "Ed25519"
  return jwk.crv === "P-521" ? "ES512" : jwk.crv === "P-384" ? "ES384" : "ES256"
}

/** PEM doesn't say which algorithm it is for: the first one that takes it. */
const importPem = (
  source: string,
  pem: string,
  algorithm: string | undefined
): Effect.Effect<Imported, Misconfigured> =>
  Effect.firstSuccessOf(
    (algorithm === undefined ? ["RS256", "ES256", "ES384", "ES512", "Ed25519"] : [algorithm]).map((alg) =>
      Effect.tryPromise({
        try: () => jose.importPKCS8(pem, alg),
        catch: () => invalidKey(source, "the PEM is not a PKCS#8 private key of a known algorithm")
      })
    )
  ).pipe(Effect.map((key) => ({ key, kid: undefined })))

const canSign = (key: oauth.CryptoKey): boolean =>
  key.type === "private" && key.usages.includes("sign") &&
  !("modulusLength" in key.algorithm && Number(key.algorithm.modulusLength) < 2048)

const emptySecret = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "EmptySecret",
    detail: "the private key is empty or blank",
    hint: "Give the key itself."
  })

const invalidKey = (source: string, detail: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidKey",
    detail,
    hint:
      "Give a PKCS#8 PEM (`openssl pkcs8 -topk8 -nodes` converts others) or a private JWK, and its algorithm."
  })

/**
 * From a client as data to what oauth4webapi authenticates with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"
import * as oauth from "oauth4webapi"
import { Misconfigured } from "../../TokenError.js"
import type { Basic, Client, PrivateKeyJwt } from "../Client.js"

/** The client's way to authenticate, its secret or key checked. */
export const make = (source: string, client: Client): Effect.Effect<oauth.ClientAuth, Misconfigured> => {
  if (client.id.trim() === "") return Effect.fail(emptyId(source))
  const auth = client.auth
  switch (auth?._tag) {
    case undefined:
    case "None":
      return Effect.succeed(oauth.None())
    case "Basic":
      return Effect.map(secretOf(source, auth.secret), (secret) => basic(auth, secret))
    case "Post":
      return Effect.map(secretOf(source, auth.secret), oauth.ClientSecretPost)
    case "PrivateKeyJwt":
      return privateKeyJwt(source, auth)
  }
}

const secretOf = (
  source: string,
  secret: Redacted.Redacted<string>
): Effect.Effect<string, Misconfigured> => {
  const value = Redacted.value(secret).trim()
  if (value === "") return Effect.fail(emptySecret(source))
  return /[\r\n]/.test(value) ? Effect.fail(brokenSecret(source)) : Effect.succeed(value)
}

const basic = (auth: Basic, secret: string): oauth.ClientAuth =>
  auth.encoding === "form"
    ? oauth.ClientSecretBasic(secret)
    : (_server, client, _body, headers) => {
      headers.set("authorization", `Basic ${Encoding.encodeBase64(`${client.client_id}:${secret}`)}`)
    }

const privateKeyJwt = (source: string, auth: PrivateKeyJwt): Effect.Effect<oauth.ClientAuth, Misconfigured> =>
  Effect.map(importKey(source, auth), ({ key, kid }) => {
    const keyId = auth.keyId ?? kid
    return oauth.PrivateKeyJwt(keyId === undefined ? { key } : { key, kid: keyId }, {
      [oauth.modifyAssertion]: (_header, payload) => {
        if (auth.audience !== undefined) payload["aud"] = auth.audience
      }
    })
  })

interface Imported {
  readonly key: oauth.CryptoKey
  readonly kid: string | undefined
}

const importKey = (source: string, auth: PrivateKeyJwt): Effect.Effect<Imported, Misconfigured> =>
  Effect.filterOrFail(
    Redacted.isRedacted(auth.key)
      ? importRedacted(source, Redacted.value<string | JsonWebKey>(auth.key), auth.algorithm)
      : Effect.succeed({ key: auth.key, kid: undefined }),
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
  const alg = algorithm ?? jwk.alg ?? algorithmOf(jwk)
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

const algorithmOf = (jwk: JsonWebKey): string => {
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

const emptyId = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the client id is empty or blank",
    hint: "Give the id that the authorization server registered."
  })

const emptySecret = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "EmptySecret",
    detail: "the client's secret or key is empty or blank",
    hint: "Give the secret itself, or no auth for a public client."
  })

const brokenSecret = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidSecret",
    detail: "the client's secret has more than one line",
    hint: "Give the secret itself, or privateKeyJwt for a key."
  })

const invalidKey = (source: string, detail: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidKey",
    detail,
    hint:
      "Give a PKCS#8 PEM (`openssl pkcs8 -topk8 -nodes` converts others) or a private JWK, and its algorithm."
  })

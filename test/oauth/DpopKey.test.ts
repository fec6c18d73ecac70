import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as Token from "effect-credentials/Token"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"
import { generateKeyPairSync } from "node:crypto"
import { bound } from "./dpopKit.js"
import { inTurn, serve } from "./kit.js"
import type { Call } from "./kit.js"

const idp = AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })

const client = { id: "app" }

const revealed = (key: Redacted.Redacted<string> | undefined) =>
  JSON.parse(key === undefined ? "{}" : Redacted.value(key)) as jose.JWK

describe("keys", () => {
  const algorithms = ["ES256", "ES384", "ES512", "Ed25519", "PS256", "RS256"] as const

  it.effect.each(algorithms)(
    "%s: a new one each time, whole, and known by its thumbprint",
    (algorithm) =>
      Effect.gen(function*() {
        const [one, other] = yield* Effect.all([Dpop.generate({ algorithm }), Dpop.generate({ algorithm })])
        const { d, ...shown } = revealed(one)
        assert.isString(d)
        assert.strictEqual(shown.alg, algorithm)
        assert.notStrictEqual(d, revealed(other).d)
        assert.strictEqual(
          yield* Dpop.thumbprint(one),
          yield* Effect.promise(() => jose.calculateJwkThumbprint(shown))
        )
      })
  )

  it.effect("by default for the algorithm that every server knows, and never shown", () =>
    Effect.gen(function*() {
      const key = yield* Dpop.generate()
      assert.strictEqual(revealed(key).crv, "P-256")
      assert.strictEqual(String(key), "<redacted>")
      assert.strictEqual(JSON.stringify(Token.make({ value: key, proofKey: key })).includes("P-256"), false)
    }))

  const jwkOf = (key: ReturnType<typeof generateKeyPairSync>["privateKey"], fields = {}) =>
    JSON.stringify({ ...key.export({ format: "jwk" }), ...fields })
  const ec = () => generateKeyPairSync("ec", { namedCurve: "P-256" })

  it.effect.each<readonly [string, () => string]>([
    ["empty", () => ""],
    ["blank", () => "  "],
    ["no JSON", () => "{\"kty\":"],
    ["null", () => "null"],
    ["a list", () => "[]"],
    ["a PEM", () => ec().privateKey.export({ format: "pem", type: "pkcs8" }).toString()],
    ["public", () => jwkOf(ec().publicKey)],
    ["a shared secret", () => JSON.stringify({ kty: "oct", k: "c2VzYW1lc2VzYW1lc2VzYW1l" })],
    ["a shared secret that says it is private", () => JSON.stringify({ kty: "oct", k: "c2VzYW1l", d: "x" })],
    ["of an unknown kind", () => JSON.stringify({ kty: "XX", d: "c2VzYW1l" })],
    ["for a symmetric algorithm", () => jwkOf(ec().privateKey, { alg: "HS256" })],
    ["for no algorithm", () => jwkOf(ec().privateKey, { alg: "none" })],
    ["for the algorithm of another curve", () => jwkOf(ec().privateKey, { alg: "ES512" })],
    ["for an algorithm that is no text", () => jwkOf(ec().privateKey, { alg: 7 })],
    ["for a curve that is inherited", () => jwkOf(ec().privateKey, { crv: "constructor" })],
    ["for encryption", () => jwkOf(ec().privateKey, { use: "enc" })],
    ["for key agreement", () => jwkOf(ec().privateKey, { key_ops: ["deriveBits"] })],
    ["on a curve for key agreement", () => jwkOf(generateKeyPairSync("x25519").privateKey)],
    ["a short RSA key", () => jwkOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey)],
    ["not a whole RSA key", () => JSON.stringify({ kty: "RSA", d: "AQAB" })],
    ["with numbers for coordinates", () => JSON.stringify({ kty: "EC", crv: "P-256", d: 1, x: 2, y: 3 })],
    ["a megabyte", () => jwkOf(ec().privateKey, { kid: "x".repeat(1_000_000) })]
  ])("refused before anything is sent: %s", ([, text]) =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const key = text()
      const make = Effect.flatMap(idp, (server) =>
        ClientCredentials.make({ server, client, dpop: Redacted.make(key) })).pipe(
          Effect.provide(serve(inTurn(bound()), calls))
        )
      const error = yield* Effect.flip(make)
      assert.strictEqual(error.reason, "InvalidKey")
      assert.deepStrictEqual(
        [calls.length, (yield* Effect.flip(Dpop.thumbprint(Redacted.make(key)))).reason],
        [
          0,
          "InvalidKey"
        ]
      )
      const { d } = key.startsWith("{\"") && key.endsWith("}") ? JSON.parse(key) as jose.JWK : {}
      if (typeof d === "string" && d.length > 4) {
        assert.notInclude(JSON.stringify(error) + error.message, d)
      }
    }))
})

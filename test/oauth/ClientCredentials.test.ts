import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Token from "effect-credentials/Token"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as OidcProvider from "../support/OidcProvider.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call } from "./kit.js"

const explicit = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token"
})

const ofPost = (server: AuthorizationServer.AuthorizationServer): ClientCredentials.Options => ({
  server,
  client: { id: "app", auth: Client.post(Redacted.make("post-secret-1")) }
})

describe("with a real provider", () => {
  const real = (
    auth: (idp: OidcProvider.OidcProvider) => Client.Client
  ) =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make()
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const source = yield* ClientCredentials.make({ server, client: auth(idp), scopes: ["read", "write"] })
      const before = yield* Clock.currentTimeMillis
      const token = yield* source.get
      const known = yield* Effect.promise(() =>
        idp.provider.ClientCredentials.find(Redacted.value(token.value))
      )
      return { before, idp, known, source, token }
    })

  it.scopedLive("basic", () =>
    Effect.gen(function*() {
      const { before, known, token } = yield* real(() => ({
        id: "cc-basic",
        auth: Client.basic(Redacted.make(OidcProvider.basicSecret))
      }))
      assert.strictEqual(known?.clientId, "cc-basic")
      assert.strictEqual(token.type, "Bearer")
      assert.deepStrictEqual(token.scopes, ["read", "write"])
      assert.strictEqual(Token.lifetime(token), 3_600_000)
      assert.isAtLeast(token.issuedAt, before)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("post, over fetch", () =>
    Effect.gen(function*() {
      const { known } = yield* real(() => ({
        id: "cc-post",
        auth: Client.post(Redacted.make(OidcProvider.postSecret))
      }))
      assert.strictEqual(known?.clientId, "cc-post")
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  const keys: ReadonlyArray<
    readonly [string, (key: OidcProvider.OidcProvider["clientKey"]) => Client.PrivateKey]
  > = [
    ["a JWK", ({ jwk }) => Redacted.make(jwk as JsonWebKey)],
    ["a JWK as text", ({ jwk }) => Redacted.make(JSON.stringify(jwk))],
    ["a PEM", ({ pem }) => Redacted.make(pem)],
    ["a CryptoKey", ({ key }) => key]
  ]
  for (const [name, key] of keys) {
    it.scopedLive(`private_key_jwt from ${name}`, () =>
      Effect.gen(function*() {
        const { known } = yield* real((idp) => ({
          id: "cc-jwt",
          auth: Client.privateKeyJwt({ key: key(idp.clientKey) })
        }))
        assert.strictEqual(known?.clientId, "cc-jwt")
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }

  it.scopedLive("a wrong secret is Misconfigured", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(real(() => ({
        id: "cc-basic",
        auth: Client.basic(Redacted.make("wrong"))
      })))
      assert.strictEqual(error._tag, "Misconfigured")
      assert.strictEqual(error.reason, "InvalidClient")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("each request fetches a new token", () =>
    Effect.gen(function*() {
      const { source, token } = yield* real(() => ({
        id: "cc-basic",
        auth: Client.basic(Redacted.make(OidcProvider.basicSecret))
      }))
      const second = yield* source.request({})
      assert.isFalse(Token.isSame(token, second))
      assert.isTrue(source.peek()._tag === "None")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

describe("what is sent", () => {
  for (const [name, auth] of [["basic", Client.basic], ["post", Client.post]] as const) {
    it.effect(`a secret without the white space around it: ${name}`, () => {
      const calls: Array<Call> = []
      return Effect.gen(function*() {
        const client = { id: "app", auth: auth(Redacted.make(" hush\r\n")) }
        const source = yield* ClientCredentials.make({ server: yield* explicit, client })
        yield* source.get
        const [call] = calls
        const sent = name === "basic"
          ? atob(call?.headers["authorization"]?.slice(6) ?? "")
          : `app:${call?.form.get("client_secret")}`
        assert.strictEqual(sent, "app:hush")
      }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
    })
  }

  it.effect("scopes, resources, audience and parameters", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const source = yield* ClientCredentials.make({
        ...ofPost(yield* explicit),
        scopes: ["a", "b"],
        resource: ["https://one.test", "https://two.test"],
        audience: "someone",
        parameters: { organization: "acme" }
      })
      yield* source.get
      const [call] = calls
      assert.strictEqual(call?.url, "https://idp.test/token")
      assert.strictEqual(call?.method, "POST")
      assert.match(call?.headers["content-type"] ?? "", /^application\/x-www-form-urlencoded/)
      assert.deepStrictEqual([...call?.form ?? []].sort(), [
        ["audience", "someone"],
        ["client_id", "app"],
        ["client_secret", "post-secret-1"],
        ["grant_type", "client_credentials"],
        ["organization", "acme"],
        ["resource", "https://one.test"],
        ["resource", "https://two.test"],
        ["scope", "a b"]
      ])
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  })

  it.effect("basic, form-encoded or raw", () => {
    const calls: Array<Call> = []
    const send = (auth: Client.Basic) =>
      Effect.gen(function*() {
        const source = yield* ClientCredentials.make({
          server: yield* explicit,
          client: { id: "my-app", auth }
        })
        yield* source.get
        return atob(calls.at(-1)?.headers["authorization"]?.replace("Basic ", "") ?? "")
      })
    return Effect.gen(function*() {
      assert.strictEqual(yield* send(Client.basic(Redacted.make("s-1:ü"))), "my%2Dapp:s%2D1%3A%C3%BC")
      const raw = yield* send(Client.basic(Redacted.make("s-1:ü"), { encoding: "raw" }))
      assert.strictEqual(raw, "my-app:s-1:\u00c3\u00bc")
      assert.isFalse(calls.some((call) => call.form.has("client_id") || call.form.has("client_secret")))
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  })
})

describe("a client that can't be", () => {
  const rsa1024 = Effect.promise(async () => {
    const parameters = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256", modulusLength: 1024 }
    const pair = await crypto.subtle.generateKey(
      { ...parameters, publicExponent: new Uint8Array([1, 0, 1]) },
      true,
      ["sign", "verify"]
    )
    return pair.privateKey
  })
  const cases: ReadonlyArray<readonly [string, Client.Client, string]> = [
    ["empty id", { id: " " }, "InvalidOption"],
    ["empty basic secret", { id: "a", auth: Client.basic(Redacted.make("")) }, "EmptySecret"],
    ["blank post secret", { id: "a", auth: Client.post(Redacted.make(" \n")) }, "EmptySecret"],
    ["basic secret of two lines", { id: "a", auth: Client.basic(Redacted.make("a\nb")) }, "InvalidSecret"],
    ["post secret of two lines", { id: "a", auth: Client.post(Redacted.make("a\r\nb\n")) }, "InvalidSecret"],
    ["empty key", { id: "a", auth: Client.privateKeyJwt({ key: Redacted.make(" ") }) }, "EmptySecret"],
    [
      "a key that is no key",
      { id: "a", auth: Client.privateKeyJwt({ key: Redacted.make("hush-key") }) },
      "InvalidKey"
    ],
    [
      "a JWK that is no JSON",
      { id: "a", auth: Client.privateKeyJwt({ key: Redacted.make("{hush-key") }) },
      "InvalidKey"
    ],
    ["a shared secret", {
      id: "a",
      auth: Client.privateKeyJwt({ key: Redacted.make({ kty: "oct", k: "aHVzaC1rZXk" }), algorithm: "HS256" })
    }, "InvalidKey"],
    ["a public key", {
      id: "a",
      auth: Client.privateKeyJwt({
        key: Redacted.make({
          kty: "OKP",
          crv: "Ed25519",
          x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        })
      })
    }, "InvalidKey"]
  ]
  for (const [name, client, reason] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ClientCredentials.make({ server: yield* explicit, client }))
        assert.strictEqual(error._tag, "Misconfigured")
        assert.strictEqual(error.reason, reason)
        assert.notInclude(JSON.stringify(error) + error.message, "hush-key")
      }).pipe(Effect.provide(serve(inTurn(json({}))))))
  }

  it.effect("an RSA key of 1024 bits", () =>
    Effect.gen(function*() {
      const auth = Client.privateKeyJwt({ key: yield* rsa1024 })
      const error = yield* Effect.flip(
        ClientCredentials.make({ server: yield* explicit, client: { id: "a", auth } })
      )
      assert.strictEqual(error.reason, "InvalidKey")
    }).pipe(Effect.provide(serve(inTurn(json({}))))))
})

describe("what is received", () => {
  const receive = (body: unknown, options?: Partial<ClientCredentials.Options>) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const source = yield* ClientCredentials.make({ ...ofPost(yield* explicit), ...options })
      return yield* source.get
    }).pipe(Effect.provide(serve(inTurn(json(body)))))

  it.effect("a missing token_type counts as Bearer, any case is known", () =>
    Effect.gen(function*() {
      const types = yield* Effect.forEach(
        [undefined, null, "", "bearer", "BEARER", "DPoP", "N_A"],
        (token_type) => receive({ access_token: "t", token_type })
      )
      assert.deepStrictEqual(types.map((token) => token.type), [
        "Bearer",
        "Bearer",
        "Bearer",
        "Bearer",
        "Bearer",
        "DPoP",
        "N_A"
      ])
    }))

  it.effect("an unknown token_type is not used", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(receive({ access_token: "t", token_type: "mac" }))
      assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "UnsupportedGrant"])
    }))

  const unusable: ReadonlyArray<readonly [string, unknown]> = [
    ["missing", undefined],
    ["null", null],
    ["empty", ""],
    ["a number", 5],
    ["an object", { a: 1 }],
    ["blank", "   "],
    ["too long to be stored", "x".repeat(256 * 1024 + 1)],
    ["with a line break", "hush\r\nX-Other: 1"],
    ["with a zero byte", "hush\u0000"],
    ["not ASCII", "hüsh"]
  ]
  for (const [name, access_token] of unusable) {
    it.effect(`an access token that is ${name} is not used`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(receive({ access_token, token_type: "Bearer" }))
        assert.strictEqual(error._tag, "TransientFailure")
        assert.strictEqual(error.reason, "MalformedAnswer")
      }))
  }

  it.effect("the lifetime counts from the moment of receipt", () =>
    Effect.gen(function*() {
      const token = yield* receive({ access_token: "t", expires_in: 60 })
      assert.deepStrictEqual([token.issuedAt, token.expiresAt], [1_000_000, 1_060_000])
    }))

  it.effect("the default lifetime can be that it never expires", () =>
    Effect.gen(function*() {
      const token = yield* receive({ access_token: "t" }, { defaultLifetime: Duration.infinity })
      assert.strictEqual(token.expiresAt, Infinity)
    }))

  it.effect("invalid_grant is about the client here, as there is no login", () =>
    Effect.gen(function*() {
      const source = yield* ClientCredentials.make(ofPost(yield* explicit))
      const error = yield* Effect.flip(source.get)
      assert.strictEqual(error._tag, "Misconfigured")
      assert.strictEqual(error.reason, "InvalidClient")
    }).pipe(Effect.provide(serve(inTurn(json({ error: "invalid_grant" }, { status: 400 }))))))
})

import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as JwtBearer from "effect-credentials/oauth/JwtBearer"
import * as Token from "effect-credentials/Token"
import { TransientFailure } from "effect-credentials/TokenError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as jose from "jose"
import * as OidcProvider from "../support/OidcProvider.js"
import * as ProviderGrants from "../support/ProviderGrants.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call } from "./kit.js"

const explicit = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token"
})

const secretJwk = {
  kty: "OKP",
  crv: "Ed25519",
  d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
  x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}

const jwk = Redacted.make<JsonWebKey>(secretJwk)

const pem = (algorithm: string) =>
  Effect.promise(async () => {
    const { privateKey } = await jose.generateKeyPair(algorithm, { extractable: true })
    return Redacted.make(await jose.exportPKCS8(privateKey))
  })

describe("with a real provider", () => {
  const real = Effect.gen(function*() {
    const idp = yield* OidcProvider.make({ clients: ProviderGrants.clients })
    const asked = ProviderGrants.register(idp.provider, { key: idp.clientKey.jwk })
    const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
    const options: JwtBearer.Options = {
      server,
      client: { id: "public" },
      assertion: {
        key: Redacted.make(idp.clientKey.pem),
        algorithm: "ES256",
        issuer: "robot",
        subject: "alice"
      },
      scopes: ["read"]
    }
    return { asked, idp, options, server }
  })

  it.scopedLive("each token has an assertion of its own, which the provider takes only once", () =>
    Effect.gen(function*() {
      const { asked, idp, options } = yield* real
      const source = yield* JwtBearer.make(options)
      const first = yield* source.get
      const second = yield* source.get
      expect(Token.isSame(first, second)).toBe(false)
      const known = yield* Effect.promise(() => idp.provider.AccessToken.find(Redacted.value(first.value)))
      expect(known).toMatchObject({ accountId: "alice", clientId: "public" })
      expect(new Set(asked.map(({ assertion }) => assertion)).size).toBe(2)

      const again = yield* JwtBearer.make({
        ...options,
        assertion: Effect.succeed(Redacted.make(String(asked[0]?.["assertion"])))
      })
      expect(yield* Effect.flip(again.get)).toMatchObject({ _tag: "Misconfigured", reason: "InvalidClient" })
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("a grant comes with its refresh token", () =>
    Effect.gen(function*() {
      const { options } = yield* real
      const { login } = yield* JwtBearer.makeLogin(options)
      expect((yield* login).refreshToken).toBeDefined()
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  for (
    const [what, change] of [
      ["another issuer", { issuer: "somebody" }],
      ["another audience", { audience: "https://else.test" }],
      ["another key", { key: jwk, algorithm: "EdDSA" }]
    ] as const
  ) {
    it.scopedLive(`an assertion of ${what} is Misconfigured`, () =>
      Effect.gen(function*() {
        const { options } = yield* real
        const assertion = { ...options.assertion as JwtBearer.Signed, ...change }
        const source = yield* JwtBearer.make({ ...options, assertion })
        const error = yield* Effect.flip(source.get)
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidClient" })
        expect(error.message).toContain("Check the assertion's issuer")
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }
})

/** What the assertions of the calls say. */
const claimsOf = (calls: ReadonlyArray<Call>) =>
  calls.map(({ form }) => jose.decodeJwt(form.get("assertion") ?? ""))

/** The first request is refused, as its proof has no nonce. */
const wantsNonce = () =>
  inTurn(
    json({ error: "use_dpop_nonce" }, { status: 400, headers: { "dpop-nonce": "n1" } }),
    json({ access_token: "t", token_type: "DPoP" })
  )

describe("an assertion that is signed here", () => {
  const send = (assertion: Partial<JwtBearer.Signed>, more: Partial<JwtBearer.Options> = {}) => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const source = yield* JwtBearer.make({
        server: yield* explicit,
        assertion: { key: jwk, issuer: "robot", ...assertion },
        ...more
      })
      yield* source.get
      return calls
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  }

  it.effect("says who asks, for whom, and for how long, by the clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_500)
      const [claims] = claimsOf(yield* send({}))
      expect(claims).toEqual({
        iss: "robot",
        sub: "robot",
        aud: "https://idp.test",
        iat: 1_700_000_000,
        exp: 1_700_000_300,
        jti: expect.stringMatching(/^[\w-]{43}$/)
      })
    }))

  it.effect("is all that identifies the client, unless one is given", () =>
    Effect.gen(function*() {
      const [call] = yield* send({}, { scopes: ["a", "b"], resource: "https://api.test" })
      expect([...call?.form ?? []].filter(([name]) => name !== "assertion").sort()).toEqual([
        ["grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
        ["resource", "https://api.test"],
        ["scope", "a b"]
      ])
      expect(call?.headers).not.toHaveProperty("authorization")
      const [named] = yield* send({}, { client: { id: "app" } })
      expect(named?.form.get("client_id")).toBe("app")
    }))

  it.effect("has the claims that are asked for, and none that is undone", () =>
    Effect.gen(function*() {
      const [claims] = claimsOf(
        yield* send({
          subject: "user@acme.test",
          audience: "https://idp.test/token",
          lifetime: "1 hour",
          claims: { scope: "x y", jti: undefined, iss: "other" }
        })
      )
      expect(claims).toEqual({
        iss: "other",
        sub: "user@acme.test",
        aud: "https://idp.test/token",
        iat: 0,
        exp: 3600,
        scope: "x y"
      })
    }))

  const keys: ReadonlyArray<readonly [alg: string, given: string | undefined]> = [
    ["RS256", undefined],
    ["RS512", "RS512"],
    ["PS256", "PS256"],
    ["ES256", undefined],
    ["ES384", undefined],
    ["ES512", undefined],
    ["EdDSA", undefined]
  ]
  for (const [alg, algorithm] of keys) {
    it.effect(`names its algorithm, ${alg}, and its key`, () =>
      Effect.gen(function*() {
        const [call] = yield* send({ key: yield* pem(alg), algorithm, keyId: "k1" })
        const header = jose.decodeProtectedHeader(call?.form.get("assertion") ?? "")
        expect(header).toEqual({ alg, kid: "k1", typ: "JWT" })
      }))
  }

  it.effect("is dated by the server's clock, and signed once more where that turns out to be another", () => {
    const calls: Array<Call> = []
    const answers = inTurn(
      json({ error: "invalid_grant" }, { status: 400, headers: { date: "Tue, 14 Nov 2023 22:20:00 GMT" } }),
      json({ access_token: "t" })
    )
    return Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const source = yield* JwtBearer.make({
        server: yield* explicit,
        assertion: { key: jwk, issuer: "robot" }
      })
      yield* source.get
      const [first, second] = claimsOf(calls)
      expect([first?.iat, second?.iat]).toEqual([1_700_000_000, 1_700_000_400])
      expect(first?.jti).not.toBe(second?.jti)
    }).pipe(Effect.provide(serve(answers, calls)))
  })

  it.effect("is signed once more where the server wants a nonce, as each may be used only once", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const source = yield* JwtBearer.make({
        server: yield* explicit,
        assertion: { key: jwk, issuer: "robot" },
        dpop: true
      })
      yield* source.get
      const [first, second] = claimsOf(calls)
      expect(calls.length).toBe(2)
      expect(first?.jti).not.toBe(second?.jti)
    }).pipe(Effect.provide(serve(wantsNonce(), calls)))
  })

  it.effect("is not signed again where the clocks agree", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const source = yield* JwtBearer.make({
        server: yield* explicit,
        assertion: { key: jwk, issuer: "robot" }
      })
      expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "InvalidClient" })
      expect(calls.length).toBe(1)
    }).pipe(Effect.provide(serve(inTurn(json({ error: "invalid_grant" }, { status: 400 })), calls)))
  })

  const circular: Record<string, unknown> = {}
  circular["self"] = circular

  const wrong: ReadonlyArray<readonly [what: string, change: Partial<JwtBearer.Signed>, reason: string]> = [
    ["no issuer", { issuer: " " }, "InvalidOption"],
    ["no lifetime", { lifetime: 0 }, "InvalidOption"],
    ["an endless lifetime", { lifetime: Duration.infinity }, "InvalidOption"],
    ["a lifetime above an hour", { lifetime: "61 minutes" }, "InvalidOption"],
    ["a blank key", { key: Redacted.make(" ") }, "EmptySecret"],
    ["a key that is none", { key: Redacted.make("hush-key") }, "InvalidKey"],
    ["a shared secret", { key: Redacted.make({ kty: "oct", k: "aHVzaC1rZXk" }) }, "InvalidKey"],
    ["an algorithm that isn't the key's", { algorithm: "ES256" }, "InvalidKey"],
    ["claims that are no JSON", { claims: { circular } }, "InvalidKey"]
  ]
  for (const [what, change, reason] of wrong) {
    it.effect(`is not sent with ${what}`, () => {
      const calls: Array<Call> = []
      return Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.flatMap(
          JwtBearer.make({ server: yield* explicit, assertion: { key: jwk, issuer: "robot", ...change } }),
          (source) => source.get
        ))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason })
        expect(JSON.stringify(error) + error.message).not.toMatch(/hush-key|nWGxne/)
        expect(calls).toEqual([])
      }).pipe(Effect.provide(serve(inTurn(json({})), calls)))
    })
  }
})

describe("an assertion that is given", () => {
  const failure = new TransientFailure({ source: "file", reason: "Network", detail: "down", hint: "Wait." })

  it.effect("is taken afresh each time, and what it fails with is given as it is", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const given = ["one", "two"]
      const source = yield* JwtBearer.make({
        server: yield* explicit,
        assertion: Effect.suspend(() => {
          const next = given.shift()
          return next === undefined ? Effect.fail(failure) : Effect.succeed(Redacted.make(next))
        })
      })
      yield* source.get
      yield* source.get
      expect(calls.map(({ form }) => form.get("assertion"))).toEqual(["one", "two"])
      expect(yield* Effect.flip(source.get)).toMatchObject({ _tag: "TransientFailure", detail: "down" })
      expect(yield* Clock.currentTimeMillis).toBe(0)
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  })
})

it.effect("an assertion that is given is taken afresh where the server wants a nonce", () => {
  const calls: Array<Call> = []
  return Effect.gen(function*() {
    let count = 0
    const source = yield* JwtBearer.make({
      server: yield* explicit,
      assertion: Effect.sync(() => Redacted.make(String(++count))),
      dpop: true
    })
    yield* source.get
    expect(calls.map(({ form }) => form.get("assertion"))).toEqual(["1", "2"])
  }).pipe(Effect.provide(serve(wantsNonce(), calls)))
})

it("a client that is anonymous has no id to send", () => {
  expect(Client.anonymous).toEqual({ id: "anonymous", auth: { _tag: "Anonymous" } })
})

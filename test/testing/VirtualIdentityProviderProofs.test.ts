import { assert, describe, it } from "@effect/vitest"
import * as Fault from "effect-credentials/testing/Fault"
import { VirtualIdentityProvider } from "effect-credentials/testing/VirtualIdentityProvider"
import * as Idp from "effect-credentials/testing/VirtualIdentityProvider"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { basic, get, issuer, poll, post, refresh, startLogin, token } from "./calls.js"
import type { Fields } from "./logins.js"
import { authorize, push, redeem } from "./logins.js"
import * as Prover from "./prover.js"

const endpoint = `${issuer}/token`

const seconds = Effect.map(Clock.currentTimeMillis, (now) => Math.floor(now / 1000))

/** A proof for the token endpoint. */
const forToken = (prover: Prover.Prover, changes: Prover.Changes = {}) =>
  Effect.flatMap(seconds, (iat) => prover.prove({ htm: "POST", htu: endpoint, iat, ...changes }))

/** The resource with a token and a proof. */
const see = (prover: Prover.Prover, access: unknown, changes: Prover.Changes = {}, scheme = "DPoP") =>
  Effect.gen(function*() {
    const iat = yield* seconds
    const claims = { htm: "GET", htu: `${issuer}/resource`, iat, access: String(access), ...changes }
    const proof = yield* prover.prove(claims)
    return yield* get(`${issuer}/resource`, { ...proof, authorization: `${scheme} ${String(access)}` })
  })

/** A login with a proof. */
const logIn = (prover: Prover.Prover, changes: Prover.Changes = {}, fields: Fields = {}) =>
  Effect.gen(function*() {
    const { code } = yield* authorize(fields)
    return yield* redeem(code, {}, yield* forToken(prover, changes))
  })

const redemptions = Effect.flatMap(
  VirtualIdentityProvider,
  (idp) => Effect.map(idp.counts, (c) => c.redemptions)
)

describe("proofs of possession", () => {
  it.effect("bind the tokens of a login, and their renewals", () =>
    Effect.gen(function*() {
      const key = yield* Prover.make
      const { body } = yield* logIn(key)
      assert.strictEqual(body["token_type"], "DPoP")
      assert.strictEqual((yield* see(key, body["access_token"])).status, 200)
      const renewed = yield* refresh(body["refresh_token"], {}, yield* forToken(key))
      assert.strictEqual(renewed.body["token_type"], "DPoP")
      assert.strictEqual((yield* see(key, renewed.body["access_token"])).status, 200)
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("bind every grant", () =>
    Effect.gen(function*() {
      const key = yield* Prover.make
      const service = basic("service", "service-secret")
      const own = yield* token({ grant_type: "client_credentials" }, { ...service, ...yield* forToken(key) })
      assert.strictEqual(own.body["token_type"], "DPoP")
      const started = yield* startLogin()
      const device = yield* poll(started.body["device_code"], {}, yield* forToken(key))
      assert.strictEqual((yield* see(key, device.body["access_token"])).status, 200)
    }).pipe(Effect.provide(Idp.layer({ approvals: { approveAfter: 0 } }))))

  it.effect("a refresh token of a public client needs its key, and survives requests without it", () =>
    Effect.gen(function*() {
      const key = yield* Prover.make
      const other = yield* Prover.make
      const value = (yield* logIn(key)).body["refresh_token"]
      assert.strictEqual((yield* refresh(value)).body["error"], "invalid_grant")
      assert.strictEqual((yield* refresh(value, {}, yield* forToken(other))).body["error"], "invalid_grant")
      assert.strictEqual(yield* redemptions, 0)
      assert.strictEqual((yield* refresh(value, {}, yield* forToken(key))).status, 200)
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("one of a confidential client does not", () =>
    Effect.gen(function*() {
      const service = basic("service", "service-secret")
      const { code } = yield* authorize({ client_id: "service" })
      const fields = { client_id: "service" }
      const { body } = yield* redeem(code, fields, { ...service, ...yield* forToken(yield* Prover.make) })
      const renewed = yield* refresh(body["refresh_token"], fields, service)
      assert.strictEqual(renewed.body["token_type"], "Bearer")
    }).pipe(Effect.provide(Idp.layer())))

  const bad: ReadonlyArray<readonly [string, Prover.Changes]> = [
    ["for another method", { htm: "GET" }],
    ["for another address", { htu: `${issuer}/par` }],
    ["for another host", { htu: "https://other.test/token" }],
    ["without an address", { htu: "" }],
    ["without a name", { jti: undefined }],
    ["with an empty name", { jti: "" }],
    ["without a time", { iat: undefined }],
    ["from two minutes ago", { iat: 1_700_000_000 - 120 }],
    ["from in two minutes", { iat: 1_700_000_000 + 120 }],
    ["of another type", { typ: "jwt" }],
    ["with a key that did not sign it", {
      jwk: { kty: "EC", crv: "P-256", x: "x".repeat(43), y: "y".repeat(43) }
    }],
    ["with a shared key", { jwk: { kty: "oct", k: "AAAA" } }],
    ["with a private key in it", { jwk: { kty: "EC", crv: "P-256", x: "x", y: "y", d: "d" } }]
  ]
  for (const [name, changes] of bad) {
    it.effect(`${name}: invalid_dpop_proof, and the code is still good`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_700_000_000_000)
        const key = yield* Prover.make
        const { code } = yield* authorize()
        const refused = yield* redeem(code, {}, yield* forToken(key, changes))
        assert.deepStrictEqual([refused.status, refused.body["error"]], [400, "invalid_dpop_proof"])
        assert.strictEqual((yield* redeem(code, {}, yield* forToken(key))).status, 200)
      }).pipe(Effect.provide(Idp.layer())))
  }

  it.effect("are judged by the server's clock, and the query of the address doesn't count", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const key = yield* Prover.make
      const iat = 1_700_000_000 + 600
      assert.strictEqual((yield* logIn(key, { iat, htu: `${endpoint}?a=b#c` })).status, 200)
      assert.strictEqual((yield* logIn(key)).body["error"], "invalid_dpop_proof")
    }).pipe(Effect.provide(Idp.layer({ skew: { ahead: "10 minutes" } }))))

  it.effect("count once", () =>
    Effect.gen(function*() {
      const key = yield* Prover.make
      const { body } = yield* logIn(key, { jti: "one" })
      assert.strictEqual((yield* logIn(key, { jti: "one" })).body["error"], "invalid_dpop_proof")
      assert.strictEqual((yield* logIn(yield* Prover.make, { jti: "one" })).status, 200)
      assert.strictEqual((yield* see(key, body["access_token"], { jti: "two" })).status, 200)
      assert.strictEqual((yield* see(key, body["access_token"], { jti: "two" })).status, 401)
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("are a must where the provider or the client says so", () =>
    Effect.gen(function*() {
      const { code } = yield* authorize()
      assert.strictEqual((yield* redeem(code)).body["error"], "invalid_dpop_proof")
      assert.strictEqual((yield* redeem(code, {}, yield* forToken(yield* Prover.make))).status, 200)
    }).pipe(Effect.provide(Idp.layer({ clients: [{ id: "app", requireDpop: true }] }))))

  it.effect("a code can be bound to a key, by a field or by the proof of a pushed request", () =>
    Effect.gen(function*() {
      const key = yield* Prover.make
      const other = yield* Prover.make
      const { code } = yield* authorize({ dpop_jkt: key.thumbprint })
      assert.strictEqual((yield* redeem(code)).body["error"], "invalid_grant")
      assert.strictEqual((yield* redeem(code, {}, yield* forToken(other))).body["error"], "invalid_grant")
      assert.strictEqual((yield* redeem(code, {}, yield* forToken(key))).status, 200)

      const htu = `${issuer}/par`
      const refused = yield* push({ dpop_jkt: other.thumbprint }, yield* forToken(key, { htu }))
      assert.strictEqual(refused.body["error"], "invalid_dpop_proof")
      const { body } = yield* push({}, yield* forToken(key, { htu }))
      const pushed = yield* authorize({ request_uri: String(body["request_uri"]) })
      assert.strictEqual((yield* redeem(pushed.code)).body["error"], "invalid_grant")
      assert.strictEqual((yield* redeem(pushed.code, {}, yield* forToken(key))).status, 200)
    }).pipe(Effect.provide(Idp.layer())))

  describe("at a resource", () => {
    const cases: ReadonlyArray<readonly [string, Prover.Changes, string, string]> = [
      ["as a bearer token", {}, "Bearer", "invalid_token"],
      ["with a proof of no token", { access: undefined }, "DPoP", "invalid_dpop_proof"],
      ["with a proof of another token", { access: "x" }, "DPoP", "invalid_dpop_proof"],
      ["with a proof for another method", { htm: "POST" }, "DPoP", "invalid_dpop_proof"]
    ]
    for (const [name, changes, scheme, error] of cases) {
      it.effect(`a bound token ${name}: ${error}`, () =>
        Effect.gen(function*() {
          const key = yield* Prover.make
          const { body } = yield* logIn(key)
          const refused = yield* see(key, body["access_token"], changes, scheme)
          assert.strictEqual(refused.status, 401)
          assert.include(refused.headers["www-authenticate"] ?? "", `error="${error}"`)
        }).pipe(Effect.provide(Idp.layer())))
    }

    it.effect("with another key, or without a proof; a free token with one", () =>
      Effect.gen(function*() {
        const key = yield* Prover.make
        const { body } = yield* logIn(key)
        assert.strictEqual((yield* see(yield* Prover.make, body["access_token"])).status, 401)
        const authorization = `DPoP ${String(body["access_token"])}`
        const bare = yield* get(`${issuer}/resource`, { authorization })
        assert.match(bare.headers["www-authenticate"] ?? "", /^DPoP .*algs="ES256/)
        const free = yield* redeem((yield* authorize()).code)
        assert.strictEqual((yield* see(key, free.body["access_token"])).status, 401)
      }).pipe(Effect.provide(Idp.layer())))
  })

  describe("nonces", () => {
    const nonceOf = ({ headers }: { readonly headers: Readonly<Record<string, string | undefined>> }) =>
      headers["dpop-nonce"]

    it.effect("are demanded before anything is spent, and told anew with each answer", () =>
      Effect.gen(function*() {
        const key = yield* Prover.make
        const { code } = yield* authorize()
        const asked = yield* redeem(code, {}, yield* forToken(key))
        assert.deepStrictEqual([asked.status, asked.body["error"]], [400, "use_dpop_nonce"])
        const nonce = nonceOf(asked)
        const first = yield* redeem(code, {}, yield* forToken(key, { nonce }))
        assert.deepStrictEqual([first.status, nonceOf(first)], [200, nonce])
        const value = first.body["refresh_token"]
        yield* (yield* VirtualIdentityProvider).rotateNonces
        const late = yield* refresh(value, {}, yield* forToken(key, { nonce }))
        assert.strictEqual(late.body["error"], "use_dpop_nonce")
        assert.notStrictEqual(nonceOf(late), nonce)
        assert.strictEqual(yield* redemptions, 0)
        const renewed = yield* refresh(value, {}, yield* forToken(key, { nonce: nonceOf(late) }))
        assert.strictEqual(renewed.status, 200)
        const refused = yield* see(key, renewed.body["access_token"])
        assert.deepInclude(refused, { status: 401 })
        assert.include(refused.headers["www-authenticate"] ?? "", "error=\"use_dpop_nonce\"")
        const seen = yield* see(key, renewed.body["access_token"], { nonce: nonceOf(refused) })
        assert.strictEqual(seen.status, 200)
      }).pipe(Effect.provide(Idp.layer({ dpop: { nonces: true } }))))

    it.effect("live for their time, and the next one is told in the second half of it", () =>
      Effect.gen(function*() {
        const key = yield* Prover.make
        const first = nonceOf(yield* logIn(key))
        const ask = (nonce: string | undefined) => logIn(key, { nonce })
        yield* TestClock.adjust("29999 millis")
        assert.strictEqual(nonceOf(yield* ask(first)), first)
        yield* TestClock.adjust("1 millis")
        const got = yield* ask(first)
        assert.strictEqual(got.status, 200)
        const second = nonceOf(got)
        assert.notStrictEqual(second, first)
        yield* TestClock.adjust("29999 millis")
        assert.strictEqual((yield* ask(first)).status, 200)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* ask(first)).body["error"], "use_dpop_nonce")
        assert.strictEqual((yield* ask(second)).status, 200)
      }).pipe(Effect.provide(Idp.layer({ dpop: { nonces: true, nonceLifetime: "1 minute" } }))))

    it.effect("a dropped reply loses the tokens but not the nonce", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const key = yield* Prover.make
        const nonce = nonceOf(yield* logIn(key))
        const { body } = yield* logIn(key, { nonce })
        yield* idp.inject(Fault.droppedReply, { grantType: "refresh_token", times: 1 })
        const renew = Effect.flatMap(forToken(key, { nonce }), (proof) =>
          refresh(body["refresh_token"], {}, proof))
        assert.strictEqual((yield* Effect.exit(renew))._tag, "Failure")
        assert.strictEqual((yield* renew).status, 200)
        assert.strictEqual(yield* redemptions, 1)
      }).pipe(Effect.provide(Idp.layer({ dpop: { nonces: true }, reuseGrace: "10 seconds" }))))
  })

  it.effect("introspection names the key", () =>
    Effect.gen(function*() {
      const key = yield* Prover.make
      const { body } = yield* logIn(key)
      const told = yield* post(
        `${issuer}/introspection`,
        { token: String(body["access_token"]) },
        basic("service", "service-secret")
      )
      assert.deepInclude(told.body, { active: true, token_type: "DPoP", cnf: { jkt: key.thumbprint } })
    }).pipe(Effect.provide(Idp.layer())))
})

import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { bound, proofsIn } from "./dpopKit.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const idp = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token?tenant=1"
})

describe("renewals", () => {
  const held = (proofKey: Redacted.Redacted<string> | undefined): Grant.Grant =>
    Grant.make({
      token: Token.make({ value: Redacted.make("old"), type: "DPoP", proofKey }),
      refreshToken: Redacted.make("refresh-0")
    })

  const renewing = (handler: Handler, options: Partial<RefreshToken.Options> = {}) =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const redeem = yield* Effect.provide(
        Effect.flatMap(idp, (server) => RefreshToken.make({ server, client: { id: "app" }, ...options })),
        serve(handler, calls)
      )
      const redemptions = () => calls.filter(({ form }) => form.get("refresh_token") === "refresh-0")
      return { calls, redeem, redemptions }
    })

  it.effect("prove the grant's own key, whatever the options say, and keep it", () =>
    Effect.gen(function*() {
      const [own, other] = [yield* Dpop.generate(), yield* Dpop.generate()]
      for (const dpop of [undefined, false, true, other]) {
        const { calls, redeem } = yield* renewing(inTurn(bound({ refresh_token: "refresh-1" })), { dpop })
        const renewed = yield* redeem(held(own))
        assert.strictEqual(renewed.token.proofKey, own)
        const jkt = yield* Dpop.thumbprint(own)
        assert.deepStrictEqual((yield* proofsIn(calls)).map((proof) => proof.jkt), calls.map(() => jkt))
      }
    }))

  it.effect("bind a grant from now on that is not yet, where that is wanted", () =>
    Effect.gen(function*() {
      const given = yield* Dpop.generate()
      const { redeem } = yield* renewing(inTurn(bound()), { dpop: given })
      assert.strictEqual((yield* redeem(held(undefined))).token.proofKey, given)
      const fresh = yield* renewing(inTurn(bound()), { dpop: true })
      const renewed = yield* fresh.redeem(held(undefined))
      const [proof] = yield* proofsIn(fresh.redemptions())
      assert.strictEqual(
        proof?.jkt,
        yield* Dpop.thumbprint(renewed.token.proofKey ?? Redacted.make(""))
      )
    }))

  it.effect("leave a grant without a key alone where nothing is wanted", () =>
    Effect.gen(function*() {
      const { calls, redeem } = yield* renewing(inTurn(json({ access_token: "a", token_type: "Bearer" })))
      assert.isUndefined((yield* redeem(held(undefined))).token.proofKey)
      assert.deepStrictEqual(calls.map(({ headers }) => headers["dpop"]), [undefined])
    }))

  it.effect("never lose a new refresh token or its key to a token that is not bound", () =>
    Effect.gen(function*() {
      const key = yield* Dpop.generate()
      const answer = { access_token: "loose", token_type: "Bearer" }
      const rotating = yield* renewing(inTurn(json({ ...answer, refresh_token: "refresh-1" })))
      const renewed = yield* rotating.redeem(held(key))
      assert.strictEqual(Redacted.value(renewed.token.value), "loose")
      assert.strictEqual(renewed.token.type, "Bearer")
      assert.deepStrictEqual(renewed.refreshToken, Redacted.make("refresh-1"))
      assert.strictEqual(renewed.token.proofKey, key)
      const keeping = yield* renewing(inTurn(json(answer)))
      expect(yield* Effect.flip(keeping.redeem(held(key)))).toMatchObject({ reason: "UnsupportedGrant" })
    }))

  it.effect("don't go on and on where the server stops binding, and no request carries the loose token", () =>
    Effect.gen(function*() {
      let count = 0
      const { calls, redeem } = yield* renewing(
        () => Effect.sync(() => json({ access_token: "loose", refresh_token: `refresh-${++count}` })()),
        { dpop: true }
      )
      const token = Token.make({ value: Redacted.make("old"), expiresAt: 0 })
      yield* Persisted.save("login", Grant.make({ token, refreshToken: Redacted.make("refresh-0") }))
      const source = yield* Persisted.make({ key: "login", redeem })
      const asked: Array<Call> = []
      const request = Effect.flatMap(
        HttpClient.HttpClient,
        (client) => HttpAuth.dpop(source, { origins: "https://api.test" })(client).get("https://api.test/")
      ).pipe(
        Effect.provide(serve(inTurn(json({})), asked))
      )
      for (let round = 0; round < 3; round++) {
        const error = yield* Effect.flip(request)
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
      }
      assert.strictEqual(calls.filter(({ form }) => form.get("refresh_token") === "refresh-0").length, 1)
      assert.strictEqual(calls.length, 2)
      assert.strictEqual(asked.length, 0)
    }).pipe(Effect.provide(MemoryVault.layer)))

  it.effect("keep a new key with a new refresh token that came without a usable access token", () =>
    Effect.gen(function*() {
      const key = yield* Dpop.generate()
      const { redeem } = yield* renewing(inTurn(json({ refresh_token: "refresh-1" })), { dpop: key })
      const renewed = yield* redeem(held(undefined))
      assert.deepStrictEqual(renewed.refreshToken, Redacted.make("refresh-1"))
      assert.strictEqual(renewed.token.proofKey, key)
    }))

  it.effect("a key that is broken spends nothing", () =>
    Effect.gen(function*() {
      const { calls, redeem } = yield* renewing(inTurn(bound()))
      expect(yield* Effect.flip(redeem(held(Redacted.make("{}"))))).toMatchObject({ reason: "InvalidKey" })
      assert.strictEqual(calls.length, 0)
    }))

  it("a renewal by somebody else that tells no key doesn't take it away", () => {
    const key = Redacted.make("{}")
    const renewed = Grant.make({ token: Token.make({ value: Redacted.make("new"), scopes: ["a"] }) })
    expect(Grant.renew(held(key), renewed).token.proofKey).toBe(key)
    expect(Grant.renew(held(undefined), renewed).token.proofKey).toBeUndefined()
  })
})

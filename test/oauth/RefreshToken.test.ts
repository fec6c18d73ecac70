import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as OidcProvider from "../support/OidcProvider.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call } from "./kit.js"

const explicit = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token"
})

const held = (refreshToken: string | undefined, extra: Partial<Grant.Options> = {}): Grant.Grant =>
  Grant.make({
    token: Token.make({ value: Redacted.make("old-access"), scopes: ["a", "b"] }),
    refreshToken: refreshToken === undefined ? undefined : Redacted.make(refreshToken),
    ...extra
  })

const reveal = (secret: Redacted.Redacted<string> | undefined): string | undefined =>
  secret === undefined ? undefined : Redacted.value(secret)

describe("with a real provider, which rotates", () => {
  const setup = Effect.gen(function*() {
    const idp = yield* OidcProvider.make()
    const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
    const options = { server, client: { id: "device" } }
    const device = yield* DeviceCode.make({ ...options, scopes: ["openid", "offline_access", "read"] })
    const authorization = yield* device.authorize
    yield* idp.approve(authorization.verificationUriComplete ?? "")
    const polling = yield* Effect.fork(device.poll(authorization))
    yield* TestClock.adjust("5 seconds")
    const redeem = yield* RefreshToken.make(options)
    return { grant: yield* Fiber.join(polling), idp, redeem }
  })

  it.scoped("each renewal gives a new access token and a new refresh token", () =>
    Effect.gen(function*() {
      const { grant, redeem } = yield* setup
      const first = yield* redeem(grant)
      const second = yield* redeem(first)
      const secrets = [grant, first, second].flatMap((
        one
      ) => [Redacted.value(one.token.value), reveal(one.refreshToken)])
      assert.strictEqual(new Set(secrets).size, 6)
      assert.isFalse(secrets.includes(undefined))
      assert.deepStrictEqual(second.token.scopes, ["openid", "offline_access", "read"])
      // The provider's clock is the machine's, ours began at 0: the ID token holds by the learnt offset only.
      assert.isDefined(second.idToken)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scoped("a refresh token that was used already needs a login, and so does its successor then", () =>
    Effect.gen(function*() {
      const { grant, redeem } = yield* setup
      const next = yield* redeem(grant)
      for (const dead of [grant, next]) {
        const error = yield* Effect.flip(redeem(dead))
        assert.strictEqual(error._tag, "ReauthRequired")
        assert.strictEqual(error.reason, "GrantRejected")
      }
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

describe("what is sent", () => {
  const sent = (options: Partial<RefreshToken.Options>, grant: Grant.Grant) => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const redeem = yield* RefreshToken.make({ server: yield* explicit, client: { id: "app" }, ...options })
      yield* redeem(grant)
      return Object.fromEntries(
        [...calls[0]?.form.keys() ?? []].map((name) => [name, calls[0]?.form.getAll(name)])
      )
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "new" })), calls)))
  }
  const standard = { grant_type: ["refresh_token"], refresh_token: ["r1"], client_id: ["app"] }

  it.effect("no scope unless one is asked for", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* sent({}, held("r1")), standard)
    }))

  const scopes: ReadonlyArray<
    readonly [string, ReadonlyArray<string>, ReadonlyArray<string>, string | undefined]
  > = [
    ["narrower", ["a"], ["a", "b"], "a"],
    ["wider", ["a", "b", "admin"], ["a", "b"], "a b"],
    ["altogether different", ["admin"], ["a", "b"], undefined],
    ["unknown what is granted", ["a"], [], undefined],
    ["empty", [], ["a"], undefined]
  ]
  for (const [name, asked, granted, expected] of scopes) {
    it.effect(`scopes: ${name}`, () =>
      Effect.gen(function*() {
        const token = Token.make({ value: Redacted.make("old"), scopes: granted })
        const fields = yield* sent({ scopes: asked }, held("r1", { token }))
        assert.deepStrictEqual(fields["scope"], expected === undefined ? undefined : [expected])
      }))
  }

  it.effect("the scope never widens, whatever is asked for and granted", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(FastCheck.array(scope), FastCheck.array(scope), async (asked, granted) => {
          const token = Token.make({ value: Redacted.make("old"), scopes: granted })
          const fields = await Effect.runPromise(sent({ scopes: asked }, held("r1", { token })))
          const all = (fields["scope"]?.[0] ?? "").split(" ").filter((one) => one !== "")
          assert.isTrue(all.every((one) => granted.includes(one) && asked.includes(one)))
        }),
        { numRuns: 50 }
      )
    ))
  const scope = FastCheck.constantFrom("a", "b", "c", "d")

  it.effect("the resource that the grant was asked for is said again; options win", () =>
    Effect.gen(function*() {
      const grant = held("r1", { extra: { resource: "https://one.test https://two.test" } })
      const remembered = yield* sent({}, grant)
      assert.deepStrictEqual(remembered["resource"], ["https://one.test", "https://two.test"])
      const given = yield* sent({ resource: "https://three.test", audience: "x" }, grant)
      assert.deepStrictEqual([given["resource"], given["audience"]], [["https://three.test"], ["x"]])
    }))

  it.effect("parameters can't replace the refresh token", () =>
    Effect.gen(function*() {
      const fields = yield* sent(
        { parameters: { refresh_token: "other", grant_type: "x", tenant: "t" } },
        held("r1")
      )
      assert.deepStrictEqual(fields, { ...standard, tenant: ["t"] })
    }))

  it.effect("nothing without a refresh token", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const redeem = yield* RefreshToken.make({ server: yield* explicit, client: { id: "app" } })
      for (const grant of [held(undefined), held("")]) {
        const error = yield* Effect.flip(redeem(grant))
        assert.strictEqual(error._tag, "ReauthRequired")
        assert.strictEqual(error.reason, "NoRefreshToken")
      }
      assert.deepStrictEqual(calls, [])
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "new" })), calls)))
  })
})

describe("what is held afterwards", () => {
  const renewed = (body: unknown, grant: Grant.Grant, options: Partial<RefreshToken.Options> = {}) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const redeem = yield* RefreshToken.make({ server: yield* explicit, client: { id: "app" }, ...options })
      return yield* redeem(grant)
    }).pipe(Effect.provide(serve(inTurn(json(body)))))

  const refreshTokens: ReadonlyArray<readonly [string, unknown, string]> = [
    ["omitted", undefined, "r1"],
    ["null", null, "r1"],
    ["empty", "", "r1"],
    ["a number", 7, "r1"],
    ["with control characters", "r2\n", "r1"],
    ["rotated", "r2", "r2"]
  ]
  for (const [name, refresh_token, expected] of refreshTokens) {
    it.effect(`a refresh token that is ${name}`, () =>
      Effect.gen(function*() {
        const grant = yield* renewed({ access_token: "new", refresh_token }, held("r1"))
        assert.strictEqual(reveal(grant.refreshToken), expected)
        assert.strictEqual(reveal(grant.token.value), "new")
        assert.deepStrictEqual(grant.token.scopes, ["a", "b"])
      }))
  }

  const refreshExpiries: ReadonlyArray<readonly [string, Record<string, unknown>, number | undefined]> = [
    ["refresh_token_expires_in", { refresh_token_expires_in: 60 }, 1_060_000],
    ["refresh_expires_in as text", { refresh_expires_in: "60" }, 1_060_000],
    ["0, which means never to some", { refresh_expires_in: 0 }, undefined],
    ["nonsense", { refresh_expires_in: "soon" }, undefined],
    [
      "nonsense in one, sense in the other",
      { refresh_token_expires_in: -1, refresh_expires_in: 60 },
      1_060_000
    ],
    ["nothing", {}, undefined]
  ]
  for (const [name, fields, expected] of refreshExpiries) {
    it.effect(`the end of the refresh token: ${name}`, () =>
      Effect.gen(function*() {
        const grant = yield* renewed({ access_token: "new", refresh_token: "r2", ...fields }, held("r1"))
        assert.strictEqual(grant.refreshExpiresAt, expected)
      }))
  }

  it.effect("extra fields that are named, of text, and not endless", () =>
    Effect.gen(function*() {
      const grant = yield* renewed(
        {
          access_token: "new",
          resource_url: "portal.test",
          session_key: "hush",
          count: 3,
          long: "x".repeat(3_000)
        },
        held("r1", { extra: { kept: "yes" } }),
        { keep: ["resource_url", "count", "long", "absent"] }
      )
      assert.deepStrictEqual(grant.extra, { kept: "yes", resource_url: "portal.test" })
    }))

  it.effect("an ID token that does not hold is left out rather than losing the grant", () =>
    Effect.gen(function*() {
      for (const id_token of ["nonsense", "a.b.c", "", 5, null]) {
        const grant = yield* renewed(
          { access_token: "new", refresh_token: "r2", id_token },
          held("r1", { idToken: Redacted.make("old-id-token") })
        )
        assert.strictEqual(reveal(grant.refreshToken), "r2")
        assert.strictEqual(reveal(grant.idToken), "old-id-token")
      }
    }))

  it.effect("scopes as text, as a list, or nonsense", () =>
    Effect.gen(function*() {
      const scopes = yield* Effect.forEach(
        ["x  y", ["x", 5, "y"], "", [], null, 7],
        (scope) =>
          Effect.map(renewed({ access_token: "new", scope }, held("r1")), (grant) => grant.token.scopes)
      )
      const [text, list, ...rest] = scopes
      assert.deepStrictEqual([text, list], [["x", "y"], ["x", "y"]])
      rest.forEach((kept) => assert.deepStrictEqual(kept, ["a", "b"]))
    }))
})

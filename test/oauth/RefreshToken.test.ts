import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
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
    // Our clock is hours ahead: by itself, no ID token would still hold.
    yield* TestClock.setTime(new Date().getTime() + 20 * 3_600_000)
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
          const none: Record<string, ReadonlyArray<string>> = {}
          const fields = await Effect.runPromise(
            Effect.orElseSucceed(sent({ scopes: asked }, held("r1", { token })), () => none)
          )
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

  it.effect("further parameters", () =>
    Effect.gen(function*() {
      const fields = yield* sent({ parameters: { tenant: "t" } }, held("r1"))
      assert.deepStrictEqual(fields, { ...standard, tenant: ["t"] })
    }))

  const reserved = [
    "grant_type",
    "scope",
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "refresh_token",
    "device_code",
    "code_verifier",
    "resource",
    "audience"
  ]
  for (const name of reserved) {
    it.effect(`no ${name} among the parameters`, () =>
      Effect.gen(function*() {
        const parameters = { tenant: "t", [name]: "other" }
        const options = { server: yield* explicit, client: { id: "app" }, parameters }
        const error = yield* Effect.flip(RefreshToken.make(options))
        assert.strictEqual(error.reason, "InvalidOption")
        assert.include(error.message, name)
      }).pipe(Effect.provide(serve(inTurn(json({}))))))
  }

  it.effect("nothing where none of the scopes was granted", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const options = { server: yield* explicit, client: { id: "app" }, scopes: ["admin"] }
      const redeem = yield* RefreshToken.make(options)
      const error = yield* Effect.flip(redeem(held("r1")))
      assert.deepStrictEqual([error._tag, error.reason], ["RequestRejected", "InvalidScope"])
      assert.deepStrictEqual(calls, [])
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "new" })), calls)))
  })

  const slowly = (metadata: Duration.DurationInput) =>
    Effect.gen(function*() {
      const made = yield* explicit
      const server = { ...made, metadata: Effect.delay(made.metadata, metadata) }
      const redeem = yield* RefreshToken.make({ server, client: { id: "app" } })
      const fiber = yield* Effect.fork(Effect.either(redeem(held("r1"))))
      yield* TestClock.adjust("50 seconds")
      return yield* Fiber.join(fiber)
    })
  const answering = (after: Duration.DurationInput, calls: Array<Call> = []) =>
    serve(() => Effect.delay(Effect.sync(json({ access_token: "new" })), after), calls)

  it.effect("a refresh may take 30 seconds, after nearly 20 for the metadata", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* slowly("19 seconds"))._tag, "Right")
    }).pipe(Effect.provide(answering("29 seconds"))))

  it.effect("but no more than 50 seconds altogether", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        Either.getLeft(yield* slowly("19 seconds")).pipe(Option.getOrThrow).reason,
        "Timeout"
      )
    }).pipe(Effect.provide(answering("31 seconds"))))

  it.effect("nothing is spent where the metadata does not come in time", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      assert.strictEqual(
        Either.getLeft(yield* slowly("21 seconds")).pipe(Option.getOrThrow).reason,
        "Network"
      )
      assert.deepStrictEqual(calls, [])
    }).pipe(Effect.provide(answering(0, calls)))
  })

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
    ["a number", 7, "7"],
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

  const granting = (...scopes: ReadonlyArray<string>) =>
    held("r1", { token: Token.make({ value: Redacted.make("old"), scopes }) })

  it.effect("scopes as text, as a list, or nonsense", () =>
    Effect.gen(function*() {
      const scopes = yield* Effect.forEach(
        ["x  y", ["x", 5, "y"], "", [], null, 7],
        (scope) =>
          Effect.map(renewed({ access_token: "new", scope }, granting()), (grant) => grant.token.scopes)
      )
      assert.deepStrictEqual(scopes, [["x", "y"], ["x", "y"], [], [], [], []])
      const kept = yield* renewed({ access_token: "new", scope: null }, granting("a", "b"))
      assert.deepStrictEqual(kept.token.scopes, ["a", "b"])
    }))

  const widenings: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["a admin", ["a"]],
    ["a b admin", ["a", "b"]],
    ["admin", ["a", "b"]]
  ]
  for (const [scope, expected] of widenings) {
    it.effect(`an answer with "${scope}" is stored without what was not granted`, () =>
      Effect.gen(function*() {
        const grant = yield* renewed({ access_token: "new", scope }, granting("a", "b"))
        assert.deepStrictEqual(grant.token.scopes, expected)
      }))
  }

  const narrowings: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
    ["says so", { scope: "a" }],
    ["omits it", {}]
  ]
  for (const [name, fields] of narrowings) {
    it.effect(`asking for less is not for good, where the answer ${name}`, () =>
      Effect.gen(function*() {
        const body = { access_token: "new", ...fields }
        const narrow = yield* renewed(body, granting("a", "b"), { scopes: ["a"] })
        assert.deepStrictEqual(narrow.token.scopes, ["a"])
        const calls: Array<Call> = []
        const redeem = yield* Effect.provide(
          RefreshToken.make({ server: yield* explicit, client: { id: "app" }, scopes: ["b"] }),
          serve(inTurn(json({ access_token: "newer" })), calls)
        )
        const other = yield* redeem(narrow)
        assert.strictEqual(calls[0]?.form.get("scope"), "b")
        assert.deepStrictEqual(other.token.scopes, ["b"])
        const whole = yield* renewed({ access_token: "whole" }, other)
        assert.deepStrictEqual(whole.token.scopes, ["a", "b"])
      }))
  }

  it.effect("what the server takes away itself is asked for no more", () =>
    Effect.gen(function*() {
      const body = { access_token: "new", scope: "a" }
      const left = yield* renewed(body, granting("a", "b"))
      assert.deepStrictEqual([left.token.scopes, left.extra], [["a"], {}])
      const asked = yield* renewed(body, granting("a", "b", "c"), { scopes: ["a", "b"] })
      assert.deepStrictEqual([asked.token.scopes, asked.extra], [["a"], { granted_scope: "a c" }])
    }))
})

import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Fault from "effect-credentials/testing/Fault"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import * as Token from "effect-credentials/Token"
import * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { inTurn, json, serve, text } from "../oauth/kit.js"
import type { Handler } from "../oauth/kit.js"

const grant = Grant.make({
  token: Token.make({ value: Redacted.make("old") }),
  refreshToken: Redacted.make("r1")
})

const redeem = (handler: Handler, auth?: Client.ClientAuth) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(1_000_000)
    const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
    const redeem = yield* RefreshToken.make({ server, client: { id: "app", auth } })
    const fiber = yield* Effect.fork(Effect.flip(redeem(grant)))
    yield* TestClock.adjust("30 seconds")
    return yield* Fiber.join(fiber)
  }).pipe(Effect.provide(serve(handler)))

const answer = (make: () => Response | "dropped"): Handler => inTurn(make)

/** What happens, and what it is taken for. */
const passing: ReadonlyArray<readonly [string, Handler, string]> = [
  ["no network", answer(() => "dropped"), "ReplyLost"],
  ["no answer", () => Effect.never, "Timeout"],
  ["status 500", answer(text("", { status: 500 })), "ServerError"],
  ["status 502 with a page", answer(text("<html>", { status: 502 })), "ServerError"],
  [
    "status 503 that says invalid_grant",
    answer(json({ error: "invalid_grant" }, { status: 503 })),
    "ServerError"
  ],
  ["status 429", answer(text("", { status: 429 })), "RateLimited"],
  ["status 400 with nothing", answer(text("", { status: 400 })), "MalformedAnswer"],
  ["status 401 with nothing", answer(text("", { status: 401 })), "MalformedAnswer"],
  ["status 403 with a page", answer(text("<html>invalid_grant", { status: 403 })), "MalformedAnswer"],
  [
    "status 404 with JSON of another kind",
    answer(json({ message: "invalid_grant" }, { status: 404 })),
    "MalformedAnswer"
  ],
  ["an error that is a list", answer(json({ error: ["invalid_grant"] }, { status: 400 })), "MalformedAnswer"],
  ["a page with status 200", answer(text("<html>")), "MalformedAnswer"],
  ["nothing with status 200", answer(text("")), "MalformedAnswer"],
  ["nothing with status 204", answer(() => new Response(null, { status: 204 })), "MalformedAnswer"],
  [
    "a redirect",
    answer(text("", { status: 307, headers: { location: "https://x.test" } })),
    "MalformedAnswer"
  ],
  ["server_error", answer(json({ error: "server_error" }, { status: 400 })), "ServerError"]
]

describe("F12 does not log out:", () => {
  for (const [name, handler, reason] of passing) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const error = yield* redeem(handler)
        assert.deepStrictEqual([error._tag, error.reason], ["TransientFailure", reason])
      }))
  }

  const misconfigured: ReadonlyArray<readonly [string, string]> = [
    ["invalid_client", "InvalidClient"],
    ["unauthorized_client", "UnsupportedGrant"],
    ["unsupported_grant_type", "UnsupportedGrant"]
  ]
  for (const [code, reason] of misconfigured) {
    it.effect(`${code}, which is about the client`, () =>
      Effect.gen(function*() {
        const error = yield* redeem(answer(json({ error: code }, { status: 401 })))
        assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", reason])
      }))
  }

  const secret = Redacted.make("s")
  const bare: ReadonlyArray<readonly [number, Client.ClientAuth | undefined, string]> = [
    [401, Client.basic(secret), "InvalidClient"],
    [401, Client.post(secret), "InvalidClient"],
    [401, Client.none, "MalformedAnswer"],
    [400, Client.basic(secret), "MalformedAnswer"],
    [403, Client.basic(secret), "MalformedAnswer"]
  ]
  for (const [status, auth, reason] of bare) {
    it.effect(`a bare ${status} to a client with ${auth?._tag} is ${reason}`, () =>
      Effect.gen(function*() {
        const error = yield* redeem(answer(text("", { status })), auth)
        assert.strictEqual(error.reason, reason)
      }))
  }

  const rejected: ReadonlyArray<readonly [string, string]> = [
    ["invalid_scope", "InvalidScope"],
    ["invalid_target", "InvalidTarget"],
    ["invalid_request", "InvalidRequest"],
    ["x-custom error!", "InvalidRequest"]
  ]
  for (const [code, reason] of rejected) {
    it.effect(`${code}, which is about the request`, () =>
      Effect.gen(function*() {
        const error = yield* redeem(answer(json({ error: code }, { status: 400 })))
        assert.deepStrictEqual([error._tag, error.reason], ["RequestRejected", reason])
      }))
  }
})

describe("F12 only a definitive rejection of the grant does:", () => {
  const definitive: ReadonlyArray<readonly [string, Handler]> = [
    ["invalid_grant", answer(json({ error: "invalid_grant" }, { status: 400 }))],
    ["invalid_grant with status 401", answer(json({ error: "invalid_grant" }, { status: 401 }))],
    ["invalid_grant with status 200", answer(json({ error: "invalid_grant" }))],
    ["invalid_grant and no content type", answer(text(`{"error":"invalid_grant"}`, { status: 400 }))],
    [
      "a wrapped code",
      answer(json({ error: { code: "refresh_token_reused", message: "x" } }, { status: 401 }))
    ],
    ["interaction_required", answer(json({ error: "interaction_required" }, { status: 400 }))]
  ]
  for (const [name, handler] of definitive) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const error = yield* redeem(handler)
        assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "GrantRejected"])
      }))
  }
})

describe("F12 the answer says when another try is worth it", () => {
  const at = (millis: number) => new Date(millis).toUTCString()
  const cases: ReadonlyArray<readonly [string, Record<string, string>, number | undefined]> = [
    ["seconds", { "retry-after": "30" }, 1_030_000],
    ["zero", { "retry-after": "0" }, 1_000_000],
    ["more than an hour", { "retry-after": "86400" }, 4_600_000],
    ["endless digits", { "retry-after": "9".repeat(400) }, 4_600_000],
    ["a date by our clock", { "retry-after": at(1_060_000) }, 1_060_000],
    ["a date by the server's clock", { "retry-after": at(9_060_000), date: at(9_000_000) }, 1_060_000],
    ["a date that has passed", { "retry-after": at(0) }, 1_000_000],
    ["a far date", { "retry-after": "Fri, 31 Dec 9999 23:59:59 GMT" }, 4_600_000],
    ["negative", { "retry-after": "-5" }, undefined],
    ["nonsense", { "retry-after": "later" }, undefined],
    ["nothing", {}, undefined]
  ]
  for (const status of [429, 503]) {
    for (const [name, headers, retryAt] of cases) {
      it.effect(`${status}: ${name}`, () =>
        Effect.gen(function*() {
          const error = yield* redeem(answer(text("", { status, headers })))
          assert.strictEqual(error._tag === "TransientFailure" ? error.retryAt : error, retryAt)
        }))
    }
  }
})

describe("F12 an answer that is spoilt keeps the login:", () => {
  const renewed = (fields: Record<string, unknown>, options: Partial<RefreshToken.Options> = {}) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
      const redeem = yield* RefreshToken.make({ server, client: { id: "app" }, ...options })
      return yield* redeem(grant)
    }).pipe(Effect.provide(serve(inTurn(json({
      access_token: "new",
      token_type: "bearer",
      refresh_token: "r2",
      ...fields
    })))))

  const spoilt: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
    ["no access token", { access_token: undefined }],
    ["an access token that is null", { access_token: null }],
    ["an empty access token", { access_token: "" }],
    ["a blank access token", { access_token: "  " }],
    ["an access token with a line break", { access_token: "a\nb" }],
    ["an access token that is an object", { access_token: {} }],
    ["an endless access token", { access_token: "x".repeat(256 * 1024 + 1) }],
    ["an unknown token type", { token_type: "mac" }]
  ]
  for (const [name, fields] of spoilt) {
    it.effect(`${name}: the new refresh token is kept, with a token that has expired`, () =>
      Effect.gen(function*() {
        const { refreshToken, token } = yield* renewed({ expires_in: 60, ...fields })
        assert.strictEqual(refreshToken && Redacted.value(refreshToken), "r2")
        assert.deepStrictEqual([token.issuedAt, token.expiresAt], [1_000_000, 1_000_000])
        assert.strictEqual(Redacted.value(token.value), "")
      }))

    it.effect(`${name}: nothing is lost where nothing was rotated`, () =>
      Effect.gen(function*() {
        for (const refresh_token of [undefined, null, "", "r1"]) {
          const error = yield* Effect.flip(renewed({ ...fields, refresh_token }))
          assert.include(["MalformedAnswer", "UnsupportedGrant"], error.reason)
          assert.strictEqual(error._tag === "Misconfigured", "token_type" in fields)
        }
      }))
  }

  const numbers: ReadonlyArray<readonly [number, string | undefined]> = [
    [12345, "12345"],
    [0, "0"],
    [Number.MAX_SAFE_INTEGER, "9007199254740991"],
    [Number.MAX_SAFE_INTEGER + 1, undefined],
    [1.5, undefined]
  ]
  for (const [number, expected] of numbers) {
    it.effect(`a refresh token that is the number ${number}`, () =>
      Effect.gen(function*() {
        const found = yield* Effect.merge(renewed({ refresh_token: number }))
        const kept = "refreshToken" in found && found.refreshToken !== undefined
          ? Redacted.value(found.refreshToken)
          : undefined
        assert.strictEqual(kept, expected)
      }))
  }

  const unusable: ReadonlyArray<readonly [string, unknown]> = [
    ["an object", { token: "r2" }],
    ["a list", ["r2"]],
    ["true", true],
    ["blank", "   "],
    ["with a line break", "r2\n"],
    ["no ASCII", "r2é"],
    ["endless", "x".repeat(256 * 1024 + 1)]
  ]
  for (const [name, refresh_token] of unusable) {
    it.effect(`a refresh token that is ${name} is said to be lost`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(renewed({ refresh_token }))
        assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "Ambiguous"])
        assert.include(error.hint, "Log in again")
      }))
  }

  const kept = Array.from({ length: 200 }, (_, index) => `f${index}`)
  const endless: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
    ["2000 scopes", { scope: Array.from({ length: 2000 }, (_, index) => `s${index}`).join(" ") }],
    ["an endless scope", { scope: `a ${"x".repeat(500_000)}` }],
    ["endless extra fields", Object.fromEntries(kept.map((name) => [name, "x".repeat(3_000)]))],
    ["200 extra fields", Object.fromEntries(kept.map((name) => [name, "x".repeat(2_000)]))],
    ["an endless ID token", { id_token: "x".repeat(256 * 1024 + 1) }],
    ["lifetimes without end", { expires_in: 1e300, refresh_token_expires_in: 1e300 }]
  ]
  for (const [name, fields] of endless) {
    it.effect(`${name} can be stored`, () =>
      Effect.gen(function*() {
        const found = yield* renewed(fields, { keep: kept })
        const { grant: stored } = yield* GrantRecord.encode(GrantRecord.make(found, 0), "vault").pipe(
          Effect.flatMap((text) => GrantRecord.decode(text, "vault"))
        )
        assert.strictEqual(stored.refreshToken && Redacted.value(stored.refreshToken), "r2")
        assert.strictEqual(Redacted.value(stored.token.value), "new")
      }))
  }

  it.effect("the next renewal redeems what was rotated, and nothing is redeemed twice", () =>
    Effect.gen(function*() {
      const idp = yield* VirtualIdentityProvider.VirtualIdentityProvider
      const server = yield* AuthorizationServer.discover({ issuer: "https://idp.test" })
      const redeem = yield* RefreshToken.make({ server, client: { id: "app" } })
      const source = yield* Persisted.make({ key: "k", redeem })
      yield* Persisted.save("k", yield* idp.issue("app", ["read"]))
      yield* idp.inject(Fault.without("access_token"), { endpoint: "token", times: 1 })
      const error = yield* Effect.flip(source.request({ refresh: true }))
      assert.deepStrictEqual([error._tag, error.reason], ["TransientFailure", "MalformedAnswer"])
      const token = yield* source.get
      assert.notStrictEqual(Redacted.value(token.value), "")
      const { redemptions, reuses } = yield* idp.counts
      assert.deepStrictEqual([redemptions, reuses], [2, 0])
    }).pipe(Effect.provide(Layer.merge(VirtualIdentityProvider.layer(), MemoryVault.layer))))
})

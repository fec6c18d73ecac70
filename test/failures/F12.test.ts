import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { inTurn, json, serve, text } from "../oauth/kit.js"
import type { Handler } from "../oauth/kit.js"

const grant = Grant.make({
  token: Token.make({ value: Redacted.make("old") }),
  refreshToken: Redacted.make("r1")
})

const redeem = (handler: Handler) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(1_000_000)
    const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
    const redeem = yield* RefreshToken.make({ server, client: { id: "app" } })
    const fiber = yield* Effect.fork(Effect.flip(redeem(grant)))
    yield* TestClock.adjust("15 seconds")
    return yield* Fiber.join(fiber)
  }).pipe(Effect.provide(serve(handler)))

const answer = (make: () => Response | "dropped"): Handler => inTurn(make)

/** What happens, and what it is taken for. */
const passing: ReadonlyArray<readonly [string, Handler, string]> = [
  ["no network", answer(() => "dropped"), "Network"],
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
    ["unauthorized_client", "InvalidClient"],
    ["unsupported_grant_type", "UnsupportedGrant"]
  ]
  for (const [code, reason] of misconfigured) {
    it.effect(`${code}, which is about the client`, () =>
      Effect.gen(function*() {
        const error = yield* redeem(answer(json({ error: code }, { status: 401 })))
        assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", reason])
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

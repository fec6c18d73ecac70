/** What the dialects do with what their servers should not send. */
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import type * as Dialect from "effect-credentials/oauth/Dialect"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as Token from "effect-credentials/Token"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import type { Handler } from "../oauth/kit.js"
import { inTurn, json, serve, text } from "../oauth/kit.js"
import { failure, logIn, polls, redeemer, secret, setup, start, success } from "./kit.js"
import * as Replay from "./Replay.js"

const hour = 3_600_000
const endpoints = AuthorizationServer.make({
  tokenEndpoint: "https://idp.test/token",
  deviceAuthorizationEndpoint: "https://idp.test/device"
})

const minimax = MiniMax.provider

describe("MiniMax", () => {
  const contract = Replay.read("minimax")
  const run = Effect.fnUntraced(
    function*(script: Replay.Script, during: Duration.DurationInput = "20 minutes") {
      const scene = yield* setup(minimax, contract, script)
      return { ...yield* logIn(minimax, scene, during), scene }
    }
  )

  for (const answer of ["other_state", "no_state"]) {
    it.effect(`a start that does not give back its state: ${answer}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(run({ device: [answer] }))
        assert.deepInclude({ ...error }, { _tag: "TransientFailure", reason: "MalformedAnswer" })
        assert.include(error.message, "does not give back the state")
        assert.notInclude(error.message, "somebody else")
      }))
  }

  it.effect("each start has a state of its own", () =>
    Effect.gen(function*() {
      const scene = yield* setup(minimax, contract)
      yield* logIn(minimax, scene, "1 minute")
      yield* logIn(minimax, scene, "1 minute")
      const states = scene.replay.calls.flatMap(({ fields }) => fields["state"] ?? [])
      assert.strictEqual(new Set(states).size, 2)
      assert.isTrue(states.every((state) => state.length >= 32))
    }))

  it.effect("an answer without an interval is polled every two seconds", () =>
    Effect.gen(function*() {
      const { scene } = yield* run({ device: ["default_interval"], poll: ["pending", "unsaid", "success"] })
      assert.deepStrictEqual(polls(scene.replay), [2, 4, 6])
    }))

  it.effect("a lifetime in seconds where an instant was expected", () =>
    Effect.gen(function*() {
      const { exit } = yield* run({ poll: ["relative"] })
      assert.strictEqual(success(exit).token.expiresAt, start + 2500 + 24 * hour)
    }))

  it.effect("a refusal in the provider's own form ends the login", () =>
    Effect.gen(function*() {
      const { exit, scene } = yield* run({ poll: ["pending", "refused"] })
      assert.deepInclude({ ...failure(exit) }, { _tag: "ReauthRequired", reason: "AccessDenied" })
      assert.strictEqual(polls(scene.replay).length, 2)
    }))

  it.effect("an error that names no reason doesn't end a grant", () =>
    Effect.gen(function*() {
      const scene = yield* setup(minimax, contract, { refresh: ["error", "kept"] })
      const { exit } = yield* logIn(minimax, scene)
      const redeem = yield* redeemer(minimax, scene)
      const grant = success(exit)
      const error = yield* Effect.flip(redeem(grant))
      assert.deepInclude({ ...error }, { _tag: "RequestRejected", reason: "InvalidRequest" })
      const renewed = yield* redeem(grant)
      assert.strictEqual(secret(renewed.refreshToken), secret(grant.refreshToken))
      assert.strictEqual(renewed.token.expiresAt, (yield* Clock.currentTimeMillis) + 24 * hour)
      assert.strictEqual(renewed.extra["resource_url"], "https://api.minimax.io/anthropic")
    }))

  it("keeps its regions apart", () => {
    const china = MiniMax.make({ region: "china" })
    const hosts = (provider: typeof china) =>
      Object.values(provider.endpoints).map((address) => new URL(String(address)).host)
    assert.deepStrictEqual(new Set(hosts(china)), new Set(["api.minimaxi.com"]))
    assert.deepStrictEqual(new Set(hosts(minimax)), new Set(["api.minimax.io"]))
    assert.notStrictEqual(china.id, minimax.id)
  })
})

const startOf = (fields: Record<string, unknown> = {}) => ({
  device_code: "hush-device",
  user_code: "CODE",
  verification_uri: "https://idp.test/go",
  expires_in: 600,
  interval: 5,
  ...fields
})

/** One login in a dialect, in an hour. */
const login = (dialect: DeviceCode.Dialect, poll: Handler, fields: Record<string, unknown> = {}) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(start)
    const at: Array<number> = []
    const layer = serve((call) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (call.url.endsWith("/device")) return Effect.sync(() => Response.json(startOf(fields)))
        at.push((now - start) / 1000)
        return poll(call)
      })
    )
    const server = yield* endpoints
    const device = yield* Effect.provide(DeviceCode.make({ server, client: { id: "app" }, dialect }), layer)
    const started = yield* device.authorize
    const fiber = yield* Effect.fork(Effect.exit(device.poll(started)))
    yield* TestClock.adjust("1 hour")
    return { at, exit: yield* Fiber.join(fiber), started }
  })

const granted = json({ status: "success", access_token: "a" })

describe("an instant at which something ends", () => {
  const dialect = { expiresAt: "expired_in" }
  const tokens: ReadonlyArray<readonly [string, unknown, number]> = [
    ["in milliseconds", start + 5000 + 2 * hour, 2 * hour],
    ["in milliseconds, as text", String(start + 5000 + 2 * hour), 2 * hour],
    ["in seconds", (start + 5000 + 2 * hour) / 1000, 2 * hour],
    ["as a lifetime in seconds", 7200, 2 * hour],
    ["the last millisecond", start + 5001, 1],
    ["now", start + 5000, hour],
    ["past", start - 1, hour],
    ["long past, in seconds", 946_684_800, hour],
    ["zero", 0, hour],
    ["negative", -5, hour],
    ["null", null, hour],
    ["not a number", "soon", hour],
    ["beyond all numbers", "9".repeat(400), hour],
    ["an object", {}, hour],
    ["in ten years", start + 5000 + 10 * 365 * 24 * hour, 10 * 365 * 24 * hour],
    ["in eleven years", start + 11 * 365 * 24 * hour, hour],
    ["in microseconds", start * 1000, hour]
  ]
  for (const [name, value, lifetime] of tokens) {
    it.effect(`of a token: ${name}`, () =>
      Effect.gen(function*() {
        const { exit } = yield* login(dialect, inTurn(json({ access_token: "a", expired_in: value })))
        assert.strictEqual(success(exit).token.expiresAt, start + 5000 + lifetime)
      }))
  }

  it.effect("of a token: where the field is missing, the standard's counts", () =>
    Effect.gen(function*() {
      const { exit } = yield* login(dialect, inTurn(json({ access_token: "a", expires_in: 60 })))
      assert.strictEqual(success(exit).token.expiresAt, start + 5000 + 60_000)
    }))

  const logins: ReadonlyArray<readonly [string, unknown, number]> = [
    ["in milliseconds", start + 60_000, 60_000],
    ["past", start - 1, 600_000],
    ["not a number", "soon", 600_000],
    ["in a week", start + 7 * 24 * hour, 24 * hour]
  ]
  for (const [name, value, lifetime] of logins) {
    it.effect(`of a login: ${name}`, () =>
      Effect.gen(function*() {
        const { started } = yield* login(dialect, inTurn(granted), {
          expired_in: value,
          expires_in: undefined
        })
        assert.strictEqual(started.expiresAt, start + lifetime)
      }))
  }

  it.effect("counts on the server's clock, however wrong that is", () =>
    Effect.gen(function*() {
      const ahead = 3 * hour
      const date = (at: number) => ({ headers: { date: new Date(at + ahead).toUTCString() } })
      const { exit } = yield* login(dialect, () =>
        Effect.sync(() =>
          Response.json({ access_token: "a", expired_in: start + 5000 + ahead + hour }, date(start + 5000))
        ))
      const { expiresAt } = success(exit).token
      assert.approximately(expiresAt, start + 5000 + hour, 500)
    }))
})

describe("an interval", () => {
  const intervals: ReadonlyArray<readonly [string, DeviceCode.Dialect, unknown, number]> = [
    ["in milliseconds", { intervalUnit: "milliseconds" }, 2500, 2.5],
    ["in milliseconds, too short", { intervalUnit: "milliseconds" }, 2, 1],
    ["in milliseconds, absurd", { intervalUnit: "milliseconds" }, 1e12, 300],
    ["in milliseconds, text", { intervalUnit: "milliseconds" }, "3000", 3],
    ["missing", { intervalUnit: "milliseconds" }, undefined, 5],
    ["missing, with a default", { intervalUnit: "milliseconds", defaultInterval: "2 seconds" }, undefined, 2],
    ["negative, with a default", { defaultInterval: "2 seconds" }, -1, 2],
    ["a default that is absurd", { defaultInterval: "2 hours" }, null, 300],
    ["a default of nothing", { defaultInterval: 0 }, "x", 1]
  ]
  for (const [name, dialect, interval, seconds] of intervals) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { started } = yield* login(dialect, inTurn(granted), { interval })
        assert.strictEqual(Duration.toSeconds(started.interval), seconds)
      }))
  }

  const named: ReadonlyArray<readonly [string, unknown, number]> = [
    ["longer", 30, 30],
    ["text", "30", 30],
    ["shorter than it has to become", 7, 10],
    ["zero", 0, 10],
    ["negative", -30, 10],
    ["a list", [30], 10],
    ["absurd", 1e9, 10],
    ["years", 5e6, 300],
    ["missing", undefined, 10]
  ]
  for (const [name, interval, seconds] of named) {
    it.effect(`that slow_down names: ${name}`, () =>
      Effect.gen(function*() {
        const slower = json({ error: "slow_down", interval }, { status: 400 })
        const { at } = yield* login({}, inTurn(slower, granted))
        assert.deepStrictEqual(at, [5, 5 + seconds])
      }))
  }

  it.effect("slow_down five times adds up, with the names of intervals between", () =>
    Effect.gen(function*() {
      const slow = (interval?: number) => json({ error: "slow_down", interval })
      const { at } = yield* login({}, inTurn(slow(), slow(40), slow(), slow(10), slow(), granted))
      assert.deepStrictEqual(at, [5, 15, 55, 100, 150, 205])
    }))

  it.effect("slow_down as status 429 adds up too, but waits as long as it is told", () =>
    Effect.gen(function*() {
      const slow = json({ error: "slow_down" }, { status: 429 })
      const waiting = json({ error: "slow_down" }, { status: 429, headers: { "retry-after": "100" } })
      const { at } = yield* login({}, inTurn(slow, slow, waiting, granted))
      assert.deepStrictEqual(at, [5, 15, 30, 130])
    }))
})

describe("a status in the answer", () => {
  const dialect = { status: "status" }
  const outcomes: ReadonlyArray<readonly [string, () => Response, string]> = [
    ["success", granted, "Success"],
    ["a token without a status", json({ access_token: "a" }), "Success"],
    ["error", json({ status: "error" }), "AccessDenied"],
    ["error, with status 400", json({ status: "error" }, { status: 400 }), "AccessDenied"],
    ["an OAuth error beside it", json({ status: "error", error: "expired_token" }), "LoginExpired"],
    ["an OAuth error, and success", json({ status: "success", error: "access_denied" }), "AccessDenied"]
  ]
  for (const [name, answer, outcome] of outcomes) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { exit } = yield* login(dialect, inTurn(answer))
        assert.strictEqual(exit._tag === "Success" ? "Success" : failure(exit).reason, outcome)
      }))
  }

  const waits: ReadonlyArray<readonly [string, () => Response]> = [
    ["pending", json({ status: "pending" })],
    ["no word of it", json({})],
    ["a number", json({ status: 1 })],
    ["an object", json({ status: { error: "error" } })],
    ["success without a token", json({ status: "success" })],
    ["a page", text("<html>error</html>")],
    ["a token with the status of a refusal", json({ access_token: "b" }, { status: 400 })],
    ["an outage", json({ status: "error" }, { status: 500 })],
    ["a rate limit", json({ status: "error" }, { status: 429 })]
  ]
  for (const [name, answer] of waits) {
    it.effect(`${name}: it goes on`, () =>
      Effect.gen(function*() {
        const { exit } = yield* login(dialect, inTurn(answer, granted))
        assert.strictEqual(secret(success(exit).token.value), "a")
      }))
  }
})

describe("a renewal", () => {
  const grant = Grant.make({
    token: Token.make({ value: Redacted.make("old"), expiresAt: 0 }),
    refreshToken: Redacted.make("r1")
  })
  const renew = (dialect: Dialect.Dialect, handler: Handler) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(start)
      const server = yield* endpoints
      const redeem = yield* RefreshToken.make({ server, client: { id: "app" }, dialect })
      return yield* redeem(grant)
    }).pipe(Effect.provide(serve(handler)))

  const codes: ReadonlyArray<readonly [string, Dialect.Dialect, unknown, string]> = [
    [
      "the code that it ends by",
      { endedBy: ["invalid_request"] },
      { error: "invalid_request" },
      "GrantRejected"
    ],
    ["another code", { endedBy: ["invalid_request"] }, { error: "invalid_scope" }, "InvalidScope"],
    ["the same code elsewhere", {}, { error: "invalid_request" }, "InvalidRequest"],
    ["an error without a reason", { status: "status" }, { status: "error" }, "InvalidRequest"],
    ["no status and no token", { status: "status" }, {}, "MalformedAnswer"],
    ["pending, which it can't be", { status: "status" }, { status: "pending" }, "MalformedAnswer"]
  ]
  for (const [name, dialect, body, reason] of codes) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(renew(dialect, inTurn(json(body))))
        assert.strictEqual(error.reason, reason)
      }))
  }

  it.effect("alone is ended by such a code, no login is", () =>
    Effect.gen(function*() {
      const { exit } = yield* login(
        { endedBy: ["invalid_request"] },
        inTurn(json({ error: "invalid_request" }))
      )
      assert.deepInclude({ ...failure(exit) }, { _tag: "RequestRejected", reason: "InvalidRequest" })
    }))

  it.effect("in JSON says all that a form would", () => {
    const sent: Array<unknown> = []
    const handler: Handler = ({ form, headers }) =>
      Effect.sync(() => {
        assert.strictEqual(headers["content-type"], "application/json")
        sent.push(JSON.parse([...form.keys()][0] ?? ""))
        return Response.json({ access_token: "a" })
      })
    const resource = ["https://a.test/", "https://b.test/"]
    return Effect.gen(function*() {
      const server = yield* endpoints
      const redeem = yield* RefreshToken.make({
        server,
        client: { id: "app" },
        dialect: { json: ["token"] },
        resource
      })
      yield* redeem(grant)
      assert.deepStrictEqual(sent, [
        { grant_type: "refresh_token", refresh_token: "r1", client_id: "app", resource }
      ])
    }).pipe(Effect.provide(serve(handler)))
  })

  it.effect("a new refresh token is kept, whatever is wrong beside it", () =>
    Effect.gen(function*() {
      const body = { access_token: 7, refresh_token: "r2", expired_in: "soon", status: "success" }
      const renewed = yield* renew({ expiresAt: "expired_in", status: "status" }, inTurn(json(body)))
      assert.strictEqual(secret(renewed.refreshToken), "r2")
      assert.isTrue(Token.isExpired(renewed.token, start))
    }))
})

describe("request ids", () => {
  it.effect("are UUIDs, and differ", () =>
    Effect.gen(function*() {
      const scene = yield* setup(Qwen.provider, Replay.read("qwen"), { poll: ["pending", "success"] })
      yield* logIn(Qwen.provider, scene, "1 minute")
      const ids = scene.replay.calls.map(({ headers }) => headers["x-request-id"] ?? "")
      assert.strictEqual(new Set(ids).size, 3)
      for (const id of ids) {
        assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      }
    }))
})

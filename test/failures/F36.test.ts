import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { inTurn, json, serve, text } from "../oauth/kit.js"
import type { Handler } from "../oauth/kit.js"

const authorization = {
  device_code: "d",
  user_code: "CODE",
  verification_uri: "https://idp.test/go",
  expires_in: 900
}

const reasonOf = (exit: Exit.Exit<unknown, { readonly reason: string }>) =>
  exit._tag === "Failure" && exit.cause._tag === "Fail" ? exit.cause.error.reason : exit

const pending = json({ error: "authorization_pending" }, { status: 400 })
const granted = json({ access_token: "granted" })

const login = (poll: Handler, fields: Record<string, unknown> = {}, start?: Handler) =>
  Effect.gen(function*() {
    const polls: Array<number> = []
    const starts: Array<number> = []
    const started: Handler = () => Effect.sync(() => Response.json({ ...authorization, ...fields }))
    const layer = serve((call) =>
      Effect.flatMap(Clock.currentTimeMillis, (at) => {
        if (call.url.endsWith("/device")) {
          starts.push(at / 1000)
          return (start ?? started)(call)
        }
        polls.push(at / 1000)
        return poll(call)
      })
    )
    const server = yield* AuthorizationServer.make({
      tokenEndpoint: "https://idp.test/token",
      deviceAuthorizationEndpoint: "https://idp.test/device"
    })
    const device = yield* Effect.provide(DeviceCode.make({ server, client: { id: "app" } }), layer)
    const events: Array<string> = []
    const fiber = yield* Effect.fork(
      Effect.exit(
        device.login((event) =>
          Effect.sync(() => events.push(event._tag === "Blip" ? `Blip ${event.error.reason}` : event._tag))
        )
      )
    )
    yield* TestClock.adjust("901 seconds")
    return { events, exit: yield* Fiber.join(fiber), polls, starts }
  })

const blips: ReadonlyArray<readonly [string, () => Response | "dropped", string]> = [
  ["a dropped connection", () => "dropped", "ReplyLost"],
  ["status 500", text("", { status: 500 }), "ServerError"],
  ["status 503 with an OAuth code", json({ error: "invalid_grant" }, { status: 503 }), "ServerError"],
  ["status 429", text("", { status: 429 }), "RateLimited"],
  ["a page of a proxy", text("<html>", { status: 200 }), "MalformedAnswer"],
  ["a refusal of a proxy", text("<html>", { status: 403 }), "MalformedAnswer"],
  [
    "a redirect to a sign-in page",
    text("", { status: 302, headers: { location: "https://wifi.test" } }),
    "MalformedAnswer"
  ],
  ["temporarily_unavailable", json({ error: "temporarily_unavailable" }, { status: 400 }), "ServerError"]
]

describe("F36 device polling outlives", () => {
  for (const [name, blip, reason] of blips) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { events, exit, polls } = yield* login(inTurn(pending, blip, pending, granted))
        assert.strictEqual(exit._tag === "Success" ? Redacted.value(exit.value.token.value) : exit, "granted")
        assert.deepStrictEqual(events, ["Prompt", "Pending", `Blip ${reason}`, "Pending", "Approved"])
        assert.deepStrictEqual(polls, [5, 10, 20, 25])
      }))
  }

  it.effect("a request that is never answered", () =>
    Effect.gen(function*() {
      let count = 0
      const { events, exit, polls } = yield* login((call) =>
        count++ === 0 ? Effect.never : inTurn(granted)(call)
      )
      assert.strictEqual(exit._tag, "Success")
      assert.deepStrictEqual(events, ["Prompt", "Blip Timeout", "Approved"])
      assert.deepStrictEqual(polls, [5, 30])
    }))

  it.effect("an outage until the code expires, with fewer and fewer requests, and then it is over", () =>
    Effect.gen(function*() {
      const { exit, polls } = yield* login(inTurn(() => "dropped"))
      assert.strictEqual(reasonOf(exit), "LoginExpired")
      assert.include(JSON.stringify(exit), "could not be asked (ReplyLost)")
      assert.deepStrictEqual(polls.slice(0, 6), [5, 15, 35, 75, 135, 195])
      assert.isAtMost(polls.length, 19)
      assert.strictEqual(polls.at(-1), 899)
    }))

  it.effect("an outage that ends, and then polls as often as before", () =>
    Effect.gen(function*() {
      const down = () => "dropped" as const
      const { polls } = yield* login(inTurn(down, down, down, pending, pending, granted))
      assert.deepStrictEqual(polls, [5, 15, 35, 75, 80, 85])
    }))

  it.effect("a rate limit, as long as it says", () =>
    Effect.gen(function*() {
      const limited = text("", { status: 429, headers: { "retry-after": "100" } })
      const { exit, polls } = yield* login(inTurn(limited, granted))
      assert.strictEqual(exit._tag, "Success")
      assert.deepStrictEqual(polls, [5, 105])
    }))

  const limits: ReadonlyArray<readonly [string, number, string]> = [
    ["429, an hour", 429, "3600"],
    ["503, an hour", 503, "3600"],
    ["429, to the very end", 429, "895"],
    ["429, a second less", 429, "894"],
    ["429, beyond all limits", 429, "9".repeat(400)]
  ]
  for (const [name, status, after] of limits) {
    it.effect(`a rate limit beyond its end, and tries once more: ${name}`, () =>
      Effect.gen(function*() {
        const limited = text("", { status, headers: { "retry-after": after } })
        const { exit, polls } = yield* login(inTurn(limited, granted))
        assert.strictEqual(exit._tag, "Success")
        assert.deepStrictEqual(polls, [5, 899])
      }))
  }

  const short: ReadonlyArray<readonly [string, Record<string, unknown>, number]> = [
    ["an interval as long as the lifetime", { interval: 60, expires_in: 60 }, 59],
    ["an interval longer than the lifetime", { interval: 300, expires_in: 240 }, 239],
    ["a lifetime of a second", { interval: 5, expires_in: 1 }, 0],
    ["a lifetime of less", { interval: 5, expires_in: 0.1 }, 0],
    ["an interval that ends a second before", { interval: 59, expires_in: 60 }, 59]
  ]
  for (const [name, fields, at] of short) {
    it.effect(`${name}: it polls before the end`, () =>
      Effect.gen(function*() {
        const { exit, polls } = yield* login(inTurn(granted), fields)
        assert.strictEqual(exit._tag, "Success")
        assert.deepStrictEqual(polls, [at])
        const undecided = yield* login(inTurn(pending), fields)
        assert.strictEqual(reasonOf(undecided.exit), "LoginExpired")
        assert.deepStrictEqual(undecided.polls, [at + 901])
      }))
  }

  it.effect("slow_down that reaches beyond the end", () =>
    Effect.gen(function*() {
      const slower = json({ error: "slow_down" }, { status: 400 })
      const { exit, polls } = yield* login(inTurn(slower, granted), { interval: 10, expires_in: 20 })
      assert.strictEqual(exit._tag, "Success")
      assert.deepStrictEqual(polls, [10, 19])
    }))
})

describe("F36 the start of a device login outlives", () => {
  for (const [name, blip, reason] of blips.filter(([, , reason]) => reason !== "MalformedAnswer")) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const start = inTurn(blip, blip, json(authorization))
        const { events, exit, starts } = yield* login(inTurn(granted), {}, start)
        assert.strictEqual(exit._tag, "Success")
        assert.deepStrictEqual(events, [`Blip ${reason}`, `Blip ${reason}`, "Prompt", "Approved"])
        assert.deepStrictEqual(starts, [0, 2, 6])
      }))
  }

  it.effect("a server that answers 500 for a minute", () =>
    Effect.gen(function*() {
      const start: Handler = (call) =>
        Effect.flatMap(Clock.currentTimeMillis, (at) =>
          inTurn(at < 60_000 ? text("", { status: 500 }) : json(authorization))(call))
      const { exit, starts } = yield* login(inTurn(granted), {}, start)
      assert.strictEqual(exit._tag, "Success")
      assert.deepStrictEqual(starts, [0, 2, 6, 14, 30, 62])
    }))

  it.effect("no more than 90 seconds, and then says what is wrong with the server", () =>
    Effect.gen(function*() {
      const { exit, starts } = yield* login(inTurn(granted), {}, inTurn(text("", { status: 500 })))
      assert.strictEqual(reasonOf(exit), "ServerError")
      assert.deepStrictEqual(starts, [0, 2, 6, 14, 30, 62, 89])
    }))

  it.effect("nothing that asking again does not mend", () =>
    Effect.gen(function*() {
      const answers = {
        InvalidClient: json({ error: "invalid_client" }, { status: 401 }),
        MalformedAnswer: text("<html>", { status: 200 })
      }
      for (const [reason, answer] of Object.entries(answers)) {
        const { exit, starts } = yield* login(inTurn(granted), {}, inTurn(answer))
        assert.strictEqual(reasonOf(exit), reason)
        assert.deepStrictEqual(starts, [0])
        yield* TestClock.setTime(0)
      }
    }))
})

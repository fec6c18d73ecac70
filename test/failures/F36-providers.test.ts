/** What device logins outlive at the providers that bend the standard, or keep to it in ways of their own. */
import { assert, describe, it } from "@effect/vitest"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Entra from "effect-credentials/provider/Entra"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Google from "effect-credentials/provider/Google"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { failure, logIn, polls, setup, success } from "../provider/kit.js"
import * as Replay from "../provider/Replay.js"

interface Preset {
  readonly name: string
  readonly provider: Provider.WithDevice
  /** Seconds between two polls. */
  readonly interval: number
  /** Seconds until the login expires. */
  readonly deadline: number
  readonly scopes?: ReadonlyArray<string>
}

const presets: ReadonlyArray<Preset> = [
  { name: "github", provider: GitHub.provider, interval: 5, deadline: 900 },
  { name: "google", provider: Google.provider, interval: 5, deadline: 1800, scopes: ["email"] },
  { name: "qwen", provider: Qwen.provider, interval: 5, deadline: 900 },
  { name: "minimax", provider: MiniMax.provider, interval: 2.5, deadline: 600 },
  {
    name: "entra",
    provider: Entra.make({ tenant: "11111111-2222-3333-4444-555555555555" }),
    interval: 5,
    deadline: 900
  }
]

describe.each(presets)("F36 at $name a login outlives", ({ deadline, interval, name, provider, scopes }) => {
  const run = Effect.fnUntraced(function*(poll: ReadonlyArray<string>) {
    const scene = yield* setup(provider, Replay.read(name), { poll })
    const outcome = yield* logIn(provider, scene, "1 hour", { scopes })
    assert.deepStrictEqual(scene.replay.complaints, [])
    return { ...outcome, at: polls(scene.replay) }
  })

  for (const outage of Replay.outageNames) {
    it.effect(outage, () =>
      Effect.gen(function*() {
        const { at, exit, tags } = yield* run(["pending", outage, "pending", "success"])
        success(exit)
        assert.deepStrictEqual(tags, ["Pending", "Blip", "Pending", "Approved"])
        const wait = outage === "429 for 20 s" ? 20 : 2 * interval
        const after = 2 * interval + wait
        assert.deepStrictEqual(at, [interval, 2 * interval, after, after + interval])
      }))
  }

  it.effect("an outage of minutes, with fewer and fewer polls, and then polls as before", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* run(["500", "dropped", "500", "a page", "pending", "pending", "success"])
      success(exit)
      const waits = at.map((second, index) => second - (at[index - 1] ?? 0))
      const growing = [2, 4, 8, 16].map((times) => Math.min(times * interval, 60))
      assert.deepStrictEqual(waits, [interval, ...growing, interval, interval])
    }))

  it.effect("an outage to the end, for which it polls once more a second before", () =>
    Effect.gen(function*() {
      const { at, exit } = yield* run(["500"])
      assert.include(failure(exit).message, "could not be asked (ServerError)")
      assert.strictEqual(at.at(-1), deadline - 1)
      assert.isBelow(at.length, deadline / 60 + 6)
    }))

  it.effect("nothing that comes after it was given up", () =>
    Effect.gen(function*() {
      const scene = yield* setup(provider, Replay.read(name), { poll: ["pending", "500", "success"] })
      const options = Provider.device(provider, { ...scene.options, scopes })
      const device = yield* Effect.provide(DeviceCode.make(options), scene.replay.layer)
      const started = yield* device.authorize
      const fiber = yield* Effect.fork(device.poll(started))
      yield* TestClock.adjust(`${2 * interval} seconds`)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(polls(scene.replay), [interval, 2 * interval])
    }))
})

describe.each(presets.filter(({ name }) => ["github", "google", "qwen"].includes(name)))(
  "F36 at $name a login outlives",
  ({ name, provider, scopes }) => {
    it.effect("slow_down five times, with longer and longer intervals", () =>
      Effect.gen(function*() {
        const five = Array.from({ length: 5 }, () => "slow_down")
        const scene = yield* setup(provider, Replay.read(name), { poll: [...five, "pending", "success"] })
        const { exit, tags } = yield* logIn(provider, scene, "1 hour", { scopes })
        success(exit)
        assert.deepStrictEqual(tags, [...five.map(() => "SlowedDown"), "Pending", "Approved"])
        // GitHub names twenty seconds each time, which is more than five at first and less than the sum later.
        const waits = name === "github" ? [20, 25, 30, 35, 40, 40] : [10, 15, 20, 25, 30, 30]
        const expected = waits.reduce((at, wait) => [...at, (at.at(-1) ?? 0) + wait], [5])
        assert.deepStrictEqual(polls(scene.replay), expected)
      }))
  }
)

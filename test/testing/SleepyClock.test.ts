import { assert, describe, it } from "@effect/vitest"
import { SleepyClock } from "effect-credentials/testing/SleepyClock"
import * as Sleepy from "effect-credentials/testing/SleepyClock"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"

describe("SleepyClock", () => {
  it.effect("while the machine sleeps wall time goes on and timers stand still", () =>
    Effect.gen(function*() {
      const clock = yield* SleepyClock
      const fiber = yield* Effect.fork(Effect.sleep("10 seconds"))
      yield* TestClock.adjust("4 seconds")
      yield* clock.suspend("1 hour")
      assert.strictEqual(yield* Clock.currentTimeMillis, 3_604_000)
      yield* TestClock.adjust("5999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.isNotNull(fiber.unsafePoll())
      assert.strictEqual(yield* Clock.currentTimeMillis, 3_610_000)
    }).pipe(Effect.provide(Sleepy.layer)))

  it.effect("a correction moves wall time both ways, and nothing else", () =>
    Effect.gen(function*() {
      const clock = yield* SleepyClock
      yield* TestClock.adjust("10 seconds")
      yield* clock.correct(-15_000)
      assert.strictEqual(yield* Clock.currentTimeMillis, -5000)
      assert.strictEqual(clock.unsafeCurrentTimeMillis(), -5000)
      assert.strictEqual(yield* clock.offset, -15_000)
      assert.strictEqual(yield* Clock.currentTimeNanos, 10_000_000_000n)
      assert.strictEqual(clock.unsafeCurrentTimeNanos(), 10_000_000_000n)
      yield* clock.correct(15_000)
      assert.strictEqual(yield* Clock.currentTimeMillis, 10_000)
    }).pipe(Effect.provide(Sleepy.layer)))

  it.effect("each clock has hands of its own", () =>
    Effect.gen(function*() {
      const first = yield* Sleepy.make
      const second = Sleepy.on(first)
      yield* first.suspend("1 second")
      yield* second.suspend("1 minute")
      assert.strictEqual(yield* first.currentTimeMillis, 1000)
      assert.strictEqual(yield* second.currentTimeMillis, 61_000)
      assert.strictEqual(yield* Clock.currentTimeMillis, 0)
    }))

  it.live("stands on the real clock too", () =>
    Effect.gen(function*() {
      const clock = yield* SleepyClock
      yield* clock.suspend("1 day")
      const before = yield* Clock.currentTimeMillis
      yield* Effect.sleep("5 millis")
      assert.isAtLeast(yield* Clock.currentTimeMillis, before + 4)
      assert.isAbove(before, Date.now() + 86_000_000)
    }).pipe(Effect.provide(Sleepy.layer)))
})

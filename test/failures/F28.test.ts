import { expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as SleepyClock from "effect-credentials/testing/SleepyClock"
import * as TokenCache from "effect-credentials/TokenCache"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Kit from "../internal/kit.js"
import { hour, minute, secretOf } from "../internal/kit.js"

/** A clock that can jump, and a scheduler on it that looks again each minute, as on the live clock. */
const asleep = Layer.provideMerge(RefreshScheduler.layerWith({ recheck: "1 minute" }), SleepyClock.layer)

it.scoped.each<readonly [string, number]>([
  ["into the window", 56 * minute],
  ["past the expiry", 2 * hour],
  ["for a month, longer than any timer", 30 * 24 * hour]
])(
  "F28 a machine that slept %s renews within a minute of waking, and nobody gets an expired token",
  ([, millis]) =>
    Effect.gen(function*() {
      const clock = yield* SleepyClock.SleepyClock
      const { log, source } = Kit.issuer(Kit.instantly())
      const cached = yield* TokenCache.make(source, { policy: Kit.exact })
      const token = yield* cached.get
      yield* TestClock.adjust("90 seconds")
      yield* clock.suspend(millis)
      const now = yield* clock.currentTimeMillis
      if (now >= token.expiresAt) expect(cached.peek()._tag).toBe("None")
      yield* TestClock.adjust("1 minute")
      expect(log.fetches).toBe(2)
      expect(secretOf(yield* cached.get)).toBe("t2")
    }).pipe(Effect.provide(asleep))
)

it.scoped("F28 a use right after waking does not wait for the timers", () =>
  Effect.gen(function*() {
    const clock = yield* SleepyClock.SleepyClock
    const cached = yield* TokenCache.make(Kit.issuer(Kit.instantly()).source, { policy: Kit.exact })
    yield* cached.get
    yield* clock.suspend("2 hours")
    expect(secretOf(yield* cached.get)).toBe("t2")
  }).pipe(Effect.provide(asleep)))

import { describe, expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as SleepyClock from "effect-credentials/testing/SleepyClock"
import * as TokenCache from "effect-credentials/TokenCache"
import type { TokenError } from "effect-credentials/TokenError"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { hour, minute, second, secretOf } from "./internal/kit.js"

/** A cache on a clock that can jump, whose scheduler looks again each minute, as it does on the live clock. */
const onClock = <E extends TokenError, A, E2>(
  script: Kit.Script<E>,
  options: TokenCache.Options,
  test: (
    made: Kit.Issuer<E | TokenCache.CacheError>,
    clock: SleepyClock.Service
  ) => Effect.Effect<A, E2, Scope.Scope>
) =>
  Effect.gen(function*() {
    const clock = yield* SleepyClock.SleepyClock
    // A day in which to move back.
    yield* TestClock.adjust("1 day")
    const scheduler = yield* RefreshScheduler.make({ recheck: "1 minute" })
    const { log, source } = Kit.issuer(script)
    const cached = yield* Effect.provideService(
      TokenCache.make(source, { policy: Kit.exact, ...options }),
      RefreshScheduler.RefreshScheduler,
      scheduler
    )
    return yield* test({ source: cached, log }, clock)
  }).pipe(Effect.provide(SleepyClock.layer))

describe("a machine that slept", () => {
  // Asleep right after a token of an hour came: what a caller gets on waking, and the fetches a minute later.
  it.scoped.each<readonly [string, number, string, number]>([
    ["for less than the time to the renewal", 50 * minute, "t1", 1],
    ["into the window", 57 * minute, "t1", 2],
    ["past the expiry", 61 * minute, "t2", 2],
    ["for a week", 7 * 24 * hour, "t2", 2]
  ])(
    "%s",
    ([, asleep, expected, fetches]) =>
      onClock(Kit.instantly(), {}, ({ log, source }, clock) =>
        Effect.gen(function*() {
          yield* source.get
          yield* clock.suspend(asleep)
          expect(secretOf(yield* source.get)).toBe(expected)
          yield* TestClock.adjust("1 minute")
          expect(log.fetches).toBe(fetches)
        }))
  )

  it.scoped("finds out by itself within a minute", () =>
    onClock(Kit.instantly(), {}, ({ log, source }, clock) =>
      Effect.gen(function*() {
        yield* source.get
        yield* clock.suspend("2 hours")
        yield* TestClock.adjust("1 minute")
        expect(log.fetches).toBe(2)
        expect(secretOf(yield* source.get)).toBe("t2")
      })))

  it.scoped("with a fetch in flight gives it up and is well afterwards", () =>
    onClock(
      (nth) => nth === 1 ? Effect.never : Kit.instantly()(nth, {}),
      {},
      ({ source }, clock) =>
        Effect.gen(function*() {
          const caller = yield* Effect.fork(Effect.exit(source.get))
          yield* Kit.settle
          yield* clock.suspend("1 hour")
          yield* TestClock.adjust("1 minute")
          expect(Kit.errorOf(yield* Kit.ended(caller))).toMatchObject({ reason: "Timeout" })
          yield* TestClock.adjust("1 minute")
          expect(secretOf(yield* source.get)).toBe("t2")
        })
    ))
})

describe("a clock that was corrected", () => {
  it.scoped("backwards beyond the receipt: the token is served and renewed at once", () =>
    onClock(Kit.instantly(), {}, ({ log, source }, clock) =>
      Effect.gen(function*() {
        yield* source.get
        yield* clock.correct(-2 * hour)
        expect(secretOf(yield* source.get)).toBe("t1")
        expect(secretOf(yield* source.get)).toBe("t2")
        expect(log.fetches).toBe(2)
        yield* TestClock.adjust("54 minutes")
        expect(log.fetches).toBe(2)
        yield* TestClock.adjust("2 minutes")
        expect(log.fetches).toBe(3)
      })))

  it.scoped("backwards by seconds changes nothing", () =>
    onClock(Kit.instantly(), {}, ({ log, source }, clock) =>
      Effect.gen(function*() {
        yield* source.get
        yield* clock.correct(-5 * second)
        expect(secretOf(yield* source.get)).toBe("t1")
        expect(log.fetches).toBe(1)
      })))

  it.scoped("backwards: a remembered failure does not gate for as long as the jump", () =>
    onClock(
      (nth) => nth === 1 ? Effect.fail(Kit.transient()) : Kit.instantly()(nth, {}),
      { schedule: "onUse" },
      ({ source }, clock) =>
        Effect.gen(function*() {
          yield* Effect.exit(source.get)
          yield* clock.correct(-2 * hour)
          expect(secretOf(yield* source.get)).toBe("t2")
        })
    ))

  it.scoped("backwards by a millisecond after a refusal does not hinder the new token", () =>
    onClock(Kit.instantly(), {}, ({ source }, clock) =>
      Effect.gen(function*() {
        yield* source.invalidate(yield* source.get)
        yield* clock.correct(-1)
        expect(secretOf(yield* source.get)).toBe("t2")
      })))

  it.scoped("backwards again and again costs one fetch a jump", () =>
    onClock(Kit.instantly("1 day"), {}, ({ log, source }, clock) =>
      Effect.gen(function*() {
        yield* source.get
        for (let i = 1; i <= 10; i++) {
          yield* clock.correct(-minute)
          for (let j = 0; j < 10; j++) yield* source.get
          expect(log.fetches).toBe(1 + i)
        }
      })))

  it.scoped("forwards past the expiry: the old token is not served", () =>
    onClock(Kit.instantly(), { schedule: "onUse" }, ({ source }, clock) =>
      Effect.gen(function*() {
        yield* source.get
        yield* clock.correct(hour)
        expect(source.peek()._tag).toBe("None")
        expect(secretOf(yield* source.get)).toBe("t2")
      })))

  it.scoped("counts usage and latency without harm", () =>
    onClock(Kit.numbered(), { idle: "1 hour" }, ({ log, source }, clock) =>
      Effect.gen(function*() {
        yield* Kit.within(source.get)
        yield* clock.correct(-3 * hour)
        yield* source.get
        yield* TestClock.adjust("1 second")
        expect(secretOf(yield* source.get)).toBe("t2")
        yield* TestClock.adjust("1 day")
        // Renewed at 55 minutes, then idle.
        expect(log.fetches).toBe(3)
      })))
})

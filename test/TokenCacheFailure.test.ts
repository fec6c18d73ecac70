import { describe, expect, it } from "@effect/vitest"
import * as RefreshPolicy from "effect-credentials/RefreshPolicy"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { ended, hour, minute, second, secretOf, settle, within } from "./internal/kit.js"

/** The first token comes at once; after that the issuer is down until `up`. */
const outage = (up: number, error = Kit.transient()): Kit.Script<ReturnType<typeof Kit.transient>> => (nth) =>
  Effect.clockWith((clock) => {
    const now = clock.unsafeCurrentTimeMillis()
    return nth === 1 || now >= up ? Kit.instantly()(nth, {}) : Effect.fail(error)
  })

describe("an issuer that is down while a token is held", () => {
  it.scoped("costs callers nothing until the token expires, and then gates them", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(outage(Infinity))
      yield* source.get
      yield* TestClock.adjust("55 minutes")
      for (let i = 0; i < 30; i++) {
        expect(secretOf(yield* source.get)).toBe("t1")
        yield* TestClock.adjust("10 seconds")
      }
      // 1 + 2 + 4 + 8 + 16 + 32 s, then each minute: no storm.
      expect(log.fetches).toBeLessThanOrEqual(1 + 6 + 5)
      const before = log.fetches
      for (let i = 0; i < 20; i++) {
        expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "ServerError" })
      }
      expect(log.fetches).toBe(before)
      expect(log.most).toBe(1)
    }))

  // The gate opens with the token's end for nobody before the back-off does.
  it.scoped.each<readonly [string, number, string | undefined]>([
    ["a millisecond before its end", hour - 1, "t1"],
    ["at its end", hour, undefined],
    ["a millisecond after it", hour + 1, undefined]
  ])("%s", ([, at, expected]) =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(outage(Infinity))
      yield* source.get
      yield* TestClock.adjust(at)
      const exit = yield* Effect.exit(source.get)
      if (expected === undefined) expect(Kit.errorOf(exit)).toMatchObject({ reason: "ServerError" })
      else expect(secretOf(yield* exit)).toBe(expected)
    }))

  it.scoped("is asked again by itself, and callers have the new token as soon as it is back", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(outage(55 * minute + 3 * second))
      yield* source.get
      yield* TestClock.adjust(55 * minute + 3 * second)
      expect(secretOf(yield* source.get)).toMatch(/t4/)
      // At 0, 1 and 3 seconds after the window opened.
      expect(log.startedAt.slice(1).map((at) => at - 55 * minute)).toEqual([0, second, 3 * second])
    }))

  it.scoped("on use, is asked again by uses only, with the same back-off", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(outage(Infinity), { schedule: "onUse" })
      yield* source.get
      yield* TestClock.adjust("55 minutes")
      yield* TestClock.adjust("1 minute")
      expect(log.fetches).toBe(1)
      for (let i = 0; i < 8; i++) {
        expect(secretOf(yield* source.get)).toBe("t1")
        yield* TestClock.adjust("500 millis")
      }
      expect(log.startedAt.slice(1).map((at) => at - 56 * minute)).toEqual([0, second, 3 * second])
    }))

  it.scoped("counts failures anew after a success", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth) =>
        nth === 3 || nth === 1 ? Kit.instantly("10 minutes")(nth, {}) : Effect.fail(Kit.transient())
      )
      yield* source.get
      yield* TestClock.adjust("20 minutes")
      const gaps = log.startedAt.map((at, i) => at - (log.startedAt[i - 1] ?? 0))
      // 10 minutes less a window of a third; then failure, 1 s, success; then failure, 1 s, failure, 2 s …
      const renewal = 6 * minute + 40 * second
      expect(gaps.slice(0, 7)).toEqual([0, renewal, second, renewal, second, 2 * second, 4 * second])
    }))

  it.scoped("and whose failures can't be helped by trying again is not asked again by itself", () =>
    Effect.gen(function*() {
      for (const error of [Kit.reauth(), Kit.misconfigured, Kit.loginRequired]) {
        const { log, source } = yield* Kit.cached((nth) =>
          nth === 1 ? Kit.instantly()(nth, {}) : Effect.fail(error)
        )
        yield* source.get
        yield* TestClock.adjust("10 hours")
        expect(log.fetches).toBe(2)
        expect(log.requests[1]).toMatchObject({ interactive: false })
        expect(Kit.errorOf(yield* Effect.exit(source.get))).toBe(error)
      }
    }))
})

describe("failures where nothing is held", () => {
  it.scoped("go to everyone who waits, and gate callers for the back-off only", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(
        (nth) =>
          Effect.delay(
            Effect.suspend(() => nth === 1 ? Effect.fail(Kit.transient()) : Kit.received("t")),
            "1 second"
          )
      )
      const fibers = yield* Effect.forEach(Array.from({ length: 50 }), () =>
        Effect.fork(Effect.exit(source.get)))
      yield* TestClock.adjust("1 second")
      for (const fiber of fibers) {
        expect(Kit.errorOf(yield* ended(fiber))).toMatchObject({ reason: "ServerError" })
      }
      yield* TestClock.adjust(second - 1)
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "ServerError" })
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust(1)
      expect(secretOf(yield* within(source.get))).toBe("t")
      expect(log).toMatchObject({ fetches: 2, most: 1 })
    }))

  it.scoped("at the end of the gate many callers start one fetch", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(
        () => Effect.zipRight(Effect.sleep("10 seconds"), Effect.fail(Kit.transient())),
        { schedule: "onUse" }
      )
      for (let i = 1; i <= 4; i++) {
        const fibers = yield* Effect.forEach(Array.from({ length: 20 }), () =>
          Effect.fork(Effect.exit(source.get)))
        yield* settle
        expect(log).toMatchObject({ fetches: i, inFlight: 1 })
        yield* TestClock.adjust("10 seconds")
        for (const fiber of fibers) {
          expect(Kit.errorOf(yield* ended(fiber))).toMatchObject({ reason: "ServerError" })
        }
        yield* TestClock.adjust("1 minute")
      }
      expect(log.most).toBe(1)
    }))

  it.scoped("of an issuer that is down for an hour cost a bounded number of requests", () =>
    Effect.gen(function*() {
      for (const schedule of ["background", "onUse"] as const) {
        const { log, source } = yield* Kit.cached(() => Effect.fail(Kit.transient()), { schedule })
        for (let i = 0; i < 120; i++) {
          yield* Effect.exit(source.get)
          yield* TestClock.adjust("30 seconds")
        }
        expect(log.fetches).toBeLessThanOrEqual(6 + 60)
        expect(log.fetches).toBeGreaterThan(30)
      }
    }))

  it.scoped("in the background are tried again, and callers find the token there", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth) =>
        nth < 4 ? Effect.fail(Kit.transient()) : Kit.instantly()(nth, {})
      )
      yield* Effect.exit(source.get)
      yield* TestClock.adjust("7 seconds")
      expect(log.fetches).toBe(4)
      expect(secretOf(yield* source.get)).toBe("t4")
      expect(log.fetches).toBe(4)
    }))

  it.scoped("spaced by nothing at all do not become a storm", () =>
    Effect.gen(function*() {
      const policy = RefreshPolicy.make({ backoff: { base: 0, jitter: 0 } })
      const { log, source } = yield* Kit.cached(() => Effect.fail(Kit.transient()), { policy })
      yield* Effect.exit(source.get)
      yield* TestClock.adjust("2 seconds")
      expect(log.fetches).toBeLessThanOrEqual(21)
    }))
})

describe("Retry-After", () => {
  // An answer of 429 at time 0; the next fetch happens at …
  it.scoped.each<readonly [string, number | undefined, number]>([
    ["none: the back-off", undefined, second],
    ["less than the back-off", 10, second],
    ["30 seconds", 30 * second, 30 * second],
    ["an hour, the most", hour, hour],
    ["a day: an hour", 24 * hour, hour],
    ["for ever: an hour", Infinity, hour],
    ["in the past", -5, second]
  ])("%s", ([, retryAt, expected]) =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth) =>
        nth === 1 ? Effect.fail(Kit.transient(retryAt, "RateLimited")) : Kit.instantly()(nth, {})
      )
      yield* Effect.exit(source.get)
      yield* TestClock.adjust(expected - 1)
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "RateLimited" })
      expect(log.fetches).toBe(1)
      // It is spread over one second so that clients don't come back together.
      yield* TestClock.adjust(1 + second)
      expect(secretOf(yield* source.get)).toBe("t2")
    }))

  it.scoped("is honoured while a stale token is served, and shown", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth) =>
        nth === 2 ? Effect.fail(Kit.transient(58 * minute, "RateLimited")) : Kit.instantly()(nth, {})
      )
      yield* source.get
      yield* TestClock.adjust("57 minutes")
      expect(secretOf(yield* source.get)).toBe("t1")
      expect(log.fetches).toBe(2)
      const { retryAt } = yield* source.status
      expect(retryAt).toBeGreaterThanOrEqual(58 * minute)
      expect(retryAt).toBeLessThanOrEqual(58 * minute + second)
      yield* TestClock.adjust(minute + second)
      expect(secretOf(yield* source.get)).toBe("t3")
    }))
})

it.scoped("a failing fetch with a token that has expired meanwhile leaves nothing to serve", () =>
  Effect.gen(function*() {
    const { source } = yield* Kit.cached(
      (nth) =>
        nth === 1 ? Kit.instantly()(nth, {}) : Effect.delay(Effect.fail(Kit.transient()), "10 minutes"),
      {
        timeLimit: "1 hour"
      }
    )
    yield* source.get
    yield* TestClock.adjust("60 minutes")
    const caller = yield* Effect.fork(Effect.exit(source.get))
    yield* TestClock.adjust("5 minutes")
    expect(Kit.errorOf(yield* ended(caller))).toMatchObject({ reason: "ServerError" })
    expect(source.peek()._tag).toBe("None")
  }))

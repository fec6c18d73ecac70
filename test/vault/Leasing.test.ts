import { describe, expect, it } from "@effect/vitest"
import * as SleepyClock from "effect-credentials/testing/SleepyClock"
import * as Leasing from "effect-credentials/vault/internal/leasing"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"

const hour = 60 * 60 * 1000
const given = Effect.succeed(Option.some({ fence: 1, at: 0 }))

/** A store that gives every lease, and tells what it was asked. */
const makeStore = (instead: Partial<Leasing.Operations> = {}) => {
  const asked: Array<string> = []
  const terms: Array<number> = []
  const sound: Leasing.Operations = {
    take: () => given,
    extend: () => Effect.succeed(true),
    release: () => Effect.void
  }
  const telling = <A, E>(what: string, self: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      asked.push(what)
      return self
    })
  const { extend, release, take } = { ...sound, ...instead }
  const lease = Leasing.make("store", {
    take: (key, owner, term) => {
      terms.push(term)
      return telling("take", take(key, owner, term))
    },
    extend: (key, owner, term) => telling("extend", extend(key, owner, term)),
    release: (key, owner) => telling("release", release(key, owner))
  })
  return { asked, terms, lease }
}

const onSleepyClock = <A, E, R>(use: (clock: SleepyClock.Service) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(SleepyClock.make, (clock) => Effect.withClock(use(clock), clock))

describe("the time that passes", () => {
  it.effect("goes on while the machine sleeps, and steady time does not", () =>
    onSleepyClock((clock) =>
      Effect.gen(function*() {
        const [start, steady] = [yield* Leasing.elapsing, yield* Leasing.steady]
        yield* clock.suspend("3 hours")
        expect((yield* Leasing.elapsing) - start).toBe(3 * hour)
        yield* TestClock.adjust("1 seconds")
        expect((yield* Leasing.elapsing) - start).toBe(3 * hour + 1000)
        yield* clock.suspend("1 hours")
        expect((yield* Leasing.elapsing) - start).toBe(4 * hour + 1000)
        expect((yield* Leasing.steady) - steady).toBe(1000)
      })
    ))

  it.effect("never goes back, and a sleep after that counts", () =>
    onSleepyClock((clock) =>
      Effect.gen(function*() {
        const start = yield* Leasing.elapsing
        yield* clock.correct(-2 * hour)
        expect((yield* Leasing.elapsing) - start).toBe(0)
        yield* TestClock.adjust("1 seconds")
        expect((yield* Leasing.elapsing) - start).toBe(1000)
        yield* clock.suspend("1 hours")
        expect((yield* Leasing.elapsing) - start).toBe(hour + 1000)
      })
    ))

  it.effect("small differences between two readings do not add up", () =>
    onSleepyClock((clock) =>
      Effect.gen(function*() {
        const start = yield* Leasing.elapsing
        for (let index = 0; index < 1000; index++) {
          yield* clock.correct(index % 2 === 0 ? 1 : -1)
          yield* Leasing.elapsing
        }
        expect((yield* Leasing.elapsing) - start).toBeLessThanOrEqual(1)
      })
    ))

  it.effect("is another one for each clock", () =>
    Effect.gen(function*() {
      const start = yield* Leasing.elapsing
      yield* onSleepyClock((clock) => Effect.zipRight(clock.suspend("1 hours"), Leasing.elapsing))
      expect((yield* Leasing.elapsing) - start).toBe(0)
    }))
})

describe("an owner", () => {
  const afterSleep = (extend: boolean, sleep: (clock: SleepyClock.Service) => Effect.Effect<void>) =>
    onSleepyClock((clock) =>
      Effect.gen(function*() {
        const store = makeStore({ extend: () => Effect.succeed(extend) })
        const lease = yield* store.lease("k", { term: "1 minutes" })
        yield* sleep(clock)
        const checked = yield* Effect.either(lease.check)
        return { checked: checked._tag, asked: store.asked.filter((what) => what === "extend").length }
      })
    )

  for (
    const [what, sleep] of [
      ["its machine slept", (clock: SleepyClock.Service) => clock.suspend("30 seconds")],
      ["its timers were late", () => TestClock.adjust("30 seconds")]
    ] as const
  ) {
    it.scoped(`asks the store when ${what} for half the term`, () =>
      Effect.gen(function*() {
        expect((yield* afterSleep(true, sleep)).asked).toBeGreaterThan(0)
        expect((yield* afterSleep(false, sleep)).checked).toBe("Left")
      }))
  }

  it.scoped("does not ask before that", () =>
    Effect.gen(function*() {
      const early = (clock: Clock.Clock & SleepyClock.Service) => clock.suspend("29 seconds")
      expect(yield* afterSleep(false, early)).toEqual({ checked: "Right", asked: 0 })
    }))

  it.scoped("a term is at least 100 milliseconds and at most one hour", () =>
    Effect.gen(function*() {
      const store = makeStore()
      for (const term of ["1 millis", "5 seconds", "2 hours", "Infinity"] as const) {
        yield* store.lease("k", { term: term === "Infinity" ? Infinity : term })
      }
      expect(store.terms).toEqual([100, 5000, hour, hour])
    }))
})

describe("a store that never answers", () => {
  const unanswered = { _tag: "Unreachable", vault: "store", action: "lease" }

  it.effect("take fails after ten seconds, even where nothing can interrupt it", () =>
    Effect.gen(function*() {
      for (const never of [Effect.never, Effect.uninterruptible(Effect.never)]) {
        const { lease } = makeStore({ take: () => never })
        const failed = yield* Effect.fork(
          Effect.flip(Effect.scoped(lease("k", { term: "1 minutes", wait: 0 })))
        )
        yield* TestClock.adjust("9999 millis")
        expect(failed.unsafePoll()).toBe(null)
        yield* TestClock.adjust("1 millis")
        expect(yield* Fiber.join(failed)).toMatchObject(unanswered)
      }
    }))

  it.effect("a lease that is given after that is given back", () =>
    Effect.gen(function*() {
      const answer = yield* Deferred.make<void>()
      const { asked, lease } = makeStore({ take: () => Effect.zipRight(Deferred.await(answer), given) })
      const failed = yield* Effect.fork(Effect.flip(Effect.scoped(lease("k", { term: "1 minutes" }))))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(failed)
      yield* TestClock.adjust("1 minutes")
      expect(asked).toEqual(["take"])
      yield* Deferred.succeed(answer, undefined)
      yield* TestClock.adjust("1 seconds")
      expect(asked).toEqual(["take", "release"])
    }))

  it.scoped("check fails after ten seconds", () =>
    Effect.gen(function*() {
      const { lease } = makeStore({ extend: () => Effect.never })
      const held = yield* lease("k", { term: "1 minutes" })
      yield* TestClock.adjust("40 seconds")
      const failed = yield* Effect.fork(Effect.flip(Effect.uninterruptible(held.check)))
      yield* TestClock.adjust("10 seconds")
      expect(yield* Fiber.join(failed)).toMatchObject(unanswered)
    }))

  it.scoped("it is asked for a sign of life again", () =>
    Effect.gen(function*() {
      const { asked, lease } = makeStore({ extend: () => Effect.uninterruptible(Effect.never) })
      yield* lease("k", { term: "3 seconds" })
      yield* TestClock.adjust("1 minutes")
      expect(asked.filter((what) => what === "extend").length).toBeGreaterThan(3)
    }))

  it.effect("closing the scope ends after ten seconds, and giving back goes on", () =>
    Effect.gen(function*() {
      const answer = yield* Deferred.make<void>()
      const done = yield* Deferred.make<void>()
      const { lease } = makeStore({
        release: () =>
          Effect.zipRight(Deferred.await(answer), Effect.asVoid(Deferred.succeed(done, undefined)))
      })
      const closed = yield* Effect.fork(Effect.scoped(lease("k", { term: "1 minutes" })))
      yield* TestClock.adjust("9 seconds")
      expect(closed.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(closed)
      yield* Deferred.succeed(answer, undefined)
      yield* Deferred.await(done)
    }))
})

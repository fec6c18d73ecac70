import { describe, expect, it } from "@effect/vitest"
import * as Token from "effect-credentials/Token"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { ended, hour, minute, second, secretOf, settle, within } from "./internal/kit.js"

describe("a token that a resource refused", () => {
  it.scoped("is not given again: the next caller gets a new one", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      yield* source.invalidate(yield* source.get)
      expect(secretOf(yield* source.get)).toBe("t2")
      expect(log.requests[1]?.supersede && secretOf(log.requests[1].supersede)).toBe("t1")
      expect(log.invalidated).toEqual(["t1"])
    }))

  it.scoped("is told to the source below, whatever is held here", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      yield* source.invalidate(yield* Kit.received("foreign"))
      yield* source.get
      yield* source.invalidate(yield* Kit.received("older"))
      expect(log.invalidated).toEqual(["foreign", "older"])
    }))

  it.scoped("does not hurt a newer one: a late refusal of an old token changes nothing", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const old = yield* source.get
      yield* TokenSource.refresh(source)
      yield* source.invalidate(old)
      expect(secretOf(yield* source.get)).toBe("t2")
      expect(log.fetches).toBe(2)
    }))

  it.scoped("is known by its secret, not by object or generation", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      const token = yield* source.get
      const other = Token.make({ ...token, value: Redacted.make("other") })
      yield* source.invalidate(other)
      expect(secretOf(yield* source.get)).toBe("t1")
      yield* source.invalidate(Token.make({ value: Redacted.make("t1"), generation: 77 }))
      expect(secretOf(yield* source.get)).toBe("t2")
    }))

  it.scoped("refused by many at once costs one fetch", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered())
      const token = yield* within(source.get)
      const replace = Effect.zipRight(source.invalidate(token), source.get)
      const tokens = yield* within(
        Effect.all(Array.from({ length: 100 }, () => replace), { concurrency: "unbounded" })
      )
      expect(new Set(tokens.map(secretOf))).toEqual(new Set(["t2"]))
      expect(log.fetches).toBe(2)
    }))

  it.scoped("is not fetched anew while nobody asks", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      yield* source.invalidate(yield* source.get)
      yield* TestClock.adjust("10 days")
      expect(log.fetches).toBe(1)
    }))

  it.scoped("before the first use changes nothing", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      yield* source.invalidate(yield* Kit.received("t1"))
      expect((yield* source.status).health).toBe("Idle")
    }))
})

describe("a refusal while a fetch is in flight", () => {
  const renewing = Effect.gen(function*() {
    const fetches = Kit.held()
    const { log, source } = yield* Kit.cached(fetches.script, { timeLimit: "1 hour" })
    const first = yield* Effect.fork(source.get)
    yield* settle
    yield* fetches.answer(1, "old")
    const old = yield* Fiber.join(first)
    yield* TestClock.adjust("55 minutes")
    expect(log).toMatchObject({ fetches: 2, inFlight: 1 })
    expect(secretOf(yield* source.get)).toBe("old")
    return { fetches, log, source, old }
  })

  it.scoped("ends the serving of the old token; callers wait for the new one", () =>
    Effect.gen(function*() {
      const { fetches, log, old, source } = yield* renewing
      yield* source.invalidate(old)
      expect(source.peek()).toEqual(Option.none())
      const caller = yield* Effect.fork(source.get)
      yield* settle
      expect(Option.isNone(yield* Fiber.poll(caller))).toBe(true)
      yield* fetches.answer(2, "new")
      expect(secretOf(yield* ended(caller))).toBe("new")
      expect(log.fetches).toBe(2)
    }))

  it.scoped("that brings the same token back: it is neither stored nor given to those who wait", () =>
    Effect.gen(function*() {
      const { fetches, log, old, source } = yield* renewing
      yield* source.invalidate(old)
      const caller = yield* Effect.fork(Effect.exit(source.get))
      yield* settle
      yield* fetches.answer(2, "old")
      const exit = yield* ended(caller)
      expect(Kit.errorOf(exit)).toMatchObject({ _tag: "TransientFailure", reason: "RejectedWhileFresh" })
      expect(source.peek()).toEqual(Option.none())
      // And not asked for at once again.
      yield* Effect.exit(source.get)
      expect(log.fetches).toBe(2)
      yield* TestClock.adjust("1 second")
      const later = yield* Effect.fork(source.get)
      yield* settle
      yield* fetches.answer(3, "new")
      expect(secretOf(yield* ended(later))).toBe("new")
    }))

  it.scoped("of another token leaves all as it is", () =>
    Effect.gen(function*() {
      const { fetches, source } = yield* renewing
      yield* source.invalidate(yield* Kit.received("foreign"))
      expect(secretOf(yield* source.get)).toBe("old")
      yield* fetches.answer(2, "new")
      yield* settle
      expect(secretOf(yield* source.get)).toBe("new")
    }))

  it.scoped("that fails: the refused token is not served again, and may not come back later", () =>
    Effect.gen(function*() {
      const { fetches, old, source } = yield* renewing
      yield* source.invalidate(old)
      yield* fetches.fail(2, Kit.transient())
      yield* settle
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "ServerError" })
      // The background tries again and brings the refused token.
      yield* TestClock.adjust("1 second")
      yield* fetches.answer(3, "old")
      yield* settle
      expect(source.peek()).toEqual(Option.none())
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "RejectedWhileFresh" })
    }))

  it.scoped("right after it ended is about the token that it brought", () =>
    Effect.gen(function*() {
      const { fetches, log, source } = yield* renewing
      yield* fetches.answer(2, "new")
      yield* settle
      yield* source.invalidate(yield* source.get)
      const caller = yield* Effect.fork(source.get)
      yield* settle
      yield* fetches.answer(3, "newest")
      expect(secretOf(yield* ended(caller))).toBe("newest")
      expect(log.fetches).toBe(3)
    }))

  it.scoped("at any step of it: the refused token is never given afterwards", () =>
    Effect.gen(function*() {
      for (let steps = 0; steps < 12; steps++) {
        const { fetches, old, source } = yield* renewing
        const refusal = yield* Effect.fork(
          Effect.zipRight(Effect.repeatN(Effect.yieldNow(), steps), source.invalidate(old))
        )
        yield* fetches.answer(2, "old")
        yield* Fiber.join(refusal)
        const caller = yield* Effect.fork(Effect.exit(source.get))
        yield* settle
        const exit = yield* Fiber.poll(caller)
        if (Option.isSome(exit)) {
          expect(Kit.errorOf(yield* ended(caller))).toMatchObject({ reason: "RejectedWhileFresh" })
        } else expect(source.peek()).toEqual(Option.none())
        yield* Fiber.interrupt(caller)
      }
    }))
})

describe("refusals again and again", () => {
  /** How many fetches `rounds` of get and refusal cause, one every `every` milliseconds. */
  const storm = (script: Kit.Script<never>, every: number, rounds: number) =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(script)
      for (let i = 0; i < rounds; i++) {
        const exit = yield* Effect.exit(source.get)
        if (exit._tag === "Success") yield* source.invalidate(exit.value)
        else expect(Kit.errorOf(exit)).toMatchObject({ reason: "RejectedWhileFresh" })
        yield* TestClock.adjust(every)
      }
      return log
    })

  it.scoped("F14 of tokens that had just been received back off: a new one at once only the first time", () =>
    Effect.gen(function*() {
      const log = yield* storm(Kit.instantly(), 500, 120)
      // t1, t2 at once, then after 1, 2, 4, 8, 16 and 32 seconds: 7 or 8 fetches in a minute.
      expect(log.fetches).toBeLessThanOrEqual(8)
      const gaps = log.startedAt.map((at, i) => at - (log.startedAt[i - 1] ?? at))
      expect(gaps.slice(0, 5)).toEqual([0, 500, 1_000, 2_000, 4_000])
    }))

  it.scoped("F14 of tokens whose time of receipt is not known back off all the same", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(50 * 365 * 24 * hour)
      const log = yield* storm(
        (nth) => Effect.succeed(Token.make({ value: Redacted.make(`t${nth}`) })),
        500,
        120
      )
      expect(log.fetches).toBeLessThanOrEqual(8)
    }))

  it.scoped("F14 of one token that comes again and again back off", () =>
    Effect.gen(function*() {
      const log = yield* storm(() => Kit.received("only", "1 hour"), 500, 120)
      expect(log.fetches).toBeLessThanOrEqual(8)
    }))

  it.scoped("of tokens that were in use for a while do not back off", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      for (let i = 1; i <= 10; i++) {
        yield* source.invalidate(yield* source.get)
        expect(secretOf(yield* source.get)).toBe(`t${i + 1}`)
        yield* TestClock.adjust("2 minutes")
      }
      expect(log.fetches).toBe(11)
    }))

  // The first refusal is always followed by a fetch at once; the second one is the question.
  it.scoped.each<readonly [string, number, number, boolean]>([
    ["a token of an hour after a minute less 1 ms", hour, minute - 1, true],
    ["a token of an hour after a minute", hour, minute, false],
    ["a token of a minute after half of it less 1 ms", minute, 30 * second - 1, true],
    ["a token of a minute after half of it", minute, 30 * second, false]
  ])("counts as refused while fresh: %s", ([, life, after, gated]) =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly(life), { schedule: "onUse" })
      yield* source.invalidate(yield* source.get)
      const second = yield* source.get
      yield* TestClock.adjust(after)
      yield* source.invalidate(second)
      expect(Kit.errorOf(yield* Effect.exit(source.get)) === "succeeded").toBe(!gated)
      expect(log.fetches).toBe(gated ? 2 : 3)
    }))

  it.scoped("say when another try is worth it, and tell the status", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      for (let i = 0; i < 2; i++) yield* source.invalidate(yield* source.get)
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ retryAt: second })
      expect(yield* source.status).toMatchObject({ health: "Degraded", retryAt: second })
    }))

  it.scoped("do not shorten the wait that the issuer asked for", () =>
    Effect.gen(function*() {
      // The renewal fails with Retry-After 4 minutes; then a resource refuses the stale token.
      const { log, source } = yield* Kit.cached((nth) =>
        nth === 2 ? Effect.fail(Kit.transient(59 * minute, "RateLimited")) : Kit.instantly()(nth, {})
      )
      const token = yield* source.get
      yield* TestClock.adjust("55 minutes")
      expect(log.fetches).toBe(2)
      yield* source.invalidate(token)
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "RateLimited" })
      expect(log.fetches).toBe(2)
      // The pause that was asked for, and the spread after it.
      yield* TestClock.adjust("4 minutes")
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* source.get)).toBe("t3")
    }))
})

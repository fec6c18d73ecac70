import { describe, expect, it } from "@effect/vitest"
import * as RefreshPolicy from "effect-credentials/RefreshPolicy"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import { ReauthRequired } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { hour, minute, second, secretOf, within } from "./internal/kit.js"

describe("TokenCache", () => {
  it.scoped("fetches nothing before the first use, whatever time passes", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered())
      yield* TestClock.adjust("10 days")
      expect(log.fetches).toBe(0)
      expect(source.peek()).toEqual(Option.none())
      expect(secretOf(yield* within(source.get))).toBe("t1")
    }))

  it.scoped("serves any number of callers with one fetch and one token", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered())
      const gets = Array.from({ length: 1_000 }, () => source.get)
      const tokens = yield* within(Effect.all(gets, { concurrency: "unbounded" }))
      expect(new Set(tokens).size).toBe(1)
      expect(log.fetches).toBe(1)
    }))

  it.scoped("works with a fetch that ends at once", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const tokens = yield* Effect.all([source.get, source.get, source.request({ minValidity: "1 minute" })])
      expect(tokens.map(secretOf)).toEqual(["t1", "t1", "t1"])
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust("10 days")
      // Renewed by itself every 55 minutes.
      expect(log.fetches).toBe(1 + Math.floor(10 * 24 * 60 / 55))
      expect(log.most).toBe(1)
    }))

  it.scoped("keeps a token that never expires, and never renews it", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly(Duration.infinity))
      yield* source.get
      yield* TestClock.adjust("2000 days")
      expect(secretOf(yield* source.get)).toBe("t1")
      expect(log.fetches).toBe(1)
    }))

  it.scoped("counts generations from 1 and leaves higher ones of the source as they are", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached((nth) =>
        Effect.map(
          Kit.received(`t${nth}`, "1 hour"),
          (token) => Token.withGeneration(token, nth === 2 ? 10 : 0)
        )
      )
      const generations: Array<number> = []
      for (let i = 0; i < 3; i++) generations.push((yield* TokenSource.refresh(source)).generation)
      expect(generations).toEqual([1, 10, 11])
    }))

  it.scoped("takes the same secret once more for the same generation", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(() => Kit.received("same", "1 hour"))
      expect((yield* source.get).generation).toBe(1)
      expect((yield* TokenSource.refresh(source)).generation).toBe(1)
    }))

  it.scoped("is named and limited in time as the source below", () =>
    Effect.gen(function*() {
      const below = { name: "mine", timeLimit: Duration.seconds(7) }
      const { source } = yield* Kit.cached(Kit.instantly(), { below })
      expect([source.name, Duration.toMillis(source.timeLimit)]).toEqual(["mine", 7_000])
      const { source: limited } = yield* Kit.cached(Kit.instantly(), { below, timeLimit: "9 seconds" })
      expect(Duration.toMillis(limited.timeLimit)).toBe(9_000)
    }))

  it.scoped("can be called in both ways", () =>
    Effect.gen(function*() {
      const below = Effect.succeed(Kit.issuer(Kit.instantly()).source)
      const one = yield* TokenCache.cached(below)
      const two = yield* TokenCache.cached(below, { schedule: "onUse" })
      const three = yield* below.pipe(TokenCache.cached())
      const four = yield* below.pipe(TokenCache.cached({ schedule: "onUse" }))
      const tokens = yield* Effect.all([one, two, three, four].map((source) => source.get))
      expect(tokens.map(secretOf)).toEqual(["t1", "t2", "t3", "t4"])
    }).pipe(Effect.provide(RefreshScheduler.layer)))
})

it.scoped("works in parts: each method can be taken off its source", () =>
  Effect.gen(function*() {
    const { source } = yield* Kit.cached(Kit.instantly())
    const { get, invalidate, onChange, peek, request } = source
    let told = 0
    onChange(() => void told++)
    yield* Effect.flatMap(get, invalidate)
    expect(Option.map(peek(), secretOf)).toEqual(Option.none())
    expect(secretOf(yield* Effect.flatMap(Effect.succeed({ minValidity: "1 minute" as const }), request)))
      .toBe("t2")
    expect(Option.map(peek(), secretOf)).toEqual(Option.some("t2"))
    expect(told).toBe(5)
  }))

describe("the life of a token of one hour", () => {
  // What `get` gives at an instant after receipt, and how many fetches there were then, when nobody used it between.
  const table: ReadonlyArray<readonly [string, number, "background" | "onUse", string, number]> = [
    ["one millisecond old", 1, "background", "t1", 1],
    ["just before the window", 55 * minute - 1, "background", "t1", 1],
    ["at the window, while the renewal is in flight", 55 * minute, "background", "t1", 2],
    ["when the renewal has ended", 55 * minute + second, "background", "t2", 2],
    ["just before expiry", hour - 1, "background", "t2", 2],
    ["at expiry", hour, "background", "t2", 2],
    ["on use, just before the window", 55 * minute - 1, "onUse", "t1", 1],
    ["on use, at the window", 55 * minute, "onUse", "t1", 2],
    ["on use, just before expiry", hour - 1, "onUse", "t1", 2],
    ["on use, at expiry", hour, "onUse", "t2", 2],
    ["on use, long after", 10 * hour, "onUse", "t2", 2]
  ]

  it.scoped.each(table)("%s", ([, after, schedule, expected, fetches]) =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "1 second"), { schedule })
      yield* within(source.get)
      yield* TestClock.adjust(after)
      const before = log.fetches
      const fiber = yield* Effect.fork(source.get)
      yield* Kit.settle
      expect(log.fetches).toBe(fetches)
      if (schedule === "onUse" && after < hour) expect(secretOf(yield* Kit.ended(fiber))).toBe(expected)
      else {
        if (before < log.fetches) yield* TestClock.adjust("1 second")
        expect(secretOf(yield* Kit.ended(fiber))).toBe(expected)
      }
    }))

  it.scoped("nobody waits while the old token is valid, and everybody has the new one after that", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "20 seconds"))
      yield* within(source.get, "20 seconds")
      const seen: Array<string> = []
      // The clock stands still during a `get`, so a caller that had to wait would never come back.
      for (let at = 0; at < 3 * 60; at++) {
        seen.push(secretOf(yield* Kit.ended(yield* Effect.fork(source.get))))
        yield* TestClock.adjust("1 minute")
      }
      expect(new Set(seen)).toEqual(new Set(["t1", "t2", "t3", "t4"]))
      expect(log).toMatchObject({ fetches: 4, most: 1 })
    }))

  it.scoped("on use, nothing is fetched while nobody asks", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly(), { schedule: "onUse" })
      yield* source.get
      yield* TestClock.adjust("10 days")
      expect(log.fetches).toBe(1)
      expect(secretOf(yield* source.get)).toBe("t2")
    }))

  it.scoped("on use, one use inside the window starts one renewal", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered(), { schedule: "onUse" })
      yield* within(source.get)
      yield* TestClock.adjust("56 minutes")
      const tokens = yield* Effect.all(Array.from({ length: 50 }, () => source.get))
      expect(new Set(tokens.map(secretOf))).toEqual(new Set(["t1"]))
      yield* TestClock.adjust("1 second")
      expect(log.fetches).toBe(2)
      expect(secretOf(yield* source.get)).toBe("t2")
    }))
})

describe("short and odd lifetimes", () => {
  it.scoped.each<readonly [string, Duration.DurationInput, number]>([
    ["a minute", "1 minute", 60],
    ["five minutes, with a window as long as that", "5 minutes", 60]
  ])("%s: renewals stay in proportion to the lifetime", ([, life]) =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly(life), { policy: RefreshPolicy.standard })
      yield* source.get
      const lives = 20
      yield* TestClock.adjust(Duration.times(Duration.decode(life), lives))
      // Used for at least two thirds less a tenth, and never longer than its life.
      expect(log.fetches).toBeGreaterThanOrEqual(lives)
      expect(log.fetches).toBeLessThanOrEqual(Math.ceil(lives / (2 / 3 - 0.1)) + 1)
    }))

  it.scoped("a token of 1 ms is renewed in the background at most once a second", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly("1 millis"))
      yield* source.get
      yield* TestClock.adjust("10 seconds")
      expect(log.fetches).toBeLessThanOrEqual(11)
    }))

  it.scoped.each([[49, "t1"], [50, "t2"], [99, "t2"]] as const)(
    "a token of 50 ms, shorter than the least time between renewals, after %s ms: %s",
    ([after, expected]) =>
      Effect.gen(function*() {
        const { source } = yield* Kit.cached(Kit.instantly("50 millis"), { schedule: "onUse" })
        yield* source.get
        yield* TestClock.adjust(after)
        expect(secretOf(yield* source.get)).toBe(expected)
      })
  )

  const absolute = (text: string, expiresAt: number): Effect.Effect<Token.Token> =>
    Effect.succeed(Token.make({ value: Redacted.make(text), expiresAt }))

  it.scoped("a token of unknown receipt is not renewed in a storm", () =>
    Effect.gen(function*() {
      // Decades after 1970, as on a real clock, with the standard jitter.
      const start = 50 * 365 * 24 * hour
      yield* TestClock.setTime(start)
      const { log, source } = yield* Kit.cached((nth) => absolute(`t${nth}`, start + nth * hour), {
        policy: RefreshPolicy.standard
      })
      yield* source.get
      yield* TestClock.adjust("10 minutes")
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust("50 minutes")
      expect(log.fetches).toBe(2)
    }))

  it.scoped("an issuer that gives the same token until shortly before its end is not asked in a storm", () =>
    Effect.gen(function*() {
      const start = 1_000 * hour
      yield* TestClock.setTime(start)
      // As metadata servers do: a new token only 2 minutes before the old one ends.
      const { log, source } = yield* Kit.cached(() =>
        Effect.clockWith((clock) => {
          const nth = Math.floor((clock.unsafeCurrentTimeMillis() - start + 2 * minute) / hour)
          return Effect.succeed(
            Token.make({
              value: Redacted.make(`t${nth}`),
              issuedAt: start + nth * hour - 2 * minute,
              expiresAt: start + (nth + 1) * hour
            })
          )
        })
      )
      yield* source.get
      yield* TestClock.adjust(hour)
      expect(secretOf(yield* source.get)).toBe("t1")
      expect(log.fetches).toBeLessThanOrEqual(12)
    }))

  it.scoped("a token that comes expired is a failure, never served", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(() => Kit.received("old", 0))
      const error = Kit.errorOf(yield* Effect.exit(source.get))
      expect(error).toMatchObject({ _tag: "TransientFailure", reason: "MalformedAnswer" })
      yield* Effect.exit(source.get)
      expect(log.fetches).toBe(1)
      expect(source.peek()).toEqual(Option.none())
    }))

  it.scoped("an expiry that is no number is a failure, never for ever", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 day")
      const { source } = yield* Kit.cached(() => absolute("odd", Number.NaN))
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "MalformedAnswer" })
    }))
})

describe("idle stop", () => {
  it.scoped("stops renewing when it was not used for so long, and starts again on use", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly(), { idle: "2 hours" })
      yield* source.get
      yield* TestClock.adjust("10 days")
      expect(log.fetches).toBe(3)
      expect(secretOf(yield* source.get)).toBe("t4")
      yield* TestClock.adjust("56 minutes")
      expect(log.fetches).toBe(5)
    }))

  // The second renewal is due 110 minutes after the only use.
  it.scoped.each<readonly [string, number, number]>([
    ["used a millisecond less than that ago", 110 * minute + 1, 3],
    ["used exactly that ago", 110 * minute, 2]
  ])("%s", ([, idle, fetches]) =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly(), { idle })
      yield* source.get
      yield* TestClock.adjust("111 minutes")
      expect(log.fetches).toBe(fetches)
    }))

  it.scoped("a use inside the window after an idle stop serves the old token and renews it", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered(), { idle: "10 minutes" })
      yield* within(source.get)
      yield* TestClock.adjust("57 minutes")
      expect(log.fetches).toBe(1)
      expect(secretOf(yield* source.get)).toBe("t1")
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* source.get)).toBe("t2")
    }))
})

describe("adaptive policies", () => {
  it.scoped("look at what the cache has seen of its own renewals", () =>
    Effect.gen(function*() {
      const policy = RefreshPolicy.adaptive({ jitter: 0 })
      const { log, source } = yield* Kit.cached(Kit.numbered("10 hours", "2 seconds"), { policy })
      yield* within(source.get, "2 seconds")
      // 2 s of latency are 10 minutes more than the 5.
      yield* TestClock.adjust(10 * hour - 15 * minute - 1)
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust(1)
      expect(log.fetches).toBe(2)
    }))

  it.scoped("look at the statistics that they are given", () =>
    Effect.gen(function*() {
      const policy = RefreshPolicy.preemptive(Kit.exact)
      const statistics = Effect.succeed({ ...RefreshPolicy.noStatistics, requestsPerHour: 1_000 })
      const { log, source } = yield* Kit.cached(Kit.instantly(), { policy, statistics })
      yield* source.get
      yield* TestClock.adjust(50 * minute - 1)
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust(1)
      expect(log.fetches).toBe(2)
    }))

  it.scoped("count uses by the hour", () =>
    Effect.gen(function*() {
      const policy = RefreshPolicy.preemptive(Kit.exact, { requestsPerHour: 100 })
      const { log, source } = yield* Kit.cached(Kit.instantly(), { policy })
      yield* Effect.repeatN(source.get, 99)
      yield* TestClock.adjust(55 * minute)
      // The first renewal did not know of the uses after it; the second one does.
      expect(log.fetches).toBe(2)
      yield* TestClock.adjust(50 * minute)
      expect(log.fetches).toBe(3)
    }))

  it.scoped("whose statistics die do not make anybody wait for ever", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly(), { statistics: Effect.die("no statistics") })
      expect(Kit.errorOf(yield* within(Effect.exit(source.get)))).toBe("died")
    }))

  it.scoped("whose window throws do not make anybody wait for ever", () =>
    Effect.gen(function*() {
      const policy = {
        ...Kit.exact,
        window: () => {
          throw new Error("no window")
        }
      }
      const { source } = yield* Kit.cached(Kit.instantly(), { policy })
      expect(Kit.errorOf(yield* within(Effect.exit(source.get)))).toBe("died")
    }))
})

describe("peek", () => {
  it.scoped("gives the token that is held and valid, and nothing else", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.numbered(), { schedule: "onUse" })
      const peeked = () => Option.getOrUndefined(Option.map(source.peek(), secretOf))
      expect(peeked()).toBeUndefined()
      const fiber = yield* Effect.fork(source.get)
      yield* Kit.settle
      expect(peeked()).toBeUndefined()
      yield* TestClock.adjust("1 second")
      yield* Kit.ended(fiber)
      expect(peeked()).toBe("t1")
      yield* TestClock.adjust(55 * minute - 1)
      expect(peeked()).toBe("t1")
      // A renewal is due: who peeks has to come by `get`, which begins it.
      yield* TestClock.adjust(1)
      expect(peeked()).toBeUndefined()
      yield* source.get
      expect(peeked()).toBe("t1")
      yield* TestClock.adjust("1 second")
      expect(peeked()).toBe("t2")
      yield* TestClock.adjust("1 hour")
      expect(peeked()).toBeUndefined()
    }))

  it.scoped("gives nothing after the token was refused", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      yield* source.invalidate(yield* source.get)
      expect(source.peek()).toEqual(Option.none())
    }))
})

describe("toPromise", () => {
  it.scoped("gives the token that is held without a fiber, fetches if there is none, and rejects with the error", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth) =>
        nth === 2 ? Effect.fail(Kit.reauth()) : Kit.instantly()(nth, {})
      )
      const token = yield* TokenCache.toPromise(source)
      expect(secretOf(yield* Effect.promise(() => token()))).toBe("t1")
      expect(secretOf(yield* Effect.promise(() => token()))).toBe("t1")
      expect(log.fetches).toBe(1)
      yield* source.invalidate(yield* source.get)
      const failure = yield* Effect.flip(
        Effect.tryPromise({ try: () => token(), catch: (error) => error as TokenError })
      )
      expect(failure).toBeInstanceOf(ReauthRequired)
      expect(failure).toMatchObject({ _tag: "ReauthRequired", reason: "GrantRejected" })
    }))
})

import { describe, expect, it } from "@effect/vitest"
import * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { ended, hour, minute, second, secretOf, settle, within } from "./internal/kit.js"

describe("minValidity", () => {
  // A token of one hour, asked for at an instant after receipt, with a renewal that takes a second.
  it.scoped.each<readonly [string, number, Duration.DurationInput, string, number]>([
    ["nothing", 10 * minute, 0, "t1", 1],
    ["less than is left", 10 * minute, 50 * minute - 1, "t1", 1],
    ["exactly what is left", 10 * minute, 50 * minute, "t1", 1],
    ["a millisecond more than is left", 10 * minute, 50 * minute + 1, "t2", 2],
    ["all of the lifetime", 10 * minute, hour, "t2", 2],
    ["a negative validity", 10 * minute, -5, "t1", 1],
    ["no number", 10 * minute, Number.NaN, "t1", 1]
  ])("%s", ([, after, minValidity, expected, fetches]) =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered())
      yield* within(source.get)
      yield* TestClock.adjust(after)
      expect(secretOf(yield* within(source.request({ minValidity })))).toBe(expected)
      expect(log.fetches).toBe(fetches)
    }))

  it.scoped("longer than the lifetime is rejected without a fetch", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      yield* source.get
      for (const minValidity of [hour + 1, Infinity]) {
        expect(Kit.errorOf(yield* Effect.exit(source.request({ minValidity })))).toMatchObject({
          _tag: "RequestRejected",
          reason: "MinValidity"
        })
      }
      expect(log.fetches).toBe(1)
      expect(secretOf(yield* source.get)).toBe("t1")
    }))

  it.scoped("longer than the lifetime is rejected after one fetch where nothing is held", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const exit = yield* Effect.exit(source.request({ minValidity: "2 hours" }))
      expect(Kit.errorOf(exit)).toMatchObject({ _tag: "RequestRejected" })
      expect(log.fetches).toBe(1)
    }))

  it.scoped("is met for ever by a token that never expires", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly(Duration.infinity))
      expect(secretOf(yield* source.request({ minValidity: Duration.infinity }))).toBe("t1")
      expect(log.fetches).toBe(1)
    }))

  it.scoped("joins a renewal that is in flight", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "10 seconds"))
      yield* within(source.get, "10 seconds")
      yield* TestClock.adjust("55 minutes")
      expect(log).toMatchObject({ fetches: 2, inFlight: 1 })
      const demanding = yield* Effect.fork(source.request({ minValidity: "10 minutes" }))
      const modest = yield* Effect.fork(source.request({ minValidity: "1 minute" }))
      yield* settle
      expect(secretOf(yield* ended(modest))).toBe("t1")
      yield* TestClock.adjust("10 seconds")
      expect(secretOf(yield* ended(demanding))).toBe("t2")
      expect(log.fetches).toBe(2)
    }))

  it.scoped("inside the window serves the token and begins its renewal", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered(), { schedule: "onUse" })
      yield* within(source.get)
      yield* TestClock.adjust("56 minutes")
      expect(secretOf(yield* source.request({ minValidity: "1 minute" }))).toBe("t1")
      yield* TestClock.adjust("1 second")
      expect(log.fetches).toBe(2)
    }))

  it.scoped("that an issuer can't meet now is a failure after two fetches, and the token stays", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 day")
      const only = yield* Kit.received("t", "1 hour")
      const { log, source } = yield* Kit.cached(() => Effect.succeed(only))
      yield* source.get
      yield* TestClock.adjust("30 minutes")
      const exit = yield* Effect.exit(source.request({ minValidity: "31 minutes" }))
      expect(Kit.errorOf(exit)).toMatchObject({ _tag: "TransientFailure" })
      expect(log.fetches).toBeLessThanOrEqual(3)
      expect(secretOf(yield* source.get)).toBe("t")
    }))

  it.scoped("of many callers at once is met by one fetch", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered())
      yield* within(source.get)
      yield* TestClock.adjust("30 minutes")
      const asks = Array.from({ length: 100 }, (_, i) => source.request({ minValidity: 31 * minute + i }))
      const tokens = yield* within(Effect.all(asks, { concurrency: "unbounded" }))
      expect(new Set(tokens.map(secretOf))).toEqual(new Set(["t2"]))
      expect(log.fetches).toBe(2)
    }))

  it.scoped("is gated by a failure while it is remembered, though a stale token is served to others", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(
        (nth) => nth === 1 ? Kit.instantly()(nth, {}) : Effect.fail(Kit.transient())
      )
      yield* source.get
      yield* TestClock.adjust("55 minutes")
      const before = log.fetches
      for (let i = 0; i < 10; i++) {
        expect(Kit.errorOf(yield* Effect.exit(source.request({ minValidity: "10 minutes" })))).toMatchObject({
          reason: "ServerError"
        })
      }
      expect(log.fetches).toBe(before)
      expect(secretOf(yield* source.get)).toBe("t1")
    }))
})

describe("refresh", () => {
  it.scoped("gets a new token though the old one is fresh", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      yield* source.get
      expect(secretOf(yield* TokenSource.refresh(source))).toBe("t2")
      expect(secretOf(yield* source.get)).toBe("t2")
      expect(log.requests).toMatchObject([{}, { refresh: true, interactive: true }])
      expect(log.requests[1]?.supersede && secretOf(log.requests[1].supersede)).toBe("t1")
    }))

  it.scoped("of many callers at once is one fetch, and others go on with the old token meanwhile", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered())
      yield* within(source.get)
      const fibers = yield* Effect.forEach(
        Array.from({ length: 50 }),
        () => Effect.fork(TokenSource.refresh(source))
      )
      yield* settle
      expect(secretOf(yield* source.get)).toBe("t1")
      yield* TestClock.adjust("1 second")
      for (const fiber of fibers) expect(secretOf(yield* ended(fiber))).toBe("t2")
      expect(log.fetches).toBe(2)
    }))

  it.scoped("passes the gate of a failure", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth) =>
        nth <= 2 ? Effect.fail(Kit.reauth()) : Kit.instantly()(nth, {})
      )
      yield* Effect.exit(source.get)
      yield* Effect.exit(source.get)
      expect(log.fetches).toBe(1)
      yield* Effect.exit(TokenSource.refresh(source))
      expect(log.fetches).toBe(2)
      expect(secretOf(yield* TokenSource.refresh(source))).toBe("t3")
      expect(secretOf(yield* source.get)).toBe("t3")
    }))

  it.scoped("that fails leaves the old token in use", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached((nth) =>
        nth === 1 ? Kit.instantly()(nth, {}) : Effect.fail(Kit.transient())
      )
      yield* source.get
      expect(Kit.errorOf(yield* Effect.exit(TokenSource.refresh(source)))).toMatchObject({
        reason: "ServerError"
      })
      expect(secretOf(yield* source.get)).toBe("t1")
    }))

  it.scoped("that joined a background renewal does not pass off the old token as a new one", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth, request) => {
        if (nth === 1) return Kit.instantly()(nth, request)
        const answer = request.interactive === false
          ? Effect.fail(Kit.reauth())
          : Kit.instantly()(nth, request)
        return Effect.delay(answer, "10 seconds")
      })
      yield* source.get
      yield* TestClock.adjust("55 minutes")
      expect(log).toMatchObject({ fetches: 2, inFlight: 1 })
      const fiber = yield* Effect.fork(TokenSource.refresh(source))
      yield* TestClock.adjust("20 seconds")
      expect(secretOf(yield* ended(fiber))).toBe("t3")
      expect(log.requests[2]).toMatchObject({ interactive: true, refresh: true })
    }))
})

describe("supersede", () => {
  it.scoped("gives what is held when that is another token", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const first = yield* source.get
      yield* TokenSource.refresh(source)
      expect(secretOf(yield* source.request({ supersede: first }))).toBe("t2")
      expect(log.fetches).toBe(2)
    }))

  it.scoped("replaces the token that is held, once for any number of callers", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered())
      const first = yield* within(source.get)
      const asks = Array.from({ length: 100 }, () => source.request({ supersede: first }))
      const tokens = yield* within(Effect.all(asks, { concurrency: "unbounded" }))
      expect(new Set(tokens.map(secretOf))).toEqual(new Set(["t2"]))
      expect(log.fetches).toBe(2)
      expect(log.requests[1]?.supersede && secretOf(log.requests[1].supersede)).toBe("t1")
    }))

  it.scoped("compares by secret, not by object or generation", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      yield* source.get
      const alike = yield* Effect.map(Kit.received("t1"), (token) => Token.withGeneration(token, 99))
      expect(secretOf(yield* source.request({ supersede: alike }))).toBe("t2")
    }))

  it.scoped("on an empty cache never gives the token that is not wanted", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const foreign = yield* Kit.received("t1")
      expect(secretOf(yield* source.request({ supersede: foreign }))).toBe("t2")
      expect(log.fetches).toBe(2)
    }))

  it.scoped("by an issuer that has only this one is a failure, not a loop", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(() => Kit.received("only", "1 hour"))
      const only = yield* source.get
      expect(Kit.errorOf(yield* Effect.exit(source.request({ supersede: only })))).toMatchObject({
        _tag: "TransientFailure",
        reason: "RejectedWhileFresh"
      })
      expect(log.fetches).toBeLessThanOrEqual(3)
      expect(secretOf(yield* source.get)).toBe("only")
    }))

  it.scoped("together with minValidity wants both", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      const first = yield* source.get
      yield* TokenSource.refresh(source)
      yield* TestClock.adjust("30 minutes")
      expect(secretOf(yield* source.request({ supersede: first, minValidity: "20 minutes" }))).toBe("t2")
      expect(secretOf(yield* source.request({ supersede: first, minValidity: "40 minutes" }))).toBe("t3")
    }))
})

describe("interactive", () => {
  /** Gives a token only where a person may be asked. */
  const needsAPerson: Kit.Script<TokenError> = (nth, request) =>
    Effect.delay(
      request.interactive === false ? Effect.fail(Kit.loginRequired) : Kit.instantly()(nth, request),
      "1 second"
    )
  const asked = (log: Kit.Log) => log.requests.filter((request) => request.interactive !== false).length

  it.scoped("false never asks a person, whatever happens", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(needsAPerson)
      const exit = yield* within(Effect.exit(source.request({ interactive: false })), "10 seconds")
      expect(Kit.errorOf(exit)).toMatchObject({ _tag: "TokenUnavailable", reason: "LoginRequired" })
      expect(asked(log)).toBe(0)
    }))

  it.scoped("false with refresh or supersede never asks a person either", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth, request) =>
        nth === 1 ? Kit.instantly()(nth, request) : needsAPerson(nth, request)
      )
      const token = yield* source.get
      for (const request of [{ refresh: true }, { supersede: token }, { minValidity: 50 * minute }]) {
        yield* TestClock.adjust("11 minutes")
        const exit = yield* within(
          Effect.exit(source.request({ ...request, interactive: false })),
          "10 seconds"
        )
        expect(Kit.errorOf(exit)).toMatchObject({ reason: "LoginRequired" })
      }
      expect(asked(log)).toBe(1)
    }))

  it.scoped("false is gated by the failure of its like", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(needsAPerson)
      yield* within(Effect.exit(source.request({ interactive: false })))
      for (let i = 0; i < 20; i++) yield* Kit.within(Effect.exit(source.request({ interactive: false })), 1)
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust("1 second")
      yield* within(Effect.exit(source.request({ interactive: false })))
      expect(log.fetches).toBe(2)
    }))

  it.scoped("failures of its like do not gate a caller who can ask a person", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(needsAPerson)
      yield* within(Effect.exit(source.request({ interactive: false })))
      expect(secretOf(yield* within(source.get))).toBe("t2")
      expect(asked(log)).toBe(1)
    }))

  it.scoped("callers who joined a fetch that could not ask a person ask one, together, once", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(needsAPerson)
      const silent = yield* Effect.fork(Effect.exit(source.request({ interactive: false })))
      yield* settle
      const joined = yield* Effect.forEach(
        [source.get, source.get, source.request({ minValidity: "1 minute" })],
        Effect.fork
      )
      yield* settle
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      expect(Kit.errorOf(yield* ended(silent))).toMatchObject({ reason: "LoginRequired" })
      for (const fiber of joined) expect(secretOf(yield* ended(fiber))).toBe("t2")
      expect(log).toMatchObject({ fetches: 2, most: 1 })
    }))

  it.scoped("the background never asks a person, and does not try again in vain", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth, request) =>
        nth === 1 ? Kit.instantly()(nth, request) : needsAPerson(nth, request)
      )
      yield* source.get
      yield* TestClock.adjust("59 minutes")
      expect(log.fetches).toBe(2)
      expect(asked(log)).toBe(1)
      expect(secretOf(yield* source.get)).toBe("t1")
      yield* TestClock.adjust("1 minute")
      // The token has expired: now a caller may ask.
      expect(secretOf(yield* within(source.get, "2 seconds"))).not.toBe("t1")
      expect(asked(log)).toBe(2)
    }))

  it.scoped("a transient failure of the background gates everybody: a person would not help", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth) =>
        nth === 1 ? Kit.instantly()(nth, {}) : Effect.fail(Kit.transient(2 * hour))
      )
      yield* source.get
      yield* TestClock.adjust("61 minutes")
      const before = log.fetches
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "ServerError" })
      expect(log.fetches).toBe(before)
      expect(Option.isNone(source.peek())).toBe(true)
    }))
})

it.scoped("all kinds of requests at once make one fetch", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "10 seconds"))
    const token = yield* within(source.get, "10 seconds")
    yield* TestClock.adjust(55 * minute - second)
    const asks = [
      TokenSource.refresh(source),
      source.request({ supersede: token }),
      source.request({ minValidity: "30 minutes" }),
      source.request({ interactive: false, refresh: true })
    ]
    const fibers = yield* Effect.forEach(asks, Effect.fork)
    yield* settle
    // The background's own time comes while it is in flight.
    yield* TestClock.adjust("10 seconds")
    for (const fiber of fibers) expect(secretOf(yield* ended(fiber))).toBe("t2")
    expect(log).toMatchObject({ fetches: 2, most: 1 })
  }))

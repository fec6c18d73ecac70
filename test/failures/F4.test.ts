import { expect, it } from "@effect/vitest"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as Kit from "../internal/kit.js"
import { minute, secretOf } from "../internal/kit.js"

it.scoped("F4 every path to a renewal goes through the one fetch, so that no two of them ever run at once", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(Kit.numbered("10 minutes", "5 seconds"))
    const token = yield* Kit.within(source.get, "5 seconds")
    // The window of a 10-minute token begins after 6 minutes 40.
    yield* TestClock.adjust(6 * minute + 40_000 - 5_000)
    yield* TestClock.adjust("5 seconds")
    // The background is renewing: now everybody wants a new token, each in another way.
    expect(log).toMatchObject({ fetches: 2, inFlight: 1 })
    const paths = [
      TokenSource.refresh(source),
      source.request({ supersede: token }),
      source.request({ minValidity: "9 minutes" }),
      source.request({ refresh: true, interactive: false }),
      Effect.zipRight(source.invalidate(token), source.get)
    ]
    const fibers = yield* Effect.forEach([...paths, ...paths], Effect.fork)
    yield* TestClock.adjust("5 seconds")
    for (const fiber of fibers) expect(secretOf(yield* Kit.ended(fiber))).toBe("t2")
    expect(log).toMatchObject({ fetches: 2, most: 1 })
  }))

it.scoped("F4 days of all paths together never have two fetches in flight", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached((nth) =>
      nth % 5 === 4
        ? Effect.delay(Effect.fail(Kit.transient()), "7 seconds")
        : Kit.numbered("20 minutes", "7 seconds")(nth, {})
    )
    for (let i = 0; i < 100; i++) {
      yield* Effect.fork(source.get)
      if (i % 3 === 0) yield* Effect.fork(TokenSource.refresh(source))
      if (i % 5 === 0) yield* Effect.fork(source.request({ minValidity: "15 minutes" }))
      if (i % 7 === 0) yield* Effect.fork(Effect.flatMap(source.get, source.invalidate))
      yield* TestClock.adjust(i % 2 === 0 ? "3 seconds" : "11 minutes")
    }
    expect(log.most).toBe(1)
    expect(log.fetches).toBeGreaterThan(25)
  }))

import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Kit from "../internal/kit.js"
import { secretOf } from "../internal/kit.js"

it.scoped("F6 cancelling the caller who began the refresh leaves it to the others", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "10 seconds"))
    const first = yield* Effect.fork(source.get)
    yield* Kit.settle
    const others = yield* Effect.forEach(Array.from({ length: 10 }), () => Effect.fork(source.get))
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.interrupt(first)
    yield* TestClock.adjust("5 seconds")
    for (const other of others) expect(secretOf(yield* Kit.ended(other))).toBe("t1")
    expect(log.fetches).toBe(1)
  }))

it.scoped("F6 cancelling every caller keeps what the refresh brings", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "10 seconds"))
    const all = Effect.all(Array.from({ length: 10 }, () => source.get), { concurrency: "unbounded" })
    yield* Kit.within(Effect.timeoutOption(all, "1 second"))
    expect(log.inFlight).toBe(1)
    yield* TestClock.adjust("9 seconds")
    expect(Option.map(source.peek(), secretOf)).toEqual(Option.some("t1"))
    expect(log.fetches).toBe(1)
  }))

it.scoped("F6 losing a race does not cancel the refresh", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "10 seconds"))
    const raced = Effect.raceFirst(
      Effect.map(source.get, secretOf),
      Effect.delay(Effect.succeed("faster"), "1 second")
    )
    expect(yield* Kit.within(raced)).toBe("faster")
    expect(secretOf(yield* Kit.within(source.get, "9 seconds"))).toBe("t1")
    expect(log.fetches).toBe(1)
  }))

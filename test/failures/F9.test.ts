import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Kit from "../internal/kit.js"
import { secretOf } from "../internal/kit.js"

it.scoped("F9 a caller's own time limit is kept, though the fetch can't be interrupted", () =>
  Effect.gen(function*() {
    const { source } = yield* Kit.cached(
      (nth) => Effect.uninterruptible(Kit.numbered("1 hour", "1 minute")(nth, {})),
      {
        timeLimit: "2 minutes"
      }
    )
    const limited = yield* Kit.within(Effect.timeoutOption(source.get, "1 second"), "1 second")
    expect(limited).toEqual(Option.none())
    expect(secretOf(yield* Kit.within(source.get, "59 seconds"))).toBe("t1")
  }))

it.scoped("F9 an interrupted first caller leaves no entry that is interrupted, or waited for, for ever", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(Kit.numbered())
    const first = yield* Effect.fork(source.get)
    yield* Kit.settle
    yield* Fiber.interrupt(first)
    expect(secretOf(yield* Kit.within(source.get))).toBe("t1")
    expect(log.fetches).toBe(1)
  }))

it.scoped("F9 a failure, a defect or an interruption from inside is not kept beyond its back-off", () =>
  Effect.gen(function*() {
    const hurdles = [Effect.fail(Kit.transient()), Effect.die("a bug"), Effect.interrupt]
    for (const hurdle of hurdles) {
      const { log, source } = yield* Kit.cached((nth) => nth === 1 ? hurdle : Kit.instantly()(nth, {}), {
        schedule: "onUse"
      })
      yield* Effect.exit(source.get)
      yield* Effect.exit(source.get)
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* source.get)).toBe("t2")
    }
  }))

it.scoped("F9 renewals go on after one that failed", () =>
  Effect.gen(function*() {
    const { source } = yield* Kit.cached((nth) => nth === 2 ? Effect.die("a bug") : Kit.instantly()(nth, {}))
    yield* source.get
    for (let i = 0; i < 12; i++) {
      yield* TestClock.adjust("30 minutes")
      expect(Option.isSome(source.peek())).toBe(true)
    }
  }))

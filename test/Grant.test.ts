import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as Token from "effect-credentials/Token"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"

const grant = Grant.make({ token: Token.make({ value: Redacted.make("t") }) })

/** A login whose answer arrives after a minute and is worked on for another one. */
const login = Effect.uninterruptible(
  Effect.zipRight(
    Effect.interruptible(Effect.sleep("1 minute")),
    Grant.arriving(Effect.delay(Effect.succeed(grant), "1 minute"))
  )
)

describe("the time limit of a login", () => {
  const limited = (duration: string, login: Effect.Effect<Grant.Grant, "refused">) =>
    Effect.gen(function*() {
      const kept: Array<Grant.Grant> = []
      const keep = (grant: Grant.Grant) => Effect.sync(() => kept.push(grant))
      const limit = { duration: duration as "1 second", onTimeout: () => "late" as const }
      const fiber = yield* Effect.fork(Grant.keeping(login, keep, limit))
      yield* TestClock.adjust("90 seconds")
      const early = fiber.unsafePoll()
      yield* TestClock.adjust("1 minute")
      return { early, exit: yield* Fiber.await(fiber), kept: kept.length }
    })

  it.effect("ends it while the person decides", () =>
    Effect.gen(function*() {
      const { early, kept } = yield* limited("59 seconds", login)
      assert.deepStrictEqual([early, kept], [Exit.fail("late"), 0])
    }))

  it.effect("does not cut a grant that has arrived", () =>
    Effect.gen(function*() {
      const { early, exit, kept } = yield* limited("61 seconds", login)
      assert.deepStrictEqual([early, exit, kept], [null, Exit.succeed(1), 1])
    }))

  it.effect("leaves a failure that comes before it as it is", () =>
    Effect.gen(function*() {
      const { early } = yield* limited("59 seconds", Effect.delay(Effect.fail("refused"), "58 seconds"))
      assert.deepStrictEqual(early, Exit.fail("refused"))
    }))

  it.effect("is not what a caller is told who left before", () =>
    Effect.gen(function*() {
      const limit = { duration: "2 minutes", onTimeout: () => "late" as const } as const
      const fiber = yield* Effect.fork(Grant.keeping(login, () => Effect.void, limit))
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
    }))

  it.effect("holds where the caller can't be interrupted", () =>
    Effect.gen(function*() {
      const limit = { duration: "1 minute", onTimeout: () => "late" as const } as const
      const stopped = yield* Deferred.make<void>()
      const endless = Effect.onInterrupt(Effect.never, () => Deferred.succeed(stopped, undefined))
      const fiber = yield* Effect.forkDaemon(
        Effect.uninterruptible(Effect.exit(Grant.keeping(endless, () => Effect.void, limit)))
      )
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* Deferred.isDone(stopped))
      assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("late" as const))
    }))

  it.effect("is all that ends it there", () =>
    Effect.gen(function*() {
      const kept: Array<Grant.Grant> = []
      const keep = (grant: Grant.Grant) => Effect.sync(() => kept.push(grant))
      const fiber = yield* Effect.forkDaemon(Effect.uninterruptible(Grant.keeping(login, keep)))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.interruptFork(fiber)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(kept, [grant])
    }))
})

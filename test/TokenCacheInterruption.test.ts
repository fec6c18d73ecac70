import { describe, expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import type * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { ended, secretOf, settle } from "./internal/kit.js"

const promised = (get: () => Promise<Token.Token>): Effect.Effect<Token.Token, TokenError> =>
  Effect.tryPromise({ try: get, catch: (error) => error as TokenError })

/** Every way of asking that can have to wait. */
const asks: ReadonlyArray<
  readonly [string, (source: TokenSource.TokenSource) => Effect.Effect<Token.Token, TokenError>]
> = [
  ["get", (source) => source.get],
  ["request", (source) => source.request({ minValidity: "1 minute" })],
  ["refresh", (source) => TokenSource.refresh(source)],
  ["not interactive", (source) => source.request({ interactive: false })],
  ["promise", (source) => Effect.flatMap(TokenCache.toPromise(source), promised)]
]

/** A cache in a scope that the test closes. */
const closable = <E extends TokenError>(
  script: Kit.Script<E>,
  options?: Parameters<typeof Kit.cached<E>>[1]
) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const { log, source } = yield* Scope.extend(Kit.cached(script, options), scope)
    return { log, source, close: Scope.close(scope, Exit.void) }
  })

describe("callers that leave", () => {
  it.scoped.each(asks)(
    "by %s: one of many, and the others get the token",
    ([, ask]) =>
      Effect.gen(function*() {
        const { log, source } = yield* Kit.cached(Kit.numbered())
        const fibers = yield* Effect.forEach(Array.from({ length: 5 }), () => Effect.fork(ask(source)))
        yield* settle
        const [first, ...others] = fibers
        if (first !== undefined) expect(Kit.isInterrupted(yield* Fiber.interrupt(first))).toBe(true)
        yield* TestClock.adjust("1 second")
        for (const other of others) expect(secretOf(yield* ended(other))).toBe("t1")
        expect(log.fetches).toBe(1)
      })
  )

  it.scoped.each(asks)(
    "by %s: all of them, and the fetch goes on and its result is kept",
    ([, ask]) =>
      Effect.gen(function*() {
        const { log, source } = yield* Kit.cached(Kit.numbered())
        const fibers = yield* Effect.forEach(Array.from({ length: 5 }), () => Effect.fork(ask(source)))
        yield* settle
        yield* Fiber.interruptAll(fibers)
        expect(log).toMatchObject({ fetches: 1, inFlight: 1 })
        yield* TestClock.adjust("1 second")
        expect(Option.map(source.peek(), secretOf)).toEqual(Option.some("t1"))
        expect(log).toMatchObject({ fetches: 1, inFlight: 0 })
      })
  )

  it.scoped("at each single step of the caller leave a cache that still works", () =>
    Effect.gen(function*() {
      for (let steps = 0; steps < 30; steps++) {
        const { log, source } = yield* Kit.cached(Kit.numbered())
        const fiber = yield* Effect.fork(source.get)
        yield* Effect.repeatN(Effect.yieldNow(), steps)
        yield* Fiber.interrupt(fiber)
        expect(secretOf(yield* Kit.within(source.get, "2 seconds"))).toBe("t1")
        expect(log.fetches).toBe(1)
      }
    }))

  it.scoped("by a time limit of their own do not end the fetch", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "5 seconds"))
      const impatient = yield* Effect.fork(Effect.timeoutOption(source.get, "1 second"))
      const patient = yield* Effect.fork(source.get)
      yield* TestClock.adjust("1 second")
      expect(yield* ended(impatient)).toEqual(Option.none())
      yield* TestClock.adjust("4 seconds")
      expect(secretOf(yield* ended(patient))).toBe("t1")
      expect(log.fetches).toBe(1)
    }))

  it.scoped("take their fiber-local state with them: the fetch has that of the cache", () =>
    Effect.gen(function*() {
      const local = yield* FiberRef.make("of the cache")
      const seen: Array<string> = []
      const { source } = yield* Kit.cached((nth) =>
        Effect.flatMap(FiberRef.get(local), (value) => {
          seen.push(value)
          return Kit.instantly()(nth, {})
        })
      )
      yield* Effect.locally(source.get, local, "of a caller")
      expect(seen).toEqual(["of the cache"])
    }))
})

describe("a fetch", () => {
  it.scoped.each(asks)(
    "that takes too long gives its callers a Timeout at its deadline (%s)",
    ([, ask]) =>
      Effect.gen(function*() {
        const { log, source } = yield* Kit.cached(() => Effect.never, { timeLimit: "10 seconds" })
        const fiber = yield* Effect.fork(Effect.exit(ask(source)))
        yield* TestClock.adjust(10_000 - 1)
        expect(log.inFlight).toBe(1)
        yield* TestClock.adjust(1)
        expect(Kit.errorOf(yield* ended(fiber))).toMatchObject({
          _tag: "TransientFailure",
          reason: "Timeout"
        })
        expect(log).toMatchObject({ fetches: 1, inFlight: 0 })
      })
  )

  it.scoped("that answers at exactly its deadline, before the scheduler looked, is taken", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.numbered("1 hour", "10 seconds"), { timeLimit: "10 seconds" })
      const exit = yield* Kit.within(Effect.exit(source.get), "10 seconds")
      const failure = Kit.errorOf(exit)
      if (failure !== "succeeded") expect(failure).toMatchObject({ reason: "Timeout" })
    }))

  it.scoped("has its deadline in a cache that was made in an uninterruptible place", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Effect.uninterruptible(
        Kit.cached(() => Effect.never, { timeLimit: "10 seconds" })
      )
      const fiber = yield* Effect.fork(Effect.exit(source.get))
      yield* TestClock.adjust("10 seconds")
      expect(Kit.errorOf(yield* ended(fiber))).toMatchObject({ reason: "Timeout" })
      expect(log.inFlight).toBe(0)
    }))

  it.scoped("has its deadline when the caller can't be interrupted", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(() => Effect.never, { timeLimit: "10 seconds" })
      const fiber = yield* Effect.fork(Effect.exit(Effect.uninterruptible(source.get)))
      yield* TestClock.adjust("10 seconds")
      expect(Kit.errorOf(yield* ended(fiber))).toMatchObject({ reason: "Timeout" })
    }))

  it.scoped("without a time limit may take as long as it likes", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.numbered("1 hour", "3 days"), { timeLimit: Duration.infinity })
      expect(secretOf(yield* Kit.within(source.get, "3 days"))).toBe("t1")
    }))

  it.scoped("that can't be interrupted is not started a second time at its deadline, and nobody hangs", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(
        (nth) =>
          Effect.uninterruptible(Kit.numbered("1 hour", nth === 1 ? "20 seconds" : "1 second")(nth, {})),
        { timeLimit: "10 seconds" }
      )
      const early = yield* Effect.fork(Effect.exit(source.get))
      yield* TestClock.adjust("15 seconds")
      const late = yield* Effect.fork(Effect.exit(source.get))
      yield* Kit.settle
      expect(log).toMatchObject({ fetches: 1, inFlight: 1 })
      yield* TestClock.adjust("5 seconds")
      for (const fiber of [early, late]) {
        expect(Kit.errorOf(yield* ended(fiber))).toMatchObject({ reason: "Timeout" })
      }
      yield* TestClock.adjust("1 minute")
      expect(Exit.isSuccess(yield* Kit.within(Effect.exit(source.get)))).toBe(true)
      expect(log.most).toBe(1)
    }))

  it.scoped("that dies gives the defect to its callers, and is tried again after the back-off", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached((nth) =>
        nth === 1 ? Effect.die("a bug") : Kit.instantly()(nth, {})
      )
      expect(yield* Effect.exit(source.get)).toEqual(Exit.die("a bug"))
      expect(yield* Effect.exit(source.get)).toEqual(Exit.die("a bug"))
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* source.get)).toBe("t2")
    }))

  it.scoped("that throws when it is asked for counts as one that dies", () =>
    Effect.gen(function*() {
      const thrown = (): Effect.Effect<Token.Token> => {
        throw new Error("a bug")
      }
      const plain = TokenSource.make({ name: "throws", request: () => Effect.suspend(thrown) })
      const source = yield* Kit.cache({ ...plain, request: thrown })
      for (const ask of [source.get, TokenSource.refresh(source), source.request({ interactive: false })]) {
        expect(Kit.errorOf(yield* Kit.within(Effect.exit(ask)))).toBe("died")
      }
    }))

  it.scoped("that interrupts itself gives a failure, never an interruption", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached((nth) => nth === 1 ? Effect.interrupt : Kit.instantly()(nth, {}))
      const exit = yield* Effect.exit(source.get)
      expect(Kit.isInterrupted(exit)).toBe(false)
      expect(Kit.errorOf(exit)).toMatchObject({ _tag: "TransientFailure", reason: "Interrupted" })
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* source.get)).toBe("t2")
    }))

  it.scoped("that is interrupted from outside gives a failure too", () =>
    Effect.gen(function*() {
      let running: Fiber.RuntimeFiber<Token.Token> | undefined
      const { source } = yield* Kit.cached(() =>
        Effect.flatMap(Effect.fork(Effect.never as Effect.Effect<Token.Token>), (fiber) => {
          running = fiber
          return Fiber.join(fiber)
        })
      )
      const waiting = yield* Effect.fork(Effect.exit(source.get))
      yield* settle
      if (running !== undefined) yield* Fiber.interrupt(running)
      const exit = yield* ended(waiting)
      expect(Kit.isInterrupted(exit)).toBe(false)
      expect(Kit.errorOf(exit)).toMatchObject({ reason: "Interrupted" })
    }))

  it.scoped("whose parts were interrupted because another part failed gives that failure", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(() =>
        Effect.zipRight(
          Effect.all([Effect.never, Effect.zipRight(Effect.yieldNow(), Effect.fail(Kit.transient()))], {
            concurrency: "unbounded"
          }),
          Kit.received("never")
        )
      )
      const exit = yield* Kit.within(Effect.exit(source.get))
      expect(Kit.errorOf(exit)).toMatchObject({ reason: "ServerError" })
    }))

  it.scoped("that asks its own cache ends at its deadline", () =>
    Effect.gen(function*() {
      const self: { source: TokenSource.TokenSource | undefined } = { source: undefined }
      const { source } = yield* Kit.cached<TokenError>(
        () => Effect.suspend(() => self.source?.get ?? Effect.die("no source")),
        { timeLimit: "10 seconds" }
      )
      self.source = source
      const exit = yield* Kit.within(Effect.exit(source.get), "10 seconds")
      expect(Kit.errorOf(exit)).toMatchObject({ reason: "Timeout" })
    }))
})

describe("the end of the scope", () => {
  it.scoped.each(asks)(
    "while a fetch is in flight: callers get Closed (%s)",
    ([, ask]) =>
      Effect.gen(function*() {
        const { close, log, source } = yield* closable(Kit.numbered())
        const fibers = yield* Effect.forEach(
          Array.from({ length: 3 }),
          () => Effect.fork(Effect.exit(ask(source)))
        )
        yield* settle
        yield* close
        for (const fiber of fibers) {
          const exit = yield* ended(fiber)
          expect(Kit.isInterrupted(exit)).toBe(false)
          expect(Kit.errorOf(exit)).toMatchObject({ _tag: "TokenUnavailable", reason: "Closed" })
        }
        expect(log).toMatchObject({ fetches: 1, inFlight: 0 })
        expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "Closed" })
        yield* TestClock.adjust("1 day")
        expect(log.fetches).toBe(1)
      })
  )

  it.scoped("while a token is held: nothing is given or renewed any more", () =>
    Effect.gen(function*() {
      const { close, log, source } = yield* closable(Kit.instantly())
      const token = yield* source.get
      yield* close
      for (const ask of [source.get, source.request({}), TokenSource.refresh(source)]) {
        expect(Kit.errorOf(yield* Effect.exit(ask))).toMatchObject({ reason: "Closed" })
      }
      expect(source.peek()).toEqual(Option.none())
      yield* source.invalidate(token)
      yield* TestClock.adjust("1 day")
      expect(log.fetches).toBe(1)
      expect((yield* source.status).health).toBe("Closed")
    }))

  it.scoped("before the first use", () =>
    Effect.gen(function*() {
      const { close, log, source } = yield* closable(Kit.instantly())
      yield* close
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "Closed" })
      expect(log.fetches).toBe(0)
    }))

  it.scoped("after a failure", () =>
    Effect.gen(function*() {
      const { close, log, source } = yield* closable(() => Effect.fail(Kit.transient()))
      yield* Effect.exit(source.get)
      yield* close
      yield* TestClock.adjust("1 day")
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "Closed" })
      expect(log.fetches).toBe(1)
    }))

  it.scoped("waits for a fetch that can't be interrupted", () =>
    Effect.gen(function*() {
      const persisted: Array<string> = []
      const { close, log, source } = yield* closable((nth) =>
        Effect.uninterruptible(
          Effect.tap(Kit.numbered("1 hour", "10 seconds")(nth, {}), (token) => {
            persisted.push(secretOf(token))
          })
        )
      )
      const caller = yield* Effect.fork(Effect.exit(source.get))
      yield* settle
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust("9 seconds")
      expect(Option.isNone(yield* Fiber.poll(closing))).toBe(true)
      expect(persisted).toEqual([])
      yield* TestClock.adjust("1 second")
      yield* ended(closing)
      expect(persisted).toEqual(["t1"])
      expect(Kit.errorOf(yield* ended(caller))).toMatchObject({ reason: "Closed" })
      expect(log.inFlight).toBe(0)
    }))

  it.scoped("waits for it no longer than a minute, and its callers get Closed then", () =>
    Effect.gen(function*() {
      const { close, source } = yield* closable(() =>
        Effect.uninterruptible(Effect.delay(Kit.received("t"), "1 hour"))
      )
      const caller = yield* Effect.fork(Effect.exit(source.get))
      yield* settle
      const closing = yield* Effect.fork(close)
      yield* TestClock.adjust(60_000 - 1)
      expect(Option.isNone(yield* Fiber.poll(closing))).toBe(true)
      yield* TestClock.adjust(1)
      yield* ended(closing)
      expect(Kit.errorOf(yield* ended(caller))).toMatchObject({ reason: "Closed" })
      yield* TestClock.adjust("1 hour")
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "Closed" })
    }))

  it.scoped("by a fetch that closes it itself ends", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { source } = yield* Scope.extend(
        Kit.cached((nth) => Effect.zipRight(Scope.close(scope, Exit.void), Kit.instantly()(nth, {}))),
        scope
      )
      const fiber = yield* Effect.fork(Effect.exit(source.get))
      yield* TestClock.adjust("2 minutes")
      const exit = yield* ended(fiber)
      expect(Kit.isInterrupted(exit)).toBe(false)
    }))

  it.scoped("with the fetch swallowing its interruption: an expired token is given to nobody", () =>
    Effect.gen(function*() {
      const { close, source } = yield* closable(() =>
        Effect.catchAllCause(Effect.never, () => Kit.received("old", 0))
      )
      const caller = yield* Effect.fork(Effect.exit(source.get))
      yield* settle
      yield* close
      expect(Kit.errorOf(yield* ended(caller))).toMatchObject({ _tag: "TokenUnavailable", reason: "Closed" })
    }))

  it.effect("through a Layer, with callers that still wait", () =>
    Effect.gen(function*() {
      class Api extends TokenSource.Tag("test/Api")<Api>() {}
      const { log, source } = Kit.issuer(Kit.numbered())
      const caller = yield* Effect.gen(function*() {
        const api = yield* Api
        const fiber = yield* Effect.forkDaemon(Effect.exit(api.get))
        yield* settle
        return fiber
      }).pipe(Effect.provide(Api.layer(TokenCache.cached(Effect.succeed(source)))))
      const exit = yield* ended(caller)
      expect(Kit.isInterrupted(exit)).toBe(false)
      expect(Kit.errorOf(exit)).toMatchObject({ reason: "Closed" })
      expect(log.inFlight).toBe(0)
    }))

  it.effect("when the scheduler goes first leaves no renewal behind", () =>
    Effect.gen(function*() {
      const { log, source } = Kit.issuer(Kit.instantly())
      yield* Effect.scoped(Effect.gen(function*() {
        const cached = yield* TokenCache.make(source).pipe(
          Effect.provideService(
            RefreshScheduler.RefreshScheduler,
            yield* Effect.scoped(RefreshScheduler.make())
          )
        )
        yield* cached.get
        yield* TestClock.adjust("1 day")
        expect(log.fetches).toBe(1)
      }))
    }))

  it.effect("interrupted caller and closed scope in any order of steps", () =>
    Effect.gen(function*() {
      for (let a = 0; a < 8; a++) {
        for (let b = 0; b < 8; b++) {
          const { close, log, source } = yield* closable(Kit.numbered())
          const one = yield* Effect.fork(source.get)
          const two = yield* Effect.fork(Effect.exit(source.get))
          yield* Effect.repeatN(Effect.yieldNow(), a)
          const leaving = yield* Effect.fork(Fiber.interrupt(one))
          yield* Effect.repeatN(Effect.yieldNow(), b)
          yield* close
          yield* ended(leaving)
          expect(Kit.errorOf(yield* ended(two))).toMatchObject({ reason: "Closed" })
          expect(log.inFlight).toBe(0)
        }
      }
    }))
})

import { describe, expect, it } from "@effect/vitest"
import type * as Token from "effect-credentials/Token"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStream from "effect-credentials/TokenStream"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { ended, hour, minute, second, secretOf } from "./internal/kit.js"

/** Collects what the stream gives, while the test goes on. */
const collect = <A, E>(stream: Stream.Stream<A, E>) => {
  const seen: Array<A> = []
  return Effect.map(
    Effect.fork(Effect.exit(Stream.runForEach(stream, (a) => Effect.sync(() => void seen.push(a))))),
    (fiber) => ({ fiber, seen })
  )
}

describe("changes", () => {
  it.scoped("gives the status now and after each change", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.numbered())
      const { seen } = yield* collect(TokenStream.changes(source))
      yield* Kit.settle
      yield* Effect.fork(source.get)
      yield* Kit.settle
      yield* TestClock.adjust("1 second")
      yield* source.invalidate(yield* source.get)
      yield* Kit.settle
      expect(seen.map((status) => status.health)).toEqual(["Idle", "Refreshing", "Healthy", "Degraded"])
    }))

  it.scoped("a slow reader misses some but never the last one", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      const generations: Array<number | undefined> = []
      const reader = Stream.runForEach(TokenStream.changes(source), (status) =>
        Effect.zipRight(
          Effect.sync(() => void generations.push(status.token?.generation)),
          Effect.sleep("1 minute")
        ))
      yield* Effect.fork(reader)
      yield* Kit.settle
      for (let i = 0; i < 50; i++) yield* TokenSource.refresh(source)
      yield* TestClock.adjust("10 minutes")
      expect(generations.at(-1)).toBe(50)
      expect(generations.length).toBeLessThan(10)
    }))

  it.scoped("stops listening when the stream ends, however it does", () =>
    Effect.gen(function*() {
      let listeners = 0
      const { source } = Kit.issuer(Kit.instantly(), {
        onChange: () => {
          listeners++
          return () => void listeners--
        }
      })
      const changes = TokenStream.changes(source)
      yield* Stream.runDrain(Stream.take(changes, 1))
      expect(listeners).toBe(0)
      const fiber = yield* Effect.fork(Stream.runDrain(changes))
      yield* Kit.settle
      expect(listeners).toBe(1)
      yield* Fiber.interrupt(fiber)
      expect(listeners).toBe(0)
    }))

  it.scoped("shows the end", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { source } = yield* Scope.extend(Kit.cached(Kit.instantly()), scope)
      const { seen } = yield* collect(TokenStream.changes(source))
      yield* Kit.settle
      yield* Scope.close(scope, Exit.void)
      yield* Kit.settle
      expect(seen.map((status) => status.health)).toEqual(["Idle", "Closed"])
    }))
})

/** An endless stream of the token's secret, one each `every`. */
const ticking = (every: string) => (token: Token.Token): Stream.Stream<string> =>
  Stream.map(Stream.fromSchedule(Schedule.spaced(every as "1 minute")), () => secretOf(token))

describe("reopening", () => {
  it.scoped("opens the stream anew before the token expires, without a gap in its elements", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const opened: Array<number> = []
      const { seen } = yield* collect(
        TokenStream.reopening(source, (token) =>
          Stream.unwrap(Effect.clockWith((clock) =>
            Effect.sync(() => {
              opened.push(clock.unsafeCurrentTimeMillis())
              return ticking("5 minutes")(token)
            })
          )))
      )
      yield* TestClock.adjust("3 hours")
      // The background renews at 55 minutes; the stream goes on with its own token until 10 seconds before the end.
      expect(opened).toEqual(
        [0, hour, hour + 55 * minute, hour + 110 * minute].map((at) => at && at - 10 * second)
      )
      expect(new Set(seen)).toEqual(new Set(["t1", "t2", "t3", "t4"]))
      expect(log.fetches).toBe(4)
    }))

  // A token that lives this long, opened at once: the stream is opened again after …
  it.scoped.each<readonly [string, number, number]>([
    ["a minute: 10 seconds before", 60_000, 50_000],
    ["30 seconds: 10 seconds before", 30_000, 20_000],
    ["29 seconds: a third before", 29_001, 19_334],
    ["3 milliseconds", 3, 2]
  ])("of a token that lives for %s", ([, life, expected]) =>
    Effect.gen(function*() {
      const { source } = Kit.issuer(Kit.instantly(life))
      const opened: Array<number> = []
      yield* collect(
        TokenStream.reopening(source, () =>
          Stream.fromEffect(
            Effect.clockWith((clock) => {
              opened.push(clock.unsafeCurrentTimeMillis())
              return Effect.never
            })
          ))
      )
      yield* TestClock.adjust(expected - 1)
      expect(opened).toEqual([0])
      yield* TestClock.adjust(1)
      expect(opened).toEqual([0, expected])
    }))

  it.scoped("does not open anew for a token that never expires", () =>
    Effect.gen(function*() {
      const source = yield* TokenSource.staticToken(Redacted.make("key"))
      let opened = 0
      yield* collect(
        TokenStream.reopening(source, () => {
          opened++
          return Stream.never
        })
      )
      yield* TestClock.adjust("100 days")
      expect(opened).toBe(1)
    }))

  it.scoped("ends when the stream ends", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const all = yield* Stream.runCollect(
        TokenStream.reopening(source, (token) => Stream.make(secretOf(token), "end"))
      )
      expect(Chunk.toReadonlyArray(all)).toEqual(["t1", "end"])
      expect(log.fetches).toBe(1)
    }))

  it.scoped("fails as the stream and as the source", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      const broken = TokenStream.reopening(source, () => Stream.fail("broken"))
      expect(yield* Effect.flip(Stream.runDrain(broken))).toBe("broken")
      const none = TokenStream.reopening(
        Kit.issuer(() => Effect.fail(Kit.reauth())).source,
        () => Stream.empty
      )
      expect(yield* Effect.flip(Stream.runDrain(none))).toMatchObject({ _tag: "ReauthRequired" })
    }))

  const options = { isRejection: (error: string) => error === "401" }
  /** Refuses each token after the elements that it is given. */
  const refusing = (elements: ReadonlyArray<number>) => (token: Token.Token) =>
    Stream.concat(Stream.fromIterable(elements.map((n) => `${secretOf(token)}:${n}`)), Stream.fail("401"))

  it.scoped("on a refusal says so and goes on with a new token", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const stream = TokenStream.reopening(
        source,
        (token) => secretOf(token) === "t1" ? refusing([1, 2])(token) : Stream.make("done"),
        options
      )
      expect(Chunk.toReadonlyArray(yield* Stream.runCollect(stream))).toEqual(["t1:1", "t1:2", "done"])
      expect(log.invalidated).toEqual(["t1"])
      expect(log.fetches).toBe(2)
    }))

  it.scoped("two refusals in a row without an element between are the stream's failure, not a loop", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const stream = TokenStream.reopening(source, refusing([]), options)
      expect(yield* Effect.flip(Stream.runDrain(stream))).toBe("401")
      expect(log.fetches).toBe(2)
    }))

  it.scoped("refusals with elements between go on, until the source has enough", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const { fiber, seen } = yield* collect(TokenStream.reopening(source, refusing([1]), options))
      yield* TestClock.adjust("1 hour")
      expect(Kit.errorOf(yield* Effect.flatten(ended(fiber)).pipe(Effect.exit))).toMatchObject({
        reason: "RejectedWhileFresh"
      })
      expect(seen).toEqual(["t1:1", "t2:1"])
      expect(log.fetches).toBe(2)
    }))

  it.scoped("a refusal of a token that is replaced by the same one is the stream's failure", () =>
    Effect.gen(function*() {
      const source = yield* TokenSource.staticToken(Redacted.make("key"))
      const stream = TokenStream.reopening(source, refusing([1]), options)
      expect(yield* Effect.flip(Stream.runDrain(stream))).toBe("401")
    }))

  it.scoped("other failures are not refusals", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      const stream = TokenStream.reopening(source, () => Stream.fail("500"), options)
      expect(yield* Effect.flip(Stream.runDrain(stream))).toBe("500")
      expect(log.invalidated).toEqual([])
    }))

  it.scoped("closes what it opened, and keeps nothing going when it is interrupted", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      let open = 0
      const { fiber } = yield* collect(
        TokenStream.reopening(source, (token) =>
          Stream.unwrapScoped(Effect.as(
            Effect.acquireRelease(Effect.sync(() => open++), () => Effect.sync(() => open--)),
            ticking("1 minute")(token)
          )))
      )
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("1 hour")
        expect(open).toBe(1)
      }
      yield* Fiber.interrupt(fiber)
      expect(open).toBe(0)
    }))

  it.scoped("can be called in both ways, with a time of one's own", () =>
    Effect.gen(function*() {
      const { source } = Kit.issuer(Kit.instantly())
      const opened: Array<number> = []
      const open = () =>
        Stream.fromEffect(Effect.clockWith((clock) => {
          opened.push(clock.unsafeCurrentTimeMillis())
          return Effect.never
        }))
      yield* collect(TokenStream.reopening(open, { before: "20 minutes" })(source))
      yield* TestClock.adjust("59 minutes")
      expect(opened).toEqual([0, 40 * 60 * second])
    }))

  it.scoped("can be run again", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      const stream = TokenStream.reopening(source, (token) => Stream.make(secretOf(token)))
      for (let i = 0; i < 2; i++) {
        expect(Chunk.toReadonlyArray(yield* Stream.runCollect(stream))).toEqual(["t1"])
      }
    }))
})

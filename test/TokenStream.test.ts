import { describe, expect, it } from "@effect/vitest"
import * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
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
      expect(Kit.errorOf(yield* ended(fiber))).toMatchObject({
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

/** An endless stream for each token, with when it was opened and closed. */
const openings = () => {
  const log: Array<readonly [string, number]> = []
  const note = (what: string) =>
    Effect.clockWith((clock) => Effect.sync(() => log.push([what, clock.unsafeCurrentTimeMillis()])))
  const open = (token: Token.Token): Stream.Stream<never> =>
    Stream.unwrapScoped(Effect.as(
      Effect.acquireRelease(note(`+${secretOf(token)}`), () => note(`-${secretOf(token)}`)),
      Stream.never
    ))
  return { log, open }
}

/** Tokens `t1`, `t2`, … that live for 30 seconds each, so that they are renewed after 20; what else happens is scripted. */
const renewing = (script: Kit.Script<TokenError>, options?: TokenStream.ReopenOptions<never>) => {
  const { log, source } = Kit.issuer<TokenError>(script)
  const { log: opened, open } = openings()
  return Effect.map(
    collect(TokenStream.reopening(source, open, options)),
    ({ fiber }) => ({ fiber, opened, fetches: log.startedAt, requests: log.requests, source })
  )
}
const seconds = (...numbers: ReadonlyArray<number>) => numbers.map((n) => n * second)

describe("a renewal beside an open stream", () => {
  it.scoped("that fails is tried again after 1, 2, 4 … seconds, and the stream goes on meanwhile", () =>
    Effect.gen(function*() {
      const { fetches, opened } = yield* renewing((nth, request) =>
        nth > 1 && nth < 5 ? Effect.fail(Kit.transient()) : Kit.instantly("30 seconds")(nth, request)
      )
      yield* TestClock.adjust("27 seconds")
      expect(fetches).toEqual(seconds(0, 20, 21, 23, 27))
      expect(opened).toEqual([["+t1", 0], ["-t1", 27_000], ["+t5", 27_000]])
    }))

  it.scoped("that fails to the end fails the stream when the token expires, and no earlier", () =>
    Effect.gen(function*() {
      const { fetches, fiber, opened } = yield* renewing((nth, request) =>
        nth > 1 ? Effect.fail(Kit.transient()) : Kit.instantly("30 seconds")(nth, request)
      )
      yield* TestClock.adjust(30 * second - 1)
      expect(fiber.unsafePoll()).toBe(null)
      expect(opened).toEqual([["+t1", 0]])
      yield* TestClock.adjust(1)
      expect(Kit.errorOf(yield* ended(fiber))).toMatchObject({ reason: "ServerError" })
      expect(opened).toEqual([["+t1", 0], ["-t1", 30_000]])
      expect(fetches).toEqual(seconds(0, 20, 21, 23, 27, 30))
    }))

  // The renewal at 20 seconds says when to try again; then it is asked at …
  it.scoped.each<readonly [string, number, ReadonlyArray<number>]>([
    ["24 seconds: then", 24, [0, 20, 24]],
    ["19 seconds, which is over: after the usual wait", 19, [0, 20, 21]],
    ["20 seconds, which is now: after the usual wait", 20, [0, 20, 21]],
    ["30 seconds: when the token has expired", 30, [0, 20, 30]]
  ])("that was told to wait until %s", ([, at, expected]) =>
    Effect.gen(function*() {
      const { fetches, fiber, opened } = yield* renewing((nth, request) =>
        nth === 2 ? Effect.fail(Kit.transient(at * second)) : Kit.instantly("30 seconds")(nth, request)
      )
      yield* TestClock.adjust("30 seconds")
      expect(fetches).toEqual(seconds(...expected))
      expect(opened.at(-1)).toEqual(["+t3", (expected.at(-1) ?? 0) * second])
      expect(fiber.unsafePoll()).toBe(null)
    }))

  it.scoped("that was told to wait for longer than the token lives asks no more, and fails at the end", () =>
    Effect.gen(function*() {
      const { fetches, fiber } = yield* renewing((nth, request) =>
        nth === 2 ? Effect.fail(Kit.transient(31 * second)) : Kit.instantly("30 seconds")(nth, request)
      )
      yield* TestClock.adjust(30 * second - 1)
      expect(fiber.unsafePoll()).toBe(null)
      yield* TestClock.adjust("10 minutes")
      expect(Kit.errorOf(yield* ended(fiber))).toMatchObject({ retryAt: 31 * second })
      expect(fetches).toEqual(seconds(0, 20))
    }))

  it.scoped("that gives the same token until it expires is tried again like one that fails", () =>
    Effect.gen(function*() {
      let token: Token.Token | undefined
      const { fetches, opened } = yield* renewing((nth) =>
        Effect.flatMap(
          Effect.clock,
          (clock) =>
            token !== undefined && clock.unsafeCurrentTimeMillis() < token.expiresAt
              ? Effect.succeed(token)
              : Effect.tap(Kit.received(`t${nth}`, "30 seconds"), (next) => Effect.sync(() => token = next))
        )
      )
      yield* TestClock.adjust("59 seconds")
      expect(opened).toEqual([["+t1", 0], ["-t1", 30_000], ["+t6", 30_000]])
      expect(fetches).toEqual(seconds(0, 20, 21, 23, 27, 30, 50, 51, 53, 57))
    }))

  it.scoped("that gives an expired token is tried again like one that fails", () =>
    Effect.gen(function*() {
      const { opened } = yield* renewing((nth) => Kit.received(`t${nth}`, nth === 2 ? 0 : "30 seconds"))
      yield* TestClock.adjust("21 seconds")
      expect(opened).toEqual([["+t1", 0], ["-t1", 21_000], ["+t3", 21_000]])
    }))

  it.scoped.each([Kit.reauth(), Kit.misconfigured, Kit.loginRequired])(
    "that fails for good is not repeated: the source is asked once more when the token has expired (%s)",
    (error) =>
      Effect.gen(function*() {
        const { fetches, fiber, opened } = yield* renewing((nth, request) =>
          nth > 1 ? Effect.fail(error) : Kit.instantly("30 seconds")(nth, request)
        )
        yield* TestClock.adjust(30 * second - 1)
        expect(fiber.unsafePoll()).toBe(null)
        yield* TestClock.adjust("10 minutes")
        expect(Kit.errorOf(yield* ended(fiber))).toBe(error)
        expect(fetches).toEqual(seconds(0, 20, 30))
        expect(opened).toEqual([["+t1", 0], ["-t1", 30_000]])
      })
  )

  it.scoped("asks nobody to log in before the token has expired, even where an opening may", () =>
    Effect.gen(function*() {
      const { opened, requests } = yield* renewing((nth, request) =>
        request.interactive === false
          ? Effect.fail(Kit.loginRequired)
          : Kit.instantly("30 seconds")(nth, request), { interactive: true })
      yield* TestClock.adjust("30 seconds")
      expect(opened).toEqual([["+t1", 0], ["-t1", 30_000], ["+t3", 30_000]])
      expect(requests.map(({ interactive, supersede }) => [interactive, supersede && secretOf(supersede)]))
        .toEqual([[undefined, undefined], [false, "t1"], [undefined, undefined]])
    }))

  it.scoped("that hangs ends with the token, and so does the stream", () =>
    Effect.gen(function*() {
      const { fetches, opened } = yield* renewing((nth, request) =>
        nth === 2 ? Effect.never : Kit.instantly("30 seconds")(nth, request)
      )
      yield* TestClock.adjust(30 * second - 1)
      expect(opened).toEqual([["+t1", 0]])
      yield* TestClock.adjust(1)
      expect(opened).toEqual([["+t1", 0], ["-t1", 30_000], ["+t3", 30_000]])
      expect(fetches).toEqual(seconds(0, 20, 30))
    }))

  it.scoped("switches when the new token is there, not when it is asked for", () =>
    Effect.gen(function*() {
      const { opened } = yield* renewing((nth, request) =>
        Effect.delay(Kit.instantly("30 seconds")(nth, request), nth === 2 ? "5 seconds" : 0)
      )
      yield* TestClock.adjust("26 seconds")
      expect(opened).toEqual([["+t1", 0], ["-t1", 25_000], ["+t2", 25_000]])
    }))

  it.scoped("of a cached source outlasts an issuer that is down for a while before expiry", () =>
    Effect.gen(function*() {
      let down = false
      const { source } = yield* Kit.cached((nth, request) =>
        down ? Effect.fail(Kit.transient()) : Kit.instantly()(nth, request)
      )
      const { log, open } = openings()
      // The cache renews from 55 minutes on, at last 183 and 243 seconds later; the stream asks from 230 seconds on.
      const { fiber } = yield* collect(TokenStream.reopening(source, open, { before: "70 seconds" }))
      yield* TestClock.adjust("54 minutes")
      down = true
      yield* TestClock.adjust(minute + 240 * second)
      expect([log, fiber.unsafePoll()]).toEqual([[["+t1", 0]], null])
      down = false
      yield* TestClock.adjust("5 seconds")
      const then = 55 * minute + 245 * second
      expect(log.map(([what, at]) => [what.slice(0, 2), at])).toEqual([["+t", 0], ["-t", then], ["+t", then]])
    }))

  it.scoped("is not begun for a token that lives longer than a timer of the platform", () =>
    Effect.gen(function*() {
      const { fetches, opened } = yield* renewing(Kit.instantly("60 days"))
      yield* TestClock.adjust("59 days")
      expect([fetches, opened]).toEqual([[0], [["+t1", 0]]])
      yield* TestClock.adjust("1 day")
      expect(fetches).toEqual([0, 60 * 24 * hour - 10 * second])
    }))

  it.scoped("is used by a slow reader only if it is still valid when the reader comes for it", () =>
    Effect.gen(function*() {
      const { log, source } = Kit.issuer(Kit.instantly("30 seconds"))
      const seen: Array<string> = []
      yield* Effect.fork(Stream.runForEach(
        TokenStream.reopening(source, (token) => Stream.concat(Stream.make(secretOf(token)), Stream.never)),
        (secret) => Effect.delay(Effect.sync(() => void seen.push(secret)), "5 minutes")
      ))
      yield* TestClock.adjust("10 minutes")
      expect(seen).toEqual(["t1", "t3"])
      expect(log.startedAt.slice(0, 3)).toEqual(seconds(0, 20, 300))
    }))

  it.scoped("ends with the stream", () =>
    Effect.gen(function*() {
      let asking = false
      const { source } = Kit.issuer((nth, request) =>
        nth === 1 ? Kit.instantly("30 seconds")(nth, request) : Effect.onInterrupt(
          Effect.zipRight(Effect.sync(() => asking = true), Effect.never),
          () => Effect.sync(() => asking = false)
        )
      )
      const { fiber, seen } = yield* collect(
        TokenStream.reopening(source, () =>
          Stream.fromEffect(Effect.delay(Effect.succeed("end"), "25 seconds")))
      )
      yield* TestClock.adjust("24 seconds")
      expect(asking).toBe(true)
      yield* TestClock.adjust("1 second")
      yield* ended(fiber)
      expect([seen, asking]).toEqual([["end"], false])
    }))
})

describe("an expired token from the source", () => {
  const expired = { _tag: "TransientFailure", reason: "MalformedAnswer", source: "issuer" }

  it.scoped.each([0, -1_000, -hour])(
    "is a failure and no loop (%s ms left)",
    (left) =>
      Effect.gen(function*() {
        const { fetches, fiber, opened } = yield* renewing(() =>
          Effect.map(Effect.clock, (clock) =>
            Token.make({
              value: Redacted.make("expired"),
              expiresAt: clock.unsafeCurrentTimeMillis() + left
            }))
        )
        yield* TestClock.adjust("1 second")
        expect(Kit.errorOf(yield* ended(fiber))).toMatchObject(expired)
        expect([fetches, opened]).toEqual([[0], []])
      })
  )

  it.scoped("is a failure after a refusal, too", () =>
    Effect.gen(function*() {
      const { log, source } = Kit.issuer((nth) => Kit.received(`t${nth}`, nth === 1 ? "1 hour" : 0))
      const stream = TokenStream.reopening(source, () => Stream.fail("401"), { isRejection: () => true })
      expect(yield* Effect.flip(Stream.runDrain(stream))).toMatchObject(expired)
      expect(log.fetches).toBe(2)
    }))
})

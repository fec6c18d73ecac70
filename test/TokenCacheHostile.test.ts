/** What a review did to break the cache, one test each. */
import { describe, expect, it } from "@effect/vitest"
import * as RefreshPolicy from "effect-credentials/RefreshPolicy"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { inspect } from "node:util"
import * as Kit from "./internal/kit.js"
import { secretOf } from "./internal/kit.js"

describe("F8 F32 the place where a source was made", () => {
  class A extends TokenSource.Tag("test/A")<A>() {}
  class B extends TokenSource.Tag("test/B")<B>() {}
  const fetch = Effect.orDie(
    Effect.flatMap(Config.string("TENANT"), (tenant) => Kit.received(tenant, "1 hour"))
  )
  const of = (tenant: string) =>
    Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["TENANT", tenant]]))))
  const cached = TokenSource.fromEffect(fetch).pipe(TokenCache.cached({ policy: Kit.exact }))

  it.effect("is where its fetches run, though all sources share one scheduler", () =>
    Effect.gen(function*() {
      for (let renewal = 0; renewal < 2; renewal++) {
        expect([secretOf(yield* A.get), secretOf(yield* B.get)]).toEqual(["tenant-a", "tenant-b"])
        yield* TestClock.adjust("56 minutes")
      }
    }).pipe(Effect.provide(Layer.merge(
      A.layer(cached).pipe(of("tenant-a")),
      B.layer(cached).pipe(of("tenant-b"))
    ))))

  it.effect("may bring a scheduler of its own", () =>
    Effect.gen(function*() {
      let given = 0
      const counting = Layer.map(RefreshScheduler.layer, (context) => {
        const scheduler = Context.get(context, RefreshScheduler.RefreshScheduler)
        return Context.make(RefreshScheduler.RefreshScheduler, {
          renewAt: (task, at) => {
            given++
            scheduler.renewAt(task, at)
          },
          giveUpAt: (task, at) => scheduler.giveUpAt(task, at),
          cancel: (task) => scheduler.cancel(task),
          finished: () => scheduler.finished(),
          now: () => scheduler.now(),
          runner: scheduler.runner
        })
      })
      const layer = A.layer(TokenSource.fromEffect(Kit.received("t", "1 hour")).pipe(TokenCache.cached()))
      yield* Effect.provide(A.get, Layer.provide(layer, counting))
      expect(given).toBe(1)
    }))
})

describe("what is logged of a source", () => {
  class Database extends Context.Tag("test/Database")<Database, { readonly password: string }>() {}

  it.scoped.each(["fetching", "cached", "made"] as const)(
    "%s: its name, and nothing that it closes over",
    (kind) =>
      Effect.gen(function*() {
        const fetch = Effect.zipRight(Database, Kit.received("secret-of-token", "1 hour"))
        const scheduler = yield* RefreshScheduler.make()
        const fetching = yield* TokenSource.fromEffect(fetch, { name: "shown" })
        const source = {
          fetching,
          cached: yield* Effect.provideService(
            TokenCache.make(fetching),
            RefreshScheduler.RefreshScheduler,
            scheduler
          ),
          made: TokenSource.make({ name: "shown", request: () => fetching.get })
        }[kind]
        yield* source.get
        const texts = [
          JSON.stringify({ source }),
          inspect({ source }, { depth: 20 }),
          Inspectable.toStringUnknown({ source }),
          `${source}`
        ]
        for (const text of texts) {
          expect(text).toContain("shown")
          expect(text).not.toContain("hunter2")
          expect(text).not.toContain("secret-of-token")
        }
      }).pipe(Effect.provideService(Database, { password: "hunter2" }))
  )
})

describe("numbers that are none", () => {
  const calls = 100

  it.scoped.each([{ base: NaN }, { cap: NaN }, { maxRetryAfter: NaN }, { factor: NaN }, { base: -1 }])(
    "a back-off of %o makes no storm",
    (backoff) =>
      Effect.gen(function*() {
        const policy = RefreshPolicy.make({ backoff })
        const { log, source } = yield* Kit.cached(() => Effect.fail(Kit.transient()), { policy })
        for (let call = 0; call < calls; call++) yield* Effect.exit(source.get)
        expect(log.fetches).toBe(1)
      })
  )

  it.scoped.each([Infinity, NaN, -1, 1e18])(
    "a token received at %s is one received now",
    (issuedAt) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("1 day")
        const { log, source } = yield* Kit.cached(() =>
          Effect.clockWith((clock) =>
            Effect.succeed(Token.make({
              value: Redacted.make("t"),
              issuedAt,
              expiresAt: clock.unsafeCurrentTimeMillis() + 3_600_000
            }))
          )
        )
        for (let call = 0; call < calls; call++) yield* source.get
        yield* TestClock.adjust("10 minutes")
        expect(log.fetches).toBe(1)
      })
  )

  it.scoped("a policy of somebody's own that gives NaN renews in proportion", () =>
    Effect.gen(function*() {
      const policy = { ...Kit.exact, maxFraction: NaN }
      const { log, source } = yield* Kit.cached(Kit.instantly("1 hour"), { policy, schedule: "onUse" })
      for (let call = 0; call < calls; call++) yield* source.get
      expect(log.fetches).toBe(1)
    }))
})

describe("demands that can't be met", () => {
  it.scoped("an issuer that repeats its token is not asked again for each call", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 day")
      const only = yield* Kit.received("t", "1 hour")
      const { log, source } = yield* Kit.cached(() => Effect.succeed(only))
      const token = yield* source.get
      for (let call = 0; call < 20; call++) yield* Effect.exit(source.request({ supersede: token }))
      expect(log.fetches).toBeLessThanOrEqual(3)
    }))

  it.scoped("nor is it with a policy whose back-off is no number", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 day")
      const only = yield* Kit.received("t", "1 hour")
      const policy = { ...Kit.exact, backoff: { ...Kit.exact.backoff, base: NaN } }
      const { log, source } = yield* Kit.cached(() => Effect.succeed(only), { policy })
      const token = yield* source.get
      for (let call = 0; call < 50; call++) yield* Effect.exit(source.request({ supersede: token }))
      expect(log.fetches).toBeLessThanOrEqual(3)
    }))

  it.scoped("as much validity as the whole lifetime costs one fetch a second at most", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "1 millis"))
      for (let call = 0; call < 20; call++) {
        yield* Kit.within(Effect.exit(source.request({ minValidity: "1 hour" })), "10 millis")
      }
      expect(log.fetches).toBeLessThanOrEqual(2)
    }))

  it.scoped("F14 tokens that say that they are old are fresh all the same when they are refused", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 day")
      const { log, source } = yield* Kit.cached((nth) =>
        Effect.clockWith((clock) => {
          const now = clock.unsafeCurrentTimeMillis()
          const value = Redacted.make(`t${nth}`)
          return Effect.succeed(Token.make({ value, issuedAt: now - 600_000, expiresAt: now + 3_000_000 }))
        })
      )
      for (let call = 0; call < 100; call++) {
        yield* Effect.ignore(Effect.flatMap(source.get, source.invalidate))
      }
      expect(log.fetches).toBeLessThanOrEqual(3)
    }))

  it.scoped("a refresh that meets a plain first fetch still gets a new token", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered())
      const plain = yield* Effect.fork(source.get)
      yield* Kit.settle
      const forced = yield* Effect.fork(TokenSource.refresh(source))
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* Kit.ended(plain))).toBe("t1")
      expect(secretOf(yield* Kit.ended(forced))).toBe("t2")
      expect(log.requests[1]).toMatchObject({ refresh: true })
    }))
})

describe("a fetch that can't be interrupted", () => {
  it.scoped("does not hold its callers, those after them or the scheduler, and has no second beside it", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { log, source } = yield* Kit.cached(
        (nth) =>
          Effect.uninterruptible(Effect.zipRight(Deferred.await(gate), Kit.received(`t${nth}`, "1 hour"))),
        { timeLimit: "5 seconds" }
      )
      const first = yield* Effect.fork(Effect.exit(source.get))
      yield* TestClock.adjust("5 seconds")
      expect(Kit.errorOf(yield* Kit.ended(first))).toMatchObject({ reason: "Timeout" })
      yield* TestClock.adjust("30 minutes")
      expect(Kit.errorOf(yield* Effect.exit(source.get))).toMatchObject({ reason: "Timeout" })
      expect(log).toMatchObject({ fetches: 1, inFlight: 1 })
      yield* Deferred.succeed(gate, undefined)
      yield* TestClock.adjust("2 minutes")
      expect(secretOf(yield* source.get)).toBe("t2")
      expect(log.most).toBe(1)
    }))
})

describe("a fetch that was given up", () => {
  it.scoped("for statistics that are slow has ended all the same: the cache lives on", () =>
    Effect.gen(function*() {
      const statistics = Effect.delay(Effect.succeed(RefreshPolicy.noStatistics), "90 seconds")
      const { log, source } = yield* Kit.cached(Kit.instantly(), { statistics, timeLimit: "1 minute" })
      for (let hour = 0; hour < 5; hour++) {
        yield* Effect.fork(Effect.exit(source.get))
        yield* TestClock.adjust("1 hour")
      }
      expect(log.fetches).toBeGreaterThan(3)
    }))

  it.effect("F7 and goes on is waited for when the Layer closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      let stored = false
      const { source } = yield* Scope.extend(
        Kit.cached(
          () =>
            Effect.uninterruptible(
              Effect.delay(
                Effect.tap(Kit.received("t", "1 hour"), () => Effect.sync(() => (stored = true))),
                "50 seconds"
              )
            ),
          { timeLimit: "10 seconds" }
        ),
        scope
      )
      yield* Effect.fork(Effect.exit(source.get))
      yield* TestClock.adjust("20 seconds")
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("20 seconds")
      expect(closing.unsafePoll()).toBeNull()
      yield* TestClock.adjust("20 seconds")
      expect([stored, closing.unsafePoll() !== null]).toEqual([true, true])
    }))

  it.scoped("by its closing scope gives its place in the scheduler back", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make({ concurrency: 1 })
      const make = (source: TokenSource.TokenSource) =>
        Effect.provideService(
          TokenCache.make(source, { policy: Kit.exact, timeLimit: "1 day" }),
          RefreshScheduler.RefreshScheduler,
          scheduler
        )
      const scope = yield* Scope.make()
      const hanging = Kit.issuer((nth) =>
        nth === 1 ? Kit.instantly("30 minutes")(nth, {}) : Effect.uninterruptible(Effect.never)
      )
      const well = Kit.issuer(Kit.instantly("1 hour"))
      yield* Effect.flatMap(Scope.extend(make(hanging.source), scope), (source) => source.get)
      yield* Effect.flatMap(make(well.source), (source) => source.get)
      yield* TestClock.adjust("28 minutes")
      expect(hanging.log.fetches).toBe(2)
      yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("2 days")
      expect(well.log.fetches).toBeGreaterThan(10)
    }))
})

describe("a listener", () => {
  it.scoped("that comes anew with each call does not go on for ever", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      let told = 0
      const listen = () => {
        told++
        stop()
        stop = source.onChange(listen)
      }
      let stop = source.onChange(listen)
      yield* source.get
      expect(told).toBe(2)
    }))

  it.effect("that closes the scope as a fetch begins leaves nobody waiting and starts none", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { log, source } = yield* Scope.extend(Kit.cached(Kit.numbered()), scope)
      const run = Runtime.runFork(yield* Effect.runtime<never>())
      source.onChange(() => run(Scope.close(scope, Exit.void)))
      const exit = yield* Kit.within(Effect.exit(source.get))
      expect(Kit.errorOf(exit)).toMatchObject({ reason: "Closed" })
      expect(log.inFlight).toBe(0)
    }))
})

describe("peek", () => {
  it.scoped("is a use: a source that is only peeked at is no idle one", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly(), { idle: "10 minutes" })
      yield* source.get
      for (let passed = 0; passed < 120; passed++) {
        yield* TestClock.adjust("1 minute")
        expect(source.peek()._tag).toBe("Some")
      }
    }))
})

describe("a key from untyped code", () => {
  it.effect("that is nothing at all is Misconfigured, not a defect", () =>
    Effect.gen(function*() {
      const nothing = Redacted.make(undefined as unknown as string)
      expect(yield* Effect.flip(TokenSource.apiKey(nothing))).toMatchObject({ reason: "EmptySecret" })
    }))

  it.effect("a name that every object has is not set, or a typed error", () =>
    Effect.gen(function*() {
      const source = yield* TokenSource.env("constructor")
      expect((yield* Effect.flip(source.get))._tag).toMatch(/^(TokenUnavailable|Misconfigured)$/)
    }).pipe(Effect.withConfigProvider(ConfigProvider.fromJson({}))))
})

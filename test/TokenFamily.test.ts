import { describe, expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenFamily from "effect-credentials/TokenFamily"
import type * as TokenSource from "effect-credentials/TokenSource"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as Kit from "./internal/kit.js"
import { hour, minute, secretOf } from "./internal/kit.js"

/** A family with a scheduler of its own. */
const makeFamily = <K, E extends TokenError, E2, R>(options: TokenFamily.Options<K, E, E2, R>) =>
  Effect.flatMap(
    RefreshScheduler.make(),
    (scheduler) =>
      Effect.provideService(TokenFamily.make(options), RefreshScheduler.RefreshScheduler, scheduler)
  )

/** A family of caches, with what was done for each key. */
const family = <E extends TokenError>(
  script: (key: string) => Kit.Script<E>,
  options?: Partial<TokenFamily.Options<string, E, never, never>>
) =>
  Effect.gen(function*() {
    const logs = new Map<string, Array<Kit.Log>>()
    const scheduler = yield* RefreshScheduler.make()
    const family = yield* makeFamily({
      lookup: (key: string) =>
        Effect.suspend(() => {
          const { log, source } = Kit.issuer(script(key), { name: key })
          logs.set(key, [...logs.get(key) ?? [], log])
          return Effect.provideService(
            TokenCache.make(source, { policy: Kit.exact }),
            RefreshScheduler.RefreshScheduler,
            scheduler
          )
        }),
      ...options
    })
    const fetches = (key: string) => (logs.get(key) ?? []).map((log) => log.fetches)
    return { family, fetches }
  })

const named = (key: string): Kit.Script<never> => (nth) => Kit.received(`${key}${nth}`, "1 hour")

describe("a family", () => {
  it.scoped("has one source a key, made on first use", () =>
    Effect.gen(function*() {
      const { family: tenants, fetches } = yield* family(named)
      expect(fetches("a")).toEqual([])
      const tokens = yield* Effect.all(["a", "b", "a"].map((key) => tenants.get(key)))
      expect(tokens.map(secretOf)).toEqual(["a1", "b1", "a1"])
      expect([fetches("a"), fetches("b")]).toEqual([[1], [1]])
    }))

  it.scoped("many callers of one key make one source and one fetch", () =>
    Effect.gen(function*() {
      const { family: tenants, fetches } = yield* family(() => Kit.numbered())
      const all = Effect.all(Array.from({ length: 100 }, () => tenants.get("a")), {
        concurrency: "unbounded"
      })
      expect(new Set((yield* Kit.within(all)).map(secretOf))).toEqual(new Set(["t1"]))
      expect(fetches("a")).toEqual([1])
    }))

  it.scoped("compares keys by Equal", () =>
    Effect.gen(function*() {
      const made: Array<string> = []
      const tenants = yield* makeFamily({
        lookup: (key: { readonly tenant: string }) =>
          Effect.sync(() => {
            made.push(key.tenant)
            return Kit.issuer(Kit.instantly()).source
          })
      })
      yield* tenants.get(Data.struct({ tenant: "a" }))
      yield* tenants.get(Data.struct({ tenant: "a" }))
      expect(made).toEqual(["a"])
    }))

  it.scoped("renews the sources that are used and releases those that are idle", () =>
    Effect.gen(function*() {
      const { family: tenants, fetches } = yield* family(named, { idleTimeToLive: "2 hours" })
      yield* tenants.get("idle")
      for (let i = 0; i < 6; i++) {
        yield* tenants.get("busy")
        yield* TestClock.adjust("1 hour")
      }
      expect(fetches("busy").length).toBe(1)
      // Renewed until two hours after the only use, then gone.
      expect(fetches("idle")).toEqual([3])
      expect(secretOf(yield* tenants.get("idle"))).toBe("idle1")
      expect(fetches("idle")).toEqual([3, 1])
    }))

  it.scoped("keeps a source that somebody holds, whatever the idle time", () =>
    Effect.gen(function*() {
      const { family: tenants, fetches } = yield* family(named, { idleTimeToLive: "1 minute" })
      yield* Effect.scoped(Effect.gen(function*() {
        const source = yield* tenants.source("a")
        yield* source.get
        yield* TestClock.adjust("5 hours")
        expect(fetches("a")).toEqual([6])
        expect(secretOf(yield* source.get)).toBe("a6")
      }))
      yield* TestClock.adjust("5 hours")
      expect(fetches("a")).toEqual([6])
    }))

  it.scoped("makes a new source after a release", () =>
    Effect.gen(function*() {
      const { family: tenants, fetches } = yield* family(named)
      yield* tenants.get("a")
      yield* tenants.release("a")
      yield* tenants.release("never used")
      yield* TestClock.adjust("5 hours")
      expect(fetches("a")).toEqual([1])
      expect(secretOf(yield* tenants.get("a"))).toBe("a1")
      expect(fetches("a")).toEqual([1, 1])
    }))

  it.effect("ends with the scope, and so do all its sources", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { family: tenants, fetches } = yield* Scope.extend(family(named), scope)
      yield* Effect.all(["a", "b"].map((key) => tenants.get(key)))
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("5 hours")
      expect([fetches("a"), fetches("b")]).toEqual([[1], [1]])
    }))

  it.effect("ends the sources that were released while in use, too", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { family: tenants, fetches } = yield* Scope.extend(family(named), scope)
      const holder = yield* Scope.make()
      const held = yield* Scope.extend(tenants.source("a"), holder)
      yield* held.get
      yield* tenants.release("a")
      yield* tenants.get("a")
      yield* Scope.close(holder, Exit.void)
      yield* TestClock.adjust("14 minutes")
      yield* tenants.get("a")
      yield* TestClock.adjust("2 minutes")
      yield* Scope.close(scope, Exit.void)
      const before = fetches("a")
      yield* TestClock.adjust("5 hours")
      expect(fetches("a")).toEqual(before)
    }))
})

/** A family whose sources count how many of them are open, by key and number: `a1`, `a2`, … */
const counted = (idleTimeToLive?: Duration.DurationInput) => {
  const open = new Set<string>()
  let made = 0
  return Effect.map(
    makeFamily({
      lookup: (key: string) =>
        Effect.acquireRelease(
          Effect.sync(() => {
            const name = `${key}${++made}`
            open.add(name)
            return Kit.issuer(() => Kit.received(name), { name }).source
          }),
          ({ name }) => Effect.sync(() => open.delete(name))
        ),
      idleTimeToLive
    }),
    (family) => ({ family, open: () => [...open] })
  )
}

describe("the idle time", () => {
  // Used at 0 for so long and then left: what is open just before and at that instant.
  it.scoped.each<readonly [Duration.DurationInput | undefined, number]>([
    [undefined, 15 * minute],
    ["1 hour", hour],
    ["1 millis", 1],
    [0, 1]
  ])("%s ends to the millisecond", ([idleTimeToLive, expected]) =>
    Effect.gen(function*() {
      const { family: tenants, open } = yield* counted(idleTimeToLive)
      yield* tenants.get("a")
      expect(open()).toEqual(["a1"])
      yield* TestClock.adjust(expected - 1)
      if (expected > 1) expect(open()).toEqual(["a1"])
      yield* TestClock.adjust(1)
      expect(open()).toEqual([])
    }))

  it.scoped("may be endless", () =>
    Effect.gen(function*() {
      const { family: tenants, open } = yield* counted(Duration.infinity)
      yield* tenants.get("a")
      yield* TestClock.adjust("1000 days")
      expect(open()).toEqual(["a1"])
    }))

  it.scoped("counts from the last use, and from the end of that", () =>
    Effect.gen(function*() {
      const { family: tenants, open } = yield* counted("10 minutes")
      yield* tenants.get("a")
      yield* TestClock.adjust("9 minutes")
      yield* Effect.scoped(Effect.zipRight(tenants.source("a"), TestClock.adjust("9 minutes")))
      yield* TestClock.adjust("10 minutes")
      expect(open()).toEqual([])
      yield* tenants.get("a")
      yield* TestClock.adjust("9 minutes")
      yield* tenants.get("a")
      yield* TestClock.adjust("9 minutes")
      expect(open()).toEqual(["a2"])
    }))

  it.scoped("counts from when a caller was interrupted", () =>
    Effect.gen(function*() {
      let open = 0
      const tenants = yield* makeFamily({
        lookup: (_key: string) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              open++
              return Kit.issuer(() => Effect.never).source
            }),
            () => Effect.sync(() => open--)
          )
      })
      const caller = yield* Effect.fork(tenants.get("a"))
      yield* TestClock.adjust("1 hour")
      expect(open).toBe(1)
      yield* Fiber.interrupt(caller)
      yield* TestClock.adjust("15 minutes")
      expect(open).toBe(0)
    }))

  it("F29 keeps no process alive", async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--import", "tsx", fileURLToPath(new URL("fixtures/oneFamily.ts", import.meta.url))],
      {
        cwd: fileURLToPath(new URL("..", import.meta.url)),
        timeout: 15_000,
        killSignal: "SIGKILL"
      }
    )
    expect(stdout).toBe("token of tenant\n")
  })
})

describe("a release", () => {
  it.scoped("while a source is held leaves it to its holders, and ends it with the last of them", () =>
    Effect.gen(function*() {
      const { family: tenants, open } = yield* counted()
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      const held = yield* Scope.extend(tenants.source("a"), first)
      yield* Scope.extend(tenants.source("a"), second)
      yield* tenants.release("a")
      expect(open()).toEqual(["a1"])
      expect(secretOf(yield* tenants.get("a"))).toBe("a2")
      expect(secretOf(yield* held.get)).toBe("a1")
      yield* Scope.close(first, Exit.void)
      expect(open()).toEqual(["a1", "a2"])
      yield* Scope.close(second, Exit.void)
      // Not when it has been idle, and not with the one that took its place.
      expect(open()).toEqual(["a2"])
      expect(secretOf(yield* tenants.get("a"))).toBe("a2")
      yield* TestClock.adjust("15 minutes")
      expect(open()).toEqual([])
    }))

  it.scoped("while a source is being made leaves it to those who wait for it", () =>
    Effect.gen(function*() {
      let made = 0
      const tenants = yield* makeFamily({
        lookup: (_key: string) =>
          Effect.delay(
            Effect.sync(() => {
              const nth = ++made
              return Kit.issuer(() => Kit.received(`t${nth}`)).source
            }),
            "1 second"
          )
      })
      const waiting = yield* Effect.fork(tenants.get("a"))
      yield* Kit.settle
      yield* tenants.release("a")
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* Kit.ended(waiting))).toBe("t1")
      const next = yield* Effect.fork(tenants.get("a"))
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* Kit.ended(next))).toBe("t2")
    }))

  it.scoped("waits until the source is closed, and so does the end of the family", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      let closed = 0
      const tenants = yield* Scope.extend(
        makeFamily({
          lookup: (_key: string) =>
            Effect.as(
              Effect.addFinalizer(() => Effect.delay(Effect.sync(() => closed++), "1 second")),
              Kit.issuer(Kit.instantly()).source
            )
        }),
        scope
      )
      yield* tenants.get("a")
      const release = yield* Effect.fork(tenants.release("a"))
      yield* Kit.settle
      const close = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* Kit.settle
      expect([release.unsafePoll(), close.unsafePoll()]).toEqual([null, null])
      yield* TestClock.adjust("1 second")
      yield* Kit.ended(release)
      yield* Kit.ended(close)
      expect(closed).toBe(1)
    }))
})

describe("the end of a family", () => {
  const endedFamily = "TokenUnavailable: Closed"
  const shown = <A>(exit: Exit.Exit<A, TokenError>) => {
    const error = Kit.errorOf(exit)
    return typeof error === "string" ? error : `${error._tag}: ${error.reason}`
  }

  it.effect("is what those who wait for a source are told, not an interruption", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      let interrupted = 0
      const tenants = yield* Scope.extend(
        makeFamily({
          lookup: (_key: string): Effect.Effect<TokenSource.TokenSource> =>
            Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
        }),
        scope
      )
      const one = yield* Effect.fork(tenants.get("a"))
      const other = yield* Effect.fork(Effect.scoped(tenants.source("a")))
      yield* Kit.settle
      yield* Scope.close(scope, Exit.void)
      expect(shown(yield* Fiber.await(one))).toBe(endedFamily)
      expect(shown(yield* Fiber.await(other))).toBe(endedFamily)
      expect(interrupted).toBe(1)
    }))

  it.effect("is what later uses are told, for keys old and new", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { family: tenants, open } = yield* Scope.extend(counted(), scope)
      yield* tenants.get("old")
      yield* Scope.close(scope, Exit.void)
      expect(open()).toEqual([])
      for (const key of ["old", "new"]) {
        expect(shown(yield* Effect.exit(tenants.get(key)))).toBe(endedFamily)
        expect(shown(yield* Effect.exit(Effect.scoped(tenants.source(key))))).toBe(endedFamily)
        yield* tenants.release(key)
      }
      expect(open()).toEqual([])
    }))

  it.effect("ends all sources, whatever happens while one of them is closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const closed: Array<string> = []
      const tenants = yield* Scope.extend(
        makeFamily({
          lookup: (key: string) =>
            Effect.as(
              Effect.addFinalizer(() =>
                key === "broken" ? Effect.die("broken") : Effect.sync(() => closed.push(key))
              ),
              Kit.issuer(Kit.instantly()).source
            )
        }),
        scope
      )
      yield* Effect.all(["a", "broken", "b"].map((key) => tenants.get(key)))
      expect((yield* Effect.exit(Scope.close(scope, Exit.void)))._tag).toBe("Failure")
      expect(closed).toEqual(["a", "b"])
    }))
})

describe("making a source", () => {
  it.scoped("leaves the fiber-locals of those who wait alone", () =>
    Effect.gen(function*() {
      const local = yield* FiberRef.make("of the test")
      const tenants = yield* makeFamily({
        lookup: (_key: string) =>
          Effect.as(FiberRef.set(local, "of the lookup"), Kit.issuer(Kit.instantly()).source)
      })
      yield* tenants.get("a")
      yield* tenants.release("a")
      expect(yield* FiberRef.get(local)).toBe("of the test")
    }))

  it.scoped("that fails when nobody waits any more is not remembered either", () =>
    Effect.gen(function*() {
      let tries = 0
      const tenants = yield* makeFamily({
        lookup: (_key: string) =>
          Effect.suspend(() =>
            ++tries === 1
              ? Effect.delay(Effect.fail(Kit.misconfigured), "1 second")
              : Effect.succeed(Kit.issuer(Kit.instantly()).source)
          )
      })
      const caller = yield* Effect.fork(tenants.get("a"))
      yield* Kit.settle
      yield* Fiber.interrupt(caller)
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* tenants.get("a"))).toBe("t1")
      expect(tries).toBe(2)
    }))

  it.scoped("that failed is tried again on the next use", () =>
    Effect.gen(function*() {
      let tries = 0
      const tenants = yield* makeFamily({
        lookup: (_key: string) =>
          Effect.suspend(() =>
            ++tries < 3 ? Effect.fail(Kit.misconfigured) : Effect.succeed(Kit.issuer(Kit.instantly()).source)
          )
      })
      for (let i = 0; i < 2; i++) expect(yield* Effect.flip(tenants.get("a"))).toBe(Kit.misconfigured)
      expect(secretOf(yield* tenants.get("a"))).toBe("t1")
      expect(secretOf(yield* tenants.get("a"))).toBe("t2")
      expect(tries).toBe(3)
    }))

  it.scoped("outlives the caller that caused it", () =>
    Effect.gen(function*() {
      let made = 0
      const tenants = yield* makeFamily({
        lookup: (_key: string) =>
          Effect.delay(
            Effect.sync(() => {
              made++
              return Kit.issuer(Kit.instantly()).source
            }),
            "1 second"
          )
      })
      const first = yield* Effect.fork(tenants.get("a"))
      const second = yield* Effect.fork(tenants.get("a"))
      yield* Kit.settle
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("2 seconds")
      expect(secretOf(yield* Kit.ended(second))).toBe("t1")
      expect(made).toBe(1)
    }))

  class Backend extends Context.Tag("test/Backend")<Backend, string>() {}

  it.scoped("F8 happens in the context of the family, not in that of the request that caused it", () =>
    Effect.gen(function*() {
      const tenants = yield* Effect.provideService(
        makeFamily({
          lookup: (_key: string) => Effect.map(Backend, (name) => Kit.issuer(() => Kit.received(name)).source)
        }),
        Backend,
        "of the family"
      )
      const token = yield* Effect.provideService(tenants.get("a"), Backend, "of the request")
      expect(secretOf(token)).toBe("of the family")
    }))

  it.scoped("in a scope of its own: a failure releases what it had acquired", () =>
    Effect.gen(function*() {
      let open = 0
      const tenants = yield* makeFamily({
        lookup: (_key: string) =>
          Effect.zipRight(
            Effect.acquireRelease(Effect.sync(() => open++), () => Effect.sync(() => open--)),
            Effect.fail(Kit.misconfigured)
          )
      })
      for (let i = 0; i < 5; i++) yield* Effect.exit(tenants.get("a"))
      expect(open).toBeLessThanOrEqual(1)
      yield* TestClock.adjust("16 minutes")
      expect(open).toBe(0)
    }))
})

describe("a lookup that fails", () => {
  it.scoped("and whose release dies leaves nobody waiting, and is run again", () =>
    Effect.gen(function*() {
      let lookups = 0
      const lookup = () =>
        Effect.suspend(() => {
          lookups++
          return Effect.zipRight(
            Effect.acquireRelease(Effect.void, () => Effect.die("the release is broken")),
            Effect.fail(Kit.transient())
          )
        })
      const tenants = yield* makeFamily({ lookup })
      for (let call = 1; call <= 2; call++) {
        const exit = yield* Kit.within(Effect.exit(tenants.get("acme")))
        expect(Kit.errorOf(exit)).toMatchObject({ _tag: "TransientFailure" })
        expect(lookups).toBe(call)
      }
    }))
})

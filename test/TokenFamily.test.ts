import { describe, expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenFamily from "effect-credentials/TokenFamily"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { secretOf } from "./internal/kit.js"

/** A family of caches, with what was done for each key. */
const family = <E extends TokenError>(
  script: (key: string) => Kit.Script<E>,
  options?: Partial<TokenFamily.Options<string, E, never, never>>
) =>
  Effect.gen(function*() {
    const logs = new Map<string, Array<Kit.Log>>()
    const scheduler = yield* RefreshScheduler.make()
    const made = yield* TokenFamily.make({
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
    return { family: made, fetches }
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
      const tenants = yield* TokenFamily.make({
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

describe("making a source", () => {
  it.scoped("that failed is tried again on the next use", () =>
    Effect.gen(function*() {
      let tries = 0
      const tenants = yield* TokenFamily.make({
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
      const tenants = yield* TokenFamily.make({
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
        TokenFamily.make({
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
      const tenants = yield* TokenFamily.make({
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

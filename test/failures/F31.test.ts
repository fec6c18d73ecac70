import { expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenChain from "effect-credentials/TokenChain"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenFamily from "effect-credentials/TokenFamily"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as Kit from "../internal/kit.js"
import { secretOf } from "../internal/kit.js"

const errors: ReadonlyArray<TokenError> = [
  Kit.transient(),
  Kit.reauth(),
  Kit.misconfigured,
  Kit.loginRequired
]

it.scoped.each(errors)(
  "F31 a failure is remembered for its cool-down and no longer (%s)",
  (error) =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached<TokenError>(
        (nth) => nth === 1 ? Effect.fail(error) : Kit.instantly()(nth, {}),
        { schedule: "onUse" }
      )
      for (let i = 0; i < 50; i++) expect(yield* Effect.flip(source.get)).toBe(error)
      expect(log.fetches).toBe(1)
      yield* TestClock.adjust("1 second")
      expect(secretOf(yield* source.get)).toBe("t2")
      expect(log.fetches).toBe(2)
    })
)

it.scoped("F31 a tier that failed in a cache of its own comes back to its place in the chain", () =>
  Effect.gen(function*() {
    const first = Kit.issuer((nth) =>
      nth === 1 ? Effect.fail(Kit.loginRequired) : Kit.received("first", "1 hour")
    )
    const second = Kit.issuer(() => Kit.received("second", "1 hour"))
    const chain = yield* TokenChain.firstOf([
      TokenCache.cached(Effect.succeed(first.source), { policy: Kit.exact }),
      Effect.succeed(second.source)
    ])
    expect(secretOf(yield* chain.get)).toBe("second")
    expect(secretOf(yield* chain.get)).toBe("second")
    expect(first.log.fetches).toBe(1)
    yield* TestClock.adjust("1 second")
    expect(secretOf(yield* chain.get)).toBe("first")
  }).pipe(Effect.provide(RefreshScheduler.layer)))

it.scoped("F31 a source of a family that could not be made is made on the next use", () =>
  Effect.gen(function*() {
    let tries = 0
    const family = yield* TokenFamily.make({
      lookup: (_key: string) =>
        Effect.suspend(() =>
          ++tries === 1 ? Effect.fail(Kit.misconfigured) : Effect.succeed(Kit.issuer(Kit.instantly()).source)
        )
    })
    expect(yield* Effect.flip(family.get("a"))).toBe(Kit.misconfigured)
    expect(secretOf(yield* family.get("a"))).toBe("t1")
  }).pipe(Effect.provide(RefreshScheduler.layer)))

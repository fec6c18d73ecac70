import { expect, it } from "@effect/vitest"
import * as RefreshPolicy from "effect-credentials/RefreshPolicy"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import * as Kit from "../internal/kit.js"
import { minute, second } from "../internal/kit.js"

/** Many caches that got their tokens at the same instant, and when each of them asked again. */
const fleet = (count: number, script: Kit.Script<never> | Kit.Script<ReturnType<typeof Kit.transient>>) =>
  Effect.gen(function*() {
    const scheduler = yield* RefreshScheduler.make()
    const issuers = Array.from({ length: count }, () => Kit.issuer<ReturnType<typeof Kit.transient>>(script))
    const caches = yield* Effect.forEach(
      issuers,
      ({ source }) =>
        Effect.provideService(TokenCache.make(source), RefreshScheduler.RefreshScheduler, scheduler)
    )
    yield* Effect.forEach(caches, (cache) => Effect.exit(cache.get))
    return issuers.map(({ log }) => log)
  }).pipe(Effect.withRandom(Random.make("a fleet")))

/** The most that fall into one slot of so many milliseconds. */
const peak = (instants: ReadonlyArray<number>, slot: number): number => {
  const slots = new Map<number, number>()
  for (const at of instants) slots.set(Math.floor(at / slot), (slots.get(Math.floor(at / slot)) ?? 0) + 1)
  return Math.max(...slots.values())
}

it.scoped("F30 a fleet that started together does not renew together: a tenth of the lifetime spreads it", () =>
  Effect.gen(function*() {
    const logs = yield* fleet(300, Kit.instantly())
    yield* TestClock.adjust("56 minutes")
    const renewals = logs.map((log) => log.startedAt[1] ?? 0)
    expect(Math.min(...renewals)).toBeGreaterThanOrEqual(49 * minute)
    expect(Math.max(...renewals)).toBeLessThanOrEqual(55 * minute)
    // 50 a minute on average over 6 minutes.
    expect(peak(renewals, minute)).toBeLessThan(85)
  }))

it.scoped("F30 a fleet that was told to come back at one instant comes back spread over a second", () =>
  Effect.gen(function*() {
    const logs = yield* fleet(
      200,
      (nth) => nth === 1 ? Effect.fail(Kit.transient(minute, "RateLimited")) : Kit.instantly()(nth, {})
    )
    yield* TestClock.adjust("2 minutes")
    const retries = logs.map((log) => log.startedAt[1] ?? 0)
    expect(Math.min(...retries)).toBeGreaterThanOrEqual(minute)
    expect(Math.max(...retries)).toBeLessThanOrEqual(minute + second)
    expect(peak(retries, 100)).toBeLessThan(60)
  }))

it.scoped("F30 two hours of an issuer that is down, under constant use, cost requests by the minute, not by the call", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(() => Effect.fail(Kit.transient()), {
      policy: RefreshPolicy.standard
    })
    for (let i = 0; i < 240; i++) {
      for (let j = 0; j < 20; j++) yield* Effect.exit(source.get)
      yield* TestClock.adjust("30 seconds")
    }
    // 60 s less up to a half at random, after 1 + 2 + 4 … s.
    expect(log.fetches).toBeLessThan(8 + 4 * 60)
  }))

it.scoped("F30 an issuer that gives tokens which are almost over is not asked in a loop", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(Kit.instantly("1 second"), { policy: RefreshPolicy.standard })
    yield* source.get
    yield* TestClock.adjust("1 minute")
    expect(log.fetches).toBeLessThan(60 / (2 / 3 - 0.1) + 2)
  }))

import { expect, it } from "@effect/vitest"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as Scene from "../fleet/scene.js"
import { accessOf, grant, hour, key, makeIssuer, makeStore, refreshOf } from "../vault/issuer.js"

it.scopedLive(
  "F1 real processes over one vault of files redeem a rotating refresh token once",
  () =>
    Effect.gen(function*() {
      const { provider, worker } = yield* Scene.make({ latency: 300 })
      const workers = yield* Effect.replicateEffect(worker({}), 3)
      const answers = yield* Effect.forEach(workers, Scene.ask, { concurrency: "unbounded" })
      expect(answers.map((answer) => answer?.failure)).toEqual([undefined, undefined, undefined])
      expect(yield* Scene.tally(provider)).toEqual({ redeemed: 1, repeated: 0, refused: 0 })
      expect(yield* Effect.forEach(workers, Scene.check)).toEqual([200, 200, 200])
    }),
  60_000
)

/** So many processes with a source each over the same expired grant; the issuer takes 300 ms. */
const processes = (count: number) =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    issuer.after = Effect.sleep("300 millis")
    yield* store.put(yield* grant(0))
    yield* TestClock.adjust(hour)
    const sources = yield* Effect.replicateEffect(
      Effect.suspend(() =>
        Effect.provideService(Persisted.make({ key, redeem: issuer.redeem }), Vault.Vault, store.open())
      ),
      count
    )
    return { store, issuer, sources }
  })

it.effect("F1 twenty processes that ask at once redeem once and get the same token", () =>
  Effect.gen(function*() {
    const { issuer, sources, store } = yield* processes(20)
    const asking = yield* Effect.fork(
      Effect.forEach(sources, ({ get }) => get, { concurrency: "unbounded" })
    )
    yield* TestClock.adjust("5 seconds")
    expect(new Set((yield* Fiber.join(asking)).map(accessOf))).toEqual(new Set(["A1"]))
    expect([issuer.calls, issuer.revoked]).toEqual([1, false])
    expect(refreshOf(yield* store.record)).toBe("R1")
  }))

it.effect("F1 processes whose token was refused at the same time redeem once", () =>
  Effect.gen(function*() {
    const { issuer, sources } = yield* processes(5)
    const ask = Effect.forEach(
      sources,
      (source) => source.request({ refresh: true }),
      { concurrency: "unbounded" }
    )
    const first = yield* Effect.fork(ask)
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.join(first)
    expect(issuer.calls).toBe(1)
    const second = yield* Effect.fork(ask)
    yield* TestClock.adjust("5 seconds")
    expect(new Set((yield* Fiber.join(second)).map(accessOf))).toEqual(new Set(["A2"]))
    expect([issuer.calls, issuer.revoked]).toEqual([2, false])
  }))

it.effect("F1 an old process that is late finds the new token and sends nothing", () =>
  Effect.gen(function*() {
    const { issuer, sources: [early, late] } = yield* processes(2)
    const first = yield* Effect.fork(early?.get ?? Effect.never)
    yield* TestClock.adjust("1 second")
    expect(accessOf(yield* Fiber.join(first))).toBe("A1")
    expect(accessOf(yield* late?.get ?? Effect.never)).toBe("A1")
    expect(issuer.calls).toBe(1)
  }))

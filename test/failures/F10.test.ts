import { expect, it } from "@effect/vitest"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { accessOf, grant, hour, key, makeIssuer, makeStore, refreshOf } from "../vault/issuer.js"

it.effect("F10 a rotated refresh token is stored before anybody sees the new access token", () =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    yield* store.put(yield* grant(0))
    const source = yield* Effect.provideService(
      Persisted.make({ key, redeem: issuer.redeem }),
      Vault.Vault,
      store.open()
    )
    for (const n of [1, 2, 3]) {
      yield* TestClock.adjust(hour)
      store.pause = Effect.sleep("1 seconds")
      const caller = yield* Effect.fork(source.get)
      while (caller.unsafePoll() === null) yield* TestClock.adjust("500 millis")
      store.pause = Effect.void
      expect(accessOf(yield* Fiber.join(caller))).toBe(`A${n}`)
      expect(refreshOf(yield* store.record)).toBe(`R${n}`)
    }
    expect([issuer.calls, issuer.revoked, store.writes]).toEqual([3, false, 6])
  }))

it.effect("F10 a token that could not be stored is told to no listener and no caller", () =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    yield* store.put(yield* grant(0))
    const source = yield* Effect.provideService(
      Persisted.make({ key, redeem: issuer.redeem }),
      Vault.Vault,
      store.open()
    )
    yield* source.get
    const generation = Effect.map(source.status, ({ token }) => token?.generation)
    let changes = 0
    source.onChange(() => changes++)
    yield* TestClock.adjust(hour)
    issuer.after = Effect.sync(() => {
      store.broken = true
    })
    yield* Effect.flip(source.get)
    expect([yield* generation, changes > 0]).toEqual([1, true])
    const before = changes
    store.broken = false
    yield* source.get
    expect([yield* generation, changes > before]).toEqual([2, true])
  }))

it.effect("F10 listeners hear of a rotation, and not of a token that stays", () =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    yield* store.put(yield* grant(0))
    const source = yield* Effect.provideService(
      Persisted.make({ key, redeem: issuer.redeem }),
      Vault.Vault,
      store.open()
    )
    yield* source.get
    let changes = 0
    const stop = source.onChange(() => changes++)
    yield* Effect.replicateEffect(source.get, 10)
    expect(changes).toBe(0)
    yield* TestClock.adjust(hour)
    yield* source.get
    expect(changes).toBeGreaterThan(0)
    const before = changes
    stop()
    yield* TestClock.adjust(hour)
    yield* source.get
    expect(changes).toBe(before)
  }))

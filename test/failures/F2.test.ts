import { expect, it } from "@effect/vitest"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { accessOf, grant, hour, key, makeIssuer, makeStore, refreshOf, rejected } from "../vault/issuer.js"

/** A source over an expired grant, and the record that it holds. */
const setting = Effect.gen(function*() {
  const store = yield* makeStore
  const issuer = makeIssuer()
  yield* store.put(yield* grant(0))
  yield* TestClock.adjust(hour)
  const vault = store.open()
  const provided = Effect.provideService(Vault.Vault, vault)
  const source = yield* provided(Persisted.make({ key, redeem: issuer.redeem }))
  /** Another program wins, one that knows of no leases. */
  const win = Effect.orDie(Effect.flatMap(grant(1), store.put))
  return { store, issuer, source, provided, win }
})

it.effect("F2 whose refresh token was just spent by another looks again and takes the winner's token", () =>
  Effect.gen(function*() {
    const { issuer, source, store, win } = yield* setting
    issuer.before = Effect.zipRight(win, Effect.fail(rejected))
    expect(accessOf(yield* source.get)).toBe("A1")
    expect(refreshOf(yield* store.record)).toBe("R1")
    expect(yield* store.record).toMatchObject({ status: { _tag: "Active" } })
    expect(yield* source.status).toMatchObject({ health: "Healthy" })
    expect(issuer.calls).toBe(1)
  }))

it.effect("F2 the winner's grant is not quarantined with the loser's", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    const expired = Effect.orDie(Effect.flatMap(grant(1, { expiresIn: 0 }), store.put))
    issuer.next = 1
    issuer.before = Effect.suspend(() =>
      issuer.calls === 1 ? Effect.zipRight(expired, Effect.fail(rejected)) : Effect.void
    )
    expect(accessOf(yield* source.get)).toBe("A2")
    expect([issuer.calls, issuer.revoked]).toEqual([2, false])
    expect(refreshOf(yield* store.record)).toBe("R2")
  }))

it.effect("F2 an answer that comes late overwrites nobody's newer grant", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    const login = Effect.orDie(Effect.flatMap(grant(7), store.put))
    issuer.after = Effect.zipRight(login, Effect.sleep("1 second"))
    const asking = yield* Effect.fork(source.get)
    yield* TestClock.adjust("1 second")
    expect(accessOf(yield* Fiber.join(asking))).toBe("A7")
    expect(refreshOf(yield* store.record)).toBe("R7")
  }))

it.effect("F2 a removal removes only what its caller has seen", () =>
  Effect.gen(function*() {
    const { provided, source, store } = yield* setting
    const old = yield* store.record
    yield* source.get
    expect(yield* provided(Effect.flip(Persisted.forget(key, old)))).toMatchObject({ _tag: "Conflict" })
    expect(refreshOf(yield* store.record)).toBe("R1")
    yield* provided(Persisted.forget(key, yield* store.record))
    expect(yield* store.record).toBe(undefined)
  }))

it.effect("F2 a mark on the grant is no renewal: it may be removed all the same", () =>
  Effect.gen(function*() {
    const { issuer, provided, source, store } = yield* setting
    const old = yield* store.record
    issuer.revoked = true
    yield* Effect.flip(source.get)
    expect(yield* store.record).toMatchObject({ status: { _tag: "Quarantined" } })
    yield* provided(Persisted.forget(key, old))
    expect(yield* store.record).toBe(undefined)
  }))

import { expect, it } from "@effect/vitest"
import type * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { accessOf, grant, hour, key, makeIssuer, makeStore, refreshOf } from "../vault/issuer.js"

const yields = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => Effect.yieldNow(), { discard: true })

/** An expired grant in a store, and a source over it. */
const setting = Effect.gen(function*() {
  const store = yield* makeStore
  const issuer = makeIssuer()
  yield* store.put(yield* grant(0))
  yield* TestClock.adjust(hour)
  const source = yield* Effect.provideService(
    Persisted.make({ key, redeem: issuer.redeem }),
    Vault.Vault,
    store.open()
  )
  return { store, issuer, source }
})

/** From here on nothing can be written. */
const breaks = (store: { broken: boolean }) =>
  Effect.sync(() => {
    store.broken = true
  })

/** Interrupts the caller at the n-th point at which it waits for the store or the issuer. */
const interruptAt = (moment: number) =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    const run: { points: number; caller?: Fiber.RuntimeFiber<Token.Token, TokenError> } = { points: 0 }
    const point = Effect.suspend(() =>
      run.points++ === moment && run.caller !== undefined
        ? Effect.zipRight(Effect.forkDaemon(Fiber.interrupt(run.caller)), yields(5))
        : yields(2)
    )
    store.pause = point
    issuer.before = Effect.zipRight(point, point)
    issuer.after = Effect.zipRight(point, point)
    run.caller = yield* Effect.fork(source.get)
    const exit = yield* Fiber.await(run.caller)
    store.pause = issuer.before = issuer.after = Effect.void
    return { exit, issuer, source, store, points: run.points }
  })

it.effect("F7 an interruption at any moment leaves the old grant unsent or the new one stored", () =>
  Effect.gen(function*() {
    const seen = { unsent: 0, stored: 0, served: 0 }
    const { points } = yield* interruptAt(Infinity)
    expect(points).toBeGreaterThan(8)
    for (let moment = 0; moment <= points; moment++) {
      const { exit, issuer, source, store } = yield* interruptAt(moment)
      const refresh = refreshOf(yield* store.record)
      expect([moment, issuer.calls <= 1, refresh]).toEqual([moment, true, `R${issuer.calls}`])
      seen[issuer.calls === 0 ? "unsent" : Exit.isSuccess(exit) ? "served" : "stored"]++

      expect(accessOf(yield* source.get)).toBe("A1")
      expect([moment, issuer.calls, issuer.revoked]).toEqual([moment, 1, false])
    }
    expect(Object.values(seen).every((count) => count > 0)).toBe(true)
  }))

it.effect("F7 an interruption while the issuer thinks does not reach the request", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.after = Effect.sleep("10 seconds")
    const caller = yield* Effect.fork(source.get)
    yield* TestClock.adjust("5 seconds")
    expect(issuer.calls).toBe(1)
    const interruption = yield* Effect.fork(Fiber.interrupt(caller))
    yield* TestClock.adjust("4 seconds")
    expect(caller.unsafePoll()).toBe(null)
    yield* TestClock.adjust("1 seconds")
    yield* Fiber.join(interruption)
    expect(refreshOf(yield* store.record)).toBe("R1")
    expect(accessOf(yield* source.get)).toBe("A1")
    expect(issuer.calls).toBe(1)
  }))

it.effect("F7 a caller's own time-out does not reach the request", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.after = Effect.sleep("10 seconds")
    const caller = yield* Effect.fork(Effect.timeout(source.get, "1 seconds"))
    yield* TestClock.adjust("10 seconds")
    expect(Exit.isFailure(yield* Fiber.await(caller))).toBe(true)
    expect([refreshOf(yield* store.record), issuer.calls]).toEqual(["R1", 1])
  }))

it.effect("F7 those who wait for an interrupted renewal get its token", () =>
  Effect.gen(function*() {
    const { issuer, source } = yield* setting
    issuer.after = Effect.sleep("10 seconds")
    const first = yield* Effect.fork(source.get)
    const others = yield* Effect.fork(
      Effect.all(Effect.replicate(source.get, 20), { concurrency: "unbounded" })
    )
    yield* TestClock.adjust("5 seconds")
    yield* Effect.fork(Fiber.interrupt(first))
    yield* TestClock.adjust("5 seconds")
    expect(new Set((yield* Fiber.join(others)).map(accessOf))).toEqual(new Set(["A1"]))
    expect(issuer.calls).toBe(1)
  }))

it.effect("F7 one who only waits is interrupted at once", () =>
  Effect.gen(function*() {
    const { issuer, source } = yield* setting
    issuer.after = Effect.sleep("10 seconds")
    const first = yield* Effect.fork(source.get)
    yield* TestClock.adjust("1 seconds")
    const other = yield* Effect.fork(source.get)
    yield* TestClock.adjust("1 seconds")
    expect(Exit.isFailure(yield* Fiber.interrupt(other))).toBe(true)
    yield* TestClock.adjust("8 seconds")
    expect(accessOf(yield* Fiber.join(first))).toBe("A1")
  }))

it.effect("F7 the deadline cuts a request that hangs, and the stored grant stays", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.before = Effect.never
    const caller = yield* Effect.fork(Effect.flip(source.get))
    yield* TestClock.adjust("59 seconds")
    expect(caller.unsafePoll()).toBe(null)
    yield* TestClock.adjust("1 seconds")
    expect(yield* Fiber.join(caller)).toMatchObject({ _tag: "ReauthRequired", reason: "Ambiguous" })
    expect(yield* store.record).toMatchObject({ generation: 1, status: { _tag: "Ambiguous" } })
    expect(refreshOf(yield* store.record)).toBe("R0")
  }))

it.effect("F7 a renewal that interrupts itself is a failure, not an interruption of the caller", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.before = Effect.interrupt
    expect(yield* Effect.flip(source.get)).toMatchObject({ _tag: "ReauthRequired", reason: "Ambiguous" })
    expect(refreshOf(yield* store.record)).toBe("R0")
  }))

it.effect("F7 a rotated grant that can't be stored is kept, shown to nobody, and stored by the next call", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.after = breaks(store)
    for (let call = 0; call < 3; call++) {
      expect(yield* Effect.flip(source.get)).toMatchObject({
        _tag: "TransientFailure",
        reason: "StoreUnreachable"
      })
    }
    expect([issuer.calls, refreshOf(yield* store.record)]).toEqual([1, "R0"])
    store.broken = false
    expect(accessOf(yield* source.get)).toBe("A1")
    expect([issuer.calls, refreshOf(yield* store.record)]).toEqual([1, "R1"])
  }))

it.effect("F7 where nothing can be written, nothing is sent", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    store.broken = true
    expect(yield* Effect.flip(source.get)).toMatchObject({
      _tag: "TransientFailure",
      reason: "StoreUnreachable"
    })
    expect(issuer.calls).toBe(0)
    store.broken = false
    expect(accessOf(yield* source.get)).toBe("A1")
  }))

it.effect("F7 a journal that was written although the vault said otherwise stops nobody who knows better", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    store.forgetful = true
    expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "StoreUnreachable" })
    expect((yield* store.record)?.status._tag).toBe("Redeeming")
    store.forgetful = false
    expect([accessOf(yield* source.get), issuer.calls]).toEqual(["A1", 1])
  }))

it.effect("F7 a second source over the same vault stores what the first could not", () =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    const vault = store.open()
    const make = Effect.provideService(Persisted.make({ key, redeem: issuer.redeem }), Vault.Vault, vault)
    yield* store.put(yield* grant(0))
    yield* TestClock.adjust(hour)
    issuer.after = breaks(store)
    yield* Effect.flip((yield* make).get)
    store.broken = false
    expect(accessOf(yield* (yield* make).get)).toBe("A1")
    expect([issuer.calls, issuer.revoked]).toEqual([1, false])
  }))

it.effect("F7 a write whose answer was lost is recognised as written", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.after = Effect.sync(() => {
      store.forgetful = true
    })
    expect(yield* Effect.flip(source.get)).toMatchObject({
      _tag: "TransientFailure",
      reason: "StoreUnreachable"
    })
    store.forgetful = false
    const writes = store.writes
    expect(accessOf(yield* source.get)).toBe("A1")
    expect([issuer.calls, store.writes]).toEqual([1, writes])
  }))

it.effect("F7 a vault that hangs is given up after the deadline, and nothing is lost", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.after = Effect.sync(() => {
      store.pause = Effect.never
    })
    const caller = yield* Effect.fork(Effect.flip(source.get))
    yield* TestClock.adjust("1 minutes")
    expect(yield* Fiber.join(caller)).toMatchObject({ _tag: "TransientFailure", reason: "StoreUnreachable" })
    store.pause = Effect.void
    expect(accessOf(yield* source.get)).toBe("A1")
    expect([issuer.calls, refreshOf(yield* store.record)]).toEqual([1, "R1"])
  }))

it.effect("F7 a login whose grant can't be stored is stored by the next call, and nobody logs in twice", () =>
  Effect.gen(function*() {
    const store = yield* makeStore
    let logins = 0
    const login = Effect.suspend(() => {
      logins++
      return grant(7)
    })
    const source = yield* Effect.provideService(
      Persisted.make({ key, login: { login, timeLimit: "5 minutes" } }),
      Vault.Vault,
      store.open()
    )
    store.broken = true
    expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "StoreUnreachable" })
    store.broken = false
    expect(accessOf(yield* source.get)).toBe("A7")
    expect([logins, refreshOf(yield* store.record)]).toEqual([1, "R7"])
  }))

import { expect, it } from "@effect/vitest"
import type * as Grant from "effect-credentials/Grant"
import type { TokenError } from "effect-credentials/TokenError"
import type * as TokenSource from "effect-credentials/TokenSource"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { accessOf, grant, hour, key, makeIssuer, makeStore } from "../vault/issuer.js"

const setting = (redeem?: (grant: Grant.Grant) => Effect.Effect<Grant.Grant, TokenError>) =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    yield* store.put(yield* grant(0))
    yield* TestClock.adjust(hour)
    const make = (deadline: number) =>
      Effect.provideService(
        Persisted.make({ key, redeem: redeem ?? issuer.redeem, deadline }),
        Vault.Vault,
        store.open()
      )
    return { store, issuer, make }
  })

it.effect("F17 a redemption that asks its own source ends at the deadline, and blocks nothing after it", () =>
  Effect.gen(function*() {
    const self: { source?: TokenSource.TokenSource; depth: number } = { depth: 0 }
    const inner = makeIssuer()
    const { make } = yield* setting((held) =>
      self.source === undefined || self.depth++ > 0
        ? inner.redeem(held)
        : Effect.zipRight(self.source.get, inner.redeem(held))
    )
    self.source = yield* make(5_000)
    const asking = yield* Effect.fork(Effect.flip(self.source.get))
    yield* TestClock.adjust("30 seconds")
    expect(asking.unsafePoll()).not.toBe(null)
    expect(yield* Fiber.join(asking)).toMatchObject({ reason: "Ambiguous" })
    const again = yield* Effect.fork(Effect.exit(self.source.get))
    yield* TestClock.adjust("30 seconds")
    expect(again.unsafePoll()).not.toBe(null)
  }))

/** Another process that has the lease and lives on. */
const occupy = (vault: Vault.Service) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Scope.extend(vault.lease(key, { term: "15 seconds" }), scope)
    return Scope.close(scope, Exit.void)
  })

it.effect("F17 waiting for another process is bounded, typed, and seen in the status", () =>
  Effect.gen(function*() {
    const { issuer, make, store } = yield* setting()
    const source = yield* make(20_000)
    const healths: Array<string> = []
    source.onChange(() => void healths.push("changed"))
    const leave = yield* occupy(store.open())
    const asking = yield* Effect.fork(Effect.flip(source.get))
    yield* TestClock.adjust("10 seconds")
    expect(asking.unsafePoll()).toBe(null)
    expect(yield* source.status).toMatchObject({ health: "Waiting" })
    expect(healths.length).toBeGreaterThan(0)
    yield* TestClock.adjust("11 seconds")
    expect(yield* Fiber.join(asking)).toMatchObject({ _tag: "TransientFailure", reason: "StoreLocked" })
    expect(yield* source.status).toMatchObject({ health: "Degraded" })
    expect(issuer.calls).toBe(0)
    yield* leave
    expect(accessOf(yield* source.get)).toBe("A1")
  }))

it.effect("F17 who waits goes on as soon as the other process is done, even without a result", () =>
  Effect.gen(function*() {
    const { issuer, make, store } = yield* setting()
    const source = yield* make(60_000)
    const leave = yield* occupy(store.open())
    const asking = yield* Effect.fork(source.get)
    yield* TestClock.adjust("30 seconds")
    expect(yield* source.status).toMatchObject({ health: "Waiting" })
    yield* leave
    yield* TestClock.adjust("1 second")
    expect(accessOf(yield* Fiber.join(asking))).toBe("A1")
    expect(issuer.calls).toBe(1)
    expect(yield* source.status).toMatchObject({ health: "Healthy" })
  }))

it.effect("F17 a caller that gives up while it waits leaves nothing behind", () =>
  Effect.gen(function*() {
    const { issuer, make, store } = yield* setting()
    const source = yield* make(60_000)
    const leave = yield* occupy(store.open())
    const asking = yield* Effect.fork(source.get)
    yield* TestClock.adjust("2 seconds")
    yield* Fiber.interrupt(asking)
    expect((yield* source.status).health).not.toBe("Waiting")
    yield* leave
    expect(accessOf(yield* source.get)).toBe("A1")
    expect(issuer.calls).toBe(1)
  }))

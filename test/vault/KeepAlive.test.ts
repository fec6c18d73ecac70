import { describe, expect, it } from "@effect/vitest"
import type * as Grant from "effect-credentials/Grant"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as KeepAlive from "effect-credentials/vault/KeepAlive"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Persister from "effect-credentials/vault/Persister"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { down, grant, hour, key, makeIssuer, makeStore } from "./issuer.js"

const day = 24 * hour

const setting = Effect.gen(function*() {
  const store = yield* makeStore
  const issuer = makeIssuer()
  yield* store.put(yield* grant(0))
  const state = { told: [] as Array<string>, calls: 0, isBroken: false }
  const persister = Persister.unsafeMake("login", ({ refreshToken }: Grant.Grant) =>
    Effect.suspend(() => {
      state.calls++
      if (state.isBroken) return Effect.fail(down)
      state.told.push(refreshToken === undefined ? "" : Redacted.value(refreshToken))
      return Effect.void
    }))
  const vault = store.open()
  const inVault = Effect.provideService(Vault.Vault, vault)
  const keep = inVault(KeepAlive.make({ key, redeem: issuer.redeem, every: "10 days", persister }))
  const open = inVault(Persisted.make({ key, redeem: issuer.redeem, persister }))
  return { issuer, keep, open, state }
})

describe("the persister of a grant that is kept alive", () => {
  it.scoped("is told of each renewal", () =>
    Effect.gen(function*() {
      const { keep, state } = yield* setting
      yield* keep
      yield* TestClock.adjust(10 * day + hour)
      expect(state.told).toEqual(["R1"])
      yield* TestClock.adjust(10 * day + hour)
      expect(state.told).toEqual(["R1", "R2"])
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  it.scoped("is told again by the source that shares it, which shows the failure", () =>
    Effect.gen(function*() {
      const { issuer, keep, open, state } = yield* setting
      yield* keep
      const source = yield* open
      state.isBroken = true
      yield* TestClock.adjust(10 * day + 1000)
      expect([issuer.calls, state.told]).toEqual([1, []])
      yield* source.get
      expect(yield* source.status).toMatchObject({ health: "Degraded", failure: down })
      state.isBroken = false
      yield* TestClock.adjust("30 seconds")
      yield* source.get
      yield* TestClock.adjust(0)
      expect([issuer.calls, state.told]).toEqual([1, ["R1"]])
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  it.scoped("is told again when the grant is looked at", () =>
    Effect.gen(function*() {
      const { keep, state } = yield* setting
      yield* keep
      state.isBroken = true
      yield* TestClock.adjust(10 * day + 1000)
      state.isBroken = false
      yield* TestClock.adjust("2 minutes")
      expect([state.calls, state.told]).toEqual([2, ["R1"]])
    }).pipe(Effect.provide(RefreshScheduler.layer)))
})

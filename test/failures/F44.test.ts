import { describe, expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as KeepAlive from "effect-credentials/vault/KeepAlive"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { down, grant, hour, key, makeIssuer, makeStore, refreshOf, rejected } from "../vault/issuer.js"

const day = 24 * hour

const setting = Effect.gen(function*() {
  const store = yield* makeStore
  const issuer = makeIssuer()
  yield* store.put(yield* grant(0))
  const keep = (vault: Vault.Service) =>
    Effect.provideService(
      KeepAlive.make({ key, redeem: issuer.redeem, every: "10 days" }),
      Vault.Vault,
      vault
    )
  return { issuer, keep, store }
})

describe("F44 a refresh token that nobody uses", () => {
  it.scoped("is renewed before it idles out, again and again", () =>
    Effect.gen(function*() {
      const { issuer, keep, store } = yield* setting
      yield* keep(store.open())
      yield* TestClock.adjust(10 * day - 1000)
      expect(issuer.calls).toBe(0)
      yield* TestClock.adjust(2000)
      expect([issuer.calls, refreshOf(yield* store.record)]).toEqual([1, "R1"])
      yield* TestClock.adjust(20 * day + 2 * hour)
      expect([issuer.calls, issuer.revoked]).toEqual([3, false])
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  it.scoped("is renewed once though three processes keep it", () =>
    Effect.gen(function*() {
      const { issuer, keep, store } = yield* setting
      for (let process = 0; process < 3; process++) {
        yield* keep({ ...store.open(), identity: { name: `process ${process}` } })
      }
      yield* TestClock.adjust(10 * day + hour)
      expect([issuer.calls, issuer.revoked]).toEqual([1, false])
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  it.scoped("is left alone while others renew it", () =>
    Effect.gen(function*() {
      const { issuer, keep, store } = yield* setting
      const vault = store.open()
      yield* keep(vault)
      const source = yield* Effect.provideService(
        Persisted.make({ key, redeem: issuer.redeem }),
        Vault.Vault,
        vault
      )
      yield* TestClock.adjust(6 * day)
      yield* source.get
      yield* TestClock.adjust(6 * day)
      expect(issuer.calls).toBe(1)
      yield* TestClock.adjust(5 * day)
      expect(issuer.calls).toBe(2)
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  it.scoped("is tried again after a failure that passes, without a storm", () =>
    Effect.gen(function*() {
      const { issuer, keep, store } = yield* setting
      issuer.before = Effect.fail(down)
      yield* keep(store.open())
      yield* TestClock.adjust(13 * day)
      expect(issuer.calls).toBeLessThan(5)
      expect(issuer.calls).toBeGreaterThan(1)
      issuer.before = Effect.void
      yield* TestClock.adjust(2 * day)
      expect(refreshOf(yield* store.record)).toBe("R1")
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  it.scoped("and is refused is not sent again, until somebody has logged in", () =>
    Effect.gen(function*() {
      const { issuer, keep, store } = yield* setting
      issuer.before = Effect.fail(rejected)
      yield* keep(store.open())
      yield* TestClock.adjust(60 * day)
      expect(issuer.calls).toBe(1)
      issuer.before = Effect.void
      issuer.next = 5
      yield* store.put(yield* grant(5))
      yield* TestClock.adjust(25 * day)
      expect(issuer.calls).toBeGreaterThan(1)
      expect(issuer.revoked).toBe(false)
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  it.effect("shows when the login ends", () =>
    Effect.gen(function*() {
      const { issuer, store } = yield* setting
      yield* store.put(yield* grant(0, { refreshExpiresAt: 30 * day }))
      const source = yield* Effect.provideService(
        Persisted.make({ key, redeem: issuer.redeem }),
        Vault.Vault,
        store.open()
      )
      yield* source.get
      expect(yield* source.status).toMatchObject({ health: "Healthy", loginExpiresAt: 30 * day })
      yield* TestClock.adjust(29 * day + hour)
      expect(yield* source.status).toMatchObject({ health: "LoginExpiring", loginExpiresAt: 30 * day })
    }))
})

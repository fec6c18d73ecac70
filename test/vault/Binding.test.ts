import { describe, expect, it } from "@effect/vitest"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as VaultKey from "effect-credentials/vault/VaultKey"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { accessOf, grant, hour, makeIssuer, makeStore, refreshOf } from "./issuer.js"

const keyOf = (n: number) =>
  VaultKey.make({ prefix: "t-", resource: `https://api${n}.example`, issuer: `https://id${n}.example` })

/** Two resources with an issuer each whose keys have the same name, and the grant of the first, expired. */
const setting = Effect.gen(function*() {
  const store = yield* makeStore
  const vault = store.open()
  const inVault = Effect.provideService(Vault.Vault, vault)
  const [mine, theirs] = [yield* keyOf(4287), yield* keyOf(5733)]
  const stored = (key: VaultKey.Input) => Effect.map(inVault(Persisted.load(key)), Option.getOrUndefined)
  yield* inVault(Persisted.save(mine, yield* grant(0)))
  yield* TestClock.adjust(hour)
  return { store, inVault, mine, theirs, stored }
})

const refused = {
  _tag: "Misconfigured",
  reason: "StoreDenied",
  detail: expect.stringContaining("bound to another")
}
const denied = { _tag: "Denied", hint: expect.stringContaining("prefix") }

describe("a grant under a derived key", () => {
  it.effect("is never sent for another resource whose key has the same name", () =>
    Effect.gen(function*() {
      const { inVault, mine, stored, theirs } = yield* setting
      expect([mine.name, mine.binding]).toEqual([theirs.name, expect.not.stringContaining(theirs.binding)])
      const issuer = makeIssuer()
      let logins = 0
      const login = Effect.suspend(() => {
        logins++
        return grant(9)
      })
      for (const key of [theirs, theirs.name]) {
        const source = yield* inVault(
          Persisted.make({ key, redeem: issuer.redeem, login: { login, timeLimit: "5 minutes" } })
        )
        expect(yield* Effect.flip(source.get)).toMatchObject(refused)
        expect(yield* Effect.flip(source.request({ refresh: true }))).toMatchObject(refused)
      }
      expect([issuer.calls, logins, refreshOf(yield* stored(mine))]).toEqual([0, 0, "R0"])
    }))

  it.effect("is not given to another either while it is valid, nor shown to it", () =>
    Effect.gen(function*() {
      const { inVault, mine, stored, theirs } = yield* setting
      yield* inVault(Persisted.save(mine, yield* grant(1)))
      const source = yield* inVault(Persisted.make({ key: theirs }))
      expect(yield* Effect.flip(source.get)).toMatchObject(refused)
      expect(yield* Effect.flip(stored(theirs))).toMatchObject(denied)
      expect(refreshOf(yield* stored(mine.name))).toBe("R1")
    }))

  it.effect("is not overwritten or removed by another", () =>
    Effect.gen(function*() {
      const { inVault, mine, stored, theirs } = yield* setting
      for (const key of [theirs, theirs.name]) {
        expect(yield* Effect.flip(inVault(Persisted.save(key, yield* grant(5))))).toMatchObject(denied)
      }
      expect(yield* Effect.flip(inVault(Persisted.forget(theirs)))).toMatchObject(denied)
      expect(refreshOf(yield* stored(mine))).toBe("R0")
      yield* inVault(Persisted.forget(mine.name))
      yield* inVault(Persisted.save(theirs, yield* grant(5)))
      expect(refreshOf(yield* stored(theirs))).toBe("R5")
    }))

  it.effect("that could not be stored yet is not lost to another's login or logout", () =>
    Effect.gen(function*() {
      const { inVault, mine, store, stored, theirs } = yield* setting
      const issuer = makeIssuer()
      const source = yield* inVault(Persisted.make({ key: mine, redeem: issuer.redeem }))
      issuer.after = Effect.sync(() => {
        store.broken = true
      })
      expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "StoreUnreachable" })
      store.broken = false
      store.unreadable = true
      expect(yield* Effect.flip(inVault(Persisted.save(theirs, yield* grant(5))))).toMatchObject(denied)
      expect(yield* Effect.flip(inVault(Persisted.forget(theirs)))).toMatchObject(denied)
      store.unreadable = false
      expect(accessOf(yield* source.get)).toBe("A1")
      expect([issuer.calls, refreshOf(yield* stored(mine))]).toEqual([1, "R1"])
    }))

  it.effect("stays bound through renewals and logins", () =>
    Effect.gen(function*() {
      const { inVault, mine, stored } = yield* setting
      const issuer = makeIssuer()
      const source = yield* inVault(Persisted.make({ key: mine, redeem: issuer.redeem }))
      expect(accessOf(yield* source.get)).toBe("A1")
      expect((yield* stored(mine))?.binding).toBe(mine.binding)
      yield* inVault(Persisted.save(mine, yield* grant(7)))
      expect(yield* stored(mine)).toMatchObject({ binding: mine.binding, generation: 3 })
    }))

  it.effect("that is bound to nothing is none of a derived key", () =>
    Effect.gen(function*() {
      const { inVault, mine } = yield* setting
      yield* inVault(Persisted.forget(mine))
      yield* inVault(Persisted.save(mine.name, yield* grant(0)))
      const source = yield* inVault(Persisted.make({ key: mine }))
      expect(yield* Effect.flip(source.get)).toMatchObject(refused)
    }))
})

import { describe, expect, it } from "@effect/vitest"
import * as VaultConformance from "effect-credentials/testing/VaultConformance"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"

/** Backends that break one promise each, and a case that must notice. */
const broken: ReadonlyArray<
  readonly [what: string, noticed: string, break_: (vault: Vault.Service) => Partial<Vault.Service>]
> = [
  ["compareAndSet ignores the version", "concurrent compareAndSet loses no update", (vault) => ({
    compareAndSet: (key, _, value) => vault.set(key, value)
  })],
  ["compareAndSet creates twice", "compareAndSet on nothing creates once", (vault) => ({
    compareAndSet: (key, expected, value) =>
      Option.isNone(expected) ? vault.set(key, value) : vault.compareAndSet(key, expected, value)
  })],
  ["remove ignores the version", "remove by version removes that version only", (vault) => ({
    remove: (key) => vault.remove(key)
  })],
  ["keys lose their case", "hostile keys are different keys", (vault) => ({
    get: (key) => vault.get(key.toLowerCase()),
    set: (key, value) => vault.set(key.toLowerCase(), value)
  })],
  ["values are trimmed", "hostile values come back unchanged", (vault) => ({
    set: (key, value) => vault.set(key, Redacted.make(Redacted.value(value).trim()))
  })],
  ["the version is the value's", "every write makes a new version", (vault) => ({
    set: (key, value) => Effect.as(vault.set(key, value), "1"),
    get: (key) => Effect.map(vault.get(key), Option.map((entry) => ({ ...entry, version: "1" })))
  })],
  [
    "list ignores the prefix",
    "list gives exactly the keys with the prefix",
    (vault) => ({ list: () => vault.list("") })
  ],
  ["a set is two writes", "an interrupted set has happened in whole or not at all", (vault) => ({
    set: (key, value) =>
      vault.set(key, Redacted.make(Redacted.value(value).slice(0, 2))).pipe(
        Effect.zipLeft(Effect.replicateEffect(Effect.yieldNow(), 5)),
        Effect.zipRight(vault.set(key, value))
      )
  })],
  [
    "a lease excludes nobody",
    "a lease excludes all others",
    () => ({ lease: (key) => Effect.succeed({ key }) })
  ],
  ["a lease is never given back", "closing the scope gives the lease back", (vault) => ({
    lease: (key, options) =>
      Effect.flatMap(Scope.make(), (forever) => Scope.extend(vault.lease(key, options), forever))
  })],
  ["any key is taken", "an empty key is Unsupported", () => ({ get: () => Effect.succeedNone })]
]

describe("the suite notices a vault in which", () => {
  for (const [what, noticed, break_] of broken) {
    it.live(what, () =>
      Effect.gen(function*() {
        const found = VaultConformance.cases.find(({ name }) => name === noticed)
        const vault = Effect.map(MemoryVault.make(), (vault) => ({ ...vault, ...break_(vault) }))
        const result = yield* Effect.either(
          Effect.provide(found?.run ?? Effect.void, Layer.effect(Vault.Vault, vault))
        )
        expect(result._tag).toBe("Left")
      }))
  }
})

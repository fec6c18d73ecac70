import { describe, expect, it } from "@effect/vitest"
import * as EncryptedVault from "effect-credentials/vault/EncryptedVault"
import * as EncryptionKey from "effect-credentials/vault/EncryptionKey"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as PassphraseKey from "effect-credentials/vault/PassphraseKey"
import type * as Vault from "effect-credentials/vault/Vault"
import { Unreachable, Unsupported } from "effect-credentials/vault/VaultError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

const names = Array.from({ length: 12 }, (_, index) => `k${index}`)

const read = (vault: Vault.Service, key: string) =>
  Effect.map(vault.get(key), (entry) => Redacted.value(Option.getOrThrow(entry).value))

const put = (vault: Vault.Service, key: string, text: string) => vault.set(key, Redacted.make(text))

/** As slow as a real store: every call lets other fibers run. */
const slow = (vault: Vault.Service): Vault.Service => ({
  ...vault,
  get: (key) => Effect.zipRight(Effect.yieldNow(), Effect.zipLeft(vault.get(key), Effect.yieldNow())),
  compareAndSet: (...args) =>
    Effect.zipRight(Effect.yieldNow(), Effect.zipLeft(vault.compareAndSet(...args), Effect.yieldNow()))
})

/** A store with values under an old key, and a view whose first key is a new one. */
const world = Effect.gen(function*() {
  const below = slow(yield* MemoryVault.make())
  const oldKey = yield* EncryptionKey.generate
  const newKey = yield* EncryptionKey.generate
  const before = yield* EncryptedVault.make(below, { keys: [oldKey] })
  yield* Effect.forEach(names, (name) => put(before, name, `value of ${name}`))
  const vault = yield* EncryptedVault.make(below, { keys: [newKey, oldKey] })
  const after = yield* EncryptedVault.make(below, { keys: [newKey] })
  return { below, oldKey, newKey, before, vault, after }
})

describe("rotate", () => {
  it.effect("puts every value under the first key, once", () =>
    Effect.gen(function*() {
      const { after, before, vault } = yield* world
      yield* put(vault, "new", "value of new")
      expect(yield* vault.rotate("")).toEqual({ rewritten: 12, current: 1, failed: [] })
      for (const name of [...names, "new"]) expect(yield* read(after, name)).toBe(`value of ${name}`)
      expect((yield* Effect.flip(before.get("k0")))._tag).toBe("Denied")
      const versions = yield* Effect.forEach(names, vault.get)
      expect(yield* vault.rotate("")).toEqual({ rewritten: 0, current: 13, failed: [] })
      expect(yield* Effect.forEach(names, vault.get)).toEqual(versions)
    }))

  it.effect("with a prefix leaves the others", () =>
    Effect.gen(function*() {
      const { before, vault } = yield* world
      expect(yield* vault.rotate("k1")).toEqual({ rewritten: 3, current: 0, failed: [] })
      expect(yield* read(before, "k2")).toBe("value of k2")
    }))

  it.effect("loses no write of those who write meanwhile", () =>
    Effect.gen(function*() {
      const { after, before, vault } = yield* world
      yield* Effect.forEach(names, (name) => put(before, name, "0"))
      const increment = (name: string) =>
        Effect.flatMap(vault.get(name), (entry) => {
          const { value, version } = Option.getOrThrow(entry)
          const next = Redacted.make(String(Number(Redacted.value(value)) + 1))
          return vault.compareAndSet(name, Option.some(version), next)
        }).pipe(Effect.retry({ while: (error) => error._tag === "Conflict" }))
      const writers = yield* Effect.fork(Effect.forEach(
        names,
        (name) => Effect.replicateEffect(increment(name), 10),
        { concurrency: "unbounded" }
      ))
      const rotation = yield* vault.rotate("")
      yield* Fiber.join(writers)
      expect(rotation.failed).toEqual([])
      expect(rotation.rewritten + rotation.current).toBe(12)
      for (const name of names) expect(yield* read(after, name)).toBe("10")
    }))

  it.effect("does a value again that an old process has written meanwhile", () =>
    Effect.gen(function*() {
      const { after, before, below, newKey, oldKey } = yield* world
      let writes = 0
      const raced: Vault.Service = {
        ...below,
        get: (key) =>
          Effect.tap(
            below.get(key),
            () => key === "k3" && writes < 5 ? put(before, "k3", `write ${++writes}`) : Effect.void
          )
      }
      const vault = yield* EncryptedVault.make(raced, { keys: [newKey, oldKey] })
      expect(yield* vault.rotate("")).toEqual({ rewritten: 12, current: 0, failed: [] })
      expect(yield* read(after, "k3")).toBe("write 5")
    }))

  it.effect("does not bring back what was removed meanwhile", () =>
    Effect.gen(function*() {
      const { below, newKey, oldKey } = yield* world
      const raced: Vault.Service = {
        ...below,
        get: (key) => Effect.tap(below.get(key), () => key === "k3" ? below.remove("k3") : Effect.void)
      }
      const vault = yield* EncryptedVault.make(raced, { keys: [newKey, oldKey] })
      expect(yield* vault.rotate("")).toEqual({ rewritten: 11, current: 0, failed: [] })
      expect(yield* below.get("k3")).toEqual(Option.none())
    }))

  it.live("can be interrupted at any moment and gone on with", () =>
    Effect.gen(function*() {
      let partly = 0
      for (let yields = 0; yields < 60; yields++) {
        const { after, vault } = yield* world
        const rotation = yield* Effect.fork(vault.rotate(""))
        yield* Effect.forEach(Array.from({ length: yields }), () =>
          Effect.promise(() => new Promise(setImmediate)))
        yield* Fiber.interrupt(rotation)
        for (const name of names) {
          expect(yield* read(vault, name)).toBe(`value of ${name}`)
        }
        const rest = yield* vault.rotate("")
        expect([rest.rewritten + rest.current, rest.failed]).toEqual([12, []])
        if (rest.rewritten > 0 && rest.current > 0) {
          partly++
        }
        for (const name of names) {
          expect(yield* read(after, name)).toBe(`value of ${name}`)
        }
      }
      expect(partly).toBeGreaterThan(0)
    }))

  it.effect("tells what failed and why, and does the others", () =>
    Effect.gen(function*() {
      const { before, below, newKey, oldKey } = yield* world
      const stranger = yield* EncryptedVault.make(below, { keys: [yield* EncryptionKey.generate] })
      yield* put(stranger, "k1", "under a key that is not here")
      yield* put(below, "k2", "torn")
      const restless: Vault.Service = {
        ...below,
        get: (key) => {
          if (key === "k4") {
            return Effect.fail(new Unreachable({ vault: "v", action: "get", detail: "away", hint: "Wait." }))
          }
          return Effect.tap(below.get(key), () => key === "k3" ? put(before, "k3", "again") : Effect.void)
        }
      }
      const vault = yield* EncryptedVault.make(restless, { keys: [newKey, oldKey] })
      const { current, failed, rewritten } = yield* vault.rotate("")
      expect([rewritten, current]).toEqual([8, 0])
      expect(failed.map(({ error, key }) => [key, error._tag])).toEqual([
        ["k1", "Denied"],
        ["k2", "Corrupt"],
        ["k3", "Conflict"],
        ["k4", "Unreachable"]
      ])
    }))

  it.effect("ends a migration: what is plain is encrypted", () =>
    Effect.gen(function*() {
      const { after, below, newKey, oldKey, vault } = yield* world
      yield* put(below, "plain", "value of plain")
      expect((yield* vault.rotate("")).failed.map(({ key }) => key)).toEqual(["plain"])
      const migrating = yield* EncryptedVault.make(below, { keys: [newKey, oldKey], migrate: true })
      expect(yield* migrating.rotate("")).toEqual({ rewritten: 1, current: 12, failed: [] })
      expect(yield* read(after, "plain")).toBe("value of plain")
    }))

  it.effect("leaves alone what keeps the keys themselves, wherever that is", () =>
    Effect.gen(function*() {
      const below = yield* MemoryVault.make()
      const key = yield* EncryptionKey.fromVault({ vault: below, key: "odd place" })
      const passphrase = Redacted.make("correct horse")
      yield* PassphraseKey.make({ passphrase, vault: below, cost: 14 })
      const stored = yield* Effect.flatMap(below.list(""), Effect.forEach(below.get))
      const vault = yield* EncryptedVault.make(below, { keys: [key], migrate: true })
      const { failed, rewritten } = yield* vault.rotate("")
      expect([rewritten, failed.map(({ error, key }) => [key, error._tag])]).toEqual([0, [[
        "odd place",
        "Corrupt"
      ]]])
      expect(yield* Effect.flatMap(below.list(""), Effect.forEach(below.get))).toEqual(stored)
    }))

  it.effect("is Unsupported without list or compare-and-set", () =>
    Effect.gen(function*() {
      const { below, newKey } = yield* world
      const unlisted = yield* EncryptedVault.make({
        ...below,
        capabilities: { ...below.capabilities, list: false },
        list: () =>
          Effect.fail(new Unsupported({ vault: "v", action: "list", detail: "no list", hint: "None." }))
      }, { keys: [newKey] })
      const blind = yield* EncryptedVault.make({
        ...below,
        capabilities: { ...below.capabilities, compareAndSet: "none" }
      }, { keys: [newKey] })
      expect((yield* Effect.flip(unlisted.rotate("")))._tag).toBe("Unsupported")
      expect((yield* Effect.flip(blind.rotate("")))._tag).toBe("Unsupported")
    }))
})

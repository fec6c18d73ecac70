import * as FileSystem from "@effect/platform/FileSystem"
import { describe, expect, it } from "@effect/vitest"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { accessOf, grant, hour, key, makeIssuer, makeStore } from "./issuer.js"
import { platform, temporary } from "./temporary.js"

describe("vaults on one directory", () => {
  it.scoped("F2 redeem a grant once, whatever name the directory has for each", () =>
    Effect.gen(function*() {
      const { directory, fs, home, path, vault } = yield* temporary
      yield* fs.makeDirectory(directory, { mode: 0o700 })
      yield* fs.symlink(home, path.join(home, "link"))
      const vaults = yield* Effect.forEach(
        [directory, `${directory}/.`, path.join(home, "link", "vault")],
        (directory) => FileVault.make({ directory })
      )
      expect(new Set(vaults.map(({ identity }) => identity)).size).toBe(1)
      const issuer = makeIssuer()
      // Long enough for the other vaults to have read the old record from the disk.
      issuer.before = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 100)))
      yield* Effect.provideService(Persisted.save(key, yield* grant(0)), Vault.Vault, vaults[0] ?? vault)
      yield* TestClock.adjust(hour)
      const sources = yield* Effect.forEach(
        vaults,
        (vault) => Effect.provideService(Persisted.make({ key, redeem: issuer.redeem }), Vault.Vault, vault)
      )
      const tokens = yield* Effect.all(sources.map(({ get }) => get), { concurrency: "unbounded" })
      expect([tokens.map(accessOf), issuer.calls, issuer.revoked]).toEqual([["A1", "A1", "A1"], 1, false])
    }).pipe(Effect.provide(platform)))

  it.scoped("are one before the directory is there, and two directories are two", () =>
    Effect.gen(function*() {
      const { directory, home, path, vault } = yield* temporary
      const fs = yield* FileSystem.FileSystem
      const [same, other] = [yield* FileVault.make({ directory }), yield* FileVault.make({ directory: home })]
      yield* fs.makeDirectory(path.join(home, "vault"), { mode: 0o700 })
      const later = yield* FileVault.make({ directory })
      expect([same, other, later].map(({ identity }) => identity === vault.identity)).toEqual([
        true,
        false,
        true
      ])
    }).pipe(Effect.provide(platform)))
})

describe("vaults in memory", () => {
  it.effect("are different ones, and a copy with other methods is the same one", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* MemoryVault.make(), yield* MemoryVault.make()]
      expect(one.identity).not.toBe(other.identity)
      const store = yield* makeStore
      const issuer = makeIssuer()
      issuer.before = Effect.sleep("1 seconds")
      const vault = store.open()
      yield* store.put(yield* grant(0))
      yield* TestClock.adjust(hour)
      const sources = yield* Effect.forEach(
        [vault, { ...vault, name: "copy" }],
        (vault) => Effect.provideService(Persisted.make({ key, redeem: issuer.redeem }), Vault.Vault, vault)
      )
      const fiber = yield* Effect.fork(
        Effect.all(sources.map(({ get }) => get), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("5 seconds")
      expect((yield* Fiber.join(fiber)).map(accessOf)).toEqual(["A1", "A1"])
      expect(issuer.calls).toBe(1)
    }))

  it("a name has one identity, and another name another", () => {
    expect(Vault.identity("redis://one")).toBe(Vault.identity("redis://one"))
    expect(Vault.identity("redis://one")).not.toBe(Vault.identity("redis://two"))
  })
})

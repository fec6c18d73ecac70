import { assert, describe, it } from "@effect/vitest"
import * as EncryptedVault from "effect-credentials/vault/EncryptedVault"
import * as EncryptionKey from "effect-credentials/vault/EncryptionKey"
import * as KeychainVault from "effect-credentials/vault/KeychainVault"
import type * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as SecretService from "../support/SecretService.js"
import { platform, temporary } from "../vault/temporary.js"

/** The vault, with a count of how often it was read and written. */
const counted = (vault: Vault.Service) => {
  const counts = { reads: 0, writes: 0 }
  const copy: Vault.Service = {
    ...vault,
    get: (key) => Effect.zipRight(Effect.sync(() => counts.reads++), vault.get(key)),
    set: (key, value) => Effect.zipRight(Effect.sync(() => counts.writes++), vault.set(key, value)),
    compareAndSet: (key, expected, value) =>
      Effect.zipRight(Effect.sync(() => counts.writes++), vault.compareAndSet(key, expected, value))
  }
  return { counts, vault: copy }
}

describe.skipIf(!SecretService.available)("F20 the keychain is not asked again and again:", () => {
  it.scopedLive("a key in the keychain and ciphertext in files read it once a process", () =>
    Effect.gen(function*() {
      yield* SecretService.make()
      const keychain = yield* KeychainVault.make({ service: "F20" })
      // An earlier process has made the key.
      yield* EncryptionKey.fromVault({ vault: { ...keychain, identity: { name: "an earlier process" } } })
      const { counts, vault } = counted(keychain)
      const { vault: files } = yield* temporary
      for (let round = 0; round < 100; round++) {
        const key = yield* EncryptionKey.fromVault({ vault })
        const secrets = yield* EncryptedVault.make(files, { keys: [key] })
        yield* secrets.set("token", Redacted.make(`secret ${round}`))
        const entry = yield* secrets.get("token")
        assert.strictEqual(
          Option.getOrThrow(Option.map(entry, ({ value }) => Redacted.value(value))),
          `secret ${round}`
        )
      }
      assert.deepStrictEqual(counts, { reads: 1, writes: 0 })
    }).pipe(Effect.provide(platform)))

  it.scopedLive("an entry is replaced in place, so that who may use it stays as it is", () =>
    Effect.gen(function*() {
      const service = yield* SecretService.make()
      const vault = yield* KeychainVault.make({ service: "F20 in place" })
      yield* vault.set("key", Redacted.make("first"))
      const before = yield* service.items("F20 in place")
      for (let round = 0; round < 5; round++) yield* vault.set("key", Redacted.make(`round ${round}`))
      // Another entry in between would get the name of a deleted one.
      yield* vault.set("other", Redacted.make("other"))
      assert.strictEqual(before.length, 1)
      const after = yield* service.items("F20 in place")
      assert.strictEqual(after.length, 2)
      assert.includeMembers([...after], [...before])
    }))
})

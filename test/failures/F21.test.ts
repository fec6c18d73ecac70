import { assert, describe, it } from "@effect/vitest"
import * as KeychainVault from "effect-credentials/vault/KeychainVault"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as KeychainNative from "../../src/vault/internal/keychainNative.js"
import * as SecretService from "../support/SecretService.js"

/** What the Credential Manager of Windows keeps at most. */
const limit = 2560

/** Tokens are ASCII; the other texts are as long in UTF-16 as they can be. */
const values: ReadonlyArray<readonly [string, string]> = [
  ["a token of 10,000 characters", "t".repeat(10_000)],
  ["quotation marks, which JSON writes as two characters", "\"".repeat(3_000)],
  ["characters outside the first plane", "\u{1f511}".repeat(2_000)],
  ["control characters", "\0".repeat(1_000)]
]

describe.skipIf(!SecretService.available)("F21 an entry that holds 2,560 bytes holds", () => {
  for (const [what, text] of values) {
    it.scopedLive(what, () =>
      Effect.gen(function*() {
        yield* SecretService.make()
        const vault = yield* KeychainVault.make({ service: "F21", maxEntryBytes: limit })
        yield* vault.set("key", Redacted.make("short"))
        yield* vault.set("key", Redacted.make(text))
        const entry = yield* vault.get("key")
        assert.isTrue(Option.getOrThrow(Option.map(entry, ({ value }) => Redacted.value(value))) === text)
        assert.deepStrictEqual(yield* vault.list(""), ["key"])

        const native = KeychainNative.make(yield* KeychainNative.load, {
          service: "F21",
          timeLimit: Duration.seconds(5)
        })
        const accounts = yield* native.accounts
        assert.isAbove(accounts.length, 3)
        for (const account of accounts) {
          const stored = Option.getOrThrow(yield* native.get(account))
          assert.isAtMost(new TextEncoder().encode(stored).length, limit)
          assert.isAtMost(2 * stored.length, limit)
        }

        yield* vault.remove("key")
        assert.deepStrictEqual(yield* native.accounts, [])
      }))
  }
})

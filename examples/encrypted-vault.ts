/**
 * Logins encrypted at rest: ciphertext in files, under a key from a passphrase; later under a key that
 * another vault keeps, such as the keychain of the operating system, and every record encrypted anew. Run it
 * with `npx tsx examples/encrypted-vault.ts`.
 */
import { FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Option, Redacted } from "effect"
import * as EncryptedVault from "effect-credentials/vault/EncryptedVault"
import * as EncryptionKey from "effect-credentials/vault/EncryptionKey"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as PassphraseKey from "effect-credentials/vault/PassphraseKey"

/** In your program it comes from `Config.redacted`, or from the person. */
const passphrase = Redacted.make("passphrase-of-the-example")

const program = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const directory = `${yield* fs.makeTempDirectoryScoped()}/vault`
  const files = yield* FileVault.make({ directory })

  // The cost is low for the sake of the example; leave it out.
  const oldKey = yield* PassphraseKey.make({ passphrase, vault: files, cost: 14 })
  const before = yield* EncryptedVault.make(files, { keys: [oldKey] })
  yield* Effect.forEach(["github", "billing"], (key) => before.set(key, Redacted.make(`secret-of-${key}`)))

  const names = (yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".cred"))
  const texts = yield* Effect.forEach(names, (name) => fs.readFileString(`${directory}/${name}`))
  yield* Console.log(
    `on the disk: ${texts.some((text) => text.includes("secret-of-")) ? "plain" : "ciphertext"}`
  )

  const wrong = PassphraseKey.make({ passphrase: Redacted.make("a-guess"), vault: files })
  yield* Effect.catchTag(wrong, "Denied", (error) => Console.log(error.message))

  // A `KeychainVault` in your program. The key is made at the first use, and read once a process.
  const keychain = yield* MemoryVault.make({ name: "keychain" })
  const newKey = yield* EncryptionKey.fromVault({ vault: keychain })

  const both = yield* EncryptedVault.make(files, { keys: [newKey, oldKey] })
  const { failed, rewritten } = yield* both.rotate("")
  yield* Console.log(`rotated: ${rewritten} records, ${failed.length} failed`)
  const again = yield* both.rotate("")
  yield* Console.log(`rotated again: ${again.rewritten} records, ${again.current} were current`)

  const after = yield* EncryptedVault.make(files, { keys: [newKey] })
  const found = yield* after.get("github")
  const isThere = Option.exists(found, ({ value }) => Redacted.value(value) === "secret-of-github")
  yield* Console.log(`with the new key alone: ${isThere ? "the value is there" : "nothing"}`)
  yield* Effect.catchTag(before.get("github"), "Denied", () => Console.log("with the old key alone: Denied"))
})

program.pipe(Effect.scoped, Effect.provide(NodeContext.layer), NodeRuntime.runMain)

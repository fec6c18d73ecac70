/**
 * A process of its own that asks for the key in a directory at a given time, and tells the id that it got.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as EncryptionKey from "effect-credentials/vault/EncryptionKey"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as PassphraseKey from "effect-credentials/vault/PassphraseKey"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

const [directory = "", kind = "", start = "0"] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const vault = yield* FileVault.make({ directory })
  yield* Effect.sleep(Math.max(0, Number(start) - Date.now()))
  const { id } = yield* kind === "passphrase"
    ? PassphraseKey.make({ passphrase: Redacted.make("correct horse"), vault, cost: 14 })
    : EncryptionKey.fromVault({ vault })
  process.stdout.write(id)
})

void Effect.runPromise(Effect.provide(program, NodeContext.layer))

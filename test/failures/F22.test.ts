import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as KeychainVault from "effect-credentials/vault/KeychainVault"
import * as PassVault from "effect-credentials/vault/PassVault"
import * as VaultLadder from "effect-credentials/vault/VaultLadder"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as SecretService from "../support/SecretService.js"
import { temporary } from "../vault/temporary.js"

const keychain = { service: "F22" }
const keychainRung = {
  name: "keychain",
  make: KeychainVault.make(keychain),
  probe: KeychainVault.probe(keychain)
}
const nowhere = { program: "/nonexistent/pass", storeDirectory: "/nonexistent" }
const passRung = { name: "pass", make: PassVault.make(nowhere), probe: PassVault.probe(nowhere) }

/** The warnings that the effect logs. */
const warnings = (logged: Array<string>) =>
  Logger.replace(
    Logger.defaultLogger,
    Logger.make(({ logLevel, message }) => {
      if (logLevel._tag === "Warning") logged.push(String(message))
    })
  )

describe.skipIf(!SecretService.available)("F22 on a machine", () => {
  it.scopedLive("without a screen the ladder takes the files, and says why", () =>
    Effect.gen(function*() {
      yield* SecretService.make({ without: "bus" })
      const { directory } = yield* temporary
      const logged: Array<string> = []
      const { report, vault } = yield* VaultLadder.firstAvailable([
        keychainRung,
        passRung,
        { name: "files", make: FileVault.make({ directory }) }
      ]).pipe(Effect.provide(warnings(logged)))
      assert.strictEqual(vault.name, "file")
      assert.strictEqual(report.taken, "files")
      assert.deepStrictEqual(report.skipped.map(({ reason, rung }) => [rung, reason._tag]), [
        ["keychain", "Absent"],
        ["pass", "Absent"]
      ])
      assert.strictEqual(logged.length, 1)
      assert.match(logged[0] ?? "", /files.*keychain: Absent.*Secret Service.*pass: Absent.*Install pass/)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive("without anything the error lists every rung and what to do", () =>
    Effect.gen(function*() {
      yield* SecretService.make({ without: "service" })
      const error = yield* Effect.flip(VaultLadder.firstAvailable([keychainRung, passRung]))
      assert.strictEqual(error._tag, "Misconfigured")
      assert.match(error.message, /keychain: Absent.*Start one.*pass: Absent.*Install pass/)
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive("with a keychain nothing is skipped and nothing logged", () =>
    Effect.gen(function*() {
      yield* SecretService.make()
      const { directory } = yield* temporary
      const logged: Array<string> = []
      const { report, vault } = yield* VaultLadder.firstAvailable([
        keychainRung,
        { name: "files", make: FileVault.make({ directory }) }
      ]).pipe(Effect.provide(warnings(logged)))
      assert.deepStrictEqual(report, { taken: "keychain", skipped: [] })
      assert.strictEqual(vault.name, "keychain")
      assert.deepStrictEqual(logged, [])
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive("with a locked keychain nothing weaker is taken, unless the rung says so", () =>
    Effect.gen(function*() {
      const service = yield* SecretService.make()
      const { directory, fs } = yield* temporary
      const vault = yield* KeychainVault.make(keychain)
      assert.deepStrictEqual(yield* vault.list(""), [])
      yield* service.lock
      const files = { name: "files", make: FileVault.make({ directory }) }
      const error = yield* Effect.flip(VaultLadder.firstAvailable([keychainRung, files]))
      assert.strictEqual(error._tag, "Locked")
      assert.isFalse(yield* fs.exists(directory))
      const { report } = yield* VaultLadder.firstAvailable([
        { ...keychainRung, fallThrough: ["Locked"] },
        files
      ]).pipe(Effect.provide(Layer.mergeAll(warnings([]))))
      assert.strictEqual(report.taken, "files")
      assert.strictEqual(report.skipped[0]?.reason._tag, "Locked")
    }).pipe(Effect.provide(NodeContext.layer)))
})

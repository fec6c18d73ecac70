import { assert, describe, expect, it } from "@effect/vitest"
import * as KeychainVault from "effect-credentials/vault/KeychainVault"
import type * as Vault from "effect-credentials/vault/Vault"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Failure } from "../../src/vault/internal/blobFailure.js"
import * as BlobVault from "../../src/vault/internal/blobVault.js"
import * as KeychainBlobs from "../../src/vault/internal/keychainBlobs.js"
import * as Chunks from "../../src/vault/internal/keychainChunks.js"
import { classify } from "../../src/vault/internal/keychainFailure.js"
import * as KeychainNative from "../../src/vault/internal/keychainNative.js"
import * as SecretService from "../support/SecretService.js"

const seconds = Duration.seconds(5)
const secret = (text: string) => Redacted.make(text)
const valueOf = (vault: Vault.Service, key: string) =>
  Effect.map(
    vault.get(key),
    (entry) => Option.getOrUndefined(Option.map(entry, ({ value }) => Redacted.value(value)))
  )

/** Every method that asks the keychain. */
const methods = (vault: Vault.Service) =>
  [
    ["get", Effect.asVoid(vault.get("key"))],
    ["set", Effect.asVoid(vault.set("key", secret("value")))],
    ["compareAndSet", Effect.asVoid(vault.compareAndSet("key", Option.none(), secret("value")))],
    ["remove", vault.remove("key")],
    ["list", Effect.asVoid(vault.list(""))]
  ] as const

describe.skipIf(!SecretService.available)("a keychain", () => {
  it.scopedLive("that is absent is Unreachable, and says what to do", () =>
    Effect.gen(function*() {
      yield* SecretService.make({ without: "bus" })
      const vault = yield* KeychainVault.make({ service: "absent" })
      for (const [action, run] of methods(vault)) {
        const error = yield* Effect.flip(run)
        assert.deepStrictEqual([error._tag, error.action], ["Unreachable", action])
        assert.include(error.hint, "Secret Service")
        assert.notInclude(error.message, "/bus")
      }
      assert.strictEqual((yield* KeychainVault.probe({ service: "absent" }))._tag, "Absent")
    }))

  it.scopedLive("without a service on the bus is absent too", () =>
    Effect.gen(function*() {
      yield* SecretService.make({ without: "service" })
      assert.strictEqual((yield* KeychainVault.probe({ service: "absent" }))._tag, "Absent")
      const vault = yield* KeychainVault.make({ service: "absent" })
      assert.strictEqual((yield* Effect.flip(vault.get("key")))._tag, "Unreachable")
    }))

  it.scopedLive("that refuses is Denied", () =>
    Effect.gen(function*() {
      yield* SecretService.make({ without: "permission" })
      const vault = yield* KeychainVault.make({ service: "refused" })
      for (const [action, run] of methods(vault)) {
        const error = yield* Effect.flip(run)
        assert.deepStrictEqual([error._tag, error.action], ["Denied", action])
      }
      assert.strictEqual((yield* KeychainVault.probe({ service: "refused" }))._tag, "Denied")
    }))

  it.scopedLive("that is locked is Locked, and its values are there when it is not", () =>
    Effect.gen(function*() {
      const service = yield* SecretService.make()
      const vault = yield* KeychainVault.make({ service: "locked" })
      assert.deepStrictEqual(yield* KeychainVault.probe({ service: "locked" }), { _tag: "Available" })
      assert.deepStrictEqual(yield* vault.list(""), [])
      yield* vault.set("key", secret("value"))
      assert.strictEqual(yield* valueOf(vault, "key"), "value")
      yield* service.lock
      for (const [action, run] of methods(vault)) {
        const error = yield* Effect.flip(run)
        assert.deepStrictEqual([error._tag, error.action], ["Locked", action])
      }
      assert.strictEqual((yield* KeychainVault.probe({ service: "locked" }))._tag, "Locked")
    }))

  it.scopedLive("that hangs is Locked at the time limit, and the event loop goes on", () =>
    Effect.gen(function*() {
      const service = yield* SecretService.make()
      const vault = yield* KeychainVault.make({ service: "hanging", timeLimit: "300 millis" })
      yield* vault.set("key", secret("value"))
      yield* service.suspend
      let ticks = 0
      const ticking = yield* Effect.fork(
        Effect.forever(Effect.delay(Effect.sync(() => ticks++), "10 millis"))
      )
      const known = yield* Effect.flip(vault.get("key"))
      const other = yield* Effect.flip(vault.get("another key"))
      assert.deepStrictEqual([known._tag, other._tag], ["Locked", "Locked"])
      assert.isAbove(ticks, 20)
      yield* service.resume
      const again = yield* Effect.retry(valueOf(vault, "key"), { times: 20 })
      assert.strictEqual(again, "value")
      yield* Fiber.interrupt(ticking)
    }))

  it.scopedLive("that another process writes to gives the new value", () =>
    Effect.gen(function*() {
      yield* SecretService.make()
      const vault = yield* KeychainVault.make({ service: "shared" })
      const version = yield* vault.set("key", secret("old"))
      // Another process has a binding of its own.
      const native = KeychainNative.make(yield* KeychainNative.load, {
        service: "shared",
        timeLimit: seconds
      })
      const other = BlobVault.make({
        vault: "other",
        identity: { name: "other" },
        blobs: KeychainBlobs.make({ vault: "other", native, maxUnits: Infinity }),
        maxValueBytes: 1024
      })
      yield* other.set("key", secret("new"))
      assert.strictEqual(yield* valueOf(vault, "key"), "new")
      const error = yield* Effect.flip(vault.compareAndSet("key", Option.some(version), secret("newer")))
      assert.strictEqual(error._tag, "Conflict")
    }))

  it.scopedLive("with an entry of another program is Corrupt until it is set", () =>
    Effect.gen(function*() {
      yield* SecretService.make()
      const native = KeychainNative.make(yield* KeychainNative.load, {
        service: "foreign",
        timeLimit: seconds
      })
      const vault = yield* KeychainVault.make({ service: "foreign" })
      yield* native.set("key", "hunter2 of another program")
      const error = yield* Effect.flip(vault.get("key"))
      assert.strictEqual(error._tag, "Corrupt")
      assert.notInclude(error.message, "hunter2")
      assert.strictEqual(
        (yield* Effect.flip(vault.compareAndSet("key", Option.none(), secret("value"))))._tag,
        "Corrupt"
      )
      yield* vault.set("key", secret("value"))
      assert.strictEqual(yield* valueOf(vault, "key"), "value")
    }))
})

describe("pieces", () => {
  /** A keychain in memory of which every write from the nth on fails. */
  const memory = () => {
    const entries = new Map<string, string>()
    let writesLeft = Infinity
    const native: KeychainNative.Native = {
      get: (account) => Effect.sync(() => Option.fromNullable(entries.get(account))),
      set: (account, text) =>
        Effect.suspend(() =>
          writesLeft-- > 0 ? Effect.sync(() => void entries.set(account, text)) : Effect.fail(gone)
        ),
      erase: (account) =>
        Effect.suspend(() =>
          writesLeft-- > 0 ? Effect.sync(() => void entries.delete(account)) : Effect.fail(gone)
        ),
      accounts: Effect.sync(() => Array.from(entries.keys()))
    }
    const vault = BlobVault.make({
      vault: "memory",
      identity: { name: String(Math.random()) },
      blobs: KeychainBlobs.make({ vault: "memory", native, maxUnits: 256 }),
      maxValueBytes: 64 * 1024
    })
    return { entries, vault, dieAfter: (writes: number) => Effect.sync(() => void (writesLeft = writes)) }
  }
  const gone: Failure = { reason: "Failed", detail: "the machine is gone", hint: "Test." }
  const long = (letter: string) => secret(letter.repeat(2_000))

  it.live("a crash before any step of a write leaves the old value or the new one, whole", () =>
    Effect.gen(function*() {
      const seen = new Set<string>()
      for (let writes = 0; writes < 30; writes++) {
        const { dieAfter, vault } = memory()
        yield* vault.set("key", long("o"))
        yield* dieAfter(writes)
        yield* Effect.ignore(vault.set("key", long("n")))
        yield* dieAfter(Infinity)
        const value = yield* valueOf(vault, "key")
        assert.include(["o".repeat(2_000), "n".repeat(2_000)], value)
        seen.add(value?.charAt(0) ?? "")
        yield* vault.set("key", long("l"))
        assert.strictEqual(yield* valueOf(vault, "key"), "l".repeat(2_000))
      }
      assert.strictEqual(seen.size, 2)
    }))

  it.live("of the old value nothing stays, and after a removal nothing at all", () =>
    Effect.gen(function*() {
      const { entries, vault } = memory()
      yield* vault.set("key", long("o"))
      const size = entries.size
      yield* vault.set("key", long("n"))
      assert.strictEqual(entries.size, size)
      yield* vault.set("key", secret("s"))
      assert.isAbove(size, 5)
      assert.isAtMost(entries.size, 2)
      assert.deepStrictEqual(yield* vault.list(""), ["key"])
      yield* vault.set("key", long("o"))
      yield* vault.remove("key")
      assert.strictEqual(entries.size, 0)
    }))

  const damages: ReadonlyArray<readonly [string, (entries: Map<string, string>, piece: string) => void]> = [
    ["is missing", (entries, piece) => entries.delete(piece)],
    ["is empty", (entries, piece) => entries.set(piece, "")],
    ["is that of another write", (entries, piece) => entries.set(piece, "x".repeat(256))],
    ["is too much", (entries, piece) => entries.set(piece, `${entries.get(piece)}x`)]
  ]
  for (const [what, damage] of damages) {
    it.live(`a piece that ${what} is Corrupt, and set replaces it`, () =>
      Effect.gen(function*() {
        const { entries, vault } = memory()
        yield* vault.set("key", long("o"))
        const piece = Array.from(entries.keys()).find((account) => account.endsWith("#1")) ?? ""
        damage(entries, piece)
        assert.strictEqual((yield* Effect.flip(vault.get("key")))._tag, "Corrupt")
        yield* vault.set("key", long("n"))
        assert.strictEqual(yield* valueOf(vault, "key"), "n".repeat(2_000))
      }))
  }

  it.live("a head without pieces of its own, or with too many, is Corrupt", () =>
    Effect.gen(function*() {
      for (const count of [0, 3, 1e9]) {
        const { entries, vault } = memory()
        entries.set("key", Chunks.renderHead({ id: "abc-def", count, digest: "0".repeat(64) }))
        assert.strictEqual((yield* Effect.flip(vault.get("key")))._tag, "Corrupt")
      }
    }))

  it("no character is cut in two", () => {
    for (const units of [2, 3, 4, 5]) {
      const text = "a\u{1f511}b\u{1f511}\u{1f511}c"
      const pieces = Chunks.split(text, units)
      expect(pieces.join("")).toBe(text)
      expect(pieces.every((piece) => piece.length <= units && !/^[\udc00-\udfff]/.test(piece))).toBe(true)
    }
  })
})

describe("what the binding says is told apart:", () => {
  const cases: ReadonlyArray<readonly [string, Failure["reason"]]> = [
    [
      "Platform failure: DBus error: Failed to connect to socket /run/user/1/bus: No such file or directory",
      "Absent"
    ],
    [
      "Platform failure: DBus error: The name org.freedesktop.secrets was not provided by any .service files",
      "Absent"
    ],
    ["zbus error: Failed to connect to address `unix:path=/run/user/1/bus`: No such file", "Absent"],
    ["Couldn't access platform storage: Secret Service: no result found", "Absent"],
    ["Couldn't access platform storage: A default keychain could not be found.", "Absent"],
    ["Couldn't access platform storage: Windows ERROR_NO_SUCH_LOGON_SESSION", "Absent"],
    ["Couldn't access platform storage: Secret Service: unlock prompt was dismissed", "Locked"],
    ["zbus error: org.freedesktop.Secret.Error.IsLocked: Cannot get secret of a locked object", "Locked"],
    ["Couldn't access platform storage: User interaction is not allowed.", "Locked"],
    [
      "Platform failure: DBus error: org.freedesktop.DBus.Error.AccessDenied: Rejected send message",
      "Denied"
    ],
    ["The user name or passphrase you entered is not correct.", "Denied"],
    ["User canceled the operation.", "Denied"],
    ["Attribute 'password' is longer than the platform limit of 2560 chars", "TooLong"],
    ["Password data is not valid UTF-8", "Spoilt"],
    ["Entry is matched by more than one credential (ambiguous)", "Spoilt"],
    ["Platform failure: DBus error: Did not receive a reply.", "Failed"],
    ["", "Failed"]
  ]
  for (const [message, reason] of cases) {
    it(`${reason}: ${message.slice(0, 60)}`, () => {
      const failure = classify(new Error(message))
      expect(failure.reason).toBe(reason)
      expect(message === "" || !`${failure.detail}${failure.hint}`.includes(message)).toBe(true)
    })
  }
  it("Failed: something that is no error", () =>
    expect(classify({ message: "locked" }).reason).toBe("Failed"))
})

describe("a vault is not made", () => {
  for (const service of ["", "  ", "a\0b", "a\nb", "all*", "é", "x".repeat(201)]) {
    it.effect(`for the service ${JSON.stringify(service.slice(0, 10))}`, () =>
      Effect.map(
        Effect.flip(KeychainVault.make({ service })),
        (error) => assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidOption"])
      ))
  }
  for (const maxEntryBytes of [0, -1, 511, 1.5, NaN]) {
    it.effect(`for entries of ${maxEntryBytes} bytes`, () =>
      Effect.map(
        Effect.flip(KeychainVault.make({ service: "s", maxEntryBytes })),
        (error) => assert.strictEqual(error.reason, "InvalidOption")
      ))
  }
})

import { describe, expect, it } from "@effect/vitest"
import * as EncryptedVault from "effect-credentials/vault/EncryptedVault"
import * as EncryptionKey from "effect-credentials/vault/EncryptionKey"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as PassphraseKey from "effect-credentials/vault/PassphraseKey"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import { Unreachable } from "effect-credentials/vault/VaultError"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { readdirSync, readFileSync } from "node:fs"
import { grant } from "./issuer.js"
import { platform, temporary } from "./temporary.js"

const secret = "refresh-token-of-the-person"

const textOf = (vault: Vault.Service, key: string) =>
  Effect.map(vault.get(key), (entry) => Redacted.value(Option.getOrThrow(entry).value))

const put = (vault: Vault.Service, key: string, text: string) => vault.set(key, Redacted.make(text))

/** A memory vault, and an encrypted view of it. */
const world = Effect.gen(function*() {
  const below = yield* MemoryVault.make()
  const key = yield* EncryptionKey.generate
  return { below, key, vault: yield* EncryptedVault.make(below, { keys: [key] }) }
})

const failure = <A>(self: Effect.Effect<A, Vault.VaultError>) =>
  Effect.map(Effect.flip(self), (error) => ({ tag: error._tag, message: error.message }))

describe("what is stored", () => {
  it.effect("holds nothing of the value, and never the same text twice", () =>
    Effect.gen(function*() {
      const { below, vault } = yield* world
      yield* put(vault, "k", secret)
      const first = yield* textOf(below, "k")
      yield* put(vault, "k", secret)
      const second = yield* textOf(below, "k")
      expect(first).not.toContain(secret)
      const [one, other] = [first, second].map((text) => JSON.parse(text))
      expect(one.iv).not.toBe(other.iv)
      expect(one.ciphertext).not.toBe(other.ciphertext)
      expect(yield* textOf(vault, "k")).toBe(secret)
    }))

  it.effect("tells the format, its version and the key", () =>
    Effect.gen(function*() {
      const { below, key, vault } = yield* world
      yield* put(vault, "k", "")
      expect(JSON.parse(yield* textOf(below, "k"))).toEqual({
        format: "effect-credentials/encrypted",
        version: 1,
        key: key.id,
        iv: expect.stringMatching(/^[\w-]{16}$/),
        ciphertext: expect.stringMatching(/^[\w-]{22}$/)
      })
    }))

  it.scoped("is no plain text on the disk, in any file, after any write", () =>
    Effect.gen(function*() {
      const { directory, file, vault: files } = yield* temporary
      const key = yield* PassphraseKey.make({
        passphrase: Redacted.make("the-passphrase"),
        vault: files,
        cost: 14
      })
      const vault = yield* EncryptedVault.make(files, { keys: [key] })
      yield* put(vault, "k", secret)
      const version = yield* put(vault, "k", `${secret}-2`)
      yield* vault.compareAndSet("k", Option.some(version), Redacted.make(`${secret}-3`))
      yield* Effect.provideService(Persisted.save("login", yield* grant(0)), Vault.Vault, vault)
      expect(yield* vault.list("")).toEqual(expect.arrayContaining(["k", "login"]))
      const names = readdirSync(directory).filter((name) => !name.includes("lease"))
      expect(names.length).toBeGreaterThanOrEqual(4)
      for (const name of names) {
        expect(readFileSync(file(name), "utf8")).not.toMatch(/refresh-token-of|the-passphrase|\bA0\b|\bR0\b/)
      }
    }).pipe(Effect.provide(platform)))

  it.effect.prop(
    "comes back whatever text it is, halves of surrogate pairs included",
    { value: FastCheck.string({ unit: "binary" }), lone: FastCheck.integer({ min: 0xd800, max: 0xdfff }) },
    ({ lone, value }) =>
      Effect.gen(function*() {
        const { vault } = yield* world
        const texts = [
          value,
          value + String.fromCharCode(lone),
          `${String.fromCharCode(lone)}\ud7ff${value}\ue000${String.fromCharCode(lone)}a`
        ]
        for (const text of texts) {
          yield* put(vault, "k", text)
          expect(yield* textOf(vault, "k")).toBe(text)
        }
      })
  )
})

describe("what does not open", () => {
  it.effect("under another key is Denied, and says which key it is", () =>
    Effect.gen(function*() {
      const { below, key, vault } = yield* world
      yield* put(vault, "k", secret)
      const other = yield* EncryptionKey.generate
      const stranger = yield* EncryptedVault.make(below, { keys: [other] })
      const { message, tag } = yield* failure(stranger.get("k"))
      expect(tag).toBe("Denied")
      expect(message).toContain(key.id)
      expect(message).toContain("Give that key too")
    }))

  it.effect("a value that claims to be under our key and is not is Corrupt", () =>
    Effect.gen(function*() {
      const { below, key, vault } = yield* world
      const other = yield* EncryptionKey.generate
      const stranger = yield* EncryptedVault.make(below, { keys: [other] })
      yield* put(stranger, "k", secret)
      yield* put(below, "k", (yield* textOf(below, "k")).replace(other.id, key.id))
      expect((yield* failure(vault.get("k"))).tag).toBe("Corrupt")
    }))

  it.effect("a ciphertext that was moved to another key is Corrupt", () =>
    Effect.gen(function*() {
      const { below, vault } = yield* world
      for (const [from, to] of [["a", "b"], ["\ud800", "\ud801"], ["a", "a\0"]] as const) {
        yield* put(vault, from, secret)
        yield* put(below, to, yield* textOf(below, from))
        expect((yield* failure(vault.get(to))).tag).toBe("Corrupt")
        expect(yield* textOf(vault, from)).toBe(secret)
      }
    }))

  it.effect("every text in which one character is another one is refused", () =>
    Effect.gen(function*() {
      const { below, key, vault } = yield* world
      const migrating = yield* EncryptedVault.make(below, { keys: [key], migrate: true })
      // One, two and three bytes after the last full group of base64: unused bits in two of the three.
      for (const value of ["", "x", "xy"]) {
        yield* put(vault, "k", value)
        const text = yield* textOf(below, "k")
        for (let at = 0; at < text.length; at++) {
          for (const other of [" ", "A", "B", "Q", "g", "0", "1", "\"", "\\", "\0", ",", "}"]) {
            if (text[at] === other) continue
            yield* put(below, "k", text.slice(0, at) + other + text.slice(at + 1))
            expect(["Corrupt", "Denied"]).toContain((yield* failure(vault.get("k"))).tag)
            expect(["Corrupt", "Denied"]).toContain((yield* failure(migrating.get("k"))).tag)
          }
        }
      }
    }))

  it.effect.prop(
    "any single flipped byte is refused",
    { value: FastCheck.string(), where: FastCheck.nat(), bits: FastCheck.integer({ min: 1, max: 255 }) },
    ({ bits, value, where }) =>
      Effect.gen(function*() {
        const { below, vault } = yield* world
        yield* put(vault, "k", value)
        const bytes = new TextEncoder().encode(yield* textOf(below, "k"))
        const at = where % bytes.length
        bytes[at] = (bytes[at] ?? 0) ^ bits
        yield* put(below, "k", new TextDecoder().decode(bytes))
        expect(["Corrupt", "Denied"]).toContain((yield* failure(vault.get("k"))).tag)
      })
  )

  it.effect("is Corrupt for anything else that stands there, and no error shows it", () =>
    Effect.gen(function*() {
      const { below, vault } = yield* world
      yield* put(vault, "k", secret)
      const whole = yield* textOf(below, "k")
      const record = JSON.parse(whole)
      const texts = [
        "",
        secret,
        "{}",
        "null",
        whole.slice(0, -1),
        `${whole}\n`,
        ` ${whole}`,
        JSON.stringify(record, null, 2),
        JSON.stringify({ ...record, more: 1 }),
        JSON.stringify({ ...record, version: 2 }),
        JSON.stringify({ ...record, key: secret }),
        JSON.stringify({ ...record, iv: `${record.iv}AAAA` }),
        JSON.stringify({ ...record, iv: record.iv.slice(4) }),
        JSON.stringify({ ...record, ciphertext: "" }),
        JSON.stringify({ ...record, ciphertext: record.ciphertext.slice(0, 20) }),
        JSON.stringify({ ...record, ciphertext: `${record.ciphertext}=` }),
        JSON.stringify({ ...record, ciphertext: { toString: 1 } }),
        whole.replace("\"version\"", "\"__proto__\":{},\"version\""),
        "[".repeat(100_000)
      ]
      for (const text of texts) {
        yield* put(below, "k", text)
        const { message, tag } = yield* failure(vault.get("k"))
        expect([text.slice(0, 80), tag]).toEqual([text.slice(0, 80), "Corrupt"])
        expect(message).not.toContain(secret)
      }
      yield* put(below, "k", JSON.stringify({ ...record, version: 2 }))
      expect((yield* failure(vault.get("k"))).message).toContain("format version 2")
    }))

  it.effect("is replaced by the next set", () =>
    Effect.gen(function*() {
      const { below, vault } = yield* world
      yield* put(below, "k", "torn")
      yield* put(vault, "k", "new")
      expect(yield* textOf(vault, "k")).toBe("new")
    }))
})

describe("migrate", () => {
  it.effect("reads what is plain, and the next write encrypts it", () =>
    Effect.gen(function*() {
      const { below, key } = yield* world
      const vault = yield* EncryptedVault.make(below, { keys: [key], migrate: true })
      yield* put(below, "k", secret)
      const { value, version } = Option.getOrThrow(yield* vault.get("k"))
      expect(Redacted.value(value)).toBe(secret)
      yield* vault.compareAndSet("k", Option.some(version), value)
      expect(yield* textOf(below, "k")).not.toContain(secret)
      expect(yield* textOf(vault, "k")).toBe(secret)
    }))
})

it.scoped("rotate leaves nothing plain in the files, backups included", () =>
  Effect.gen(function*() {
    const { directory, file, vault: files } = yield* temporary
    yield* put(files, "k", secret)
    yield* put(files, "k", `${secret}-2`)
    const vault = yield* EncryptedVault.make(files, { keys: [yield* EncryptionKey.generate], migrate: true })
    expect(yield* vault.rotate("")).toEqual({ rewritten: 1, current: 0, failed: [] })
    const names = readdirSync(directory)
    expect(names.sort()).toEqual(["k.bak", "k.cred"])
    for (const name of names) expect(readFileSync(file(name), "utf8")).not.toContain(secret)
    expect(yield* textOf(vault, "k")).toBe(`${secret}-2`)
  }).pipe(Effect.provide(platform)))

describe("what passes through", () => {
  it.effect("the bound is exact: one byte more, and the vault below could not keep it", () =>
    Effect.gen(function*() {
      const { key } = yield* world
      const memory = yield* MemoryVault.make()
      for (let maxValueBytes = 300; maxValueBytes < 320; maxValueBytes++) {
        const below: Vault.Service = { ...memory, capabilities: { ...memory.capabilities, maxValueBytes } }
        const vault = yield* EncryptedVault.make(below, { keys: [key] })
        const most = vault.capabilities.maxValueBytes
        const sizeOf = Effect.fnUntraced(function*(view: Vault.Service, length: number) {
          yield* put(view, "k", "k".repeat(length))
          return (yield* textOf(below, "k")).length
        })
        expect(yield* sizeOf(vault, most)).toBeLessThanOrEqual(maxValueBytes)
        const roomier = yield* EncryptedVault.make(memory, { keys: [key] })
        expect(yield* sizeOf(roomier, most + 1)).toBeGreaterThan(maxValueBytes)
        expect((yield* failure(put(vault, "k", "k".repeat(most + 1)))).message).toContain(`at most ${most}`)
      }
    }))

  it.effect("the bound holds for halves of surrogate pairs and characters of four bytes", () =>
    Effect.gen(function*() {
      const { below, vault } = yield* world
      const most = vault.capabilities.maxValueBytes
      for (const unit of ["\ud800", "\u{1f511}", "\u00e9"]) {
        const size = new TextEncoder().encode(unit).length
        const value = unit.repeat(Math.floor(most / size)) + "k".repeat(most % size)
        yield* put(vault, "k", value)
        expect((yield* textOf(below, "k")).length).toBeLessThanOrEqual(below.capabilities.maxValueBytes)
        expect((yield* textOf(vault, "k")) === value).toBe(true)
      }
    }))

  it.effect("a vault below that holds no envelope at all takes nothing", () =>
    Effect.gen(function*() {
      const { below, key } = yield* world
      const tiny = { ...below, capabilities: { ...below.capabilities, maxValueBytes: 20 } }
      const vault = yield* EncryptedVault.make(tiny, { keys: [key] })
      expect(vault.capabilities.maxValueBytes).toBe(0)
      expect((yield* failure(put(vault, "k", "k"))).tag).toBe("Unsupported")
    }))

  it.effect("the vault's errors are its own", () =>
    Effect.gen(function*() {
      const { below, key } = yield* world
      const outage = new Unreachable({ vault: "far", action: "get", detail: "away", hint: "Wait." })
      const vault = yield* EncryptedVault.make({ ...below, get: () => Effect.fail(outage) }, { keys: [key] })
      expect(yield* Effect.flip(vault.get("k"))).toBe(outage)
    }))

  it.effect("all encrypted views of a store are one, and not the plain one", () =>
    Effect.gen(function*() {
      const { below, key, vault } = yield* world
      const again = yield* EncryptedVault.make({ keys: [yield* EncryptionKey.generate, key] })(below)
      const elsewhere = yield* EncryptedVault.make(yield* MemoryVault.make(), { keys: [key] })
      expect(again.identity).toBe(vault.identity)
      expect(vault.identity).not.toBe(below.identity)
      expect(elsewhere.identity).not.toBe(vault.identity)
    }))

  it.effect("a grant that an encrypted view could not store is never stored by a plain view", () =>
    Effect.gen(function*() {
      const { below, key } = yield* world
      let isDown = true
      const flaky: Vault.Service = {
        ...below,
        compareAndSet: (...args) =>
          isDown
            ? Effect.fail(new Unreachable({ vault: "v", action: "set", detail: "away", hint: "Wait." }))
            : below.compareAndSet(...args)
      }
      const vault = yield* EncryptedVault.make(flaky, { keys: [key] })
      yield* Effect.exit(
        Effect.provideService(Persisted.save("login", yield* grant(0)), Vault.Vault, vault)
      )
      isDown = false
      const source = yield* Effect.provideService(
        Persisted.make({ key: "login", redeem: Effect.succeed }),
        Vault.Vault,
        flaky
      )
      yield* Effect.exit(source.get)
      expect(yield* below.list("")).toEqual([])
    }))

  it.effect("what the encryption keeps below is neither shown nor touched", () =>
    Effect.gen(function*() {
      const { below } = yield* world
      const passphrase = Redacted.make("correct horse")
      const key = yield* PassphraseKey.make({ passphrase, vault: below, cost: 14 })
      const vault = yield* EncryptedVault.make(below, { keys: [key], migrate: true })
      const [reserved = ""] = yield* below.list("")
      expect(reserved).toBe("effect-credentials/encryption/passphrase/default")
      expect(yield* vault.list("")).toEqual([])
      for (
        const touch of [
          vault.get(reserved),
          put(vault, reserved, "x"),
          vault.compareAndSet(reserved, Option.none(), Redacted.make("x")),
          vault.remove(reserved)
        ]
      ) {
        expect((yield* failure(Effect.asVoid(touch))).tag).toBe("Unsupported")
      }
      const same = yield* PassphraseKey.make({ passphrase, vault: below })
      expect(same.id).toBe(key.id)
    }))
})

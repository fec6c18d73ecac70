import { describe, expect, it } from "@effect/vitest"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as PassphraseKey from "effect-credentials/vault/PassphraseKey"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"

const passphrase = Redacted.make("correct horse")
const reserved = "effect-credentials/encryption/passphrase/default"
const cost = 14

describe("make", () => {
  it.effect("gives the same key for the same passphrase, in whatever normal form", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      const composed = Redacted.make("caf\u00e9 ")
      const first = yield* PassphraseKey.make({ passphrase: composed, vault, cost })
      const again = yield* PassphraseKey.make({ passphrase: Redacted.make("cafe\u0301 "), vault })
      expect(again.id).toBe(first.id)
      const elsewhere = yield* MemoryVault.make()
      const salted = yield* PassphraseKey.make({ passphrase: composed, vault: elsewhere, cost })
      expect(salted.id).not.toBe(first.id)
    }))

  it.effect("stores what it needs and nothing of the passphrase", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      const { id } = yield* PassphraseKey.make({ passphrase, vault, cost })
      const stored = Redacted.value(Option.getOrThrow(yield* vault.get(reserved)).value)
      expect(JSON.parse(stored)).toEqual({
        format: "effect-credentials/encryption-passphrase",
        version: 1,
        cost: 14,
        blocks: 8,
        lanes: 1,
        salt: expect.stringMatching(/^[\w-]{22}$/),
        id
      })
    }))

  it.effect("takes 128 MiB unless told otherwise", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      yield* PassphraseKey.make({ passphrase, vault })
      const stored = Redacted.value(Option.getOrThrow(yield* vault.get(reserved)).value)
      expect(JSON.parse(stored).cost).toBe(17)
    }))

  it.effect("another passphrase is Denied, and changes nothing", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      yield* PassphraseKey.make({ passphrase, vault, cost })
      const before = yield* vault.get(reserved)
      for (const wrong of ["correct horsf", "correct horse ", "Correct horse"]) {
        const error = yield* Effect.flip(
          PassphraseKey.make({ passphrase: Redacted.make(wrong), vault })
        )
        expect(error._tag).toBe("Denied")
        expect(inspect(error)).not.toContain(wrong)
      }
      expect(yield* vault.get(reserved)).toEqual(before)
    }))

  it.effect("another name keeps another passphrase beside it", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      const one = yield* PassphraseKey.make({ passphrase, vault, cost })
      const other = yield* PassphraseKey.make({
        passphrase: Redacted.make("battery staple"),
        name: "2031",
        vault,
        cost
      })
      expect(other.id).not.toBe(one.id)
      expect((yield* PassphraseKey.make({ passphrase, vault })).id).toBe(one.id)
    }))

  it.effect("refuses options that can't be meant", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      const reasonOf = (options: Partial<PassphraseKey.Options>) =>
        Effect.map(
          Effect.flip(PassphraseKey.make({ passphrase, vault, ...options })),
          (error) => error._tag === "Misconfigured" ? error.reason : error._tag
        )
      for (const blank of ["", " ", "\n\t"]) {
        expect(yield* reasonOf({ passphrase: Redacted.make(blank) })).toBe("EmptySecret")
      }
      expect(yield* reasonOf({ passphrase: Redacted.make("x".repeat(4097)) })).toBe("InvalidSecret")
      for (const cost of [0, 13, 19, 14.5, Number.NaN, Number.POSITIVE_INFINITY]) {
        expect(yield* reasonOf({ cost })).toBe("InvalidOption")
      }
      for (const name of ["", "x".repeat(101)]) expect(yield* reasonOf({ name })).toBe("InvalidOption")
      expect(yield* vault.list("")).toEqual([])
    }))

  it.effect("a damaged or hostile record is Corrupt at once, and stays", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      yield* PassphraseKey.make({ passphrase, vault, cost })
      const record = JSON.parse(Redacted.value(Option.getOrThrow(yield* vault.get(reserved)).value))
      const texts = [
        "",
        "{}",
        "x".repeat(100_000),
        ...[
          { cost: 13 },
          { cost: 19 },
          { cost: 40 },
          { cost: 1e9 },
          { cost: -1 },
          { cost: "14" },
          { cost: 14.5 },
          { blocks: 1_000_000 },
          { lanes: 1_000_000 },
          { salt: "" },
          { salt: "A".repeat(21) },
          { salt: "A".repeat(23) },
          { salt: `${"A".repeat(21)}B` },
          { salt: "=".repeat(22) },
          { id: "" },
          { id: record.id.toUpperCase().padEnd(17, "A") },
          { version: 2 },
          { format: "effect-credentials/encryption-key" }
        ].map((change) => JSON.stringify({ ...record, ...change }))
      ]
      for (const text of texts) {
        yield* vault.set(reserved, Redacted.make(text))
        const error = yield* Effect.flip(PassphraseKey.make({ passphrase, vault }))
        expect([text.slice(0, 200), error._tag]).toEqual([text.slice(0, 200), "Corrupt"])
        expect(Redacted.value(Option.getOrThrow(yield* vault.get(reserved)).value)).toBe(text)
      }
      yield* vault.set(reserved, Redacted.make(JSON.stringify({ ...record, salt: "A".repeat(22) })))
      expect((yield* Effect.flip(PassphraseKey.make({ passphrase, vault })))._tag).toBe("Denied")
    }))
})

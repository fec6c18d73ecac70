import { describe, expect, it } from "@effect/vitest"
import * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { grant } from "./issuer.js"

const valid = Effect.gen(function*() {
  const record = GrantRecord.make(yield* grant(0), 0)
  return JSON.parse(Redacted.value(yield* GrantRecord.encode(record, "test"))) as Record<string, unknown>
})

const hash = "0".repeat(64)

/** Stored texts that must be Corrupt: a field, and a value that it can't have. */
const invalid: ReadonlyArray<readonly [field: string, value: unknown]> = [
  ["schema", 2],
  ["schema", undefined],
  ["generation", -1],
  ["generation", 1.5],
  ["generation", "1"],
  ["binding", "sesame"],
  ["binding", hash.slice(1)],
  ["accessToken", undefined],
  ["accessToken", 7],
  ["accessToken", "sesame".repeat(100_000)],
  ["refreshToken", ""],
  ["refreshToken", null],
  ["tokenType", "sesame".repeat(100)],
  ["expiresAt", "sesame"],
  ["expiresAt", -1],
  ["expiresAt", 8.64e15 + 1],
  ["expiresAt", undefined],
  ["issuedAt", null],
  ["proofKey", ""],
  ["proofKey", { kty: "EC", d: "sesame" }],
  ["proofKey", "sesame".repeat(10_000)],
  ["scopes", "sesame"],
  ["scopes", [7]],
  ["scopes", Array.from({ length: 1001 }, () => "sesame")],
  ["extra", { sesame: 7 }],
  ["extra", Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`sesame ${index}`, ""]))],
  ["status", "Active"],
  ["status", { _tag: "Dead" }],
  ["status", { _tag: "Quarantined", hash: "sesame", reason: "GrantRejected", at: 0 }],
  ["status", { _tag: "Quarantined", hash, reason: "sesame; <b>", at: 0 }]
]

describe("decode", () => {
  for (const [field, value] of invalid) {
    it.effect(`refuses ${JSON.stringify(value)?.slice(0, 40)} as ${field}, and shows none of it`, () =>
      Effect.gen(function*() {
        const text = JSON.stringify({ ...yield* valid, [field]: value })
        const error = yield* Effect.flip(GrantRecord.decode(Redacted.make(text), "test"))
        expect(error).toMatchObject({
          _tag: "Corrupt",
          vault: "test",
          detail: expect.stringContaining(field)
        })
        expect(error.message + JSON.stringify(error)).not.toContain("sesame")
      }))
  }

  for (
    const [where, change] of [
      ["at the top", (text: string) => text.replace("{", "{\"__proto__\":{\"refreshToken\":\"sesame\"},")],
      [
        "with an escape",
        (text: string) => text.replace("{", "{\"__proto\\u005f_\":{\"idToken\":\"sesame\"},")
      ],
      ["in a field", (text: string) => text.replace("\"extra\":{", "\"extra\":{\"__proto__\":\"sesame\"")],
      [
        "in a field that is not known",
        (text: string) => text.replace("{", "{\"later\":[{\"__proto__\":{}}],")
      ]
    ] as const
  ) {
    it.effect(`refuses __proto__ ${where}`, () =>
      Effect.gen(function*() {
        const text = JSON.stringify(yield* valid)
        expect(JSON.stringify(JSON.parse(change(text)))).toContain("__proto__")
        const error = yield* Effect.flip(GrantRecord.decode(Redacted.make(change(text)), "test"))
        expect(error._tag).toBe("Corrupt")
        expect(error.message + JSON.stringify(error)).not.toContain("sesame")
      }))
  }

  for (const text of ["", "sesame", "null", "[]", "\"sesame\"", "{\"sesame\":1}"]) {
    it.effect(`refuses the text ${JSON.stringify(text)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(GrantRecord.decode(Redacted.make(text), "test"))
        expect(error._tag).toBe("Corrupt")
        expect(error.message + JSON.stringify(error)).not.toContain("sesame")
      }))
  }
})

describe("encode", () => {
  for (
    const [what, expiresIn, expiresAt] of [
      ["for ever", Infinity, null],
      ["absurdly long", 1e300, 8.64e15],
      ["not at all", -5, 0]
    ] as const
  ) {
    it.effect(`can store a token that lives ${what}`, () =>
      Effect.gen(function*() {
        const record = GrantRecord.make(yield* grant(0, { expiresIn }), 0)
        const text = yield* GrantRecord.encode(record, "test")
        expect(JSON.parse(Redacted.value(text))).toMatchObject({ expiresAt })
        yield* GrantRecord.decode(text, "test")
      }))
  }

  it.effect("refuses what could not be read back, and shows none of it", () =>
    Effect.gen(function*() {
      const record = GrantRecord.make(
        yield* grant(0, { refreshToken: Redacted.make("sesame".repeat(100_000)) }),
        0
      )
      const error = yield* Effect.flip(GrantRecord.encode(record, "test"))
      expect(error).toMatchObject({ _tag: "Unsupported", detail: expect.stringContaining("refreshToken") })
      expect(error.message).not.toContain("sesame")
    }))

  it.effect("no printed form of a record shows a secret, not even one in a field that is not known", () =>
    Effect.gen(function*() {
      const text = Redacted.make(JSON.stringify({ ...yield* valid, later: "sesame" }))
      const record = yield* GrantRecord.decode(text, "test")
      expect(JSON.stringify(record)).not.toMatch(/A0|R0|sesame/)
    }))
})

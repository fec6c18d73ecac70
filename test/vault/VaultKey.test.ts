import { describe, expect, it } from "@effect/vitest"
import * as VaultKey from "effect-credentials/vault/VaultKey"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"

const key = FastCheck.string({ unit: "binary", minLength: 1, maxLength: 60 })

describe("make", () => {
  it.effect("is the prefix and 8 hex digits of sha256(resource, NUL, issuer)", () =>
    Effect.gen(function*() {
      const made = yield* VaultKey.make({
        prefix: "P_",
        resource: "https://api.example",
        issuer: "https://id.example"
      })
      // printf 'https://api.example\0https://id.example' | sha256sum
      expect(made.name).toBe("P_52bf0445")
      expect(made.binding).toMatch(/^52bf0445[0-9a-f]{56}$/)
    }))

  it.effect("keeps the border between resource and issuer", () =>
    Effect.gen(function*() {
      const one = yield* VaultKey.make({ prefix: "", resource: "ab", issuer: "c" })
      const other = yield* VaultKey.make({ prefix: "", resource: "a", issuer: "bc" })
      expect(one.binding).not.toBe(other.binding)
    }))
})

describe("encode", () => {
  for (
    const [what, text, name] of [
      ["plain", "github-token_1", "github-token_1"],
      ["slash", "a/b", "a%2fb"],
      ["underscore", "a_b", "a_b"],
      ["capital", "A", "%41"],
      ["percent", "a%2fb", "a%252fb"],
      ["dots", "..", "%2e%2e"],
      ["path", "../../etc/passwd", "%2e%2e%2f%2e%2e%2fetc%2fpasswd"],
      ["space", " ", "%20"],
      ["NUL", "\0", "%00"],
      ["latin", "\u00e9", "%e9"],
      ["beyond latin", "\u20ac", "%u20ac"],
      ["lone surrogate", "\ud800", "%ud800"],
      ["device", "con", "%63on"],
      ["no device", "cons", "cons"],
      ["numbered device", "com1", "%63om1"]
    ] as const
  ) {
    it.effect(`${what} and back`, () =>
      Effect.gen(function*() {
        expect(yield* VaultKey.encode(text)).toBe(name)
        expect(VaultKey.decode(name)).toEqual(Option.some(text))
      }))
  }

  it.effect.prop(
    "is reversible and safe for any short text",
    { text: key },
    ({ text }) =>
      Effect.gen(function*() {
        const name = yield* VaultKey.encode(text)
        expect(name).toMatch(/^[a-z0-9_%-]{1,100}$/)
        if (!VaultKey.isHashed(name)) expect(VaultKey.decode(name)).toEqual(Option.some(text))
      })
  )

  it.effect.prop(
    "differs for different texts even where case is ignored",
    { one: key, other: key },
    ({ one, other }) =>
      Effect.gen(function*() {
        const names = [yield* VaultKey.encode(one), yield* VaultKey.encode(other)].map((name) =>
          name.toUpperCase()
        )
        expect(names[0] === names[1]).toBe(one === other)
      })
  )

  it.effect("a name of 100 characters is the last one that is not hashed", () =>
    Effect.gen(function*() {
      expect(yield* VaultKey.encode("x".repeat(100))).toBe("x".repeat(100))
      expect(yield* VaultKey.encode("x".repeat(101))).toMatch(/^%h[0-9a-f]{64}$/)
      expect(yield* VaultKey.encode("x".repeat(101))).not.toBe(yield* VaultKey.encode("x".repeat(102)))
    }))

  it.effect("no key has the name of a hashed one", () =>
    Effect.gen(function*() {
      const hashed = yield* VaultKey.encode("x".repeat(101))
      expect(yield* VaultKey.encode(hashed)).not.toBe(hashed)
      expect(VaultKey.decode(hashed)).toEqual(Option.none())
    }))
})

describe("decode", () => {
  it("refuses every name that encode makes of no key", () => {
    for (
      const name of [
        "",
        "A",
        "a%2Fb",
        "a/b",
        "%41%",
        "%6",
        "%61",
        "con",
        "..",
        "a.b",
        "%u0041",
        "x".repeat(101)
      ]
    ) {
      expect([name, VaultKey.decode(name)]).toEqual([name, Option.none()])
    }
  })
})

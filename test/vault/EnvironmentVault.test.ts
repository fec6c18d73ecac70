import { assert, describe, expect, it } from "@effect/vitest"
import * as EnvironmentVault from "effect-credentials/vault/EnvironmentVault"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { hostileKeys } from "../../src/testing/internal/vaultHostile.js"

const vaultOf = (variables: Readonly<Record<string, string>>) =>
  Effect.withConfigProvider(
    EnvironmentVault.make({ prefix: "APP_" }),
    ConfigProvider.fromMap(new Map(Object.entries(variables)))
  )

const valueOf = (variables: Readonly<Record<string, string>>, key: string) =>
  vaultOf(variables).pipe(
    Effect.flatMap((vault) => vault.get(key)),
    Effect.map((entry) => Option.getOrUndefined(Option.map(entry, ({ value }) => Redacted.value(value))))
  )

describe("the variable of a key", () => {
  const names: ReadonlyArray<readonly [key: string, name: string]> = [
    ["token", "APP_TOKEN"],
    ["token2", "APP_TOKEN2"],
    ["a/b", "APP_A_2FB"],
    ["a_b", "APP_A_5FB"],
    ["A", "APP__41"],
    ["a b", "APP_A_20B"],
    ["\0", "APP__00"],
    ["\u00fc", "APP__FC"],
    ["\u0100", "APP__U0100"],
    ["\u{1f511}", "APP__UD83D_UDD11"],
    ["_2f", "APP__5F2F"],
    ["2fb", "APP_2FB"]
  ]
  for (const [key, name] of names) {
    it(`${JSON.stringify(key)} is ${name}`, () => expect(EnvironmentVault.variableOf("APP_", key)).toBe(name))
  }

  it("is its own, even where case is ignored, and a name that every shell takes", () => {
    const units = Array.from({ length: 0x300 }, (_, unit) => String.fromCharCode(unit))
    const pairs = units.slice(0, 128).flatMap((first) => units.slice(0, 128).map((second) => first + second))
    const keys = new Set([...hostileKeys, ...units, ...pairs])
    const found = Array.from(keys, (key) => EnvironmentVault.variableOf("APP_", key))
    expect(new Set(found.map((name) => name.toLowerCase())).size).toBe(keys.size)
    expect(found.filter((name) => !/^[A-Z0-9_]+$/.test(name))).toEqual([])
  })
})

describe("a variable", () => {
  for (const text of ["value", " ", " padded ", "a,b", "line\nbreak", "=", "{\"json\":true}", "\u{1f511}"]) {
    it.effect(`is given as it is: ${JSON.stringify(text)}`, () =>
      Effect.map(valueOf({ APP_KEY: text }, "key"), (found) => assert.strictEqual(found, text)))
  }

  it.effect("that is unset, empty or of another prefix is missing", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* valueOf({}, "key"), undefined)
      assert.strictEqual(yield* valueOf({ APP_KEY: "" }, "key"), undefined)
      assert.strictEqual(yield* valueOf({ KEY: "value", app_key: "value" }, "key"), undefined)
    }))

  it.effect("that is longer than any secret is Corrupt, and isn't shown", () =>
    Effect.map(Effect.flip(valueOf({ APP_KEY: "s".repeat(2_000_000) }, "key")), (error) => {
      assert.strictEqual(error._tag, "Corrupt")
      assert.isBelow(error.message.length, 500)
    }))

  it.effect("has a version that changes with it", () =>
    Effect.gen(function*() {
      const variables = new Map([["APP_KEY", "one"]])
      const vault = yield* Effect.withConfigProvider(
        EnvironmentVault.make({ prefix: "APP_" }),
        ConfigProvider.fromMap(variables)
      )
      const version = Effect.map(vault.get("key"), (entry) => Option.getOrThrow(entry).version)
      const first = yield* version
      assert.strictEqual(yield* version, first)
      const other = yield* vaultOf({ APP_KEY: "two" })
      assert.notStrictEqual(Option.getOrThrow(yield* other.get("key")).version, first)
    }))

  it.live("of the process is read anew each time", () =>
    Effect.gen(function*() {
      const name = "EFFECT_CREDENTIALS_TEST_LIVE"
      const vault = yield* EnvironmentVault.make({ prefix: "EFFECT_CREDENTIALS_TEST_" })
      assert.isTrue(Option.isNone(yield* vault.get("live")))
      process.env[name] = "value"
      const entry = yield* Effect.ensuring(vault.get("live"), Effect.sync(() => delete process.env[name]))
      assert.isTrue(Option.isSome(entry))
      assert.isTrue(Option.isNone(yield* vault.get("live")))
    }))
})

describe("a vault of variables", () => {
  it.effect("has the identity of its source", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromMap(new Map())
      const make = (prefix: string) => Effect.withConfigProvider(EnvironmentVault.make({ prefix }), provider)
      const one = yield* make("APP_")
      assert.strictEqual((yield* make("APP_")).identity, one.identity)
      assert.notStrictEqual((yield* make("OTHER_")).identity, one.identity)
      assert.notStrictEqual((yield* vaultOf({})).identity, one.identity)
    }))

  it.effect("whose source fails is Unreachable, not empty", () =>
    Effect.gen(function*() {
      const failing = ConfigProvider.make({
        load: () => Effect.fail(ConfigError.SourceUnavailable([], "hunter2", new Error("hunter2") as never)),
        flattened: ConfigProvider.fromMap(new Map()).flattened
      })
      const vault = yield* Effect.withConfigProvider(EnvironmentVault.make({ prefix: "APP_" }), failing)
      const error = yield* Effect.flip(vault.get("key"))
      assert.strictEqual(error._tag, "Unreachable")
      assert.notInclude(error.message, "hunter2")
    }))

  it.effect("tells of no changes", () =>
    Effect.gen(function*() {
      const vault = yield* vaultOf({})
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(vault.changes("key"))))._tag, "Unsupported")
    }))

  for (const prefix of ["", "1A_", "A B", "A-", "Ä", "A".repeat(101), "A\n"]) {
    it.effect(`is not made for the prefix ${JSON.stringify(prefix.slice(0, 5))}`, () =>
      Effect.map(
        Effect.flip(EnvironmentVault.make({ prefix })),
        (error) => assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidOption"])
      ))
  }
})

import { assert, describe, it } from "@effect/vitest"
import { Misconfigured } from "effect-credentials/TokenError"
import * as EnvironmentVault from "effect-credentials/vault/EnvironmentVault"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import { Corrupt, Denied, Locked, Unreachable, Unsupported } from "effect-credentials/vault/VaultError"
import * as VaultLadder from "effect-credentials/vault/VaultLadder"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

const fields = { vault: "v", action: "set", detail: "the detail", hint: "The hint." } as const
const rung = (name: string) => ({ name, make: MemoryVault.make({ name }) })
const probed = (name: string, _tag: VaultLadder.Unavailable["_tag"]) => ({
  name,
  make: Effect.dieMessage("it must not be made"),
  probe: Effect.succeed<VaultLadder.Availability>({ _tag, detail: `${name} detail`, hint: `${name} hint.` })
})

describe("the ladder", () => {
  it.effect("takes the first that is available and makes no other", () =>
    Effect.gen(function*() {
      const { report, vault } = yield* VaultLadder.firstAvailable([
        probed("one", "Absent"),
        rung("two"),
        { name: "three", make: Effect.dieMessage("it must not be made") }
      ])
      assert.strictEqual(vault.name, "two")
      assert.deepStrictEqual(report, {
        taken: "two",
        skipped: [{ rung: "one", reason: { _tag: "Absent", detail: "one detail", hint: "one hint." } }]
      })
    }))

  for (const tag of ["Locked", "Denied", "Unreachable"] as const) {
    it.effect(`stops at one that is ${tag}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(VaultLadder.firstAvailable([
          probed("zero", "Absent"),
          probed("one", tag),
          rung("two")
        ]))
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(error.hint, "one hint.")
      }))

    it.effect(`passes one that is ${tag} if the rung says so, and only then`, () =>
      Effect.gen(function*() {
        const { report } = yield* VaultLadder.firstAvailable([
          { ...probed("one", tag), fallThrough: [tag] },
          rung("two")
        ])
        assert.strictEqual(report.skipped[0]?.reason._tag, tag)
        const others = (["Locked", "Denied", "Unreachable"] as const).filter((other) => other !== tag)
        const error = yield* Effect.flip(VaultLadder.firstAvailable([
          { ...probed("one", tag), fallThrough: others },
          rung("two")
        ]))
        assert.strictEqual(error._tag, tag)
      }))
  }

  it.effect("stops at one that can't be made", () =>
    Effect.gen(function*() {
      const wrong = new Misconfigured({ source: "s", reason: "InvalidOption", detail: "d", hint: "h" })
      const error = yield* Effect.flip(VaultLadder.firstAvailable([
        { name: "one", make: Effect.zipRight(Effect.fail(wrong), MemoryVault.make()) },
        rung("two")
      ]))
      assert.strictEqual(error, wrong)
    }))

  it.effect("is a layer of the vault and of the report", () =>
    Effect.gen(function*() {
      const vault = yield* Vault.Vault
      const report = yield* VaultLadder.LadderReport
      yield* vault.set("key", Redacted.make("value"))
      assert.deepStrictEqual([vault.name, report.taken], ["two", "two"])
    }).pipe(Effect.provide(VaultLadder.layer([probed("one", "Absent"), rung("two")]))))
})

describe("a vault is tried out", () => {
  it.effect("by an entry that is gone afterwards", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      assert.deepStrictEqual(yield* VaultLadder.tryOut(vault), { _tag: "Available" })
      assert.deepStrictEqual(yield* vault.list(""), [])
    }))

  it.effect("by reading alone where it can't be written", () =>
    Effect.gen(function*() {
      const vault = yield* EnvironmentVault.make({ prefix: "EFFECT_CREDENTIALS_TEST_" })
      assert.deepStrictEqual(yield* VaultLadder.tryOut(vault), { _tag: "Available" })
    }))

  const failures = [
    [new Locked(fields), "Locked"],
    [new Denied(fields), "Denied"],
    [new Unreachable(fields), "Unreachable"],
    [new Corrupt(fields), "Unreachable"],
    [new Unsupported(fields), "Absent"]
  ] as const
  for (const [error, tag] of failures) {
    it.effect(`and is ${tag} when it is ${error._tag}`, () =>
      Effect.gen(function*() {
        const vault = { ...(yield* MemoryVault.make()), set: () => Effect.fail(error) }
        assert.deepStrictEqual(yield* VaultLadder.tryOut(vault), {
          _tag: tag,
          detail: fields.detail,
          hint: fields.hint
        })
      }))
  }

  it.effect("and does not work when it forgets", () =>
    Effect.gen(function*() {
      const vault = { ...(yield* MemoryVault.make()), get: () => Effect.succeed(Option.none<Vault.Entry>()) }
      assert.strictEqual((yield* VaultLadder.tryOut(vault))._tag, "Unreachable")
    }))
})

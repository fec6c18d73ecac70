import { assert, describe, it } from "@effect/vitest"
import { Misconfigured } from "effect-credentials/TokenError"
import * as EnvironmentVault from "effect-credentials/vault/EnvironmentVault"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import { Corrupt, Denied, Locked, Unreachable, Unsupported } from "effect-credentials/vault/VaultError"
import * as VaultLadder from "effect-credentials/vault/VaultLadder"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

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

  const probes: ReadonlyArray<readonly [string, Partial<VaultLadder.Rung>]> = [
    ["its probe", { probe: Effect.never }],
    ["its making", { make: Effect.never }],
    ["a call that can't be interrupted", { probe: Effect.uninterruptible(Effect.never) }],
    ["a vault that hangs", {
      make: Effect.map(MemoryVault.make(), (vault) => ({ ...vault, get: () => Effect.never }))
    }]
  ]
  for (const [what, hanging] of probes) {
    it.effect(
      `is held up by ${what} for 10 seconds, and stops there unless the rung says so`,
      () =>
        Effect.gen(function*() {
          const one = { ...rung("one"), ...hanging }
          const stopped = yield* Effect.fork(Effect.flip(VaultLadder.firstAvailable([one, rung("two")])))
          const passed = yield* Effect.fork(
            VaultLadder.firstAvailable([{ ...one, fallThrough: ["Unreachable"] }, rung("two")])
          )
          yield* TestClock.adjust("9999 millis")
          assert.deepStrictEqual(yield* Fiber.poll(stopped), Option.none())
          yield* TestClock.adjust("1 millis")
          assert.strictEqual((yield* Fiber.join(stopped))._tag, "Unreachable")
          assert.strictEqual((yield* Fiber.join(passed)).report.taken, "two")
        }),
      5_000
    )
  }

  it.effect("gives a rung the time that it asks for", () =>
    Effect.gen(function*() {
      const slow = { ...rung("one"), probe: Effect.never, timeLimit: "1 minute" } as const
      const fiber = yield* Effect.fork(Effect.flip(VaultLadder.firstAvailable([slow])))
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(yield* Fiber.poll(fiber), Option.none())
      yield* TestClock.adjust("1 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Unreachable")
    }))

  it.effect("closes at once what it does not take, and keeps what it takes", () =>
    Effect.gen(function*() {
      const journal: Array<string> = []
      const opened = (
        name: string,
        break_: Partial<Vault.Service> = {}
      ): VaultLadder.Rung<never, Scope.Scope> => ({
        name,
        make: Effect.acquireRelease(
          Effect.map(MemoryVault.make({ name }), (vault) => ({ ...vault, ...break_ })),
          () => Effect.sync(() => journal.push(`close ${name}`))
        )
      })
      const absent = { set: () => Effect.fail(new Unsupported(fields)) }
      yield* Effect.scoped(Effect.gen(function*() {
        const { report } = yield* VaultLadder.firstAvailable([opened("one", absent), opened("two")])
        assert.deepStrictEqual([report.taken, journal], ["two", ["close one"]])
      }))
      assert.deepStrictEqual(journal, ["close one", "close two"])
      const locked = { set: () => Effect.fail(new Locked(fields)) }
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Effect.flip(VaultLadder.firstAvailable([opened("three", locked)]))
        assert.include(journal, "close three")
      }))
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

  it.effect("and does not work when it gives back something else", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      const liar: Vault.Service = {
        ...vault,
        get: (key) =>
          Effect.map(vault.get(key), Option.map((entry) => ({ ...entry, value: Redacted.make("probe") })))
      }
      assert.strictEqual((yield* VaultLadder.tryOut(liar))._tag, "Unreachable")
    }))

  it.effect("and does not work when it forgets", () =>
    Effect.gen(function*() {
      const vault = { ...(yield* MemoryVault.make()), get: () => Effect.succeed(Option.none<Vault.Entry>()) }
      assert.strictEqual((yield* VaultLadder.tryOut(vault))._tag, "Unreachable")
    }))
})

import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as PassVault from "effect-credentials/vault/PassVault"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as PasswordStore from "../support/PasswordStore.js"

/** Before each of these runs, its arguments and its environment are written down. */
const recorded = ["pass", "gpg"] as const

const recording = Effect.map(PasswordStore.make, (store) => {
  const bin = join(store.home, "bin")
  const record = join(store.home, "record")
  mkdirSync(bin)
  writeFileSync(record, "")
  const paths = recorded.map((program) => {
    const real = store.run("sh", ["-c", `command -v ${program}`]).trim()
    return store.script(
      `bin/${program}`,
      `{ echo "args: ${program} $*"; env; } >> ${record}; PATH=${bin}:$PATH; export PATH; exec ${real} "$@"`
    )
  })
  return { ...store, program: paths[0], record: () => readFileSync(record, "utf8") }
})

/** Whether any process of this machine shows the text in its arguments. */
const isShown = (text: string): boolean =>
  readdirSync("/proc").some((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(text)
    } catch {
      return false
    }
  })

describe.skipIf(!PasswordStore.available)("F23 a secret that goes through a program", () => {
  it.scopedLive("shows in no arguments and no environment", () =>
    Effect.gen(function*() {
      const { gnupgHome, program, record, storeDirectory } = yield* recording
      const vault = yield* PassVault.make({ program, gnupgHome, storeDirectory })
      const secret = "hunter2-of-F23"
      let looks = 0
      let sightings = 0
      const look = Effect.sync(() => {
        looks++
        if (isShown(secret)) sightings++
      })
      const work = Effect.gen(function*() {
        const version = yield* vault.set("key", Redacted.make(secret))
        yield* vault.compareAndSet("key", Option.some(version), Redacted.make(secret))
        const entry = yield* vault.get("key")
        assert.strictEqual(Option.getOrThrow(Option.map(entry, ({ value }) => Redacted.value(value))), secret)
        yield* vault.remove("key")
      })
      yield* Effect.raceFirst(work, Effect.forever(Effect.delay(look, "2 millis")))
      assert.isAbove(looks, 5)
      assert.strictEqual(sightings, 0)
      assert.match(record(), /args: pass insert --multiline --force effect-credentials\/key/)
      assert.match(record(), /args: gpg .*-e/)
      assert.notInclude(record(), secret)
      assert.notInclude(record(), Buffer.from(secret).toString("base64").slice(0, 12))
    }).pipe(Effect.provide(NodeContext.layer)), 60_000)

  it.scopedLive("shows in no error either", () =>
    Effect.gen(function*() {
      const { script, storeDirectory } = yield* PasswordStore.make
      const program = script(
        "loud",
        `[ $1 = show ] && { echo "Error: it is not in the password store." >&2; exit 1; }; cat; cat >&2; exit 3`
      )
      const vault = yield* PassVault.make({ program, storeDirectory })
      const error = yield* Effect.flip(vault.set("key", Redacted.make("hunter2")))
      assert.strictEqual(error._tag, "Unreachable")
      assert.notInclude(JSON.stringify(error) + error.message, "hunter2")
    }).pipe(Effect.provide(NodeContext.layer)))
})

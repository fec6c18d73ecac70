import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as PassVault from "effect-credentials/vault/PassVault"
import type * as Vault from "effect-credentials/vault/Vault"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as PasswordStore from "../support/PasswordStore.js"

const secret = (text: string) => Redacted.make(text)
const valueOf = (vault: Vault.Service, key: string) =>
  Effect.map(
    vault.get(key),
    (entry) => Option.getOrUndefined(Option.map(entry, ({ value }) => Redacted.value(value)))
  )

/** A vault on the store in which this script stands for `pass`; the real one is `$PASS`. */
const through = (store: PasswordStore.PasswordStore, script: string) => {
  const real = store.run("sh", ["-c", "command -v pass"]).trim()
  return PassVault.make({ ...store, program: store.script("through", `PASS=${real}\n${script}`) })
}

const ours = ({ storeDirectory }: PasswordStore.PasswordStore) =>
  readdirSync(join(storeDirectory, "effect-credentials")).sort()

describe.skipIf(!PasswordStore.available)("a password store", () => {
  it.scopedLive("keeps the old value when a write fails at any of its steps", () =>
    Effect.gen(function*() {
      const store = yield* PasswordStore.make
      const vault = yield* PassVault.make(store)
      yield* vault.set("key", secret("old"))
      const failures = [
        "[ $1 = insert ] && exit 1",
        "[ $1 = insert ] && { head -c 10 > /dev/null; kill -9 $$; }",
        `[ $1 = insert ] && { "$PASS" "$@"; exit 2; }`,
        "[ $1 = mv ] && exit 1"
      ]
      for (const failure of failures) {
        const broken = yield* through(store, `${failure}\nexec "$PASS" "$@"`)
        const error = yield* Effect.flip(broken.set("key", secret("new")))
        assert.strictEqual(error._tag, "Unreachable")
        assert.strictEqual(yield* valueOf(vault, "key"), "old")
        assert.deepStrictEqual(ours(store), ["key.gpg"])
      }
    }).pipe(Effect.provide(NodeContext.layer)), 60_000)

  it.scopedLive(
    "whose key is gone is Denied, and the old value is still there",
    () =>
      Effect.gen(function*() {
        const store = yield* PasswordStore.make
        const vault = yield* PassVault.make(store)
        yield* vault.set("key", secret("old"))
        const idFile = join(store.storeDirectory, ".gpg-id")
        const id = readFileSync(idFile, "utf8")
        writeFileSync(idFile, `${"0".repeat(39)}1\n`)
        const error = yield* Effect.flip(vault.set("key", secret("new")))
        assert.deepStrictEqual([error._tag, error.action], ["Denied", "set"])
        assert.strictEqual((yield* PassVault.probe(store))._tag, "Denied")
        writeFileSync(idFile, id)
        assert.strictEqual(yield* valueOf(vault, "key"), "old")
        const other = yield* PasswordStore.make
        const stranger = yield* PassVault.make({ ...store, gnupgHome: other.gnupgHome })
        assert.strictEqual((yield* Effect.flip(stranger.get("key")))._tag, "Denied")
      }).pipe(Effect.provide(NodeContext.layer)),
    60_000
  )

  it.scopedLive("that is damaged is Corrupt, and set replaces it", () =>
    Effect.gen(function*() {
      const store = yield* PasswordStore.make
      const vault = yield* PassVault.make(store)
      yield* vault.set("key", secret("old"))
      const file = join(store.storeDirectory, "effect-credentials", "key.gpg")
      const whole = readFileSync(file)
      for (
        const bytes of [new Uint8Array(), new Uint8Array([1, 2, 3]), whole.subarray(0, whole.length - 40)]
      ) {
        writeFileSync(file, bytes)
        const error = yield* Effect.flip(vault.get("key"))
        assert.strictEqual(error._tag, "Corrupt")
      }
      yield* vault.set("key", secret("new"))
      assert.strictEqual(yield* valueOf(vault, "key"), "new")
    }).pipe(Effect.provide(NodeContext.layer)), 60_000)

  it.scopedLive("that has gone away is not an empty one", () =>
    Effect.gen(function*() {
      const store = yield* PasswordStore.make
      const vault = yield* PassVault.make(store)
      assert.deepStrictEqual(yield* PassVault.probe(store), { _tag: "Available" })
      assert.deepStrictEqual(yield* vault.list(""), [])
      rmSync(store.storeDirectory, { recursive: true })
      for (
        const run of [vault.get("key"), vault.list(""), vault.remove("key"), vault.set("key", secret("v"))]
      ) {
        const error = yield* Effect.flip(Effect.asVoid(run))
        assert.strictEqual(error._tag, "Unreachable")
        assert.include(error.hint, "pass init")
      }
      assert.strictEqual((yield* PassVault.probe(store))._tag, "Absent")
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive(
    "in git has every write in its history, and nothing unfinished",
    () =>
      Effect.gen(function*() {
        const store = yield* PasswordStore.make
        store.run("pass", ["git", "init"])
        store.run("pass", ["git", "config", "user.email", "store@example.test"])
        store.run("pass", ["git", "config", "user.name", "store"])
        const vault = yield* PassVault.make(store)
        yield* Effect.all(["one", "two", "three"].map((key) => vault.set(key, secret(key))), {
          concurrency: "unbounded"
        })
        yield* vault.remove("two")
        assert.deepStrictEqual(ours(store), ["one.gpg", "three.gpg"])
        assert.strictEqual(
          store.run("pass", ["git", "status", "--porcelain", "effect-credentials"]).trim(),
          ""
        )
      }).pipe(Effect.provide(NodeContext.layer)),
    60_000
  )

  it.scopedLive("what a dead write left behind is swept after a while, and never listed", () =>
    Effect.gen(function*() {
      const store = yield* PasswordStore.make
      const vault = yield* PassVault.make(store)
      yield* vault.set("key", secret("old"))
      const folder = join(store.storeDirectory, "effect-credentials")
      const young = `key.${Date.now().toString(36)}-1.gpg`
      for (const name of ["key.abc-1.gpg", "other.abc-1.gpg", young]) writeFileSync(join(folder, name), "x")
      assert.deepStrictEqual(yield* vault.list(""), ["key"])
      yield* vault.set("key", secret("new"))
      assert.deepStrictEqual(ours(store), ["key.gpg", young, "other.abc-1.gpg"].sort())
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("the program", () => {
  const seconds = Effect.map(Effect.clock, (clock) => clock.unsafeCurrentTimeMillis())
  const scripts: ReadonlyArray<readonly [what: string, script: string, tag: string]> = [
    ["hangs", "sleep 60", "Locked"],
    ["hangs and can't be ended gently", "trap '' TERM INT HUP; sleep 60 & wait; sleep 60", "Locked"],
    ["says something without end", "yes", "Corrupt"],
    ["complains without end", "yes >&2", "Locked"],
    ["is killed", "kill -9 $$", "Unreachable"],
    ["has no pinentry", "echo 'gpg: public key decryption failed: No pinentry' >&2; exit 2", "Locked"],
    ["asks in vain", "echo 'gpg: public key decryption failed: Operation cancelled' >&2; exit 2", "Locked"],
    ["gives something else", "echo something else", "Corrupt"],
    ["gives nothing", "exit 0", "Corrupt"],
    ["may not read", "echo 'cannot open: Permission denied' >&2; exit 2", "Denied"]
  ]
  for (const [what, script, tag] of scripts) {
    it.scopedLive(`that ${what} is ${tag}`, () =>
      Effect.gen(function*() {
        const store = yield* PasswordStore.scripts
        const vault = yield* PassVault.make({
          storeDirectory: store.home,
          program: store.script("pass", script),
          timeLimit: "1 seconds"
        })
        const start = yield* seconds
        const error = yield* Effect.flip(vault.get("key"))
        assert.strictEqual(error._tag, tag)
        assert.isBelow((yield* seconds) - start, Duration.toMillis("5 seconds"))
      }).pipe(Effect.provide(NodeContext.layer)))
  }

  it.scopedLive("that is ended takes its children with it", () =>
    Effect.gen(function*() {
      const store = yield* PasswordStore.scripts
      const mark = join(store.home, "mark")
      const vault = yield* PassVault.make({
        storeDirectory: store.home,
        program: store.script("pass", `(sleep 1; touch ${mark}) & wait`),
        timeLimit: "200 millis"
      })
      yield* Effect.flip(vault.get("key"))
      yield* Effect.sleep("1500 millis")
      assert.isFalse(existsSync(mark))
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive("that doesn't read its input fails the write and nothing else", () =>
    Effect.gen(function*() {
      const store = yield* PasswordStore.scripts
      writeFileSync(join(store.home, ".gpg-id"), "x")
      const vault = yield* PassVault.make({
        storeDirectory: store.home,
        program: store.script(
          "pass",
          `[ $1 = show ] && { echo "Error: it is not in the password store." >&2; exit 1; }; exec <&-; exit 1`
        )
      })
      const error = yield* Effect.flip(vault.set("key", secret("x".repeat(500_000))))
      assert.strictEqual(error._tag, "Unreachable")
      yield* Effect.sleep("50 millis")
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive("that ends before it is spoken to is not waited for", () =>
    Effect.gen(function*() {
      const store = yield* PasswordStore.scripts
      writeFileSync(join(store.home, ".gpg-id"), "x")
      const vault = yield* PassVault.make({
        storeDirectory: store.home,
        program: store.script("pass", `echo "Error: it is not in the password store." >&2; exit 1`),
        timeLimit: "10 seconds"
      })
      const busy = Effect.sync(() => {
        const until = performance.now() + 5
        while (performance.now() < until);
      })
      const spinning = yield* Effect.fork(Effect.forever(Effect.zipRight(busy, Effect.sleep(0))))
      const found = yield* Effect.all(Effect.replicate(vault.get("key"), 100), { concurrency: "unbounded" })
      yield* Fiber.interrupt(spinning)
      assert.isTrue(found.every(Option.isNone))
    }).pipe(Effect.provide(NodeContext.layer)))

  it.scopedLive("that is missing says what to install", () =>
    Effect.gen(function*() {
      const options = { program: "/nonexistent/pass", storeDirectory: "/nonexistent" }
      const vault = yield* PassVault.make(options)
      for (const run of [vault.get("key"), vault.set("key", secret("v")), vault.remove("key")]) {
        const error = yield* Effect.flip(Effect.asVoid(run))
        assert.strictEqual(error._tag, "Unreachable")
        assert.include(error.hint, "Install pass")
      }
      assert.strictEqual((yield* PassVault.probe(options))._tag, "Absent")
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("a vault is not made", () => {
  for (const folder of ["", "/", "a//b", "../a", "a/..", "-a", "a b", ".git", "a/"]) {
    it.effect(`in the folder ${JSON.stringify(folder)}`, () =>
      Effect.map(
        Effect.flip(PassVault.make({ folder, storeDirectory: "/s" })),
        (error) => assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidOption"])
      ).pipe(
        Effect.provide(NodeContext.layer)
      ))
  }

  const environments: ReadonlyArray<readonly [string, Record<string, string>, string | undefined]> = [
    ["PASSWORD_STORE_DIR", { PASSWORD_STORE_DIR: "/store", HOME: "/home" }, "pass:/store:effect-credentials"],
    ["HOME", { PASSWORD_STORE_DIR: "", HOME: "/home" }, "pass:/home/.password-store:effect-credentials"],
    ["nothing", { HOME: "" }, undefined]
  ]
  for (const [what, variables, expected] of environments) {
    it.effect(`elsewhere than where the environment says: ${what}`, () =>
      PassVault.make().pipe(
        Effect.map(({ identity }) => identity.name),
        Effect.orElseSucceed(() => undefined),
        Effect.map((found) => assert.strictEqual(found, expected)),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)))),
        Effect.provide(NodeContext.layer)
      ))
  }
})

import * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import { expect, it } from "@effect/vitest"
import * as FileVault from "effect-credentials/vault/FileVault"
import type * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { platform, temporary } from "../vault/temporary.js"

type Setting = Effect.Effect.Success<typeof temporary>

const inDirectory = <A, E>(name: string, test: (setting: Setting) => Effect.Effect<A, E>) =>
  it.live(name, () => Effect.scoped(Effect.flatMap(temporary, test)).pipe(Effect.provide(platform)))

const systemError = (reason: PlatformError.SystemErrorReason, description: string) =>
  Effect.fail(new PlatformError.SystemError({ module: "FileSystem", method: "test", reason, description }))

const secret = Redacted.make<string>
const valueOf = (vault: Vault.Service, key: string) =>
  Effect.map(
    vault.get(key),
    (entry) => Option.getOrUndefined(Option.map(entry, ({ value }) => Redacted.value(value)))
  )

/** Ways in which the file of a record can be no record. */
const damages: ReadonlyArray<
  readonly [
    what: string,
    damage: (setting: Setting) => Effect.Effect<unknown, PlatformError.PlatformError | Vault.VaultError>
  ]
> = [
  ["empty", ({ file, fs }) => fs.writeFileString(file("key.cred"), "")],
  [
    "torn",
    ({ file, fs }) =>
      Effect.flatMap(
        fs.readFileString(file("key.cred")),
        (text) => fs.writeFileString(file("key.cred"), text.slice(0, -20))
      )
  ],
  [
    "changed",
    ({ file, fs }) =>
      Effect.flatMap(
        fs.readFileString(file("key.cred")),
        (text) => fs.writeFileString(file("key.cred"), text.replace("one", "two"))
      )
  ],
  [
    "of a changed revision",
    ({ file, fs }) =>
      Effect.flatMap(
        fs.readFileString(file("key.cred")),
        (text) => fs.writeFileString(file("key.cred"), text.replace("\"revision\":1", "\"revision\":7"))
      )
  ],
  ["of another format", ({ file, fs }) => fs.writeFileString(file("key.cred"), "{\"access_token\":\"x\"}")],
  ["no JSON", ({ file, fs }) => fs.writeFileString(file("key.cred"), "\u0000\u0001")],
  [
    "of a later version",
    ({ file, fs }) =>
      Effect.flatMap(
        fs.readFileString(file("key.cred")),
        (text) => fs.writeFileString(file("key.cred"), text.replace("\"version\":1", "\"version\":2"))
      )
  ],
  [
    "of another key",
    ({ file, fs, vault }) =>
      Effect.zipRight(vault.set("other", secret("x")), fs.rename(file("other.cred"), file("key.cred")))
  ],
  [
    "a directory",
    ({ file, fs }) => Effect.zipRight(fs.remove(file("key.cred")), fs.makeDirectory(file("key.cred")))
  ],
  ["a link elsewhere", ({ file, fs, home, path }) =>
    Effect.all([
      fs.rename(file("key.cred"), path.join(home, "elsewhere")),
      fs.symlink(path.join(home, "elsewhere"), file("key.cred"))
    ])],
  [
    "a link to nowhere",
    ({ file, fs }) =>
      Effect.zipRight(fs.remove(file("key.cred")), fs.symlink("/nowhere/at/all", file("key.cred")))
  ],
  ["too large", ({ file, fs }) => fs.truncate(file("key.cred"), 16 * 1024 * 1024)]
]

for (const [what, damage] of damages) {
  inDirectory(
    `F19 a record that is ${what} is Corrupt, and nothing that names a version overwrites or removes it`,
    (setting) =>
      Effect.gen(function*() {
        const { directory, file, fs, vault } = setting
        const version = yield* vault.set("key", secret("one"))
        yield* damage(setting)
        const before = (yield* fs.readDirectory(directory)).sort()
        for (
          const use of [
            vault.get("key"),
            vault.remove("key", { version }),
            vault.compareAndSet("key", Option.some(version), secret("two")),
            vault.compareAndSet("key", Option.none(), secret("two"))
          ]
        ) {
          const error = yield* Effect.flip(use)
          expect(error).toMatchObject({ _tag: "Corrupt", hint: expect.stringMatching(/\w/) })
          expect(error.message).not.toContain("two")
        }
        expect((yield* fs.readDirectory(directory)).sort()).toEqual(before)
        const isLink = Exit.isSuccess(yield* Effect.exit(fs.readLink(file("key.cred"))))

        yield* vault.set("key", secret("new login"))
        expect(yield* valueOf(vault, "key")).toBe("new login")
        const aside = (yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".corrupt"))
        expect(aside.length).toBe(1)
        expect(Exit.isSuccess(yield* Effect.exit(fs.readLink(file(aside[0] ?? ""))))).toBe(isLink)
      })
  )
}

for (const [what, damage] of damages) {
  inDirectory(
    `F19 a record that is ${what} can be removed, with every copy of it`,
    (setting) =>
      Effect.gen(function*() {
        const { directory, fs, home, vault } = setting
        yield* vault.set("key", secret("zero"))
        yield* vault.set("key", secret("one"))
        yield* damage(setting)
        const kind = yield* Effect.option(fs.stat(setting.file("key.cred")))
        yield* vault.remove("key")
        expect(yield* valueOf(vault, "key")).toBe(undefined)
        const left = (yield* fs.readDirectory(directory)).filter((name) => name.startsWith("key."))
        expect(left.length).toBe(Option.isSome(kind) && kind.value.type === "Directory" ? 1 : 0)
        if (what === "a link elsewhere") expect(yield* fs.readDirectory(home)).toContain("elsewhere")
      })
  )
}

inDirectory(
  "F19 a record that can't be read for lack of rights is Denied, not missing",
  (setting) =>
    Effect.gen(function*() {
      const { directory } = setting
      yield* setting.vault.set("key", secret("one"))
      const refused: FileSystem.FileSystem = {
        ...setting.fs,
        readFile: () => systemError("PermissionDenied", "EACCES: permission denied")
      }
      const vault = yield* Effect.provideService(
        FileVault.make({ directory }),
        FileSystem.FileSystem,
        refused
      )
      expect(yield* Effect.flip(vault.get("key"))).toMatchObject({ _tag: "Denied" })
      expect(yield* Effect.flip(vault.set("key", secret("two")))).toMatchObject({ _tag: "Denied" })
      expect(yield* valueOf(setting.vault, "key")).toBe("one")
    }).pipe(Effect.provide(platform))
)

inDirectory(
  "F19 the previous record is kept as a backup that is a whole record",
  ({ file, fs, vault }) =>
    Effect.gen(function*() {
      yield* vault.set("key", secret("one"))
      yield* vault.set("key", secret("two"))
      yield* vault.set("key", secret("three"))
      yield* fs.rename(file("key.bak"), file("key.cred"))
      expect(yield* valueOf(vault, "key")).toBe("two")
    })
)

/**
 * A file system on which the process dies at the n-th operation that changes something: that one is done (or,
 * for a write, half done) or not, and none after it. Counts from 0 how many there were.
 */
const mortal = (fs: FileSystem.FileSystem, diesAt: number, done: boolean) => {
  const state = { count: 0 }
  const died = Effect.die(new Error("the process is dead"))
  const step = <A, E, R>(operation: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const index = state.count++
      if (index < diesAt) return operation
      return index === diesAt && done ? Effect.zipRight(operation, died) : died
    })
  const half = (bytes: Uint8Array) => bytes.slice(0, bytes.length >> 1)
  const file = (file: FileSystem.File): FileSystem.File =>
    new Proxy(file, {
      get: (target, name) => {
        if (name === "sync") return step(target.sync)
        if (name !== "writeAll") return Reflect.get(target, name, target) as unknown
        return (bytes: Uint8Array) =>
          state.count === diesAt && !done
            ? Effect.zipRight(target.writeAll(half(bytes)), step(Effect.void))
            : step(target.writeAll(bytes))
      }
    })
  const wrapped: FileSystem.FileSystem = {
    ...fs,
    open: (path, options) => Effect.map(step(fs.open(path, options)), file),
    rename: (from, to) => step(fs.rename(from, to)),
    link: (from, to) => step(fs.link(from, to)),
    copyFile: (from, to) => step(fs.copyFile(from, to)),
    remove: (path, options) => step(fs.remove(path, options)),
    makeDirectory: (path, options) => step(fs.makeDirectory(path, options)),
    chmod: (path, mode) => step(fs.chmod(path, mode))
  }
  return { fs: wrapped, state }
}

const crash = (setting: Setting, diesAt: number, done: boolean, value: string) =>
  Effect.gen(function*() {
    const { fs, state } = mortal(setting.fs, diesAt, done)
    const vault = yield* Effect.provideService(
      FileVault.make({ directory: setting.directory }),
      FileSystem.FileSystem,
      fs
    )
    const exit = yield* Effect.exit(vault.set("key", secret(value)))
    return { exit, steps: state.count }
  }).pipe(Effect.provide(platform))

for (const done of [false, true]) {
  inDirectory(
    `F19 a crash ${done ? "after" : "at"} any step of a write leaves the old or the new record`,
    (setting) =>
      Effect.gen(function*() {
        const { directory, file, fs, vault } = setting
        yield* vault.set("key", secret("older"))
        yield* vault.set("key", secret("old"))
        const { steps } = yield* crash(setting, Infinity, done, "old")
        expect(steps).toBeGreaterThan(8)
        const seen = new Set<string | undefined>()
        for (let step = 0; step < steps; step++) {
          const { exit } = yield* crash(setting, step, done, `new ${step}`)
          const value = yield* valueOf(vault, "key")
          expect([step, value === "old" || value === `new ${step}`]).toEqual([step, true])
          if (Exit.isSuccess(exit)) expect(value).toBe(`new ${step}`)
          seen.add(value)
          yield* vault.set("key", secret("old"))
          const names = (yield* fs.readDirectory(directory)).filter((name) => !name.endsWith(".tmp")).sort()
          expect(names).toEqual(["key.bak", "key.cred"])
          yield* fs.copyFile(file("key.bak"), file("other.cred"))
          expect(yield* Effect.flip(vault.get("other"))).toMatchObject({
            detail: expect.stringContaining("another key")
          })
          yield* fs.remove(file("other.cred"))
        }
        expect(seen.has("old") && seen.size > 1).toBe(true)
      })
  )
}

inDirectory(
  "F19 a crash at any step of the first write leaves nothing or the new record",
  (setting) =>
    Effect.gen(function*() {
      const { directory, fs, vault } = setting
      for (let step = 0; step < 8; step++) {
        yield* fs.remove(directory, { recursive: true, force: true })
        yield* crash(setting, step, false, "new")
        expect([undefined, "new"]).toContain(yield* valueOf(vault, "key"))
        yield* vault.set("key", secret("later"))
        expect(yield* valueOf(vault, "key")).toBe("later")
      }
    })
)

inDirectory(
  "F19 a write that fails at any step removes its temporary file and keeps the old record",
  (setting) =>
    Effect.gen(function*() {
      const { directory, fs } = setting
      yield* setting.vault.set("key", secret("old"))
      const full = systemError("Unknown", "ENOSPC: no space left on device, write")
      const failing = (name: "sync" | "writeAll"): FileSystem.FileSystem => ({
        ...fs,
        open: (path, options) =>
          Effect.map(fs.open(path, options), (file) =>
            new Proxy(file, {
              get: (target, key) =>
                key !== name
                  ? Reflect.get(target, key, target) as unknown
                  : name === "sync"
                  ? full
                  : () => full
            }))
      })
      const broken: ReadonlyArray<FileSystem.FileSystem> = [
        failing("writeAll"),
        failing("sync"),
        { ...fs, rename: () => full },
        {
          ...fs,
          open: (path, options) =>
            Effect.zipRight(Effect.addFinalizer(() => Effect.orDie(full)), fs.open(path, options))
        }
      ]
      for (const each of broken) {
        const vault = yield* Effect.provideService(FileVault.make({ directory }), FileSystem.FileSystem, each)
        const error = yield* Effect.flip(vault.set("key", secret("new")))
        expect(error).toMatchObject({ _tag: "Unreachable", detail: expect.stringContaining("ENOSPC") })
        expect(yield* valueOf(setting.vault, "key")).toBe("old")
        expect((yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".tmp"))).toEqual([])
      }
    }).pipe(Effect.provide(platform))
)

inDirectory(
  "F19 a vault that can't make hard links still keeps a backup",
  (setting) =>
    Effect.gen(function*() {
      const { directory, file, fs } = setting
      const linkless: FileSystem.FileSystem = {
        ...fs,
        link: () => systemError("Unknown", "ENOTSUP: no links")
      }
      const vault = yield* Effect.provideService(
        FileVault.make({ directory }),
        FileSystem.FileSystem,
        linkless
      )
      yield* vault.set("key", secret("one"))
      yield* vault.set("key", secret("two"))
      yield* fs.rename(file("key.bak"), file("key.cred"))
      expect(yield* valueOf(vault, "key")).toBe("one")
      yield* fs.writeFileString(file("key.cred"), "")
      yield* vault.set("key", secret("three"))
      expect(yield* valueOf(vault, "key")).toBe("three")
      expect((yield* fs.readDirectory(directory)).some((name) => name.endsWith(".corrupt"))).toBe(true)
    }).pipe(Effect.provide(platform))
)

inDirectory(
  "F19 a reader beside a busy writer never sees anything but whole records",
  ({ vault }) =>
    Effect.gen(function*() {
      yield* vault.set("key", secret("0".repeat(50_000)))
      const writes = Effect.forEach(
        Array.from({ length: 30 }, (_, index) => String(index % 10)),
        (digit) => vault.set("key", secret(digit.repeat(50_000)))
      )
      const reads = Effect.replicateEffect(valueOf(vault, "key"), 60)
      const [, values] = yield* Effect.all([writes, reads], { concurrency: "unbounded" })
      expect(values.every((value) => value !== undefined && /^(\d)\1{49999}$/.test(value))).toBe(true)
    })
)

import * as FileSystem from "@effect/platform/FileSystem"
import { describe, expect, it } from "@effect/vitest"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { platform, temporary } from "./temporary.js"

type Setting = Effect.Effect.Success<typeof temporary>

const inDirectory = <A, E>(name: string, test: (setting: Setting) => Effect.Effect<A, E>) =>
  it.live(name, () => Effect.scoped(Effect.flatMap(temporary, test)).pipe(Effect.provide(platform)))

const secret = Redacted.make<string>
const valueOf = (vault: Vault.Service, key: string) =>
  Effect.map(
    vault.get(key),
    (entry) => Option.getOrUndefined(Option.map(entry, ({ value }) => Redacted.value(value)))
  )
const modeOf = ({ fs }: Setting, path: string) => Effect.map(fs.stat(path), ({ mode }) => mode & 0o7777)

describe("permissions", () => {
  inDirectory("the directory is 0700 and every file in it 0600", (setting) =>
    Effect.gen(function*() {
      const { directory, file, fs, vault } = setting
      yield* vault.set("key", secret("one"))
      yield* vault.set("key", secret("two"))
      expect(yield* modeOf(setting, directory)).toBe(0o700)
      expect((yield* fs.readDirectory(directory)).sort()).toEqual(["key.bak", "key.cred"])
      expect(yield* modeOf(setting, file("key.cred"))).toBe(0o600)
      expect(yield* modeOf(setting, file("key.bak"))).toBe(0o600)
    }))

  inDirectory("reading makes no directory", ({ directory, fs, vault }) =>
    Effect.gen(function*() {
      expect(yield* vault.get("key")).toEqual(Option.none())
      expect(yield* vault.list("")).toEqual([])
      yield* vault.remove("key")
      expect(yield* fs.exists(directory)).toBe(false)
    }))

  for (const mode of [0o755, 0o750, 0o770, 0o701]) {
    inDirectory(
      `a directory of its own with mode ${mode.toString(8)} is tightened`,
      (setting) =>
        Effect.gen(function*() {
          const { directory, fs, vault } = setting
          yield* vault.set("key", secret("one"))
          yield* fs.chmod(directory, mode)
          expect(yield* valueOf(vault, "key")).toBe("one")
          expect(yield* modeOf(setting, directory)).toBe(0o700)
        })
    )
  }

  inDirectory(
    "a wider directory that holds other files is refused and left alone",
    (setting) =>
      Effect.gen(function*() {
        const { directory, file, fs, vault } = setting
        yield* fs.makeDirectory(directory, { mode: 0o755 })
        yield* fs.writeFileString(file("README.md"), "not ours")
        for (
          const use of [
            vault.get("key"),
            vault.set("key", secret("one")),
            vault.list(""),
            vault.remove("key")
          ]
        ) {
          expect(yield* Effect.flip(use)).toMatchObject({
            _tag: "Denied",
            hint: expect.stringContaining("0700")
          })
        }
        expect(yield* modeOf(setting, directory)).toBe(0o755)
        expect(yield* fs.readDirectory(directory)).toEqual(["README.md"])
      })
  )

  inDirectory(
    "an empty directory that is everybody's, as a temporary one, is refused",
    (setting) =>
      Effect.gen(function*() {
        const { directory, fs, vault } = setting
        yield* fs.makeDirectory(directory)
        yield* fs.chmod(directory, 0o1777)
        expect(yield* Effect.flip(vault.set("key", secret("one")))).toMatchObject({ _tag: "Denied" })
        expect(yield* modeOf(setting, directory)).toBe(0o1777)
      })
  )

  inDirectory(
    "a directory that is a link is refused",
    ({ directory, fs, home, path, vault }) =>
      Effect.gen(function*() {
        yield* fs.makeDirectory(path.join(home, "elsewhere"), { mode: 0o700 })
        yield* fs.symlink(path.join(home, "elsewhere"), directory)
        expect(yield* Effect.flip(vault.set("key", secret("one")))).toMatchObject({ _tag: "Denied" })
        expect(yield* Effect.flip(vault.get("key"))).toMatchObject({ _tag: "Denied" })
        expect(yield* fs.readDirectory(path.join(home, "elsewhere"))).toEqual([])
      })
  )

  inDirectory("a directory that is a file is refused", ({ directory, fs, vault }) =>
    Effect.gen(function*() {
      yield* fs.writeFileString(directory, "a file")
      expect(yield* Effect.flip(vault.set("key", secret("one")))).toMatchObject({ _tag: "Denied" })
      expect(yield* fs.readFileString(directory)).toBe("a file")
    }))

  inDirectory("no key leaves the directory", ({ directory, fs, home, vault }) =>
    Effect.gen(function*() {
      for (const key of ["../../etc/passwd", "../up", "/abs", "..", "a/../../b"]) {
        yield* vault.set(key, secret(key))
      }
      expect(yield* fs.readDirectory(home)).toEqual(["vault"])
      expect((yield* fs.readDirectory(directory)).length).toBe(5)
      expect((yield* vault.list("..")).length).toBe(3)
    }))
})

describe("what is written", () => {
  inDirectory("removing removes the backup too", ({ directory, fs, vault }) =>
    Effect.gen(function*() {
      yield* vault.set("key", secret("one"))
      yield* vault.set("key", secret("two"))
      yield* vault.remove("key")
      expect(yield* fs.readDirectory(directory)).toEqual([])
    }))

  inDirectory(
    "another vault on the same directory takes turns and conflicts",
    ({ directory, vault }) =>
      Effect.gen(function*() {
        const other = yield* FileVault.make({ directory: `${directory}/.` })
        const version = yield* vault.set("key", secret("one"))
        const writes = [vault, other].map((each) =>
          each.compareAndSet("key", Option.some(version), secret("two"))
        )
        const results = yield* Effect.all(writes.map(Effect.either), { concurrency: "unbounded" })
        expect(results.map(({ _tag }) => _tag).sort()).toEqual(["Left", "Right"])
      }).pipe(Effect.provide(platform))
  )

  inDirectory(
    "temporary files of writers that died are swept after an hour, younger ones are not",
    (setting) =>
      Effect.gen(function*() {
        const { directory, file, fs, vault } = setting
        yield* vault.set("key", secret("one"))
        yield* fs.writeFileString(file("key.old-1.tmp"), "secret of a dead writer")
        yield* fs.utimes(file("key.old-1.tmp"), 1_000, 1_000)
        yield* fs.writeFileString(file("key.new-1.tmp"), "secret of a live writer")
        yield* vault.set("other", secret("two"))
        expect((yield* fs.readDirectory(directory)).filter((name) => name.endsWith(".tmp"))).toEqual([
          "key.new-1.tmp"
        ])
      })
  )

  inDirectory(
    "a write of another process while this one writes is a Conflict, and stays",
    (setting) =>
      Effect.gen(function*() {
        const { directory, file, fs, home, path, vault } = setting
        yield* vault.set("key", secret("theirs"))
        yield* fs.copyFile(file("key.cred"), path.join(home, "theirs"))
        const version = yield* vault.set("key", secret("old"))
        const busy: FileSystem.FileSystem = {
          ...fs,
          open: (name, options) =>
            Effect.zipLeft(
              fs.open(name, options),
              options?.flag === "wx" ? fs.copyFile(path.join(home, "theirs"), file("key.cred")) : Effect.void
            )
        }
        const beside = yield* Effect.provideService(
          FileVault.make({ directory }),
          FileSystem.FileSystem,
          busy
        )
        const error = yield* Effect.flip(beside.compareAndSet("key", Option.some(version), secret("ours")))
        expect(error._tag).toBe("Conflict")
        expect(yield* valueOf(vault, "key")).toBe("theirs")
        expect((yield* fs.readDirectory(directory)).sort()).toEqual(["key.bak", "key.cred"])
      }).pipe(Effect.provide(platform))
  )

  inDirectory("a long key is listed by what its record says", ({ vault }) =>
    Effect.gen(function*() {
      const key = "\u{1f511}".repeat(200)
      yield* vault.set(key, secret("one"))
      expect(yield* vault.list("\u{1f511}")).toEqual([key])
    }))
})

describe("set-up", () => {
  it.effect("an empty directory name is Misconfigured", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(FileVault.make({ directory: "  " }))
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
    }).pipe(Effect.provide(platform)))

  inDirectory(
    "layerConfig reads the directory from configuration",
    ({ directory, vault }) =>
      Effect.gen(function*() {
        const layer = FileVault.layerConfig({ directory: Config.string("DIR"), name: Config.succeed("mine") })
          .pipe(
            Layer.provide(platform)
          )
        const made = yield* Effect.provide(Vault.Vault, layer).pipe(
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["DIR", directory]])))
        )
        yield* made.set("key", secret("one"))
        expect(made.name).toBe("mine")
        expect(yield* valueOf(vault, "key")).toBe("one")
      })
  )
})

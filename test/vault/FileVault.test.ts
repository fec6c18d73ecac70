import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import { describe, expect, it } from "@effect/vitest"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
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

  inDirectory(
    "a directory of another user is refused, whatever its mode, and nothing is changed in it",
    (setting) =>
      Effect.gen(function*() {
        const { directory, fs, vault: own } = setting
        yield* own.set("key", secret("one"))
        const foreign: FileSystem.FileSystem = {
          ...fs,
          stat: (path) =>
            Effect.map(fs.stat(path), (info) =>
              path === directory ? { ...info, uid: Option.some(Option.getOrThrow(info.uid) + 1) } : info)
        }
        for (const mode of [0o700, 0o755]) {
          yield* fs.chmod(directory, mode)
          const vault = yield* Effect.provideService(
            FileVault.make({ directory }),
            FileSystem.FileSystem,
            foreign
          )
          for (const use of [vault.get("key"), vault.set("key", secret("two")), vault.remove("key")]) {
            expect(yield* Effect.flip(use)).toMatchObject({
              _tag: "Denied",
              detail: expect.stringContaining("another user")
            })
          }
          expect(yield* modeOf(setting, directory)).toBe(mode)
          expect(yield* fs.readDirectory(directory)).toEqual(["key.cred"])
        }
        expect(yield* valueOf(own, "key")).toBe("one")
      }).pipe(Effect.provide(platform))
  )

  inDirectory(
    "where no owner can be told, a directory that can only be read is read",
    ({ directory, fs, vault: own }) =>
      Effect.gen(function*() {
        yield* own.set("key", secret("one"))
        const refusing: FileSystem.FileSystem = {
          ...fs,
          writeFile: (path) => fs.writeFile(`${path}/nowhere`, new Uint8Array())
        }
        const vault = yield* Effect.provideService(
          FileVault.make({ directory }),
          FileSystem.FileSystem,
          refusing
        )
        expect(yield* valueOf(vault, "key")).toBe("one")
      }).pipe(Effect.provide(platform))
  )

  inDirectory(
    "a directory is made with all that is above it, closed to others",
    (setting) =>
      Effect.gen(function*() {
        const { home, path } = setting
        const directory = path.join(home, "a", "b", "c")
        const vault = yield* FileVault.make({ directory })
        yield* vault.set("key", secret("one"))
        expect(yield* valueOf(vault, "key")).toBe("one")
        for (const each of [directory, path.dirname(directory)]) {
          expect(yield* modeOf(setting, each)).toBe(0o700)
        }
      }).pipe(Effect.provide(platform))
  )

  inDirectory(
    "a directory that can't be made is an error at once",
    ({ directory, fs }) =>
      Effect.gen(function*() {
        yield* fs.writeFileString(directory, "a file")
        for (const place of ["/proc/nope", `${directory}/below`]) {
          const vault = yield* FileVault.make({ directory: place })
          const error = yield* Effect.flip(Effect.timeout(vault.set("key", secret("one")), "5 seconds"))
          expect(["Unreachable", "Denied"]).toContain(error._tag)
        }
      }).pipe(Effect.provide(platform))
  )

  it.effect("a directory that takes too long to be made is Unreachable", () =>
    Effect.gen(function*() {
      const hanging = FileSystem.layerNoop({
        makeDirectory: () => Effect.uninterruptible(Effect.never)
      })
      const vault = yield* Effect.provide(
        FileVault.make({ directory: "/far/away" }),
        Layer.merge(hanging, Path.layer)
      )
      const fiber = yield* Effect.fork(Effect.flip(vault.set("key", secret("one"))))
      yield* TestClock.adjust("9 seconds")
      expect(fiber.unsafePoll()).toBe(null)
      yield* TestClock.adjust("1 seconds")
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "Unreachable" })
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
    "removing leaves no secret of the key anywhere, and other keys alone",
    ({ directory, file, fs, vault }) =>
      Effect.gen(function*() {
        for (const key of ["key", "key2"]) {
          yield* vault.set(key, secret("one"))
          yield* fs.truncate(file(`${key}.cred`), 100)
          yield* vault.set(key, secret("two"))
          yield* fs.truncate(file(`${key}.cred`), 100)
          yield* vault.set(key, secret("three"))
          yield* fs.writeFileString(file(`${key}.left-1.tmp`), "secret of a dead writer")
        }
        const others = (yield* fs.readDirectory(directory)).filter((name) => name.startsWith("key2."))
        expect(others.filter((name) => name.endsWith(".corrupt")).length).toBe(2)
        yield* vault.remove("key")
        expect((yield* fs.readDirectory(directory)).sort()).toEqual(others.sort())
      })
  )

  inDirectory(
    "a directory in the place of a backup does not stand in the way",
    ({ directory, file, fs, vault }) =>
      Effect.gen(function*() {
        yield* vault.set("key", secret("one"))
        yield* fs.makeDirectory(file("key.bak"))
        yield* fs.writeFileString(file("key.bak/mine"), "not ours")
        yield* vault.set("key", secret("two"))
        yield* vault.remove("key")
        expect(yield* fs.readDirectory(directory)).toEqual(["key.bak"])
        expect(yield* fs.readFileString(file("key.bak/mine"))).toBe("not ours")
      })
  )

  inDirectory(
    "a list leaves out what can't tell its key, and nothing else",
    ({ file, fs, vault }) =>
      Effect.gen(function*() {
        const long = "y".repeat(300)
        yield* vault.set("good", secret("one"))
        yield* vault.set(long, secret("one"))
        const [name] = (yield* fs.readDirectory(file("."))).filter((name) => name.startsWith("%h"))
        for (
          const damage of [
            fs.writeFileString(file(`%h${"1".repeat(64)}.cred`), ""),
            fs.makeDirectory(file(`%h${"2".repeat(64)}.cred`)),
            fs.symlink("/nowhere", file(`%h${"3".repeat(64)}.cred`)),
            fs.copyFile(file(name ?? ""), file(`%h${"4".repeat(64)}.cred`)),
            fs.writeFileString(file("%.cred"), "")
          ]
        ) {
          yield* damage
          expect(Array.from(yield* vault.list("")).sort()).toEqual(["good", long])
        }
        yield* fs.writeFileString(file(name ?? ""), "")
        expect(yield* vault.list("")).toEqual(["good"])
      })
  )

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

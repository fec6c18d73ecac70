import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it } from "@effect/vitest"
import * as LibsqlVault from "effect-credentials/vault/LibsqlVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { dirname } from "node:path"
import { freshPath, program, secret, valueOf } from "./sql.js"

const open = (options: LibsqlVault.Options) => Effect.provide(LibsqlVault.make(options), NodeContext.layer)

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

describe("the file", () => {
  it.scopedLive("and its directory are made for their owner alone", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const vault = yield* open({ path })
      yield* vault.set("k", secret("v"))
      expect(modeOf(dirname(path))).toBe("700")
      const files = readdirSync(dirname(path)).sort()
      expect(files).toEqual(["records.db", "records.db-shm", "records.db-wal"])
      for (const file of files) expect([file, modeOf(`${dirname(path)}/${file}`)]).toEqual([file, "600"])
    }))

  it.scopedLive("keeps what was written when everybody has left", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      yield* Effect.scoped(Effect.flatMap(open({ path }), (vault) => vault.set("k", secret("v"))))
      expect(yield* valueOf(yield* open({ path }), "k")).toBe("v")
    }))

  it.scopedLive("is Denied when others can open it", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      yield* Effect.scoped(open({ path }))
      chmodSync(path, 0o640)
      const error = yield* Effect.flip(open({ path }))
      expect(error).toMatchObject({ _tag: "Denied", hint: "Give it mode 0600." })
      chmodSync(path, 0o600)
      yield* open({ path })
    }))

  it.scopedLive.each(["a b.db", "%2f?#&.db", "\u00fc\u{1f511}.db", "-rf", ":memory:", "file:x?mode=memory"])(
    "may be called %j",
    (name) =>
      Effect.gen(function*() {
        const path = `${dirname(yield* freshPath)}/${name}`
        yield* Effect.scoped(Effect.flatMap(open({ path }), (vault) => vault.set("k", secret("v"))))
        expect(readdirSync(dirname(path))).toContain(name)
        expect(yield* valueOf(yield* open({ path }), "k")).toBe("v")
      })
  )

  it.scopedLive("is one store under each of its names", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const vault = yield* open({ path })
      const link = `${dirname(path)}-link`
      symlinkSync(dirname(path), link)
      expect((yield* open({ path: `${link}/records.db` })).identity).toBe(vault.identity)
      expect((yield* open({ path, prefix: "other_" })).identity).not.toBe(vault.identity)
      expect((yield* open({ path: `${path}2` })).identity).not.toBe(vault.identity)
    }))

  it.scopedLive("that is none of SQLite is Corrupt, and stays as it is", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      mkdirSync(dirname(path))
      writeFileSync(path, "no database ".repeat(1000), { mode: 0o600 })
      const error = yield* Effect.flip(open({ path }))
      expect(error).toMatchObject({ _tag: "Corrupt", detail: "the database is damaged, or is none" })
      expect(statSync(path).size).toBe(12_000)
    }))

  it.scopedLive("can't be a directory, nor lie in a file", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      mkdirSync(path, { recursive: true })
      expect((yield* Effect.flip(open({ path })))._tag).toBe("Denied")
      writeFileSync(`${path}/file`, "")
      expect((yield* Effect.flip(open({ path: `${path}/file/records.db` })))._tag).toBe("Denied")
    }))

  it.scopedLive("that was removed or replaced is Unreachable, and nothing is written beside it", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const vault = yield* open({ path })
      yield* vault.set("k", secret("old"))
      const calls = [
        Effect.asVoid(vault.get("k")),
        Effect.asVoid(vault.set("k", secret("lost"))),
        vault.remove("k"),
        Effect.asVoid(Effect.scoped(vault.lease("k", { term: "1 second" })))
      ]
      const refused = Effect.forEach(calls, (call) =>
        Effect.map(
          Effect.flip(call),
          ({ _tag, detail }) =>
            expect([_tag, detail]).toEqual(["Unreachable", expect.stringMatching(/removed/)])
        ), { discard: true })
      const parts = ["", "-wal", "-shm"].filter((part) => existsSync(`${path}${part}`))
      for (const part of parts) renameSync(`${path}${part}`, `${path}.away${part}`)
      yield* refused
      expect(existsSync(path)).toBe(false)
      const other = yield* open({ path })
      yield* other.set("k", secret("new"))
      yield* Effect.scoped(other.lease("k", { term: "1 second" }))
      yield* refused
      expect(yield* valueOf(other, "k")).toBe("new")
    }))

  it.scopedLive("must have a name", () =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(open({ path: " " }))).toMatchObject({ _tag: "Misconfigured" })
    }))

  it.scopedLive("may be named by configuration", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      yield* Effect.flatMap(Vault.Vault, (vault) => vault.set("k", secret("v"))).pipe(
        Effect.provide(
          Layer.provide(LibsqlVault.layerConfig({ path: Config.string("DB") }), NodeContext.layer)
        ),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["DB", path]])))
      )
      expect(yield* valueOf(yield* open({ path }), "k")).toBe("v")
    }))
})

it.scopedLive("changes are Unsupported, as the capabilities say", () =>
  Effect.gen(function*() {
    const vault = yield* open({ path: yield* freshPath })
    expect(vault.capabilities.announce).toBe("none")
    expect((yield* Effect.flip(Stream.runDrain(vault.changes("k"))))._tag).toBe("Unsupported")
  }))

it.scopedLive(
  "programs that start at once on an empty file all come up, and lose no update",
  () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const said = yield* Effect.all(Effect.replicate(program(path, 10), 3), { concurrency: "unbounded" })
      expect(said).toEqual(["done", "done", "done"])
      expect(yield* valueOf(yield* open({ path }), "count")).toBe("30")
    }),
  60_000
)

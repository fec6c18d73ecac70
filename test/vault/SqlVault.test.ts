import * as Reactivity from "@effect/experimental/Reactivity"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as LibsqlClient from "@effect/sql-libsql/LibsqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Statement from "@effect/sql/Statement"
import { describe, expect, it } from "@effect/vitest"
import * as LibsqlVault from "effect-credentials/vault/LibsqlVault"
import * as SqlVault from "effect-credentials/vault/SqlVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { mkdirSync } from "node:fs"
import { dirname } from "node:path"
import { recording } from "../support/spans.js"
import { freshPath, secret, shown, sqlite, valueOf } from "./sql.js"

const fresh = Effect.gen(function*() {
  const path = yield* freshPath
  mkdirSync(dirname(path))
  return { path, sql: yield* sqlite(path) }
})

const open = (sql: SqlClient.SqlClient, options?: SqlVault.Options) =>
  Effect.provideService(SqlVault.make(options), SqlClient.SqlClient, sql)

/** Every table with its rows. */
const dump = (sql: SqlClient.SqlClient) =>
  Effect.gen(function*() {
    const tables = yield* sql<
      { name: string; sql: string }
    >`select name, sql from sqlite_master order by name`
    const rows = yield* Effect.forEach(
      tables.filter(({ sql }) => sql?.startsWith("CREATE TABLE")),
      ({ name }) => sql`select * from ${sql(name)}`
    )
    return JSON.stringify({ tables, rows })
  })

describe("keys and values", () => {
  const keys = [
    "\ud83d",
    "\ud83d\udd11",
    "\udd11",
    "a\0",
    "a\\0000",
    "a%",
    "a_",
    "A%",
    "ab",
    "",
    "\uffff\uffff"
  ]
    .map((key) => `p${key}`)

  it.scopedLive("lone surrogates and NUL are kept apart, in keys and in values", () =>
    Effect.gen(function*() {
      const vault = yield* open((yield* fresh).sql)
      yield* Effect.forEach(keys, (key) => vault.set(key, secret(`of ${key}`)))
      for (const key of keys) expect(yield* valueOf(vault, key)).toBe(`of ${key}`)
    }))

  it.scopedLive("list takes a prefix literally, to the code unit", () =>
    Effect.gen(function*() {
      const vault = yield* open((yield* fresh).sql)
      yield* Effect.forEach(keys, (key) => vault.set(key, secret("v")))
      for (const prefix of ["", "p", "P", "pa", "pa%", "pa_", "p\ud83d", "p\uffff", "q", "pA"]) {
        const found = Array.from(yield* vault.list(prefix)).sort()
        expect(found).toEqual(keys.filter((key) => key.startsWith(prefix)).sort())
      }
    }))

  it.scopedLive("versions do not come back with a removed key", () =>
    Effect.gen(function*() {
      const vault = yield* open((yield* fresh).sql)
      const first = yield* vault.compareAndSet("k", Option.none(), secret("same"))
      yield* vault.remove("k", { version: first })
      const second = yield* vault.compareAndSet("k", Option.none(), secret("same"))
      expect(second).not.toBe(first)
      const error = yield* Effect.flip(vault.remove("k", { version: first }))
      expect(error._tag).toBe("Conflict")
      yield* vault.remove("missing", { version: first })
    }))
})

describe("tables", () => {
  it.scopedLive("those of an older release are brought up to date, and keep their records", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      // What a release made that had no leases yet.
      yield* sql`create table effect_credentials_migrations
        (id integer not null primary key, name text not null)`
      yield* sql`create table effect_credentials_records
        (key text not null primary key, value text not null, version text not null)`
      yield* sql`insert into effect_credentials_migrations values (1, 'records')`
      yield* sql`insert into effect_credentials_records values ('old', 'kept', 'v1')`
      const vault = yield* open(sql)
      expect(yield* valueOf(vault, "old")).toBe("kept")
      yield* vault.compareAndSet("old", Option.some("v1"), secret("new"))
      yield* Effect.scoped(vault.lease("old", { term: "1 second" }))
      expect(yield* sql`select id, name from effect_credentials_migrations order by id`)
        .toEqual([{ id: 1, name: "records" }, { id: 2, name: "leases" }])
    }))

  it.scopedLive("a start that was cut off between two steps is made good by the next", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      yield* sql`create table effect_credentials_migrations
        (id integer not null primary key, name text not null)`
      yield* sql`create table effect_credentials_records
        (key text not null primary key, value text not null, version text not null)`
      const vault = yield* open(sql)
      yield* vault.set("k", secret("v"))
      expect(yield* valueOf(vault, "k")).toBe("v")
    }))

  it.scopedLive("those of a newer release are refused, and left as they are", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      yield* open(sql)
      yield* sql`insert into effect_credentials_migrations values (99, 'of the future')`
      const before = yield* dump(sql)
      const error = yield* Effect.flip(open(sql))
      expect(error._tag).toBe("Unsupported")
      expect(error.message).toContain("newer release")
      expect(yield* dump(sql)).toBe(before)
    }))

  it.scopedLive("two prefixes are two vaults", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      const one = yield* open(sql, { prefix: "one_" })
      const two = yield* open(sql, { prefix: "two_" })
      yield* one.set("k", secret("v"))
      expect(yield* valueOf(two, "k")).toBe(undefined)
      expect(one.identity).not.toBe(two.identity)
    }))

  it.scopedLive("one identity for one store, and a store of its own without a name", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      const [a, b] = [yield* open(sql, { identity: "sqlite:x" }), yield* open(sql, { identity: "sqlite:x" })]
      expect(a.identity).toBe(b.identity)
      expect((yield* open(sql, { identity: "sqlite:x", prefix: "other_" })).identity).not.toBe(a.identity)
      expect((yield* open(sql)).identity).not.toBe((yield* open(sql)).identity)
    }))

  it.scopedLive.each(["", "Capital_", "1_", "a-b", "x; drop table x; --", "ü", "a".repeat(33)])(
    "the prefix %j is Misconfigured",
    (prefix) =>
      Effect.gen(function*() {
        const { sql } = yield* fresh
        expect(yield* Effect.flip(open(sql, { prefix }))).toMatchObject({
          _tag: "Misconfigured",
          reason: "InvalidOption"
        })
      })
  )

  it.scopedLive("a database of another kind is Misconfigured", () =>
    Effect.gen(function*() {
      const compiler = Statement.makeCompiler({
        dialect: "mysql",
        placeholder: () => "?",
        onIdentifier: (name) => name,
        onCustom: () => ["", []],
        onRecordUpdate: () => ["", []]
      })
      const sql = yield* SqlClient.make({
        acquirer: Effect.dieMessage("nothing may be asked of it"),
        compiler,
        spanAttributes: []
      }).pipe(Effect.provide(Reactivity.layer))
      expect(yield* Effect.flip(open(sql))).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
    }))

  it.scopedLive("options come from configuration", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      const layer = SqlVault.layerConfig({ prefix: Config.string("PREFIX"), name: Config.succeed("mine") })
      const vault = yield* Vault.Vault.pipe(
        Effect.provide(layer),
        Effect.provideService(SqlClient.SqlClient, sql),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["PREFIX", "from_config_"]])))
      )
      yield* vault.set("k", secret("v"))
      expect(yield* sql`select key from from_config_records`).toEqual([{ key: "k" }])
      expect(vault.name).toBe("mine")
    }))
})

describe("what goes wrong", () => {
  it.scopedLive("a read-only database can be read, and Denied says what to do", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      yield* Effect.flatMap(open(sql), (vault) => vault.set("k", secret("v")))
      yield* sql`pragma query_only = on`
      const vault = yield* open(sql)
      expect(yield* valueOf(vault, "k")).toBe("v")
      const errors = yield* Effect.all([
        Effect.flip(vault.set("k", secret("w"))),
        Effect.flip(vault.compareAndSet("k2", Option.none(), secret("w"))),
        Effect.flip(vault.remove("k")),
        Effect.flip(Effect.scoped(vault.lease("k", { term: "1 second" })))
      ])
      for (const error of errors) {
        expect(error).toMatchObject({ _tag: "Denied", detail: "the database is read-only" })
      }
      expect(yield* valueOf(vault, "k")).toBe("v")
    }))

  it.scopedLive("an empty read-only database is Denied", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      yield* sql`pragma query_only = on`
      expect(yield* Effect.flip(open(sql))).toMatchObject({
        _tag: "Denied",
        detail: "the database is read-only"
      })
    }))

  const foreign = (column: string, value: string | Uint8Array | null) =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      const vault = yield* open(sql)
      yield* sql`drop table effect_credentials_records`
      yield* sql`create table effect_credentials_records (key text primary key, value, version)`
      yield* vault.set("k", secret("v"))
      yield* sql`update effect_credentials_records set ${sql(column)} = ${value}`
      const error = yield* Effect.flip(vault.get("k"))
      expect(error._tag).toBe("Corrupt")
      expect(shown(error)).not.toContain("foreign")
      // `set` goes on.
      yield* vault.set("k", secret("new"))
      expect(yield* valueOf(vault, "k")).toBe("new")
    })

  it.scopedLive("a value that no release has written is Corrupt", () => foreign("value", "foreign é"))
  it.scopedLive("a value with half an escape is Corrupt", () => foreign("value", "foreign \\00"))
  it.scopedLive("no value is Corrupt", () => foreign("value", null))
  it.scopedLive("an empty version is Corrupt", () => foreign("version", ""))
  it.scopedLive("a value that is far too long is Corrupt", () =>
    foreign("value", "x".repeat(5 * 1024 * 1024 + 1)))

  it.scopedLive("a foreign lease is Corrupt", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      const vault = yield* open(sql)
      yield* sql`insert into effect_credentials_leases values ('k', 'x', 'many', 0)`
      yield* sql`update effect_credentials_leases set fence = 9.5e300`
      const error = yield* Effect.flip(Effect.scoped(vault.lease("k", { term: "1 second" })))
      expect(error._tag).toBe("Corrupt")
    }))

  it.scopedLive("a key that no release has written is left out of a list", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      const vault = yield* open(sql)
      yield* vault.set("a", secret("v"))
      yield* sql`insert into effect_credentials_records values ('a\\', 'v', 'v'), ('aé', 'v', 'v')`
      expect(yield* vault.list("a")).toEqual(["a"])
    }))

  it.scopedLive("tables that are gone are Unsupported", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      const vault = yield* open(sql)
      yield* sql`drop table effect_credentials_records`
      expect((yield* Effect.flip(vault.get("k")))._tag).toBe("Unsupported")
      expect((yield* Effect.flip(vault.set("k", secret("v"))))._tag).toBe("Unsupported")
    }))

  it.scopedLive("no error tells a statement, a key or a value", () =>
    Effect.gen(function*() {
      const { sql } = yield* fresh
      const vault = yield* open(sql)
      yield* sql`create trigger refuse before insert on effect_credentials_records
        begin select raise(abort, 'driver message'); end`
      const error = yield* Effect.flip(vault.set("key-to-hide", secret("value-to-hide")))
      expect(error._tag).toBe("Corrupt")
      expect(shown(error)).not.toMatch(/to-hide|driver message|insert|select/i)
    }))
})

describe("other writers", () => {
  const libsql = (options: LibsqlVault.Options) =>
    Effect.provide(LibsqlVault.make(options), NodeContext.layer)

  it.scopedLive("a locked database is waited for, and other fibers go on meanwhile", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const vault = yield* libsql({ path })
      const other = yield* sqlite(path)
      let ticks = 0
      const ticking = yield* Effect.fork(
        Effect.forever(Effect.zipRight(Effect.sync(() => ticks++), Effect.sleep(5)))
      )
      const writing = yield* other.withTransaction(Effect.gen(function*() {
        yield* other`delete from effect_credentials_records`
        const writing = yield* Effect.fork(vault.set("k", secret("v")))
        yield* Effect.sleep("300 millis")
        return writing
      }))
      expect(ticks).toBeGreaterThan(10)
      yield* Fiber.join(writing)
      yield* Fiber.interrupt(ticking)
      expect(yield* valueOf(vault, "k")).toBe("v")
    }))

  it.scopedLive("one that stays locked is Locked, within the limit, and nothing is written later", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const vault = yield* libsql({ path, timeLimit: "400 millis" })
      const other = yield* sqlite(path)
      const [took, error] = yield* other.withTransaction(Effect.zipRight(
        other`delete from effect_credentials_records`,
        Effect.timed(Effect.flip(vault.set("k", secret("v"))))
      ))
      expect(error._tag).toBe("Locked")
      expect(Duration.toMillis(took)).toBeLessThan(1000)
      expect(yield* valueOf(vault, "k")).toBe(undefined)
      // And a later write is committed: others see it.
      yield* vault.set("k", secret("w"))
      expect(yield* other`select value from effect_credentials_records`).toEqual([{ value: "w" }])
    }))

  it.scopedLive("a client of libsql's for a file is Misconfigured here", () =>
    Effect.gen(function*() {
      const { path } = yield* fresh
      const client = yield* Layer.build(LibsqlClient.layer({ url: `file:${path}` }))
      const error = yield* Effect.flip(open(Context.get(client, SqlClient.SqlClient)))
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
      expect(error.hint).toContain("LibsqlVault")
    }))

  it.scopedLive("an update is lost neither among fibers nor among vaults", () =>
    Effect.gen(function*() {
      const path = yield* freshPath
      const vaults = yield* Effect.replicateEffect(LibsqlVault.make({ path }), 2)
      const increment = (vault: Vault.Service) =>
        Effect.scoped(Effect.gen(function*() {
          const lease = yield* vault.lease("n", { term: "5 seconds" })
          const count = Number((yield* valueOf(vault, "n")) ?? 0)
          yield* vault.set("n", secret(String(count + 1)))
          return lease.fence
        }))
      const fences = yield* Effect.all(vaults.flatMap((vault) => Effect.replicate(increment(vault), 10)), {
        concurrency: "unbounded"
      })
      for (const vault of vaults) expect(yield* valueOf(vault, "n")).toBe("20")
      expect(Array.from(fences).sort((a, b) => a - b)).toEqual(
        Array.from({ length: 20 }, (_, index) => index + 1)
      )
    }).pipe(Effect.provide(NodeContext.layer)))
})

describe("spans", () => {
  it.scopedLive("show no key and no value, whatever happens", () =>
    Effect.gen(function*() {
      const { spans, tracer } = yield* recording
      const { sql } = yield* fresh
      const work = Effect.gen(function*() {
        const vault = yield* open(sql)
        yield* vault.set("key-to-hide", secret("value-to-hide"))
        yield* vault.get("key-to-hide")
        yield* sql`drop table effect_credentials_records`
        yield* Effect.flip(vault.set("key-to-hide", secret("value-to-hide")))
      })
      yield* work.pipe(Effect.withSpan("outer"), Effect.withTracer(tracer))
      // The program's own statement is seen, so the recording works.
      expect(spans.map(({ name }) => name)).toEqual(["outer", "sql.execute"])
      expect(shown(spans.map(({ attributes, status }) => [...attributes, status]))).not.toContain("to-hide")
    }))
})

/**
 * A vault in a SQLite file, for the programs of one machine, through the prebuilt libsql.
 *
 * The file gets mode 0600, in a directory of mode 0700 where there was none; a file that others can read is
 * refused. It must be on a local disk: SQLite's locks do not hold on network shares. Once it is removed or
 * replaced, the vault is `Unreachable` until the file is back.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as LibsqlClient from "@effect/sql-libsql/LibsqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RcRef from "effect/RcRef"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Misconfigured } from "../TokenError.js"
import * as SqlFile from "./internal/sqlFile.js"
import * as Place from "./internal/sqlPlace.js"
import { migrate } from "./internal/sqlSchema.js"
import * as Service from "./internal/sqlService.js"
import * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The database file; it and its directory are made where they are missing. */
  readonly path: string
  /** The name that errors show. Default `sqlite`. */
  readonly name?: string | undefined
  /**
   * What the names of the tables begin with: 1 to 32 lower-case letters, digits and underscores. Default
   * `effect_credentials_`.
   */
  readonly prefix?: string | undefined
  /** How long a statement may take, other writers included. Default 5 seconds. */
  readonly timeLimit?: Duration.DurationInput | undefined
}

/**
 * A vault in this file, which stays open until the scope closes. Any number of programs may use the file at
 * once. It announces nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<
  Vault.Service,
  Misconfigured | VaultError,
  FileSystem.FileSystem | Path.Path | Scope.Scope
> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const vault = options.name ?? "sqlite"
    if (options.path.trim() === "") return yield* noPath(vault)
    const file = yield* SqlFile.prepare(fs, path, vault, path.resolve(options.path))
    const guard = yield* SqlFile.guard(fs, vault, file)
    const sql = yield* connect(yield* Effect.orDie(path.toFileUrl(file)), guard)
    const place = yield* Place.make(sql, { ...options, name: vault })
    yield* shareable(place)
    yield* migrate(place, undefined)
    return Service.make(place, Vault.identity(`sqlite:${file}/${place.prefix}`))
  })

const noPath = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the path is empty text",
    hint: "Name the file that is to hold the database."
  })

/**
 * libsql keeps a statement open that met a lock, and what its connection writes after that is acknowledged
 * and never committed. So a connection on which anything has failed is not used again; one statement runs at
 * a time, so that no other one slips in between. It also answers without ever giving way to timers and
 * sockets, which the delay of zero does in its place.
 */
const connect = (
  url: URL,
  guard: Effect.Effect<void, SqlError>
): Effect.Effect<Statement.Constructor, never, Scope.Scope> =>
  Effect.gen(function*() {
    const current = yield* RcRef.make({ acquire: open(url), idleTimeToLive: Duration.infinity })
    const turn = yield* Effect.makeSemaphore(1)
    const through = <A>(use: (connection: Connection) => Effect.Effect<A, SqlError>) =>
      Effect.scoped(Effect.zipRight(guard, Effect.flatMap(RcRef.get(current), use))).pipe(
        Effect.onError(() => RcRef.invalidate(current)),
        Effect.uninterruptible,
        turn.withPermits(1),
        Effect.delay(0)
      )
    const connection: Connection = {
      execute: (...args) => through((connection) => connection.execute(...args)),
      executeRaw: (...args) => through((connection) => connection.executeRaw(...args)),
      executeValues: (...args) => through((connection) => connection.executeValues(...args)),
      executeUnprepared: (...args) => through((connection) => connection.executeUnprepared(...args)),
      executeStream: () => Stream.die("a vault needs no streams")
    }
    return Statement.make(Effect.succeed(connection), Statement.makeCompilerSqlite(), [], undefined)
  })

/**
 * The driver throws where it can't open the file. It stops the whole process while it waits for a lock, so it
 * is only to wait as long as a write takes.
 */
const open = (url: URL): Effect.Effect<Connection, SqlError, Scope.Scope> =>
  Layer.build(LibsqlClient.layer({ url })).pipe(
    Effect.flatMap((context) => Context.get(context, LibsqlClient.LibsqlClient).reserve),
    Effect.tap((connection) => connection.executeUnprepared("pragma busy_timeout = 20", [], undefined)),
    Effect.catchAllDefect(() => Effect.fail(new SqlError({ cause: { code: "SQLITE_CANTOPEN" } })))
  )

/** So that readers and a writer don't lock each other out; a file that can't be written may still be read. */
const shareable = (place: Place.Place): Effect.Effect<void, VaultError> =>
  Effect.catchTag(
    Place.writing(place, "get", place.sql`pragma journal_mode = wal`),
    "Denied",
    () => Effect.void
  )

/**
 * The program's vault in this file.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Vault.Vault, Misconfigured | VaultError, FileSystem.FileSystem | Path.Path> =>
  Layer.scoped(Vault.Vault, make(options))

/**
 * The program's vault in a file that configuration names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<
  Vault.Vault,
  Misconfigured | VaultError | ConfigError.ConfigError,
  FileSystem.FileSystem | Path.Path
> => Layer.scoped(Vault.Vault, Effect.flatMap(Config.unwrap(options), make))

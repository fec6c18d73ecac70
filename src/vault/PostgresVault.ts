/**
 * A vault in PostgreSQL, for a fleet of machines: leases by the server's clock, and each write announced to
 * all.
 *
 * The connection is encrypted where the URL says so (`sslmode`), as it must be outside of a trusted network.
 *
 * @since 0.1.0
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import * as Statement from "@effect/sql/Statement"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { Misconfigured } from "../TokenError.js"
import { bounded } from "./internal/shielded.js"
import { refuse, tooSlow } from "./internal/sqlErrors.js"
import * as Listener from "./internal/sqlListener.js"
import * as Place from "./internal/sqlPlace.js"
import * as Pool from "./internal/sqlPool.js"
import { migrate, schemaOf } from "./internal/sqlSchema.js"
import * as Service from "./internal/sqlService.js"
import * as Vault from "./Vault.js"
import type { Action, VaultError } from "./VaultError.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * `postgresql://user:password@host:port/database`, with `?sslmode=verify-full` for a checked encryption.
   */
  readonly url: Redacted.Redacted<string>
  /** The name that errors show. Default `postgres`. */
  readonly name?: string | undefined
  /**
   * What the names of the tables begin with: 1 to 32 lower-case letters, digits and underscores. Default
   * `effect_credentials_`.
   */
  readonly prefix?: string | undefined
  /**
   * How long the server may take for a call. The server itself gives a statement up a little earlier. Default
   * 5 seconds.
   */
  readonly timeLimit?: Duration.DurationInput | undefined
  /** How many connections at most, besides the one that listens while somebody wants `changes`. Default 3. */
  readonly connections?: number | undefined
}

/**
 * A vault in this database, with its tables made or brought up to date; its connections last until the scope
 * closes. A server that is away makes it `Unreachable` meanwhile; streams of `changes` outlive that, and tell
 * of a change afterwards, since there may have been one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Vault.Service, Misconfigured | VaultError, Scope.Scope> =>
  Effect.gen(function*() {
    const vault = options.name ?? "postgres"
    if (!isPostgres(Redacted.value(options.url))) return yield* badUrl(vault)
    const limit = Duration.decode(options.timeLimit ?? "5 seconds")
    const link = { vault, url: options.url, limit }
    const server = yield* Effect.scoped(prepare(link, options))
    const connection = yield* Pool.make(reserve(link), options.connections ?? 3)
    const sql = Statement.make(Effect.succeed(connection), PgClient.makeCompiler(), [], undefined)
    const place = yield* Place.make(sql, { ...options, name: vault })
    const name = `postgresql:${server}/${yield* schemaOf(place)}.${place.prefix}`
    const changes = yield* Listener.make({
      vault,
      channel: place.channel,
      limit,
      connect: Effect.map(connect(link, "changes"), ({ listen }) => listen),
      tell: (channel, words) =>
        Place.writing(place, "changes", place.sql`select pg_notify(${channel}, ${words})`)
    })
    const inner = Service.make(place, Vault.identity(name))
    return { ...inner, capabilities: { ...inner.capabilities, announce: "shared" }, changes }
  })

const isPostgres = (url: string): boolean => /^postgres(?:ql)?:/.test(url) && URL.canParse(url)

const badUrl = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the URL is none of PostgreSQL",
    hint: "Write postgresql://user:password@host:port/database, with special characters percent-encoded."
  })

interface Link {
  readonly vault: string
  readonly url: Redacted.Redacted<string>
  readonly limit: Duration.Duration
}

/** Makes the tables or brings them up to date, and tells which server and database they are in. */
const prepare = (
  link: Link,
  options: Options
): Effect.Effect<string, Misconfigured | VaultError, Scope.Scope> =>
  Effect.gen(function*() {
    const client = yield* connect(link, "get")
    yield* migrate(yield* Place.make(client, { ...options, name: link.vault }), client.withTransaction)
    const { database, host, port } = client.config
    return `${host}:${port ?? 5432}/${database}`
  })

/** A connection that knows its limits. They are no part of the log-in, where some poolers refuse them. */
const reserve = ({ limit, url }: Link): Effect.Effect<Connection, SqlError, Scope.Scope> => {
  const { lock, statement } = Pool.serverLimits(limit)
  const opened = Effect.gen(function*() {
    const connection = yield* (yield* open(url, limit)).reserve
    yield* connection.execute(setLimits, [String(lock), String(statement)], undefined)
    return connection
  })
  return Effect.flatMap(
    Effect.scope,
    (scope) =>
      bounded(Scope.extend(opened, scope), limit, () => new SqlError({ cause: { code: "ETIMEDOUT" } }))
  )
}

const setLimits = "select set_config('lock_timeout', $1, false), set_config('statement_timeout', $2, false)"

/** A client of one connection that lasts as long as the scope. */
const connect = (
  { limit, url, vault }: Link,
  action: Action
): Effect.Effect<PgClient.PgClient, VaultError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) =>
    bounded(
      Effect.mapError(Scope.extend(open(url, limit), scope), refuse(vault, action)),
      limit,
      () => tooSlow(vault, action)
    ))

const open = (
  url: Redacted.Redacted<string>,
  connectTimeout: Duration.Duration
): Effect.Effect<PgClient.PgClient, SqlError, Scope.Scope> =>
  Effect.map(
    Layer.build(
      PgClient.layer({ url, maxConnections: 1, connectTimeout, applicationName: "effect-credentials" })
    ),
    Context.get(PgClient.PgClient)
  )

/**
 * The program's vault in this database.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Vault.Vault, Misconfigured | VaultError> =>
  Layer.scoped(Vault.Vault, make(options))

/**
 * The program's vault in a database that configuration names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Vault.Vault, Misconfigured | VaultError | ConfigError.ConfigError> =>
  Layer.scoped(Vault.Vault, Effect.flatMap(Config.unwrap(options), make))

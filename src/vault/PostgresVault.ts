/**
 * A vault in PostgreSQL, for a fleet of machines: leases by the server's clock, and each write announced to
 * all.
 *
 * The connection is encrypted where the URL says so (`sslmode`), as it must be outside of a trusted network.
 *
 * @since 0.1.0
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Misconfigured } from "../TokenError.js"
import { bounded } from "./internal/shielded.js"
import { refuse, tooSlow } from "./internal/sqlErrors.js"
import * as Listener from "./internal/sqlListener.js"
import * as Place from "./internal/sqlPlace.js"
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
  /** How long the server may take for a connection or a statement. Default 5 seconds. */
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
    const client = yield* connect(link, "get", options.connections ?? 3)
    const place = yield* Place.make(client, { ...options, name: vault })
    yield* migrate(place, client.withTransaction)
    const { database, host, port } = client.config
    const name = `postgresql:${host}:${port ?? 5432}/${database}/${yield* schemaOf(place)}.${place.prefix}`
    const changes = yield* Listener.make({
      vault,
      channel: place.channel,
      limit,
      connect: Effect.map(connect(link, "changes", 1), ({ listen }) => listen),
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

/**
 * A pool that lasts as long as the scope. A connection that hangs goes back into the pool when its statement
 * is given up; so none gets older than a minute.
 */
const connect = (
  { limit, url, vault }: Link,
  action: Action,
  maxConnections: number
): Effect.Effect<PgClient.PgClient, VaultError, Scope.Scope> => {
  const client = PgClient.layer({
    url,
    maxConnections,
    connectTimeout: limit,
    connectionTTL: "1 minute",
    applicationName: "effect-credentials"
  })
  return Effect.flatMap(Effect.scope, (scope) =>
    bounded(
      Layer.buildWithScope(client, scope).pipe(
        Effect.map(Context.get(PgClient.PgClient)),
        Effect.mapError(refuse(vault, action))
      ),
      limit,
      () => tooSlow(vault, action)
    ))
}

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

/**
 * A vault in tables of a database that several programs or machines share: PostgreSQL, or SQLite for programs
 * of one machine. Over any client of @effect/sql; `PostgresVault` and `LibsqlVault` make the client too.
 *
 * The tables (`records`, `leases`, `migrations`, each with a prefix) are made at the first start and brought
 * up to date by a later release; those of a newer release are refused. A write is one statement, and one that
 * is held up on its way does nothing over a newer one. The vault never joins a transaction of its caller: with
 * a client that has one connection only, as SQLite has, don't use it inside of one. Values are stored as they
 * are: encrypt the disk, or put an encrypting vault on top.
 *
 * @since 0.1.0
 */
import * as SqlClient from "@effect/sql/SqlClient"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import { Misconfigured } from "../TokenError.js"
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
  /** The name that errors show. Default `sql`. */
  readonly name?: string | undefined
  /**
   * Where the database is, without a password: vaults of this process with the same text and prefix count as
   * one store. Default: a store of its own.
   */
  readonly identity?: string | undefined
  /**
   * What the names of the tables begin with: 1 to 32 lower-case letters, digits and underscores. Default
   * `effect_credentials_`.
   */
  readonly prefix?: string | undefined
  /** How long the database may take for a statement; then it is `Unreachable`. Default 5 seconds. */
  readonly timeLimit?: Duration.DurationInput | undefined
}

/**
 * A vault over this client, with its tables made or brought up to date. A lease counts by the database's
 * clock. It announces nothing, but what it writes to PostgreSQL is told to those who listen.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options?: Options
): Effect.Effect<Vault.Service, Misconfigured | VaultError, SqlClient.SqlClient> =>
  Effect.gen(function*() {
    const client = (yield* SqlClient.SqlClient).withoutTransforms()
    const name = options?.name ?? "sql"
    if (isLibsqlFile(client)) return yield* needsLibsqlVault(name)
    const place = yield* Place.make(client, { ...options, name })
    yield* migrate(place, client.withTransaction)
    return Service.make(place, identityOf(place, options?.identity))
  })

/** It keeps a statement open that met a lock, so that what is written after that is never committed. */
const isLibsqlFile = (client: object): boolean =>
  "sdk" in client && Predicate.hasProperty(client.sdk, "protocol") && client.sdk.protocol === "file"

const needsLibsqlVault = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the client is libsql's for a file, which can lose writes when several programs use the file",
    hint: "Use LibsqlVault, which guards against that, or another SQLite client."
  })

const identityOf = ({ prefix, vault }: Place.Place, identity: string | undefined): Vault.Identity =>
  identity === undefined ? { name: vault } : Vault.identity(`${identity}/${prefix}`)

/**
 * The program's vault over the program's SQL client.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<Vault.Vault, Misconfigured | VaultError, SqlClient.SqlClient> =>
  Layer.effect(Vault.Vault, make(options))

/**
 * The program's vault over the program's SQL client, with options from configuration.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Vault.Vault, Misconfigured | VaultError | ConfigError.ConfigError, SqlClient.SqlClient> =>
  Layer.effect(Vault.Vault, Effect.flatMap(Config.unwrap(options), make))

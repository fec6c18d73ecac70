/** Where a SQL vault keeps its records, and how its statements run. */
import type { SqlError } from "@effect/sql/SqlError"
import type { Constructor, Fragment } from "@effect/sql/Statement"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { Misconfigured } from "../../TokenError.js"
import type { Action, VaultError } from "../VaultError.js"
import { Corrupt } from "../VaultError.js"
import { shielded } from "./shielded.js"
import { refuse, tooSlow } from "./sqlErrors.js"

/** A database with what the vault needs of its dialect. */
export interface Place {
  readonly vault: string
  readonly sql: Constructor
  readonly dialect: Dialect
  readonly prefix: string
  readonly records: Fragment
  readonly leases: Fragment
  readonly migrations: Fragment
  /** Where PostgreSQL announces writes. */
  readonly channel: string
  readonly limit: Duration.Duration
}

export interface Dialect {
  readonly name: "postgresql" | "sqlite"
  /** Unix milliseconds by the database's own clock, at this moment and not at the transaction's begin. */
  readonly now: Fragment
  /** The type of a text column that compares byte by byte. */
  readonly text: Fragment
}

export interface Options {
  readonly name: string
  readonly prefix?: string | undefined
  readonly timeLimit?: Duration.DurationInput | undefined
}

/** The client must leave names as they are. */
export const make = (
  sql: Constructor,
  { name, prefix = "effect_credentials_", timeLimit = "5 seconds" }: Options
): Effect.Effect<Place, Misconfigured> => {
  const dialect = dialectOf(sql)
  if (dialect === undefined) return Effect.fail(unknownDialect(name))
  if (!/^[a-z_][a-z0-9_]{0,31}$/.test(prefix)) return Effect.fail(badPrefix(name))
  return Effect.succeed({
    vault: name,
    sql,
    dialect,
    prefix,
    records: sql.literal(`${prefix}records`),
    leases: sql.literal(`${prefix}leases`),
    migrations: sql.literal(`${prefix}migrations`),
    channel: `${prefix}changes`,
    limit: Duration.decode(timeLimit)
  })
}

const dialectOf = (sql: Constructor): Dialect | undefined => {
  const postgresql = (): Dialect => ({
    name: "postgresql",
    now: sql.literal("(extract(epoch from clock_timestamp()) * 1000)::bigint"),
    text: sql.literal("text collate \"C\"")
  })
  const sqlite = (): Dialect => ({
    name: "sqlite",
    now: sql.literal("cast((julianday('now') - 2440587.5) * 86400000 as integer)"),
    text: sql.literal("text")
  })
  return sql.onDialectOrElse({ pg: postgresql, sqlite, orElse: () => undefined })
}

const unknownDialect = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the database is neither PostgreSQL nor SQLite",
    hint: "Give the vault a client of one of these."
  })

const badPrefix = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the prefix of the tables is no plain name",
    hint: "Use 1 to 32 lower-case letters, digits and underscores, with no digit in front."
  })

/**
 * Runs statements that change nothing. Whoever waits for them leaves at once when interrupted; they go on,
 * because PostgreSQL may take a cancellation for the next statement of the connection.
 */
export const reading = <A>(
  place: Place,
  action: Action,
  query: Effect.Effect<A, SqlError | VaultError>
): Effect.Effect<A, VaultError> =>
  running(place, action, query).pipe(
    Effect.disconnect,
    Effect.timeoutFail({ duration: place.limit, onTimeout: () => tooSlow(place.vault, action) }),
    Effect.interruptible,
    Effect.forkDaemon,
    Effect.flatMap(Fiber.join)
  )

/**
 * Runs statements that change something, to their end or the limit: an interruption must not leave them under
 * way.
 */
export const writing = <A>(
  place: Place,
  action: Action,
  query: Effect.Effect<A, SqlError | VaultError>
): Effect.Effect<A, VaultError> =>
  shielded(Effect.disconnect(running(place, action, query)), place.limit, {
    onTimeout: () => tooSlow(place.vault, action),
    onInterrupt: () => tooSlow(place.vault, action)
  })

/**
 * In no transaction of the caller's, which may be rolled back when the outside world has long acted on what
 * the vault said. And without a span, which would show the driver's error, and that may quote a row. A
 * statement that met a lock has done nothing, so it is tried again; we wait here, since SQLite would stop the
 * whole process while it waits.
 */
const running = <A>(
  place: Place,
  action: Action,
  query: Effect.Effect<A, SqlError | VaultError>
): Effect.Effect<A, VaultError> =>
  query.pipe(
    Effect.mapError((error) => error._tag === "SqlError" ? refuse(place.vault, action)(error) : error),
    Effect.retry({ while: (error) => error._tag === "Locked", schedule: patience(place.limit) }),
    Effect.withTracerEnabled(false),
    Effect.mapInputContext((_: Context.Context<never>) => Context.empty())
  )

/** Half of the limit: the rest is for the statement itself. */
const patience = (limit: Duration.Duration): Schedule.Schedule<unknown> =>
  Schedule.exponential("5 millis", 1.5).pipe(
    Schedule.union(Schedule.spaced("100 millis")),
    Schedule.jittered,
    Schedule.upTo(Duration.times(limit, 0.5))
  )

/** There is a row, but none that this library has written. */
export const corrupt = (place: Place, action: Action): Corrupt =>
  new Corrupt({
    vault: place.vault,
    action,
    detail: "a row of the vault's tables is not as this library writes it",
    hint: "Write the record anew, such as by logging in again; `set` replaces it."
  })

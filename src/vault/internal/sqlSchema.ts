/**
 * The tables of a SQL vault, and how they come into being.
 *
 * The migrator of @effect/sql does not fit: two programs that start on an empty PostgreSQL both create its
 * table, and one of them fails; a SQLite that is locked at that moment blocks its client for ever; and it
 * takes a newer schema for its own. So each step here is one statement that may run twice, and the note that
 * it is done comes after it. PostgreSQL lets one program at a time in, because `if not exists` does not
 * exclude there.
 */
import type * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { VaultError } from "../VaultError.js"
import { Unsupported } from "../VaultError.js"
import type { Place } from "./sqlPlace.js"
import { corrupt, reading, writing } from "./sqlPlace.js"

interface Step {
  readonly id: number
  readonly name: string
  readonly statement: (place: Place) => Fragment
}

const steps: ReadonlyArray<Step> = [
  {
    id: 1,
    name: "records",
    statement: ({ dialect, records, sql }) =>
      sql`create table if not exists ${records} (
        key ${dialect.text} not null primary key, value text not null, version text not null)`
  },
  {
    id: 2,
    name: "leases",
    statement: ({ dialect, leases, sql }) =>
      sql`create table if not exists ${leases} (
        key ${dialect.text} not null primary key, owner text not null,
        fence bigint not null, expires_at bigint not null)`
  }
]

const newest = steps.length

/** Makes the tables or brings them up to date; those of a newer release are refused, and left as they are. */
export const migrate = (place: Place, withTransaction: Transaction): Effect.Effect<void, VaultError> =>
  Effect.flatMap(
    reading(place, "get", version(place)),
    (found) => found === newest ? Effect.void : writing(place, "get", upgrade(place, withTransaction))
  )

/** How PostgreSQL does several statements as one; SQLite does without. */
export type Transaction = SqlClient.SqlClient["withTransaction"] | undefined

const upgrade = (
  place: Place,
  withTransaction: Transaction
): Effect.Effect<void, SqlError | VaultError> => {
  const work = Effect.flatMap(version(place), (found) => climb(place, found))
  if (place.dialect.name === "sqlite" || withTransaction === undefined) return work
  return Effect.zipRight(place.sql`select pg_advisory_xact_lock(${lockId})`, work).pipe(
    withTransaction,
    Effect.catchAllDefect((defect) => defect instanceof SqlError ? Effect.fail(defect) : Effect.die(defect))
  )
}

/** Any number that nobody else uses. */
const lockId = 1_701_209_955

const climb = Effect.fnUntraced(function*(place: Place, found: number) {
  const { migrations, sql } = place
  yield* sql`create table if not exists ${migrations} (id integer not null primary key, name text not null)`
  yield* Effect.forEach(steps.slice(found), ({ id, name, statement }) =>
    Effect.zipRight(
      sql`${statement(place)}`,
      sql`insert into ${migrations} (id, name) values (${id}, ${name}) on conflict (id) do nothing`
    ), { discard: true })
})

/** The number of the last step that was done; 0 in an empty database. */
const version = (place: Place): Effect.Effect<number, SqlError | VaultError> =>
  Effect.flatMap(isThere(place), (isThere) => isThere ? lastStep(place) : Effect.succeed(0))

const isThere = ({ dialect, prefix, sql }: Place): Effect.Effect<boolean, SqlError> => {
  const table = `${prefix}migrations`
  const rows = dialect.name === "postgresql"
    ? sql`select 1 as found where to_regclass(${table}) is not null`
    : sql`select 1 as found from sqlite_master where name = ${table}`
  return Effect.map(rows, ({ length }) => length > 0)
}

const lastStep = (place: Place): Effect.Effect<number, SqlError | VaultError> =>
  place.sql`select coalesce(max(id), 0) as id from ${place.migrations}`.pipe(
    Effect.flatMap(Schema.decodeUnknown(Schema.Tuple(Schema.Struct({ id: Schema.NonNegativeInt })))),
    Effect.mapError((error) => error._tag === "ParseError" ? corrupt(place, "get") : error),
    Effect.flatMap(([{ id }]) => id > newest ? Effect.fail(tooNew(place)) : Effect.succeed(id))
  )

const tooNew = ({ vault }: Place): Unsupported =>
  new Unsupported({
    vault,
    action: "get",
    detail: "a newer release of this library has changed the vault's tables",
    hint: "Use that release here too, or give this program tables of its own by another prefix."
  })

/** The schema of PostgreSQL that the tables are in. */
export const schemaOf = (place: Place): Effect.Effect<string, VaultError> =>
  reading(
    place,
    "get",
    place.sql`select relnamespace::regnamespace::text as name from pg_class
      where oid = to_regclass(${`${place.prefix}records`})`.pipe(
      Effect.flatMap(Schema.decodeUnknown(Schema.Tuple(Schema.Struct({ name: Schema.String })))),
      Effect.map(([{ name }]) => name),
      Effect.mapError((error) => error._tag === "ParseError" ? corrupt(place, "get") : error)
    )
  )

/**
 * The records of a SQL vault. Each write is one statement, which happens in whole or not at all, and only over
 * the version that it names.
 */
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Vault from "../Vault.js"
import type { Action, VaultError } from "../VaultError.js"
import * as VaultKey from "../VaultKey.js"
import { checkValue, conflict } from "./contract.js"
import { sha256Hex } from "./digest.js"
import type { Place } from "./sqlPlace.js"
import { corrupt, reading, writing } from "./sqlPlace.js"
import { endOf, escape, unescape } from "./sqlText.js"
import { unique } from "./unique.js"

export const maxValueBytes: number = 1024 * 1024

/** An escaped unit has five characters, and a unit at least one byte of UTF-8. */
const maxEscaped = 5 * maxValueBytes
const maxEscapedKey = 5 * VaultKey.maxLength

/** A value that is longer than any of ours is not even fetched. */
export const get = (place: Place, key: string): Effect.Effect<Option.Option<Vault.Entry>, VaultError> =>
  Effect.flatMap(VaultKey.check(place.vault, "get", key), () =>
    reading(
      place,
      "get",
      place.sql`select version, case when length(value) <= ${maxEscaped} then value end as value
        from ${place.records} where key = ${escape(key)}`
    ).pipe(
      Effect.flatMap(Schema.decodeUnknown(Schema.Array(Row))),
      Effect.mapError((error) => error._tag === "ParseError" ? corrupt(place, "get") : error),
      Effect.flatMap(([row]) => row === undefined ? Effect.succeedNone : Effect.asSome(toEntry(place, row)))
    ))

const Row = Schema.Struct({ value: Schema.String, version: Schema.NonEmptyString })

const toEntry = (
  place: Place,
  { value, version }: typeof Row.Type
): Effect.Effect<Vault.Entry, VaultError> =>
  Option.match(unescape(value), {
    onNone: () => Effect.fail(corrupt(place, "get")),
    onSome: (text) => Effect.succeed({ value: Redacted.make(text), version })
  })

/**
 * Writes over the version that is there, so that a statement that is held up on its way finds another one
 * and does nothing.
 */
export const set = (
  place: Place,
  key: string,
  value: Redacted.Redacted<string>
): Effect.Effect<string, VaultError> =>
  store(place, "set", key, value, (columns) =>
    untilWritten(
      Effect.flatMap(versionOf(place, columns.key), (found) => replace(place, found, columns))
    ))

export const compareAndSet = (
  place: Place,
  key: string,
  expected: Option.Option<string>,
  value: Redacted.Redacted<string>
): Effect.Effect<string, VaultError> =>
  store(place, "compareAndSet", key, value, (columns) => replace(place, expected, columns))

/** Whether it has written, which it only does over this version, or nothing. */
const replace = (
  place: Place,
  expected: Option.Option<string>,
  { key, topic, value, version }: Columns
): Effect.Effect<boolean, SqlError> =>
  write(
    place,
    topic,
    Option.match(expected, {
      onNone: () =>
        place.sql`insert into ${place.records} (key, value, version) values (${key}, ${value}, ${version})
          on conflict (key) do nothing returning version`,
      onSome: (old) =>
        place.sql`update ${place.records} set value = ${value}, version = ${version}
          where key = ${key} and version = ${old} returning version`
    })
  )

const versionOf = (
  { records, sql }: Place,
  key: string
): Effect.Effect<Option.Option<string>, SqlError> =>
  Effect.map(
    sql<{ readonly version: unknown }>`select version from ${records} where key = ${key}`,
    ([row]) => row === undefined ? Option.none() : Option.some(String(row.version))
  )

/** Somebody else's write may come between, and then it is tried again; the limit is the whole call's. */
const untilWritten = (attempt: Effect.Effect<boolean, SqlError>): Effect.Effect<boolean, SqlError> =>
  Effect.as(Effect.repeat(attempt, { until: (hasWritten) => hasWritten, schedule: again }), true)

const again = Schedule.jittered(Schedule.spaced("5 millis"))

interface Columns {
  readonly key: string
  readonly topic: string
  readonly value: string
  readonly version: string
}

/** Gives the version; where the statement has written nothing, that is a `Conflict`. */
const store = Effect.fnUntraced(function*(
  place: Place,
  action: Action,
  key: string,
  value: Redacted.Redacted<string>,
  writer: (columns: Columns) => Effect.Effect<boolean, SqlError>
) {
  yield* VaultKey.check(place.vault, action, key)
  yield* checkValue(place.vault, action, value, maxValueBytes)
  const version = yield* unique
  const topic = yield* topicOf(key)
  const columns = { key: escape(key), topic, value: escape(Redacted.value(value)), version }
  const hasWritten = yield* writing(place, action, writer(columns))
  return hasWritten ? version : yield* conflict(place.vault, action)
})

/**
 * Whether the statement, which returns versions, has written. PostgreSQL tells those who listen, in the same
 * step, if it has.
 */
const write = (
  { channel, dialect, sql }: Place,
  topic: string,
  statement: Fragment
): Effect.Effect<boolean, SqlError> => {
  const whole = dialect.name === "postgresql"
    ? sql`with written as (${statement}) select version, pg_notify(${channel}, ${topic}) from written`
    : sql`${statement}`
  return Effect.map(whole, ({ length }) => length > 0)
}

/** What is announced: everybody in the database can listen, so it is not the key itself. */
export const topicOf = (key: string): Effect.Effect<string> => sha256Hex(escape(key))

export const remove = (
  place: Place,
  key: string,
  version: string | undefined
): Effect.Effect<void, VaultError> =>
  Effect.gen(function*() {
    yield* VaultKey.check(place.vault, "remove", key)
    const topic = yield* topicOf(key)
    if (version === undefined) return yield* writing(place, "remove", removeAny(place, escape(key), topic))
    const hasRemoved = yield* writing(place, "remove", removeOnly(place, escape(key), topic, version))
    if (hasRemoved) return
    yield* expectNone(place, place.sql`select 1 from ${place.records} where key = ${escape(key)}`)
  })

/** Of the version that is there, for the reason that `set` has. */
const removeAny = (place: Place, key: string, topic: string): Effect.Effect<void, SqlError> => {
  const attempt = Effect.flatMap(
    versionOf(place, key),
    Option.match({
      onNone: () => Effect.succeed(true),
      onSome: (version) => removeOnly(place, key, topic, version)
    })
  )
  return Effect.asVoid(untilWritten(attempt))
}

const removeOnly = (
  place: Place,
  key: string,
  topic: string,
  version: string
): Effect.Effect<boolean, SqlError> =>
  write(
    place,
    topic,
    place.sql`delete from ${place.records} where key = ${key} and version = ${version} returning version`
  )

/**
 * A version never comes back, so a record that is there after a removal of that version is at another one.
 */
const expectNone = (place: Place, query: Fragment): Effect.Effect<void, VaultError> =>
  Effect.flatMap(
    reading(place, "remove", place.sql`${query}`),
    ({ length }) => length === 0 ? Effect.void : Effect.fail(conflict(place.vault, "remove"))
  )

/** Leaves out keys that this library can't have written. */
export const list = (place: Place, prefix: string): Effect.Effect<ReadonlyArray<string>, VaultError> => {
  const from = escape(prefix)
  const rows = reading(
    place,
    "list",
    place.sql`select key from ${place.records}
      where key >= ${from} and key < ${endOf(from)} and length(key) <= ${maxEscapedKey}`
  )
  return rows.pipe(
    Effect.flatMap(Schema.decodeUnknown(Schema.Array(Schema.Struct({ key: Schema.String })))),
    Effect.mapError((error) => error._tag === "ParseError" ? corrupt(place, "list") : error),
    Effect.map((found) => found.flatMap(({ key }) => Option.toArray(unescape(key))))
  )
}

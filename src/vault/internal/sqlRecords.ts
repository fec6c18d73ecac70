/** The records of a SQL vault: each method is one statement, so that it happens in whole or not at all. */
import type { Fragment } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Vault from "../Vault.js"
import type { Action, VaultError } from "../VaultError.js"
import * as VaultKey from "../VaultKey.js"
import { checkValue, conflict } from "./contract.js"
import { sha256Hex } from "./digest.js"
import { randomBytes, toBase64Url } from "./encryptionBytes.js"
import type { Place } from "./sqlPlace.js"
import { corrupt, reading, writing } from "./sqlPlace.js"
import { endOf, escape, unescape } from "./sqlText.js"

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

export const set = (
  place: Place,
  key: string,
  value: Redacted.Redacted<string>
): Effect.Effect<string, VaultError> =>
  store(
    place,
    "set",
    key,
    value,
    ({ key, value, version }) =>
      place.sql`insert into ${place.records} (key, value, version) values (${key}, ${value}, ${version})
      on conflict (key) do update set value = excluded.value, version = excluded.version returning version`
  )

export const compareAndSet = (
  place: Place,
  key: string,
  expected: Option.Option<string>,
  value: Redacted.Redacted<string>
): Effect.Effect<string, VaultError> =>
  store(place, "compareAndSet", key, value, ({ key, value, version }) =>
    Option.match(expected, {
      onNone: () =>
        place.sql`insert into ${place.records} (key, value, version) values (${key}, ${value}, ${version})
          on conflict (key) do nothing returning version`,
      onSome: (old) =>
        place.sql`update ${place.records} set value = ${value}, version = ${version}
          where key = ${key} and version = ${old} returning version`
    }))

interface Columns {
  readonly key: string
  readonly value: string
  readonly version: string
}

/** Gives the version; where the statement has written nothing, that is a `Conflict`. */
const store = Effect.fnUntraced(function*(
  place: Place,
  action: Action,
  key: string,
  value: Redacted.Redacted<string>,
  statement: (columns: Columns) => Fragment
) {
  yield* VaultKey.check(place.vault, action, key)
  yield* checkValue(place.vault, action, value, maxValueBytes)
  const version = yield* newVersion
  const columns = { key: escape(key), value: escape(Redacted.value(value)), version }
  const hasWritten = yield* write(place, action, key, statement(columns))
  return hasWritten ? version : yield* conflict(place.vault, action)
})

/** Never the same twice, whoever makes it. */
const newVersion: Effect.Effect<string> = Effect.map(randomBytes(16), toBase64Url)

/** Whether the statement, which returns versions, has written. */
const write = (
  place: Place,
  action: Action,
  key: string,
  statement: Fragment
): Effect.Effect<boolean, VaultError> =>
  Effect.flatMap(
    place.dialect.name === "postgresql" ? announcing(place, key, statement) : Effect.succeed(statement),
    (whole) => Effect.map(writing(place, action, place.sql`${whole}`), ({ length }) => length > 0)
  )

/** Tells those who listen, in the same step, if it has written. */
const announcing = ({ channel, sql }: Place, key: string, statement: Fragment): Effect.Effect<Fragment> =>
  Effect.map(
    topicOf(key),
    (topic) =>
      sql`with written as (${statement}) select version, pg_notify(${channel}, ${topic}) from written`
  )

/** What is announced: everybody in the database can listen, so it is not the key itself. */
export const topicOf = (key: string): Effect.Effect<string> => sha256Hex(escape(key))

export const remove = (
  place: Place,
  key: string,
  version: string | undefined
): Effect.Effect<void, VaultError> => {
  const { records, sql } = place
  const its = sql`key = ${escape(key)}`
  const only = version === undefined ? its : sql`${its} and version = ${version}`
  return VaultKey.check(place.vault, "remove", key).pipe(
    Effect.zipRight(write(place, "remove", key, sql`delete from ${records} where ${only} returning version`)),
    Effect.flatMap((hasRemoved) =>
      hasRemoved || version === undefined
        ? Effect.void
        : expectNone(place, sql`select 1 from ${records} where ${its}`)
    )
  )
}

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

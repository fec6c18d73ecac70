/**
 * The three operations of a lease, each one statement. Only the database's clock counts, so that no program's
 * wrong clock can end another's lease. A lease that was given back keeps its row, so that its fence grows on.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { VaultError } from "../VaultError.js"
import type { Operations, Taken } from "./leasing.js"
import type { Place } from "./sqlPlace.js"
import { corrupt, writing } from "./sqlPlace.js"
import { escape } from "./sqlText.js"

export const make = (place: Place): Operations => {
  const { dialect: { now }, leases, sql } = place
  const until = (term: number) => sql`${now} + ${Math.min(Math.ceil(term), maxTerm)}`
  const isDone = (query: Effect.Effect<ReadonlyArray<unknown>, VaultError>) =>
    Effect.map(query, ({ length }) => length > 0)
  return {
    take: (key, owner, term) =>
      Effect.flatMap(
        writing(
          place,
          "lease",
          sql`insert into ${leases} as held (key, owner, fence, expires_at)
            values (${escape(key)}, ${owner}, 1, ${until(term)})
            on conflict (key) do update
              set owner = excluded.owner, fence = held.fence + 1, expires_at = ${until(term)}
              where held.expires_at <= ${now}
            returning fence, ${now} as taken_at`
        ),
        decode(place)
      ),
    extend: (key, owner, term) =>
      isDone(writing(
        place,
        "lease",
        sql`update ${leases} set expires_at = ${until(term)}
          where key = ${escape(key)} and owner = ${owner} returning fence`
      )),
    release: (key, owner) =>
      Effect.asVoid(writing(
        place,
        "lease",
        sql`update ${leases} set expires_at = 0, owner = '' where key = ${escape(key)} and owner = ${owner}`
      ))
  }
}

/** A thousand years, in milliseconds. */
const maxTerm = 31_556_952_000_000

/** PostgreSQL gives its large integers as text. */
const Milliseconds = Schema.Union(Schema.Number, Schema.NumberFromString).pipe(
  Schema.int(),
  Schema.positive()
)
const Row = Schema.Struct({ fence: Milliseconds, taken_at: Milliseconds })
const decodeRows = Schema.decodeUnknown(Schema.Array(Row))

const decode = (place: Place) => (rows: unknown): Effect.Effect<Option.Option<Taken>, VaultError> =>
  Effect.mapBoth(decodeRows(rows), {
    onFailure: () => corrupt(place, "lease"),
    onSuccess: ([row]) =>
      row === undefined ? Option.none() : Option.some({ fence: row.fence, at: row.taken_at })
  })

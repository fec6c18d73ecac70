/** The records and leases of a vault in a Redis server: which script answers which call. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Redis } from "ioredis"
import type { Entry } from "../Vault.js"
import type { Action, VaultError } from "../VaultError.js"
import * as VaultKey from "../VaultKey.js"
import { checkValue, conflict } from "./contract.js"
import { reservedPrefix } from "./encryptionFormat.js"
import type { Operations } from "./leasing.js"
import * as Address from "./redisAddress.js"
import * as Connection from "./redisConnection.js"
import * as Problem from "./redisProblem.js"
import * as Scripts from "./redisScripts.js"
import { hidden } from "./redisValue.js"
import { unique } from "./unique.js"

/** What every call works with. */
export interface Desk {
  /** The vault's. */
  readonly name: string
  readonly prefix: string
  readonly channel: string
  /** Milliseconds; 0 for ever. */
  readonly timeToLive: number
  readonly connection: Connection.Connection
}

/** The longest value, in bytes of UTF-8. */
export const maxValueBytes: number = 1024 * 1024

/** JSON spends at most 6 bytes where UTF-8 spends one. */
const maxStoredBytes = 6 * maxValueBytes + 2

/** Runs one of the scripts; what it answers is to be of this form. */
const ask = <A, I>(
  client: Redis,
  script: string,
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<string | Buffer>,
  answer: Schema.Schema<A, I>
): Effect.Effect<A, Problem.Problem> =>
  Effect.flatMap(
    Connection.attempt(() => client.eval(script, keys.length, ...keys, ...args)),
    (reply) => Effect.mapError(Schema.decodeUnknown(answer)(reply), () => Problem.unexpected)
  )

const run = <A, I>(
  desk: Desk,
  action: Action,
  ...question: readonly [
    script: string,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>,
    answer: Schema.Schema<A, I>
  ]
): Effect.Effect<A, VaultError> =>
  told(desk, action)(desk.connection.use((client) => ask(client, ...question)))

/** The problem as the caller is told of it, and the work as a tracer is. */
const told = (desk: Desk, action: Action) => <A>(self: Effect.Effect<A, Problem.Problem>) =>
  Effect.withSpan(Effect.mapError(self, Problem.toVaultError(desk.name, action)), `redis.${action}`, {
    kind: "client",
    attributes: { "vault.name": desk.name },
    captureStackTrace: false
  })

const Read = Schema.NullOr(
  Schema.Union(Schema.Literal("foreign"), Schema.Tuple(Schema.String, Schema.String))
)
const decodeValue = Schema.decode(Schema.parseJson(Schema.String))

/** The record under the key. */
export const get = (desk: Desk, key: string): Effect.Effect<Option.Option<Entry>, VaultError> =>
  Effect.gen(function*() {
    yield* VaultKey.check(desk.name, "get", key)
    const { record } = Address.namesOf(desk.prefix, key)
    const found = yield* run(desk, "get", Scripts.read, [record], [String(maxStoredBytes)], Read)
    if (found === null) return Option.none<Entry>()
    if (found === "foreign") return yield* foreign(desk, "get")
    const [version, stored] = found
    const value = yield* Effect.mapError(decodeValue(stored), () => foreign(desk, "get"))
    return Option.some<Entry>({ value: Redacted.make(value), version })
  })

/** Stores the value, and gives its version. */
export const set = (
  desk: Desk,
  key: string,
  value: Redacted.Redacted<string>
): Effect.Effect<string, VaultError> => write(desk, "set", key, Option.none(), value)

/** Stores the value if this version, or nothing, is there. */
export const compareAndSet = (
  desk: Desk,
  key: string,
  expected: Option.Option<string>,
  value: Redacted.Redacted<string>
): Effect.Effect<string, VaultError> =>
  write(desk, "compareAndSet", key, Option.some(Option.match(expected, wanted)), value)

/** How the scripts are told what they must find. */
const wanted = { onNone: () => Scripts.nothing, onSome: Scripts.version }

const Verdict = Schema.Literal("done", "conflict", "foreign")

const write = Effect.fnUntraced(function*(
  desk: Desk,
  action: Action,
  key: string,
  expected: Option.Option<string>,
  value: Redacted.Redacted<string>
) {
  yield* VaultKey.check(desk.name, action, key)
  yield* checkValue(desk.name, action, value, maxValueBytes)
  const { aside, probe, record } = Address.namesOf(desk.prefix, key)
  const version = yield* unique
  const stored = hidden(JSON.stringify(Redacted.value(value)))
  const args = [version, stored, timeToLive(desk, key), desk.channel, Address.escape(key)]
  yield* change(
    desk,
    action,
    record,
    expected,
    (client, expected) => ask(client, Scripts.write, [record, aside, probe], [expected, ...args], Verdict)
  )
  return version
})

/** What other records are encrypted with must not end before them. */
const timeToLive = (desk: Desk, key: string): string =>
  key.startsWith(reservedPrefix) ? "0" : String(desk.timeToLive)

/** Removes the record: whatever is there, or this version of it only. */
export const remove = (
  desk: Desk,
  key: string,
  version: string | undefined
): Effect.Effect<void, VaultError> =>
  Effect.gen(function*() {
    yield* VaultKey.check(desk.name, "remove", key)
    const { aside, record } = Address.namesOf(desk.prefix, key)
    const only = Option.map(Option.fromNullable(version), Scripts.version)
    const args = [desk.channel, Address.escape(key), version === undefined ? "1" : "0"]
    yield* change(desk, "remove", record, only, (client, expected) =>
      ask(client, Scripts.remove, [record, aside], [expected, ...args], Verdict))
  })

/**
 * Changes what is under the name. Where the caller expects nothing particular, it is changed from what is
 * there now: so a command that is held up on its way, and comes after a newer one, does nothing.
 */
const change = (
  desk: Desk,
  action: Action,
  record: string,
  expected: Option.Option<string>,
  attempt: (client: Redis, expected: string) => Effect.Effect<Scripts.Verdict, Problem.Problem>
): Effect.Effect<void, VaultError> =>
  desk.connection.use((client) =>
    Option.match(expected, {
      onSome: (expected) => attempt(client, expected),
      onNone: () =>
        Effect.repeat(
          Effect.flatMap(look(client, record), (found) => attempt(client, found)),
          { until: (verdict) => verdict === "done", schedule: again }
        ).pipe(Effect.as("done" as const))
    })
  ).pipe(
    told(desk, action),
    Effect.flatMap((verdict) => judge(desk, action, verdict))
  )

const look = (client: Redis, record: string): Effect.Effect<string, Problem.Problem> =>
  ask(client, Scripts.look, [record], [], Schema.String)

const again = Schedule.jittered(Schedule.spaced("5 millis"))

const judge = (desk: Desk, action: Action, verdict: Scripts.Verdict): Effect.Effect<void, VaultError> => {
  switch (verdict) {
    case "done":
      return Effect.void
    case "conflict":
      return Effect.fail(conflict(desk.name, action))
    case "foreign":
      return Effect.fail(foreign(desk, action))
  }
}

const foreign = (desk: Desk, action: Action): VaultError =>
  Problem.toVaultError(desk.name, action)(Problem.foreign)

/** The keys that start so: the server walks through all names, and may tell one twice. */
export const list = (desk: Desk, start: string): Effect.Effect<ReadonlyArray<string>, VaultError> => {
  const pattern = Address.patternOf(desk.prefix, start)
  const names = Stream.paginateEffect("0", (cursor) =>
    Effect.map(
      desk.connection.use((client) =>
        Connection.attempt(() => client.scan(cursor, "MATCH", pattern, "COUNT", 1000))
      ),
      ([next, names]) => [names, next === "0" ? Option.none<string>() : Option.some(next)] as const
    ))
  const keysOf = (names: ReadonlyArray<string>) =>
    names.flatMap((name) => Option.toArray(Address.keyOf(desk.prefix, name)))
  return Stream.runCollect(names).pipe(
    Effect.map((pages) => Array.from(new Set(Array.from(pages).flatMap(keysOf)))),
    Effect.map((keys) => keys.filter((key) => key.startsWith(start))),
    told(desk, "list")
  )
}

const Taken = Schema.NullOr(Schema.Tuple(Schema.NumberFromString, Schema.NumberFromString))

/** How long the last fence of a key is remembered: a server's clock is not set back by more. */
const memory = 30 * 24 * 60 * 60 * 1000

/** What a lease is made of. */
export const leases = (desk: Desk): Operations => ({
  take: (key, owner, term) => {
    const { fence, lease, probe } = Address.namesOf(desk.prefix, key)
    const args = [owner, milliseconds(term), String(memory)]
    return Effect.map(
      run(desk, "lease", Scripts.take, [lease, fence, probe], args, Taken),
      (taken) => Option.map(Option.fromNullable(taken), ([fence, at]) => ({ fence, at }))
    )
  },
  extend: (key, owner, term) => {
    const { lease } = Address.namesOf(desk.prefix, key)
    const args = [owner, milliseconds(term)]
    return Effect.map(run(desk, "lease", Scripts.extend, [lease], args, Schema.Number), (kept) => kept === 1)
  },
  release: (key, owner) =>
    run(desk, "lease", Scripts.release, [Address.namesOf(desk.prefix, key).lease], [owner], Schema.Number)
})

/** As the server takes them: whole, and never without an end. */
const milliseconds = (term: number): string => String(Math.ceil(Math.min(term, memory)))

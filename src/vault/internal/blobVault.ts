/** A vault over a store that reads, writes, removes and lists texts by name, and can do no more. */
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type * as Vault from "../Vault.js"
import type { Action, VaultError } from "../VaultError.js"
import { Corrupt } from "../VaultError.js"
import * as VaultKey from "../VaultKey.js"
import { checkValue, isAt, isRemovable, unsupported } from "./contract.js"
import type { Standing } from "./contract.js"
import * as FileRecord from "./fileRecord.js"
import { freshId } from "./freshId.js"
import * as KeyedMutex from "./keyedMutex.js"

/** What the store must do. Names are those of `VaultKey.encode`. */
export interface Blobs {
  /** The text under the name; `None` when there is none, and only then. */
  readonly read: (action: Action, name: string) => Effect.Effect<Option.Option<string>, VaultError>
  /** Puts the text in the place of what is there; whoever reads meanwhile sees the one or the other. */
  readonly write: (action: Action, name: string, text: string) => Effect.Effect<void, VaultError>
  /** Removes the text with all that belongs to it; there may be none. */
  readonly erase: (name: string) => Effect.Effect<void, VaultError>
  readonly names: Effect.Effect<ReadonlyArray<string>, VaultError>
}

/** A vault over these texts. */
export interface Options {
  readonly vault: string
  readonly identity: Vault.Identity
  readonly blobs: Blobs
  /** The longest value, in bytes of UTF-8; at most that of a file's record. */
  readonly maxValueBytes: number
}

/** The texts are records in their envelope, so that a whole one is told from a torn one. */
export const make = (options: Options): Vault.Service => ({
  name: options.vault,
  identity: options.identity,
  capabilities: {
    writable: true,
    list: true,
    compareAndSet: "process",
    lease: "none",
    announce: "none",
    maxValueBytes: options.maxValueBytes
  },
  get: (key) =>
    Effect.map(
      onName(options, "get", key, (name) => lookup(options, "get", key, name)),
      Option.map(({ value, version }) => ({ value, version }))
    ),
  set: (key, value) => write(options, "set", key, value, () => Effect.void),
  compareAndSet: (key, expected, value) =>
    write(
      options,
      "compareAndSet",
      key,
      value,
      (found) => isAt(options.vault, "compareAndSet", found, expected)
    ),
  remove: (key, condition) => remove(options, key, condition?.version),
  list: (prefix) => list(options, prefix),
  lease: () => Effect.fail(unsupported(options.vault, "lease", "this store has no leases")),
  changes: () => Stream.fail(unsupported(options.vault, "changes", "this store tells nobody of a write"))
})

const onName = <A>(
  { vault }: Options,
  action: Action,
  key: string,
  use: (name: string) => Effect.Effect<A, VaultError>
): Effect.Effect<A, VaultError> =>
  Effect.flatMap(VaultKey.check(vault, action, key), () => Effect.flatMap(VaultKey.encode(key), use))

const lookup = Effect.fnUntraced(function*(options: Options, action: Action, key: string, name: string) {
  const text = yield* options.blobs.read(action, name)
  if (Option.isNone(text)) return Option.none<FileRecord.Sealed>()
  const record = yield* open(options, action, name, text.value)
  return record.key === key ? Option.some(record) : yield* corrupt(options, action, name, otherKey)
})

const open = (
  options: Options,
  action: Action,
  name: string,
  text: string
): Effect.Effect<FileRecord.Sealed, Corrupt> =>
  Effect.mapError(
    FileRecord.open(new TextEncoder().encode(text.slice(0, FileRecord.maxFileBytes + 1))),
    (problem) => corrupt(options, action, name, problem.detail.replace(/^the file\b/, "the entry"))
  )

const otherKey = "the entry holds the record of another key"

const corrupt = ({ vault }: Options, action: Action, name: string, detail: string): Corrupt =>
  new Corrupt({
    vault,
    action,
    detail: `${name}: ${detail}`,
    hint: "Log in again, which replaces the entry, or remove it."
  })

type Found = Standing<FileRecord.Sealed>

const write = (
  options: Options,
  action: Action,
  key: string,
  value: Redacted.Redacted<string>,
  check: (found: Found) => Effect.Effect<void, VaultError>
): Effect.Effect<string, VaultError> =>
  onName(options, action, key, (name) =>
    Effect.zipRight(
      checkValue(options.vault, action, value, options.maxValueBytes),
      alone(options, name, writeAlone(options, action, key, name, value, check))
    ))

const writeAlone = Effect.fnUntraced(function*(
  options: Options,
  action: Action,
  key: string,
  name: string,
  value: Redacted.Redacted<string>,
  check: (found: Found) => Effect.Effect<void, VaultError>
) {
  const found: Found = yield* Effect.catchTag(
    lookup(options, action, key, name),
    "Corrupt",
    (error) => Effect.succeed(error)
  )
  yield* check(found)
  const revision = Option.isOption(found) && Option.isSome(found) ? found.value.revision + 1 : 1
  const sealed = yield* FileRecord.seal({ key, revision, id: yield* freshId, value })
  yield* options.blobs.write(action, name, new TextDecoder().decode(sealed.bytes))
  return sealed.version
})

const remove = (
  options: Options,
  key: string,
  version: string | undefined
): Effect.Effect<void, VaultError> =>
  onName(options, "remove", key, (name) => {
    const isRight = isRemovable(options.vault, lookup(options, "remove", key, name), version)
    return alone(options, name, Effect.zipRight(isRight, options.blobs.erase(name)))
  })

/** One at a time, and once begun to the end. */
const alone = <A, E>({ identity }: Options, name: string, self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  writers.withLock(`${identity.name}\0${name}`)(Effect.uninterruptible(self))

const writers = globalValue("effect-credentials/blobVault/writers", KeyedMutex.unsafeMake)

const list = Effect.fnUntraced(function*(options: Options, prefix: string) {
  const names = yield* options.blobs.names
  const keys = yield* Effect.forEach(names, (name) => keyOf(options, name))
  return keys.filter((key) => key !== undefined && key.startsWith(prefix)) as ReadonlyArray<string>
})

/** The key of a record: from its name, or from the record where the name is a digest. */
const keyOf = (options: Options, name: string): Effect.Effect<string | undefined, VaultError> =>
  VaultKey.isHashed(name)
    ? Effect.catchTag(keyInside(options, name), "Corrupt", () => Effect.sync(() => undefined))
    : Effect.sync(() => Option.getOrUndefined(VaultKey.decode(name)))

const keyInside = Effect.fnUntraced(function*(options: Options, name: string) {
  const text = yield* options.blobs.read("list", name)
  if (Option.isNone(text)) return undefined
  const { key } = yield* open(options, "list", name, text.value)
  return (yield* VaultKey.encode(key)) === name ? key : undefined
})

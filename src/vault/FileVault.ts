/**
 * A vault in a directory: one file a key, readable by its owner only, replaced in one step, with the previous
 * record as a backup beside it. What is damaged is reported and kept, never read as missing.
 *
 * The directory must be no symbolic link, it must belong to this program's user where the platform knows
 * owners, and nobody else may get into it. It is made with mode 0700; one that is wider is tightened if it
 * holds nothing but this vault's files, and refused otherwise. A record that is a link, a directory, torn, of
 * another key or too large is `Corrupt`: `set` moves it aside (`.corrupt`) and goes on, `compareAndSet` and
 * `remove` by version refuse. Backups (`.bak`) are for people; no method reads them. `remove` without a version
 * removes whatever is there, with all copies of it. `list` leaves out a record that can't tell its key.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { Misconfigured } from "../TokenError.js"
import { checkValue, isAt, isRemovable, unsupported } from "./internal/contract.js"
import type { Standing } from "./internal/contract.js"
import * as Directory from "./internal/directory.js"
import type { Place } from "./internal/directory.js"
import * as FileLease from "./internal/fileLease.js"
import * as FileRecord from "./internal/fileRecord.js"
import * as FileWrite from "./internal/fileWrite.js"
import { freshId } from "./internal/freshId.js"
import * as KeyedMutex from "./internal/keyedMutex.js"
import * as Vault from "./Vault.js"
import type { Action, VaultError } from "./VaultError.js"
import { Corrupt } from "./VaultError.js"
import * as VaultKey from "./VaultKey.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Where the files are. Made with mode 0700 at the first write. */
  readonly directory: string
  /** The name that errors show. Default `file`. */
  readonly name?: string | undefined
}

/**
 * A vault in this directory. Writers to one key take turns within the process, across all vaults on the
 * directory; `compareAndSet` also notices another process's write, except in the instant before the file is
 * replaced.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Vault.Service, Misconfigured, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const vault = options.name ?? "file"
    if (options.directory.trim() === "") return yield* noDirectory(vault)
    const directory = path.resolve(options.directory)
    const identity = Vault.identity(`file:${yield* Directory.realPathOf(fs, path, directory)}`)
    return service({ vault, directory, identity, fs, path, owner: undefined })
  })

const noDirectory = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the directory is empty text",
    hint: "Name the directory that is to hold the files."
  })

const capabilities: Vault.Capabilities = {
  writable: true,
  list: true,
  compareAndSet: "process",
  lease: "shared",
  announce: "none",
  maxValueBytes: FileRecord.maxValueBytes
}

const service = (place: Place): Vault.Service => ({
  name: place.vault,
  identity: place.identity,
  capabilities,
  get: (key) =>
    Effect.map(onStem(place, "get", key, (stem) => lookup(place, "get", key, stem)), Option.map(toEntry)),
  set: (key, value) => write(place, "set", key, value, () => Effect.void),
  compareAndSet: (key, expected, value) =>
    write(place, "compareAndSet", key, value, (found) => isAt(place.vault, "compareAndSet", found, expected)),
  remove: (key, options) => remove(place, key, options?.version),
  list: (prefix) => list(place, prefix),
  lease: FileLease.make(place),
  changes: () => Stream.fail(unsupported(place.vault, "changes", "files tell nobody of a write"))
})

const toEntry = ({ value, version }: FileRecord.Sealed): Vault.Entry => ({ value, version })

const onStem = <A>(
  place: Place,
  action: Action,
  key: string,
  use: (stem: string) => Effect.Effect<A, VaultError>
): Effect.Effect<A, VaultError> =>
  Effect.flatMap(VaultKey.check(place.vault, action, key), () => Effect.flatMap(VaultKey.encode(key), use))

/** Reads without a lock: a record is replaced in one step, so that a reader sees the old or the new one. */
const lookup = (
  place: Place,
  action: Action,
  key: string,
  stem: string
): Effect.Effect<Option.Option<FileRecord.Sealed>, VaultError> =>
  Effect.flatMap(
    Directory.guard(place, action),
    (found) => found ? readRecord(place, action, key, stem) : Effect.succeedNone
  )

const readRecord = Effect.fnUntraced(function*(place: Place, action: Action, key: string, stem: string) {
  const bytes = yield* Directory.read(place, action, Directory.recordFile(stem), FileRecord.maxFileBytes)
  if (Option.isNone(bytes)) return Option.none<FileRecord.Sealed>()
  const record = yield* Effect.mapError(FileRecord.open(bytes.value), corrupt(place, action, stem))
  return record.key === key ? Option.some(record) : yield* corrupt(place, action, stem)(otherKey)
})

const corrupt = (place: Place, action: Action, stem: string) => (problem: FileRecord.Problem): Corrupt =>
  new Corrupt({
    vault: place.vault,
    action,
    detail: `${Directory.recordFile(stem)} in ${Directory.shown(place)}: ${problem.detail}`,
    hint: problem.hint
  })

const otherKey: FileRecord.Problem = {
  detail: "the file holds the record of another key",
  hint: "Rename it back, or log in again; the file is then moved aside, not deleted."
}

type Found = Standing<FileRecord.Sealed>

const write = (
  place: Place,
  action: Action,
  key: string,
  value: Redacted.Redacted<string>,
  check: (found: Found) => Effect.Effect<void, VaultError>
): Effect.Effect<string, VaultError> =>
  onStem(place, action, key, (stem) =>
    Effect.zipRight(
      checkValue(place.vault, action, value, capabilities.maxValueBytes),
      alone(place, stem, writeAlone(place, action, key, stem, value, check))
    ))

const writeAlone = Effect.fnUntraced(function*(
  place: Place,
  action: Action,
  key: string,
  stem: string,
  value: Redacted.Redacted<string>,
  check: (found: Found) => Effect.Effect<void, VaultError>
) {
  yield* Directory.guardOrMake(place, action)
  yield* FileWrite.sweep(place)
  const look = Effect.catchTag(
    readRecord(place, action, key, stem),
    "Corrupt",
    (error) => Effect.succeed(error)
  )
  const found: Found = yield* look
  yield* check(found)
  const id = yield* freshId
  const sealed = yield* FileRecord.seal({ key, revision: revisionOf(found) + 1, id, value })
  const settle = Effect.flatMap(look, (now) => Effect.zipRight(check(now), keep(place, action, stem, now)))
  yield* FileWrite.replace(place, action, stem, sealed.bytes, settle)
  return sealed.version
})

const revisionOf = (found: Found): number =>
  Option.isOption(found) && Option.isSome(found) ? found.value.revision : 0

const keep = (place: Place, action: Action, stem: string, found: Found): Effect.Effect<void, VaultError> => {
  if (!Option.isOption(found)) return FileWrite.moveAside(place, action, stem)
  return Option.isSome(found) ? FileWrite.keepBackup(place, stem) : Effect.void
}

const remove = (place: Place, key: string, version: string | undefined): Effect.Effect<void, VaultError> =>
  onStem(place, "remove", key, (stem) => {
    const isRight = isRemovable(place.vault, readRecord(place, "remove", key, stem), version)
    const erase = Effect.zipRight(isRight, FileWrite.erase(place, "remove", stem))
    return alone(place, stem, Effect.asVoid(Effect.whenEffect(erase, Directory.guard(place, "remove"))))
  })

/** One at a time, and once begun to the end. */
const alone = <A, E>(place: Place, stem: string, self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  writers.withLock(`${place.identity.name}/${stem}`)(Effect.uninterruptible(self))

const writers = globalValue("effect-credentials/FileVault/writers", KeyedMutex.unsafeMake)

const list = Effect.fnUntraced(function*(place: Place, prefix: string) {
  if (!(yield* Directory.guard(place, "list"))) return []
  const names = yield* Effect.mapError(
    place.fs.readDirectory(place.directory),
    Directory.refuse(place, "list")
  )
  const keys = yield* Effect.forEach(
    names.flatMap((name) => Option.toArray(Directory.stemOf(name))),
    (stem) => keyOf(place, stem)
  )
  return keys.filter((key) => key !== undefined && key.startsWith(prefix)) as ReadonlyArray<string>
})

/** The key of a record: from its name, or from the record where the name is a digest. */
const keyOf = (place: Place, stem: string): Effect.Effect<string | undefined, VaultError> =>
  VaultKey.isHashed(stem)
    ? Effect.catchTags(keyInside(place, stem), {
      Corrupt: () => Effect.sync(() => undefined),
      Denied: () => Effect.sync(() => undefined)
    })
    : Effect.sync(() => Option.getOrUndefined(VaultKey.decode(stem)))

const keyInside = Effect.fnUntraced(function*(place: Place, stem: string) {
  const bytes = yield* Directory.read(place, "list", Directory.recordFile(stem), FileRecord.maxFileBytes)
  if (Option.isNone(bytes)) return undefined
  const record = yield* Effect.mapError(FileRecord.open(bytes.value), corrupt(place, "list", stem))
  return (yield* VaultKey.encode(record.key)) === stem ? record.key : undefined
})

/**
 * The program's vault in this directory.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Vault.Vault, Misconfigured, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(Vault.Vault, make(options))

/**
 * The program's vault in a directory that configuration names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Vault.Vault, Misconfigured | ConfigError.ConfigError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(Vault.Vault, Effect.flatMap(Config.unwrap(options), make))

/** The directory of a vault of files: who may get into it, what its files are called, and careful reads. */
import type * as PlatformError from "@effect/platform/Error"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Identity } from "../Vault.js"
import type { Action, VaultError } from "../VaultError.js"
import { Corrupt, Denied, Unreachable } from "../VaultError.js"
import { freshId } from "./freshId.js"
import * as Owner from "./owner.js"
import { bounded } from "./shielded.js"

/** Where and with what to work. */
export interface Place {
  readonly vault: string
  readonly directory: string
  readonly identity: Identity
  readonly fs: FileSystem.FileSystem
  readonly path: Path.Path
  /** The name of the only record, in a directory of the user's. Absent: the directory is the vault's own. */
  readonly only?: string | undefined
  /** The user that new files there belong to, once that is known. */
  owner: number | undefined
}

/**
 * The directory without links, as far as it is there, so that one directory has one identity by whatever name
 * it goes.
 */
const realPath = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  directory: string
): Effect.Effect<string> =>
  Effect.catchAll(fs.realPath(directory), () => {
    const parent = path.dirname(directory)
    return parent === directory
      ? Effect.succeed(directory)
      : Effect.map(realPath(fs, path, parent), (real) => path.join(real, path.basename(directory)))
  })

/** The same, bounded: a disk that does not answer is reported when it is used. */
export const realPathOf = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  directory: string
): Effect.Effect<string> =>
  Effect.orElseSucceed(
    bounded(realPath(fs, path, directory), Duration.seconds(10), () => undefined),
    () => directory
  )

/** The files of a key: `stem` is its encoded name, which holds no dot. */
export const recordFile = (stem: string): string => `${stem}.cred`
export const backupFile = (stem: string): string => `${stem}.bak`
export const temporaryFile = (stem: string, id: string): string => `${stem}.${id}.tmp`
export const asideFile = (stem: string, id: string): string => `${stem}.${id}.corrupt`
export const leaseFile = (stem: string): string => `${stem}.lease`
export const takeoverFile = (stem: string): string => `${stem}.takeover`
export const fenceFile = (stem: string): string => `${stem}.fence`
const ours = /^[a-z0-9_%-]+(?:\.[a-z0-9-]+)?\.(?:cred|bak|tmp|corrupt|lease|takeover|fence)$/

/** The record of a key in this place. */
export const recordOf = (place: Place, stem: string): string => place.only ?? recordFile(stem)

/** The encoded name of the key whose record this file is. */
export const stemOf = (file: string): Option.Option<string> =>
  Option.fromNullable(/^([a-z0-9_%-]+)\.cred$/.exec(file)?.[1])

/** The path of one of these files. */
export const locate = (place: Place, file: string): string => place.path.join(place.directory, file)

/** The vault error that a file system error means. */
export const refuse =
  (place: Place, action: Action) => (error: PlatformError.PlatformError): Denied | Unreachable => {
    const code = /^E[A-Z0-9]{1,20}(?=:)/.exec(error._tag === "SystemError" ? error.description ?? "" : "")
      ?.[0]
    const why = code ?? (error._tag === "SystemError" ? error.reason : error._tag)
    const fields = {
      vault: place.vault,
      action,
      detail: `${error.method} failed with ${why} in ${shown(place)}`
    }
    return why === "EACCES" || why === "EPERM" || why === "EROFS" || why === "PermissionDenied"
      ? new Denied({ ...fields, hint: "Give this program's user the right to read and write there." })
      : new Unreachable({ ...fields, hint: "Check that the disk is there, healthy and not full." })
  }

export const shown = (place: Place): string => place.directory.slice(0, 300)

export const isMissing = (error: PlatformError.PlatformError): boolean =>
  error._tag === "SystemError" && error.reason === "NotFound"

export const isTaken = (error: PlatformError.PlatformError): boolean =>
  error._tag === "SystemError" && error.reason === "AlreadyExists"

/** Whether this is a directory itself, and no link to one. */
export const isDirectory = (place: Place, path: string): Effect.Effect<boolean> =>
  Effect.zipWith(
    isLink(place, path),
    Effect.match(place.fs.stat(path), {
      onFailure: () => false,
      onSuccess: ({ type }) => type === "Directory"
    }),
    (isLink, isDirectory) => !isLink && isDirectory
  )

export const isLink = (place: Place, file: string): Effect.Effect<boolean> =>
  Effect.match(place.fs.readLink(file), { onFailure: () => false, onSuccess: () => true })

/** What is known of a file or of what a link leads to; `None` where there is none. */
export const statOption = (
  place: Place,
  file: string
): Effect.Effect<Option.Option<FileSystem.File.Info>, PlatformError.PlatformError> =>
  place.fs.stat(file).pipe(
    Effect.asSome,
    Effect.catchIf(isMissing, () => Effect.succeedNone)
  )

/**
 * Whether the directory is there. It must be a directory and not a link to one, it must belong to this
 * program's user where the platform knows owners, and nobody else may get into it: where others may, it is tightened to 0700 if it holds nothing but this vault's files, and refused if it
 * is shared.
 */
export const guard: (
  place: Place,
  action: Action
) => Effect.Effect<boolean, Denied | Unreachable> = Effect.fnUntraced(function*(place, action) {
  const { directory, fs } = place
  if (place.only !== undefined) return yield* guardShared(place, action)
  if (yield* isLink(place, directory)) {
    return yield* unsafe(place, action, "is a symbolic link", "Name the real directory.")
  }
  const found = yield* Effect.mapError(statOption(place, directory), refuse(place, action))
  if (Option.isNone(found)) return false
  const { mode, type, uid } = found.value
  if (type !== "Directory") return yield* unsafe(place, action, "is not a directory", "Name a directory.")
  if (place.path.sep === "\\") return true
  if (Option.isSome(uid) && !(yield* isOwn(place, uid.value))) {
    return yield* unsafe(place, action, "belongs to another user", "Name a directory of your own.")
  }
  if ((mode & 0o077) === 0) return true
  const names = yield* Effect.mapError(fs.readDirectory(directory), refuse(place, action))
  if ((mode & 0o1000) !== 0 || !names.every((name) => ours.test(name))) {
    return yield* unsafe(
      place,
      action,
      "can be entered by others",
      "Name a directory of its own, with mode 0700."
    )
  }
  yield* Effect.mapError(fs.chmod(directory, 0o700), refuse(place, action))
  return true
})

/** A directory of the user's may be seen by others, but not everybody may put another file in a file's place. */
const guardShared = Effect.fnUntraced(function*(place: Place, action: Action) {
  const found = yield* Effect.mapError(statOption(place, place.directory), refuse(place, action))
  if (Option.isNone(found)) return false
  const { mode, type } = found.value
  if (type !== "Directory") return yield* unsafe(place, action, "is not a directory", "Name a directory.")
  return place.path.sep === "\\" || (mode & 0o1002) !== 0o002
    ? true
    : yield* unsafe(
      place,
      action,
      "can be changed by everybody",
      "Name a directory that only you can write to, or take that right from the others."
    )
})

/** Where new files have no owner that can be told, the mode alone decides. */
export const isOwn = (place: Place, uid: number): Effect.Effect<boolean> =>
  Effect.map(
    place.owner === undefined ? findOwner(place) : Effect.succeed(place.owner),
    (owner) => owner === undefined || owner === uid
  )

const findOwner = (place: Place): Effect.Effect<number | undefined> =>
  Effect.flatMap(
    freshId,
    (id) =>
      Effect.map(Owner.probe(place.fs, locate(place, temporaryFile(place.only ?? "owner", id))), (found) => {
        place.owner = Option.getOrUndefined(found)
        return place.owner
      })
  )

/** As `guard`, and makes the directory where there is none; the one that is there then is looked at too. */
export const guardOrMake = (place: Place, action: Action): Effect.Effect<void, Denied | Unreachable> =>
  Effect.flatMap(guard(place, action), (found) =>
    found ? Effect.void : bounded(
      Effect.mapError(makeDirectory(place, place.directory), refuse(place, action)),
      makeLimit,
      () => tooSlow(place, action)
    ).pipe(Effect.zipRight(guard(place, action))))

const makeLimit = Duration.seconds(10)

/** Level by level: where nothing can be made, some systems never end a recursive call, and none can stop it. */
const makeDirectory = (
  place: Place,
  directory: string
): Effect.Effect<void, PlatformError.PlatformError> => {
  const make = Effect.catchIf(place.fs.makeDirectory(directory, { mode: 0o700 }), isTaken, () => Effect.void)
  const parent = place.path.dirname(directory)
  return Effect.catchIf(make, isMissing, (error) =>
    Effect.if(place.fs.exists(parent), {
      onTrue: () => Effect.fail(error),
      onFalse: () => Effect.zipRight(makeDirectory(place, parent), make)
    }))
}

const tooSlow = (place: Place, action: Action): Unreachable =>
  new Unreachable({
    vault: place.vault,
    action,
    detail: `${shown(place)} could not be made within ${Duration.format(makeLimit)}`,
    hint: "Name a directory on a disk that answers."
  })

const unsafe = (place: Place, action: Action, what: string, hint: string): Denied =>
  new Denied({ vault: place.vault, action, detail: `${shown(place)} ${what}`, hint })

/**
 * The bytes of a file, `None` where there is none; anything but a regular file of bounded size is `Corrupt`.
 */
export const read: (
  place: Place,
  action: Action,
  name: string,
  maxBytes: number
) => Effect.Effect<Option.Option<Uint8Array>, VaultError> = Effect.fnUntraced(
  function*(place, action, name, maxBytes) {
    const file = locate(place, name)
    if (yield* isLink(place, file)) return yield* odd(place, action, name, "is a symbolic link")
    const found = yield* Effect.mapError(statOption(place, file), refuse(place, action))
    if (Option.isNone(found)) return Option.none<Uint8Array>()
    if (found.value.type !== "File") {
      return yield* odd(place, action, name, `is no file but a ${found.value.type}`)
    }
    if (found.value.size > maxBytes) {
      return yield* odd(place, action, name, `is larger than ${maxBytes} bytes`)
    }
    return yield* place.fs.readFile(file).pipe(
      Effect.asSome,
      Effect.catchIf(isMissing, () => Effect.succeedNone),
      Effect.mapError(refuse(place, action))
    )
  }
)

const odd = (place: Place, action: Action, name: string, what: string): Corrupt =>
  new Corrupt({
    vault: place.vault,
    action,
    detail: `${name} in ${shown(place)} ${what}`,
    hint: "Look at it and move it away, or log in again; it is then moved aside, not deleted."
  })

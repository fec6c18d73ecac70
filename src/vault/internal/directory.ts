/** The directory of a `FileVault`: who may get into it, what its files are called, and careful reads. */
import type * as PlatformError from "@effect/platform/Error"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Action, VaultError } from "../VaultError.js"
import { Corrupt, Denied, Unreachable } from "../VaultError.js"

/** Where and with what to work. */
export interface Place {
  readonly vault: string
  readonly directory: string
  readonly fs: FileSystem.FileSystem
  readonly path: Path.Path
}

/** The files of a key: `stem` is its encoded name, which holds no dot. */
export const recordFile = (stem: string): string => `${stem}.cred`
export const backupFile = (stem: string): string => `${stem}.bak`
export const temporaryFile = (stem: string, id: string): string => `${stem}.${id}.tmp`
export const asideFile = (stem: string, id: string): string => `${stem}.${id}.corrupt`
const ours = /^[a-z0-9_%-]+(?:\.[a-z0-9-]+)?\.(?:cred|bak|tmp|corrupt)$/

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

const isLink = (place: Place, file: string): Effect.Effect<boolean> =>
  Effect.match(place.fs.readLink(file), { onFailure: () => false, onSuccess: () => true })

const statOption = (place: Place, file: string) =>
  place.fs.stat(file).pipe(
    Effect.asSome,
    Effect.catchIf(isMissing, () => Effect.succeedNone)
  )

/**
 * Whether the directory is there. It must be a directory and not a link to one, and nobody else may get into
 * it: where others may, it is tightened to 0700 if it holds nothing but this vault's files, and refused if it
 * is shared.
 */
export const guard: (
  place: Place,
  action: Action
) => Effect.Effect<boolean, Denied | Unreachable> = Effect.fnUntraced(function*(place, action) {
  const { directory, fs } = place
  if (yield* isLink(place, directory)) {
    return yield* unsafe(place, action, "is a symbolic link", "Name the real directory.")
  }
  const found = yield* Effect.mapError(statOption(place, directory), refuse(place, action))
  if (Option.isNone(found)) return false
  const { mode, type } = found.value
  if (type !== "Directory") return yield* unsafe(place, action, "is not a directory", "Name a directory.")
  if (place.path.sep === "\\" || (mode & 0o077) === 0) return true
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

/** As `guard`, and makes the directory where there is none. */
export const guardOrMake = (place: Place, action: Action): Effect.Effect<void, Denied | Unreachable> =>
  Effect.flatMap(
    guard(place, action),
    (found) =>
      found ? Effect.void : place.fs.makeDirectory(place.directory, { recursive: true, mode: 0o700 }).pipe(
        Effect.mapError(refuse(place, action))
      )
  )

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

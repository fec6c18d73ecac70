/** Writes that are whole or not there, whatever fails or stops in between. */
import type * as PlatformError from "@effect/platform/Error"
import { isPlatformError } from "@effect/platform/Error"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as CrashPoint from "../CrashPoint.js"
import type { Action, Denied, Unreachable } from "../VaultError.js"
import * as Directory from "./directory.js"
import type { Place } from "./directory.js"
import { freshId } from "./freshId.js"
import { elapsing } from "./leasing.js"

/**
 * Replaces the record in one step: a new file beside it, written through to the disk, takes its name.
 * `settle` runs just before that and may still refuse; it runs again where the process stood still in between,
 * because others may have written meanwhile. The new file never outlives a failure.
 */
export const replace = <E>(
  place: Place,
  action: Action,
  stem: string,
  bytes: Uint8Array,
  settle: Effect.Effect<void, E>
): Effect.Effect<void, E | Denied | Unreachable> =>
  Effect.flatMap(
    Effect.mapError(writeTemporary(place, stem, bytes), Directory.refuse(place, action)),
    (temporary) =>
      CrashPoint.at("file.written").pipe(
        Effect.zipRight(settledNow(settle)),
        Effect.zipRight(
          Effect.mapError(
            place.fs.rename(temporary, Directory.locate(place, Directory.recordOf(place, stem))),
            Directory.refuse(place, action)
          )
        ),
        Effect.onError(() => discard(place, temporary)),
        Effect.zipRight(CrashPoint.at("file.replaced")),
        Effect.zipRight(flush(place))
      )
  )

/** What was settled holds for a moment only; a disk that is always slow is not waited for. */
const settledNow = <E>(settle: Effect.Effect<void, E>, rounds = 5): Effect.Effect<void, E> =>
  Effect.flatMap(elapsing, (before) =>
    Effect.zipRight(settle, CrashPoint.at("file.kept")).pipe(
      Effect.zipRight(elapsing),
      Effect.flatMap((now) =>
        now - before < aMoment || rounds === 0 ? Effect.void : settledNow(settle, rounds - 1)
      )
    ))

/** Milliseconds: half of the shortest term of a lease. */
const aMoment = 50

const writeTemporary = (
  place: Place,
  stem: string,
  bytes: Uint8Array
): Effect.Effect<string, PlatformError.PlatformError> =>
  Effect.flatMap(freshId, (id) => {
    const path = Directory.locate(place, Directory.temporaryFile(stem, id))
    return Effect.as(create(place, path, bytes), path)
  }).pipe(
    Effect.retry({ times: 3, while: Directory.isTaken })
  )

const create = (
  place: Place,
  path: string,
  bytes: Uint8Array
): Effect.Effect<void, PlatformError.PlatformError> =>
  place.fs.open(path, { flag: "wx", mode: 0o600 }).pipe(
    Effect.flatMap((file) =>
      Effect.onError(Effect.zipRight(file.writeAll(bytes), file.sync), () => discard(place, path))
    ),
    Effect.scoped,
    // A file that can't be closed comes as a defect; some network file systems fail only there.
    Effect.catchSomeDefect((defect) =>
      isPlatformError(defect)
        ? Option.some(Effect.zipRight(discard(place, path), Effect.fail(defect)))
        : Option.none()
    )
  )

export const discard = (place: Place, path: string): Effect.Effect<void> =>
  Effect.ignore(place.fs.remove(path, { force: true }))

/** Writes the directory itself through to the disk, where the platform can. */
const flush = (place: Place): Effect.Effect<void> =>
  Effect.ignore(
    Effect.scoped(Effect.flatMap(place.fs.open(place.directory, { flag: "r" }), (file) => file.sync))
  )

/**
 * Keeps the present record as the backup. It is never worth failing for: what is about to be written matters
 * more. After a crash backup and record can be one file, and then `rename` does nothing, so the second name
 * is removed.
 */
export const keepBackup = (place: Place, stem: string): Effect.Effect<void> =>
  Effect.flatMap(freshId, (id) => {
    const record = Directory.locate(place, Directory.recordOf(place, stem))
    const second = Directory.locate(place, Directory.temporaryFile(stem, `${id}-b`))
    return place.fs.link(record, second).pipe(
      Effect.orElse(() => place.fs.copyFile(record, second)),
      Effect.zipRight(place.fs.rename(second, Directory.locate(place, Directory.backupFile(stem)))),
      Effect.ignore,
      Effect.zipRight(discard(place, second))
    )
  })

/**
 * Gives what stands in the record's place another name, without a moment in which nothing stands there if it
 * can be.
 */
export const moveAside = (
  place: Place,
  action: Action,
  stem: string
): Effect.Effect<void, Denied | Unreachable> =>
  Effect.flatMap(freshId, (id) => {
    const record = Directory.locate(place, Directory.recordOf(place, stem))
    const aside = Directory.locate(place, Directory.asideFile(stem, id))
    return place.fs.link(record, aside).pipe(
      Effect.orElse(() => place.fs.rename(record, aside)),
      Effect.mapError(Directory.refuse(place, action))
    )
  })

/**
 * Removes every file of a key: backups, what was moved aside, what writers have left, and the record at the
 * end, so that a crash in between can't leave a forgotten secret. A directory under such a name is none of
 * this vault's and stays; one in the record's place is given another name.
 */
export const erase = (
  place: Place,
  action: Action,
  stem: string
): Effect.Effect<void, Denied | Unreachable> =>
  Effect.mapError(place.fs.readDirectory(place.directory), Directory.refuse(place, action)).pipe(
    Effect.flatMap((names) =>
      Effect.forEach(
        names.filter((name) => isBeside(place, stem, name)),
        (name) => eraseFile(place, action, name, () => Effect.void),
        { discard: true }
      )
    ),
    Effect.zipRight(
      eraseFile(place, action, Directory.recordOf(place, stem), () => moveAside(place, action, stem))
    ),
    Effect.zipRight(flush(place))
  )

/** In a directory of the user's only what bears a name that is made here. */
const isBeside = (place: Place, stem: string, name: string): boolean =>
  name.startsWith(`${stem}.`) &&
  (place.only === undefined ? /\.(?:bak|corrupt|tmp)$/ : made).test(name.slice(stem.length))

const made = /^\.(?:bak|[0-9a-z]+-[0-9a-z]+(?:-[bl])?\.(?:corrupt|tmp))$/

const eraseFile = (
  place: Place,
  action: Action,
  name: string,
  onDirectory: () => Effect.Effect<void, Denied | Unreachable>
): Effect.Effect<void, Denied | Unreachable> => {
  const path = Directory.locate(place, name)
  return Effect.catchAll(
    place.fs.remove(path, { force: true }),
    (error) =>
      Effect.if(Directory.isDirectory(place, path), {
        onTrue: onDirectory,
        onFalse: () => Effect.fail(Directory.refuse(place, action)(error))
      })
  )
}

/** Removes the temporary files that crashed writers have left more than an hour ago; they hold secrets. */
export const sweep = (place: Place): Effect.Effect<void> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) =>
      Effect.flatMap(
        place.fs.readDirectory(place.directory),
        Effect.forEach((name) =>
          name.endsWith(".tmp") && (place.only === undefined || isBeside(place, place.only, name))
            ? sweepFile(place, Directory.locate(place, name), now - staleAfter)
            : Effect.void
        )
      )
  ).pipe(Effect.ignore)

const staleAfter = 60 * 60 * 1000

const sweepFile = (place: Place, path: string, before: number): Effect.Effect<void> =>
  place.fs.stat(path).pipe(
    Effect.flatMap(({ mtime, type }) =>
      type === "File" && Option.exists(mtime, (at) => at.getTime() < before)
        ? discard(place, path)
        : Effect.void
    ),
    Effect.ignore
  )

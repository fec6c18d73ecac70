/** The file of an embedded database: nobody but its owner may get at it. */
import type * as PlatformError from "@effect/platform/Error"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { VaultError } from "../VaultError.js"
import { Denied } from "../VaultError.js"
import { freshId } from "./freshId.js"
import { bounded } from "./shielded.js"
import { refuse, tooSlow } from "./sqlErrors.js"

/** Makes the file where there is none, and gives its path without links. */
export const prepare = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  vault: string,
  file: string
): Effect.Effect<string, VaultError> => {
  const work = Effect.gen(function*() {
    yield* makeDirectory(fs, path, path.dirname(file))
    if (!(yield* fs.exists(file))) yield* create(fs, file)
    const { mode, type } = yield* fs.stat(file)
    if (type !== "File") return yield* unsafe(vault, "is no regular file", "Name a file.")
    if (path.sep !== "\\" && (mode & 0o077) !== 0) {
      return yield* unsafe(vault, "can be opened by others", "Give it mode 0600.")
    }
    return yield* fs.realPath(file)
  })
  const failing = Effect.mapError(
    work,
    (error) => error._tag === "Denied" ? error : refuse(vault, "get")({ code: codeOf(error) })
  )
  return bounded(failing, Duration.seconds(10), () => tooSlow(vault, "get"))
}

/**
 * Fails once the path leads to another file than now, or to none: what is written to a file that was removed
 * is lost, and a lease in it excludes nobody.
 */
export const guard = (
  fs: FileSystem.FileSystem,
  vault: string,
  file: string
): Effect.Effect<Effect.Effect<void, SqlError>, VaultError> => {
  const found = Effect.map(fs.stat(file), ({ dev, ino }) => `${dev}:${Option.getOrElse(ino, () => "")}`)
  const still = (first: string) =>
    found.pipe(
      Effect.filterOrFail((now) => now === first, () => "another file"),
      Effect.mapBoth({
        onFailure: () => new SqlError({ cause: { code: "ESTALE" } }),
        onSuccess: () => undefined
      })
    )
  return Effect.mapBoth(found, {
    onFailure: (error) => refuse(vault, "get")({ code: codeOf(error) }),
    onSuccess: still
  })
}

/**
 * Made under another name first: a process that closes a file gives up all its locks on it, those of another
 * vault too, so the database itself is never opened here.
 */
const create = (fs: FileSystem.FileSystem, file: string): Effect.Effect<void, PlatformError.PlatformError> =>
  Effect.flatMap(freshId, (id) => {
    const empty = `${file}.${id}.tmp`
    return Effect.scoped(fs.open(empty, { flag: "wx", mode: 0o600 })).pipe(
      Effect.zipRight(Effect.catchIf(fs.link(empty, file), isTaken, () => Effect.void)),
      Effect.ensuring(Effect.ignore(fs.remove(empty)))
    )
  })

/**
 * Level by level: where nothing can be made, some systems never end a recursive call, and none can stop it.
 */
const makeDirectory = (
  fs: FileSystem.FileSystem,
  path: Path.Path,
  directory: string
): Effect.Effect<void, PlatformError.PlatformError> =>
  Effect.flatMap(fs.exists(directory), (isThere) => {
    const parent = path.dirname(directory)
    if (isThere || parent === directory) return Effect.void
    return Effect.zipRight(
      makeDirectory(fs, path, parent),
      Effect.catchIf(fs.makeDirectory(directory, { mode: 0o700 }), isTaken, () => Effect.void)
    )
  })

const isTaken = (error: PlatformError.PlatformError): boolean =>
  error._tag === "SystemError" && error.reason === "AlreadyExists"

/** Whatever keeps the file from being made keeps the database from being opened; a full disk says so. */
const codeOf = (error: PlatformError.PlatformError): string =>
  /\bENOSPC\b/.test(error.message) ? "SQLITE_FULL" : "SQLITE_CANTOPEN"

const unsafe = (vault: string, what: string, hint: string): Denied =>
  new Denied({ vault, action: "get", detail: `the database file ${what}`, hint })

/** Who this program is to a file system, found out by what it calls the owner of a new file. */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/**
 * The user that owns what is made under this path, which must not exist and is removed again; `None` where
 * nothing can be made or the platform knows no owners. Asked on the spot, because some network file systems
 * give new files to another user than the program's own.
 */
export const probe = (fs: FileSystem.FileSystem, path: string): Effect.Effect<Option.Option<number>> =>
  fs.writeFile(path, new Uint8Array(), { flag: "wx", mode: 0o600 }).pipe(
    Effect.zipRight(fs.stat(path)),
    Effect.map(({ uid }) => uid),
    Effect.ensuring(Effect.ignore(fs.remove(path, { force: true }))),
    Effect.orElseSucceed(Option.none<number>)
  )

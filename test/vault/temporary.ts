import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** The real file system. */
export const platform: Layer.Layer<FileSystem.FileSystem | Path.Path> = NodeContext.layer

/**
 * A directory of the real file system that is removed at the end of the scope; `vault` below it does not
 * exist.
 */
export const temporary = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const home = yield* fs.makeTempDirectoryScoped()
  const directory = path.join(home, "vault")
  const vault = yield* FileVault.make({ directory })
  return { fs, path, home, directory, vault, file: (name: string) => path.join(directory, name) }
})

export const layer = Layer.unwrapScoped(
  Effect.map(temporary, ({ directory }) => FileVault.layer({ directory }))
).pipe(Layer.provide(platform))

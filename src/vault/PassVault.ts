/**
 * A vault in a password store of `pass`, whose entries `gpg` encrypts. Values go to the program by its standard
 * input and come back by its standard output, never as arguments, and no shell is used. What the program says
 * is never shown.
 *
 * The folder of the entries and their names are those of `VaultKey.encode`; names are not encrypted. If the
 * store is a git repository, each write adds to its history, and so old values stay there, encrypted.
 *
 * @since 0.1.0
 */
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Misconfigured } from "../TokenError.js"
import type { Failure } from "./internal/blobFailure.js"
import * as BlobVault from "./internal/blobVault.js"
import * as Command from "./internal/command.js"
import { maxFileBytes, maxValueBytes } from "./internal/fileRecord.js"
import * as PassBlobs from "./internal/passBlobs.js"
import { noProgram, noStore, ofCommand } from "./internal/passFailure.js"
import * as Vault from "./Vault.js"
import * as VaultLadder from "./VaultLadder.js"
import type { Availability } from "./VaultLadder.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The folder of the entries: letters, digits, `-`, `_` and `/`. Default `effect-credentials`. */
  readonly folder?: string | undefined
  /** The store. Default that of `PASSWORD_STORE_DIR`, else `.password-store` in `HOME`. */
  readonly storeDirectory?: string | undefined
  /** Where gpg has its keys. Default as gpg finds them. */
  readonly gnupgHome?: string | undefined
  /** The program. Default `pass`, to be found on the PATH. */
  readonly program?: string | undefined
  /** How long one run of the program may take, with its question for a passphrase. Default 30 seconds. */
  readonly timeLimit?: Duration.DurationInput | undefined
  /** The name that errors show. Default `pass`. */
  readonly name?: string | undefined
}

/**
 * A vault in this folder of the store. Writers to one store take turns within the process; another process's
 * write is noticed, except in the instant before an entry is replaced. The program is not run yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options = {}
): Effect.Effect<
  Vault.Service,
  Misconfigured,
  CommandExecutor.CommandExecutor | FileSystem.FileSystem | Path.Path
> =>
  Effect.map(open(options), (store) =>
    BlobVault.make({
      vault: store.vault,
      identity: Vault.identity(`pass:${store.directory}:${store.folder}`),
      blobs: PassBlobs.make(store),
      maxValueBytes
    }))

const open = Effect.fnUntraced(function*(options: Options) {
  const executor = yield* CommandExecutor.CommandExecutor
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const vault = options.name ?? "pass"
  const folder = options.folder ?? "effect-credentials"
  if (!/^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/.test(folder) || folder.startsWith("-")) {
    return yield* wrong(vault, "the folder is no name", "Name it with letters, digits, -, _ and /.")
  }
  const directory = path.resolve(yield* directoryOf(vault, path, options.storeDirectory))
  const command: Command.Options = {
    executor,
    program: options.program ?? "pass",
    env: environment(directory, options.gnupgHome),
    timeLimit: Duration.decode(options.timeLimit ?? Duration.seconds(30)),
    maxOutput: maxFileBytes
  }
  const store: PassBlobs.Store = { vault, command, fs, path, directory, folder }
  return store
})

const wrong = (source: string, detail: string, hint: string): Misconfigured =>
  new Misconfigured({ source, reason: "InvalidOption", detail, hint })

/** The messages that tell failures apart are in English. */
const environment = (store: string, gnupgHome: string | undefined): Record<string, string> => ({
  LC_ALL: "C",
  LANGUAGE: "C",
  PASSWORD_STORE_DIR: store,
  ...(gnupgHome === undefined ? {} : { GNUPGHOME: gnupgHome })
})

const directoryOf = (
  vault: string,
  path: Path.Path,
  directory: string | undefined
): Effect.Effect<string, Misconfigured> => {
  if (directory !== undefined && directory.trim() !== "") return Effect.succeed(directory)
  const home = Config.map(filled("HOME"), (home) => path.join(home, ".password-store"))
  const usual = Config.orElse(filled("PASSWORD_STORE_DIR"), () => home)
  const missing = wrong(
    vault,
    "there is no directory of the password store",
    "Set storeDirectory or PASSWORD_STORE_DIR."
  )
  return directory === undefined ? Effect.mapError(usual, () => missing) : Effect.fail(missing)
}

const filled = (name: string): Config.Config<string> =>
  Config.validate(Config.string(name), { message: "it is empty", validation: (text) => text !== "" })

/**
 * Whether the store can be used, found out by writing, reading and removing an entry without meaning. It may
 * ask for a passphrase, and gives up at the time limit.
 *
 * @since 0.1.0
 * @category probes
 */
export const probe = (
  options: Options = {}
): Effect.Effect<
  Availability,
  Misconfigured,
  CommandExecutor.CommandExecutor | FileSystem.FileSystem | Path.Path
> =>
  Effect.gen(function*() {
    const store = yield* open(options)
    const absent = yield* whyAbsent(store)
    if (absent !== undefined) return { _tag: "Absent", detail: absent.detail, hint: absent.hint }
    return yield* Effect.flatMap(make(options), VaultLadder.tryOut)
  })

const whyAbsent = Effect.fnUntraced(function*(
  { command, directory, fs, path }: PassBlobs.Store
): Effect.fn.Return<Failure | undefined> {
  const asked = yield* Effect.either(Effect.mapError(Command.run(command, ["version"]), ofCommand))
  if (asked._tag === "Left" && asked.left === noProgram) return noProgram
  const hasKey = yield* Effect.orElseSucceed(fs.exists(path.join(directory, ".gpg-id")), () => true)
  return hasKey ? undefined : noStore
})

/**
 * The program's vault in a password store.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<
  Vault.Vault,
  Misconfigured,
  CommandExecutor.CommandExecutor | FileSystem.FileSystem | Path.Path
> => Layer.effect(Vault.Vault, make(options))

/**
 * The program's vault in a password store that configuration names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<
  Vault.Vault,
  Misconfigured | ConfigError.ConfigError,
  CommandExecutor.CommandExecutor | FileSystem.FileSystem | Path.Path
> => Layer.effect(Vault.Vault, Effect.flatMap(Config.unwrap(options), make))

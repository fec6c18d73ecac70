/**
 * A vault in the keychain of the operating system: that of macOS, the Credential Manager of Windows, the
 * Secret Service of Linux and FreeBSD. It needs the package `@napi-rs/keyring`, which is loaded when a vault is
 * made.
 *
 * Every `get` asks the keychain, because other processes may have written, and every read may prompt. For a
 * program that reads often, keep one key here and the ciphertext in files: `EncryptedVault` over `FileVault`
 * with `EncryptionKey.fromVault`, which reads the keychain once a process. Entries are replaced in place, so
 * that who may use them stays as it is. On Windows, whose entries hold 2,560 bytes, longer records are kept in
 * checked pieces.
 *
 * On Linux each of the last 32 keys in use holds a connection to the session bus. A call that waits for somebody
 * holds a thread of the process, one at most, and calls behind it wait, too, until their time limit.
 *
 * A Secret Service that shows nothing of what is in a locked keyring makes a locked key look like a missing
 * one; `probe` tells.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Misconfigured } from "../TokenError.js"
import type { Failure } from "./internal/blobFailure.js"
import * as BlobVault from "./internal/blobVault.js"
import { maxValueBytes } from "./internal/fileRecord.js"
import { freshId } from "./internal/freshId.js"
import * as KeychainBlobs from "./internal/keychainBlobs.js"
import { minEntryBytes, pieceName } from "./internal/keychainChunks.js"
import * as KeychainNative from "./internal/keychainNative.js"
import * as Vault from "./Vault.js"
import type { Availability } from "./VaultLadder.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The service that the entries belong to, as the keychain shows it: 1 to 200 printable ASCII characters. */
  readonly service: string
  /** The name that errors show. Default `keychain`. */
  readonly name?: string | undefined
  /** How long each call may take, prompts and all; then it is `Locked`. Default 30 seconds. */
  readonly timeLimit?: Duration.DurationInput | undefined
  /**
   * The most that an entry holds, in bytes of UTF-16, at least 512. What is longer is kept in pieces. It must
   * be the same for all who share the service. Default 2,560 on Windows, elsewhere no limit.
   */
  readonly maxEntryBytes?: number | undefined
}

/**
 * A vault of this service in the keychain of the user. Writers to one key take turns within the process;
 * another process's write is noticed, except in the instant before an entry is replaced. It asks nothing of
 * the keychain yet; `Misconfigured` when the binding is missing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Vault.Service, Misconfigured> =>
  Effect.gen(function*() {
    const name = options.name ?? "keychain"
    yield* check(name, options)
    const binding = yield* Effect.mapError(KeychainNative.load, unusable(name))
    const native = KeychainNative.make(binding, nativeOptions(options))
    const limit = options.maxEntryBytes ?? (binding.isWindows ? windowsLimit : undefined)
    const maxUnits = limit === undefined ? Infinity : Math.floor(limit / 2)
    return BlobVault.make({
      vault: name,
      identity: Vault.identity(`keychain:${options.service}`),
      blobs: KeychainBlobs.make({ vault: name, native, maxUnits }),
      maxValueBytes: limit === undefined ? maxValueBytes : maxValueBytesInPieces
    })
  })

const windowsLimit = 2560

/** More would be hundreds of entries. */
const maxValueBytesInPieces = 64 * 1024

const nativeOptions = ({ service, timeLimit }: Options): KeychainNative.Options => ({
  service,
  timeLimit: Duration.decode(timeLimit ?? Duration.seconds(30))
})

const check = (source: string, { maxEntryBytes, service }: Options): Effect.Effect<void, Misconfigured> => {
  if (!/^[ -)+-~]{1,200}$/.test(service) || service.trim() === "") {
    return Effect.fail(
      wrong(source, "the service is no name", "Name it in 1 to 200 ASCII characters, without *.")
    )
  }
  return maxEntryBytes === undefined || (Number.isInteger(maxEntryBytes) && maxEntryBytes >= minEntryBytes)
    ? Effect.void
    : Effect.fail(wrong(source, "maxEntryBytes is too small", `Give at least ${minEntryBytes}.`))
}

const wrong = (source: string, detail: string, hint: string): Misconfigured =>
  new Misconfigured({ source, reason: "InvalidOption", detail, hint })

const unusable = (source: string) => ({ detail, hint }: Failure): Misconfigured =>
  new Misconfigured({ source, reason: "StoreUnsupported", detail, hint })

/**
 * Whether the keychain can be used, found out by writing, reading and removing an entry without meaning. It may
 * prompt, and gives up at the time limit.
 *
 * @since 0.1.0
 * @category probes
 */
export const probe = (options: Options): Effect.Effect<Availability, Misconfigured> =>
  Effect.zipRight(
    check(options.name ?? "keychain", options),
    Effect.flatMap(KeychainNative.load, (binding) =>
      tryOut(KeychainNative.make(binding, nativeOptions(options)))).pipe(Effect.catchAll(toAvailability))
  )

const tryOut = Effect.fnUntraced(function*(native: KeychainNative.Native) {
  const account = pieceName("probe", yield* freshId, 0)
  yield* native.set(account, account)
  const found = yield* Effect.ensuring(native.get(account), Effect.ignore(native.erase(account)))
  return yield* Option.contains(found, account)
    ? Effect.succeed<Availability>({ _tag: "Available" })
    : Effect.fail(forgetful)
})

const forgetful: Failure = {
  reason: "Failed",
  detail: "the keychain does not give back what it was given",
  hint: "Use another vault."
}

const toAvailability = ({ detail, hint, reason }: Failure): Effect.Effect<Availability> =>
  Effect.succeed(
    reason === "Absent" || reason === "Locked" || reason === "Denied"
      ? { _tag: reason, detail, hint }
      : { _tag: "Unreachable", detail, hint }
  )

/**
 * The program's vault in the keychain.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Vault.Vault, Misconfigured> =>
  Layer.effect(Vault.Vault, make(options))

/**
 * The program's vault in the keychain, under a service that configuration names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Vault.Vault, Misconfigured | ConfigError.ConfigError> =>
  Layer.effect(Vault.Vault, Effect.flatMap(Config.unwrap(options), make))

/**
 * A vault that keeps one login in one JSON file at a path of the user's choosing, in a form that other
 * programs read and write too: `access`, `refresh`, `expires` in Unix milliseconds, and `resourceUrl`.
 *
 * What else is known of the login stands beside them in the field `effectCredentials`, without the tokens but
 * with the key that they are bound to, and is believed only where it speaks of the tokens that are there:
 * another program may replace the four fields at any time, and what it wrote is then the login. All other
 * fields are kept as they are, except that numbers beyond 2^53 are rounded. A token that never expires is
 * written with the last instant of a `Date` (8640000000000000); an `expires` that is missing or no instant
 * counts as long past, so that the token is renewed.
 *
 * The file is replaced in one step, has mode 0600 from the first write on, and the one before stays beside it
 * as a backup (`.bak`); a removal removes that too. The directory is made with mode 0700 where there is none;
 * one that is there is left as it is, and refused if everybody may change it. A link, a directory or another
 * user's file in the file's place is `Denied`, whatever is to be done; a file that is damaged or above 1 MiB
 * is `Corrupt` and is kept: `set` moves it aside (`.corrupt`), `compareAndSet` and `remove` by version
 * refuse. Leases are files beside it, which only this library's programs respect.
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
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { Misconfigured } from "../TokenError.js"
import { checkValue, isAt, isRemovable, unsupported } from "./internal/contract.js"
import type { Standing } from "./internal/contract.js"
import * as Directory from "./internal/directory.js"
import type { Place } from "./internal/directory.js"
import * as FileLease from "./internal/fileLease.js"
import * as FileWrite from "./internal/fileWrite.js"
import { freshId } from "./internal/freshId.js"
import * as KeyedMutex from "./internal/keyedMutex.js"
import * as LoginTurn from "./internal/loginTurn.js"
import * as TokenFile from "./internal/tokenFile.js"
import * as Vault from "./Vault.js"
import type { Action, VaultError } from "./VaultError.js"
import { Corrupt, Denied, Unsupported } from "./VaultError.js"
import * as VaultKey from "./VaultKey.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The file. */
  readonly path: string
  /**
   * The one key that the vault knows. Default the text `login`. With a key made by `VaultKey.make`, what
   * another program writes counts as bound to that resource and issuer.
   */
  readonly key?: VaultKey.Input | undefined
  /** The name that errors show. Default `token file`. */
  readonly name?: string | undefined
}

/**
 * A vault in this file. Writers take turns within the process, across all vaults on the file; `compareAndSet`
 * also notices another process's write, except in the instant before the file is replaced. Under any other
 * key than its own there is nothing, and nothing can be stored.
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
    const vault = options.name ?? "token file"
    const file = path.resolve(options.path)
    const only = path.basename(file)
    if (options.path.trim() === "" || options.path.endsWith("/") || only === "") return yield* noFile(vault)
    const key = options.key ?? "login"
    const directory = yield* Directory.realPathOf(fs, path, path.dirname(file))
    const identity = Vault.identity(`token-file:${path.join(directory, only)}`)
    return service({
      key: yield* Effect.mapError(VaultKey.check(vault, "get", VaultKey.nameOf(key)), badKey(vault)),
      binding: VaultKey.bindingOf(key),
      place: { vault, directory, only, identity, fs, path, owner: undefined }
    })
  })

const noFile = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the path names no file",
    hint: "Give the path of the file that is to hold the login."
  })

const badKey = (source: string) => ({ detail, hint }: Unsupported): Misconfigured =>
  new Misconfigured({ source, reason: "InvalidOption", detail, hint })

interface Self {
  readonly key: string
  readonly binding: string | undefined
  readonly place: Place & { readonly only: string }
}

const capabilities: Vault.Capabilities = {
  writable: true,
  list: true,
  compareAndSet: "process",
  lease: "shared",
  announce: "none",
  maxValueBytes: TokenFile.maxValueBytes
}

const service = (self: Self): Vault.Service => {
  const { place } = self
  const lease = FileLease.make(place)
  const loginLease = FileLease.make({ ...place, only: `${place.only}-login` })
  return {
    name: place.vault,
    identity: place.identity,
    capabilities,
    get: (key) =>
      ifOurs(self, "get", key, Effect.map(read(self, "get"), Option.map(toEntry)), Effect.succeedNone),
    set: (key, value) => write(self, "set", key, value, () => Effect.void),
    compareAndSet: (key, expected, value) =>
      write(
        self,
        "compareAndSet",
        key,
        value,
        (found) => isAt(place.vault, "compareAndSet", found, expected)
      ),
    remove: (key, options) => ifOurs(self, "remove", key, remove(self, options?.version), Effect.void),
    list: (prefix) =>
      Effect.map(isThere(self, "list"), (found) => found && self.key.startsWith(prefix) ? [self.key] : []),
    lease: (key, options) =>
      key === LoginTurn.leaseKey(self.key)
        ? loginLease(key, options)
        : ifOurs(self, "lease", key, lease(key, options), Effect.fail(otherKey(self, "lease"))),
    changes: () => Stream.fail(unsupported(place.vault, "changes", "files tell nobody of a write"))
  }
}

const toEntry = ({ value, version }: TokenFile.Opened): Vault.Entry => ({ value, version })

const ifOurs = <A, R>(
  { key, place }: Self,
  action: Action,
  asked: string,
  use: Effect.Effect<A, VaultError, R>,
  otherwise: Effect.Effect<A, VaultError>
): Effect.Effect<A, VaultError, R> =>
  Effect.flatMap(
    VaultKey.check(place.vault, action, asked),
    (asked): Effect.Effect<A, VaultError, R> => asked === key ? use : otherwise
  )

const otherKey = ({ place }: Self, action: Action): Unsupported =>
  new Unsupported({
    vault: place.vault,
    action,
    detail: "this file keeps one login, and it was asked for another key",
    hint: "Give the vault the key that the program asks for."
  })

/** Whether there is a file, after a look at who could have put it there. */
const isThere = Effect.fnUntraced(function*({ place }: Self, action: Action) {
  if (!(yield* Directory.guard(place, action))) return false
  const file = Directory.locate(place, place.only)
  if (yield* Directory.isLink(place, file)) return yield* refused(place, action, "is a symbolic link")
  const found = yield* Effect.mapError(Directory.statOption(place, file), Directory.refuse(place, action))
  if (Option.isNone(found)) return false
  const { type, uid } = found.value
  if (type !== "File") return yield* refused(place, action, `is no file but a ${type}`)
  if (place.path.sep !== "\\" && Option.isSome(uid) && !(yield* Directory.isOwn(place, uid.value))) {
    return yield* refused(place, action, "belongs to another user")
  }
  return true
})

const refused = (place: Self["place"], action: Action, what: string): Denied =>
  new Denied({
    vault: place.vault,
    action,
    detail: `${nameOf(place)} ${what}`,
    hint: "Name a file of your own."
  })

const nameOf = (place: Self["place"]): string => `${place.only.slice(0, 255)} in ${Directory.shown(place)}`

/**
 * Reads without a lock. Programs that write into the file instead of replacing it leave it torn for a moment,
 * so a torn one is looked at again.
 */
const read = (self: Self, action: Action): Effect.Effect<Option.Option<TokenFile.Opened>, VaultError> =>
  open(self, action).pipe(
    Effect.retry({ times: 3, while: (error) => error === TokenFile.torn }),
    Effect.mapError((error) => error._tag === "Problem" ? corrupt(self, action, error) : error)
  )

const open = Effect.fnUntraced(function*(self: Self, action: Action) {
  const { binding, place } = self
  if (!(yield* isThere(self, action))) return Option.none<TokenFile.Opened>()
  const bytes = yield* Directory.read(place, action, place.only, TokenFile.maxFileBytes)
  return Option.isNone(bytes)
    ? Option.none<TokenFile.Opened>()
    : Option.some(yield* TokenFile.open(bytes.value, binding))
})

const corrupt = ({ place }: Self, action: Action, { detail, hint }: TokenFile.Problem): Corrupt =>
  new Corrupt({ vault: place.vault, action, detail: `${nameOf(place)}: ${detail}`, hint })

type Found = Standing<TokenFile.Opened>

const write = (
  self: Self,
  action: Action,
  key: string,
  value: Redacted.Redacted<string>,
  check: (found: Found) => Effect.Effect<void, VaultError>
): Effect.Effect<string, VaultError> =>
  ifOurs(
    self,
    action,
    key,
    Effect.zipRight(
      checkValue(self.place.vault, action, value, capabilities.maxValueBytes),
      alone(self, writeAlone(self, action, value, check))
    ),
    Effect.fail(otherKey(self, action))
  )

const writeAlone = Effect.fnUntraced(function*(
  self: Self,
  action: Action,
  value: Redacted.Redacted<string>,
  check: (found: Found) => Effect.Effect<void, VaultError>
) {
  const { place } = self
  yield* Directory.guardOrMake(place, action)
  yield* FileWrite.sweep(place)
  const look = Effect.catchTag(read(self, action), "Corrupt", (error) => Effect.succeed(error))
  const found: Found = yield* look
  yield* check(found)
  const sealed = yield* Effect.mapError(
    TokenFile.seal(value, othersOf(found), yield* freshId),
    ({ detail, hint }) => new Unsupported({ vault: place.vault, action, detail, hint })
  )
  const settle = Effect.flatMap(look, (now) => Effect.zipRight(check(now), keep(self, action, now)))
  yield* FileWrite.replace(place, action, place.only, sealed.bytes, settle)
  return sealed.version
})

const othersOf = (found: Found): TokenFile.Opened["others"] =>
  Option.isOption(found) && Option.isSome(found) ? found.value.others : Redacted.make({})

/** What another program wrote may be open to all; a copy of it that stays must not be. */
const keep = ({ place }: Self, action: Action, found: Found): Effect.Effect<void, VaultError> => {
  if (Option.isOption(found) && Option.isNone(found)) return Effect.void
  return Effect.zipRight(
    Effect.ignore(place.fs.chmod(Directory.locate(place, place.only), 0o600)),
    Option.isOption(found)
      ? FileWrite.keepBackup(place, place.only)
      : FileWrite.moveAside(place, action, place.only)
  )
}

const remove = (self: Self, version: string | undefined): Effect.Effect<void, VaultError> => {
  const { place } = self
  const isRight = isRemovable(place.vault, read(self, "remove"), version)
  const erase = Effect.whenEffect(
    FileWrite.erase(place, "remove", place.only),
    Directory.guard(place, "remove")
  )
  return alone(
    self,
    isThere(self, "remove").pipe(Effect.zipRight(isRight), Effect.zipRight(erase), Effect.asVoid)
  )
}

/** One at a time, and once begun to the end. */
const alone = <A, E>({ place }: Self, self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  writers.withLock(place.identity.name)(Effect.uninterruptible(self))

const writers = globalValue("effect-credentials/TokenFileVault/writers", KeyedMutex.unsafeMake)

/**
 * The program's vault in this file.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Vault.Vault, Misconfigured, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(Vault.Vault, make(options))

/**
 * The program's vault in a file that configuration names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Vault.Vault, Misconfigured | ConfigError.ConfigError, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(Vault.Vault, Effect.flatMap(Config.unwrap(options), make))

/**
 * Encryption at rest over any other vault: AES-256-GCM through Web Crypto, with a fresh initialisation
 * vector for each write. The name of a value is bound into its ciphertext, so that one moved to another name
 * does not open.
 *
 * Whoever reads the vault below learns the names, how long the values are and when they change; names are not
 * encrypted, because leases, lists and announcements need them. Whoever can write there can remove a value or
 * put an older one of the same name back. A value under a key that was not given is `Denied`; one that is
 * damaged or not encrypted is `Corrupt`, and `set` replaces it.
 *
 * To change the key, give every process `[old, new]` first, then `[new, old]`, then call `rotate` once, and
 * drop the old key when nothing has failed.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { globalValue } from "effect/GlobalValue"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { EncryptionKey } from "./EncryptionKey.js"
import { checkValue, unsupported } from "./internal/contract.js"
import * as Envelope from "./internal/encryptionEnvelope.js"
import { reservedPrefix } from "./internal/encryptionFormat.js"
import * as Vault from "./Vault.js"
import type { Action, VaultError } from "./VaultError.js"
import { Corrupt, Denied, Unsupported } from "./VaultError.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The first one encrypts; each of them opens what it has encrypted. */
  readonly keys: Arr.NonEmptyReadonlyArray<EncryptionKey>
  /**
   * Whether values that are not encrypted may be read; the next write, or `rotate`, encrypts them. Whoever
   * can write to the vault below can plant values meanwhile. `rotate` writes what was plain twice, so that a
   * vault which keeps the last value as a backup, as `FileVault` does, keeps no plain one. Default false.
   */
  readonly migrate?: boolean | undefined
  /** The name that errors show. Default `encrypted` and the name of the vault below. */
  readonly name?: string | undefined
}

/**
 * What a rotation has done.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rotation {
  /** How many values were encrypted anew. */
  readonly rewritten: number
  /** How many were under the first key already. */
  readonly current: number
  /** Those that are as they were, and why. */
  readonly failed: ReadonlyArray<{ readonly key: string; readonly error: VaultError }>
}

/**
 * An encrypted view of a vault.
 *
 * @since 0.1.0
 * @category models
 */
export interface EncryptedVault extends Vault.Service {
  /**
   * Encrypts every value whose name starts with the prefix under the first key; values that are already stay.
   * It may run beside any writers, be interrupted at any moment, and be called again to go on. `Unsupported`
   * without `list` or `compareAndSet` below.
   */
  readonly rotate: (prefix: string) => Effect.Effect<Rotation, VaultError>
}

/**
 * An encrypted view of the vault. All such views of the same records have one identity of their own: a view
 * with other keys must wait for them, and a plain view must never come to write what they could not store.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: {
  (options: Options): (vault: Vault.Service) => Effect.Effect<EncryptedVault>
  (vault: Vault.Service, options: Options): Effect.Effect<EncryptedVault>
} = dual(
  2,
  (vault: Vault.Service, options: Options): Effect.Effect<EncryptedVault> =>
    Effect.sync(() => unsafeMake(vault, options))
)

interface View {
  readonly name: string
  readonly below: Vault.Service
  readonly maxValueBytes: number
  readonly keys: Arr.NonEmptyReadonlyArray<EncryptionKey>
  readonly migrate: boolean
}

const unsafeMake = (below: Vault.Service, options: Options): EncryptedVault => {
  const name = options.name ?? `encrypted ${below.name}`
  const maxValueBytes = Envelope.maxValueBytes(below.capabilities.maxValueBytes)
  const view: View = { name, below, maxValueBytes, keys: options.keys, migrate: options.migrate ?? false }
  return {
    name,
    identity: identityOver(below.identity),
    capabilities: { ...below.capabilities, maxValueBytes },
    get: (key) => Effect.map(read(view, key), Option.map(({ entry }) => entry)),
    set: (key, value) => Effect.flatMap(seal(view, "set", key, value), (sealed) => below.set(key, sealed)),
    compareAndSet: (key, expected, value) => write(view, key, expected, value),
    remove: (key, options) => Effect.zipRight(admit(view, "remove", key), below.remove(key, options)),
    list: (prefix) => list(view, prefix),
    lease: below.lease,
    changes: below.changes,
    rotate: (prefix) => rotate(view, prefix)
  }
}

const identityOver = (below: Vault.Identity): Vault.Identity => {
  const known = identities.get(below) ?? { name: `encrypted ${below.name}` }
  identities.set(below, known)
  return known
}

const identities = globalValue(
  "effect-credentials/EncryptedVault/identities",
  () => new WeakMap<Vault.Identity, Vault.Identity>()
)

/** What the encryption itself keeps below is nobody's value. */
const isReserved = (key: string): boolean => key.startsWith(reservedPrefix)

const admit = (view: View, action: Action, key: string): Effect.Effect<void, Unsupported> =>
  isReserved(key)
    ? Effect.fail(
      new Unsupported({
        vault: view.name,
        action,
        detail: `keys that start with ${reservedPrefix} belong to the encryption itself`,
        hint: "Use another key."
      })
    )
    : Effect.void

const seal = (
  view: View,
  action: Action,
  key: string,
  value: Redacted.Redacted<string>
): Effect.Effect<Redacted.Redacted<string>, VaultError> =>
  admit(view, action, key).pipe(
    Effect.zipRight(checkValue(view.name, action, value, view.maxValueBytes)),
    Effect.zipRight(Envelope.seal(view.keys[0], key, value))
  )

const write = (
  view: View,
  key: string,
  expected: Option.Option<string>,
  value: Redacted.Redacted<string>
): Effect.Effect<string, VaultError> =>
  Effect.flatMap(
    seal(view, "compareAndSet", key, value),
    (sealed) => view.below.compareAndSet(key, expected, sealed)
  )

/** A value that could be read, and the id of its key; none where it was plain. */
interface Opened {
  readonly entry: Vault.Entry
  readonly keyId: string | undefined
}

const read = (view: View, key: string): Effect.Effect<Option.Option<Opened>, VaultError> =>
  admit(view, "get", key).pipe(
    Effect.zipRight(view.below.get(key)),
    Effect.flatMap(Option.match({
      onNone: () => Effect.succeedNone,
      onSome: (entry) => Effect.asSome(open(view, key, entry))
    }))
  )

const open = (view: View, key: string, entry: Vault.Entry): Effect.Effect<Opened, VaultError> => {
  const found = Envelope.read(entry.value)
  switch (found._tag) {
    case "Sealed":
      return Effect.map(
        decrypt(view, key, found.sealed),
        (value) => ({ entry: { ...entry, value }, keyId: found.sealed.keyId })
      )
    case "Plain":
      return view.migrate
        ? Effect.succeed({ entry, keyId: undefined })
        : Effect.fail(corrupt(view, isPlain))
    case "Damaged":
      return Effect.fail(corrupt(view, found))
  }
}

const decrypt = (
  view: View,
  name: string,
  sealed: Envelope.Sealed
): Effect.Effect<Redacted.Redacted<string>, VaultError> => {
  const key = view.keys.find(({ id }) => id === sealed.keyId)
  return key === undefined
    ? Effect.fail(otherKey(view, sealed.keyId))
    : Effect.flatMap(
      Envelope.open(key, name, sealed),
      Option.match({
        onNone: () => Effect.fail(corrupt(view, isChanged)),
        onSome: (value) => Effect.succeed(value)
      })
    )
}

const list = (view: View, prefix: string): Effect.Effect<ReadonlyArray<string>, VaultError> =>
  Effect.map(view.below.list(prefix), (keys) => keys.filter((key) => !isReserved(key)))

const rotate = Effect.fnUntraced(function*(view: View, prefix: string) {
  if (view.below.capabilities.compareAndSet === "none") {
    return yield* unsupported(view.name, "compareAndSet", "without compare-and-set a new value could be lost")
  }
  const keys = yield* list(view, prefix)
  const outcomes = yield* Effect.forEach(keys, (key) =>
    Effect.match(renew(view, key), {
      onFailure: (error) => ({ key, error }),
      onSuccess: (outcome) => outcome
    }), { concurrency: 4 })
  const rotation: Rotation = {
    rewritten: outcomes.filter((outcome) => outcome === "rewritten").length,
    current: outcomes.filter((outcome) => outcome === "current").length,
    failed: outcomes.filter((outcome) => typeof outcome !== "string")
  }
  return rotation
})

/** One value; a change by somebody else meanwhile is read again. */
const renew = (view: View, key: string): Effect.Effect<"rewritten" | "current" | "gone", VaultError> =>
  Effect.flatMap(read(view, key), (found) => {
    if (Option.isNone(found)) return Effect.succeed("gone" as const)
    const { entry, keyId } = found.value
    if (keyId === view.keys[0].id) return Effect.succeed("current" as const)
    const rewritten = rewrite(view, key, entry)
    return Effect.as(
      keyId === undefined
        ? Effect.flatMap(rewritten, (version) => again(view, key, { ...entry, version }))
        : rewritten,
      "rewritten" as const
    )
  }).pipe(Effect.retry({ while: (error) => error._tag === "Conflict", times: maxRounds }))

const rewrite = (
  view: View,
  key: string,
  { value, version }: Vault.Entry
): Effect.Effect<string, VaultError> => write(view, key, Option.some(version), value)

/** Some vaults keep the last value as a backup: after a second write that is no plain one. */
const again = (view: View, key: string, entry: Vault.Entry): Effect.Effect<void, VaultError> =>
  Effect.catchTag(Effect.asVoid(rewrite(view, key, entry)), "Conflict", () => Effect.void)

/** Who writes between each reading and writing so often will do so for ever. */
const maxRounds = 50

const otherKey = (view: View, keyId: string): Denied =>
  new Denied({
    vault: view.name,
    action: "get",
    detail: `the value is encrypted under key ${keyId}, and the keys given are ${
      view.keys.map(({ id }) => id).join(", ")
    }`,
    hint: "Give that key too, or log in again."
  })

interface Problem {
  readonly detail: string
  readonly hint: string
}

const isPlain: Problem = {
  detail: "the value is not encrypted",
  hint: "If it was stored before encryption was turned on, set `migrate`; else log in again."
}

const isChanged: Problem = {
  detail: "the encrypted value was changed, or moved here from another key",
  hint: "Restore it from a backup, or log in again."
}

const corrupt = (view: View, { detail, hint }: Problem): Corrupt =>
  new Corrupt({ vault: view.name, action: "get", detail, hint })

/**
 * What `layer` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface LayerOptions<E, R> extends Omit<Options, "keys"> {
  /** Gives the keys, in the order of `Options`; run once, when the layer is built. */
  readonly keys: Effect.Effect<Arr.NonEmptyReadonlyArray<EncryptionKey>, E, R>
}

/**
 * An encrypted view of the program's vault, in its place.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R>(
  options: LayerOptions<E, R>
): Layer.Layer<Vault.Vault, E, Vault.Vault | R> =>
  Layer.effect(
    Vault.Vault,
    Effect.flatMap(
      Effect.zip(Vault.Vault, options.keys),
      ([vault, keys]) => make(vault, { ...options, keys })
    )
  )

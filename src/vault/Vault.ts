/**
 * A vault keeps small secrets by name. One service over files, keychains, databases and secret managers; what
 * a backend can't do it declares, and refuses with a typed error.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import type * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { VaultError } from "./VaultError.js"

export type { VaultError } from "./VaultError.js"

/**
 * How far a guarantee reaches: nowhere, among the fibers of this process, or among all who share the store.
 *
 * @since 0.1.0
 * @category models
 */
export type Reach = "none" | "process" | "shared"

/**
 * What a backend can do. It never changes while a vault lives.
 *
 * @since 0.1.0
 * @category models
 */
export interface Capabilities {
  /** Whether `set`, `compareAndSet` and `remove` work at all. */
  readonly writable: boolean
  /** Whether `list` works. */
  readonly list: boolean
  /** Among whom `compareAndSet` and a `remove` by version are atomic; with `none` they are `Unsupported`. */
  readonly compareAndSet: Reach
  /** Among whom a lease excludes; with `none` it is `Unsupported`. */
  readonly lease: Reach
  /** Among whom `changes` tells of a write; with `none` it is `Unsupported`. */
  readonly announce: Reach
  /** The longest value that can be stored, in bytes of UTF-8; a longer one is `Unsupported`. */
  readonly maxValueBytes: number
}

/**
 * A stored value with its version. Versions are opaque: equal exactly when nobody has written in between.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly value: Redacted.Redacted<string>
  readonly version: string
}

/**
 * The right to be the only one who works on a key, until its scope closes. Its owner shows signs of life by
 * itself meanwhile; one that shows none for a term loses it to whoever asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lease {
  readonly key: string
  /** Larger than that of every earlier owner of the key. */
  readonly fence: number
  /** When it was given, in Unix milliseconds by the store's own clock, the same for all who share it. */
  readonly acquiredAt: number
  /** Succeeds while it is this owner's for certain, else fails with `Locked`. */
  readonly check: Effect.Effect<void, VaultError>
}

/**
 * How long a lease holds and how long to wait for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface LeaseOptions {
  /**
   * How long it may stand without a sign of life of its owner before others may take it over: from 100
   * milliseconds to one hour, and the nearer of the two for what lies outside. A process that may stop for
   * longer than this, in a debugger for one, can lose it.
   */
  readonly term: Duration.DurationInput
  /** How long to wait for the present owner before failing with `Locked`. Default 10 seconds. */
  readonly wait?: Duration.DurationInput | undefined
}

/**
 * Stands for the records behind a vault, and is compared by reference: what a process remembers of a record
 * belongs to this, not to the vault's value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Identity {
  /** Where the records are, such as `file:/real/path`. */
  readonly name: string
}

/**
 * The identity of records that a name tells for certain: equal names give the same one, for as long as the
 * process lives. Records that die with their vault get an object of their own instead.
 *
 * @since 0.1.0
 * @category constructors
 */
export const identity = (name: string): Identity => {
  const known = identities.get(name) ?? { name }
  identities.set(name, known)
  return known
}

const identities = globalValue("effect-credentials/Vault/identities", () => new Map<string, Identity>())

/**
 * What a backend implements. Keys are any text of 1 to 512 UTF-16 code units; values are any text. Every
 * method is safe for any number of concurrent callers, and a write that is interrupted has happened in whole
 * or not at all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The name that errors show. */
  readonly name: string
  /**
   * The same for all vaults of this process over the same records; a copy with other methods keeps it. A view
   * that writes what others can't read, such as an encrypted one, has another, shared by all such views.
   */
  readonly identity: Identity
  readonly capabilities: Capabilities
  /** The value under the key; `None` when there is none, and only then. */
  readonly get: (key: string) => Effect.Effect<Option.Option<Entry>, VaultError>
  /** Stores the value whatever was there, and gives its version. */
  readonly set: (key: string, value: Redacted.Redacted<string>) => Effect.Effect<string, VaultError>
  /** Stores the value if the key is still at that version (`None`: not there), else fails with `Conflict`. */
  readonly compareAndSet: (
    key: string,
    expected: Option.Option<string>,
    value: Redacted.Redacted<string>
  ) => Effect.Effect<string, VaultError>
  /** Removes the value; with a version only that one, else `Conflict`. Removing what isn't there succeeds. */
  readonly remove: (
    key: string,
    options?: { readonly version?: string | undefined }
  ) => Effect.Effect<void, VaultError>
  /** The keys that start with the prefix, in no particular order. */
  readonly list: (prefix: string) => Effect.Effect<ReadonlyArray<string>, VaultError>
  /**
   * Excludes others from the key until the scope closes. Not re-entrant: its owner waits like anybody else.
   */
  readonly lease: (key: string, options: LeaseOptions) => Effect.Effect<Lease, VaultError, Scope.Scope>
  /**
   * Gives an element as soon as it listens, and one after each write or removal under the key, whoever made
   * it; several may be told as one. Only `get` says what is there.
   */
  readonly changes: (key: string) => Stream.Stream<void, VaultError>
}

/**
 * The vault of the program.
 *
 * @since 0.1.0
 * @category tags
 */
export class Vault extends Context.Tag("effect-credentials/Vault")<Vault, Service>() {}

/**
 * A vault in memory: for tests, for programs that need no more, and as the plainest model of the contract.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Announcer from "./internal/announcer.js"
import { checkValue, conflict, locked } from "./internal/contract.js"
import * as KeyedMutex from "./internal/keyedMutex.js"
import { defaultWait } from "./internal/leasing.js"
import * as Vault from "./Vault.js"
import type { Action, VaultError } from "./VaultError.js"
import * as VaultKey from "./VaultKey.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The name that errors show. Default `memory`. */
  readonly name?: string | undefined
}

/**
 * An empty vault that lives as long as the value does. A lease of it excludes among fibers; since no fiber
 * can die without closing its scopes, the term needs no watch.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<Vault.Service> =>
  Effect.sync(() => unsafeMake(options?.name ?? "memory"))

const capabilities: Vault.Capabilities = {
  writable: true,
  list: true,
  compareAndSet: "process",
  lease: "process",
  announce: "process",
  maxValueBytes: 1024 * 1024
}

const unsafeMake = (name: string): Vault.Service => {
  const entries = new Map<string, Vault.Entry>()
  const { announce, changes } = Announcer.unsafeMake()
  let writes = 0

  const put = (key: string, value: Redacted.Redacted<string>): string => {
    const version = String(++writes)
    entries.set(key, { value, version })
    announce(key)
    return version
  }
  const isAt = (key: string, expected: string | undefined): boolean => entries.get(key)?.version === expected

  const writing = <A>(
    action: Action,
    key: string,
    value: Redacted.Redacted<string>,
    write: Effect.Effect<A, VaultError>
  ) =>
    VaultKey.check(name, action, key).pipe(
      Effect.zipRight(checkValue(name, action, value, capabilities.maxValueBytes)),
      Effect.zipRight(write)
    )

  return {
    name,
    identity: { name },
    capabilities,
    get: (key) => Effect.map(VaultKey.check(name, "get", key), () => Option.fromNullable(entries.get(key))),
    set: (key, value) => writing("set", key, value, Effect.sync(() => put(key, value))),
    compareAndSet: (key, expected, value) =>
      writing(
        "compareAndSet",
        key,
        value,
        Effect.suspend(() =>
          isAt(key, Option.getOrUndefined(expected))
            ? Effect.succeed(put(key, value))
            : Effect.fail(conflict(name, "compareAndSet"))
        )
      ),
    remove: (key, options) =>
      Effect.flatMap(VaultKey.check(name, "remove", key), () => {
        if (options?.version !== undefined && entries.has(key) && !isAt(key, options.version)) {
          return Effect.fail(conflict(name, "remove"))
        }
        if (entries.delete(key)) announce(key)
        return Effect.void
      }),
    list: (prefix) => Effect.sync(() => Array.from(entries.keys()).filter((key) => key.startsWith(prefix))),
    lease: makeLease(name),
    changes: (key) => Stream.unwrap(Effect.as(VaultKey.check(name, "changes", key), changes(key)))
  }
}

const makeLease = (name: string): Vault.Service["lease"] => {
  const leases = KeyedMutex.unsafeMake()
  let fences = 0
  return (key, options) =>
    VaultKey.check(name, "lease", key).pipe(
      Effect.zipRight(leases.hold(key, Duration.decode(options.wait ?? defaultWait))),
      Effect.filterOrFail((held) => held, () => locked(name)),
      Effect.zipRight(Clock.currentTimeMillis),
      Effect.map((acquiredAt) => ({ key, fence: ++fences, acquiredAt, check: Effect.void }))
    )
}

/**
 * An empty vault in memory as the program's vault.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Vault.Vault> = Layer.effect(Vault.Vault, make())

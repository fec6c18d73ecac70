/** What two vaults over the same records promise each other. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Vault from "../../vault/Vault.js"
import type { VaultError } from "../../vault/Vault.js"
import type { ConformanceFailure } from "./vaultCase.js"
import { expect, expectError, expectValue, increment, secret, writable } from "./vaultCase.js"
import { listen, told } from "./vaultChanges.js"
import { incrementBlindly, patiently } from "./vaultLease.js"

/**
 * One promise that holds between two vaults over the same records.
 *
 * @since 0.1.0
 * @category models
 */
export interface SharedCase {
  readonly name: string
  /** Whether vaults with these capabilities make this promise. */
  readonly applies: (capabilities: Vault.Capabilities) => boolean
  /** Opens two vaults, each with connections and memory of its own, and closes both. */
  readonly run: <E, R>(
    open: Effect.Effect<Vault.Service, E, R>
  ) => Effect.Effect<void, ConformanceFailure | VaultError | E, Exclude<R, Scope.Scope>>
}

type Pair = readonly [one: Vault.Service, other: Vault.Service]
type Check = (pair: Pair, key: string) => Effect.Effect<void, ConformanceFailure | VaultError>

const define = (name: string, applies: SharedCase["applies"], check: Check): SharedCase => ({
  name,
  applies,
  run: (open) =>
    Effect.scoped(Effect.flatMap(Effect.all([open, open]), (pair) => {
      const [one] = pair
      const key = `conformance/${name}`
      if (!applies(one.capabilities)) return Effect.void
      return Effect.zipRight(
        one.remove(key),
        Effect.ensuring(check(pair, key), Effect.ignore(one.remove(key)))
      )
    }))
})

const seen: Check = ([one, other], key) =>
  Effect.gen(function*() {
    const version = yield* one.set(key, secret("one"))
    yield* expectValue(other, key, "one")
    const found = Option.map(yield* other.get(key), (entry) => entry.version)
    yield* expect(Option.contains(found, version), "both vaults must tell the same version")
    if (one.capabilities.list) {
      yield* expect((yield* other.list(key)).includes(key), "list must give what the other vault wrote")
    }
    yield* other.set(key, secret("other"))
    yield* expectValue(one, key, "other")
    yield* other.remove(key)
    yield* expectValue(one, key, undefined)
  })

const compared: Check = ([one, other], key) =>
  Effect.gen(function*() {
    const version = yield* one.set(key, secret("0"))
    yield* other.compareAndSet(key, Option.some(version), secret("0"))
    yield* expectError(
      one.compareAndSet(key, Option.some(version), secret("late")),
      "Conflict",
      "compareAndSet"
    )
    yield* Effect.forEach(
      Array.from({ length: increments }, (_, index) => index % 2 === 0 ? one : other),
      (vault) => increment(vault, key),
      { concurrency: "unbounded", discard: true }
    )
    yield* expectValue(one, key, String(increments))
  })

const increments = 12

const leased: Check = ([one, other], key) =>
  Effect.gen(function*() {
    const first = yield* Effect.scoped(Effect.gen(function*() {
      const lease = yield* one.lease(key, patiently)
      yield* expectError(
        Effect.scoped(other.lease(key, { term: "30 seconds", wait: "50 millis" })),
        "Locked",
        "lease"
      )
      return lease
    }))
    const second = yield* Effect.scoped(other.lease(key, patiently))
    yield* expect(
      second.fence > first.fence,
      "a later owner must have a larger fence, whichever vault it has"
    )
    yield* Effect.forEach(
      Array.from({ length: increments }, (_, index) => index % 2 === 0 ? one : other),
      (vault) => Effect.scoped(Effect.zipRight(vault.lease(key, patiently), incrementBlindly(vault, key))),
      { concurrency: "unbounded", discard: true }
    )
    yield* expectValue(one, key, String(increments))
  })

const announced: Check = ([one, other], key) =>
  Effect.scoped(Effect.gen(function*() {
    const heard = yield* listen(other, key)
    yield* told(heard, "as soon as it listens")
    yield* one.set(key, secret("one"))
    yield* told(heard, "after a set of another vault")
    yield* one.remove(key)
    yield* told(heard, "after a remove of another vault")
  }))

export const sharedCases: ReadonlyArray<SharedCase> = [
  define("what one vault writes, the other reads", writable, seen),
  define(
    "compareAndSet of two vaults loses no update",
    ({ compareAndSet, writable }) => writable && compareAndSet === "shared",
    compared
  ),
  define(
    "a lease of one vault excludes the other",
    ({ lease, writable }) => writable && lease === "shared",
    leased
  ),
  define(
    "changes of one vault tells of writes of the other",
    ({ announce, writable }) => writable && announce === "shared",
    announced
  )
]

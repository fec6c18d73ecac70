/**
 * The conformance suite for vaults: what every backend must do, as named effects that any test runner can
 * run. Each case works under keys of its own and removes them, so that it may run against a store that holds
 * other things. The cases need a real clock.
 *
 * The case whose `simulatesDeath` is true lets an owner of a lease die by way of `CrashPoint`. A backend that
 * shows its signs of life itself passes `CrashPoint.at("lease.beating")` before each and
 * `CrashPoint.at("lease.releasing")` before it gives a lease back; one that does not can leave the case out,
 * and has to kill a process of its own to show the same.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { boundCases } from "./internal/vaultBounds.js"
import {
  comparing,
  define,
  expect,
  expectError,
  expectValue,
  increment,
  notComparing,
  onKey,
  readOnly,
  secret,
  textOf,
  versionOf,
  writable
} from "./internal/vaultCase.js"
import type { Case } from "./internal/vaultCase.js"
import { announcingCases } from "./internal/vaultChanges.js"
import { hostileKeys, hostileValues } from "./internal/vaultHostile.js"
import { leasingCases } from "./internal/vaultLease.js"
import { listingCases } from "./internal/vaultList.js"
import { racingCases } from "./internal/vaultRaces.js"
import * as Shared from "./internal/vaultShared.js"
import type { SharedCase } from "./internal/vaultShared.js"

export type { Case } from "./internal/vaultCase.js"
export { ConformanceFailure } from "./internal/vaultCase.js"
export type { SharedCase } from "./internal/vaultShared.js"

const increments = 12

const reading: ReadonlyArray<Case> = [
  define(
    "a missing key is None, not an error",
    () => true,
    (vault) => expectValue(vault, "conformance/never written", undefined)
  ),
  define("a read-only vault refuses every write as Unsupported", readOnly, (vault) =>
    Effect.all([
      expectError(vault.set("conformance", secret("v")), "Unsupported", "set"),
      expectError(
        vault.compareAndSet("conformance", Option.none(), secret("v")),
        "Unsupported",
        "compareAndSet"
      ),
      expectError(vault.remove("conformance"), "Unsupported", "remove")
    ], { discard: true }))
]

const writing: ReadonlyArray<Case> = [
  onKey(
    "what was set is got",
    writable,
    (vault, key) => Effect.zipRight(vault.set(key, secret("one")), expectValue(vault, key, "one"))
  ),
  onKey("a later set wins", writable, (vault, key) =>
    Effect.gen(function*() {
      yield* vault.set(key, secret("one"))
      yield* vault.set(key, secret("two"))
      yield* expectValue(vault, key, "two")
    })),
  onKey("hostile values come back unchanged", writable, (vault, key) =>
    Effect.forEach(
      hostileValues(vault.capabilities.maxValueBytes),
      (value) => Effect.zipRight(vault.set(key, secret(value)), expectValue(vault, key, value)),
      { discard: true }
    )),
  define("hostile keys are different keys", writable, (vault) =>
    Effect.gen(function*() {
      yield* Effect.forEach(hostileKeys, (key, index) => vault.set(key, secret(`value ${index}`)))
      yield* Effect.forEach(hostileKeys, (key, index) => expectValue(vault, key, `value ${index}`))
    }).pipe(Effect.ensuring(Effect.forEach(hostileKeys, (key) => Effect.ignore(vault.remove(key)))))),
  onKey(
    "a value over the declared bound is Unsupported and changes nothing",
    ({ maxValueBytes, writable }) => writable && maxValueBytes <= 8 * 1024 * 1024,
    (vault, key) =>
      Effect.gen(function*() {
        yield* vault.set(key, secret("before"))
        const tooLong = secret("k".repeat(vault.capabilities.maxValueBytes + 1))
        yield* expectError(vault.set(key, tooLong), "Unsupported", "set")
        yield* expectValue(vault, key, "before")
      })
  ),
  onKey("set tells the version that get tells", writable, (vault, key) =>
    Effect.gen(function*() {
      const version = yield* vault.set(key, secret("one"))
      yield* expect(version === (yield* versionOf(vault, key)), "set and get must tell the same version")
      yield* expect(version === (yield* versionOf(vault, key)), "reading must not change the version")
    })),
  onKey("every write makes a new version", writable, (vault, key) =>
    Effect.gen(function*() {
      const versions = yield* Effect.replicateEffect(vault.set(key, secret("same")), 3)
      yield* vault.remove(key)
      const again = yield* vault.set(key, secret("same"))
      yield* expect(new Set([...versions, again]).size === 4, "two writes must never have the same version")
    })),
  onKey("removing is idempotent", writable, (vault, key) =>
    Effect.gen(function*() {
      yield* vault.set(key, secret("one"))
      yield* vault.remove(key)
      yield* expectValue(vault, key, undefined)
      yield* vault.remove(key)
    })),
  onKey(
    "an interrupted set has happened in whole or not at all",
    writable,
    (vault, key) =>
      Effect.forEach(Array.from({ length: 20 }, (_, yields) => yields), (yields) =>
        Effect.gen(function*() {
          const size = Math.min(100_000, vault.capabilities.maxValueBytes)
          yield* vault.set(key, secret("old"))
          const writer = yield* Effect.fork(vault.set(key, secret("n".repeat(size))))
          yield* Effect.forEach(Array.from({ length: yields }), () => Effect.yieldNow())
          yield* Fiber.interrupt(writer)
          const value = yield* textOf(vault, key)
          yield* expect(
            value === "old" || value === "n".repeat(size),
            "an interrupted set left a torn or no value"
          )
        }), { discard: true })
  )
]

const comparingCases: ReadonlyArray<Case> = [
  onKey("compareAndSet writes at the expected version", comparing, (vault, key) =>
    Effect.gen(function*() {
      const first = yield* vault.set(key, secret("one"))
      const second = yield* vault.compareAndSet(key, Option.some(first), secret("two"))
      yield* expectValue(vault, key, "two")
      yield* expect(
        second === (yield* versionOf(vault, key)),
        "compareAndSet and get must tell the same version"
      )
    })),
  onKey(
    "compareAndSet at an old version is a Conflict and changes nothing",
    comparing,
    (vault, key) =>
      Effect.gen(function*() {
        const first = yield* vault.set(key, secret("one"))
        yield* vault.set(key, secret("two"))
        yield* expectError(
          vault.compareAndSet(key, Option.some(first), secret("three")),
          "Conflict",
          "compareAndSet"
        )
        yield* expectValue(vault, key, "two")
      })
  ),
  onKey("compareAndSet on nothing creates once", comparing, (vault, key) =>
    Effect.gen(function*() {
      yield* vault.compareAndSet(key, Option.none(), secret("one"))
      yield* expectError(vault.compareAndSet(key, Option.none(), secret("two")), "Conflict", "compareAndSet")
      yield* expectValue(vault, key, "one")
    })),
  onKey("compareAndSet on what was removed is a Conflict", comparing, (vault, key) =>
    Effect.gen(function*() {
      const first = yield* vault.set(key, secret("one"))
      yield* vault.remove(key)
      yield* expectError(
        vault.compareAndSet(key, Option.some(first), secret("two")),
        "Conflict",
        "compareAndSet"
      )
      yield* expectValue(vault, key, undefined)
    })),
  onKey("remove by version removes that version only", comparing, (vault, key) =>
    Effect.gen(function*() {
      const first = yield* vault.set(key, secret("one"))
      const second = yield* vault.set(key, secret("two"))
      yield* expectError(vault.remove(key, { version: first }), "Conflict", "remove")
      yield* expectValue(vault, key, "two")
      yield* vault.remove(key, { version: second })
      yield* expectValue(vault, key, undefined)
    })),
  onKey("concurrent compareAndSet loses no update", comparing, (vault, key) =>
    Effect.zipRight(
      Effect.all(Effect.replicate(increment(vault, key), increments), {
        concurrency: "unbounded",
        discard: true
      }),
      expectValue(vault, key, String(increments))
    )),
  define("without compare-and-set both forms of it are Unsupported", notComparing, (vault) =>
    Effect.all([
      expectError(
        vault.compareAndSet("conformance", Option.none(), secret("v")),
        "Unsupported",
        "compareAndSet"
      ),
      expectError(vault.remove("conformance", { version: "1" }), "Unsupported", "remove")
    ], { discard: true }))
]

/**
 * Every case of the contract. Register each with your test runner, under a `Vault` layer of your backend; a
 * case that does not apply to its capabilities succeeds at once, and `applies` lets you report it as skipped.
 *
 * @since 0.1.0
 * @category suite
 */
export const cases: ReadonlyArray<Case> = [
  ...reading,
  ...boundCases,
  ...writing,
  ...comparingCases,
  ...listingCases,
  ...leasingCases,
  ...racingCases,
  ...announcingCases
]

/**
 * Every promise that vaults over the same records make each other: what a capability that is `shared` means.
 * `run` takes an effect that opens one vault at a time, always over the same records. The two live in one
 * process, so what a backend shares among all its vaults there is not put to the test.
 *
 * @since 0.1.0
 * @category suite
 */
export const sharedCases: ReadonlyArray<SharedCase> = Shared.sharedCases

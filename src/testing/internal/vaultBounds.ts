/** What is promised at the bounds of keys and values, and of the errors beyond them. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as Vault from "../../vault/Vault.js"
import type { VaultError } from "../../vault/Vault.js"
import { comparing, define, expect, expectError, expectValue, onKey, secret } from "./vaultCase.js"
import type { Case, Check } from "./vaultCase.js"

/** No method takes the key; one that the vault does not have is `Unsupported` too. */
const refusesKey = (key: string): Check => (vault) =>
  Effect.all([
    expectError(vault.get(key), "Unsupported", "get"),
    expectError(vault.set(key, secret("v")), "Unsupported", "set"),
    expectError(vault.compareAndSet(key, Option.none(), secret("v")), "Unsupported", "compareAndSet"),
    expectError(vault.remove(key), "Unsupported", "remove"),
    expectError(Effect.scoped(vault.lease(key, { term: 1_000, wait: 0 })), "Unsupported", "lease"),
    expectError(
      Effect.timeoutTo(Stream.runHead(vault.changes(key)), {
        duration: "2 seconds",
        onSuccess: Option.isSome,
        onTimeout: () => false
      }),
      "Unsupported",
      "changes"
    )
  ], { discard: true })

/** A larger value would cost more than it tells. */
const largest = 8 * 1024 * 1024

const holdsLargest: Check = (vault) => {
  const key = "conformance/largest"
  const size = Math.min(vault.capabilities.maxValueBytes, largest)
  const values = ["\u00fc".repeat(Math.floor(size / 2)), `${"k".repeat(size - 1)}l`]
  return Effect.forEach(
    values,
    (value) => Effect.zipRight(vault.set(key, secret(value)), expectValue(vault, key, value)),
    { discard: true }
  ).pipe(Effect.ensuring(Effect.ignore(vault.remove(key))))
}

/** Nothing else in an error has it. */
const mark = "Qx7Zk9Wv3"

const showsNothing = (vault: Vault.Service, key: string): ReturnType<Check> =>
  Effect.gen(function*() {
    const tooLong = secret(mark.repeat(Math.ceil((vault.capabilities.maxValueBytes + 1) / mark.length)))
    yield* showsNot(vault.set(key, tooLong))
    if (!comparing(vault.capabilities)) return
    yield* showsNot(vault.compareAndSet(key, Option.none(), tooLong))
    const version = yield* vault.set(key, secret(`${mark} one`))
    yield* vault.set(key, secret(`${mark} two`))
    yield* showsNot(vault.compareAndSet(key, Option.some(version), secret(`${mark} three`)))
    yield* showsNot(vault.remove(key, { version }))
  })

const showsNot = <A>(self: Effect.Effect<A, VaultError>): ReturnType<Check> =>
  Effect.flatMap(Effect.either(self), (result) =>
    expect(
      result._tag === "Right" || !shownBy(result.left, new Set()).includes(mark),
      "an error must not show a value"
    ))

/** All texts that are reached from a value, whatever a logger makes of it. */
const shownBy = (value: unknown, seen: Set<unknown>): string => {
  if (typeof value !== "object" || value === null) return String(value)
  if (seen.has(value) || seen.size > 200) return ""
  seen.add(value)
  const text = value instanceof Error ? `${String(value)} ${value.message} ${value.stack}` : ""
  const names = Object.getOwnPropertyNames(value)
  return `${text} ${JSON.stringify(Object.keys(value))} ${
    names.map((name) => shownBy(Object.getOwnPropertyDescriptor(value, name)?.value, seen)).join(" ")
  }`
}

export const boundCases: ReadonlyArray<Case> = [
  define("an empty key is Unsupported", () => true, refusesKey("")),
  define("a key of 513 characters is Unsupported", () => true, refusesKey("x".repeat(513))),
  define("a value of the declared length comes back whole", ({ writable }) => writable, holdsLargest),
  onKey(
    "no error shows a value",
    ({ maxValueBytes, writable }) => writable && maxValueBytes <= largest,
    showsNothing
  )
]

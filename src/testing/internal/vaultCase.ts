/** What the cases of the vault conformance suite are made of. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Vault from "../../vault/Vault.js"
import type { VaultError } from "../../vault/Vault.js"

/**
 * The vault broke its contract.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConformanceFailure extends Data.TaggedError("ConformanceFailure")<{ readonly detail: string }> {
  override get message(): string {
    return this.detail
  }
}

/**
 * One promise of the contract.
 *
 * @since 0.1.0
 * @category models
 */
export interface Case {
  readonly name: string
  /** Whether a vault with these capabilities makes this promise. */
  readonly applies: (capabilities: Vault.Capabilities) => boolean
  /** Whether it lets an owner of a lease die by way of `CrashPoint`. */
  readonly simulatesDeath: boolean
  readonly run: Effect.Effect<void, ConformanceFailure | VaultError, Vault.Vault>
}

export type Check = (vault: Vault.Service) => Effect.Effect<void, ConformanceFailure | VaultError>

export const define = (name: string, applies: Case["applies"], check: Check): Case => ({
  name,
  applies,
  simulatesDeath: false,
  run: Effect.flatMap(Vault.Vault, (vault) => applies(vault.capabilities) ? check(vault) : Effect.void)
})

/** A case with a key of its own that is empty before and after. */
export const onKey = (
  name: string,
  applies: Case["applies"],
  check: (vault: Vault.Service, key: string) => ReturnType<Check>
): Case => {
  const key = `conformance/${name}`
  return define(
    name,
    applies,
    (vault) =>
      Effect.zipRight(vault.remove(key), Effect.ensuring(check(vault, key), Effect.ignore(vault.remove(key))))
  )
}

export const writable: Case["applies"] = ({ writable }) => writable
export const readOnly: Case["applies"] = ({ writable }) => !writable
export const comparing: Case["applies"] = ({ compareAndSet, writable }) =>
  writable && compareAndSet !== "none"
export const notComparing: Case["applies"] = ({ compareAndSet }) => compareAndSet === "none"
export const listing: Case["applies"] = ({ list, writable }) => writable && list
export const leasing: Case["applies"] = ({ lease }) => lease !== "none"
export const leasingWidely: Case["applies"] = ({ lease }) => lease === "shared"
export const notLeasing: Case["applies"] = ({ lease }) => lease === "none"
export const announcing: Case["applies"] = ({ announce, writable }) => writable && announce !== "none"
export const notAnnouncing: Case["applies"] = ({ announce }) => announce === "none"

export const expect = (holds: boolean, detail: string): Effect.Effect<void, ConformanceFailure> =>
  holds ? Effect.void : Effect.fail(new ConformanceFailure({ detail }))

/** The effect must fail with this error of the family. */
export const expectError = <A>(
  self: Effect.Effect<A, VaultError>,
  tag: VaultError["_tag"],
  what: string
): Effect.Effect<void, ConformanceFailure> =>
  Effect.flatMap(Effect.either(self), (result) =>
    expect(
      result._tag === "Left" && result.left._tag === tag && result.left.hint !== "",
      `${what} must fail with ${tag} and a hint, not with ${
        result._tag === "Left" ? result.left._tag : "success"
      }`
    ))

export const secret = (value: string): Redacted.Redacted<string> => Redacted.make(value)

export const expectValue = (
  vault: Vault.Service,
  key: string,
  value: string | undefined
): Effect.Effect<void, ConformanceFailure | VaultError> =>
  Effect.flatMap(
    textOf(vault, key),
    (found) => expect(found === value, `get must give ${shape(value)}, not ${shape(found)}`)
  )

/** What is there. */
export const textOf = (vault: Vault.Service, key: string): Effect.Effect<string | undefined, VaultError> =>
  Effect.map(vault.get(key), (entry) => Option.getOrUndefined(Option.map(entry, text)))

export const text = (entry: Vault.Entry): string => Redacted.value(entry.value)

/** Tells values apart without showing them. */
const shape = (value: string | undefined): string =>
  value === undefined ? "nothing" : `a text of ${value.length} characters`

/** The version of the record that is there. */
export const versionOf = (
  vault: Vault.Service,
  key: string
): Effect.Effect<string, ConformanceFailure | VaultError> =>
  Effect.flatMap(
    vault.get(key),
    Option.match({
      onNone: () =>
        Effect.fail(new ConformanceFailure({ detail: "the record that was just written is missing" })),
      onSome: (entry) => Effect.succeed(entry.version)
    })
  )

/** Adds one to the number that is stored, as often as it takes. */
export const increment = (vault: Vault.Service, key: string): Effect.Effect<void, VaultError> =>
  Effect.flatMap(vault.get(key), (entry) => {
    const next = secret(String(1 + Number(Option.match(entry, { onNone: () => 0, onSome: text }))))
    const write = vault.compareAndSet(key, Option.map(entry, ({ version }) => version), next)
    return Effect.zipRight(Effect.yieldNow(), write)
  }).pipe(Effect.retry({ while: (error) => error._tag === "Conflict" }), Effect.asVoid)

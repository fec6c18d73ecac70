/** The checks and refusals that every backend words alike. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { Action, Corrupt, VaultError } from "../VaultError.js"
import { Conflict, Locked, Unsupported } from "../VaultError.js"

const encoder = new TextEncoder()

/** Refuses a value that is longer than the backend can keep. */
export const checkValue = (
  vault: string,
  action: Action,
  value: Redacted.Redacted<string>,
  maxBytes: number
): Effect.Effect<void, Unsupported> =>
  Effect.suspend(() => {
    const size = encoder.encode(Redacted.value(value)).length
    return size <= maxBytes ? Effect.void : Effect.fail(
      new Unsupported({
        vault,
        action,
        detail: `the value has ${size} bytes, and at most ${maxBytes} can be stored`,
        hint: "Store less, or use a vault that takes more."
      })
    )
  })

/** Somebody else wrote in between. */
export const conflict = (vault: string, action: Action): Conflict =>
  new Conflict({
    vault,
    action,
    detail: "the record is not at the expected version",
    hint: "Read it again and decide anew."
  })

/** Somebody else holds the lease and did not give it back in time. */
export const locked = (vault: string): Locked =>
  new Locked({
    vault,
    action: "lease",
    detail: "another owner holds the lease",
    hint: "Try again later, or wait longer."
  })

/** This backend has nothing of the kind, and its capabilities say so. */
export const unsupported = (vault: string, action: Action, detail: string): Unsupported =>
  new Unsupported({ vault, action, detail, hint: "Use a vault whose capabilities name it." })

/** What stands in the place of a record. */
export type Standing<A> = Option.Option<A> | Corrupt

/** Fails unless what stands there is at the expected version; what is damaged is at none. */
export const isAt = (
  vault: string,
  action: Action,
  found: Standing<{ readonly version: string }>,
  expected: Option.Option<string>
): Effect.Effect<void, VaultError> => {
  if (!Option.isOption(found)) return Effect.fail(found)
  const version = Option.getOrUndefined(Option.map(found, (record) => record.version))
  return version === Option.getOrUndefined(expected) ? Effect.void : Effect.fail(conflict(vault, action))
}

/** Fails if what is read is at another version than the one that is to be removed; without one anything is right. */
export const isRemovable = (
  vault: string,
  read: Effect.Effect<Option.Option<{ readonly version: string }>, VaultError>,
  version: string | undefined
): Effect.Effect<void, VaultError> =>
  version === undefined
    ? Effect.void
    : Effect.asVoid(Effect.filterOrFail(
      read,
      (found) => Option.isNone(found) || found.value.version === version,
      () => conflict(vault, "remove")
    ))

/**
 * What is written down before a refresh token is sent, so that no crash and no lost answer makes anybody send
 * a token that may be spent.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { TokenError } from "../../TokenError.js"
import * as GrantRecord from "../GrantRecord.js"
import type { VaultError } from "../VaultError.js"
import type { Turn } from "./exclusive.js"
import type { Versioned } from "./pending.js"
import * as Stored from "./stored.js"

/**
 * What is known of the refresh token that is stored: it may be sent (and was first sent at `since`, if at all, by
 * a request that the issuer has failed at); it may have been spent since then; or it certainly was refused.
 */
export type Doubt =
  | { readonly _tag: "None"; readonly since: number | undefined }
  | { readonly _tag: "Sent"; readonly since: number; readonly owner: string | undefined }
  | { readonly _tag: "Refused"; readonly since: undefined }

/** What this process knows by itself goes before what is written. */
export const doubtOf = (
  { key, pending }: Stored.Cell,
  record: GrantRecord.GrantRecord
): Effect.Effect<Doubt> =>
  Effect.map(GrantRecord.statusOf(record), (status): Doubt => {
    const refused = pending.refused.get(key)
    if (refused !== undefined && GrantRecord.hasSameRefreshToken(refused, record)) {
      return { _tag: "Refused", since: undefined }
    }
    switch (status._tag) {
      case "Active":
        return { _tag: "None", since: undefined }
      case "Quarantined":
        return { _tag: "Refused", since: undefined }
      case "Ambiguous":
        return { _tag: "Sent", since: status.since, owner: undefined }
      case "Redeeming":
        return status.failed === true || isAnswered(pending.answered.get(key), record)
          ? { _tag: "None", since: status.since }
          : { _tag: "Sent", since: status.since, owner: status.owner }
    }
  })

/** Whether this is the very journal whose request is known to have had no effect. */
const isAnswered = (
  answered: GrantRecord.GrantRecord | undefined,
  record: GrantRecord.GrantRecord
): boolean =>
  answered !== undefined && GrantRecord.hasSameRefreshToken(answered, record) &&
  answered.status._tag === "Redeeming" && record.status._tag === "Redeeming" &&
  answered.status.since === record.status.since && answered.status.owner === record.status.owner

/**
 * Whether a token that was sent before may be sent again: to an issuer that is seen not to replace it, or
 * inside the issuer's grace window. A clock that says it was sent in the future is believed by nobody.
 */
export const isWithinGrace = (
  record: GrantRecord.GrantRecord,
  grace: Duration.Duration,
  since: number,
  now: number
): boolean => record.rotates === false || (now >= since - tolerance && now - since < Duration.toMillis(grace))

/** Milliseconds by which a store's clock may step back. */
const tolerance = 5_000

/**
 * Writes down that the refresh token is about to be sent, for the first time at `since`. Where that fails, it
 * may be written all the same, but this process knows that nothing was sent.
 */
export const open = (
  cell: Stored.Cell,
  found: Versioned,
  { fence, owner }: Turn,
  since: number
): Effect.Effect<Versioned, VaultError> =>
  Effect.flatMap(
    GrantRecord.redeeming(found.record, { since, owner, fence }),
    (record) =>
      Effect.tapError(Stored.replace(cell, found, record), () =>
        Effect.sync(() => {
          if (found.record.status._tag === "Active") cell.pending.answered.set(cell.key, record)
        }))
  )

/**
 * Takes the mark back: the request had no effect. An issuer that failed may have acted before it did, so then the
 * mark stays and says so: the token may be sent again at any time, and the grace window goes on. This process knows
 * all that even if it can't be written.
 */
export const close = (
  cell: Stored.Cell,
  { found, journaled }: { readonly found: Versioned; readonly journaled: Versioned },
  hasFailed: boolean
): Effect.Effect<void> => {
  const { status } = journaled.record
  const record = hasFailed && status._tag === "Redeeming"
    ? { ...found.record, status: { ...status, failed: true } }
    : GrantRecord.activate(found.record)
  return Effect.zipRight(
    Effect.sync(() => cell.pending.answered.set(cell.key, journaled.record)),
    Effect.ignore(Stored.replace(cell, journaled, record))
  )
}

/** Writes down that nobody will ever know. */
export const giveUp = (cell: Stored.Cell, found: Versioned, since: number): Effect.Effect<void> =>
  found.record.status._tag === "Ambiguous" ? Effect.void : Effect.ignore(
    Effect.flatMap(
      GrantRecord.ambiguous(found.record, since),
      (record): Effect.Effect<unknown, VaultError> => Stored.replace(cell, found, record)
    )
  )

/** Whether the issuer may have acted on a request that failed like this. */
export const isLost = (error: TokenError): boolean =>
  error._tag === "TransientFailure" && lost.has(error.reason)

const lost: ReadonlySet<string> = new Set(["ReplyLost", "Timeout", "Interrupted", "MalformedAnswer"])

/** Whether the issuer failed at it: a gateway says so too when the answer came too late. */
export const isFailed = (error: TokenError): boolean =>
  error._tag === "TransientFailure" && error.reason === "ServerError"

/** The steps of the redeem transaction, from the turn to the answer. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Grant from "../../Grant.js"
import { ReauthRequired, TransientFailure } from "../../TokenError.js"
import type { Misconfigured, TokenError } from "../../TokenError.js"
import * as CrashPoint from "../CrashPoint.js"
import * as GrantRecord from "../GrantRecord.js"
import type { VaultError } from "../VaultError.js"
import { toTokenError } from "../VaultError.js"
import * as Exclusive from "./exclusive.js"
import * as Journal from "./journal.js"
import type { Versioned } from "./pending.js"
import { shielded } from "./shielded.js"
import * as Stored from "./stored.js"

/** What a transaction works with. */
export interface Work {
  readonly source: string
  readonly redeem: Redeem | undefined
  readonly cell: Stored.Cell
  readonly deadline: Duration.Duration
  readonly grace: Duration.Duration
  readonly turn: Exclusive.Options
}

/** What it came to. */
export type Outcome =
  | { readonly _tag: "Missing" }
  | { readonly _tag: "Adopted" | "Renewed"; readonly record: GrantRecord.GrantRecord }

export type Redeem = (grant: Grant.Grant) => Effect.Effect<Grant.Grant, TokenError>

export type Accepts = (record: GrantRecord.GrantRecord) => Effect.Effect<boolean>

/** One transaction on what was found, with whoever asked for it. */
interface Attempt extends Work {
  readonly accepts: Accepts
  readonly mine: Exclusive.Turn
  /** How often it may still start again because the stored grant has changed under it. */
  readonly rounds: number
}

const maxRounds = 3

const missing: Outcome = { _tag: "Missing" }

const asTokenError = (work: Work) => (error: VaultError): TransientFailure | Misconfigured =>
  toTokenError(error, work.source)

export const read = (work: Work): Effect.Effect<Option.Option<Versioned>, TokenError> =>
  Effect.mapError(Stored.read(work.cell), asTokenError(work))

/** Nothing is redeemed before every grant that was got earlier is stored. */
export const run = (work: Work, accepts: Accepts): Effect.Effect<Outcome, TokenError> =>
  Exclusive.exclusively(work.cell, work.turn, {
    instead: adopt(work, accepts),
    refuse: asTokenError(work),
    work: (mine) =>
      Stored.settled(work.cell).pipe(
        Effect.zipRight(Stored.flush(work.cell)),
        Effect.mapError(asTokenError(work)),
        Effect.zipRight(attempt({ ...work, accepts, mine, rounds: maxRounds }))
      )
  })

/** What another process has stored meanwhile, if it will do. */
const adopt = (work: Work, accepts: Accepts): Effect.Effect<Option.Option<Outcome>, TokenError> =>
  Effect.flatMap(
    read(work),
    Option.match({
      onNone: () => Effect.succeedNone,
      onSome: ({ record }) =>
        Effect.map(accepts(record), (accepted) => accepted ? Option.some(adopted(record)) : Option.none())
    })
  )

const adopted = (record: GrantRecord.GrantRecord): Outcome => ({ _tag: "Adopted", record })

/** Reads, and either adopts or redeems what it finds. */
const attempt = (self: Attempt): Effect.Effect<Outcome, TokenError> =>
  read(self).pipe(
    Effect.zipLeft(CrashPoint.at("redeem.read")),
    Effect.flatMap(Option.match({
      onNone: () => Effect.succeed(missing),
      onSome: (found) => consider(self, found)
    }))
  )

const consider = Effect.fnUntraced(function*(self: Attempt, found: Versioned) {
  if (yield* self.accepts(found.record)) return adopted(found.record)
  if (self.rounds === 0) return yield* unsettled(self)
  const doubt = yield* Journal.doubtOf(self.cell, found.record)
  if (yield* isBusy(self, doubt)) return yield* Effect.delay(attempt(self), lookAgainAfter)
  return yield* Effect.uninterruptible(renew(self, found, doubt))
})

const lookAgainAfter = Duration.millis(250)

/** Without leases, another process's young journal is all that tells of it. */
const isBusy = ({ cell, deadline, mine }: Attempt, doubt: Journal.Doubt): Effect.Effect<boolean> =>
  cell.vault.capabilities.lease === "none" && doubt._tag === "Sent" && doubt.owner !== undefined &&
    doubt.owner !== mine.owner
    ? Effect.map(mine.now, (now) => now >= doubt.since && now - doubt.since < Duration.toMillis(deadline))
    : Effect.succeed(false)

/** Somebody else wrote: what is there now is considered anew. */
const again = (self: Attempt): Effect.Effect<Outcome, TokenError> =>
  attempt({ ...self, rounds: self.rounds - 1 })

/** Decides whether the refresh token may be sent, and writes down that it is about to be. */
const renew = Effect.fnUntraced(function*(self: Attempt, found: Versioned, doubt: Journal.Doubt) {
  const { cell, mine, redeem } = self
  if (redeem === undefined || found.record.grant.refreshToken === undefined) return yield* notRenewable(self)
  if (doubt._tag === "Refused") return yield* refused(self)
  const isRepeated = doubt.since !== undefined && (yield* mayRepeat(self, found.record, doubt.since))
  if (doubt._tag === "Sent" && !isRepeated) return yield* giveUp(self, found, doubt.since)
  const since = isRepeated && doubt.since !== undefined ? doubt.since : yield* mine.now
  const journaled = yield* Effect.either(Journal.open(cell, found, mine, since))
  if (Either.isRight(journaled)) {
    const isDoubtful = doubt._tag === "Sent"
    const sent: Sent = { found, journaled: journaled.right, since, isDoubtful, hasFailed: isRepeated }
    return yield* send(self, redeem, sent)
  }
  return journaled.left._tag === "Conflict" ? yield* again(self) : yield* asTokenError(self)(journaled.left)
})

const mayRepeat = ({ grace, mine }: Attempt, record: GrantRecord.GrantRecord, since: number) =>
  Effect.map(mine.now, (now) => Journal.isWithinGrace(record, grace, since, now))

/** Redeems, and stores the answer before it gives it. */
const send = Effect.fnUntraced(function*(
  self: Attempt,
  redeem: Redeem,
  sent: Sent
) {
  yield* CrashPoint.at("redeem.journaled")
  const { found: { record: before }, journaled: over } = sent
  const answer = yield* Effect.either(
    redeemWithin(self, repeated(self, Grant.apart(redeem(before.grant)), sent))
  )
  yield* CrashPoint.at("redeem.answered")
  if (Either.isLeft(answer)) return yield* settleFailure(self, sent, answer.left)
  const record = GrantRecord.renew(before, answer.right)
  const stored = yield* Effect.mapError(
    Stored.store(self.cell, { _tag: "Renewal", record, over }),
    asTokenError(self)
  )
  yield* CrashPoint.at("redeem.stored")
  return Option.isSome(stored) ? { _tag: "Renewed" as const, record: stored.value } : yield* again(self)
})

interface Sent {
  /** The grant, whole; with its mark there may be room for less of it. */
  readonly found: Versioned
  readonly journaled: Versioned
  /** When the refresh token was first sent at the earliest. */
  readonly since: number
  /** Whether an answer to it was lost: from then on no other answer tells that it isn't spent. */
  isDoubtful: boolean
  /** Whether the issuer has failed at an earlier request, which it may have acted on. */
  readonly hasFailed: boolean
}

/** The request, and the same one again after a lost answer. */
const repeated = (
  self: Attempt,
  redeem: Effect.Effect<Grant.Grant, TokenError>,
  sent: Sent
): Effect.Effect<Grant.Grant, TokenError> =>
  Effect.suspend(() => Effect.zipRight(allowed(self, sent), redeem)).pipe(
    Effect.tapError((error) =>
      Effect.sync(() => {
        sent.isDoubtful ||= Journal.isLost(error)
      })
    ),
    Effect.retry({
      schedule: repeats,
      while: (error) =>
        Journal.isLost(error)
          ? mayRepeat(self, sent.journaled.record, sent.since)
          : Effect.succeed(false)
    })
  )

/** Right before each request: the turn is ours, and the issuer still takes what may be spent. */
const allowed = Effect.fnUntraced(function*(self: Attempt, { isDoubtful, journaled, since }: Sent) {
  yield* Effect.mapError(self.mine.check, asTokenError(self))
  if (isDoubtful && !(yield* mayRepeat(self, journaled.record, since))) {
    return yield* cut(self, "ReplyLost", "the answer to a renewal was lost")
  }
})

const repeats = Schedule.intersect(Schedule.exponential(Duration.millis(250)), Schedule.recurs(3))

const redeemWithin = (
  work: Work,
  redeem: Effect.Effect<Grant.Grant, TokenError>
): Effect.Effect<Grant.Grant, TokenError> =>
  shielded(redeem, work.deadline, {
    onTimeout: () =>
      cut(work, "Timeout", `the issuer did not answer within ${Duration.format(work.deadline)}`),
    onInterrupt: () => cut(work, "Interrupted", "the renewal stopped itself")
  }).pipe(
    Effect.tapBoth({
      onSuccess: () => Effect.annotateCurrentSpan("outcome", "Renewed"),
      onFailure: ({ reason }) => Effect.annotateCurrentSpan("outcome", reason)
    }),
    Effect.withSpan("vault.redeem", { attributes: { source: work.source }, captureStackTrace: false })
  )

/** What a failed redemption means for the grant: refused, perhaps spent, or as it was. */
const settleFailure = Effect.fnUntraced(function*(self: Attempt, sent: Sent, error: TokenError) {
  const { journaled, since } = sent
  if (error._tag === "ReauthRequired" && error.reason === "GrantRejected") {
    return yield* settleRefusal(self, journaled, error)
  }
  doubt(self, journaled.record, error)
  if (Journal.isLost(error)) {
    return (yield* mayRepeat(self, journaled.record, since))
      ? yield* error
      : yield* giveUp(self, journaled, since)
  }
  if (!sent.isDoubtful) {
    const isFailed = Duration.greaterThan(self.grace, Duration.zero) &&
      (sent.hasFailed || Journal.isFailed(error))
    yield* Journal.close(self.cell, sent, isFailed)
  }
  return yield* error
})

/**
 * Nobody can tell any more whether the refresh token is spent, and sending it again might end the login.
 * Whoever has lost the turn can't tell either, but whoever has it may.
 */
const giveUp = (self: Attempt, found: Versioned, since: number): Effect.Effect<never, TokenError> =>
  Effect.mapError(self.mine.check, asTokenError(self)).pipe(
    Effect.zipRight(Journal.giveUp(self.cell, found, since)),
    Effect.zipRight(Effect.fail(ambiguous(self)))
  )

/**
 * Some issuers call a dead grant an invalid request. The second time it is not sent again by this process;
 * the vault is not told, because the request may really have been wrong, and a restart with a better set-up
 * tries anew.
 */
const doubt = (
  { cell: { key, pending } }: Work,
  record: GrantRecord.GrantRecord,
  error: TokenError
): void => {
  if (error._tag !== "RequestRejected" || error.reason !== "InvalidRequest") return
  const doubted = pending.doubted.get(key)
  if (doubted !== undefined && GrantRecord.hasSameRefreshToken(doubted, record)) {
    pending.refused.set(key, record)
  } else pending.doubted.set(key, record)
}

/**
 * The issuer refused the grant. If the stored one is another by now, somebody else has renewed it; else it is
 * quarantined, in memory first, and never sent again.
 */
const settleRefusal = Effect.fnUntraced(function*(self: Attempt, sent: Versioned, error: ReauthRequired) {
  self.cell.pending.refused.set(self.cell.key, sent.record)
  const now = yield* read(self)
  if (Option.isNone(now)) return missing
  if (!GrantRecord.hasSameRefreshToken(now.value.record, sent.record)) return yield* again(self)
  const at = yield* Clock.currentTimeMillis
  const record = yield* GrantRecord.quarantine(now.value.record, { reason: error.reason, at })
  yield* Effect.ignore(Stored.replace(self.cell, now.value, record))
  return yield* error
})

const cut = (
  { source }: Work,
  reason: "Timeout" | "Interrupted" | "ReplyLost",
  detail: string
): TransientFailure =>
  new TransientFailure({
    source,
    reason,
    detail,
    hint: "Try again; if it goes on, check the way to the issuer.",
    retryAt: undefined
  })

const unsettled = ({ source }: Work): TransientFailure =>
  new TransientFailure({
    source,
    reason: "StoreConflict",
    detail: "the stored grant kept changing while it was renewed",
    hint: "Try again; if it goes on, look for another program that uses the same grant.",
    retryAt: undefined
  })

const notRenewable = ({ source }: Work): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "NoRefreshToken",
    detail: "the stored grant can't be renewed",
    hint: "Log in again."
  })

const refused = ({ source }: Work): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "GrantRejected",
    detail: "the issuer has refused the stored grant before, and it was not sent again",
    hint: "Log in again."
  })

const ambiguous = ({ source }: Work): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "Ambiguous",
    detail: "the answer to a renewal was lost, and the issuer may have replaced the refresh token",
    hint: "Log in again; or give a graceWindow, if the issuer takes the same refresh token twice."
  })

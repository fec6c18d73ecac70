/**
 * The redeem transaction: the one place that redeems a stored grant. In this order: take the turn, store what
 * could not be stored before, read again, adopt what somebody else has renewed, redeem, store, and only then
 * answer.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Grant from "../Grant.js"
import { ReauthRequired, TransientFailure } from "../TokenError.js"
import type { Misconfigured, TokenError } from "../TokenError.js"
import * as GrantRecord from "./GrantRecord.js"
import * as Pending from "./internal/pending.js"
import type { Versioned } from "./internal/pending.js"
import { shielded } from "./internal/shielded.js"
import * as Stored from "./internal/stored.js"
import type * as Vault from "./Vault.js"
import { toTokenError } from "./VaultError.js"
import type { VaultError } from "./VaultError.js"
import * as VaultKey from "./VaultKey.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly vault: Vault.Service
  /**
   * The key of the grant in the vault. A key made by `VaultKey.make` binds the grant to its resource and
   * issuer: what is bound otherwise is never given, sent or replaced, but `Denied`.
   */
  readonly key: VaultKey.Input
  /** The name that errors show. */
  readonly source: string
  /**
   * Redeems the refresh token of this grant, once. It must be interruptible; its answer is merged with the
   * grant as `Grant.renew` does. Absent: grants are never renewed.
   */
  readonly redeem?: ((grant: Grant.Grant) => Effect.Effect<Grant.Grant, TokenError>) | undefined
  /**
   * How long one redemption, and one read or write of the vault, may take. Default 1 minute: more than
   * discovery and a request may take.
   */
  readonly deadline?: Duration.DurationInput | undefined
}

/**
 * What a transaction came to.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "Missing" }
  | { readonly _tag: "Adopted" | "Renewed"; readonly record: GrantRecord.GrantRecord }

/**
 * The renewal of one stored grant. Safe for any number of concurrent callers: within a process they take
 * turns, and who waited adopts what the first one got, or fails as it did. Vault errors come as token errors
 * and are never taken for "no grant".
 *
 * @since 0.1.0
 * @category models
 */
export interface Redemption {
  /** What is stored, without waiting for anybody. */
  readonly read: Effect.Effect<Option.Option<GrantRecord.GrantRecord>, TokenError>
  /** The same as a vault tells it, for commands; a plain key shows bound grants too. */
  readonly load: Effect.Effect<Option.Option<GrantRecord.GrantRecord>, VaultError>
  /**
   * A stored grant that the caller accepts, redeemed if need be. Interruptible while it waits; once the grant
   * is sent it goes on until the answer is stored or the deadline has passed.
   */
  readonly renew: (
    accepts: (record: GrantRecord.GrantRecord) => Effect.Effect<boolean>
  ) => Effect.Effect<Outcome, TokenError>
  /**
   * Stores the grant of a login over whatever was there, unless that is bound to another resource or issuer.
   * What of it the vault can't take is left out, the refresh token last. Gives what was stored.
   */
  readonly save: (grant: Grant.Grant) => Effect.Effect<GrantRecord.GrantRecord, VaultError>
  /** Removes the grant, even a damaged one, and what was not stored of it. */
  readonly forget: Effect.Effect<void, VaultError>
  /**
   * Runs a login while no other one runs for this key; who waited while it failed or died does so with it and
   * asks nobody.
   */
  readonly alone: <A, R>(login: Effect.Effect<A, TokenError, R>) => Effect.Effect<A, TokenError, R>
}

/**
 * The redemption of the grant under a key. What could not be stored and what was refused is remembered for as
 * long as the vault's identity lives, shared by all that are made for the same identity and key.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Redemption => {
  const deadline = Duration.decode(options.deadline ?? defaultDeadline)
  const key = VaultKey.nameOf(options.key)
  const pending = Pending.of(options.vault)
  const cell: Stored.Cell = {
    vault: options.vault,
    key,
    binding: VaultKey.bindingOf(options.key),
    deadline,
    pending
  }
  const work: Work = { source: options.source, redeem: options.redeem, cell, deadline }
  const inTurn = pending.transactions.withLock(key)
  return {
    read: Effect.map(read(work), recordOf),
    load: Effect.map(Stored.load(cell), recordOf),
    renew: (accepts) => pending.transactions.join(key)(transaction(work, accepts)),
    save: (grant) => inTurn(Effect.uninterruptible(save(cell, grant))),
    forget: inTurn(Effect.uninterruptible(Stored.remove(cell))),
    alone: pending.logins.join(key)
  }
}

interface Work extends Pick<Options, "source" | "redeem"> {
  readonly cell: Stored.Cell
  readonly deadline: Duration.Duration
}

type Accepts = Parameters<Redemption["renew"]>[0]

const recordOf = Option.map(({ record }: Versioned) => record)

/**
 * The default of `deadline`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaultDeadline: Duration.Duration = Duration.minutes(1)

/** How often a transaction starts again because the stored grant has changed under it. */
const maxRounds = 3

const missing: Outcome = { _tag: "Missing" }

const asTokenError = (work: Work) => (error: VaultError): TransientFailure | Misconfigured =>
  toTokenError(error, work.source)

const read = (work: Work): Effect.Effect<Option.Option<Versioned>, TokenError> =>
  Effect.mapError(Stored.read(work.cell), asTokenError(work))

/** Nothing is redeemed before every grant that was got earlier is stored. */
const transaction = (work: Work, accepts: Accepts): Effect.Effect<Outcome, TokenError> =>
  Stored.settled(work.cell).pipe(
    Effect.zipRight(Stored.flush(work.cell)),
    Effect.mapError(asTokenError(work)),
    Effect.zipRight(attempt(work, accepts, maxRounds))
  )

/** Reads, and either adopts or redeems what it finds. */
const attempt = (work: Work, accepts: Accepts, rounds: number): Effect.Effect<Outcome, TokenError> =>
  Effect.flatMap(
    read(work),
    Option.match({
      onNone: () => Effect.succeed(missing),
      onSome: (found) => consider(work, accepts, rounds, found)
    })
  )

const consider = (
  work: Work,
  accepts: Accepts,
  rounds: number,
  found: Versioned
): Effect.Effect<Outcome, TokenError> =>
  Effect.flatMap(accepts(found.record), (accepted) => {
    if (accepted) return Effect.succeed<Outcome>({ _tag: "Adopted", record: found.record })
    return rounds > 0
      ? Effect.uninterruptible(renew(work, accepts, rounds, found))
      : Effect.fail(unsettled(work))
  })

/** Redeems, once, and stores the answer before it gives it. */
const renew = Effect.fnUntraced(function*(work: Work, accepts: Accepts, rounds: number, found: Versioned) {
  const { redeem } = work
  if (redeem === undefined || found.record.grant.refreshToken === undefined) return yield* notRenewable(work)
  if (yield* isRefused(work, found.record)) return yield* refused(work)
  const answer = yield* Effect.either(redeemWithin(work, redeem(found.record.grant)))
  if (Either.isLeft(answer)) {
    if (answer.left._tag === "ReauthRequired" && answer.left.reason === "GrantRejected") {
      return yield* settleRefusal(work, accepts, rounds, found, answer.left)
    }
    doubt(work, found.record, answer.left)
    return yield* answer.left
  }
  const record = GrantRecord.renew(found.record, answer.right)
  const stored = yield* Effect.mapError(
    Stored.store(work.cell, { _tag: "Renewal", record, over: found }),
    asTokenError(work)
  )
  return Option.isSome(stored)
    ? { _tag: "Renewed" as const, record: stored.value }
    : yield* attempt(work, accepts, rounds - 1)
})

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

const isRefused = (work: Work, record: GrantRecord.GrantRecord): Effect.Effect<boolean> => {
  const refused = work.cell.pending.refused.get(work.cell.key)
  return refused !== undefined && GrantRecord.hasSameRefreshToken(refused, record)
    ? Effect.succeed(true)
    : GrantRecord.isQuarantined(record)
}

/**
 * Some issuers call a dead grant an invalid request. The second time it is not sent again by this process; the vault is
 * not told, because the request may really have been wrong, and a restart with a better set-up tries anew.
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
const settleRefusal = Effect.fnUntraced(function*(
  work: Work,
  accepts: Accepts,
  rounds: number,
  sent: Versioned,
  error: ReauthRequired
) {
  work.cell.pending.refused.set(work.cell.key, sent.record)
  const now = yield* read(work)
  if (Option.isNone(now)) return missing
  if (!GrantRecord.hasSameRefreshToken(now.value.record, sent.record)) {
    return yield* consider(work, accepts, rounds - 1, now.value)
  }
  const at = yield* Clock.currentTimeMillis
  const record = yield* GrantRecord.quarantine(now.value.record, { reason: error.reason, at })
  yield* Effect.ignore(Stored.replace(work.cell, now.value, record))
  return yield* error
})

const save = Effect.fnUntraced(function*(cell: Stored.Cell, grant: Grant.Grant) {
  yield* Stored.claim(cell)
  cell.pending.refused.delete(cell.key)
  cell.pending.doubted.delete(cell.key)
  const record = GrantRecord.make(grant, 0, cell.binding)
  const stored = yield* Stored.store(cell, { _tag: "Login", record })
  return Option.getOrElse(stored, () => record)
})

const cut = ({ source }: Work, reason: "Timeout" | "Interrupted", detail: string): TransientFailure =>
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

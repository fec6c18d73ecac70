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
import type * as Redacted from "effect/Redacted"
import type * as Grant from "../Grant.js"
import { ReauthRequired, TransientFailure } from "../TokenError.js"
import type { Misconfigured, TokenError } from "../TokenError.js"
import * as GrantRecord from "./GrantRecord.js"
import * as Pending from "./internal/pending.js"
import type { Unsaved, Versioned } from "./internal/pending.js"
import { shielded } from "./internal/shielded.js"
import type * as Vault from "./Vault.js"
import { toTokenError, Unreachable } from "./VaultError.js"
import type { Conflict, VaultError } from "./VaultError.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly vault: Vault.Service
  /** The key of the grant in the vault. */
  readonly key: string
  /** The name that errors show. */
  readonly source: string
  /**
   * Redeems the refresh token of this grant, once. It must be interruptible; its answer is merged with the
   * grant as `Grant.renew` does. Absent: grants are never renewed.
   */
  readonly redeem?: ((grant: Grant.Grant) => Effect.Effect<Grant.Grant, TokenError>) | undefined
  /** How long one redemption, and one write to the vault, may take. Default 1 minute: more than discovery and a request may take. */
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
  /**
   * A stored grant that the caller accepts, redeemed if need be. Interruptible while it waits; once the grant
   * is sent it goes on until the answer is stored or the deadline has passed.
   */
  readonly renew: (
    accepts: (record: GrantRecord.GrantRecord) => Effect.Effect<boolean>
  ) => Effect.Effect<Outcome, TokenError>
  /** Stores the grant of a login, whatever was there. */
  readonly save: (grant: Grant.Grant) => Effect.Effect<GrantRecord.GrantRecord, VaultError>
  /** Removes the grant, and what was not stored of it. */
  readonly forget: Effect.Effect<void, VaultError>
  /**
   * Runs a login while no other one runs for this key; who waited while it failed fails with it and asks
   * nobody.
   */
  readonly alone: <A, R>(login: Effect.Effect<A, TokenError, R>) => Effect.Effect<A, TokenError, R>
}

/**
 * The redemption of the grant under a key. What could not be stored and what was refused is remembered for as
 * long as the vault's value lives, shared by all that are made for the same vault and key.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Redemption => {
  const work: Work = {
    ...options,
    deadline: Duration.decode(options.deadline ?? defaultDeadline),
    pending: Pending.of(options.vault)
  }
  const { logins, transactions } = work.pending
  const inTurn = transactions.withLock(options.key)
  return {
    read: Effect.mapError(Effect.map(read(work), Option.map(({ record }) => record)), asTokenError(work)),
    renew: (accepts) =>
      transactions.join(options.key)(Effect.zipRight(flush(work), attempt(work, accepts, maxRounds))),
    save: (grant) => inTurn(Effect.uninterruptible(save(work, grant))),
    forget: inTurn(Effect.uninterruptible(forget(work))),
    alone: logins.join(options.key)
  }
}

interface Work extends Options {
  readonly deadline: Duration.Duration
  readonly pending: Pending.Pending
}

type Accepts = Parameters<Redemption["renew"]>[0]

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

const read = (work: Work): Effect.Effect<Option.Option<Versioned>, VaultError> =>
  Effect.flatMap(
    work.vault.get(work.key),
    Option.match({
      onNone: () => Effect.succeedNone,
      onSome: ({ value, version }) =>
        Effect.map(GrantRecord.decode(value, work.vault.name), (record) => Option.some({ record, version }))
    })
  )

/** Stores what could not be stored before; the grant that it replaced must not be redeemed again. */
const flush = (work: Work): Effect.Effect<void, TokenError> =>
  Effect.suspend(() => {
    const unsaved = work.pending.unsaved.get(work.key)
    return unsaved === undefined ? Effect.void : Effect.mapError(store(work, unsaved), asTokenError(work))
  })

/** Reads, and either adopts or redeems what it finds. */
const attempt = (work: Work, accepts: Accepts, rounds: number): Effect.Effect<Outcome, TokenError> =>
  Effect.flatMap(
    Effect.mapError(read(work), asTokenError(work)),
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
    return yield* Effect.fail(answer.left)
  }
  const unsaved = { record: GrantRecord.renew(found.record, answer.right), over: found }
  const stored = yield* Effect.mapError(store(work, unsaved), asTokenError(work))
  return stored
    ? { _tag: "Renewed" as const, record: unsaved.record }
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
  })

const isRefused = (work: Work, record: GrantRecord.GrantRecord): Effect.Effect<boolean> => {
  const refused = work.pending.refused.get(work.key)
  return refused !== undefined && GrantRecord.hasSameRefreshToken(refused, record)
    ? Effect.succeed(true)
    : GrantRecord.isQuarantined(record)
}

/**
 * Some issuers call a dead grant an invalid request. The second time it is not sent again by this process; the vault is
 * not told, because the request may really have been wrong, and a restart with a better set-up tries anew.
 */
const doubt = ({ key, pending }: Work, record: GrantRecord.GrantRecord, error: TokenError): void => {
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
  work.pending.refused.set(work.key, sent.record)
  const now = yield* Effect.mapError(read(work), asTokenError(work))
  if (Option.isNone(now)) return missing
  if (!GrantRecord.hasSameRefreshToken(now.value.record, sent.record)) {
    return yield* consider(work, accepts, rounds - 1, now.value)
  }
  const at = yield* Clock.currentTimeMillis
  const record = yield* GrantRecord.quarantine(now.value.record, { reason: error.reason, at })
  yield* Effect.ignore(put(work, record, now.value))
  return yield* error
})

/**
 * Stores a new grant, and remembers it until that has succeeded. False when it lost to what somebody else
 * stored.
 */
const store = (work: Work, unsaved: Unsaved): Effect.Effect<boolean, VaultError> =>
  Effect.uninterruptible(Effect.suspend(() => {
    work.pending.unsaved.set(work.key, unsaved)
    return put(work, unsaved.record, unsaved.over).pipe(
      Effect.as(true),
      Effect.catchTag("Conflict", (conflict) => settleConflict(work, unsaved, conflict)),
      Effect.tap(() => Effect.sync(() => work.pending.unsaved.delete(work.key)))
    )
  }))

/**
 * Somebody wrote since the grant was read. That may have been this very write, whose answer was lost; or a
 * mark on the grant that was redeemed, which the new one replaces. Anything else is a newer login, a logout
 * or another's renewal, and stays.
 */
const settleConflict = Effect.fnUntraced(
  function*(work: Work, { over, record }: Unsaved, conflict: Conflict) {
    const now = Option.getOrUndefined(yield* read(work))
    if (now === undefined) return false
    if (GrantRecord.hasSameSecrets(now.record, record)) return true
    if (over === "Anything" || !GrantRecord.hasSameRefreshToken(now.record, over.record)) return false
    if (now.version === over.version) return yield* conflict
    yield* put(work, record, now)
    return true
  }
)

const put = (
  work: Work,
  record: GrantRecord.GrantRecord,
  over: Unsaved["over"]
): Effect.Effect<void, VaultError> => {
  const { key, vault } = work
  const write = (value: Redacted.Redacted<string>): Effect.Effect<string, VaultError> =>
    over === "Anything" || vault.capabilities.compareAndSet === "none"
      ? vault.set(key, value)
      : vault.compareAndSet(key, Option.some(over.version), value)
  return Effect.asVoid(shielded(
    Effect.disconnect(Effect.flatMap(GrantRecord.encode(record, vault.name), write)),
    work.deadline,
    { onTimeout: () => noAnswer(work), onInterrupt: () => noAnswer(work) }
  ))
}

const save = Effect.fnUntraced(function*(work: Work, grant: Grant.Grant) {
  const before = yield* Effect.orElseSucceed(read(work), Option.none<Versioned>)
  const generation = Option.match(before, { onNone: () => 0, onSome: (found) => found.record.generation })
  const record = GrantRecord.make(grant, generation)
  work.pending.refused.delete(work.key)
  yield* store(work, { record, over: "Anything" })
  return record
})

const forget = (work: Work): Effect.Effect<void, VaultError> =>
  Effect.tap(work.vault.remove(work.key), () => {
    work.pending.unsaved.delete(work.key)
    work.pending.refused.delete(work.key)
    return Effect.void
  })

const noAnswer = ({ deadline, vault }: Work): Unreachable =>
  new Unreachable({
    vault: vault.name,
    action: "set",
    detail: `no answer within ${Duration.format(deadline)}`,
    hint: "Check that the vault is reachable; the grant is kept in memory and stored at the next call."
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

/**
 * The redeem transaction: the one place that redeems a stored grant. In this order: take the turn in this
 * process, then the lease in the vault; store what could not be stored before; read again; adopt what somebody
 * else has renewed; write down that the refresh token is about to be sent; redeem; store; give the lease back,
 * and only then answer.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Grant from "../Grant.js"
import * as LoginGate from "../LoginGate.js"
import { ReauthRequired } from "../TokenError.js"
import type { TokenError } from "../TokenError.js"
import * as GrantRecord from "./GrantRecord.js"
import * as Exclusive from "./internal/exclusive.js"
import * as LoginTurn from "./internal/loginTurn.js"
import * as Pending from "./internal/pending.js"
import type { Versioned } from "./internal/pending.js"
import * as Stored from "./internal/stored.js"
import * as Transaction from "./internal/transaction.js"
import * as Turns from "./internal/turns.js"
import type * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"
import { toTokenError } from "./VaultError.js"
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
   * grant as `Grant.renew` does. It fails with `Network` only if nothing can have reached the issuer, and with
   * `ReplyLost` or `Timeout` if something may have. Absent: grants are never renewed.
   */
  readonly redeem?: ((grant: Grant.Grant) => Effect.Effect<Grant.Grant, TokenError>) | undefined
  /**
   * How long one redemption, and one read or write of the vault, may take. Default 1 minute: more than
   * discovery and a request may take. What a `RefreshToken` may take, `RefreshToken.timeLimit` tells.
   */
  readonly deadline?: Duration.DurationInput | undefined
  /**
   * For how long after the first time the issuer takes the same refresh token again: a request whose answer was
   * lost is repeated within it. `Infinity` for an issuer that never replaces refresh tokens; one that is seen
   * not to counts as such anyway. Default 0: what may have been sent is never sent again, but `Ambiguous`.
   */
  readonly graceWindow?: Duration.DurationInput | undefined
  /**
   * After what silence another process takes over the lease of one that died. Default 15 seconds; a process
   * that stops for longer while it redeems loses its turn.
   */
  readonly leaseTerm?: Duration.DurationInput | undefined
  /** How long to wait for another process that redeems. Default: as `deadline`. */
  readonly leaseWait?: Duration.DurationInput | undefined
  /** Told of each login and each renewal that this process has stored, before anybody is given its token. */
  readonly stored?:
    | ((record: GrantRecord.GrantRecord, kind: "Login" | "Renewal") => Effect.Effect<void>)
    | undefined
  /** Runs around each time in which another process is waited for. */
  readonly waiting?: (<A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E>) | undefined
}

/**
 * What a transaction came to.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = Transaction.Outcome

/**
 * The renewal of one stored grant. Safe for any number of concurrent callers: within a process they take
 * turns, and who waited adopts what the first one got, or fails as it did where it is the same redemption. Among processes the vault's lease
 * gives the turn, and who waits adopts what is stored meanwhile; a vault without leases excludes nobody
 * outside of this process. Vault errors come as token errors and are never taken for "no grant".
 *
 * @since 0.1.0
 * @category models
 */
export interface Redemption {
  /** What is stored, without waiting for anybody. */
  readonly read: Effect.Effect<Option.Option<GrantRecord.GrantRecord>, TokenError>
  /**
   * The newest that this process knows, for commands: what is stored, or what it could not store yet. A plain key
   * shows bound grants too.
   */
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
  /**
   * Removes the grant, even a damaged one, and what was not stored of it. With a record only if the same
   * secrets are still stored, else `Conflict`.
   */
  readonly forget: (only?: GrantRecord.GrantRecord) => Effect.Effect<void, VaultError>
  /**
   * Runs a login while no other one runs for this key; who waited while it failed or died does so with it and
   * asks nobody. Over a vault whose leases are shared that holds among processes too, but that what a login failed
   * with is not known there: who waited for another process's login runs `instead`, by default the login.
   */
  readonly alone: <A, R>(
    login: Effect.Effect<A, TokenError, R>,
    instead?: Effect.Effect<A, TokenError, R>
  ) => Effect.Effect<A, TokenError, R>
  /**
   * Asks the person and stores the grant; to be run by `alone`. All logins of a grant in this process pass one gate.
   * Interruption and the time limit end it until the grant has arrived; then it is stored, and `then` is run with
   * what was stored, whoever has left.
   */
  readonly logIn: <A>(
    prompt: Prompt,
    then: (record: GrantRecord.GrantRecord) => Effect.Effect<A, TokenError>
  ) => Effect.Effect<A, TokenError>
}

/**
 * A person who is to be asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prompt {
  /** Asks, each time it is run. */
  readonly login: Effect.Effect<Grant.Grant, TokenError>
  /** How long it may take. */
  readonly timeLimit: Duration.DurationInput
  /** Whether nobody has asked for this login by name, or the person has; see `LoginGate`. */
  readonly kind: keyof LoginGate.LoginGate
  /** How long after a login that came to nothing none opens by itself; see `LoginGate.Options`. Default 1 minute. */
  readonly coolDown?: Duration.DurationInput | undefined
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
    pending,
    told: options.stored ?? (() => Effect.void)
  }
  const work: Transaction.Work = {
    source: options.source,
    redeem: options.redeem,
    cell,
    deadline,
    grace: Duration.decode(options.graceWindow ?? 0),
    turn: {
      term: Duration.decode(options.leaseTerm ?? defaultLeaseTerm),
      wait: Duration.decode(options.leaseWait ?? deadline),
      waiting: options.waiting ?? identity
    }
  }
  const memory = Turns.memory()
  const inTurn = pending.transactions.withLock(key)
  const keep = (grant: Grant.Grant) => inTurn(undisturbed(work, save(cell, grant)))
  return {
    read: Effect.map(Transaction.read(work), recordOf),
    load: Stored.load(cell),
    renew: (accepts) => pending.transactions.join(key, memory)(Transaction.run(work, accepts)),
    save: keep,
    forget: (only) => inTurn(undisturbed(work, Stored.remove(cell, only))),
    alone: (login, instead) =>
      pending.logins.join(key, loginMemory(pending, key))(
        LoginTurn.alone(
          { vault: options.vault, key, source: options.source, ...work.turn },
          login,
          instead ?? login
        )
      ),
    logIn: ({ coolDown, kind, login, timeLimit }, then) =>
      Grant.keeping(
        LoginGate.unsafeOf(options.vault.identity, key)[kind]({ source: options.source, coolDown })(login),
        (grant) =>
          Effect.flatMap(Effect.mapError(keep(grant), (error) => toTokenError(error, options.source)), then),
        { duration: timeLimit, onTimeout: () => loginExpired(options.source) }
      )
  }
}

/**
 * The default of `deadline`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaultDeadline: Duration.Duration = Duration.minutes(1)

const defaultLeaseTerm = Duration.seconds(15)

/** A login that failed has failed for all who wait for one, whichever source they came by. */
const loginMemory = ({ loginMemories }: Pending.Pending, key: string): Turns.Memory => {
  const known = loginMemories.get(key) ?? Turns.memory()
  loginMemories.set(key, known)
  return known
}

const recordOf = Option.map(({ record }: Versioned) => record)

/**
 * A login or a logout, without another process's renewal in between if that can be had; what it writes is
 * compared with what is there anyhow.
 */
const undisturbed = <A>(
  work: Transaction.Work,
  change: Effect.Effect<A, VaultError>
): Effect.Effect<A, VaultError> => {
  const changed = Effect.either(Effect.uninterruptible(change))
  const turn = { ...work.turn, wait: Duration.min(work.turn.wait, maxLoginWait) }
  const job = { work: () => changed, instead: Effect.succeedNone, refuse: identity<VaultError> }
  return Effect.flatten(Effect.catchAll(Exclusive.exclusively(work.cell, turn, job), () => changed))
}

const maxLoginWait = Duration.seconds(10)

const save = Effect.fnUntraced(function*(cell: Stored.Cell, grant: Grant.Grant) {
  yield* Stored.claim(cell)
  cell.pending.refused.delete(cell.key)
  cell.pending.doubted.delete(cell.key)
  cell.pending.answered.delete(cell.key)
  const record = GrantRecord.make(grant, 0, cell.binding)
  const stored = yield* Stored.store(cell, { _tag: "Login", record, seen: "Unknown" })
  return Option.getOrElse(stored, () => record)
})

const loginExpired = (source: string): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "LoginExpired",
    detail: "nobody finished the login in time",
    hint: "Log in again."
  })

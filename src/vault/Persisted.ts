/**
 * A token source whose grant lives in a vault, so that it survives the program and is shared by all who use
 * the vault.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Grant from "../Grant.js"
import * as Token from "../Token.js"
import { RequestRejected, TokenUnavailable, TransientFailure } from "../TokenError.js"
import type { TokenError } from "../TokenError.js"
import * as TokenSource from "../TokenSource.js"
import * as GrantRecord from "./GrantRecord.js"
import * as Pending from "./internal/pending.js"
import * as Watch from "./internal/watch.js"
import * as Persister from "./Persister.js"
import * as Redemption from "./Redemption.js"
import * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"
import type * as VaultKey from "./VaultKey.js"

/**
 * How a person logs in where there is no grant, or none that can be renewed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Login<R> {
  readonly login: Effect.Effect<Grant.Grant, TokenError, R>
  /** How long a person may take. */
  readonly timeLimit: Duration.DurationInput
}

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R> {
  /**
   * The key of the grant in the vault. One made by `VaultKey.make` binds the grant to its resource and issuer:
   * a grant that is bound otherwise is `Misconfigured`, never given, sent or replaced. Plain text binds to
   * nothing, and takes only grants that are bound to nothing.
   */
  readonly key: VaultKey.Input
  /** The name that errors and status show. Default `stored login`. */
  readonly name?: string | undefined
  /** Redeems the grant's refresh token, once, interruptibly. Absent: grants are never renewed. */
  readonly redeem?: ((grant: Grant.Grant) => Effect.Effect<Grant.Grant, TokenError, R>) | undefined
  /** Absent: where a login is needed, the error says so. */
  readonly login?: Login<R> | undefined
  /**
   * A stored token with less than this left is renewed before it is given. Default 0: when to renew early is
   * a cache's business. Never more than half of the token's lifetime.
   */
  readonly minUsable?: Duration.DurationInput | undefined
  /**
   * How long one redemption, and one read or write of the vault, may take. Default 1 minute, whatever `redeem` is: where
   * that is a `RefreshToken` of a client that signs, or of grants that are bound to a key, give `RefreshToken.timeLimit`.
   * A renewal that is cut may have spent the refresh token.
   */
  readonly deadline?: Duration.DurationInput | undefined
  /**
   * Told of each grant that is new to others: after a login and after each renewal that came with a new refresh
   * token, once it is stored here, and of no other renewal. It runs on a fiber of its own, which no caller waits
   * for and which goes on when the source's scope closes. One that fails or takes over 10 seconds shows in the log
   * and in the status, and is told again of the newest such grant by a call 30 seconds later or more. A `Persister`
   * is one that is shared with a `KeepAlive` of the same grant.
   */
  readonly persister?: Persister.Callback<R> | Persister.Persister | undefined
  /** For how long the issuer takes the same refresh token again; see `Redemption.Options`. Default 0. */
  readonly graceWindow?: Duration.DurationInput | undefined
  /** After what silence a dead process's lease is taken over. Default 15 seconds. */
  readonly leaseTerm?: Duration.DurationInput | undefined
  /**
   * How long after a login that came to nothing no other one of this grant opens by itself, with twice as long after
   * each further one, up to 15 minutes; see `LoginGate`. Default 1 minute.
   */
  readonly coolDown?: Duration.DurationInput | undefined
}

/**
 * A source over the grant under a key. It gives the stored token while that is good, else redeems the grant,
 * and where there is none to redeem lets a person log in, if it may: one login a key at a time, none for a while after
 * one that came to nothing, and never because a vault or an issuer failed. Nobody sees a token that is not stored. It keeps no token of its own,
 * so put a cache on top.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never>(
  options: Options<R>
): Effect.Effect<TokenSource.TokenSource, never, Vault.Vault | R> =>
  Effect.tap(
    Effect.contextWith((context: Context.Context<Vault.Vault | R>) => source(options, context)),
    (source) =>
      options.redeem === undefined ? Effect.void : Effect.flatMap(Vault.Vault, warnOnce(source.name))
  )

/** Said once a vault and process: two processes that renew at the same time would end the login. */
const warnOnce = (source: string) => (vault: Vault.Service): Effect.Effect<void> =>
  Effect.suspend(() => {
    const pending = Pending.of(vault)
    if (vault.capabilities.lease !== "none" || pending.hasWarned) return Effect.void
    pending.hasWarned = true
    return Effect.logWarning(
      `${source}: the vault "${vault.name}" has no leases, so that two processes may renew the same login at ` +
        "the same time and lose it. Use one whose capabilities name a lease, or let one process renew."
    )
  })

const source = <R>(
  options: Options<R>,
  context: Context.Context<Vault.Vault | R>
): TokenSource.TokenSource => {
  const name = options.name ?? "stored login"
  const { login, redeem } = options
  const deadline = Duration.decode(options.deadline ?? Redemption.defaultDeadline)
  const watch = Watch.unsafeMake(name)
  const persister = Persister.unsafeFrom(name, options.persister, context)
  const self: Self = {
    name,
    redemption: Redemption.make({
      vault: Context.get(context, Vault.Vault),
      key: options.key,
      source: name,
      deadline,
      graceWindow: options.graceWindow,
      leaseTerm: options.leaseTerm,
      stored: Persister.stored(persister),
      waiting: (wait) => Watch.waiting(watch, wait),
      redeem: redeem === undefined ? undefined : (grant) => Effect.provide(redeem(grant), context)
    }),
    prompt: login && {
      login: Effect.provide(login.login, context),
      timeLimit: login.timeLimit,
      kind: "automatic",
      coolDown: options.coolDown
    },
    minUsable: Duration.toMillis(options.minUsable ?? 0),
    watch
  }
  return TokenSource.make({
    name,
    request: (request) => Effect.zipRight(persister.retry, Watch.track(self.watch, answer(self, request))),
    invalidate: (token) => Effect.sync(() => Watch.refuse(self.watch, token)),
    status: Effect.map(Watch.status(self.watch), persister.shown),
    onChange: (listener) => Watch.onChange(self.watch, listener),
    timeLimit: Duration.sum(Duration.times(deadline, 3), login?.timeLimit ?? 0)
  })
}

interface Self {
  readonly name: string
  readonly redemption: Redemption.Redemption
  readonly prompt: Redemption.Prompt | undefined
  readonly minUsable: number
  readonly watch: Watch.Watch
}

/** What a caller asks for, with what was stored when it asked. */
interface Demand extends TokenSource.TokenRequest {
  readonly seen: GrantRecord.GrantRecord | undefined
}

const answer = Effect.fnUntraced(function*(self: Self, request: TokenSource.TokenRequest) {
  const seen = Option.getOrUndefined(yield* Watch.reading(self.watch, self.redemption.read))
  const demand: Demand = { ...request, seen }
  if (seen !== undefined) {
    yield* Watch.see(self.watch, seen)
    if (yield* accepts(self, demand)(seen)) return seen
    yield* refuseTooLong(self, demand, seen)
  }
  return yield* Watch.renewing(self.watch, renewOrLogIn(self, demand))
})

const renewOrLogIn = (self: Self, demand: Demand): Effect.Effect<GrantRecord.GrantRecord, TokenError> =>
  self.redemption.renew(accepts(self, demand)).pipe(
    Effect.flatMap((outcome) =>
      outcome._tag === "Missing" ? Effect.fail(noGrant(self.name)) : Effect.succeed(outcome.record)
    ),
    Effect.catchIf(wantsLogin, (why) => logIn(self, demand, why)),
    Effect.flatMap((record) => meet(self, demand, record))
  )

/**
 * Whether a stored token will do: valid for long enough, refused by nobody, and new if a new one is asked
 * for.
 */
const accepts = (self: Self, demand: Demand) => (record: GrantRecord.GrantRecord): Effect.Effect<boolean> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const { token } = record.grant
    const isOld = demand.refresh === true && demand.seen !== undefined &&
      Token.isSame(token, demand.seen.grant.token)
    const least = Math.max(minValidity(demand), Math.min(self.minUsable, Token.lifetime(token) / 2))
    return !isOld && !isUnwanted(self, demand, token) && Token.isValidFor(token, now, least)
  })

const minValidity = (request: TokenSource.TokenRequest): number => Duration.toMillis(request.minValidity ?? 0)

const isUnwanted = (self: Self, { supersede }: TokenSource.TokenRequest, token: Token.Token): boolean =>
  (supersede !== undefined && Token.isSame(token, supersede)) || Watch.isRefused(self.watch, token)

/**
 * A good token that is only too short-lived for this caller: renewing it for each such call would help
 * nobody.
 */
const refuseTooLong = (
  self: Self,
  demand: Demand,
  { grant }: GrantRecord.GrantRecord
): Effect.Effect<void, RequestRejected> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) =>
      demand.refresh === true || isUnwanted(self, demand, grant.token) || Token.isExpired(grant.token, now) ||
        Token.lifetime(grant.token) >= minValidity(demand)
        ? Effect.void
        : Effect.fail(tooLong(self.name, grant.token, minValidity(demand)))
  )

const wantsLogin = (error: TokenError): boolean =>
  error._tag === "ReauthRequired"
    ? error.reason === "GrantRejected" || error.reason === "NoRefreshToken"
    : error._tag === "TokenUnavailable" && error.reason === "LoginRequired"

/**
 * Lets a person log in, or fails with what made that necessary. What another login has stored meanwhile is
 * taken.
 */
const logIn = (
  self: Self,
  demand: Demand,
  why: TokenError
): Effect.Effect<GrantRecord.GrantRecord, TokenError> => {
  const { prompt, redemption } = self
  if (prompt === undefined || demand.interactive === false) return Effect.fail(why)
  const afresh = redemption.logIn(prompt, Effect.succeed)
  const storedOr = (otherwise: Effect.Effect<GrantRecord.GrantRecord, TokenError>) =>
    Effect.flatMap(
      redemption.read,
      Option.match({
        onNone: () => otherwise,
        onSome: (now) =>
          Effect.if(accepts(self, demand)(now), {
            onTrue: () => Effect.succeed(now),
            onFalse: () => otherwise
          })
      })
    )
  return redemption.alone(storedOr(afresh), storedOr(Effect.fail(noLogin(self.name))))
}

/** Checks that what is stored now is what was asked for: an issuer may give a token that is no use. */
const meet = Effect.fnUntraced(function*(self: Self, demand: Demand, record: GrantRecord.GrantRecord) {
  const now = yield* Clock.currentTimeMillis
  const { token } = record.grant
  if (isUnwanted(self, demand, token)) return yield* notNewer(self.name)
  if (!GrantRecord.hasToken(record)) return yield* noToken(self.name)
  if (Token.isExpired(token, now)) return yield* expiredOnArrival(self.name)
  if (!Token.isValidFor(token, now, minValidity(demand))) {
    return yield* tooLong(self.name, token, minValidity(demand))
  }
  return record
})

const noGrant = (source: string): TokenUnavailable =>
  new TokenUnavailable({
    source,
    reason: "LoginRequired",
    detail: "nobody is logged in",
    hint: "Log in first.",
    tiers: []
  })

/** Asking once more, in each of the programs that waited, would be a row of prompts. */
const noLogin = (source: string): TokenUnavailable =>
  new TokenUnavailable({
    source,
    reason: "LoginRequired",
    detail: "a login is needed, and the one that another program had opened came to nothing",
    hint: "Log in; the next call opens a login of this program.",
    tiers: []
  })

const tooLong = (source: string, token: Token.Token, asked: number): RequestRejected =>
  new RequestRejected({
    source,
    reason: "MinValidity",
    detail: `tokens live for ${Token.lifetime(token)} ms here and ${asked} ms were asked for`,
    hint: "Ask for less, or have the issuer give longer lifetimes."
  })

const notNewer = (source: string): TransientFailure =>
  new TransientFailure({
    source,
    reason: "RejectedWhileFresh",
    detail: "the issuer gave the very token that was to be replaced",
    hint: "Check that the token is meant for this resource and has not been revoked.",
    retryAt: undefined
  })

const expiredOnArrival = (source: string): TransientFailure =>
  new TransientFailure({
    source,
    reason: "MalformedAnswer",
    detail: "the issuer gave a token that has expired already",
    hint: "Check the lifetime that the issuer gives to tokens.",
    retryAt: undefined
  })

const noToken = (source: string): TransientFailure =>
  new TransientFailure({
    source,
    reason: "MalformedAnswer",
    detail: "the last renewal gave no access token, only what renews it",
    hint: "Try again; the next call renews with what was given.",
    retryAt: undefined
  })

/**
 * Stores the grant of a login under a key, as a login command does, over whatever was there unless it is
 * bound to another resource or issuer. Sources over that key give its token from their next call on.
 *
 * @since 0.1.0
 * @category commands
 */
export const save = (key: VaultKey.Input, grant: Grant.Grant): Effect.Effect<void, VaultError, Vault.Vault> =>
  Effect.flatMap(
    Vault.Vault,
    (vault) => Effect.asVoid(Redemption.make({ vault, key, source: vault.name }).save(grant))
  )

/**
 * Removes what is stored under a key, even if it is damaged. It revokes nothing: a logout does that first,
 * with what `load` gives. Plain text removes whatever has that name. With a record it is removed only if the
 * same secrets are still stored, else `Conflict`: so a logout can't remove what another process has renewed.
 *
 * @since 0.1.0
 * @category commands
 */
export const forget = (
  key: VaultKey.Input,
  only?: GrantRecord.GrantRecord
): Effect.Effect<void, VaultError, Vault.Vault> =>
  Effect.flatMap(Vault.Vault, (vault) => Redemption.make({ vault, key, source: vault.name }).forget(only))

/**
 * The record that is stored under a key, as it is: perhaps expired, perhaps quarantined. Plain text shows
 * whatever has that name.
 *
 * @since 0.1.0
 * @category commands
 */
export const load = (
  key: VaultKey.Input
): Effect.Effect<Option.Option<GrantRecord.GrantRecord>, VaultError, Vault.Vault> =>
  Effect.flatMap(Vault.Vault, (vault) => Redemption.make({ vault, key, source: vault.name }).load)

/** What a `SignIn` does: it keeps the memory, the vault and the person in step. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Grant from "../../Grant.js"
import * as Token from "../../Token.js"
import { TransientFailure } from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"
import * as TokenSource from "../../TokenSource.js"
import * as GrantRecord from "../../vault/GrantRecord.js"
import type * as Redemption from "../../vault/Redemption.js"
import type { VaultError } from "../../vault/VaultError.js"
import { toTokenError } from "../../vault/VaultError.js"

export interface Self {
  readonly name: string
  readonly redemption: Redemption.Redemption
  readonly prompt: Redemption.Prompt
  /** The four-tier source. */
  readonly memory: TokenSource.TokenSource
  readonly memo: Memo
  readonly deadline: Duration.Duration
  readonly scope: Scope.Scope
}

/** What the tiers below the memory are to mind. */
export interface Memo {
  /** How many calls want what is stored as it is, although they ask for something new. */
  adopting: number
  /** The tokens that were removed last: one that was read before that is not given after it. */
  gone: ReadonlyArray<Token.Token>
}

/** What is done with a grant that ends. */
export type Step = (grant: Grant.Grant) => Effect.Effect<void, TokenError>

/** What a logout does beside removing the grant. */
export interface Ending {
  /** Ends it at its issuer, before. */
  readonly revoke: Step | undefined
  /** Ends the person's session in the browser, afterwards. */
  readonly leave: Step | undefined
}

/** The stored source, which heeds what a login or a logout has noted. */
export const heeding = (stored: TokenSource.TokenSource, memo: Memo): TokenSource.TokenSource => {
  const isGone = (token: Token.Token) => memo.gone.some((gone) => Token.isSame(gone, token))
  const ask = (request: TokenSource.TokenRequest) =>
    Effect.suspend(() =>
      stored.request(memo.adopting > 0 ? { ...request, refresh: false, supersede: undefined } : request)
    )
  return TokenSource.withRequest(
    stored,
    (request) => Effect.flatMap(ask(request), (token) => isGone(token) ? ask(request) : Effect.succeed(token))
  )
}

/** Has the memory take what is stored, whatever it holds and whatever failed before. */
const adopt = ({ memo, memory }: Self): Effect.Effect<Token.Token, TokenError> =>
  Effect.acquireUseRelease(
    Effect.sync(() => memo.adopting++),
    () => memory.request({ interactive: false, refresh: true }),
    () => Effect.sync(() => memo.adopting--)
  )

export const logIn = (self: Self): Effect.Effect<Token.Token, TokenError> =>
  Effect.flatMap(look(self), (before) => {
    const afresh = self.redemption.logIn(
      self.prompt,
      (record) => started(self, serve(self, before, record))
    )
    const inTurn = Effect.flatMap(look(self), (now) =>
      Option.isSome(now) && isNewLogin(before, now.value)
        ? started(self, serve(self, before, now.value))
        : afresh)
    return Effect.flatMap(self.redemption.alone(inTurn), Fiber.join)
  })

type Found = Option.Option<GrantRecord.GrantRecord>

/** What is stored; what is damaged is about to be replaced. */
const look = ({ redemption }: Self): Effect.Effect<Found, TokenError> => readable(redemption.read)

const readable = (read: Effect.Effect<Found, TokenError>): Effect.Effect<Found, TokenError> =>
  Effect.catchIf(
    read,
    (error) => error._tag === "Misconfigured" && error.reason === "StoreCorrupt",
    () => Effect.succeedNone
  )

/**
 * Whether somebody else has finished a login meanwhile: a renewal tells whether it rotates, a login does not.
 */
const isNewLogin = (before: Option.Option<GrantRecord.GrantRecord>, now: GrantRecord.GrantRecord): boolean =>
  now.rotates === undefined && now.status._tag === "Active" &&
  !Option.exists(before, (before) => GrantRecord.hasSameSecrets(before, now))

/** It goes on to its end even if the caller leaves: the grant is stored by now. */
const started = <A, E>(
  { scope }: Self,
  self: Effect.Effect<A, E>
): Effect.Effect<Fiber.RuntimeFiber<A, E>> => Effect.forkIn(Effect.interruptible(self), scope)

/** Has the memory take the new login, and gives the token that it serves from now on. */
const serve = Effect.fnUntraced(function*(
  self: Self,
  before: Option.Option<GrantRecord.GrantRecord>,
  record: GrantRecord.GrantRecord
) {
  const { memo, memory } = self
  const { token } = record.grant
  const held = memory.peek()
  const isOld = (other: Token.Token) =>
    !Token.isSame(other, token) && (
      Option.exists(held, (held) => Token.isSame(held, other)) ||
      Option.exists(before, ({ grant }) => Token.isSame(grant.token, other))
    )
  memo.gone = []
  // A fetch that was in flight may still bring what was stored before.
  const adopted = yield* Effect.exit(Effect.repeat(adopt(self), { times: 2, while: isOld }))
  if (Exit.isSuccess(adopted) && !isOld(adopted.value)) return adopted.value
  yield* Effect.forEach(Option.toArray(held), memory.invalidate, { discard: true })
  return GrantRecord.hasToken(record) ? token : yield* adopted
})

export const logOut = (self: Self, { leave, revoke }: Ending): Effect.Effect<void, TokenError> =>
  Effect.uninterruptibleMask((restore) => {
    const within = limited(self.deadline, restore)
    const revoking = revoke && within(revoke, () => revokeTimeout(self))
    const leaving = leave && within(leave, () => leaveTimeout(self))
    return Effect.gen(function*() {
      const { records, revoked } = yield* remove(self, revoking, maxRounds)
      yield* forgetIn(self, records.map(({ grant }) => grant.token))
      const last = records.at(-1)?.grant
      const left = last === undefined || leaving === undefined ? Exit.void : yield* Effect.exit(leaving(last))
      yield* revoked
      yield* left
    })
  })

/** It can be interrupted, and ends in time even if it can't. */
const limited =
  (duration: Duration.Duration, restore: Parameters<Parameters<typeof Effect.uninterruptibleMask>[0]>[0]) =>
  (step: Step, onTimeout: () => TokenError): Step =>
  (grant) =>
    restore(Effect.timeoutFail(Effect.disconnect(Effect.suspend(() => step(grant))), { duration, onTimeout }))

/** How often a logout starts again because somebody wrote in between. */
const maxRounds = 3

interface Removed {
  /** What was there, and what could not be stored there yet. */
  readonly records: ReadonlyArray<GrantRecord.GrantRecord>
  /** What revoking it came to. */
  readonly revoked: Exit.Exit<void, TokenError>
}

/**
 * Removes just the grant that was revoked: one that another process has put in its place is revoked too. Where a
 * renewal could not be stored, what it gave is what lives at the issuer.
 */
const remove = (
  self: Self,
  revoke: Step | undefined,
  rounds: number
): Effect.Effect<Removed, TokenError> =>
  Effect.gen(function*() {
    const { name, redemption } = self
    const stored = yield* look(self)
    const newest = yield* readable(Effect.mapError(redemption.load, (error) => toTokenError(error, name)))
    const records = [...Option.toArray(stored), ...Option.toArray(newest)]
    const only = revoke === undefined ? undefined : Option.getOrUndefined(newest)
    const revoked = revoke === undefined || only === undefined
      ? Exit.void
      : yield* Effect.exit(revoke(only.grant))
    const isAgain = (error: VaultError) => error._tag === "Conflict" && rounds > 0
    return yield* redemption.forget(only).pipe(
      Effect.as({ records, revoked }),
      Effect.catchAll((error) =>
        isAgain(error) ? remove(self, revoke, rounds - 1) : Effect.fail(toTokenError(error, name))
      )
    )
  })

/** Empties the memory, and lets it find out that nobody is logged in. */
const forgetIn = (self: Self, removed: ReadonlyArray<Token.Token>): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { memo, memory } = self
    memo.gone = removed
    yield* Effect.forEach(Option.toArray(memory.peek()), memory.invalidate, { discard: true })
    const looked = yield* started(self, Effect.ignore(adopt(self)))
    yield* Effect.timeoutOption(Effect.interruptible(Fiber.await(looked)), maxWait)
  })

/** For a fetch that is in flight; a login that somebody has opened is not waited for. */
const maxWait = Duration.seconds(5)

const revokeTimeout = ({ deadline, name }: Self): TransientFailure =>
  new TransientFailure({
    source: name,
    reason: "Timeout",
    detail: `the grant could not be revoked within ${Duration.format(deadline)}; it was removed here`,
    hint: "Revoke it at the issuer, where its sessions are listed.",
    retryAt: undefined
  })

const leaveTimeout = ({ deadline, name }: Self): TransientFailure =>
  new TransientFailure({
    source: name,
    reason: "Timeout",
    detail: `the browser was not sent to end its session within ${
      Duration.format(deadline)
    }; the grant was removed`,
    hint: "Log out at the issuer in that browser.",
    retryAt: undefined
  })

/**
 * What a persisted source knows about itself: what it gave last, what failed last, and which token was
 * refused.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Token from "../../Token.js"
import type { TokenError } from "../../TokenError.js"
import * as TokenStatus from "../../TokenStatus.js"
import type { GrantRecord } from "../GrantRecord.js"

type Known =
  | { readonly _tag: "Idle"; readonly record: undefined }
  | { readonly _tag: "Held"; readonly record: GrantRecord }
  | { readonly _tag: "Failed"; readonly record: GrantRecord | undefined; readonly error: TokenError }

/** While the vault can't be read, what was known before stays known. */
interface Unreadable {
  readonly _tag: "Unreadable"
  readonly record: GrantRecord | undefined
  readonly error: TokenError
  readonly before: Known
}

type State = Known | Unreadable

export interface Watch {
  readonly name: string
  state: State
  /** How many callers wait for a renewal or a login. */
  waiting: number
  /** How many renewals wait for another process. */
  locked: number
  refused: Token.Token | undefined
  readonly listeners: Set<() => void>
}

export const unsafeMake = (name: string): Watch => ({
  name,
  state: { _tag: "Idle", record: undefined },
  waiting: 0,
  locked: 0,
  refused: undefined,
  listeners: new Set()
})

export const onChange = (self: Watch, listener: () => void): () => void => {
  const own = () => listener()
  self.listeners.add(own)
  return () => {
    self.listeners.delete(own)
  }
}

/** Changes the state, and then tells all who listened at that moment. */
const move = (self: Watch, change: () => void): Effect.Effect<void> =>
  Effect.sync(() => {
    const before = describe(self)
    change()
    return describe(self) === before ? [] : Array.from(self.listeners)
  }).pipe(Effect.flatMap(Effect.forEach(tell, { discard: true })))

/** A listener that throws harms neither the call that it hears of nor the next listener. */
const tell = (listener: () => void): Effect.Effect<void> =>
  Effect.catchAllDefect(
    Effect.sync(listener),
    (defect) => Effect.logDebug("A listener of a token source has thrown.", defect)
  )

/** Equal as long as the status is, but for what time alone changes. */
const describe = ({ locked, state, waiting }: Watch): string =>
  [
    state._tag,
    state.record?.generation,
    state.record?.status._tag,
    "error" in state ? `${state.error._tag} ${state.error.reason}` : "",
    waiting > 0,
    locked > 0
  ].join(" ")

/**
 * Notes what a call came to, and gives the token of the record. A call that only asked for too much changes
 * nothing.
 */
export const track = (
  self: Watch,
  call: Effect.Effect<GrantRecord, TokenError>
): Effect.Effect<Token.Token, TokenError> =>
  call.pipe(
    Effect.tap((record) => move(self, () => noteRecord(self, record))),
    Effect.map((record) => record.grant.token)
  )

/** Notes whether the vault can be read, and forgets that it could not be as soon as it can. */
export const reading = <A>(self: Watch, read: Effect.Effect<A, TokenError>): Effect.Effect<A, TokenError> =>
  Effect.tapBoth(read, {
    onSuccess: () =>
      self.state._tag === "Unreadable" ? move(self, () => void (self.state = known(self))) : Effect.void,
    onFailure: (error) => move(self, () => void (self.state = unreadable(known(self), error)))
  })

const known = ({ state }: Watch): Known => state._tag === "Unreadable" ? state.before : state

const unreadable = (before: Known, error: TokenError): Unreadable => ({
  _tag: "Unreadable",
  record: before.record,
  error,
  before
})

/** A renewal that failed stays noted while the token that it was to replace is served. */
const noteRecord = (self: Watch, record: GrantRecord): void => {
  const before = known(self)
  const isSameAsFailed = before._tag === "Failed" && before.record !== undefined &&
    Token.isSame(before.record.grant.token, record.grant.token)
  if (!isSameAsFailed) self.state = { _tag: "Held", record }
}

const noteFailure = (self: Watch, error: TokenError): void => {
  self.state = { _tag: "Failed", record: self.state.record, error }
}

/** Notes what was found in the vault before anything was decided. */
export const see = (self: Watch, record: GrantRecord): Effect.Effect<void> =>
  move(self, () => {
    if (self.state._tag === "Idle") self.state = { _tag: "Held", record }
  })

/** Counts the callers that wait for a renewal or a login, and notes its failure. */
export const renewing = <A>(
  self: Watch,
  renewal: Effect.Effect<A, TokenError>
): Effect.Effect<A, TokenError> =>
  Effect.acquireUseRelease(
    move(self, () => {
      self.waiting++
    }),
    () =>
      Effect.tapError(
        renewal,
        (error) => error._tag === "RequestRejected" ? Effect.void : move(self, () => noteFailure(self, error))
      ),
    () =>
      move(self, () => {
        self.waiting--
      })
  )

/** Counts the waits for another process that redeems. */
export const waiting = <A, E>(self: Watch, wait: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.acquireUseRelease(
    move(self, () => {
      self.locked++
    }),
    () => wait,
    () =>
      move(self, () => {
        self.locked--
      })
  )

/** Remembers that this token was refused, unless another one was given since. */
export const refuse = (self: Watch, token: Token.Token): void => {
  const held = self.state.record?.grant.token
  if (held === undefined || Token.isSame(held, token)) self.refused = token
}

export const isRefused = (self: Watch, token: Token.Token): boolean =>
  self.refused !== undefined && Token.isSame(self.refused, token)

export const status = (self: Watch): Effect.Effect<TokenStatus.TokenStatus> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const { record } = self.state
    const failure = "error" in self.state ? self.state.error : undefined
    return TokenStatus.make({
      source: self.name,
      health: healthOf(self, now),
      token: record === undefined ? undefined : TokenStatus.describe(record.grant.token),
      failure,
      retryAt: failure?._tag === "TransientFailure" ? failure.retryAt : undefined,
      loginExpiresAt: record?.grant.refreshExpiresAt
    })
  })

const healthOf = ({ locked, state, waiting }: Watch, now: number): TokenStatus.Health => {
  if (locked > 0) return "Waiting"
  if (waiting > 0) return "Refreshing"
  switch (state._tag) {
    case "Idle":
      return "Idle"
    case "Failed":
    case "Unreadable":
      return healthAfter(state.error)
    case "Held":
      return healthWith(state.record, now)
  }
}

const healthAfter = (error: TokenError): TokenStatus.Health => {
  switch (error._tag) {
    case "TransientFailure":
      return "Degraded"
    case "ReauthRequired":
      return error.reason === "Ambiguous" ? "Ambiguous" : "ReauthRequired"
    default:
      return "Unavailable"
  }
}

const healthWith = (record: GrantRecord, now: number): TokenStatus.Health => {
  if (record.status._tag === "Quarantined") return "ReauthRequired"
  if (record.status._tag === "Ambiguous") return "Ambiguous"
  if (isLoginExpiring(record, now)) return "LoginExpiring"
  return Token.isExpired(record.grant.token, now) ? "Available" : "Healthy"
}

/** Within a day of its end, or within the last tenth of the refresh token's life where that is less. */
const isLoginExpiring = ({ grant, refreshIssuedAt }: GrantRecord, now: number): boolean =>
  grant.refreshExpiresAt !== undefined &&
  grant.refreshExpiresAt - now <= Math.min(day, (grant.refreshExpiresAt - refreshIssuedAt) / 10)

const day = 24 * 60 * 60 * 1000

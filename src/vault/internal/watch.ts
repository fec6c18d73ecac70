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

type State =
  | { readonly _tag: "Idle"; readonly record: undefined }
  | { readonly _tag: "Held"; readonly record: GrantRecord }
  | { readonly _tag: "Failed"; readonly record: GrantRecord | undefined; readonly error: TokenError }

export interface Watch {
  readonly name: string
  state: State
  /** How many callers wait for a renewal or a login. */
  waiting: number
  refused: Token.Token | undefined
  readonly listeners: Set<() => void>
}

export const unsafeMake = (name: string): Watch => ({
  name,
  state: { _tag: "Idle", record: undefined },
  waiting: 0,
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

const move = (self: Watch, change: () => void): Effect.Effect<void> =>
  Effect.sync(() => {
    const before = describe(self)
    change()
    if (describe(self) !== before) self.listeners.forEach((listener) => listener())
  })

/** Equal as long as the status is, but for what time alone changes. */
const describe = ({ state, waiting }: Watch): string =>
  [
    state._tag,
    state.record?.generation,
    state.record?.status._tag,
    state._tag === "Failed" ? `${state.error._tag} ${state.error.reason}` : "",
    waiting > 0
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
    Effect.tapBoth({
      onSuccess: (record) => move(self, () => noteRecord(self, record)),
      onFailure: (error) =>
        error._tag === "RequestRejected" ? Effect.void : move(self, () => noteFailure(self, error))
    }),
    Effect.map((record) => record.grant.token)
  )

/** A renewal that failed stays noted while the token that it was to replace is served. */
const noteRecord = (self: Watch, record: GrantRecord): void => {
  const isSameAsFailed = self.state._tag === "Failed" && self.state.record !== undefined &&
    Token.isSame(self.state.record.grant.token, record.grant.token)
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

/** Counts the callers that wait for a renewal or a login. */
export const renewing = <A, E>(self: Watch, renewal: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.acquireUseRelease(
    move(self, () => {
      self.waiting++
    }),
    () => renewal,
    () =>
      move(self, () => {
        self.waiting--
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
    const failure = self.state._tag === "Failed" ? self.state.error : undefined
    return TokenStatus.make({
      source: self.name,
      health: healthOf(self, now),
      token: record === undefined ? undefined : TokenStatus.describe(record.grant.token),
      failure,
      retryAt: failure?._tag === "TransientFailure" ? failure.retryAt : undefined,
      loginExpiresAt: record?.grant.refreshExpiresAt
    })
  })

const healthOf = ({ state, waiting }: Watch, now: number): TokenStatus.Health => {
  if (waiting > 0) return "Refreshing"
  switch (state._tag) {
    case "Idle":
      return "Idle"
    case "Failed":
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
  if (isLoginExpiring(record, now)) return "LoginExpiring"
  return Token.isExpired(record.grant.token, now) ? "Available" : "Healthy"
}

/** Within a day of its end, or within the last tenth of the refresh token's life where that is less. */
const isLoginExpiring = ({ grant, refreshIssuedAt }: GrantRecord, now: number): boolean =>
  grant.refreshExpiresAt !== undefined &&
  grant.refreshExpiresAt - now <= Math.min(day, (grant.refreshExpiresAt - refreshIssuedAt) / 10)

const day = 24 * 60 * 60 * 1000

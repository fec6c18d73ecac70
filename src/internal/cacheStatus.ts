/**
 * What a cache tells about itself.
 *
 * @since 0.1.0
 */
import type { TokenError } from "../TokenError.js"
import * as TokenStatus from "../TokenStatus.js"
import * as Errors from "./cacheErrors.js"
import * as State from "./cacheState.js"

/** The status that follows from a state. What the source below knows of its login is passed on. */
export const statusOf = <E extends TokenError>(
  source: string,
  state: State.CacheState<E>,
  inner: TokenStatus.TokenStatus,
  now: number
): TokenStatus.TokenStatus => {
  const token = State.served(state, now)
  const failure = State.failureOf(state)
  return TokenStatus.make({
    source,
    health: healthOf(state, inner, token !== undefined),
    token: token === undefined ? undefined : TokenStatus.describe(token),
    failure: failure === undefined ? failureBelow(state, inner) : Errors.errorOf(failure.exit),
    retryAt: failure?.retryAt,
    loginExpiresAt: inner.loginExpiresAt,
    tiers: inner.tiers
  })
}

/** What the source below failed with although it gave a token. */
const failureBelow = <E extends TokenError>(
  state: State.CacheState<E>,
  inner: TokenStatus.TokenStatus
): TokenError | undefined => state._tag === "Fresh" && inner.health === "Degraded" ? inner.failure : undefined

const healthOf = <E extends TokenError>(
  state: State.CacheState<E>,
  inner: TokenStatus.TokenStatus,
  valid: boolean
): TokenStatus.Health => {
  switch (state._tag) {
    case "Empty":
      return "Idle"
    case "Closed":
      return "Closed"
    case "Refreshing":
      return inner.health === "Waiting" ? "Waiting" : "Refreshing"
    case "Fresh":
      return valid ? aboutLogin(inner) ?? (inner.health === "Degraded" ? "Degraded" : "Healthy") : "Idle"
    default:
      return failedHealth(State.failureOf(state), inner)
  }
}

const failedHealth = <E extends TokenError>(
  failure: State.Failure<E> | undefined,
  inner: TokenStatus.TokenStatus
): TokenStatus.Health => {
  const error = failure === undefined ? undefined : Errors.errorOf(failure.exit)
  if (error?._tag === "ReauthRequired") return error.reason === "Ambiguous" ? "Ambiguous" : "ReauthRequired"
  if (error?._tag === "TokenUnavailable") return "Unavailable"
  return aboutLogin(inner) ?? "Degraded"
}

const aboutLogin = (inner: TokenStatus.TokenStatus): TokenStatus.Health | undefined =>
  inner.health === "LoginExpiring" || inner.health === "ReauthRequired" || inner.health === "Ambiguous"
    ? inner.health
    : undefined

/**
 * The transitions of a cache that take thought, as pure functions: what follows from the end of a fetch, and from a
 * token that a resource refused.
 *
 * @since 0.1.0
 */
import * as Exit from "effect/Exit"
import * as RefreshPolicy from "../RefreshPolicy.js"
import * as Token from "../Token.js"
import type { TokenError } from "../TokenError.js"
import * as Errors from "./cacheErrors.js"
import type { CacheError } from "./cacheErrors.js"
import * as State from "./cacheState.js"

/** The least time between two renewals in the background, in milliseconds. */
const minSpacing = 100
/** The wait after a failure where a policy of somebody's own gives none, in milliseconds. */
const fallbackWait = 60_000
/** The least that a token is used before it is renewed, of what was left of it: no policy can make a storm. */
const minFraction = 0.1
/** A token that is refused within this time of its receipt counts as refused while fresh, in milliseconds. */
const freshness = 60_000

/** What a transition looks at beside the state. Instants are Unix milliseconds, `random` is from 0 to 1. */
export interface Circumstances {
  readonly name: string
  readonly policy: RefreshPolicy.RefreshPolicy
  readonly now: number
  readonly random: number
}

/** What the end of a fetch needs to know beyond that. */
export interface Arrival extends Circumstances {
  readonly statistics: RefreshPolicy.Statistics
  /** The generation of the last token. */
  readonly generation: number
}

/** The end of a fetch: what callers get, and what is remembered. */
export interface Settled<E extends TokenError> {
  readonly next: State.CacheState<E | CacheError>
  readonly outcome: Exit.Exit<Token.Token, E | CacheError>
  readonly generation: number
}

/** A fetch has ended. */
export const settle = <E extends TokenError>(
  state: State.Refreshing<E | CacheError>,
  exit: Exit.Exit<Token.Token, E>,
  at: Arrival
): Settled<E> => {
  const { generation } = at
  const checked = Errors.check(at.name, exit, at.now, state.flight.deadline)
  if (Exit.isFailure(checked)) {
    const outcome = Exit.failCause(checked.cause)
    return { next: failed(state, outcome, at), outcome, generation }
  }
  if (state.rejected !== undefined && Token.isSame(state.rejected, checked.value)) {
    const next = rejected(state.rejected, state.rejections + 1, at)
    return { next, outcome: next.failure.exit, generation }
  }
  const next = fresh(state, checked.value, at)
  return { next, outcome: Exit.succeed(next.token), generation: next.token.generation }
}

const fresh = <E extends TokenError>(
  state: State.Refreshing<E | CacheError>,
  fetched: Token.Token,
  at: Arrival
): State.Fresh => {
  const known = state.held !== undefined && Token.isSame(state.held, fetched)
  const generation = Math.max(fetched.generation, at.generation + (known ? 0 : 1))
  const token = Token.withGeneration(received(fetched, at.now), generation)
  const planned = RefreshPolicy.renewAt(at.policy, token, at.statistics, at.random)
  const renewAt = Number.isNaN(planned) ? 0 : planned
  const spacing = Math.max(minSpacing, Math.ceil(Token.remaining(token, at.now) * minFraction))
  const { rejections } = state
  return { _tag: "Fresh", token, renewAt: Math.max(renewAt, at.now + spacing), repeated: known, rejections }
}

/** A token that does not say when it was received, or not before now, has been received now. */
const received = (token: Token.Token, now: number): Token.Token =>
  token.issuedAt > 0 && token.issuedAt <= now ? token : { ...token, issuedAt: now }

const failed = <E extends TokenError>(
  state: State.Refreshing<E | CacheError>,
  exit: Exit.Exit<never, E | CacheError>,
  at: Circumstances
): State.CacheState<E | CacheError> => {
  const count = state.failures + 1
  const retryAt = waitUntil(at, count, Errors.askedRetryAt(exit))
  const mayAsk = !state.flight.interactive && !Errors.isTransient(exit)
  const failure = { exit, count, retryAt, gateUntil: mayAsk ? -Infinity : retryAt }
  const token = State.served(state, at.now)
  return token === undefined
    ? { _tag: "Failed", failure, rejected: state.rejected, rejections: state.rejections }
    : { _tag: "Stale", token, failure, rejections: state.rejections }
}

/** No policy of somebody's own can make a storm, nor wait for ever. */
const waitUntil = (at: Circumstances, failures: number, asked: number | undefined): number => {
  const retryAt = RefreshPolicy.retryAt(at.policy, at.now, failures, at.random, asked)
  return Math.max(Number.isFinite(retryAt) ? retryAt : at.now + fallbackWait, at.now + minSpacing)
}

/** The first time a new token is fetched at once; again and again, ever later. */
const rejected = (token: Token.Token, rejections: number, at: Circumstances): State.Rejected<CacheError> => {
  const retryAt = rejections <= 1
    ? at.now
    : waitUntil(at, rejections - 1, undefined)
  const exit = Errors.rejectedWhileFresh(at.name, retryAt)
  const gateUntil = rejections <= 1 ? -Infinity : retryAt
  return { _tag: "Rejected", token, rejections, failure: { exit, count: 0, retryAt, gateUntil } }
}

/**
 * A resource refused this token: nothing changes unless it is the one that is served. Whether that came soon is counted
 * from the cache's own receipt, whatever the token says.
 */
export const reject = <E extends TokenError>(
  state: State.CacheState<E | CacheError>,
  token: Token.Token,
  at: Circumstances & { readonly receivedAt: number }
): State.CacheState<E | CacheError> => {
  const held = State.served(state, at.now)
  if (held === undefined || !Token.isSame(held, token)) return state
  const soon = at.now - at.receivedAt < Math.min(freshness, Token.lifetime(held) / 2)
  const rejections = soon ? State.rejectionsOf(state) + 1 : 1
  if (state._tag === "Refreshing") return { ...state, held: undefined, rejected: held, rejections }
  // A source that asked for a pause gets it, refused token or not.
  return state._tag === "Stale" && at.now < state.failure.gateUntil
    ? { _tag: "Failed", failure: state.failure, rejected: held, rejections }
    : rejected(held, rejections, at)
}

/**
 * The states of a cache, and what follows from each: the token that may be served, and the cell that the hot path
 * reads. Pure.
 *
 * @since 0.1.0
 */
import type * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Token from "../Token.js"

/** Nothing was fetched yet. */
export interface Empty {
  readonly _tag: "Empty"
}

/** A token, renewed from `renewAt` on. */
export interface Fresh {
  readonly _tag: "Fresh"
  readonly token: Token.Token
  readonly renewAt: number
  /** Whether the last fetch gave the token that it was to replace. */
  readonly repeated: boolean
  /** How many tokens in a row were refused soon after they came. */
  readonly rejections: number
}

/** A token whose renewal failed; it is served until it expires. */
export interface Stale<E> {
  readonly _tag: "Stale"
  readonly token: Token.Token
  readonly failure: Failure<E>
  readonly rejections: number
}

/** A fetch is in flight. */
export interface Refreshing<E> {
  readonly _tag: "Refreshing"
  /** The token that is served meanwhile. */
  readonly held: Token.Token | undefined
  /** The token that a resource refused and that must not come back. */
  readonly rejected: Token.Token | undefined
  readonly rejections: number
  readonly failures: number
  readonly flight: Flight<E>
}

/** A resource refused the token; the next fetch may start at `retryAt`. */
export interface Rejected<E> {
  readonly _tag: "Rejected"
  readonly token: Token.Token
  readonly rejections: number
  readonly failure: Failure<E>
}

/** The last fetch failed and there is nothing to serve. */
export interface Failed<E> {
  readonly _tag: "Failed"
  readonly failure: Failure<E>
  readonly rejected: Token.Token | undefined
  readonly rejections: number
}

/** The scope has ended. */
export interface Closed<E> {
  readonly _tag: "Closed"
  readonly exit: Exit.Exit<never, E>
}

export type CacheState<E> = Empty | Fresh | Stale<E> | Refreshing<E> | Rejected<E> | Failed<E> | Closed<E>

/** A failure that is remembered for a while. */
export interface Failure<E> {
  readonly exit: Exit.Exit<never, E>
  /** How many in a row. */
  readonly count: number
  /** When a renewal in the background may try again. */
  readonly retryAt: number
  /** Until when callers who may ask a person get this failure at once; the others get it until `retryAt`. */
  readonly gateUntil: number
}

/** One fetch. Its result goes to everyone who waits, and it does not depend on any of them. */
export interface Flight<E> {
  readonly done: Deferred.Deferred<Token.Token, E>
  /** Waits for it; one effect for all who do. */
  readonly outcome: Effect.Effect<Token.Token, E>
  readonly startedAt: number
  /** When it is given up. */
  readonly deadline: number
  /** Whether the scheduler began it and wants to know its end. */
  readonly scheduled: boolean
  /** Whether a person may be asked. */
  readonly interactive: boolean
  /** Whether it is to replace a token, so that it can't come back with that one. */
  readonly renews: boolean
  /** What the source below has answered. */
  answer: Exit.Exit<Token.Token, E> | undefined
  /** Whether everyone who waited has an outcome. */
  ended: boolean
  fiber: Fiber.RuntimeFiber<void> | undefined
}

/** The token that may be served at this instant. */
export const served = <E>(state: CacheState<E>, now: number): Token.Token | undefined => {
  const token = tokenOf(state)
  return token === undefined || Token.isExpired(token, now) ? undefined : token
}

const tokenOf = <E>(state: CacheState<E>): Token.Token | undefined => {
  switch (state._tag) {
    case "Fresh":
    case "Stale":
      return state.token
    case "Refreshing":
      return state.held
    default:
      return undefined
  }
}

/** The failure that is remembered, if any. */
export const failureOf = <E>(state: CacheState<E>): Failure<E> | undefined =>
  state._tag === "Stale" || state._tag === "Failed" || state._tag === "Rejected" ? state.failure : undefined

/** The token that a resource refused, if it has not been replaced yet. */
export const rejectedOf = <E>(state: CacheState<E>): Token.Token | undefined => {
  if (state._tag === "Rejected") return state.token
  return state._tag === "Refreshing" || state._tag === "Failed" ? state.rejected : undefined
}

/** How many refusals in a row led here. */
export const rejectionsOf = <E>(state: CacheState<E>): number => "rejections" in state ? state.rejections : 0

/** What `get` gives without a further look, as long as the instant is before `until`. */
export const readyOf = <E>(state: CacheState<E>): Effect.Effect<Token.Token, E> | undefined => {
  const token = tokenOf(state)
  if (token !== undefined) return Exit.succeed(token)
  if (state._tag === "Refreshing") return state.flight.outcome
  return state._tag === "Closed" ? state.exit : failureOf(state)?.exit
}

/** The first instant at which something has to happen on a `get`. */
export const untilOf = <E>(state: CacheState<E>): number => {
  switch (state._tag) {
    case "Fresh":
      return Math.min(state.renewAt, state.token.expiresAt)
    case "Stale":
      return Math.min(state.failure.retryAt, state.token.expiresAt)
    case "Refreshing":
      return state.held?.expiresAt ?? (state.flight.interactive ? Infinity : -Infinity)
    case "Rejected":
    case "Failed":
      return state.failure.gateUntil
    case "Closed":
      return Infinity
    case "Empty":
      return -Infinity
  }
}

/** Whether what is ready is a token. */
export const isToken = <E>(
  ready: Effect.Effect<Token.Token, E> | undefined
): ready is Exit.Success<Token.Token, E> => Exit.isExit(ready) && Exit.isSuccess(ready)

/**
 * How a fetch is started, and what is known of it while it is in flight.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as FiberId from "effect/FiberId"
import * as Token from "../Token.js"
import type { TokenRequest } from "../TokenSource.js"
import type * as State from "./cacheState.js"

/** How a fetch is started. */
export interface Start {
  /** Whether a person may be asked. */
  readonly interactive: boolean
  /** Whether the scheduler begins it and wants to know its end. */
  readonly scheduled: boolean
  readonly request: TokenRequest
}

/** For a caller who waits. */
export const interactive: Start = { interactive: true, scheduled: false, request: {} }

/** For a caller who got the old token. */
export const background: Start = { interactive: false, scheduled: false, request: {} }

/** For nobody: it was due. */
export const scheduled: Start = { interactive: false, scheduled: true, request: {} }

/** A flight that has not begun. `now` and `timeLimit` are milliseconds. */
export const make = <E>(start: Start, renews: boolean, now: number, timeLimit: number): State.Flight<E> => {
  const done = Deferred.unsafeMake<Token.Token, E>(FiberId.none)
  return {
    done,
    outcome: Deferred.await(done),
    startedAt: now,
    deadline: now + timeLimit,
    scheduled: start.scheduled,
    interactive: start.interactive,
    renews,
    answer: undefined,
    ended: false,
    fiber: undefined
  }
}

/** Whether the request wants any token but this one. */
export const isSuperseded = (token: Token.Token, { supersede }: TokenRequest): boolean =>
  supersede !== undefined && Token.isSame(token, supersede)

/**
 * Tells a callback of each new grant, and tells it again until it has succeeded.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type * as Grant from "../Grant.js"
import { TransientFailure } from "../TokenError.js"
import type { TokenError } from "../TokenError.js"
import type * as TokenStatus from "../TokenStatus.js"
import type * as GrantRecord from "./GrantRecord.js"
import { elapsing } from "./internal/leasing.js"

/**
 * What stands between a source and the callback of its user. The callback runs on a fiber of its own, so that
 * nobody waits for it and no scope ends it: its time limit does. One grant is told at a time. Nothing of it fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface Persister {
  /** Begins to tell of a grant; what was not told before is forgotten, because it is older. */
  readonly tell: (grant: Grant.Grant) => Effect.Effect<void>
  /** Begins to tell again of what it failed to take, if that is 30 seconds ago. */
  readonly retry: Effect.Effect<void>
  /** Waits until nothing is being told; for the end of a program. */
  readonly settled: Effect.Effect<void>
  /** The status with what it failed with. */
  readonly shown: (status: TokenStatus.TokenStatus) => TokenStatus.TokenStatus
}

/**
 * Told of a grant that is new. It may fail or throw, and has 10 seconds.
 *
 * @since 0.1.0
 * @category models
 */
export type Callback<R = never> = (grant: Grant.Grant) => Effect.Effect<void, TokenError, R>

interface State {
  untold: Grant.Grant | undefined
  failure: Failure | undefined
  /** Done when nothing is told any more; absent while nothing is. */
  telling: Deferred.Deferred<void> | undefined
}

interface Failure {
  readonly error: TokenError
  /** What was to be told. */
  readonly grant: Grant.Grant
  /** When it may be told again. */
  readonly retryAt: number
}

const nobody: Persister = {
  tell: () => Effect.void,
  retry: Effect.void,
  settled: Effect.void,
  shown: (status) => status
}

/**
 * Without a callback nothing is told. `source` is the name that errors and logs show.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (source: string, callback: Callback | undefined): Persister => {
  if (callback === undefined) return nobody
  const state: State = { untold: undefined, failure: undefined, telling: undefined }
  const begin = beginOf(state, (grant) => tellOf(source, callback, state, grant))
  return {
    tell: (grant) =>
      Effect.suspend(() => {
        state.untold = grant
        return begin
      }),
    retry: Effect.suspend(() => {
      const { failure, telling, untold } = state
      return failure === undefined || untold !== failure.grant || telling !== undefined
        ? Effect.void
        : Effect.flatMap(elapsing, (now) => now < failure.retryAt ? Effect.void : begin)
    }),
    settled: Effect.suspend(() => state.telling === undefined ? Effect.void : Deferred.await(state.telling)),
    shown: (status) =>
      state.failure === undefined ? status : {
        ...status,
        health: status.health === "Healthy" ? "Degraded" : status.health,
        failure: status.failure ?? state.failure.error
      }
  }
}

/**
 * The persister of a source: a callback of its own, or a persister that it shares with others of the same grant.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeFrom = <R>(
  source: string,
  persister: Callback<R> | Persister | undefined,
  context: Context.Context<R>
): Persister =>
  persister === undefined
    ? nobody
    : typeof persister === "function"
    ? unsafeMake(source, (grant) => Effect.provide(persister(grant), context))
    : persister

/**
 * Tells of what this process has stored, where that is new to others: a login, and a renewal that came with a new
 * refresh token. What another process has stored is told there.
 *
 * @since 0.1.0
 * @category conversions
 */
export const stored =
  (self: Persister) =>
  ({ grant, rotates }: GrantRecord.GrantRecord, kind: "Login" | "Renewal"): Effect.Effect<void> =>
    kind === "Login" || rotates === true ? self.tell(grant) : Effect.void

/** Tells of the newest grant, and of any that is newer by then, unless that is going on already. */
const beginOf = (state: State, tell: (grant: Grant.Grant) => Effect.Effect<void>): Effect.Effect<void> => {
  const telling = (last?: Grant.Grant): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { untold } = state
      if (untold !== undefined && untold !== last) return Effect.zipRight(tell(untold), telling(untold))
      state.telling = undefined
      return Effect.void
    })
  return Effect.uninterruptible(Effect.suspend(() => {
    if (state.telling !== undefined) return Effect.void
    const done = Deferred.unsafeMake<void>(FiberId.none)
    state.telling = done
    const end = Effect.suspend(() => {
      if (state.telling === done) state.telling = undefined
      return Deferred.succeed(done, undefined)
    })
    return Effect.forkDaemon(Effect.ensuring(Effect.interruptible(telling()), end))
  }))
}

const tellOf = (
  source: string,
  callback: Callback,
  state: State,
  grant: Grant.Grant
): Effect.Effect<void> =>
  Effect.suspend(() => callback(grant)).pipe(
    Effect.disconnect,
    Effect.timeoutFail({ duration: limit, onTimeout: () => tooSlow(source) }),
    Effect.catchAllCause((cause) =>
      Effect.fail(Option.getOrElse(Cause.failureOption(cause), () => broken(source)))
    ),
    Effect.matchEffect({
      onSuccess: () =>
        Effect.sync(() => {
          if (state.untold === grant) state.untold = undefined
          state.failure = undefined
        }),
      onFailure: (error) =>
        Effect.flatMap(elapsing, (now) => note(source, state, { error, grant, retryAt: now + pause }))
    })
  )

const note = (source: string, state: State, failure: Failure): Effect.Effect<void> =>
  Effect.suspend(() => {
    state.failure = failure
    return Effect.logWarning(
      `${source}: a new grant was not persisted by the callback.`,
      Cause.fail(failure.error)
    )
  })

const limit = Duration.seconds(10)

/** Milliseconds after a failure. */
const pause = 30_000

const failed = (source: string, reason: "Timeout" | "Interrupted", detail: string): TransientFailure =>
  new TransientFailure({
    source,
    reason,
    detail,
    hint: "Mend the persister; it is told again of the newest grant by a call 30 seconds later.",
    retryAt: undefined
  })

const tooSlow = (source: string): TransientFailure =>
  failed(source, "Timeout", `the persister did not end within ${Duration.format(limit)}`)

const broken = (source: string): TransientFailure => failed(source, "Interrupted", "the persister threw")

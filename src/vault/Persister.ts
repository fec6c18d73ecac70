/**
 * Tells a callback of each new grant, and tells it again until it has succeeded.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Grant from "../Grant.js"
import { TransientFailure } from "../TokenError.js"
import type { TokenError } from "../TokenError.js"
import type * as TokenStatus from "../TokenStatus.js"

/**
 * What stands between a source and the callback of its user. Nothing of it fails; one grant is told at a time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Persister {
  /** Tells of a grant; what was not told before is forgotten, because it is older. */
  readonly tell: (grant: Grant.Grant) => Effect.Effect<void>
  /** Tells again of what it failed to take. */
  readonly retry: Effect.Effect<void>
  /** The status with what it failed with. */
  readonly shown: (status: TokenStatus.TokenStatus) => TokenStatus.TokenStatus
}

/**
 * Told of a grant that is new. It may fail or throw, and has 10 seconds.
 *
 * @since 0.1.0
 * @category models
 */
export type Callback = (grant: Grant.Grant) => Effect.Effect<void, TokenError>

interface State {
  untold: Grant.Grant | undefined
  failure: TokenError | undefined
}

const nobody: Persister = { tell: () => Effect.void, retry: Effect.void, shown: (status) => status }

/**
 * Without a callback nothing is told. `source` is the name that errors and logs show.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeMake = (source: string, callback: Callback | undefined): Persister => {
  if (callback === undefined) return nobody
  const state: State = { untold: undefined, failure: undefined }
  const oneAtATime = Effect.unsafeMakeSemaphore(1).withPermits(1)
  const tell = oneAtATime(Effect.suspend(() => {
    const { untold } = state
    return untold === undefined ? Effect.void : tellOf(source, callback, state, untold)
  }))
  return {
    tell: (grant) =>
      Effect.suspend(() => {
        state.untold = grant
        return tell
      }),
    retry: Effect.suspend(() => state.untold === undefined ? Effect.void : tell),
    shown: (status) =>
      state.failure === undefined ? status : {
        ...status,
        health: status.health === "Healthy" ? "Degraded" : status.health,
        failure: status.failure ?? state.failure
      }
  }
}

const tellOf = (
  source: string,
  callback: Callback,
  state: State,
  grant: Grant.Grant
): Effect.Effect<void> =>
  Effect.suspend(() => callback(grant)).pipe(
    Effect.timeoutFail({ duration: limit, onTimeout: () => tooSlow(source) }),
    Effect.catchAllDefect(() => Effect.fail(broken(source))),
    Effect.matchEffect({
      onSuccess: () =>
        Effect.sync(() => {
          if (state.untold === grant) state.untold = undefined
          state.failure = undefined
        }),
      onFailure: (failure) => {
        state.failure = failure
        return Effect.logWarning(
          `${source}: a new grant was not persisted by the callback.`,
          Cause.fail(failure)
        )
      }
    })
  )

const limit = Duration.seconds(10)

const failed = (source: string, reason: "Timeout" | "Interrupted", detail: string): TransientFailure =>
  new TransientFailure({
    source,
    reason,
    detail,
    hint: "Mend the persister; it is told again of the newest grant at the next call.",
    retryAt: undefined
  })

const tooSlow = (source: string): TransientFailure =>
  failed(source, "Timeout", `the persister did not end within ${Duration.format(limit)}`)

const broken = (source: string): TransientFailure => failed(source, "Interrupted", "the persister threw")

/** Tells a persister of logins that were made outside of the source whose renewals it is told of. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Grant from "../../Grant.js"
import { TransientFailure } from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"
import type * as TokenStatus from "../../TokenStatus.js"

type Persister = (grant: Grant.Grant) => Effect.Effect<void, TokenError>

export interface News {
  /** For the source: what it tells of is newer than any login that was not told yet. */
  readonly persister: Persister | undefined
  /** Tells of a login; never fails, and takes 10 seconds at most. */
  readonly tell: (grant: Grant.Grant) => Effect.Effect<void>
  /** Tells again of what it failed to take. */
  readonly retry: Effect.Effect<void>
  /** The status with what it failed with. */
  readonly shown: (status: TokenStatus.TokenStatus) => TokenStatus.TokenStatus
}

interface Untold {
  readonly grant: Grant.Grant
  readonly failure: TokenError
}

export const unsafeMake = (source: string, persister: Persister | undefined): News => {
  if (persister === undefined) {
    return { persister, tell: () => Effect.void, retry: Effect.void, shown: (status) => status }
  }
  const state: { untold: Untold | undefined } = { untold: undefined }
  const oneAtATime = Effect.unsafeMakeSemaphore(1).withPermits(1)
  const tell = (grant: Grant.Grant): Effect.Effect<void> =>
    within(source, persister, grant).pipe(
      Effect.matchEffect({
        onSuccess: () => Effect.sync(() => void (state.untold = undefined)),
        onFailure: (failure) => {
          state.untold = { grant, failure }
          return Effect.logWarning(
            `${source}: a login was not persisted by the callback.`,
            Cause.fail(failure)
          )
        }
      })
    )
  return {
    persister: (grant) =>
      oneAtATime(Effect.suspend(() => {
        state.untold = undefined
        return persister(grant)
      })),
    tell: (grant) => oneAtATime(tell(grant)),
    retry: Effect.suspend(() =>
      state.untold === undefined
        ? Effect.void
        : oneAtATime(
          Effect.suspend(() => state.untold === undefined ? Effect.void : tell(state.untold.grant))
        )
    ),
    shown: (status) =>
      state.untold === undefined ? status : {
        ...status,
        health: status.health === "Healthy" ? "Degraded" : status.health,
        failure: status.failure ?? state.untold.failure
      }
  }
}

const within = (source: string, persister: Persister, grant: Grant.Grant): Effect.Effect<void, TokenError> =>
  Effect.suspend(() => persister(grant)).pipe(
    Effect.timeoutFail({
      duration: "10 seconds",
      onTimeout: () => failed(source, "Timeout", "the persister did not end within 10 seconds")
    }),
    Effect.catchAllDefect(() => Effect.fail(failed(source, "Interrupted", "the persister threw")))
  )

const failed = (source: string, reason: "Timeout" | "Interrupted", detail: string): TransientFailure =>
  new TransientFailure({
    source,
    reason,
    detail,
    hint: "Mend the persister; it is told again of the newest grant at the next call.",
    retryAt: undefined
  })

/** One at a time; who waited while one failed fails as it did, rather than try after it. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Runs that are alike. */
export type Join<E> = <A>(run: Effect.Effect<A, E>) => Effect.Effect<A, E>

/** The runs exclude each other, and whatever else the lock is around. One that was interrupted has not failed. */
export const make = <E>(lock: Effect.Semaphore): Join<E> => {
  const memory: Memory<E> = { failure: undefined }
  return (run) =>
    Effect.suspend(() => {
      const before = memory.failure
      return lock.withPermits(1)(Effect.suspend(() => {
        const { failure } = memory
        return failure === undefined || failure === before
          ? remember(memory, run)
          : Effect.failCause(failure.cause)
      }))
    })
}

interface Memory<E> {
  failure: { readonly cause: Cause.Cause<E> } | undefined
}

const remember = <A, E>(memory: Memory<E>, run: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  run.pipe(
    Effect.tap(() =>
      Effect.sync(() => {
        memory.failure = undefined
      })
    ),
    Effect.tapErrorCause((cause) =>
      Effect.sync(() => {
        if (!Cause.isInterrupted(cause)) memory.failure = { cause }
      })
    )
  )

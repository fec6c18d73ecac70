/** Single flight by turns: one effect a key at a time, and who waited while it failed fails with it. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { TokenError } from "../../TokenError.js"
import * as KeyedMutex from "./keyedMutex.js"

export interface Turns extends Pick<KeyedMutex.KeyedMutex, "withLock"> {
  /**
   * As `withLock`, but does not run the effect when another one of this memory has failed, or died, since this
   * call began to wait. One that was interrupted has not failed.
   */
  readonly join: (
    key: string,
    memory: Memory
  ) => <A, R>(self: Effect.Effect<A, TokenError, R>) => Effect.Effect<A, TokenError, R>
}

/** What those share who would all do the same. */
export interface Memory {
  failure: { readonly cause: Cause.Cause<TokenError> } | undefined
}

export const memory = (): Memory => ({ failure: undefined })

export const unsafeMake = (): Turns => {
  const { withLock } = KeyedMutex.unsafeMake()
  return {
    withLock,
    join: (key, memory) => (self) =>
      Effect.suspend(() => {
        const before = memory.failure
        return withLock(key)(Effect.suspend(() => {
          const { failure } = memory
          return failure === undefined || failure === before
            ? remember(memory, self)
            : Effect.failCause(failure.cause)
        }))
      })
  }
}

const remember = <A, R>(memory: Memory, self: Effect.Effect<A, TokenError, R>) =>
  self.pipe(
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

/** Single flight by turns: one effect a key at a time, and who waited while it failed fails with it. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { TokenError } from "../../TokenError.js"
import * as KeyedMutex from "./keyedMutex.js"

export interface Turns extends Pick<KeyedMutex.KeyedMutex, "withLock"> {
  /**
   * As `withLock`, but does not run the effect when another one has failed, or died, since this call began to
   * wait. One that was interrupted has not failed.
   */
  readonly join: (
    key: string
  ) => <A, R>(self: Effect.Effect<A, TokenError, R>) => Effect.Effect<A, TokenError, R>
}

interface Failure {
  readonly cause: Cause.Cause<TokenError>
}

export const unsafeMake = (): Turns => {
  const { withLock } = KeyedMutex.unsafeMake()
  const failures = new Map<string, Failure>()
  const remember = <A, R>(key: string, self: Effect.Effect<A, TokenError, R>) =>
    self.pipe(
      Effect.tap(() => Effect.sync(() => failures.delete(key))),
      Effect.tapErrorCause((cause) =>
        Effect.sync(() => {
          if (!Cause.isInterrupted(cause)) failures.set(key, { cause })
        })
      )
    )
  return {
    withLock,
    join: (key) => (self) =>
      Effect.suspend(() => {
        const before = failures.get(key)
        return withLock(key)(Effect.suspend(() => {
          const last = failures.get(key)
          return last === undefined || last === before ? remember(key, self) : Effect.failCause(last.cause)
        }))
      })
  }
}

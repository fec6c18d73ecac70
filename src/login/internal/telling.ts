/** How a login tells its prompt: a screen that hangs or dies must not hurt it. */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { TokenError } from "../../TokenError.js"
import type * as LoginPrompt from "../LoginPrompt.js"

/** How long a prompt is waited for. */
const limit = Duration.seconds(5)

/** Runs what a prompt does, for 5 seconds at most. Whatever comes of it, the login goes on. */
export const quickly = (told: Effect.Effect<unknown>): Effect.Effect<void> =>
  Effect.acquireUseRelease(
    Effect.forkDaemon(Effect.interruptible(told)),
    (fiber) => Effect.asVoid(Effect.timeoutOption(Effect.interruptible(Fiber.await(fiber)), limit)),
    (fiber) => Fiber.interruptFork(fiber)
  )

/** Tells the prompt how a login of this name ended, unless it succeeded. */
export const ended =
  (prompt: LoginPrompt.Service, source: string) =>
  <A, E extends TokenError, R>(login: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.onError(login, (cause) => quickly(prompt.progress(endOf(source, cause))))

const endOf = (source: string, cause: Cause.Cause<TokenError>): LoginPrompt.Progress => {
  const error = Cause.failureOption(cause)
  if (error._tag === "Some") {
    const { hint, reason } = error.value
    return { _tag: "Failed", source, reason, hint }
  }
  return Cause.isInterrupted(cause)
    ? { _tag: "Cancelled", source }
    : { _tag: "Failed", source, reason: "Defect", hint: "Look at the log of this program." }
}

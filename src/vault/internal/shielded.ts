/** Work that its caller can't stop. */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/**
 * Runs the effect to its end or to its deadline, whoever interrupts the caller meanwhile. A fiber that is
 * interrupted passes that on to its children even inside an uninterruptible region, so the work is on a fiber
 * that is nobody's child, and its clock runs there too. If the effect interrupts itself, that is the failure
 * `onInterrupt`.
 */
export const shielded = <A, E, E2>(
  self: Effect.Effect<A, E>,
  deadline: Duration.Duration,
  failure: { readonly onTimeout: () => E2; readonly onInterrupt: () => E2 }
): Effect.Effect<A, E | E2> =>
  self.pipe(
    Effect.timeoutFail({ duration: deadline, onTimeout: failure.onTimeout }),
    Effect.interruptible,
    Effect.forkDaemon,
    Effect.flatMap(Fiber.await),
    Effect.flatMap((exit) =>
      Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause) ? Effect.fail(failure.onInterrupt()) : exit
    ),
    Effect.uninterruptible
  )

/** Work on a fiber that is nobody's child, with a deadline. */
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

/**
 * Runs the effect to its deadline at most, even if it can't be interrupted and even where the caller can't
 * be; it then goes on by itself. A caller that can be interrupted leaves at once. For work that changes
 * nothing.
 */
export const bounded = <A, E, E2>(
  self: Effect.Effect<A, E>,
  deadline: Duration.Duration,
  onTimeout: () => E2
): Effect.Effect<A, E | E2> =>
  self.pipe(
    Effect.disconnect,
    Effect.timeoutFail({ duration: deadline, onTimeout }),
    Effect.interruptible,
    Effect.forkDaemon,
    Effect.flatMap((fiber) => Effect.onInterrupt(Fiber.join(fiber), () => Fiber.interruptFork(fiber)))
  )

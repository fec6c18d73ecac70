/**
 * The moments between two steps of work on a vault at which a machine can die. Programs leave this alone;
 * tests that kill a process, or stop a fiber for ever, at just such a moment reach it here.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"

/**
 * A moment, by the step that has just been done; those that end in `ing` are about to be done.
 *
 * @since 0.1.0
 * @category models
 */
export type Moment =
  | "lease.taken"
  | "lease.beating"
  | "lease.releasing"
  | "redeem.read"
  | "redeem.journaled"
  | "redeem.answered"
  | "redeem.stored"
  | "file.written"
  | "file.kept"
  | "file.replaced"

/**
 * What happens at a moment: nothing, unless a test says otherwise.
 *
 * @since 0.1.0
 * @category references
 */
export class CrashPoint extends Context.Reference<CrashPoint>()("effect-credentials/vault/CrashPoint", {
  defaultValue: (): (moment: Moment) => Effect.Effect<void> => () => Effect.void
}) {}

/**
 * Passes a moment.
 *
 * @since 0.1.0
 * @category combinators
 */
export const at = (moment: Moment): Effect.Effect<void> =>
  Effect.flatMap(CrashPoint, (happens) => happens(moment))

/**
 * Runs the effect with something that happens at each moment.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withCrashPoint: {
  (happens: (moment: Moment) => Effect.Effect<void>): <A, E, R>(
    self: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    happens: (moment: Moment) => Effect.Effect<void>
  ): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    happens: (moment: Moment) => Effect.Effect<void>
  ): Effect.Effect<A, E, R> => Effect.provideService(self, CrashPoint, happens)
)

/**
 * An effect whose success is remembered for a time.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constFalse } from "effect/Function"
import * as Ref from "effect/Ref"

interface State<A, E> {
  readonly held: { readonly value: A; readonly until: number } | undefined
  /** How often it ran, and what the last run gave if that was a failure. */
  readonly runs: number
  readonly failure: Exit.Exit<never, E> | undefined
}

/** How long an old value stands in after a failure before another run. */
const grace = 60_000

/**
 * Runs at most one at a time. Callers who waited for a run that failed get its failure rather than run in
 * turn; after a failure an older value goes on being given, unless the failure says that it is wrong; an
 * interrupted run leaves nothing behind.
 */
export const make = <A, E>(
  run: Effect.Effect<A, E>,
  remember: Duration.Duration,
  disproves: (error: E) => boolean = constFalse
): Effect.Effect<Effect.Effect<A, E>> =>
  Effect.zipWith(
    Ref.make<State<A, E>>({ held: undefined, runs: 0, failure: undefined }),
    Effect.makeSemaphore(1),
    (state, semaphore) => {
      const forget = Ref.update(state, (now) => ({ ...now, held: undefined }))
      const checked = Effect.tapError(run, (error) => disproves(error) ? forget : Effect.void)
      const attempt = Effect.flatMap(Effect.exit(checked), (exit) =>
        settle(state, exit, Duration.toMillis(remember)))
      return Effect.flatMap(Effect.zip(Clock.currentTimeMillis, Ref.get(state)), ([now, { held, runs }]) =>
        held !== undefined && now < held.until
          ? Effect.succeed(held.value)
          : semaphore.withPermits(1)(
            Effect.flatMap(Ref.get(state), (seen) =>
              seen.runs === runs ? attempt : answerOf(seen, attempt))
          ))
    }
  )

const answerOf = <A, E>(state: State<A, E>, otherwise: Effect.Effect<A, E>): Effect.Effect<A, E> => {
  if (state.failure !== undefined) return state.failure
  return state.held === undefined ? otherwise : Effect.succeed(state.held.value)
}

const settle = <A, E>(
  state: Ref.Ref<State<A, E>>,
  exit: Exit.Exit<A, E>,
  remember: number
): Effect.Effect<A, E> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) =>
      Effect.flatten(Ref.modify(state, ({ held, runs }): readonly [Effect.Effect<A, E>, State<A, E>] => {
        if (Exit.isSuccess(exit)) {
          return [exit, {
            held: { value: exit.value, until: now + remember },
            runs: runs + 1,
            failure: undefined
          }]
        }
        return held === undefined
          ? [exit, { held, runs: runs + 1, failure: Exit.failCause(exit.cause) }]
          : [Effect.succeed(held.value), {
            held: { value: held.value, until: now + grace },
            runs: runs + 1,
            failure: undefined
          }]
      }))
  )

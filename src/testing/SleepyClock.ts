/**
 * A clock whose wall time can jump while its timers go on, as on a machine that slept or whose time was
 * corrected.
 *
 * It stands on another clock, by default the one in force (under test, the `TestClock`). `currentTimeMillis`
 * is wall time: the other clock's plus all jumps, in Unix milliseconds. `currentTimeNanos` and `sleep` follow
 * the other clock alone: they are monotonic, as they are on a real machine, and no timer fires because of a
 * jump.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * A clock with hands to move.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service extends Clock.Clock {
  /** The machine sleeps for so long: wall time goes on, timers stand still. */
  readonly suspend: (duration: Duration.DurationInput) => Effect.Effect<void>
  /** Wall time is corrected by so many milliseconds, backwards when negative; timers don't notice. */
  readonly correct: (millis: number) => Effect.Effect<void>
  /** How far wall time is ahead of the clock below, in milliseconds. */
  readonly offset: Effect.Effect<number>
}

/**
 * The tag of the clock that `layer` sets, to move it.
 *
 * @since 0.1.0
 * @category tags
 */
export class SleepyClock
  extends Context.Tag("effect-credentials/testing/SleepyClock")<SleepyClock, Service>()
{}

/**
 * A clock on top of this one. What the clock below can do besides, such as the controls of a `TestClock`,
 * works on the new clock too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const on = (below: Clock.Clock): Service => {
  let offset = 0
  const move = (millis: number) => Effect.sync(() => void (offset += millis))
  const unsafeCurrentTimeMillis = () => below.unsafeCurrentTimeMillis() + offset
  const own: Service = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis,
    currentTimeMillis: Effect.sync(unsafeCurrentTimeMillis),
    unsafeCurrentTimeNanos: () => below.unsafeCurrentTimeNanos(),
    currentTimeNanos: below.currentTimeNanos,
    sleep: (duration) => below.sleep(duration),
    suspend: (duration) => move(Duration.toMillis(duration)),
    correct: move,
    offset: Effect.sync(() => offset)
  }
  return Object.assign(Object.create(below), own)
}

/**
 * A clock on top of the one in force.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service> = Clock.clockWith((below) => Effect.succeed(on(below)))

/**
 * Sets such a clock for everything that the Layer is provided to.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<SleepyClock> = Layer.unwrapEffect(
  Effect.map(make, (clock) => Layer.merge(Layer.succeed(SleepyClock, clock), Layer.setClock(clock)))
)

/** Counts what somebody elsewhere can bring about, so that it happens only so often within an hour. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"

export interface Hourly {
  /** Whether it may happen now; then it counts. */
  readonly take: Effect.Effect<boolean>
  /** Whether it may happen now. */
  readonly isLeft: Effect.Effect<boolean>
  /** Counts what has happened, whether it might or not. */
  readonly note: Effect.Effect<void>
  /** Forgets what was counted: a person has taken over. */
  readonly reset: Effect.Effect<void>
}

export const make = (most: number): Effect.Effect<Hourly> =>
  Effect.map(Ref.make<ReadonlyArray<number>>([]), (times) => {
    const isLeft = Effect.zipWith(
      Clock.currentTimeMillis,
      Ref.get(times),
      (now, all) => recent(all, now).length < most
    )
    const note = Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => Ref.update(times, (all) => [...recent(all, now), now])
    )
    return {
      take: Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Ref.modify(times, (all) => {
          const counted = recent(all, now)
          return counted.length < most ? [true, [...counted, now]] : [false, counted]
        })),
      isLeft,
      note,
      reset: Ref.set(times, [])
    }
  })

const hour = 60 * 60 * 1000

/** A time that lies ahead is from before the clock was set back. */
const recent = (times: ReadonlyArray<number>, now: number): ReadonlyArray<number> =>
  times.filter((at) => at > now - hour && at <= now)

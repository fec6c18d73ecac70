/**
 * When a device asks again (RFC 8628 §3.5), as a schedule.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import type { TokenError, TransientFailure } from "../../TokenError.js"

/** Why there is no answer yet. */
export type Wait =
  | { readonly _tag: "Pending" }
  | { readonly _tag: "SlowDown"; readonly interval: number | undefined }
  | Blip

/** The server could not be asked. */
export interface Blip {
  readonly _tag: "Blip"
  readonly error: TransientFailure
}

/** What the schedule decided. */
export interface Next {
  readonly wait: Wait
  /** Milliseconds that the server wants between two requests by now. */
  readonly interval: number
  /** Unix milliseconds of the next request. */
  readonly nextAt: number
}

export interface Options {
  /** In milliseconds. */
  readonly interval: number
  /** Unix milliseconds; the last request comes a second before. */
  readonly expiresAt: number
}

interface State {
  readonly interval: number
  readonly blips: number
}

const slowDown = 5_000

/** The longest interval that is taken from a server. */
const longestInterval = 5 * 60_000

/** How long before the end the last try comes. */
const lead = 1_000

/** What the back-off after lost answers grows to, unless the interval is longer. */
const longestBackoff = 60_000

/** When the first request comes: after the interval, but before the end. */
export const first = ({ expiresAt, interval }: Options, now: number): number =>
  now + Math.max(0, Math.min(interval, expiresAt - lead - now))

/**
 * Every `slow_down` adds five seconds for good, or more where the server names a longer interval. Lost answers double
 * the wait, up to a minute, until one arrives. Whatever the wait, the last try comes a second before the end: by then
 * there may be a decision.
 */
export const make = (options: Options): Schedule.Schedule<Next, Wait> =>
  Schedule.makeWithState<State, Wait, Next>({ interval: options.interval, blips: 0 }, (now, wait, state) => {
    const interval = wait._tag === "SlowDown" ? slower(state.interval, wait.interval) : state.interval
    const blips = wait._tag === "Blip" ? state.blips + 1 : 0
    const last = options.expiresAt - lead
    const wanted = wait._tag === "Blip"
      ? Math.max(now + backoff(interval, blips), wait.error.retryAt ?? 0)
      : now + interval
    const nextAt = Math.min(wanted, last)
    return Effect.succeed([
      { interval, blips },
      { wait, interval, nextAt },
      now < last
        ? ScheduleDecision.continueWith(ScheduleInterval.after(nextAt))
        : ScheduleDecision.done
    ])
  })

const slower = (interval: number, told: number = 0): number =>
  Math.max(interval + slowDown, Math.min(told, longestInterval))

const backoff = (interval: number, blips: number): number =>
  Math.min(interval * 2 ** Math.min(blips, 10), Math.max(interval, longestBackoff))

/** Asks again, for so long, while the server can't be asked; for a request that does nothing that lasts. */
export const outlasting = <A, E extends TokenError>(
  request: Effect.Effect<A, E>,
  duration: Duration.Duration,
  told: (next: Next) => Effect.Effect<void>
): Effect.Effect<A, E | TransientFailure> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const times = { interval: 1_000, expiresAt: now + Duration.toMillis(duration) }
    return Effect.either(request).pipe(
      Effect.flatMap((answer) =>
        Either.isLeft(answer) && isOutage(answer.left)
          ? Effect.fail<Blip>({ _tag: "Blip", error: answer.left })
          : Effect.succeed(answer)
      ),
      Effect.retry(Schedule.tapOutput(make(times), told)),
      Effect.mapError(({ error }) => error),
      Effect.flatten
    )
  })

/** Not an answer that can't be read: asked again, the server mostly says the same. */
const isOutage = (error: TokenError): error is TransientFailure =>
  error._tag === "TransientFailure" && error.reason !== "MalformedAnswer"

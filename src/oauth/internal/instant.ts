/**
 * Instants as servers write them that tell when something ends rather than how long it lasts.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Seconds from "./seconds.js"

const tenYears = 10 * 365 * 24 * 60 * 60 * 1000

/** Below this a number can't be Unix milliseconds of any token: it would be a day of 1973. */
const leastMillis = 1e11

/**
 * How long until then, in milliseconds, as of `now` on the server's clock; none when it is missing, not a
 * number, past, or more than ten years ahead. Unix milliseconds, or by its size Unix seconds or seconds from now.
 */
export const lifetime = (input: unknown, now: number): Option.Option<number> =>
  Option.filter(
    Option.map(Seconds.decode(input), (value) => until(value, now)),
    (lifetime) => lifetime >= 1 && lifetime <= tenYears
  )

const until = (value: number, now: number): number => {
  if (value >= leastMillis) return value - now
  return value * 1000 <= tenYears ? value * 1000 : value * 1000 - now
}

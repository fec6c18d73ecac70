/**
 * Lifetimes as servers write them: seconds, as a number or as text, or nonsense.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const tenYears = 10 * 365 * 24 * 60 * 60

const numeric = Schema.Trim.pipe(Schema.pattern(/^\d{1,20}(\.\d{1,20})?$/), Schema.parseNumber)

/** A number or the text of one; neither NaN nor infinite. */
const Seconds = Schema.Union(Schema.Number, numeric).pipe(Schema.finite())

const Lifetime = Seconds.pipe(Schema.between(0.001, tenYears))

/** Any finite number of seconds. */
export const decode: (input: unknown) => Option.Option<number> = Schema.decodeUnknownOption(Seconds)

/**
 * A lifetime in milliseconds; none when it is missing, not a number, under one of them, or above ten years.
 */
export const lifetime = (input: unknown): Option.Option<number> =>
  Option.map(decodeLifetime(input), (seconds) => seconds * 1000)

const decodeLifetime = Schema.decodeUnknownOption(Lifetime)

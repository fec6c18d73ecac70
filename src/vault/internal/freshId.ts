/** Names for new files. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/**
 * Different for each call; files are created exclusively, so a repetition costs another try and nothing else.
 */
export const freshId: Effect.Effect<string> = Effect.zipWith(
  Clock.currentTimeMillis,
  Random.nextIntBetween(0, 2 ** 31),
  (now, random) => `${now.toString(36)}-${random.toString(36)}`
)

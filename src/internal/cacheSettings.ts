/**
 * What a cache is told about itself.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as RefreshPolicy from "../RefreshPolicy.js"

/** The options of `TokenCache`, which documents them. They are read when needed: a cache has to be small. */
export interface Settings {
  readonly policy?: RefreshPolicy.RefreshPolicy | undefined
  readonly schedule?: "background" | "onUse" | undefined
  readonly idle?: Duration.DurationInput | undefined
  readonly timeLimit?: Duration.DurationInput | undefined
  readonly statistics?: Effect.Effect<RefreshPolicy.Statistics> | undefined
}

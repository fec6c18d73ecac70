/**
 * What a cache is told about itself: the options of `TokenCache`. They are read when needed, since a cache has to be
 * small.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as RefreshPolicy from "../RefreshPolicy.js"

/** How a cache behaves. */
export interface Settings {
  /** When renewals start and how failures space out. Default `RefreshPolicy.standard`. */
  readonly policy?: RefreshPolicy.RefreshPolicy | undefined
  /**
   * `background`: renewed by the scheduler whether it is used or not, once it has been used. `onUse`: a use inside the
   * window starts the renewal. Either way nobody waits while the old token is valid. Default `background`.
   */
  readonly schedule?: "background" | "onUse" | undefined
  /** With `background`: stop renewing when there was no use for so long; the next use starts again. Default never. */
  readonly idle?: Duration.DurationInput | undefined
  /** How long one fetch may take before its callers get a `Timeout`. Default: what the source below says. */
  readonly timeLimit?: Duration.DurationInput | undefined
  /** What an adaptive policy looks at. Default: what the cache has seen of its own renewals and uses. */
  readonly statistics?: Effect.Effect<RefreshPolicy.Statistics> | undefined
}

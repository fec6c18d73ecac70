/**
 * A login that needs nobody: a program has at hand whatever the server asks for. Whoever keeps grants can use it in
 * the place of one that asks a person, as it has the shape of `login/Login`.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Grant } from "../Grant.js"
import type { Misconfigured, RequestRejected, TokenError, TransientFailure } from "../TokenError.js"

/**
 * Asks the server for a whole grant, of which the access token is a part.
 *
 * @since 0.1.0
 * @category models
 */
export interface UnattendedLogin<out E extends TokenError = UnattendedError> {
  /** The name that errors show. */
  readonly name: string
  /**
   * Asks anew each time. Can be interrupted; run it by `Grant.keeping` where a grant that has arrived must not be
   * lost.
   */
  readonly login: Effect.Effect<Grant, E>
  /** How long one login may rightly take. */
  readonly timeLimit: Duration.Duration
}

/**
 * What such a login can fail with. There is nobody who could log in again: what the server refuses for good is how
 * the program is set up, so it is `Misconfigured`.
 *
 * @since 0.1.0
 * @category errors
 */
export type UnattendedError = TransientFailure | RequestRejected | Misconfigured

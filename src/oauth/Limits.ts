/**
 * How long and how large an exchange with an authorization server may be.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

/**
 * The limits of one request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  /** How long one request and its answer may take. Default 15 seconds. */
  readonly requestTimeLimit?: Duration.DurationInput | undefined
  /** How many bytes of an answer are read, after decompression. Default 1 MiB. */
  readonly maxResponseBytes?: number | undefined
}

/**
 * How long and how large an exchange with an authorization server may be.
 *
 * The HttpClient must not follow redirects: they carry secrets elsewhere. The one built on fetch is told
 * not to; one that is wrapped in `HttpClient.followRedirects` fails with `InsecureUrl` where a server answers
 * with a redirect; one that follows unseen, in a layer of its own, can't be stopped here.
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
  /**
   * How long one request and its answer may take. Default 15 seconds, and 30 seconds to renew a grant. Before
   * that, waiting for the server's metadata may take as long as is given here, but at least 20 seconds.
   */
  readonly requestTimeLimit?: Duration.DurationInput | undefined
  /** How many bytes of an answer are read, after decompression. Default 1 MiB. */
  readonly maxResponseBytes?: number | undefined
}

/**
 * What all grants have in common: the server, the client, and how the answer of a token endpoint is read.
 * The HttpClient must not follow redirects.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Misconfigured, ReauthRequired, RequestRejected, TransientFailure } from "../TokenError.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import type { Client } from "./Client.js"
import type { Dialect } from "./Dialect.js"
import type { Setting } from "./Dpop.js"
import type { Limits } from "./Limits.js"

/**
 * The options that every grant takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Limits {
  readonly server: AuthorizationServer
  readonly client: Client
  /** The name that errors, status and spans show. Default: the grant and the server's host. */
  readonly name?: string | undefined
  /**
   * How long a token counts as valid whose `expires_in` is missing or no lifetime: not a number, not
   * positive, or above ten years. Default 1 hour; `Duration.infinity` says that such tokens never expire.
   */
  readonly defaultLifetime?: Duration.DurationInput | undefined
  /**
   * Which text fields of the answer beside the standard ones are kept in `Grant.extra`, of up to 2048
   * characters each; at most 50. Never name a secret.
   */
  readonly keep?: ReadonlyArray<string> | undefined
  /**
   * Further fields of each token request. Those of the protocol itself, such as `scope` or `resource`, have
   * options of their own and are refused here.
   */
  readonly parameters?: Parameters | undefined
  /**
   * Whether tokens are bound to a key, so that whoever copies one can't use it (RFC 9449). `true` makes a new
   * key for each login, a private JWK as JSON text is used as it is; the key is kept with the grant. A server
   * that gives a token which is not bound is then `Misconfigured`, but for a renewal with a new refresh token: so
   * as not to lose that, the token is given as it is, of the type `Bearer`. A grant that is bound already is
   * renewed with its own key, whatever is said here. Default false.
   */
  readonly dpop?: Setting | undefined
  /** How the server departs from the standard. Default: not at all. */
  readonly dialect?: Dialect | undefined
}

/**
 * Fields of a request; a list is sent as one field for each of its items.
 *
 * @since 0.1.0
 * @category models
 */
export type Parameters = Readonly<Record<string, string | ReadonlyArray<string>>>

/**
 * What asking for a grant can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type GrantError = TransientFailure | ReauthRequired | RequestRejected | Misconfigured

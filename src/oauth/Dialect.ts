/**
 * How the token endpoint of a server departs from the standard, as data. What a server says in its dialect is
 * translated before it is read, so that the limits and checks are the same for all.
 *
 * @since 0.1.0
 */

/**
 * The departures of any grant (RFC 6749 §4 and §5). What is left out is as the standard has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dialect {
  /** Which requests are written in JSON rather than as a form, a field that comes more than once as a list. Default none. */
  readonly json?: ReadonlyArray<"token" | "revocation"> | undefined
  /**
   * The field that tells the instant at which the token expires, in Unix milliseconds of the server's clock.
   * A number that is too small for that is taken for Unix seconds, and one that is too small for these for
   * seconds from now on. Default: there is none, and `expires_in` tells the lifetime in seconds.
   */
  readonly expiresAt?: string | undefined
  /** Whether the scopes of a token are told with commas between them. Default false. */
  readonly commaScopes?: boolean | undefined
  /**
   * The field that tells how a request went, whatever the HTTP status: `success`, `error`, or anything else
   * while a person has not decided yet. Default: there is none.
   */
  readonly status?: string | undefined
  /**
   * The error codes beside `invalid_grant` by which it refuses a refresh token that has ended. Default: those that
   * say so by their names, such as `refresh_token_expired`.
   */
  readonly endedBy?: ReadonlyArray<string> | undefined
  /** Whether each request carries a random `x-request-id`. Default false. */
  readonly requestIds?: boolean | undefined
  /**
   * How the server is told who a token is for (RFC 8707). `resource`: as a resource indicator; an `audience` goes
   * beside it. `audience`: a resource goes as `audience`. `none`: neither goes, for servers that fail over it and
   * have the scopes say it; what was asked for is kept with the grant all the same. Default `resource`.
   */
  readonly target?: "resource" | "audience" | "none" | undefined
  /**
   * Fields that the request which starts a login needs, though their names are the protocol's own, such as
   * `response_type`. Default none.
   */
  readonly start?: Readonly<Record<string, string>> | undefined
  /** Whether an authorization code is redeemed together with its `state`. Default false. */
  readonly redeemsState?: boolean | undefined
}

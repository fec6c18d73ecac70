/**
 * The refresh token grant (RFC 6749 §6). This is the one place that redeems a refresh token.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import * as Grant from "../Grant.js"
import type { Misconfigured } from "../TokenError.js"
import { ReauthRequired } from "../TokenError.js"
import * as Failure from "./internal/failure.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import type * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends TokenEndpoint.Options {
  /**
   * The scopes to ask for. Only those of them that the grant already has are sent, and nothing where it isn't
   * known which it has. Default: nothing is sent, and the server keeps the scopes as they are.
   */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Who the token is for (RFC 8707). Default: `resource` of `Grant.extra`, if the grant has it. */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** Who the token is for, as servers that don't know resource indicators call it. */
  readonly audience?: string | undefined
}

/**
 * Redeems the refresh token of a grant and gives what is held from then on. The server may have spent the old
 * refresh token even where this fails, and interruption doesn't take a request back: whoever calls it
 * persists the new grant before anybody sees it, and lets nobody else redeem meanwhile.
 *
 * @since 0.1.0
 * @category models
 */
export type Redeem = (grant: Grant.Grant) => Effect.Effect<Grant.Grant, TokenEndpoint.GrantError>

/**
 * A function that redeems. Fails when the client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Redeem, Misconfigured, HttpClient.HttpClient> =>
  Effect.map(Endpoint.make("refresh", options), (endpoint) => (grant) => {
    const refreshToken = grant.refreshToken === undefined ? "" : Redacted.value(grant.refreshToken)
    return refreshToken === ""
      ? Effect.fail(nothingToRedeem(endpoint.source))
      : Effect.map(redeem(endpoint, options, grant, refreshToken), (renewed) => Grant.renew(grant, renewed))
  })

const redeem = (
  endpoint: Endpoint.TokenEndpoint,
  { audience, parameters, resource, scopes }: Options,
  grant: Grant.Grant,
  refreshToken: string
): Effect.Effect<Grant.Grant, TokenEndpoint.GrantError> =>
  endpoint.exchange({
    grant: "refresh_token",
    request: ({ auth, client, server }, options) =>
      oauth.refreshTokenGrantRequest(server, client, auth, refreshToken, {
        ...options,
        additionalParameters: Endpoint.fields(parameters, {
          scope: Endpoint.scope(narrowed(scopes, grant)),
          resource: resource ?? Endpoint.remembered(grant),
          audience
        })
      })
  }).pipe(Effect.catchTag("Refusal", (refusal) => Effect.fail(Failure.ofRefusal(refusal))))

const narrowed = (
  scopes: ReadonlyArray<string> | undefined,
  grant: Grant.Grant
): ReadonlyArray<string> | undefined => scopes?.filter((scope) => grant.token.scopes.includes(scope))

const nothingToRedeem = (source: string): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "NoRefreshToken",
    detail: "the grant holds no refresh token",
    hint: "Log in again; ask for offline access to get a refresh token."
  })

/**
 * The client credentials grant: a client's tokens for itself (RFC 6749 §4.4).
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import type { Misconfigured, RequestRejected, TransientFailure } from "../TokenError.js"
import * as TokenSource from "../TokenSource.js"
import * as Target from "./internal/target.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import * as Unattended from "./internal/unattended.js"
import type * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends TokenEndpoint.Options {
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Who the token is for, as a resource indicator (RFC 8707). */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** Who the token is for, as servers that don't know resource indicators call it. */
  readonly audience?: string | undefined
}

/**
 * What getting a token this way can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type ClientCredentialsError = TransientFailure | RequestRejected | Misconfigured

/**
 * A source that asks the server for a new token on every request; `TokenCache.cached` makes it remember. Bound
 * tokens of one source are all bound to the same key.
 * Fails when the client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<TokenSource.TokenSource<ClientCredentialsError>, Misconfigured, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const endpoint = yield* Endpoint.make("client credentials", options)
    const proofKey = yield* endpoint.proofKey
    const fetch = Effect.map(fetchGrant(endpoint, options, proofKey), (grant) => grant.token)
    return TokenSource.make({ name: endpoint.source, timeLimit: endpoint.timeLimit, request: () => fetch })
  })

const fetchGrant = (
  endpoint: Endpoint.TokenEndpoint,
  options: Options,
  proofKey: Redacted.Redacted<string> | undefined
) =>
  endpoint.exchange({
    grant: "client_credentials",
    proofKey,
    request: ({ auth, client, server }, requestOptions) =>
      oauth.clientCredentialsGrantRequest(
        server,
        client,
        auth,
        Endpoint.fields(
          options.parameters,
          { scope: Endpoint.scope(options.scopes) },
          Target.fields(options.dialect, options)
        ),
        requestOptions
      )
  }).pipe(Unattended.settled("Check the client's credentials and that it may use this grant."))

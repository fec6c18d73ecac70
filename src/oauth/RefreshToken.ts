/**
 * The refresh token grant (RFC 6749 §6). This is the one place that redeems a refresh token.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import * as Grant from "../Grant.js"
import type { Misconfigured } from "../TokenError.js"
import { ReauthRequired, RequestRejected } from "../TokenError.js"
import * as IdToken from "./IdToken.js"
import * as Failure from "./internal/failure.js"
import * as Scopes from "./internal/scopes.js"
import * as Target from "./internal/target.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import type { Limits } from "./Limits.js"
import type * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends TokenEndpoint.Options {
  /**
   * The scopes to ask for. Only those of them that were granted are sent, and nothing where it isn't known
   * which were; if none of them was, it fails with `InvalidScope` and spends nothing. What was granted is not
   * forgotten when less is asked for: it is kept as `granted_scope` in `Grant.extra`. Default: nothing is
   * sent, and the server keeps the scopes as they are.
   */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Who the token is for (RFC 8707). Default: `resource` of `Grant.extra`, if the grant has it. */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /**
   * Who the token is for, as servers that don't know resource indicators call it. Default: `audience` of
   * `Grant.extra`, if the grant has it.
   */
  readonly audience?: string | undefined
}

/**
 * Redeems the refresh token of a grant and gives what is held from then on. The server may have spent the old
 * refresh token even where this fails, and interruption doesn't take a request back: whoever calls it
 * persists the new grant before anybody sees it, and lets nobody redeem meanwhile. Where the answer holds
 * a new refresh token but no usable access token, the grant has one that is empty and expired. By default it
 * takes 50 seconds at most: 20 for the server's metadata, before anything is spent, then 30 for the request; see
 * `timeLimit` for what keys make of that.
 * Any refusal of the grant is `ReauthRequired` with `GrantRejected`, and so is a renewed grant whose ID token is about
 * another person than the old one's (OpenID Connect Core §12.2).
 *
 * A grant that is bound to a key is redeemed with that key, whatever `dpop` says, and one without is bound from
 * now on if `dpop` is on. A server's nonce has to be known before: it may spend the refresh token and then
 * refuse the proof for want of one. Where none is known that was told within the last minute, a refresh token
 * that was never given is redeemed first, of which only the answer's headers count, and which takes 10 seconds
 * at most. A server that tells no nonce then is not asked again. A demand that comes all the same is met once,
 * with the same refresh token.
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
  Effect.map(Endpoint.make("refresh", options, limits), (endpoint) => (grant) => {
    const refreshToken = grant.refreshToken === undefined ? "" : Redacted.value(grant.refreshToken)
    if (refreshToken === "") return Effect.fail(nothingToRedeem(endpoint.source))
    const asked = Scopes.toAsk(options.scopes, grant)
    return asked?.length === 0
      ? Effect.fail(notGranted(endpoint.source))
      : redeem(endpoint, options, { asked, grant, refreshToken }).pipe(
        Effect.filterOrFail(
          (renewed) => IdToken.sameUser(grant, renewed),
          () => otherUser(endpoint.source)
        ),
        Effect.map((renewed) => Grant.renew(grant, Scopes.within(grant, asked, renewed)))
      )
  })

/**
 * How long one redemption may rightly take, for the `deadline` of whoever stores grants: 50 seconds by default, 30 more
 * for a client that signs, and 2 minutes for a grant that is bound to a key. Without a grant, for any of them: one that
 * is stored may be bound, whatever `dpop` says now.
 *
 * @since 0.1.0
 * @category getters
 */
export const timeLimit = (options: Options, grant?: Grant.Grant): Duration.Duration =>
  Endpoint.timeLimitOf({ ...options, dpop: grant === undefined ? true : options.dpop }, limits, {
    spends: true,
    proofKey: grant?.token.proofKey
  })

/** A lost answer may be a lost login, so it waits longer than others. */
const limits: Limits = { requestTimeLimit: Duration.seconds(30) }

interface Redemption {
  readonly grant: Grant.Grant
  readonly refreshToken: string
  readonly asked: ReadonlyArray<string> | undefined
}

const redeem = (
  endpoint: Endpoint.TokenEndpoint,
  { audience, dialect, parameters, resource }: Options,
  { asked, grant, refreshToken }: Redemption
): Effect.Effect<Grant.Grant, TokenEndpoint.GrantError> => {
  const kept = Target.remembered(grant)
  const target = { resource: resource ?? kept.resource, audience: audience ?? kept.audience }
  return endpoint.exchange({
    grant: "refresh_token",
    spends: refreshToken,
    proofKey: grant.token.proofKey,
    request: ({ auth, client, server }, options) =>
      oauth.refreshTokenGrantRequest(server, client, auth, refreshToken, {
        ...options,
        additionalParameters: Endpoint.fields(
          parameters,
          { scope: Endpoint.scope(asked) },
          Target.fields(dialect, target)
        )
      })
  }).pipe(Effect.catchTag("Refusal", (refusal) => Effect.fail(ofRefusal(refusal))))
}

/** Nobody is asked here: whatever was refused for good is the grant. */
const ofRefusal = (refusal: Failure.Refusal): TokenEndpoint.GrantError => {
  const error = Failure.ofRefusal(refusal)
  return error._tag === "ReauthRequired"
    ? new ReauthRequired({
      source: error.source,
      reason: "GrantRejected",
      detail: error.detail,
      hint: "Log in again."
    })
    : error
}

const notGranted = (source: string): RequestRejected =>
  new RequestRejected({
    source,
    reason: "InvalidScope",
    detail: "none of the scopes was granted",
    hint: "Ask for scopes that are granted, or log in again with these."
  })

/** What came back must not be used, and the old refresh token is probably spent. */
const otherUser = (source: string): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "GrantRejected",
    detail: "the ID token of the renewed grant is about somebody else",
    hint: "Log in again, and report it to whoever runs the server."
  })

const nothingToRedeem = (source: string): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "NoRefreshToken",
    detail: "the grant holds no refresh token",
    hint: "Log in again; ask for offline access to get a refresh token."
  })

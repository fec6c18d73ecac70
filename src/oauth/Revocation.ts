/**
 * Revocation (RFC 7009): tells the server that a grant or a token is not needed any more.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import * as oauth from "oauth4webapi"
import type { Grant } from "../Grant.js"
import * as Token from "../Token.js"
import type { Misconfigured, TransientFailure } from "../TokenError.js"
import { RequestRejected } from "../TokenError.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import type { Client } from "./Client.js"
import type { Dialect } from "./Dialect.js"
import * as Body from "./internal/body.js"
import * as Failure from "./internal/failure.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import type * as Transport from "./internal/transport.js"
import * as Unattended from "./internal/unattended.js"
import type { Limits } from "./Limits.js"
import type { UnattendedError } from "./UnattendedLogin.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Limits {
  readonly server: AuthorizationServer
  /** The client that the tokens were given to, with the same way to authenticate. */
  readonly client: Client
  /** The name that errors and spans show. Default: `revocation` and the server's host. */
  readonly name?: string | undefined
  /** How the server departs from the standard. Default: not at all. */
  readonly dialect?: Dialect | undefined
}

/**
 * What the server says of a token beside it, so that it finds it sooner.
 *
 * @since 0.1.0
 * @category models
 */
export type Hint = "access_token" | "refresh_token"

/**
 * What revoking can fail with. Whatever fails, the token has to be taken for alive.
 *
 * @since 0.1.0
 * @category errors
 */
export type RevocationError = UnattendedError

/**
 * Revokes for one client. Each request can be repeated without harm, and is: at most twice, where the server is busy
 * or can't be reached, after what its `Retry-After` says if that is at most 10 seconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Revocation {
  readonly name: string
  /** How long `revoke` may rightly take. */
  readonly timeLimit: Duration.Duration
  /** Whether the server says where to revoke. */
  readonly isOffered: Effect.Effect<boolean, TransientFailure | Misconfigured>
  /**
   * Revokes the refresh token, and then the access token, unless that has expired: few servers end the one with the
   * other. Both are tried whatever becomes of the first, and the first failure is given. That a server revokes no
   * access tokens counts as no failure where it has revoked the refresh token. `Misconfigured` where the server
   * doesn't offer it.
   */
  readonly revoke: (grant: Grant) => Effect.Effect<void, RevocationError>
  /** Revokes an access token. */
  readonly revokeToken: (token: Token.Token) => Effect.Effect<void, RevocationError>
  /** Revokes whatever this is. A token that the server doesn't know counts as revoked (RFC 7009 §2.2). */
  readonly revokeSecret: (
    secret: Redacted.Redacted<string>,
    hint?: Hint
  ) => Effect.Effect<void, RevocationError>
}

/**
 * The revocation endpoint for one client. Fails when the client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Revocation, Misconfigured, HttpClient.HttpClient> =>
  Effect.map(Endpoint.make("revocation", options), (endpoint) => {
    const attempt: Attempt = (secret, hint) => Effect.retry(revokeOnce(endpoint, secret, hint), again)
    const revokeSecret: Revocation["revokeSecret"] = (secret, hint) =>
      Effect.filterOrFail(attempt(secret, hint), identity, () => unsupported(endpoint.source)).pipe(
        Effect.asVoid
      )
    return {
      name: endpoint.source,
      timeLimit: Duration.times(Duration.sum(endpoint.timeLimit, longestWait), 2 * (mostRepeats + 1)),
      isOffered: Effect.map(endpoint.party, ({ server }) => server.revocation_endpoint !== undefined),
      revoke: (grant) => revokeGrant(endpoint.source, attempt, grant),
      revokeToken: (token) => revokeSecret(token.value, "access_token"),
      revokeSecret
    }
  })

/** Revokes, and tells whether the server does that with tokens of this kind at all. */
type Attempt = (
  secret: Redacted.Redacted<string>,
  hint: Hint | undefined
) => Effect.Effect<boolean, RevocationError>

const revokeOnce = (
  endpoint: Endpoint.TokenEndpoint,
  secret: Redacted.Redacted<string>,
  hint: Hint | undefined
): Effect.Effect<boolean, RevocationError> =>
  endpoint.ask({
    span: "oauth.revocation",
    endpoint: "revocation_endpoint",
    request: ({ auth, client, server }, requestOptions) =>
      oauth.revocationRequest(server, client, auth, Redacted.value(secret), {
        ...requestOptions,
        additionalParameters: Endpoint.fields({ token_type_hint: hint ?? [] })
      }),
    decode: (answer) => decode(endpoint, answer)
  }).pipe(
    Effect.catchIf(
      (error) => error._tag === "Refusal" && error.code === "unsupported_token_type",
      () => Effect.succeed(false)
    ),
    Unattended.settled("Check the client's credentials, and that the token was given to this client.")
  )

/** Some servers refuse a token that has ended by itself, which is what was wanted. */
const decode = (
  { authenticates, source }: Endpoint.TokenEndpoint,
  answer: Transport.Answer
): Effect.Effect<boolean, Failure.Refusal | TransientFailure> =>
  answer.status === 400 && Body.errorCode(answer.text) === "invalid_token"
    ? Effect.succeed(true)
    : Effect.as(Failure.ofAnswer(source, answer, authenticates), true)

const revokeGrant: (
  source: string,
  attempt: Attempt,
  grant: Grant
) => Effect.Effect<void, RevocationError> = Effect.fnUntraced(function*(source, attempt, grant) {
  const { refreshToken, token } = grant
  const now = yield* Clock.currentTimeMillis
  const isAlive = !Token.isExpired(token, now) && Redacted.value(token.value) !== ""
  const refresh = refreshToken && (yield* Effect.exit(attempt(refreshToken, "refresh_token")))
  const access = isAlive ? yield* Effect.exit(attempt(token.value, "access_token")) : undefined
  yield* refresh ?? Effect.void
  yield* access ?? Effect.void
  if (isUnsupported(refresh) || refresh === undefined && isUnsupported(access)) {
    return yield* unsupported(source)
  }
})

const isUnsupported = (exit: Exit.Exit<boolean, RevocationError> | undefined): boolean =>
  exit !== undefined && Exit.isSuccess(exit) && !exit.value

const mostRepeats = 2

const longestWait = Duration.seconds(10)

/** After half a second, then after one; later where the server says so, not at all where that is too late. */
const again: Schedule.Schedule<number, RevocationError> = Schedule.makeWithState(
  0,
  (now, error: RevocationError, repeats) => {
    const wait = Math.max(
      500 * 2 ** repeats,
      error._tag === "TransientFailure" ? (error.retryAt ?? 0) - now : 0
    )
    const isWorthIt = isPassing(error) && repeats < mostRepeats && wait <= Duration.toMillis(longestWait)
    return Effect.succeed([
      repeats + 1,
      repeats,
      isWorthIt ? ScheduleDecision.continueWith(ScheduleInterval.after(now + wait)) : ScheduleDecision.done
    ])
  }
)

/** A server that hangs is not asked again: somebody waits. */
const isPassing = ({ reason }: RevocationError): boolean =>
  reason === "ServerError" || reason === "RateLimited" || reason === "Network" || reason === "ReplyLost"

const unsupported = (source: string): RequestRejected =>
  new RequestRejected({
    source,
    reason: "InvalidRequest",
    detail: "the authorization server does not revoke tokens of this kind",
    hint: "Let it expire, or end the session where the server lists it."
  })

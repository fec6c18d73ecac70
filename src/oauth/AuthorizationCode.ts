/**
 * The authorization code grant with PKCE (RFC 6749 §4.1, RFC 7636): a person logs in with a browser, which comes back
 * with a code. Where it comes back to, and how the browser is opened, is not the business of this module.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import type { Grant } from "../Grant.js"
import type { Misconfigured } from "../TokenError.js"
import * as IdToken from "./IdToken.js"
import * as Callback from "./internal/authorizationCallback.js"
import * as AuthorizationRequest from "./internal/authorizationRequest.js"
import * as Failure from "./internal/failure.js"
import * as LoginIdToken from "./internal/loginIdToken.js"
import * as Target from "./internal/target.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import type * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends TokenEndpoint.Options {
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Who the token is for (RFC 8707); kept as `resource` in `Grant.extra`, so that renewals say it again. */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /**
   * Who the token is for, as servers that don't know resource indicators call it; kept as `audience` in
   * `Grant.extra`, so that renewals say it again.
   */
  readonly audience?: string | undefined
  /** Further fields of the request that the browser carries, such as `login_hint` or `access_type`. */
  readonly authorizationParameters?: TokenEndpoint.Parameters | undefined
  /**
   * Whether `offline_access` is asked for too. Default: where some scopes are asked for and the server lists it.
   * With `true` it always is, and the person is asked for consent as well (`prompt=consent`), without which strict
   * servers give no refresh token (OpenID Connect Core §11), unless `authorizationParameters` has a `prompt`; an
   * empty one is not sent. That asks at each login, and at servers where people may not consent themselves, as in many
   * organizations with Microsoft Entra ID, nobody gets in who could without it: have `offline_access` among the scopes
   * there, or an empty `prompt`.
   */
  readonly offlineAccess?: boolean | undefined
  /**
   * Whether the request goes to the server directly instead of through the browser (RFC 9126). Default: where the
   * server requires it, which `false` doesn't change.
   */
  readonly pushed?: boolean | undefined
  /**
   * Whether the server has to say in its metadata that it knows PKCE with `S256`, as the Model Context Protocol
   * demands it; PKCE is used in any case. Default false.
   */
  readonly requirePkce?: boolean | undefined
  /**
   * How long ago the person may have proved who they are (`max_age`), in whole seconds; `Duration.infinity` asks for
   * nothing. Needs an ID token.
   */
  readonly maxAge?: Duration.DurationInput | undefined
  /**
   * What happens to ID tokens: `verify` demands one and fails the login where it doesn't hold; `ignore` throws it
   * away unread. Default: `verify` where `openid` is among the scopes, else `ignore`.
   */
  readonly idToken?: "verify" | "ignore" | undefined
}

/**
 * One login that was begun. It is good for one callback and one exchange.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempt {
  /** Where the browser goes. */
  readonly url: string
  readonly redirectUri: string
  /** What the callback has to bring back. */
  readonly state: Redacted.Redacted<string>
  /** Until when the browser has to be there, in Unix milliseconds, where the request was pushed. */
  readonly expiresAt: number | undefined
  readonly codeVerifier: Redacted.Redacted<string>
  /** What the ID token has to name, where one is asked for. */
  readonly nonce: Redacted.Redacted<string> | undefined
  /** The private key that the token will be bound to, where it will be. */
  readonly proofKey: Redacted.Redacted<string> | undefined
  /** Who has to answer. */
  readonly issuer: Issuer
}

/**
 * What is known of the server that a login was begun at (RFC 9207).
 *
 * @since 0.1.0
 * @category models
 */
export interface Issuer {
  /** What it is called by; undefined where nobody said. */
  readonly name: string | undefined
  /** Whether it promised to name itself in its callbacks. */
  readonly namesItself: boolean
}

/**
 * The authorization code in a callback that belongs to an attempt. It is spent by the first exchange.
 *
 * @since 0.1.0
 * @category models
 */
export interface Code {
  readonly value: Redacted.Redacted<string>
}

/**
 * The callback does not belong to this attempt, so the login goes on: it has no state or another one, names another
 * issuer, brings neither a code nor an error, or is no callback at all. No field holds text of the callback.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unrelated extends Data.TaggedError("Unrelated")<{
  readonly source: string
  /** What is wrong with it, in one clause. */
  readonly detail: string
}> {
  override get message(): string {
    return `${this.source}: ${this.detail}`
  }
}

/**
 * The grant for one client. Every effect can be interrupted while it waits.
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthorizationCode {
  readonly name: string
  /** How long an exchange may take, with what is asked of the server to verify the ID token. */
  readonly exchangeTimeLimit: Duration.Duration
  /**
   * Begins a login. Each has secrets of its own, and a pushed request is good for one browser, so a login that
   * is tried again is begun anew.
   */
  readonly begin: (
    options: {
      /** Where the browser comes back to, exactly as registered but for the port of a loopback address. */
      readonly redirectUri: string
    }
  ) => Effect.Effect<Attempt, TokenEndpoint.GrantError>
  /**
   * Judges what came back, without asking anybody: state and issuer first, then everything else. What the server
   * wrote beside its error code is never shown.
   */
  readonly judge: (
    attempt: Attempt,
    callback: URLSearchParams
  ) => Effect.Effect<Code, Unrelated | TokenEndpoint.GrantError>
  /**
   * Redeems the code, once the keys are there that its ID token will need. An ID token that doesn't hold fails it, with
   * `ReauthRequired` where another login may help and `Misconfigured` where it won't.
   */
  readonly exchange: (attempt: Attempt, code: Code) => Effect.Effect<Grant, TokenEndpoint.GrantError>
}

/**
 * The grant for one client. Fails when the client's secret or key can't be used, or an option says what another one
 * decides.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<AuthorizationCode, Misconfigured, HttpClient.HttpClient> = Effect.fnUntraced(
  function*(options) {
    const endpoint = yield* Endpoint.make("browser login", options)
    const settings: AuthorizationRequest.Settings = {
      ...options,
      openid: demandsIdToken(options),
      maxAge: limitOf(options)
    }
    yield* AuthorizationRequest.check(endpoint.source, settings)
    const identity = yield* IdToken.make({ ...options, name: endpoint.source })
    return {
      name: endpoint.source,
      exchangeTimeLimit: Duration.sum(endpoint.timeLimit, identity.timeLimit),
      begin: ({ redirectUri }) => AuthorizationRequest.begin(endpoint, settings, redirectUri),
      judge: (attempt, callback) =>
        Effect.mapError(
          Callback.judge(endpoint.source, attempt, callback),
          (error) =>
            error._tag === "Stray"
              ? new Unrelated({ source: endpoint.source, detail: error.detail })
              : error
        ),
      exchange: (attempt, code) => redeem(endpoint, identity, settings, { attempt, code })
    }
  }
)

const demandsIdToken = ({ idToken, scopes }: Options): boolean =>
  idToken === undefined ? scopes?.includes("openid") === true : idToken === "verify"

const limitOf = ({ maxAge }: Options): Duration.Duration | undefined =>
  maxAge === undefined || !Duration.isFinite(Duration.decode(maxAge)) ? undefined : Duration.decode(maxAge)

interface Redemption {
  readonly attempt: Attempt
  readonly code: Code
}

/** Whatever of the server's the ID token will need is there before the code is spent. */
const redeem = (
  endpoint: Endpoint.TokenEndpoint,
  identity: IdToken.IdToken,
  settings: AuthorizationRequest.Settings,
  redemption: Redemption
): Effect.Effect<Grant, TokenEndpoint.GrantError> => {
  const spent = spend(endpoint, settings, redemption)
  const { maxAge, openid } = settings
  const { nonce } = redemption.attempt
  return Effect.flatMap(
    openid ? Effect.zipRight(identity.ready, spent) : spent,
    (grant) =>
      LoginIdToken.settle({
        source: endpoint.source,
        identity,
        mode: openid ? "demand" : "ignore",
        checks: { nonce, maxAge }
      }, grant)
  )
}

const spend = (
  endpoint: Endpoint.TokenEndpoint,
  { audience, dialect, parameters, resource }: AuthorizationRequest.Settings,
  { attempt, code }: Redemption
): Effect.Effect<Grant, TokenEndpoint.GrantError> =>
  endpoint.exchange({
    grant: "authorization_code",
    proofKey: attempt.proofKey,
    request: ({ auth, client, server }, requestOptions) =>
      oauth.authorizationCodeGrantRequest(
        server,
        client,
        auth,
        Callback.rebuild(client, attempt, code),
        attempt.redirectUri,
        Redacted.value(attempt.codeVerifier),
        {
          ...requestOptions,
          additionalParameters: Endpoint.fields(parameters, Target.fields(dialect, { resource }), {
            state: dialect?.redeemsState === true ? Redacted.value(attempt.state) : undefined
          })
        }
      ),
    judge: LoginIdToken.judgeRest
  }).pipe(
    Effect.catchTag("Refusal", (refusal) => Effect.fail(Failure.ofRefusal(refusal))),
    Effect.map((grant) => Endpoint.remember(grant, resource, audience))
  )

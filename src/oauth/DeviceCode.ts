/**
 * The device authorization grant (RFC 8628): a person approves on another device while this one polls.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constant } from "effect/Function"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as oauth from "oauth4webapi"
import type { Grant } from "../Grant.js"
import type { Misconfigured, TransientFailure } from "../TokenError.js"
import { ReauthRequired } from "../TokenError.js"
import type * as TokenDialect from "./Dialect.js"
import * as IdToken from "./IdToken.js"
import * as DeviceAuthorization from "./internal/deviceAuthorization.js"
import * as Dialects from "./internal/dialect.js"
import * as Failure from "./internal/failure.js"
import * as LoginIdToken from "./internal/loginIdToken.js"
import * as OfflineAccess from "./internal/offlineAccess.js"
import * as Pkce from "./internal/pkce.js"
import * as PollSchedule from "./internal/pollSchedule.js"
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
  /** Who the token is for, as servers that don't know resource indicators call it. */
  readonly audience?: string | undefined
  /** Whether to bind the poll to the start by PKCE, as some servers demand. Default false. */
  readonly pkce?: boolean | undefined
  /** Further fields of the request that starts the login. */
  readonly authorizationParameters?: TokenEndpoint.Parameters | undefined
  /**
   * Whether `offline_access` is asked for too, without which some servers give no refresh token. Default: where
   * some scopes are asked for and the server lists it.
   */
  readonly offlineAccess?: boolean | undefined
  /**
   * What happens to ID tokens: `verify` demands one and fails the login where it doesn't hold; `ignore` throws it
   * away unread. Default: where `openid` is among the scopes, one that comes has to hold, though the login goes on
   * without one, since RFC 8628 promises none; else `ignore`. What came with one that doesn't hold is given to nobody,
   * and not revoked: some servers end all grants of the person with one. It ends by itself, or where the server lists it.
   */
  readonly idToken?: "verify" | "ignore" | undefined
  /** How the server departs from the standard. Default: not at all. */
  readonly dialect?: Dialect | undefined
}

/**
 * The departures of device logins from RFC 8628. What is left out is as the standard has it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dialect extends TokenDialect.Dialect {
  /** The grant type of a poll. Default `urn:ietf:params:oauth:grant-type:device_code`. */
  readonly grantType?: string | undefined
  /** Which of the two codes the device polls with, and under which name. Default `device_code`. */
  readonly code?: "device_code" | "user_code" | undefined
  /** What the server counts its `interval` in. Default `seconds`. */
  readonly intervalUnit?: "seconds" | "milliseconds" | undefined
  /** How long to wait between two polls where the server does not say. Default 5 seconds. */
  readonly defaultInterval?: Duration.DurationInput | undefined
  /** Whether the login starts with a random `state` that the answer has to give back. Default false. */
  readonly state?: boolean | undefined
}

/**
 * A login that was started: what the person needs, and what the device polls with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Authorization {
  readonly deviceCode: Redacted.Redacted<string>
  /** What the person types in; at most 64 printable characters. */
  readonly userCode: string
  /** Where the person goes; an http or https URL. */
  readonly verificationUri: string
  /** The same with the code in it, for a QR code or a browser. */
  readonly verificationUriComplete: string | undefined
  /** Unix milliseconds from which on it can no longer be approved. */
  readonly expiresAt: number
  /** How long to wait between two polls: 1 second to 5 minutes. */
  readonly interval: Duration.Duration
  readonly codeVerifier: Redacted.Redacted<string> | undefined
  /** The private key that the token will be bound to, where it will be. */
  readonly proofKey: Redacted.Redacted<string> | undefined
}

/**
 * What happens during a login. `nextAt` is when it polls again, in Unix milliseconds.
 *
 * - `Prompt`: the person has something to do.
 * - `Pending`: the person has not decided yet.
 * - `SlowedDown`: the server wants longer intervals from now on.
 * - `Blip`: the server could not be asked; that doesn't end the login.
 * - `Approved`: done.
 *
 * @since 0.1.0
 * @category models
 */
export type Event =
  | { readonly _tag: "Prompt"; readonly authorization: Authorization }
  | { readonly _tag: "Pending"; readonly nextAt: number }
  | { readonly _tag: "SlowedDown"; readonly nextAt: number; readonly interval: Duration.Duration }
  | { readonly _tag: "Blip"; readonly nextAt: number; readonly error: TransientFailure }
  | { readonly _tag: "Approved"; readonly grant: Grant }

/**
 * Is told of what happens. It runs between two polls, so it should be quick. Nothing waits for it once the
 * grant is there: `Approved` is told while the grant is given.
 *
 * @since 0.1.0
 * @category models
 */
export type OnEvent = (event: Event) => Effect.Effect<void>

/**
 * The grant for one client. Every effect can be interrupted while it waits.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeviceCode {
  readonly name: string
  /** How long one exchange with the server may take, with what is asked of it to verify an ID token. */
  readonly exchangeTimeLimit: Duration.Duration
  /** Starts a login, once the keys are there that its ID token will need. */
  readonly authorize: Effect.Effect<Authorization, TokenEndpoint.GrantError>
  /** The same, but lost answers and outages don't end it before 90 seconds have passed; each is a `Blip`. */
  readonly start: (onEvent?: OnEvent) => Effect.Effect<Authorization, TokenEndpoint.GrantError>
  /**
   * Polls until the person has decided, for the last time a second before the login expires. Lost answers,
   * outages and rate limits don't end it; a refusal is `ReauthRequired` with `AccessDenied`, and
   * `LoginExpired` when nobody decided in time. An ID token that doesn't hold fails it, with `ReauthRequired` where
   * another login may help and `Misconfigured` where it won't.
   */
  readonly poll: (
    authorization: Authorization,
    onEvent?: OnEvent
  ) => Effect.Effect<Grant, TokenEndpoint.GrantError>
  /** `start` and `poll` together. */
  readonly login: (onEvent: OnEvent) => Effect.Effect<Grant, TokenEndpoint.GrantError>
  /** A login as a stream of its events, the last of which holds the grant. Each run is a login of its own. */
  readonly events: Stream.Stream<Event, TokenEndpoint.GrantError>
}

/**
 * The grant for one client. Fails when the client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options: Options
) => Effect.Effect<DeviceCode, Misconfigured, HttpClient.HttpClient> = Effect.fnUntraced(
  function*(options) {
    const endpoint = yield* Endpoint.make("device login", options)
    const identity = yield* IdToken.make({ ...options, name: endpoint.source })
    const mode = modeOf(options)
    const setup: Setup = { endpoint, options, expected: { source: endpoint.source, identity, mode } }
    const ready = mode === "ignore" ? Effect.void : identity.ready
    const authorize = Effect.zipRight(ready, requestCode(endpoint, options))
    const start = (onEvent: OnEvent) =>
      PollSchedule.outlasting(authorize, longestStart, (next) => onEvent(toEvent(next)))
    const wait = (authorization: Authorization, onEvent: OnEvent) =>
      pollUntilDecided(setup, authorization, onEvent)
    const logIn = (onEvent: OnEvent) =>
      Effect.flatMap(
        start(onEvent),
        (authorization) =>
          Effect.zipRight(onEvent({ _tag: "Prompt", authorization }), wait(authorization, onEvent))
      )
    return {
      name: endpoint.source,
      exchangeTimeLimit: Duration.sum(
        endpoint.timeLimit,
        mode === "ignore" ? Duration.zero : identity.timeLimit
      ),
      authorize,
      start: (onEvent = ignore) => start(onEvent),
      poll: (authorization, onEvent = ignore) => announced(wait(authorization, onEvent), onEvent),
      login: (onEvent) => announced(logIn(onEvent), onEvent),
      events: eventsOf(logIn)
    }
  }
)

/** What all logins of one client share. */
interface Setup {
  readonly endpoint: Endpoint.TokenEndpoint
  readonly options: Options
  readonly expected: LoginIdToken.Expected
}

const modeOf = ({ idToken, scopes }: Options): LoginIdToken.Mode => {
  if (idToken === "verify") return "demand"
  return idToken === undefined && scopes?.includes("openid") === true ? "expect" : "ignore"
}

const ignore: OnEvent = constant(Effect.void)

/** Forked, so that between the grant and its return there is no moment at which either could be cut off. */
const announced = <E>(login: Effect.Effect<Grant, E>, onEvent: OnEvent): Effect.Effect<Grant, E> =>
  Effect.tap(login, (grant) => Effect.forkDaemon(onEvent({ _tag: "Approved", grant })))

const eventsOf = (login: DeviceCode["login"]): DeviceCode["events"] =>
  Stream.asyncPush((emit) =>
    login((event) => Effect.sync(() => emit.single(event))).pipe(
      Effect.matchCause({
        onFailure: (cause) => emit.halt(cause),
        onSuccess: (grant) => {
          emit.single({ _tag: "Approved", grant })
          emit.end()
        }
      }),
      Effect.forkScoped
    ), { bufferSize: "unbounded" })

const longestStart = Duration.seconds(90)

const requestCode = (
  endpoint: Endpoint.TokenEndpoint,
  options: Options
): Effect.Effect<Authorization, TokenEndpoint.GrantError> =>
  Effect.gen(function*() {
    const proofKey = yield* endpoint.proofKey
    const verifier = options.pkce === true ? oauth.generateRandomCodeVerifier() : undefined
    const state = options.dialect?.state === true ? oauth.generateRandomState() : undefined
    const own = { ...(verifier === undefined ? {} : Pkce.challenge(verifier)), state }
    const { interval, lifetime, ...decoded } = yield* endpoint.ask({
      span: "oauth.device_authorization",
      endpoint: "device_authorization_endpoint",
      request: (party, requestOptions) => requestAuthorization(party, options, own, requestOptions),
      decode: (answer) =>
        Effect.flatMap(Dialects.serverTime(options.server.clockOffset), (now) =>
          DeviceAuthorization.decode(answer, {
            source: endpoint.source,
            authenticates: endpoint.authenticates,
            dialect: options.dialect ?? {},
            state,
            now
          }))
    })
    const now = yield* Clock.currentTimeMillis
    return {
      ...decoded,
      expiresAt: now + lifetime,
      interval: Duration.millis(interval),
      codeVerifier: verifier === undefined ? undefined : Redacted.make(verifier),
      proofKey
    }
  }).pipe(Effect.catchTag("Refusal", (refusal) =>
    Effect.fail(Failure.ofRefusal(refusal))))

const requestAuthorization = (
  { auth, client, server }: Endpoint.Party,
  { audience, authorizationParameters, dialect, offlineAccess, resource, scopes }: Options,
  own: Readonly<Record<string, string | undefined>>,
  requestOptions: Endpoint.RequestOptions
): Promise<Response> =>
  oauth.deviceAuthorizationRequest(
    server,
    client,
    auth,
    Endpoint.fields(
      dialect?.start,
      authorizationParameters,
      {
        scope: Endpoint.scope(OfflineAccess.scopes(scopes, offlineAccess, server.scopes_supported)),
        ...Target.fields(dialect, { resource, audience })
      },
      own
    ),
    requestOptions
  )

const pollUntilDecided = (
  setup: Setup,
  authorization: Authorization,
  onEvent: OnEvent
): Effect.Effect<Grant, TokenEndpoint.GrantError> => {
  const times = {
    interval: Duration.toMillis(authorization.interval),
    expiresAt: authorization.expiresAt
  }
  const polling = pollOnce(setup, authorization).pipe(
    Effect.retry(Schedule.tapOutput(PollSchedule.make(times), (next) => onEvent(toEvent(next)))),
    Effect.mapError((wait) => expired(setup.endpoint.source, wait)),
    Effect.flatten
  )
  return Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Effect.delay(polling, PollSchedule.first(times, now) - now)
  )
}

/** One poll. What it fails with is a reason to wait; what it gives is the decision. */
const pollOnce = (
  { endpoint, expected, options }: Setup,
  authorization: Authorization
): Effect.Effect<Effect.Effect<Grant, TokenEndpoint.GrantError>, PollSchedule.Wait> =>
  endpoint.exchange({
    grant: "device_code",
    proofKey: authorization.proofKey,
    request: ({ auth, client, server }, requestOptions) =>
      oauth.genericTokenEndpointRequest(
        server,
        client,
        auth,
        options.dialect?.grantType ?? "urn:ietf:params:oauth:grant-type:device_code",
        pollFields(options, authorization),
        requestOptions
      ),
    judge: LoginIdToken.judgeRest
  }).pipe(
    Effect.map((grant) =>
      LoginIdToken.settle(expected, Endpoint.remember(grant, options.resource, options.audience))
    ),
    Effect.catchTags({
      TransientFailure: (error) => Effect.fail<PollSchedule.Wait>({ _tag: "Blip", error }),
      ReauthRequired: (error) => Effect.succeed(Effect.fail(error)),
      Misconfigured: (error) => Effect.succeed(Effect.fail(error)),
      Refusal: decided
    })
  )

const pollFields = (
  { dialect, parameters, resource }: Options,
  { codeVerifier, deviceCode }: Authorization
): URLSearchParams =>
  Endpoint.fields(parameters, {
    [dialect?.code ?? "device_code"]: Redacted.value(deviceCode),
    code_verifier: codeVerifier && Redacted.value(codeVerifier),
    ...Target.fields(dialect, { resource })
  })

const decided = (
  refusal: Failure.Refusal
): Effect.Effect<Effect.Effect<never, TokenEndpoint.GrantError>, PollSchedule.Wait> => {
  const { code, interval, source } = refusal
  if (code === "authorization_pending") return Effect.fail({ _tag: "Pending" })
  if (code === "slow_down") return Effect.fail({ _tag: "SlowDown", interval })
  const error = code === Dialects.unexplained ? ended(source) : Failure.ofRefusal(refusal)
  return error._tag === "TransientFailure"
    ? Effect.fail({ _tag: "Blip", error })
    : Effect.succeed(Effect.fail(error))
}

const toEvent = ({ interval, nextAt, wait }: PollSchedule.Next): Event => {
  switch (wait._tag) {
    case "Pending":
      return { _tag: "Pending", nextAt }
    case "SlowDown":
      return { _tag: "SlowedDown", nextAt, interval: Duration.millis(interval) }
    case "Blip":
      return { _tag: "Blip", nextAt, error: wait.error }
  }
}

/** What a server says that only tells that it went wrong. */
const ended = (source: string): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "AccessDenied",
    detail: "the server ended the login without saying why",
    hint: "Start the login again, and allow the access."
  })

const expired = (source: string, wait: PollSchedule.Wait): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "LoginExpired",
    detail: wait._tag === "Blip"
      ? `the login expired while the server could not be asked (${wait.error.reason})`
      : "nobody approved the login before it expired",
    hint: "Start the login again."
  })

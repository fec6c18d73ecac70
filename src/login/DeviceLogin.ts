/**
 * A login with the device authorization grant, with a person who is told what to do.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Grant } from "../Grant.js"
import * as DeviceCode from "../oauth/DeviceCode.js"
import type * as TokenEndpoint from "../oauth/TokenEndpoint.js"
import { Misconfigured, ReauthRequired } from "../TokenError.js"
import * as Telling from "./internal/telling.js"
import { Login } from "./Login.js"
import * as LoginPrompt from "./LoginPrompt.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends DeviceCode.Options {
  /** How long the person may take, whatever the server allows. Default 15 minutes. */
  readonly loginTimeLimit?: Duration.DurationInput | undefined
}

/**
 * A way to log in.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeviceLogin {
  readonly name: string
  /**
   * Logs in; each run asks the person anew. Can be interrupted while it waits. `Misconfigured` with `UnsupportedGrant`
   * says that the server has no such login, and that nobody was asked.
   */
  readonly login: Effect.Effect<Grant, TokenEndpoint.GrantError>
  /** How long one login may take: what the person may, and what the last answer may after that. */
  readonly timeLimit: Duration.Duration
}

/**
 * A login for one client, shown through the `LoginPrompt` in the context, on the console where none is given. Fails when
 * the client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<DeviceLogin, Misconfigured, HttpClient.HttpClient> =>
  Effect.zipWith(DeviceCode.make(options), LoginPrompt.LoginPrompt, (device, prompt) => {
    const limit = Duration.decode(options.loginTimeLimit ?? Duration.minutes(15))
    const source = device.name
    const login = Effect.flatMap(
      begin(device, prompt, limit),
      (authorization) =>
        Effect.mapError(device.poll(authorization, (event) => tell(prompt, source, event)), afterAsking)
    ).pipe(Telling.ended(prompt, source))
    return { name: source, login, timeLimit: Duration.sum(limit, device.exchangeTimeLimit) }
  })

/**
 * The program's login by the device flow.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Login, Misconfigured, HttpClient.HttpClient> => Layer.effect(Login, make(options))

/**
 * Starts the login and tells the person. From here on the time limit is the end of the authorization: polling
 * stops before it, and an answer that has come can't be cut off by it.
 */
const begin = (
  device: DeviceCode.DeviceCode,
  prompt: LoginPrompt.Service,
  limit: Duration.Duration
): Effect.Effect<DeviceCode.Authorization, TokenEndpoint.GrantError> =>
  Effect.zipWith(
    Clock.currentTimeMillis,
    device.start((event) => tell(prompt, device.name, event)),
    (start, authorization): DeviceCode.Authorization => ({
      ...authorization,
      expiresAt: Math.min(authorization.expiresAt, start + Duration.toMillis(limit))
    })
  ).pipe(
    Effect.tap((authorization) => tell(prompt, device.name, { _tag: "Prompt", authorization })),
    Effect.timeoutFail({ duration: limit, onTimeout: () => tooSlow(device.name, limit) })
  )

const tell = (prompt: LoginPrompt.Service, source: string, event: DeviceCode.Event): Effect.Effect<void> => {
  switch (event._tag) {
    case "Prompt": {
      const { expiresAt, userCode, verificationUri, verificationUriComplete } = event.authorization
      return Telling.quickly(prompt.show({
        _tag: "Device",
        source,
        userCode,
        verificationUri,
        verificationUriComplete,
        expiresAt
      }))
    }
    case "Pending":
    case "SlowedDown":
      return Telling.quickly(prompt.progress({ _tag: "Waiting", source, nextAt: event.nextAt }))
    case "Blip": {
      const { error, nextAt } = event
      return Telling.quickly(prompt.progress({ _tag: "Trouble", source, reason: error.reason, nextAt }))
    }
    case "Approved":
      return Telling.quickly(prompt.progress({ _tag: "Succeeded", source }))
  }
}

/** What the server turns out not to support now is no reason to ask the person in another way. */
const afterAsking = (error: TokenEndpoint.GrantError): TokenEndpoint.GrantError =>
  error._tag === "Misconfigured" && error.reason === "UnsupportedGrant"
    ? new Misconfigured({
      source: error.source,
      reason: "InvalidOption",
      detail: error.detail,
      hint: error.hint
    })
    : error

const tooSlow = (source: string, timeLimit: Duration.Duration): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "LoginExpired",
    detail: `nobody approved the login within ${Duration.format(timeLimit)}`,
    hint: "Start the login again."
  })

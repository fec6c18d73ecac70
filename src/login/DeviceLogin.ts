/**
 * A login with the device authorization grant, with a person who is told what to do.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Grant } from "../Grant.js"
import * as DeviceCode from "../oauth/DeviceCode.js"
import type * as TokenEndpoint from "../oauth/TokenEndpoint.js"
import type { Misconfigured } from "../TokenError.js"
import { ReauthRequired } from "../TokenError.js"
import * as LoginPrompt from "./LoginPrompt.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends DeviceCode.Options {
  /** How long a whole login may take, whatever the server allows. Default 15 minutes. */
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
  /** Logs in; each run asks the person anew. Can be interrupted at any moment. */
  readonly login: Effect.Effect<Grant, TokenEndpoint.GrantError>
  /** How long one login may take. */
  readonly timeLimit: Duration.Duration
}

/**
 * A login for one client, shown through the `LoginPrompt` in the context. Fails when the client's secret or
 * key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<DeviceLogin, Misconfigured, HttpClient.HttpClient | LoginPrompt.LoginPrompt> =>
  Effect.zipWith(DeviceCode.make(options), LoginPrompt.LoginPrompt, (device, prompt) => {
    const timeLimit = Duration.decode(options.loginTimeLimit ?? Duration.minutes(15))
    const source = device.name
    const login = device.login((event) => tell(prompt, source, event)).pipe(
      Effect.timeoutFail({ duration: timeLimit, onTimeout: () => tooSlow(source, timeLimit) }),
      Effect.tapError(({ hint, reason }) => prompt.progress({ _tag: "Failed", source, reason, hint })),
      Effect.onInterrupt(() => prompt.progress({ _tag: "Cancelled", source }))
    )
    return { name: source, login, timeLimit }
  })

const tell = (prompt: LoginPrompt.Service, source: string, event: DeviceCode.Event): Effect.Effect<void> => {
  switch (event._tag) {
    case "Prompt": {
      const { expiresAt, userCode, verificationUri, verificationUriComplete } = event.authorization
      return prompt.show({
        _tag: "Device",
        source,
        userCode,
        verificationUri,
        verificationUriComplete,
        expiresAt
      })
    }
    case "Pending":
    case "SlowedDown":
      return prompt.progress({ _tag: "Waiting", source, nextAt: event.nextAt })
    case "Blip":
      return prompt.progress({ _tag: "Trouble", source, reason: event.error.reason, nextAt: event.nextAt })
    case "Approved":
      return prompt.progress({ _tag: "Succeeded", source })
  }
}

const tooSlow = (source: string, timeLimit: Duration.Duration): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "LoginExpired",
    detail: `nobody approved the login within ${Duration.format(timeLimit)}`,
    hint: "Start the login again."
  })

/**
 * MiniMax, in its two regions. Tokens of one are no good in the other. It publishes no documents of this login:
 * everything here is what public clients send and take, and may change.
 *
 * - A login of its own kind: the device polls with the code that the person sees, bound by PKCE, and the start
 *   gives back the `state` that it was sent.
 * - How a poll went is told by the field `status` of an answer with HTTP status 200. An `error` there ends the
 *   login without a reason.
 * - `interval` counts milliseconds, and `expired_in` names an instant in Unix milliseconds, for the code and for
 *   the token. Uncertain: some clients take `expired_in` for seconds from now on; by its size either is understood.
 * - Uncertain: how it refuses a refresh token that has ended. An error without a reason is not taken for that: a
 *   renewal then fails with `RequestRejected`, and the grant is kept; log in again if it stays so.
 * - Uncertain: whether an old refresh token stays good after a renewal. A renewal gives a new one, so it counts as
 *   ended. No address is known that takes tokens back.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Provider from "./Provider.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** `global` is api.minimax.io, `china` is api.minimaxi.com. Default `global`. */
  readonly region?: "global" | "china" | undefined
}

/**
 * MiniMax in one region.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ region = "global" }: Options = {}): Provider.WithDevice => {
  const base = region === "china" ? "https://api.minimaxi.com" : "https://api.minimax.io"
  return {
    id: region === "china" ? "minimax-china" : "minimax",
    name: region === "china" ? "MiniMax (China)" : "MiniMax",
    endpoints: {
      issuer: base,
      tokenEndpoint: `${base}/oauth/token`,
      deviceAuthorizationEndpoint: `${base}/oauth/code`
    },
    scopes: ["group_id", "profile", "model.completion"],
    secret: "post",
    defaultLifetime: "1 hour",
    keep: ["resource_url", "notification_message"],
    renewal: { rotates: true, graceWindow: Duration.zero, idleLimit: undefined },
    dialect: {
      target: "none",
      grantType: "urn:ietf:params:oauth:grant-type:user_code",
      code: "user_code",
      start: { response_type: "code" },
      state: true,
      status: "status",
      expiresAt: "expired_in",
      intervalUnit: "milliseconds",
      defaultInterval: "2 seconds",
      requestIds: true
    },
    idToken: undefined,
    device: { pkce: true, parameters: {} },
    browser: undefined
  }
}

/**
 * MiniMax outside China.
 *
 * @since 0.1.0
 * @category presets
 */
export const provider: Provider.WithDevice = make()

/**
 * Qwen, for its chat accounts. It publishes no documents of this login: everything here is what its own client and
 * other public ones send and take, and may change.
 *
 * - The device flow of RFC 8628, bound by PKCE. Each request carries a random `x-request-id`.
 * - The token answer names the API's own address in `resource_url`, mostly without a scheme. It is kept in
 *   `Grant.extra`, and stays there when a renewal leaves it out; `SignIn` offers it as `baseUrl`.
 * - Uncertain: whether it gives ID tokens for its scope `openid`, and who signs them. They are ignored.
 * - A poll that comes too early may be answered `slow_down` with status 429.
 * - Uncertain: by which code it refuses a refresh token that has ended. Its own client takes any 400 for that;
 *   `invalid_request` is taken for it here too.
 * - Uncertain: whether an old refresh token stays good after a renewal. A renewal mostly gives a new one, so it
 *   counts as ended. No address is known that takes tokens back.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Provider from "./Provider.js"

/**
 * Qwen.
 *
 * @since 0.1.0
 * @category presets
 */
export const provider: Provider.WithDevice = {
  id: "qwen",
  name: "Qwen",
  endpoints: {
    issuer: "https://chat.qwen.ai",
    tokenEndpoint: "https://chat.qwen.ai/api/v1/oauth2/token",
    deviceAuthorizationEndpoint: "https://chat.qwen.ai/api/v1/oauth2/device/code"
  },
  scopes: ["openid", "profile", "email", "model.completion"],
  secret: "post",
  defaultLifetime: "1 hour",
  keep: ["resource_url"],
  renewal: { rotates: true, graceWindow: Duration.zero, idleLimit: undefined },
  dialect: { target: "none", requestIds: true, endedBy: ["invalid_request"] },
  idToken: "ignore",
  device: { pkce: true, parameters: {} },
  browser: undefined
}

/**
 * Anthropic, for the login with a Claude account. Anthropic does not document it for clients other than its own,
 * so whether a client may use it is between the caller and Anthropic; everything here is as publicly known, and
 * may change.
 *
 * - Its token endpoint takes JSON, and the `state` together with the code.
 * - The code can be shown to the person, who pastes it in the form `code#state`: that is `pastePage`, which goes
 *   together with the field `code=true` of the request.
 * - Refresh tokens rotate.
 * - Uncertain: the issuer, which it names nowhere; the host of the token endpoint, which several answer for; an
 *   address that takes tokens back, of which none is known.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Provider from "./Provider.js"

/**
 * Anthropic.
 *
 * @since 0.1.0
 * @category presets
 */
export const provider: Provider.WithPastePage = {
  id: "anthropic",
  name: "Anthropic",
  endpoints: {
    issuer: "https://claude.ai",
    authorizationEndpoint: "https://claude.ai/oauth/authorize",
    tokenEndpoint: "https://console.anthropic.com/v1/oauth/token"
  },
  scopes: ["org:create_api_key", "user:profile", "user:inference"],
  secret: "post",
  defaultLifetime: "1 hour",
  keep: [],
  renewal: { rotates: true, graceWindow: Duration.zero, idleLimit: undefined },
  dialect: { target: "none", json: ["token"], start: { code: "true" }, redeemsState: true },
  idToken: undefined,
  device: undefined,
  browser: {
    parameters: {},
    redirect: { host: "localhost", port: undefined, path: "/callback" },
    pastePage: "https://console.anthropic.com/oauth/code/callback"
  }
}

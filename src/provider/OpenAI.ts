/**
 * OpenAI, for the login with a ChatGPT account. OpenAI does not document it for clients other than its own, so
 * whether a client may use it is between the caller and OpenAI; everything here is as publicly known, and may change.
 *
 * - The redirect URI is fixed, port included: `http://localhost:1455/auth/callback`.
 * - Refresh tokens rotate; one that was used before is refused with `refresh_token_reused`.
 * - A login on another device exists, in a form of its own that is not RFC 8628; it is not supported here.
 * - Its revocation endpoint takes JSON.
 * - Uncertain: what the two further fields of the request do, which its own client sends; leave them out with a
 *   spread if your client has no use for them.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Provider from "./Provider.js"

/**
 * OpenAI.
 *
 * @since 0.1.0
 * @category presets
 */
export const provider: Provider.WithBrowser = {
  id: "openai",
  name: "OpenAI",
  endpoints: {
    issuer: "https://auth.openai.com",
    authorizationEndpoint: "https://auth.openai.com/oauth/authorize",
    tokenEndpoint: "https://auth.openai.com/oauth/token",
    revocationEndpoint: "https://auth.openai.com/oauth/revoke",
    jwksUri: "https://auth.openai.com/.well-known/jwks.json"
  },
  scopes: ["openid", "profile", "email", "offline_access"],
  secret: "post",
  defaultLifetime: "1 hour",
  keep: [],
  renewal: { rotates: true, graceWindow: Duration.zero, idleLimit: undefined },
  dialect: { target: "none", json: ["revocation"] },
  idToken: undefined,
  device: undefined,
  browser: {
    parameters: { id_token_add_organizations: "true", codex_cli_simplified_flow: "true" },
    redirect: { host: "localhost", port: 1455, path: "/auth/callback" },
    pastePage: undefined
  }
}

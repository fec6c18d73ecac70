/**
 * Google, for people (OAuth 2.0 for desktop apps, and for devices with limited input).
 *
 * - A desktop client has a secret that is none, and its token endpoint wants it all the same.
 * - A refresh token comes with `access_type=offline`, and at a second login of the same person only with
 *   `prompt=consent`. It does not rotate; it ends after six months without use, when the person takes the access
 *   back, after seven days for a client that is published for testing only, and without a word when the person has
 *   logged in so often since that the client holds too many of them.
 * - A login on another device wants a client of that kind of its own, and few scopes are allowed there: the
 *   profile, files of the app itself, YouTube. The default scope is for the browser.
 * - Its device endpoint writes `verification_url`, answers 428 while the login is pending, and 403 for refusals
 *   and `slow_down`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Provider from "./Provider.js"

/**
 * Google, asking for the Gemini API.
 *
 * @since 0.1.0
 * @category presets
 */
export const provider: Provider.WithDevice & Provider.WithBrowser = {
  id: "google",
  name: "Google",
  endpoints: {
    issuer: "https://accounts.google.com",
    authorizationEndpoint: "https://accounts.google.com/o/oauth2/v2/auth",
    tokenEndpoint: "https://oauth2.googleapis.com/token",
    deviceAuthorizationEndpoint: "https://oauth2.googleapis.com/device/code",
    revocationEndpoint: "https://oauth2.googleapis.com/revoke",
    userinfoEndpoint: "https://openidconnect.googleapis.com/v1/userinfo",
    jwksUri: "https://www.googleapis.com/oauth2/v3/certs"
  },
  scopes: ["https://www.googleapis.com/auth/generative-language.retriever"],
  secret: "post",
  defaultLifetime: "1 hour",
  keep: [],
  renewal: { rotates: false, graceWindow: Duration.infinity, idleLimit: "180 days" },
  dialect: { target: "none" },
  idToken: undefined,
  device: { pkce: false, parameters: {} },
  browser: {
    parameters: { access_type: "offline", prompt: "consent" },
    redirect: { host: "127.0.0.1", port: undefined, path: "/" },
    pastePage: undefined
  }
}

/**
 * GitHub, for users of OAuth apps and GitHub Apps, on github.com or a server of one's own.
 *
 * - Its token endpoint answers in JSON only where that is asked for, as is done here, and sends its refusals with
 *   HTTP status 200. Its `slow_down` names the new interval.
 * - The device flow has to be enabled in the app's settings, and needs no secret. A login with a browser does.
 * - Tokens of an OAuth app never expire and come without a refresh token. A GitHub App's last 8 hours unless the
 *   app opted out, with a refresh token for 6 months that works once and takes the old access token with it.
 * - It tells scopes with commas between them. GitHub Apps ignore scopes. A renewal of a token from the device flow
 *   needs no secret.
 * - It takes tokens back in a way of its own only, which is not RFC 7009: none is given here.
 * - It names itself in its callbacks (RFC 9207).
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Address from "./internal/address.js"
import type * as Provider from "./Provider.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The origin of the server, such as `https://github.example.com`. Default `https://github.com`. */
  readonly origin?: string | undefined
}

/**
 * One GitHub server.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Provider.WithDevice & Provider.WithBrowser => {
  const origin = Address.origin(options.origin ?? "https://github.com")
  return {
    id: "github",
    name: "GitHub",
    endpoints: {
      issuer: `${origin}/login/oauth`,
      authorizationEndpoint: `${origin}/login/oauth/authorize`,
      tokenEndpoint: `${origin}/login/oauth/access_token`,
      deviceAuthorizationEndpoint: `${origin}/login/device/code`
    },
    scopes: [],
    secret: "post",
    defaultLifetime: Duration.infinity,
    keep: [],
    renewal: { rotates: true, graceWindow: Duration.zero, idleLimit: "180 days" },
    dialect: { target: "none", commaScopes: true },
    idToken: undefined,
    device: { pkce: false, parameters: {} },
    browser: {
      parameters: {},
      redirect: { host: "127.0.0.1", port: undefined, path: "/callback" },
      pastePage: undefined
    }
  }
}

/**
 * github.com.
 *
 * @since 0.1.0
 * @category presets
 */
export const provider: Provider.WithDevice & Provider.WithBrowser = make()

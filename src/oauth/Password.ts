/**
 * The password grant (RFC 6749 §4.3), for servers that offer nothing better: it hands a person's password to this
 * program, knows neither a second factor nor consent, and OAuth 2.1 has taken it out. Prefer a login by browser or
 * device, or client credentials.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Misconfigured } from "../TokenError.js"
import type * as TokenSource from "../TokenSource.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import * as Unattended from "./internal/unattended.js"
import type * as TokenEndpoint from "./TokenEndpoint.js"
import type { UnattendedError, UnattendedLogin } from "./UnattendedLogin.js"

/**
 * What `make` and `makeLogin` take.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends TokenEndpoint.Options {
  readonly username: string
  /** Sent as it is, blanks at its ends too. */
  readonly password: Redacted.Redacted<string>
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Who the token is for (RFC 8707); kept as `resource` in `Grant.extra`, so that renewals say it again. */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** Who the token is for, as servers that don't know resource indicators call it; kept as `audience`. */
  readonly audience?: string | undefined
}

/**
 * A source that sends the password for a new token on every request; `TokenCache.cached` makes it remember. A refused
 * password is `Misconfigured` and is not tried again by itself: servers lock accounts over that. Where the server
 * gives refresh tokens, `makeLogin` needs the password less often.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<TokenSource.TokenSource<UnattendedError>, Misconfigured, HttpClient.HttpClient> =>
  Effect.map(makeLogin(options), Unattended.toSource)

/**
 * The same as a login, which gives the whole grant with the refresh token, if the server gives one. Fails when the
 * user name or the password is empty, or the client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeLogin = (
  options: Options
): Effect.Effect<UnattendedLogin, Misconfigured, HttpClient.HttpClient> =>
  Effect.flatMap(Endpoint.make("password (legacy)", options), (endpoint) => {
    const { password, username } = options
    const text = Redacted.value(password)
    // Not `succeed`, whose value shows in a log of the login.
    const fields = Effect.sync(() => ({ username, password: text }))
    return username.trim() === "" || text === ""
      ? Effect.fail(isEmpty(endpoint.source))
      : Effect.succeed(Unattended.make(endpoint, options, kind, fields))
  })

const kind: Unattended.Kind = {
  grant: "password",
  grantType: "password",
  hint: "Check the user name and the password, and that the account may log in this way."
}

const isEmpty = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "EmptySecret",
    detail: "the user name is blank, or the password is empty",
    hint: "Give both, or leave this source out."
  })

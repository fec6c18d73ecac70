/**
 * The JWT bearer grant: a signed statement is turned into a token (RFC 7523 §2.1). Service accounts log in this way.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Misconfigured, TokenError } from "../TokenError.js"
import type * as TokenSource from "../TokenSource.js"
import * as Client from "./Client.js"
import * as Assertion from "./internal/assertion.js"
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
export interface Options<out E extends TokenError = never> extends Omit<TokenEndpoint.Options, "client"> {
  /** Default `Client.anonymous`: the assertion says who asks (RFC 7521 §4.1). */
  readonly client?: Client.Client | undefined
  /**
   * What is signed here, anew for each request, since servers take each assertion only once; or an effect that gives
   * an assertion which another party has signed, and which runs for each request.
   */
  readonly assertion: Signed | Effect.Effect<Redacted.Redacted<string>, E>
  /** Sent beside the assertion. Some servers look for a `scope` in its claims instead. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Who the token is for (RFC 8707); kept as `resource` in `Grant.extra`, so that renewals say it again. */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** Who the token is for, as servers that don't know resource indicators call it; kept as `audience`. */
  readonly audience?: string | undefined
}

/**
 * An assertion that is signed here (RFC 7523 §3). It is dated by the server's clock, as far as that is known, and
 * signed once more where the answer tells that the clocks differ.
 *
 * @since 0.1.0
 * @category models
 */
export interface Signed extends Omit<Client.PrivateKeyJwtOptions, "audience"> {
  /** `iss`: who the key belongs to. */
  readonly issuer: string
  /** `sub`: who the token acts for. Default: the issuer. */
  readonly subject?: string | undefined
  /** `aud`. Default: the server's issuer. Many servers want their token endpoint here. */
  readonly audience?: string | undefined
  /** How long the assertion is good for. Default 5 minutes, at most 1 hour. */
  readonly lifetime?: Duration.DurationInput | undefined
  /** Further claims. They win over the ones above, and `undefined` leaves a claim out. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
}

/**
 * A source that asks the server for a new token on every request; `TokenCache.cached` makes it remember. An assertion
 * that is refused for good is `Misconfigured`: there is nobody who could log in.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E extends TokenError = never>(
  options: Options<E>
): Effect.Effect<TokenSource.TokenSource<E | UnattendedError>, Misconfigured, HttpClient.HttpClient> =>
  Effect.map(makeLogin(options), Unattended.toSource)

/**
 * The same as a login, which gives the whole grant with the refresh token, if the server gives one. Fails when the
 * key, a claim, or the client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeLogin: <E extends TokenError = never>(
  options: Options<E>
) => Effect.Effect<UnattendedLogin<E | UnattendedError>, Misconfigured, HttpClient.HttpClient> = Effect
  .fnUntraced(
    function*<E extends TokenError = never>(options: Options<E>) {
      const { assertion, client = Client.anonymous, server } = options
      const endpoint = yield* Endpoint.make("JWT bearer", { ...options, client })
      const signs = !Effect.isEffect(assertion)
      const given: Effect.Effect<Redacted.Redacted<string>, E | Misconfigured> = signs
        ? yield* Assertion.make(endpoint.source, server, assertion)
        : assertion
      const fields = Effect.map(given, (assertion) => ({ assertion: Redacted.value(assertion) }))
      return Unattended.make(endpoint, options, { ...kind, signs }, fields)
    }
  )

const kind: Unattended.Kind = {
  grant: "jwt_bearer",
  grantType: "urn:ietf:params:oauth:grant-type:jwt-bearer",
  hint: "Check the assertion's issuer, subject, audience, scope and key, and that the server trusts that key."
}

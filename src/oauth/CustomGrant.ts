/**
 * A grant of a type that a server has made up, or that this library has no module for (RFC 6749 §4.5): Zoom's
 * `account_credentials` with its `account_id` is one.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { TokenError } from "../TokenError.js"
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
export interface Options<out E extends TokenError = never> extends TokenEndpoint.Options {
  /** The `grant_type`: a name, or an absolute URI. */
  readonly grantType: string
  /** The fields that belong to it; from an effect, which runs anew for each request, where they change or are signed. */
  readonly fields: Fields | Effect.Effect<Fields, E>
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Who the token is for (RFC 8707); kept as `resource` in `Grant.extra`, so that renewals say it again. */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** Who the token is for, as servers that don't know resource indicators call it; kept as `audience`. */
  readonly audience?: string | undefined
}

/**
 * The fields of a grant. What is secret is `Redacted`; a list is sent as one field for each of its items.
 *
 * @since 0.1.0
 * @category models
 */
export type Fields = Readonly<Record<string, string | ReadonlyArray<string> | Redacted.Redacted<string>>>

/**
 * A source that asks the server for a new token on every request; `TokenCache.cached` makes it remember. What the
 * server refuses for good is `Misconfigured`.
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
 * grant type is blank or one that redeems what can be spent, when a field has an option of its own, or when the
 * client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeLogin = <E extends TokenError = never>(
  options: Options<E>
): Effect.Effect<UnattendedLogin<E | UnattendedError>, Misconfigured, HttpClient.HttpClient> =>
  Effect.flatMap(Endpoint.make(options.grantType.trim() || "custom grant", options), (endpoint) => {
    const { source } = endpoint
    const { fields, grantType } = options
    if (!isGrantType(grantType)) return Effect.fail(notCustom(source))
    const given = Effect.isEffect(fields)
      ? Effect.flatMap(fields, (fields) => written(source, fields))
      : written(source, fields)
    const login = Unattended.make(endpoint, options, { grant: "custom", grantType, hint }, given)
    return Effect.isEffect(fields) ? Effect.succeed(login) : Effect.as(written(source, fields), login)
  })

const hint =
  "Check the fields of the grant and the client's credentials, and that the client may use this grant."

/** Visible characters (RFC 6749 appendix A.10), and none of the grants that are spent by being redeemed. */
const isGrantType = (name: string): boolean =>
  /^[\x21-\x7e]{1,512}$/.test(name) && name !== "refresh_token" && name !== "authorization_code"

/** The fields that have options of their own. */
const elsewhere = new Set([
  "grant_type",
  "client_id",
  "client_secret",
  "client_assertion",
  "client_assertion_type",
  "refresh_token",
  "scope",
  "resource",
  "audience"
])

/** Not by `succeed`, whose value shows in a log of the login. */
const written = (
  source: string,
  fields: Fields
): Effect.Effect<TokenEndpoint.Parameters, Misconfigured> => {
  const reserved = Object.keys(fields).find((name) => elsewhere.has(name))
  return reserved === undefined
    ? Effect.sync(() =>
      Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [
          name,
          Redacted.isRedacted(value) ? Redacted.value(value) : value
        ])
      )
    )
    : Effect.fail(hasOption(source, reserved))
}

const notCustom = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the grant type is blank, not a name, or one that has its own module",
    hint: "Give the grant type as the server documents it; RefreshToken and AuthorizationCode redeem theirs."
  })

const hasOption = (source: string, name: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: `the field ${name} is among those of the grant`,
    hint: "Use the option of that meaning instead; the client's credentials belong to its auth."
  })

/**
 * HTTP clients that carry a credential:
 * `client.pipe(HttpAuth.bearer(source, { origins: "https://api.example.com" }))`.
 *
 * - A credential goes only to the origins that it is bound to; a request elsewhere is sent without it, and
 *   one that would show it in clear, over plain http to another machine, is refused.
 * - `HttpClient.followRedirects` belongs after the credential, so that each hop is checked. Applied before it,
 *   the hops are out of sight: the first redirect that is seen to have taken the credential along fails with
 *   `InsecureUrl`, but by then another origin may have it.
 * - A request that already has such a header (or query parameter) is sent as it is.
 * - When the answer refuses the token, exactly that token is invalidated and the request is sent once more
 *   with another one, if the body can be sent again (all but streams and raw bodies of unknown kind) and if
 *   the source gives a different token. Otherwise the refusing answer is the result. The second answer is the
 *   result whatever it says.
 * - If no new token can be had, the token's error is the result, since it says what to do: a 401 would read
 *   as "not allowed" while the identity provider was only out of reach. Only when the source says
 *   `RejectedWhileFresh` does the refusing answer stand.
 * - Responses and errors show the request as it was without the credential. Of a cause or defect from below,
 *   the name, the code and the place are left (of a token's error, all).
 * - A request never opens a login, unless `interactive` allows it.
 * - The span of a request tells its method, origin, path and status, and no headers and no query. Other spans
 *   of the client below are not recorded, those of the source are.
 *
 * @example
 * ```ts
 * import * as HttpClient from "@effect/platform/HttpClient"
 * import * as HttpAuth from "effect-credentials/http/HttpAuth"
 * import type { TokenSource } from "effect-credentials/TokenSource"
 *
 * declare const source: TokenSource
 * declare const client: HttpClient.HttpClient
 *
 * // The credential first, the redirects after it.
 * const authed = client.pipe(
 *   HttpAuth.bearer(source, { origins: "https://api.example.com" }),
 *   HttpClient.followRedirects()
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import { Misconfigured } from "../TokenError.js"
import type { TokenError } from "../TokenError.js"
import * as TokenSource from "../TokenSource.js"
import * as Challenge from "./Challenge.js"
import * as Basic from "./internal/basic.js"
import * as Disguise from "./internal/disguise.js"
import * as Dpop from "./internal/dpop.js"
import * as Exchange from "./internal/exchange.js"
import * as Binding from "./internal/origins.js"
import * as Placement from "./Placement.js"

/**
 * Gives a client a credential. The new client can also fail with `E`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Middleware<out E extends TokenError> {
  <E2, R>(client: HttpClient.HttpClient.With<E2, R>): HttpClient.HttpClient.With<E | E2, R>
}

/**
 * The origins that a credential is bound to, as URLs of which only the origin counts: https, or http on this
 * machine (`localhost`, 127.0.0.0/8, `[::1]`). `"any"` sends it wherever such a request goes, redirects
 * included.
 *
 * @since 0.1.0
 * @category models
 */
export type Origins = "any" | (string & {}) | URL | readonly [string | URL, ...ReadonlyArray<string | URL>]

/**
 * What every credential needs to know.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Where the credential may go. Only what `HttpClient.followRedirects` does above the credential is checked. */
  readonly origins: Origins
  /** Lets the credential go over plain http to other machines too, where all on the way can read it. Default false. */
  readonly insecure?: boolean | undefined
  /**
   * Whether a request may have the source ask a person to log in. Default false: where a login is needed, the request
   * fails with what says so, and the program logs in when it sees fit.
   */
  readonly interactive?: boolean | undefined
  /** Whether an answer refuses the token that its request carried. Default `isRejection`. */
  readonly rejected?: ((response: HttpClientResponse.HttpClientResponse) => boolean) | undefined
}

/**
 * Whether this answer refuses the token: it is a 401, unless its challenges name only errors that another
 * token of the same kind does not cure. Many APIs leave out the challenge that RFC 9110 §15.5.2 demands, so
 * it is not asked for.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isRejection = (response: HttpClientResponse.HttpClientResponse): boolean => {
  if (response.status !== 401) return false
  const errors = Challenge.parse(response.headers["www-authenticate"]).flatMap((one) =>
    Option.toArray(Challenge.error(one))
  )
  return errors.length === 0 || errors.some((code) => !notCured.has(code))
}

const notCured: ReadonlySet<string> = new Set([
  "invalid_request",
  "insufficient_scope",
  // Of the proof that goes with a bound token (RFC 9449 §7.1).
  "invalid_dpop_proof",
  "use_dpop_nonce",
  "insufficient_user_authentication"
])

/**
 * The general form: tokens of the source, put on requests in a way of your own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const authenticate = <E extends TokenError, E2 extends TokenError>(
  source: TokenSource.TokenSource<E>,
  placement: Placement.Placement<E2>,
  options: Options
): Middleware<E | E2 | Misconfigured> => middleware(source, placement, options)

const middleware = <E extends TokenError, E2 extends TokenError>(
  source: TokenSource.TokenSource<E>,
  placement: Placement.Placement<E2>,
  options: Options & Pick<Exchange.Setup<E>, "learn">
): Middleware<E | E2 | Misconfigured> => {
  const locate = Binding.compile({
    source: source.name,
    origins: options.origins,
    insecure: options.insecure ?? false
  })
  if (Either.isLeft(locate)) return failing(locate.left)
  const setup: Exchange.Setup<E | E2> = {
    source: options.interactive === true ? source : TokenSource.quiet(source),
    placement,
    locate: locate.right,
    unbound: options.origins === "any",
    rejected: options.rejected ?? isRejection,
    learn: options.learn
  }
  return (client) => Exchange.client(client, setup)
}

const failing = (error: Misconfigured): Middleware<Misconfigured> => (client) =>
  HttpClient.transformResponse(client, () => Effect.fail(error))

/**
 * `Authorization: Bearer …` (RFC 6750 §2.1), whatever the source calls its token's type, except for types
 * that mean another way of presenting it: those are `Misconfigured`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bearer = <E extends TokenError>(
  source: TokenSource.TokenSource<E>,
  options: Options
): Middleware<E | Misconfigured> => {
  const placement = Placement.header(
    { source: source.name, name: "authorization" },
    (token) =>
      notBearer.test(token.type)
        ? Either.left(wrongType(source.name, token.type))
        : Either.map(Placement.visible(source.name, token), (value) => `Bearer ${value}`)
  )
  return authenticate(source, placement, options)
}

const notBearer = /^(?:dpop|pop|mac|n_a)$/i

const wrongType = (source: string, type: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: `its tokens are of the type ${type}, which is not presented as a bearer token`,
    hint: "Present it in the way of its type, or have the issuer give bearer tokens."
  })

/**
 * What a credential of bound tokens needs to know.
 *
 * @since 0.1.0
 * @category models
 */
export interface DpopOptions extends Options {
  /**
   * Whether a token of the type `Bearer` goes as such, without a proof, instead of being `Misconfigured`. Default false.
   */
  readonly allowBearer?: boolean | undefined
}

/**
 * `Authorization: DPoP …`, and with each single try a new proof that its sender holds the key to which the
 * token is bound (RFC 9449 §7). What an origin tells of its nonce and its clock goes into the next proof.
 *
 * An answer that asks for a nonce doesn't refuse the token: the request is sent once more with the same token
 * and the nonce, if its body can be sent again; so it is where a proof is refused and the answer shows that the
 * clocks differ. With `FetchHttpClient`, requests don't follow redirects by themselves, as with `apiKey`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const dpop = <E extends TokenError>(
  source: TokenSource.TokenSource<E>,
  options: DpopOptions
): Middleware<E | Misconfigured> => {
  const credential = Dpop.make(source.name, options.allowBearer ?? false)
  return middleware(source, credential.placement, { ...options, learn: credential.learn })
}

/**
 * Where an API key goes: into a header, if need be behind a scheme (`{ header: "authorization", scheme:
 * "Token" }`), or into the query. Prefer a header: URLs end up in the logs of servers and proxies.
 *
 * @since 0.1.0
 * @category models
 */
export type ApiKeyOptions =
  & Options
  & (
    | { readonly header: string; readonly scheme?: string | undefined }
    | { readonly query: string }
  )

/**
 * An API key in a header or in the query.
 *
 * `fetch` would take a header other than `Authorization` along to another origin, so with `FetchHttpClient`
 * such requests say `redirect: "manual"` unless a `RequestInit` in the context of the request says otherwise;
 * a `RequestInit` that was given to `FetchHttpClient.layer` itself does not apply to them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const apiKey = <E extends TokenError>(
  source: TokenSource.TokenSource<E>,
  options: ApiKeyOptions
): Middleware<E | Misconfigured> => {
  if ("query" in options) {
    return authenticate(source, Placement.query({ source: source.name, name: options.query }), options)
  }
  if (options.scheme !== undefined && !Placement.isName(options.scheme)) {
    return failing(invalidScheme(source.name))
  }
  const scheme = options.scheme === undefined ? "" : `${options.scheme} `
  const placement = Placement.header(
    { source: source.name, name: options.header },
    (token) => Either.map(Placement.visible(source.name, token), (value) => scheme + value)
  )
  return authenticate(source, placement, options)
}

const invalidScheme = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the scheme in front of its key is not valid",
    hint: "Give one word, such as Token, without a blank or a line break."
  })

/**
 * A user name and a password. Either may be the secret. A password can come from a source, as with registries
 * that take a token in its place.
 *
 * @since 0.1.0
 * @category models
 */
export interface BasicCredentials<out E extends TokenError = never> {
  readonly username: string | Redacted.Redacted<string>
  readonly password: Redacted.Redacted<string> | TokenSource.TokenSource<E>
}

/**
 * `Authorization: Basic …` in UTF-8 (RFC 7617). A user name with a colon, control characters in either part
 * and two blank parts are `Misconfigured`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const basic = <E extends TokenError = never>(
  credentials: BasicCredentials<E>,
  options: Options
): Middleware<E | Misconfigured> => {
  const source = Basic.sourceOf(credentials.password)
  return authenticate(source, Basic.placement(source.name, credentials.username), options)
}

/**
 * The client as a plain `HttpClient`, for whatever demands one, such as `transformClient` of
 * `HttpApiClient.make`. A token's error travels as the `cause` of a `RequestError` (`Transport` when it may
 * work later, else `Encode`), where `tokenError` finds it. `HttpApiClient.makeWith` takes the client as it is
 * and keeps the error's type.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toHttpClient = (
  client: HttpClient.HttpClient.With<HttpClientError.HttpClientError | TokenError>
): HttpClient.HttpClient =>
  HttpClient.makeWith<never, never, HttpClientError.HttpClientError, never>(
    Effect.flatMap((request) =>
      Effect.mapError(client.execute(request), (error) => asRequestError(error, request))
    ),
    Effect.succeed
  )

const asRequestError = (
  error: HttpClientError.HttpClientError | TokenError,
  request: HttpClientRequest.HttpClientRequest
): HttpClientError.HttpClientError =>
  HttpClientError.isHttpClientError(error) ? error : new HttpClientError.RequestError({
    request,
    reason: error._tag === "TransientFailure" ? "Transport" : "Encode",
    cause: error,
    description: error.message
  })

/**
 * The token's error that a `RequestError` from `toHttpClient` or `layer` brings along.
 *
 * @since 0.1.0
 * @category conversions
 */
export const tokenError = (error: unknown): Option.Option<TokenError> =>
  HttpClientError.isHttpClientError(error) && Disguise.isTokenError(error.cause)
    ? Option.some(error.cause)
    : Option.none()

/**
 * The `HttpClient` of the context with a credential from the source under a tag, as a plain `HttpClient` (see
 * `toHttpClient`): `HttpAuth.layer(GitHub, (source) => HttpAuth.bearer(source, { origins:
 * "https://api.github.com" }))`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self>(
  tag: Context.Tag<Self, TokenSource.TokenSource>,
  credential: (source: TokenSource.TokenSource) => Middleware<TokenError>
): Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient | Self> =>
  Layer.effect(
    HttpClient.HttpClient,
    Effect.zipWith(tag, HttpClient.HttpClient, (source, client) => toHttpClient(credential(source)(client)))
  )

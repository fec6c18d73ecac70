/**
 * The whole way to a token of an OAuth client, as one source: what this process holds, then what any process has
 * stored, then a renewal by the stored refresh token, then a login.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Grant from "../Grant.js"
import { Login } from "../login/Login.js"
import type * as Logins from "../login/Login.js"
import type * as RefreshToken from "../oauth/RefreshToken.js"
import type { RefreshScheduler } from "../RefreshScheduler.js"
import type * as TokenCache from "../TokenCache.js"
import type { Misconfigured, TokenError } from "../TokenError.js"
import * as TokenSource from "../TokenSource.js"
import type * as Vault from "../vault/Vault.js"
import type * as VaultKey from "../vault/VaultKey.js"
import * as OAuth from "./internal/oauth.js"

/**
 * What `make`, `interactive` and `SignIn` take.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Who redeems, and where. */
  readonly refresh: RefreshToken.Options
  /**
   * Where the grant is kept. Default: derived from the issuer and `refresh.resource`, under the prefix
   * `OAUTH_REFRESH_TOKEN_`, so that a grant of another issuer or for another resource is never sent.
   */
  readonly key?: VaultKey.Input | undefined
  /** The name that errors and status show. Default `login at` the issuer. */
  readonly name?: string | undefined
  /** When the memory renews, and how; see `TokenCache`. */
  readonly cache?: TokenCache.Options | undefined
  /** A stored token with less than this left is renewed before it is given. Default 0. */
  readonly minUsable?: Duration.DurationInput | undefined
  /**
   * How long one redemption, and one read or write of the vault, may take. Default: what `RefreshToken.timeLimit` says of
   * `refresh`, at least 1 minute. That is 2 minutes, since the stored grant may be bound to a key, or longer where
   * `refresh` gives its requests more time. A renewal that is cut may have spent the refresh token.
   */
  readonly deadline?: Duration.DurationInput | undefined
  /** For how long the issuer takes the same refresh token again; see `Redemption.Options`. Default 0. */
  readonly graceWindow?: Duration.DurationInput | undefined
  /** After what silence a dead process's lease is taken over. Default 15 seconds. */
  readonly leaseTerm?: Duration.DurationInput | undefined
  /**
   * Told of the grant of each login and each rotation, and told again by any call; see `Persisted.Options`. Nobody
   * waits for it but the end of the scope, which gives it its 10 seconds.
   */
  readonly persister?: ((grant: Grant.Grant) => Effect.Effect<void, TokenError>) | undefined
  /**
   * Renews the grant when its last renewal is this long ago, whether or not anybody asks for a token, so that
   * it does not end from disuse. Default: never.
   */
  readonly keepAlive?: Duration.DurationInput | undefined
}

/**
 * What a source without a login takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface QuietOptions extends Options {
  /** The error in place of "nobody is logged in". What really failed always goes before it. */
  readonly fallback?: TokenError | undefined
}

/**
 * What a source with a login takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface InteractiveOptions extends Options {
  /**
   * How long after a login that came to nothing no other one of this grant opens by itself, with twice as long after
   * each further one, up to 15 minutes; see `LoginGate`. Default 1 minute.
   */
  readonly coolDown?: Duration.DurationInput | undefined
}

/** What a source of this kind needs when it is made. */
type Needs = Vault.Vault | HttpClient.HttpClient | RefreshScheduler | Scope.Scope

/**
 * The source for programs where nobody can be asked: memory, then the stored token, then the stored refresh token.
 * Each tier is warmed by the one below it. Where none has a token, a real failure is given as it is, else the
 * `fallback`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: QuietOptions
): Effect.Effect<TokenSource.TokenSource, Misconfigured, Needs> =>
  build(options, undefined, (source) => withFallback(source, options.fallback))

/**
 * The same with the program's `Login` as the last tier. A login is opened where nothing is stored, or where the issuer
 * has refused what is stored or there is nothing to renew it by; never because a network, an issuer or a vault
 * failed, and not for a request that says `interactive: false`. One login at a time, in all programs that share a vault
 * with leases. After one that came to nothing, the next does not open before `coolDown` has passed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const interactive = (
  options: InteractiveOptions
): Effect.Effect<TokenSource.TokenSource, Misconfigured, Needs | Login> =>
  Effect.flatMap(Login, (login) => build(options, login))

const build = Effect.fnUntraced(function*(
  options: InteractiveOptions,
  login: Logins.Service | undefined,
  wrap?: (source: TokenSource.TokenSource) => TokenSource.TokenSource
) {
  const { cache, minUsable } = options
  const shared = yield* OAuth.prepare(options)
  return yield* OAuth.remembered(shared, { cache, login, minUsable, wrap })
})

/**
 * The key that the grant of a client is kept under if no other is given.
 *
 * @since 0.1.0
 * @category getters
 */
export const keyOf: (refresh: RefreshToken.Options) => Effect.Effect<VaultKey.VaultKey> = OAuth.keyOf

const withFallback = (
  source: TokenSource.TokenSource,
  fallback: TokenError | undefined
): TokenSource.TokenSource =>
  fallback === undefined ? source : TokenSource.withRequest(
    source,
    (request) => Effect.catchTag(source.request(request), "TokenUnavailable", () => Effect.fail(fallback))
  )

/**
 * The source that asks nobody, as the program's token source.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: QuietOptions
): Layer.Layer<TokenSource.TokenSource, Misconfigured, Vault.Vault | HttpClient.HttpClient> =>
  TokenSource.layer(TokenSource.TokenSource, make(options))

/**
 * The source that may let a person log in, as the program's token source.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerInteractive = (
  options: InteractiveOptions
): Layer.Layer<TokenSource.TokenSource, Misconfigured, Vault.Vault | HttpClient.HttpClient | Login> =>
  TokenSource.layer(TokenSource.TokenSource, interactive(options))

/**
 * Sources by key: one for each tenant, user or audience, made on first use and released when it was idle.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import * as RefreshScheduler from "./RefreshScheduler.js"
import type * as Token from "./Token.js"
import type { TokenError } from "./TokenError.js"
import type { LayerOf, TokenSource } from "./TokenSource.js"

/**
 * A family of sources. Each key has a source of its own: its token, its failures and its back-off never touch another
 * key's.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenFamily<in K, out E extends TokenError = TokenError, out E2 = never> {
  /** A valid token for this key. The source stays alive for the idle time after it. */
  readonly get: (key: K) => Effect.Effect<Token.Token, E | E2>
  /** The source for this key, alive as long as the scope. */
  readonly source: (key: K) => Effect.Effect<TokenSource<E>, E2, Scope.Scope>
  /** Releases the source for this key; the next use makes a new one. */
  readonly release: (key: K) => Effect.Effect<void>
}

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<K, E extends TokenError, E2, R> {
  /** Makes the source for a key. Keys are compared by `Equal`. */
  readonly lookup: (key: K) => Effect.Effect<TokenSource<E>, E2, R>
  /** How long a source that nobody uses is kept. Default 15 minutes. */
  readonly idleTimeToLive?: Duration.DurationInput | undefined
}

/**
 * A family whose sources live at most as long as the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <K, E extends TokenError, E2, R>(
  options: Options<K, E, E2, R>
): Effect.Effect<TokenFamily<K, E, E2>, never, Scope.Scope | R> =>
  Effect.map(
    RcMap.make({
      lookup: options.lookup,
      idleTimeToLive: options.idleTimeToLive ?? "15 minutes"
    }),
    (sources): TokenFamily<K, E, E2> => ({
      get: (key) => Effect.scoped(Effect.flatMap(RcMap.get(sources, key), (source) => source.get)),
      source: (key) => RcMap.get(sources, key),
      release: (key) => RcMap.invalidate(sources, key)
    })
  )

/**
 * The Layer that provides a family under a tag, with the scope and the scheduler that its sources need.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, K, E extends TokenError, E2, E3, R>(
  tag: Context.Tag<Self, TokenFamily<K, E, E2>>,
  family: Effect.Effect<TokenFamily<K, E, E2>, E3, R>
): LayerOf<Self, E3, R> => Layer.scoped(tag, family).pipe(Layer.provide(RefreshScheduler.layer))

/**
 * A source that remembers: one fetch for any number of callers, renewed before it expires, and served until it has.
 *
 * The cache is a state machine (`Empty`, `Fresh`, `Stale`, `Refreshing`, `Rejected`, `Failed`, `Closed`). A fetch
 * belongs to the scope in which the cache was made and never to a caller: callers wait for it and may leave. Nothing is
 * fetched before the first use.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Cache from "./internal/cache.js"
import type { Settings } from "./internal/cacheSettings.js"
import { RefreshScheduler } from "./RefreshScheduler.js"
import type * as Token from "./Token.js"
import type { RequestRejected, TokenError, TokenUnavailable, TransientFailure } from "./TokenError.js"
import type { TokenSource } from "./TokenSource.js"

/**
 * What a cache adds to the errors of the source below it: time limit and repeated refusal, closed scope, and a validity
 * that can't be met.
 *
 * @since 0.1.0
 * @category errors
 */
export type CacheError = TransientFailure | TokenUnavailable | RequestRejected

/**
 * How a cache behaves.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Settings {}

/**
 * A cache over one source, closed with the scope. Closing waits for a fetch that can't be interrupted: up to a
 * minute, or its time limit where that is longer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E extends TokenError>(
  source: TokenSource<E>,
  options?: Options
): Effect.Effect<TokenSource<E | CacheError>, never, Scope.Scope | RefreshScheduler> =>
  Effect.gen(function*() {
    const scheduler = yield* RefreshScheduler
    const cache = new Cache.Cache<E>(source, scheduler, yield* scheduler.runner, options ?? noOptions)
    yield* Scope.addFinalizerExit(yield* Effect.scope, cache.finalizer)
    return cache
  })

const noOptions: Options = {}

/**
 * The same source with a memory.
 *
 * @since 0.1.0
 * @category combinators
 */
export const cached: {
  (options?: Options): <E extends TokenError, E2, R>(
    self: Effect.Effect<TokenSource<E>, E2, R>
  ) => Effect.Effect<TokenSource<E | CacheError>, E2, R | Scope.Scope | RefreshScheduler>
  <E extends TokenError, E2, R>(
    self: Effect.Effect<TokenSource<E>, E2, R>,
    options?: Options
  ): Effect.Effect<TokenSource<E | CacheError>, E2, R | Scope.Scope | RefreshScheduler>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <E extends TokenError, E2, R>(
    self: Effect.Effect<TokenSource<E>, E2, R>,
    options?: Options
  ): Effect.Effect<TokenSource<E | CacheError>, E2, R | Scope.Scope | RefreshScheduler> =>
    Effect.flatMap(self, (source) => make(source, options))
)

/**
 * A face for code outside of Effect: a function that gives a promise of a valid token, without a fiber while one is
 * held. The promise rejects with the token error. It may ask a person as `get` may: for code that works for requests,
 * make it of `TokenSource.quiet(source)`.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toPromise = <E extends TokenError>(
  source: TokenSource<E>
): Effect.Effect<() => Promise<Token.Token>> =>
  Effect.map(Effect.runtime<never>(), (runtime) => {
    const run = Runtime.runPromiseExit(runtime)
    return () => {
      const token = source.peek()
      return Option.isSome(token) ? Promise.resolve(token.value) : run(source.get).then(orReject)
    }
  })

/** `Runtime.runPromise` would reject with a wrapper that has neither the tag nor the fields of the error. */
const orReject = (exit: Exit.Exit<Token.Token, TokenError>): Token.Token | Promise<never> =>
  Exit.isSuccess(exit) ? exit.value : Promise.reject(Cause.squash(exit.cause))

/**
 * Sources by key: one for each tenant, user or audience, made on first use and released when it was idle.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
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
  Effect.gen(function*() {
    const runtime = yield* Effect.runtime<R>()
    const sources = yield* RcMap.make({
      lookup: (key: K) => Effect.map(Effect.scope, (scope) => lasting(runtime, options.lookup(key), scope)),
      idleTimeToLive: options.idleTimeToLive ?? "15 minutes"
    })
    const source = (key: K) => Effect.flatten(RcMap.get(sources, key))
    return {
      get: (key) => Effect.scoped(Effect.flatMap(source(key), (source) => source.get)),
      source,
      release: (key) => RcMap.invalidate(sources, key)
    }
  })

/**
 * The outcome of one run for all who ask, in the context of the family and never in that of who asked first. A success
 * lasts as long as the scope; a failure goes to those who waited for it, and the next one who asks causes another run.
 */
const lasting = <A, E, R>(
  runtime: Runtime.Runtime<R>,
  make: Effect.Effect<A, E, R>,
  scope: Scope.Scope
): Effect.Effect<A, E> => {
  const run = Effect.flatMap(
    Scope.fork(scope, ExecutionStrategy.sequential),
    (own) =>
      Effect.interruptible(Scope.extend(make, own)).pipe(
        Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
      )
  )
  let fiber: Fiber.RuntimeFiber<A, E> | undefined
  return Effect.suspend(() => {
    const exit = fiber?.unsafePoll() ?? undefined
    if (exit !== undefined && Exit.isSuccess(exit)) return exit
    if (fiber === undefined || exit !== undefined) fiber = Runtime.runFork(runtime)(run, { scope })
    return Fiber.join(fiber)
  })
}

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

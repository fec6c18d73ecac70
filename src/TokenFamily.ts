/**
 * Sources by key: one for each tenant, user or audience, made on first use and released when it was idle.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Errors from "./internal/cacheErrors.js"
import * as RefreshScheduler from "./RefreshScheduler.js"
import type * as Token from "./Token.js"
import type { TokenError, TokenUnavailable } from "./TokenError.js"
import type { LayerOf, TokenSource } from "./TokenSource.js"

/**
 * A family of sources. Each key has a source of its own: its token, its failures and its back-off never touch another
 * key's. After the end of its scope everything here fails with `TokenUnavailable`, its reason `Closed`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenFamily<in K, out E extends TokenError = TokenError, out E2 = never> {
  /** A valid token for this key. The source stays alive for the idle time after it. */
  readonly get: (key: K) => Effect.Effect<Token.Token, E | E2 | TokenUnavailable>
  /** The source for this key, alive as long as the scope. */
  readonly source: (key: K) => Effect.Effect<TokenSource<E>, E2 | TokenUnavailable, Scope.Scope>
  /** Releases the source for this key, at once or when nobody holds it any more; the next use makes a new one. */
  readonly release: (key: K) => Effect.Effect<void>
}

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<K, E extends TokenError, E2, R> {
  /**
   * Makes the source for a key. Keys are compared by `Equal`. It runs in the context of the family, never in that of
   * who asked first; a failure goes to those who wait, and the next use causes another run.
   */
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
): Effect.Effect<
  TokenFamily<K, E, E2>,
  never,
  Scope.Scope | RefreshScheduler.RefreshScheduler | R
> =>
  Effect.gen(function*() {
    const scheduler = yield* RefreshScheduler.RefreshScheduler
    const family = new Family(options, scheduler, Runtime.runFork(yield* Effect.runtime<R>()))
    return yield* Effect.acquireRelease(Effect.succeed(family), (family) => family.close)
  })

/** A source with those who use it. The scheduler calls it when it has been idle for long enough. */
class Member<K, E extends TokenError, E2> implements RefreshScheduler.Task {
  dueAt: number = Infinity
  place = -1
  /** How many hold the source or wait for it. */
  users = 0
  /** What the source lives in, once `lookup` runs. */
  scope: Scope.CloseableScope | undefined = undefined
  /** The run that makes the source. */
  lookup: Fiber.RuntimeFiber<void> | undefined = undefined
  /** The run that closes the scope. */
  ending: Fiber.RuntimeFiber<void> | undefined = undefined
  readonly key: K
  readonly made: Deferred.Deferred<TokenSource<E>, E2 | TokenUnavailable> = Deferred.unsafeMake(FiberId.none)
  private readonly release: (member: Member<K, E, E2>) => void

  constructor(key: K, release: (member: Member<K, E, E2>) => void) {
    this.key = key
    this.release = release
  }

  onDue(): boolean {
    if (this.users === 0) this.release(this)
    return false
  }
}

type Fork<R> = <A>(effect: Effect.Effect<A, never, R>) => Fiber.RuntimeFiber<A>

/** Each change of who is a member and of who uses one is a synchronous step. */
class Family<K, E extends TokenError, E2, R> implements TokenFamily<K, E, E2> {
  private readonly options: Options<K, E, E2, R>
  private readonly scheduler: RefreshScheduler.Service
  private readonly fork: Fork<R>
  /** What the next use of a key gets; `undefined` when the family is closed. */
  private current: MutableHashMap.MutableHashMap<K, Member<K, E, E2>> | undefined = MutableHashMap.empty()
  /** Those, and those that were released while in use, and those that are ending. */
  private readonly alive = new Set<Member<K, E, E2>>()

  constructor(options: Options<K, E, E2, R>, scheduler: RefreshScheduler.Service, fork: Fork<R>) {
    this.options = options
    this.scheduler = scheduler
    this.fork = fork
  }

  readonly get = (key: K): Effect.Effect<Token.Token, E | E2 | TokenUnavailable> =>
    Effect.acquireUseRelease(
      this.enter(key),
      (member) => Effect.flatMap(Deferred.await(member.made), (source) => source.get),
      (member) => this.leave(member)
    )

  readonly source = (key: K): Effect.Effect<TokenSource<E>, E2 | TokenUnavailable, Scope.Scope> =>
    Effect.flatMap(
      Effect.acquireRelease(this.enter(key), (member) => this.leave(member)),
      (member) => Deferred.await(member.made)
    )

  readonly release = (key: K): Effect.Effect<void> =>
    Effect.suspend(() => {
      const member = this.find(key)
      if (member === undefined) return Effect.void
      this.forget(member)
      return member.users === 0 ? ended(this.end(member)) : Effect.void
    })

  /** Tells those who wait first, so that they do not see the interruption of what they wait for. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.current = undefined
    const endings = Array.from(this.alive, (member) => {
      Deferred.unsafeDone(member.made, closed())
      return this.end(member)
    })
    return Effect.flatMap(Fiber.awaitAll(endings), (exits) => Effect.all(exits, { discard: true }))
  })

  private find(key: K): Member<K, E, E2> | undefined {
    return this.current && Option.getOrUndefined(MutableHashMap.get(this.current, key))
  }

  private enter(key: K): Effect.Effect<Member<K, E, E2>, TokenUnavailable> {
    return Effect.suspend(() => {
      if (this.current === undefined) return closed()
      const member = this.find(key) ?? this.begin(key, this.current)
      member.users++
      return Effect.succeed(member)
    })
  }

  private begin(
    key: K,
    members: MutableHashMap.MutableHashMap<K, Member<K, E, E2>>
  ): Member<K, E, E2> {
    const member = new Member<K, E, E2>(key, (member) => void this.end(member))
    MutableHashMap.set(members, key, member)
    this.alive.add(member)
    member.lookup = this.fork(Effect.uninterruptible(this.look(member)))
    return member
  }

  /** A failure is told when what the run had acquired is released; whoever asks from then on causes another run. */
  private look(member: Member<K, E, E2>): Effect.Effect<void, never, R> {
    const lookup = Effect.interruptible(Effect.suspend(() => this.options.lookup(member.key)))
    return Effect.gen(this, function*() {
      const scope = yield* Scope.make()
      member.scope = scope
      const exit = yield* Effect.exit(Scope.extend(lookup, scope))
      if (Exit.isFailure(exit)) {
        // What dies while it is released must not leave anybody waiting.
        yield* Effect.exit(Scope.close(scope, exit))
        this.forget(member)
        this.alive.delete(member)
      }
      Deferred.unsafeDone(member.made, exit)
    })
  }

  private leave(member: Member<K, E, E2>): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (--member.users > 0) return Effect.void
      if (this.find(member.key) !== member) return ended(this.end(member))
      const idle = Duration.toMillis(this.options.idleTimeToLive ?? "15 minutes")
      this.scheduler.renewAt(member, this.scheduler.now() + idle)
      return Effect.void
    })
  }

  /** The next use of its key makes another one. */
  private forget(member: Member<K, E, E2>): void {
    this.scheduler.cancel(member)
    if (this.current !== undefined && this.find(member.key) === member) {
      MutableHashMap.remove(this.current, member.key)
    }
  }

  private end(member: Member<K, E, E2>): Fiber.RuntimeFiber<void> {
    this.forget(member)
    return member.ending ??= this.fork(Effect.uninterruptible(this.closeScope(member)))
  }

  private closeScope(member: Member<K, E, E2>): Effect.Effect<void> {
    const stop = member.lookup === undefined ? Effect.void : Fiber.interrupt(member.lookup)
    return stop.pipe(
      Effect.zipRight(
        Effect.suspend(() => member.scope === undefined ? Effect.void : Scope.close(member.scope, Exit.void))
      ),
      Effect.ensuring(Effect.sync(() => this.alive.delete(member)))
    )
  }
}

const closed = (): Exit.Exit<never, TokenUnavailable> => Errors.closed("family of sources")

/** Waits for it; `Fiber.join` would also bring its fiber-locals here. */
const ended = (fiber: Fiber.RuntimeFiber<void>): Effect.Effect<void> => Effect.flatten(Fiber.await(fiber))

/**
 * The Layer that provides a family under a tag, with the scope and the scheduler that it and its sources need.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, K, E extends TokenError, E2, E3, R>(
  tag: Context.Tag<Self, TokenFamily<K, E, E2>>,
  family: Effect.Effect<TokenFamily<K, E, E2>, E3, R>
): LayerOf<Self, E3, R> => RefreshScheduler.provide(Layer.scoped(tag, family))

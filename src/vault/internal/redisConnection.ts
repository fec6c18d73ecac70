/** A connection to a Redis server that is made when somebody needs it, and made anew after it was lost. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as SynchronizedRef from "effect/SynchronizedRef"
import type { Redis, RedisOptions } from "ioredis"
import type { Problem } from "./redisProblem.js"
import { closed, fromError, timedOut } from "./redisProblem.js"
import { bounded } from "./shielded.js"

/** What a connection is made with. */
export interface Options {
  /** A client that has not connected yet, with these settings over its own. */
  readonly client: (settings: RedisOptions) => Redis
  /** For the connection and an answer together. */
  readonly timeLimit: Duration.Duration
  /** What else it takes until the connection is of use. */
  readonly prepare: (client: Redis) => Effect.Effect<unknown, Problem>
}

export interface Connection {
  /**
   * Runs commands, all within the limit; an interruption takes back none that was sent. When an answer does
   * not come in time the connection is given up, because that is what a dead one looks like.
   */
  readonly use: <A>(commands: (client: Redis) => Effect.Effect<A, Problem>) => Effect.Effect<A, Problem>
}

type State =
  | { readonly _tag: "Idle" }
  | { readonly _tag: "Open"; readonly client: Redis }
  | { readonly _tag: "Closed" }

export const make = (options: Options): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.gen(function*() {
    const state = yield* SynchronizedRef.make<State>({ _tag: "Idle" })
    yield* Effect.addFinalizer(() => close(state))
    return { use: (commands) => use(state, options, commands) }
  })

const use = <A>(
  state: SynchronizedRef.SynchronizedRef<State>,
  options: Options,
  commands: (client: Redis) => Effect.Effect<A, Problem>
): Effect.Effect<A, Problem> =>
  Effect.suspend(() => {
    let used: Redis | undefined
    const run = Effect.flatMap(obtain(state, options), (client) => {
      used = client
      return commands(client)
    })
    return Effect.tapError(
      bounded(run, options.timeLimit, () => timedOut(options.timeLimit)),
      (problem) => problem.isStale && used !== undefined ? drop(state, used) : Effect.void
    )
  })

/** A promise of a client as an effect. */
export const attempt = <A>(promise: () => Promise<A>): Effect.Effect<A, Problem> =>
  Effect.tryPromise({ try: promise, catch: fromError })

/** The client that is connected; else the first to ask connects, and the others wait for it. */
const obtain = (
  state: SynchronizedRef.SynchronizedRef<State>,
  options: Options
): Effect.Effect<Redis, Problem> =>
  Effect.flatMap(
    SynchronizedRef.get(state),
    (now) =>
      isUsable(now) ?
        Effect.succeed(now.client) :
        Effect.uninterruptibleMask((restore) =>
          SynchronizedRef.modifyEffect(state, (now) => {
            if (now._tag === "Closed") return Effect.fail(closed)
            if (isUsable(now)) return Effect.succeed([now.client, now] as const)
            const opened = open(options, restore)
            return Effect.map(opened, (client): readonly [Redis, State] => [client, { _tag: "Open", client }])
          })
        )
  )

const isUsable = (state: State): state is Extract<State, { _tag: "Open" }> =>
  state._tag === "Open" && state.client.status === "ready"

const open = (
  options: Options,
  restore: <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Effect.Effect<Redis, Problem> =>
  Effect.suspend(() => {
    const client = options.client(settings(options.timeLimit))
    let cause: unknown
    client.on("error", (error) => {
      cause = error
    })
    const connected = Effect.tryPromise({
      try: () => client.connect(),
      catch: (error) => fromError(cause ?? error)
    })
    return restore(Effect.zipRight(connected, options.prepare(client))).pipe(
      Effect.tapErrorCause(() => discard(client)),
      Effect.as(client)
    )
  })

/**
 * The client must not try again, queue or send twice by itself: a write that its caller has given up would be
 * done much later, over a newer one.
 */
const settings = (timeLimit: Duration.Duration): RedisOptions => ({
  lazyConnect: true,
  retryStrategy: null,
  reconnectOnError: null,
  maxRetriesPerRequest: 0,
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  enableAutoPipelining: false,
  enableReadyCheck: false,
  disableClientInfo: true,
  connectTimeout: Math.ceil(Duration.toMillis(timeLimit)),
  keyPrefix: ""
})

const drop = (state: SynchronizedRef.SynchronizedRef<State>, client: Redis): Effect.Effect<void> =>
  Effect.zipRight(
    discard(client),
    SynchronizedRef.update(
      state,
      (now): State => now._tag === "Open" && now.client === client ? { _tag: "Idle" } : now
    )
  )

const discard = (client: Redis): Effect.Effect<void> => Effect.sync(() => client.disconnect())

const close = (state: SynchronizedRef.SynchronizedRef<State>): Effect.Effect<void> =>
  SynchronizedRef.updateEffect(
    state,
    (now) => Effect.as(now._tag === "Open" ? discard(now.client) : Effect.void, { _tag: "Closed" } as const)
  )

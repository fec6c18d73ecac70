/** One subscription for all who listen to keys of a Redis vault, on a connection of its own. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Redis, RedisOptions } from "ioredis"
import * as Announcer from "./announcer.js"
import * as Connection from "./redisConnection.js"
import type { Problem } from "./redisProblem.js"

export interface Options {
  readonly client: (settings: RedisOptions) => Redis
  readonly timeLimit: Duration.Duration
  readonly channel: string
  /** The key that a message names. */
  readonly keyOf: (message: string) => Option.Option<string>
}

/**
 * What announcements there are to a key. It connects when somebody listens, and from then on stays connected:
 * after an outage everybody is told, because nobody knows what was missed.
 */
export const make = (
  options: Options
): Effect.Effect<(key: string) => Stream.Stream<void, Problem>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const announcer = Announcer.unsafeMake()
    const lost = yield* Queue.sliding<void>(1)
    const connection = yield* Connection.make({
      client: (settings) => options.client({ ...settings, db: 0 }),
      timeLimit: options.timeLimit,
      prepare: (client) => subscribe(client, options, announcer, lost)
    })
    const alive = connection.use((client) => Connection.attempt(() => client.ping()))
    const started = yield* Effect.makeLatch()
    yield* Effect.forkScoped(Effect.zipRight(started.await, keep(alive, lost)))
    const ready = Effect.zipLeft(alive, started.open)
    return (key) => Stream.unwrap(Effect.as(ready, announcer.changes(key)))
  })

const subscribe = (
  client: Redis,
  { channel, keyOf }: Options,
  announcer: Announcer.Announcer,
  lost: Queue.Enqueue<void>
): Effect.Effect<void, Problem> => {
  client.on("message", (_, message) => Option.map(keyOf(message), announcer.announce))
  return Effect.map(Connection.attempt(() => client.subscribe(channel)), () => {
    client.once("end", () => void Queue.unsafeOffer(lost, undefined))
    announcer.announceAll()
  })
}

/** Connects again when the connection is lost, and asks now and then, because a dead one does not tell. */
const keep = (alive: Effect.Effect<unknown, Problem>, lost: Queue.Dequeue<void>): Effect.Effect<never> =>
  Queue.take(lost).pipe(
    Effect.timeoutOption("15 seconds"),
    Effect.zipRight(Effect.retry(alive, again)),
    Effect.ignore,
    Effect.forever
  )

const again = Schedule.jittered(
  Schedule.union(Schedule.exponential("100 millis"), Schedule.spaced("5 seconds"))
)

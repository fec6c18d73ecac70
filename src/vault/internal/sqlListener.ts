/** `changes` over a connection that listens, shared by all who ask, and made anew whenever it is lost. */
import type { SqlError } from "@effect/sql/SqlError"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as RcRef from "effect/RcRef"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Vault from "../Vault.js"
import type { VaultError } from "../VaultError.js"
import { Unreachable } from "../VaultError.js"
import * as VaultKey from "../VaultKey.js"
import * as Announcer from "./announcer.js"
import { freshId } from "./freshId.js"
import { topicOf } from "./sqlRecords.js"

export interface Wire {
  readonly vault: string
  /** Where writes are announced. */
  readonly channel: string
  readonly limit: Duration.Duration
  /** A new connection to hear on, until the scope closes. */
  readonly connect: Effect.Effect<Listen, VaultError, Scope.Scope>
  /** Says something on a channel, over another connection. */
  readonly tell: (channel: string, words: string) => Effect.Effect<void, VaultError>
}

export type Listen = (channel: string) => Stream.Stream<string, SqlError>

/** The connection is there while somebody listens, and a moment longer for who comes back at once. */
export const make = (wire: Wire): Effect.Effect<Vault.Service["changes"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const announcer = Announcer.unsafeMake()
    const listening = yield* RcRef.make({ acquire: start(wire, announcer), idleTimeToLive: "5 seconds" })
    return (key) => {
      const topic = Effect.zipRight(VaultKey.check(wire.vault, "changes", key), topicOf(key))
      return Stream.unwrapScoped(
        Effect.map(Effect.zipLeft(topic, RcRef.get(listening)), (topic) => announcer.changes(topic))
      )
    }
  })

/** Done when it hears. From then on a lost connection is no error, only a delay. */
const start = (
  wire: Wire,
  announcer: Announcer.Announcer
): Effect.Effect<void, VaultError, Scope.Scope> =>
  Effect.gen(function*() {
    const isReady = yield* Deferred.make<void, VaultError>()
    const ready = Effect.zipRight(
      Effect.sync(announcer.announceAll),
      Effect.asVoid(Deferred.succeed(isReady, undefined))
    )
    const attempt = session(wire, announcer, ready).pipe(
      Effect.catchAllDefect(() => Effect.fail(deaf(wire))),
      Effect.tapError((error) => Deferred.fail(isReady, error))
    )
    const keeper = yield* Effect.forkDaemon(Effect.retry(attempt, patience))
    yield* Effect.onError(Deferred.await(isReady), () => Fiber.interruptFork(keeper))
    yield* Effect.addFinalizer(() => Fiber.interruptFork(keeper))
  })

const patience = Schedule.exponential("200 millis").pipe(
  Schedule.union(Schedule.spaced("5 seconds")),
  Schedule.jittered,
  Schedule.resetAfter("1 minute")
)

/**
 * One connection, until it is lost. Its end is not waited for: a connection that hangs would never say
 * goodbye.
 */
const session = (
  wire: Wire,
  announcer: Announcer.Announcer,
  ready: Effect.Effect<void>
): Effect.Effect<never, VaultError> =>
  Effect.flatMap(Scope.make(), (scope) =>
    hear(wire, announcer, ready).pipe(
      Scope.extend(scope),
      Effect.onExit((exit) =>
        Effect.forkDaemon(Effect.catchAllCause(Scope.close(scope, exit), () => Effect.void))
      )
    ))

const hear = (
  wire: Wire,
  announcer: Announcer.Announcer,
  ready: Effect.Effect<void>
): Effect.Effect<never, VaultError, Scope.Scope> =>
  Effect.gen(function*() {
    const { channel, connect } = wire
    const listen = yield* connect
    const lost = yield* Deferred.make<never, VaultError>()
    const ears = { wire, listen, lost, words: yield* freshId, heard: yield* Queue.sliding<void>(1) }
    yield* attend(ears, channel, announcer.announce)
    yield* prove(ears, channel, wire.limit)
    const own = `${channel.slice(0, 40)}_${ears.words}`
    yield* attend(ears, own, () => undefined)
    yield* prove(ears, own, wire.limit)
    yield* ready
    const alive = Effect.forever(Effect.zipRight(Effect.sleep("3 seconds"), prove(ears, own, echo)))
    return yield* Effect.raceFirst(alive, Deferred.await(lost))
  })

/** How long an echo may take; a connection that is taken for lost by mistake is only made anew. */
const echo = Duration.seconds(2)

interface Ears {
  readonly wire: Wire
  readonly listen: Listen
  readonly lost: Deferred.Deferred<never, VaultError>
  /** What nobody else says. */
  readonly words: string
  readonly heard: Queue.Queue<void>
}

const attend = (
  { heard, listen, lost, wire, words }: Ears,
  channel: string,
  announce: (topic: string) => void
): Effect.Effect<void, never, Scope.Scope> =>
  Stream.runForEach(
    listen(channel),
    (said) => said === words ? Queue.offer(heard, undefined) : Effect.sync(() => announce(said))
  ).pipe(
    Effect.ensuring(Deferred.fail(lost, deaf(wire))),
    Effect.forkScoped,
    Effect.asVoid
  )

/**
 * The driver tells neither when it begins to listen nor when its connection is gone: so we talk to ourselves.
 */
const prove = (
  { heard, lost, wire, words }: Ears,
  channel: string,
  limit: Duration.Duration
): Effect.Effect<void, VaultError> =>
  wire.tell(channel, words).pipe(
    Effect.zipRight(Effect.timeoutOption(Queue.take(heard), "200 millis")),
    Effect.repeat({ until: (answer) => answer._tag === "Some" }),
    Effect.timeoutFail({ duration: limit, onTimeout: () => deaf(wire) }),
    Effect.raceFirst(Deferred.await(lost)),
    Effect.zipRight(Queue.takeAll(heard)),
    Effect.asVoid
  )

const deaf = ({ vault }: Wire): Unreachable =>
  new Unreachable({
    vault,
    action: "changes",
    detail: "no announcement comes through",
    hint: "Check the server; a connection pooler in between must keep sessions, or be left out."
  })

/** One record that all processes agree on, whoever makes it first; and one reading of it a process. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as FiberId from "effect/FiberId"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { Misconfigured } from "../../TokenError.js"
import type * as Vault from "../Vault.js"
import type { VaultError } from "../VaultError.js"
import { Unreachable } from "../VaultError.js"
import type { Place } from "./encryptionRecord.js"

type Text = Redacted.Redacted<string>

/** What is there; where nothing is, what this makes, or what somebody else made at the same time. */
export const agree = <E>(
  place: Place,
  made: Effect.Effect<Text, E>
): Effect.Effect<Text, VaultError | E> =>
  Effect.flatMap(Effect.timed(read(place)), ([looking, found]) =>
    Option.match(found, {
      onSome: (found) => Effect.succeed(found),
      onNone: () => Effect.flatMap(made, (text) => create(place, text, looking))
    }))

const read = ({ key, vault }: Place): Effect.Effect<Option.Option<Text>, VaultError> =>
  Effect.map(vault.get(key), Option.map(({ value }) => value))

/** Writes where nothing is, by the farthest-reaching means that the vault has, and reads what is there then. */
const create = (place: Place, text: Text, looking: Duration.Duration): Effect.Effect<Text, VaultError> => {
  const { key, vault } = place
  const { compareAndSet, lease } = vault.capabilities
  if (compareAndSet === "shared") return Effect.zipRight(put(place, text), readBack(place))
  return lease === "none"
    ? settle(place, text, looking)
    : Effect.zipRight(
      Effect.scoped(
        Effect.zipRight(vault.lease(key, { term: "30 seconds", wait: "1 minute" }), put(place, text))
      ),
      readBack(place)
    )
}

const put = (place: Place, text: Text): Effect.Effect<void, VaultError> => {
  const { key, vault } = place
  return vault.capabilities.compareAndSet === "none"
    ? Effect.asVoid(Effect.whenEffect(vault.set(key, text), Effect.map(read(place), Option.isNone)))
    : Effect.catchTag(
      Effect.asVoid(vault.compareAndSet(key, Option.none(), text)),
      "Conflict",
      () => Effect.void
    )
}

/**
 * Where nothing excludes another process, its write may come after ours, if it had looked before: later by as
 * long as its calls take, which a prompt can hold up. So what is there counts only when it is still there after
 * a pause that is long for the slowest call of ours, the last one too.
 */
const settle = (place: Place, text: Text, looking: Duration.Duration): Effect.Effect<Text, VaultError> =>
  Effect.gen(function*() {
    const [writing] = yield* Effect.timed(put(place, text))
    let [slowest, last] = yield* Effect.timed(readBack(place))
    slowest = Duration.max(slowest, Duration.max(looking, writing))
    for (let round = 0; round < rounds; round++) {
      const pause = pauseAfter(slowest)
      yield* Effect.sleep(pause)
      const [reading, found] = yield* Effect.timed(readBack(place))
      slowest = Duration.max(slowest, reading)
      const isLongEnough = Duration.greaterThanOrEqualTo(pause, pauseAfter(slowest))
      if (isLongEnough && Equal.equals(found, last)) return found
      last = found
    }
    return yield* unsettled(place)
  })

const rounds = 5

const pauseAfter = (slowest: Duration.Duration): Duration.Duration =>
  Duration.max(Duration.seconds(1), Duration.times(slowest, 2))

const readBack = (place: Place): Effect.Effect<Text, VaultError> =>
  Effect.flatMap(
    read(place),
    Option.match({
      onSome: (found) => Effect.succeed(found),
      onNone: () => Effect.fail(vanished(place))
    })
  )

const vanished = ({ vault }: Place): Unreachable =>
  new Unreachable({
    vault: vault.name,
    action: "get",
    detail: "the record that was just written is not there",
    hint: "Check that nothing else empties this vault, and try again."
  })

const unsettled = ({ vault }: Place): Unreachable =>
  new Unreachable({
    vault: vault.name,
    action: "get",
    detail: "the record that was just written is replaced again and again, or read too slowly",
    hint: "Let one program make it, and start the others when it has."
  })

type Failure = VaultError | Misconfigured
type Reading = Deferred.Deferred<Key, Failure>

/** An `EncryptionKey`. */
interface Key {
  readonly id: string
  readonly key: CryptoKey
}

const readings = globalValue(
  "effect-credentials/EncryptionKey/readings",
  () => new WeakMap<Vault.Identity, Map<string, Reading>>()
)

const readingsOf = ({ identity }: Vault.Service): Map<string, Reading> => {
  const known = readings.get(identity) ?? new Map<string, Reading>()
  readings.set(identity, known)
  return known
}

/**
 * Runs the effect once for all who ask in this process, at the same time or later, and to its end whoever is
 * interrupted; after a failure the next who asks runs it again.
 */
export const once = (
  { key, vault }: Place,
  effect: Effect.Effect<Key, Failure>
): Effect.Effect<Key, Failure> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const all = readingsOf(vault)
      const known = all.get(key)
      if (known !== undefined) return restore(Deferred.await(known))
      const reading = Deferred.unsafeMake<Key, Failure>(FiberId.none)
      all.set(key, reading)
      return Effect.interruptible(effect).pipe(
        Effect.tapErrorCause(() => Effect.sync(() => all.delete(key))),
        Effect.intoDeferred(reading),
        Effect.forkDaemon,
        Effect.zipRight(restore(Deferred.await(reading)))
      )
    })
  )

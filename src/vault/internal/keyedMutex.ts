/** One semaphore a key, made when somebody needs it and dropped when nobody does. */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"

export interface KeyedMutex {
  /** Runs the effect while no other effect runs under this key. Waiting is interruptible. */
  readonly withLock: (key: string) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Holds the key until the scope closes; false when it could not be had within `wait`. */
  readonly hold: (key: string, wait: Duration.Duration) => Effect.Effect<boolean, never, Scope.Scope>
}

interface Entry {
  readonly semaphore: Effect.Semaphore
  users: number
}

export const unsafeMake = (): KeyedMutex => {
  const entries = new Map<string, Entry>()
  const acquire = (key: string) =>
    Effect.sync(() => {
      const entry = entries.get(key) ?? { semaphore: Effect.unsafeMakeSemaphore(1), users: 0 }
      entry.users++
      entries.set(key, entry)
      return entry
    })
  const release = (key: string) => (entry: Entry) =>
    Effect.sync(() => {
      entry.users--
      if (entry.users === 0) entries.delete(key)
    })
  const withLock: KeyedMutex["withLock"] = (key) => (self) =>
    Effect.acquireUseRelease(acquire(key), (entry) => entry.semaphore.withPermits(1)(self), release(key))
  const tryLock: TryLock = (key) => (self) =>
    Effect.acquireUseRelease(
      acquire(key),
      (entry) => Effect.map(entry.semaphore.withPermitsIfAvailable(1)(self), Option.isSome),
      release(key)
    )
  return { withLock, hold: hold(withLock, tryLock) }
}

/** False where the key is not free at once. */
type TryLock = (key: string) => (self: Effect.Effect<never>) => Effect.Effect<boolean>

/**
 * A fiber of its own waits and holds, so that a timeout can't lose a permit that was given in the same
 * moment: it is interrupted and gives back whatever it had.
 */
const hold = (withLock: KeyedMutex["withLock"], tryLock: TryLock): KeyedMutex["hold"] =>
  Effect.fnUntraced(function*(key, wait) {
    const acquired = yield* Deferred.make<boolean>()
    const holding = Effect.zipRight(Deferred.succeed(acquired, true), untilInterrupted)
    const isAtOnce = Duration.equals(wait, Duration.zero)
    const holder = yield* Effect.forkScoped(Effect.interruptible(
      isAtOnce
        ? Effect.flatMap(tryLock(key)(holding), (held) => Deferred.succeed(acquired, held))
        : withLock(key)(holding)
    ))
    const answer = isAtOnce ? Deferred.await(acquired) : Effect.timeoutTo(Deferred.await(acquired), {
      duration: wait,
      onSuccess: (got) => got,
      onTimeout: () => false
    })
    const got = yield* Effect.onInterrupt(answer, () => Fiber.interrupt(holder))
    if (!got) yield* Fiber.interrupt(holder)
    return got
  })

/** As `Effect.never`, but without the timer that keeps a process alive. */
const untilInterrupted: Effect.Effect<never> = Effect.async<never>(() => {})

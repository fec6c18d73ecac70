/** Tells those who listen to a key that something was written under it. */
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

export interface Announcer {
  /** An element at once, and one after each announcement; several may come as one. */
  readonly changes: (key: string) => Stream.Stream<void>
  readonly announce: (key: string) => void
  /** After a time in which announcements may have been lost. */
  readonly announceAll: () => void
}

export const unsafeMake = (): Announcer => {
  const listeners = new Map<string, Set<() => void>>()
  const add = (key: string, listener: () => void) => {
    const those = listeners.get(key) ?? new Set()
    listeners.set(key, those.add(listener))
    return () => {
      those.delete(listener)
      if (those.size === 0) listeners.delete(key)
    }
  }
  const listen = (key: string) =>
    Effect.gen(function*() {
      const queue = yield* Queue.sliding<void>(1)
      yield* Effect.acquireRelease(
        Effect.sync(() => add(key, () => void Queue.unsafeOffer(queue, undefined))),
        (remove) => Effect.sync(remove)
      )
      yield* Queue.offer(queue, undefined)
      return Stream.fromQueue(queue)
    })
  const announce = (key: string) => listeners.get(key)?.forEach((listener) => listener())
  return {
    changes: (key) => Stream.unwrapScoped(listen(key)),
    announce,
    announceAll: () => Array.from(listeners.keys()).forEach(announce)
  }
}

/**
 * Who wants to be told of changes. Each listener runs on a fiber of its own, so that one that throws does not stop what
 * it is told of half-way.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { Runner } from "./runner.js"

/** The same listener twice is two. */
export type Listeners = ReadonlySet<() => void>

/** The listeners with one more, and the function that takes it out again. */
export const add = (
  self: Set<() => void>,
  run: Runner,
  listener: () => void
): { readonly entry: () => void; readonly stop: () => void } => {
  const entry = () => void run(Effect.sync(listener))
  self.add(entry)
  return { entry, stop: () => void self.delete(entry) }
}

/** Tells all who listen now; who comes or goes meanwhile changes nothing. */
export const notify = (self: Listeners | undefined): void => {
  if (self !== undefined) Array.from(self).forEach((listener) => listener())
}

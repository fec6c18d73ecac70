/**
 * Forks effects with the fiber-locals of the place where the runner was made. Equal places share one runner, because a
 * runtime of its own would be a third of what a source costs.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as FiberRefs from "effect/FiberRefs"
import * as Runtime from "effect/Runtime"

/** Starts an effect at once, on a fiber that is nobody's child. */
export type Runner = <A, E>(self: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>

interface Made {
  readonly runtime: Runtime.Runtime<never>
  readonly run: Runner
}

/** An effect that gives the runner for where it is run; the one that it gave last if that fits. */
export const unsafeMake = (): Effect.Effect<Runner> => {
  let last: Made | undefined
  return Effect.map(Effect.runtime<never>(), (runtime) => {
    if (last === undefined || !isSame(last.runtime, runtime)) {
      last = { runtime, run: Runtime.runFork(runtime) }
    }
    return last.run
  })
}

const isSame = (self: Runtime.Runtime<never>, that: Runtime.Runtime<never>): boolean =>
  self.context === that.context && self.runtimeFlags === that.runtimeFlags &&
  hasSameLocals(self.fiberRefs.locals, that.fiberRefs.locals)

type Locals = FiberRefs.FiberRefs["locals"]

const hasSameLocals = (self: Locals, that: Locals): boolean => {
  if (self.size !== that.size) return false
  for (const [ref, [[, value]]] of self) {
    if (that.get(ref)?.[0][1] !== value) return false
  }
  return true
}

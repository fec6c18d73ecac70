// A steady stream of callers, and what happened to each of them.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { pause } from "./rounds.mjs"

/** Calls `call` so many times a second, for so many milliseconds or until `enough`, on the live clock. */
export const pump = async ({ perSecond, ms, call, enough = () => false }) => {
  const start = performance.now()
  let sent = 0
  for (;;) {
    const elapsed = Math.min(performance.now() - start, ms)
    for (const due = Math.floor((elapsed * perSecond) / 1000); sent < due; sent++) call()
    if (elapsed >= ms || enough()) return
    await pause(1)
  }
}

/**
 * A caller in a fiber of its own. Blocked is strict: the fiber did not end in the very step that started it.
 * `settled` gets the exit, whether it was blocked, and whether it had to wait although nobody was asking the provider.
 */
export const fiberCall = (effect, provider, settled) => () => {
  const fiber = Effect.runFork(effect)
  const exit = fiber.unsafePoll()
  if (exit !== null) return settled(exit, false, false)
  const idle = provider.inFlight === 0
  fiber.addObserver((exit) => settled(exit, true, idle))
}

/**
 * A caller of a peer. A promise never settles at once, so blocked is lenient: it took at least half as long as a
 * fetch does.
 */
export const promiseCall = (get, fetchTakes, settled) => () => {
  const start = performance.now()
  const ended = (exit) => settled(exit, performance.now() - start >= fetchTakes / 2, false)
  get().then((value) => ended(Exit.succeed(value)), (error) => ended(Exit.fail(error)))
}

/** Counts what `settled` is told. */
export const makeTally = () => {
  const tally = { gets: 0, blocked: 0, stray: 0, errors: 0, values: new Set() }
  const settled = (exit, blocked, stray) => {
    tally.gets++
    if (blocked) tally.blocked++
    if (stray) tally.stray++
    if (Exit.isFailure(exit)) tally.errors++
    else tally.values.add(exit.value)
  }
  return { tally, settled }
}

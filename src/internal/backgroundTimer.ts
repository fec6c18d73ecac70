/**
 * A sleep that does not keep the process alive. The live clock's own sleep would, until the next renewal, so this is
 * the one file with a timer of its own.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"

/** Sleeps for so many milliseconds of real time, below 2^31. */
export const sleep = (millis: number): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const timer = setTimeout(() => resume(Effect.void), millis)
    if (hasUnref(timer)) timer.unref()
    return Effect.sync(() => clearTimeout(timer))
  })

/** Browsers give a number, Node an object. */
const hasUnref = (timer: unknown): timer is { readonly unref: () => void } =>
  typeof timer === "object" && timer !== null && "unref" in timer

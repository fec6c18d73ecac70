/** What holds while others write, and when a writer is interrupted. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Vault from "../../vault/Vault.js"
import { comparing, expect, expectError, expectValue, onKey, secret, textOf, writable } from "./vaultCase.js"
import type { Case, Check } from "./vaultCase.js"

/** A text that shows whether it is whole: one letter, as often as the number before it says. */
const whole = (vault: Vault.Service, index: number): string => {
  const length = Math.min(4000, vault.capabilities.maxValueBytes) - 10 - (index % 50)
  return `${length} ${String.fromCharCode(97 + (index % 26)).repeat(length)}`
}

const isWhole = (found: string): boolean => {
  const [length, letters = ""] = found.split(" ")
  return length === String(letters.length) && new Set(letters).size === 1
}

const interrupted = (vault: Vault.Service, key: string, round: number): ReturnType<Check> =>
  Effect.gen(function*() {
    const before = whole(vault, 2 * round)
    const after = whole(vault, 2 * round + 1)
    yield* vault.set(key, secret(before))
    const writer = yield* Effect.fork(vault.set(key, secret(after)))
    const moment = yield* Random.nextIntBetween(1, 20)
    yield* round % 2 === 0 ? Effect.repeatN(Effect.yieldNow(), moment) : Effect.sleep(moment / 4)
    yield* Fiber.interrupt(writer)
    const found = yield* textOf(vault, key)
    yield* expect(found === before || found === after, "an interrupted write left a torn or no value")
  })

const watched = (vault: Vault.Service, key: string): ReturnType<Check> =>
  Effect.gen(function*() {
    yield* vault.set(key, secret(whole(vault, 0)))
    const writer = yield* Effect.fork(
      upTo(200, (index) => vault.set(key, secret(whole(vault, index))))
    )
    const look = Effect.flatMap(
      Effect.zipLeft(textOf(vault, key), Effect.yieldNow()),
      (found) => expect(found !== undefined && isWhole(found), "a reader saw no value, or a torn one")
    )
    yield* Effect.repeat(look, { until: () => Effect.map(Fiber.poll(writer), Option.isSome) })
    yield* Fiber.join(writer)
  })

const oneWinner = (vault: Vault.Service, key: string): ReturnType<Check> =>
  Effect.gen(function*() {
    const version = Option.some(yield* vault.set(key, secret("start")))
    const results = yield* Effect.forEach(
      numbers(20),
      (index) => Effect.either(Effect.as(vault.compareAndSet(key, version, secret(`${index}`)), `${index}`)),
      { concurrency: "unbounded" }
    )
    const [winners, losers] = [results.filter(Either.isRight), results.filter(Either.isLeft)]
    yield* expect(winners.length === 1, "of those who compare and set at one version, one must win")
    yield* expectValue(vault, key, winners[0]?.right)
    yield* Effect.forEach(losers, (loser) => expectError(loser, "Conflict", "compareAndSet"))
  })

/** So many rounds; a slow backend does as many as there is time for, and one at least. */
const upTo = <A, E>(
  rounds: number,
  round: (index: number) => Effect.Effect<A, E>
): Effect.Effect<void, E> =>
  Effect.flatMap(Clock.currentTimeMillis, (start) => {
    const go = (index: number): Effect.Effect<void, E> =>
      Effect.zipRight(
        round(index),
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => index + 1 < rounds && now - start < enough ? go(index + 1) : Effect.void
        )
      )
    return go(0)
  })

/** Milliseconds. */
const enough = 2_000

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, index) => index)

export const racingCases: ReadonlyArray<Case> = [
  onKey(
    "a write that is interrupted at any moment leaves the old value or the new",
    writable,
    (vault, key) => upTo(60, (round) => interrupted(vault, key, round))
  ),
  onKey("a reader sees a whole value during every write", writable, watched),
  onKey(
    "of many who compare and set at one version, one wins",
    comparing,
    (vault, key) => upTo(5, () => oneWinner(vault, key))
  )
]

/**
 * Requests that were refused only because of what the client did not know: the server's clock, or its nonce.
 * Where the refusing answer told it, the request is sent once more.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { AuthorizationServer } from "../AuthorizationServer.js"
import { Refusal } from "./failure.js"

/** The refusals that may be cured so, each kind once. */
export interface Cures {
  readonly clock: ReadonlyArray<string>
  readonly nonce: ReadonlyArray<string>
}

type Learnt = Pick<AuthorizationServer, "clockOffset" | "nonces">

/** The attempt, once more for each kind of refusal whose answer taught what was missing. */
export const repeated = <A, E>(
  attempt: Effect.Effect<A, E | Refusal>,
  server: Learnt,
  cures: Cures
): Effect.Effect<A, E | Refusal> =>
  cures.clock.length + cures.nonce.length === 0
    ? attempt
    : Effect.flatMap(known(server), (before) =>
      Effect.catchIf(attempt, isRefusal, (refusal) =>
        Effect.flatMap(known(server), (after) => {
          const left = remaining(cures, refusal.code, before, after)
          return left === undefined ? Effect.fail(refusal) : repeated(attempt, server, left)
        })))

const isRefusal = <E>(error: E | Refusal): error is Refusal => error instanceof Refusal

interface Known {
  readonly offset: number
  readonly nonces: unknown
}

const known = ({ clockOffset, nonces }: Learnt): Effect.Effect<Known> =>
  Effect.zipWith(Ref.get(clockOffset), Ref.get(nonces), (offset, nonces) => ({ offset, nonces }))

/** What may be cured after another attempt; undefined where there is no point in one. */
const remaining = (cures: Cures, code: string, before: Known, after: Known): Cures | undefined => {
  if (cures.clock.includes(code) && Math.abs(after.offset - before.offset) >= 1_000) {
    return { ...cures, clock: [] }
  }
  return cures.nonce.includes(code) && after.nonces !== before.nonces ? { ...cures, nonce: [] } : undefined
}

/** A login that one process at a time runs, so that a person sees one prompt. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { TransientFailure } from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"
import type * as Vault from "../Vault.js"
import { elapsing } from "./leasing.js"

export interface Options {
  readonly vault: Vault.Service
  readonly key: string
  readonly source: string
  /** After what silence of its owner others may go on. */
  readonly term: Duration.Duration
  /** Runs around the time in which another process has the turn. */
  readonly waiting: <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** The lease of a login is one of its own: nobody who renews has to wait for a person. */
export const leaseKey = (key: string): string => `${key}#login`

/**
 * Runs the login while no other process runs one for this key, as far as the vault can tell, or what is to be done
 * instead once another process's login was waited for. A vault that has no such lease stops nobody.
 */
export const alone = <A, R>(
  options: Options,
  login: Effect.Effect<A, TokenError, R>,
  instead: Effect.Effect<A, TokenError, R>
): Effect.Effect<A, TokenError, R> => {
  if (options.vault.capabilities.lease !== "shared") return login
  const wait = options.waiting(Effect.flatMap(Random.nextRange(0.5, 1), (part) => Effect.sleep(pause * part)))
  const again = (start: number): Effect.Effect<A, TokenError, R> =>
    Effect.flatMap(
      Effect.zipRight(wait, elapsing),
      (now) =>
        now - start > limit ? Effect.fail(tooLong(options)) : orElse(inTurn(options, instead), again(start))
    )
  return Effect.flatMap(elapsing, (start) => orElse(inTurn(options, login), again(start)))
}

const orElse = <A, R>(
  turn: Effect.Effect<Option.Option<A>, TokenError, R>,
  otherwise: Effect.Effect<A, TokenError, R>
): Effect.Effect<A, TokenError, R> =>
  Effect.flatMap(turn, Option.match({ onNone: () => otherwise, onSome: (done) => Effect.succeed(done) }))

/** Milliseconds. */
const pause = 1_000
const limit = 20 * 60_000

/** Nothing where another process has the turn. */
const inTurn = <A, R>(
  { key, term, vault }: Options,
  work: Effect.Effect<A, TokenError, R>
): Effect.Effect<Option.Option<A>, TokenError, R> =>
  Effect.scoped(Effect.flatMap(
    Effect.match(vault.lease(leaseKey(key), { term, wait: 0 }), {
      onFailure: (error) => error._tag === "Locked",
      onSuccess: () => false
    }),
    (isTaken) => isTaken ? Effect.succeedNone : Effect.asSome(work)
  ))

const tooLong = ({ source }: Options): TransientFailure =>
  new TransientFailure({
    source,
    reason: "StoreLocked",
    detail: `another program's login has not ended within ${Duration.format(Duration.millis(limit))}`,
    hint: "End the other program, or wait for it.",
    retryAt: undefined
  })

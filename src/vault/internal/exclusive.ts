/** Work on a grant that one process at a time does, while the others look at what it has come to. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type * as Vault from "../Vault.js"
import type { Locked, VaultError } from "../VaultError.js"
import { elapsing } from "./leasing.js"
import { bounded } from "./shielded.js"
import type { Cell } from "./stored.js"
import { unique } from "./unique.js"

/** The right to redeem. */
export interface Turn {
  /** The process that has it. */
  readonly owner: string
  /** 0 where the vault has no leases. */
  readonly fence: number
  /** Unix milliseconds, by the store's clock where it has leases. */
  readonly now: Effect.Effect<number>
  /** Fails when it is not certain any more. */
  readonly check: Effect.Effect<void, VaultError>
}

export interface Options {
  /** After what silence of its owner others may go on. */
  readonly term: Duration.Duration
  /** How long to wait for others. */
  readonly wait: Duration.Duration
  /** Runs around the time in which another process has the turn. */
  readonly waiting: <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** What is to be done, and what may end the wait for it. */
export interface Job<A, E> {
  readonly work: (turn: Turn) => Effect.Effect<A, E>
  /** What others have come to, if it will do. */
  readonly instead: Effect.Effect<Option.Option<A>, E>
  /** The failure when the turn can't be had. */
  readonly refuse: (error: VaultError) => E
}

/**
 * Does the work in a turn that nobody else has, as far as the vault can tell. While another one has it,
 * `instead` is asked whenever the vault tells of a write, and every so often.
 */
export const exclusively = <A, E>(cell: Cell, options: Options, job: Job<A, E>): Effect.Effect<A, E> => {
  const attempt = (start: number, wait: Effect.Effect<Option.Option<A>, E>): Effect.Effect<A, E> =>
    Effect.flatMap(
      inTurn(cell, options, job),
      Either.match({
        onRight: (done) => Effect.succeed(done),
        onLeft: (locked) =>
          Effect.flatMap(Effect.zip(options.waiting(wait), elapsing), ([found, now]) => {
            if (Option.isSome(found)) return Effect.succeed(found.value)
            return now - start < Duration.toMillis(options.wait)
              ? attempt(
                start,
                now - start < pollFor ? poll(job.instead, laterPauses) : listen(cell, job.instead)
              )
              : Effect.fail(job.refuse(locked))
          })
      })
    )
  return cell.vault.capabilities.lease === "none"
    ? Effect.flatMap(unguarded, job.work)
    : Effect.flatMap(elapsing, (start) => attempt(start, poll(job.instead, firstPauses)))
}

/** Milliseconds. A redemption takes some hundreds of them; whoever looks more often only slows it down. */
const firstPauses = [100, 150, 250]
const laterPauses = [250, 250]
const pollFor = 2_000
const listenFor = Duration.millis(500)

/** One try, which is left where the lease can't be had; what fails in the turn is another matter. */
const inTurn = <A, E>(
  { key, vault }: Cell,
  { term }: Options,
  { refuse, work }: Job<A, E>
): Effect.Effect<Either.Either<A, Locked>, E> =>
  Effect.either(vault.lease(key, { term, wait: 0 })).pipe(
    Effect.flatMap(Either.match({
      onRight: (lease) => Effect.map(Effect.flatMap(turnOf(lease), work), (done) => Either.right(done)),
      onLeft: (error): Effect.Effect<Either.Either<A, Locked>, E> =>
        error._tag === "Locked" ? Effect.succeed(Either.left(error)) : Effect.fail(refuse(error))
    })),
    Effect.scoped
  )

const turnOf = (lease: Vault.Lease): Effect.Effect<Turn> =>
  Effect.zipWith(thisProcess, elapsing, (owner, start) => ({
    owner,
    fence: lease.fence,
    now: Effect.map(elapsing, (now) => lease.acquiredAt + now - start),
    check: lease.check
  }))

/** What the others have come to after one of the pauses. */
const poll = <A, E>(
  instead: Effect.Effect<Option.Option<A>, E>,
  pauses: ReadonlyArray<number>
): Effect.Effect<Option.Option<A>, E> =>
  pauses.reduce<Effect.Effect<Option.Option<A>, E>>(
    (before, pause) =>
      Effect.flatMap(
        before,
        (found) => Option.isSome(found) ? Effect.succeed(found) : Effect.zipRight(rest(pause), instead)
      ),
    Effect.succeedNone
  )

/**
 * What the others have come to, as soon as there is something, or nothing after a time. Listening may take a
 * connection, so that only those listen whose wait turns out to be a long one.
 */
const listen = <A, E>(
  { key, vault }: Cell,
  instead: Effect.Effect<Option.Option<A>, E>
): Effect.Effect<Option.Option<A>, E> => {
  if (vault.capabilities.announce === "none") return poll(instead, laterPauses)
  const heard = vault.changes(key).pipe(
    Stream.catchAll(() => Stream.fromEffect(rest(250))),
    Stream.mapEffect(() => instead),
    Stream.filterMap((found) => found),
    Stream.runHead
  )
  return Effect.matchEffect(bounded(Effect.either(heard), listenFor, () => "Quiet" as const), {
    onFailure: () => Effect.succeedNone,
    onSuccess: Either.match({
      onLeft: (error) => Effect.fail(error),
      onRight: (found) => Effect.succeed(found)
    })
  })
}

const rest = (pause: number): Effect.Effect<void> =>
  Effect.flatMap(Random.nextRange(0.5, 1), (part) => Effect.sleep(Duration.millis(Math.ceil(pause * part))))

/** A name that no other process has, on whatever machine. */
const thisProcess: Effect.Effect<string> = Effect.map(unique, (name) => self.name ??= name)

const self = globalValue("effect-credentials/vault/process", (): { name?: string } => ({}))

const unguarded: Effect.Effect<Turn> = Effect.map(thisProcess, (owner) => ({
  owner,
  fence: 0,
  now: Clock.currentTimeMillis,
  check: Effect.void
}))

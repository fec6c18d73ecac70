/**
 * Leases over three atomic operations of a store: waiting, signs of life, and what an owner may believe.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as CrashPoint from "../CrashPoint.js"
import type * as Vault from "../Vault.js"
import type { VaultError } from "../VaultError.js"
import { Locked, Unreachable } from "../VaultError.js"
import * as VaultKey from "../VaultKey.js"
import { locked } from "./contract.js"
import { bounded } from "./shielded.js"
import { unique } from "./unique.js"

/** A lease that was just given. */
export interface Taken {
  readonly fence: number
  /** Unix milliseconds, by the store's clock. */
  readonly at: number
}

/** What a store must do in one step each. An owner is a text that no other lease ever had. */
export interface Operations {
  /** Gives the lease if it is free, or its owner has shown no sign of life for the term that it had named. */
  readonly take: (key: string, owner: string, term: number) => Effect.Effect<Option.Option<Taken>, VaultError>
  /** A sign of life; false when the lease is not this owner's any more. */
  readonly extend: (key: string, owner: string, term: number) => Effect.Effect<boolean, VaultError>
  /** Gives it back, if it is still this owner's. */
  readonly release: (key: string, owner: string) => Effect.Effect<void, VaultError>
}

/** The `lease` of a vault over these operations. */
export const make = (vault: string, operations: Operations): Vault.Service["lease"] => (key, options) =>
  Effect.flatMap(VaultKey.check(vault, "lease", key), () =>
    Effect.flatMap(unique, (owner) => {
      const term = Math.min(Math.max(minTerm, Duration.toMillis(options.term)), maxTerm)
      return acquire({ vault, operations, key, owner, term }, options.wait ?? defaultWait)
    }))

export const defaultWait: Duration.Duration = Duration.seconds(10)

/** Milliseconds. Every term is between these two, whatever is asked for. */
export const minTerm = 100
export const maxTerm: number = 60 * 60 * 1000

/** How long the store may take for one answer. */
const answerLimit = Duration.seconds(10)

interface Claim {
  readonly vault: string
  readonly operations: Operations
  readonly key: string
  readonly owner: string
  /** Milliseconds. */
  readonly term: number
}

const toMillis = (nanos: bigint): number => Number(nanos / 1_000_000n)

/** Milliseconds that pass alike whatever is done to the clock; while the machine sleeps they may stand. */
export const steady: Effect.Effect<number> = Effect.map(Clock.currentTimeNanos, toMillis)

/**
 * Milliseconds that never go back and do not stand still while the machine sleeps: whatever the wall clock
 * gains on the steady one has passed too. A wall clock that is set ahead looks the same, so this says when
 * something may be over, and never that somebody else is dead.
 */
export const elapsing: Effect.Effect<number> = Clock.clockWith((clock) =>
  Effect.sync(() => {
    const now = toMillis(clock.unsafeCurrentTimeNanos())
    const lead = clock.unsafeCurrentTimeMillis() - now
    const seen = readings.get(clock) ?? { lead, gained: 0 }
    const gain = lead - seen.lead
    const reading = {
      lead: gain > 0 || gain < -jitter ? lead : seen.lead,
      gained: seen.gained + Math.max(0, gain)
    }
    readings.set(clock, reading)
    return now + reading.gained
  })
)

interface Reading {
  /** How far the wall clock was ahead of the steady one. */
  readonly lead: number
  /** All that it has gained so far. */
  readonly gained: number
}

const readings = globalValue(
  "effect-credentials/vault/leasing/readings",
  () => new WeakMap<Clock.Clock, Reading>()
)

/** Milliseconds by which two readings can differ for no reason; to and fro they must not add up. */
const jitter = 10

const acquire = (
  claim: Claim,
  wait: Duration.DurationInput
): Effect.Effect<Vault.Lease, VaultError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(steady, (start) => {
      const until = start + Duration.toMillis(wait)
      const attempt = (pause: number): Effect.Effect<Given, VaultError> =>
        Effect.flatMap(
          Effect.zip(elapsing, take(claim)),
          ([asked, taken]) =>
            Option.isSome(taken)
              ? Effect.succeed({ ...taken.value, asked })
              : Effect.zipRight(restore(rest(claim, until, pause)), attempt(Math.min(pause * 1.5, 250)))
        )
      return Effect.flatMap(attempt(20), (given) => hold(claim, given))
    })
  )

/**
 * A lease may be given although the answer is late or lost: nobody would hold it then, so it is given back
 * once the store is done.
 */
const take = (claim: Claim): Effect.Effect<Option.Option<Taken>, VaultError> =>
  Effect.flatMap(
    Effect.forkDaemon(claim.operations.take(claim.key, claim.owner, claim.term)),
    (taking) =>
      Effect.tapErrorCause(
        inTime(claim, Fiber.join(taking)),
        () => Effect.forkDaemon(Effect.zipRight(Fiber.await(taking), giveBack(claim)))
      )
  )

const giveBack = ({ key, operations, owner }: Claim): Effect.Effect<void> =>
  Effect.ignore(operations.release(key, owner))

const inTime = <A>({ vault }: Claim, self: Effect.Effect<A, VaultError>): Effect.Effect<A, VaultError> =>
  bounded(self, answerLimit, () =>
    new Unreachable({
      vault,
      action: "lease",
      detail: `the store did not answer within ${Duration.format(answerLimit)}`,
      hint: "Check that the disk or the server is there and healthy, and try again."
    }))

const rest = ({ vault }: Claim, until: number, pause: number): Effect.Effect<void, Locked> =>
  Effect.flatMap(Effect.zip(steady, Random.nextRange(0.5, 1)), ([now, part]) =>
    now >= until
      ? Effect.fail(locked(vault))
      : Effect.sleep(Duration.millis(Math.min(Math.ceil(pause * part), until - now))))

/** A lease, and when it was asked for by `elapsing`: it has stood since then at the latest. */
interface Given extends Taken {
  readonly asked: number
}

const hold = (claim: Claim, given: Given): Effect.Effect<Vault.Lease, VaultError, Scope.Scope> =>
  Effect.gen(function*() {
    const held = { confirmedAt: given.asked, isLost: false }
    yield* Effect.addFinalizer(() => release(claim))
    yield* Effect.forkScoped(Effect.interruptible(beat(claim, held)))
    yield* CrashPoint.at("lease.taken")
    return { key: claim.key, fence: given.fence, acquiredAt: given.at, check: check(claim, held) }
  })

/** A store that is slow goes on with it by itself. */
const release = (claim: Claim): Effect.Effect<void> =>
  Effect.zipRight(
    CrashPoint.at("lease.releasing"),
    Effect.ignore(inTime(claim, Effect.uninterruptible(giveBack(claim))))
  )

interface Held {
  /** When it was this owner's for certain, by `elapsing`. */
  confirmedAt: number
  isLost: boolean
}

/** Signs of life until the lease is lost; a store that does not answer is asked again. */
const beat = (claim: Claim, held: Held): Effect.Effect<void> =>
  Effect.sleep(Duration.millis(claim.term / 3)).pipe(
    Effect.zipRight(CrashPoint.at("lease.beating")),
    Effect.zipRight(Effect.ignore(confirm(claim, held))),
    Effect.repeat({ until: () => held.isLost })
  )

/** Counts from before the question, because the term does so at the latest. */
const confirm = (claim: Claim, held: Held): Effect.Effect<void, VaultError> =>
  Effect.flatMap(
    elapsing,
    (asked) =>
      Effect.map(inTime(claim, claim.operations.extend(claim.key, claim.owner, claim.term)), (isOurs) => {
        if (isOurs) held.confirmedAt = asked
        else held.isLost = true
      })
  )

const check = (claim: Claim, held: Held): Effect.Effect<void, VaultError> =>
  Effect.flatMap(
    elapsing,
    (now) => held.isLost || now - held.confirmedAt < claim.term / 2 ? Effect.void : confirm(claim, held)
  ).pipe(
    Effect.zipRight(Effect.suspend(() => held.isLost ? Effect.fail(lost(claim)) : Effect.void))
  )

const lost = ({ vault }: Claim): Locked =>
  new Locked({
    vault,
    action: "lease",
    detail: "the lease was lost: its owner showed no sign of life for too long, and another one has it",
    hint: "Try again; if this program stops for long, give the lease a longer term."
  })

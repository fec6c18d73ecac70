/** What leases promise. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as CrashPoint from "../../vault/CrashPoint.js"
import type * as Vault from "../../vault/Vault.js"
import type { VaultError } from "../../vault/Vault.js"
import {
  define,
  expect,
  expectError,
  expectValue,
  leasing,
  leasingWidely,
  notLeasing,
  onKey,
  secret,
  textOf,
  writable
} from "./vaultCase.js"
import type { Case, Check } from "./vaultCase.js"

const increments = 20

/** Adds one to the number that is stored: right only if nobody else does it at the same time. */
export const incrementBlindly = (vault: Vault.Service, key: string): Effect.Effect<void, VaultError> =>
  Effect.gen(function*() {
    const count = Number((yield* textOf(vault, key)) ?? 0)
    yield* Effect.yieldNow()
    yield* vault.set(key, secret(String(count + 1)))
  })

const briefly = { term: "30 seconds", wait: "50 millis" } as const
export const patiently = { term: "30 seconds", wait: "20 seconds" } as const

/** A short term for those who die of it, in milliseconds, and a patient wait. */
const term = 400
const soon = { term, wait: "10 seconds" } as const

/** Three leases, one after the other. */
const inTurn = (vault: Vault.Service, key: string): Effect.Effect<ReadonlyArray<Vault.Lease>, VaultError> =>
  Effect.replicateEffect(
    Effect.zipLeft(Effect.scoped(vault.lease(key, patiently)), Effect.sleep("5 millis")),
    3
  )

/** Holds a lease from now on without any sign of life, as a process does that was stopped. */
const deadOwner = (
  vault: Vault.Service,
  key: string
): Effect.Effect<Vault.Lease, VaultError, Scope.Scope> =>
  Effect.gen(function*() {
    const taken = yield* Deferred.make<Vault.Lease, VaultError>()
    const lease = Effect.intoDeferred(vault.lease(key, soon), taken)
    yield* Effect.scoped(Effect.zipRight(lease, Effect.never)).pipe(
      CrashPoint.withCrashPoint((moment) => {
        if (moment === "lease.beating") return Effect.never
        return moment === "lease.releasing" ? Effect.die("a dead owner gives nothing back") : Effect.void
      }),
      Effect.forkScoped
    )
    return yield* Deferred.await(taken)
  })

const takenOver: Check = (vault) =>
  Effect.scoped(Effect.gen(function*() {
    const key = "conformance/dead owner"
    const start = yield* Clock.currentTimeMillis
    const dead = yield* deadOwner(vault, key)
    yield* expectError(Effect.scoped(vault.lease(key, { term, wait: term / 4 })), "Locked", "lease")
    const next = yield* vault.lease(key, soon)
    const elapsed = (yield* Clock.currentTimeMillis) - start
    yield* expect(elapsed >= term - 20, "a lease was taken over before the term of its owner was over")
    yield* expect(next.fence > dead.fence, "who takes a lease over must have a larger fence")
    yield* expectError(dead.check, "Locked", "the check of an owner whose lease was taken over")
    yield* next.check
  }))

const keptAlive: Check = (vault) =>
  Effect.scoped(Effect.gen(function*() {
    const key = "conformance/kept alive"
    const lease = yield* vault.lease(key, { term, wait: "10 seconds" })
    yield* expectError(Effect.scoped(vault.lease(key, { term, wait: 3 * term })), "Locked", "lease")
    yield* lease.check
  }))

const allServed: Check = (vault) =>
  Effect.gen(function*() {
    const turn = Effect.zipRight(vault.lease("conformance/served", patiently), Effect.sleep("5 millis"))
    const served = yield* Effect.all(Effect.replicate(Effect.either(Effect.scoped(turn)), 12), {
      concurrency: "unbounded"
    })
    yield* expect(
      served.every(({ _tag }) => _tag === "Right"),
      "somebody who waits for a lease was not served"
    )
  })

export const leasingCases: ReadonlyArray<Case> = [
  onKey(
    "a lease excludes all others",
    (capabilities) => leasing(capabilities) && writable(capabilities),
    (vault, key) =>
      Effect.zipRight(
        Effect.all(
          Effect.replicate(
            Effect.scoped(Effect.zipRight(vault.lease(key, patiently), incrementBlindly(vault, key))),
            increments
          ),
          { concurrency: "unbounded", discard: true }
        ),
        expectValue(vault, key, String(increments))
      )
  ),
  define(
    "a lease that is not given back in time is Locked",
    leasing,
    (vault) =>
      Effect.scoped(Effect.zipRight(
        vault.lease("conformance/locked", patiently),
        expectError(Effect.scoped(vault.lease("conformance/locked", briefly)), "Locked", "lease")
      ))
  ),
  define("a lease on one key leaves other keys free", leasing, (vault) =>
    Effect.scoped(
      Effect.zipRight(vault.lease("conformance/one", patiently), vault.lease("conformance/other", briefly))
    )),
  define("closing the scope gives the lease back", leasing, (vault) =>
    Effect.zipRight(
      Effect.scoped(vault.lease("conformance/scoped", patiently)),
      Effect.scoped(vault.lease("conformance/scoped", briefly))
    )),
  define("interruption gives the lease back", leasing, (vault) =>
    Effect.gen(function*() {
      const held = yield* Deferred.make<void>()
      const owner = yield* Effect.fork(Effect.scoped(
        Effect.zipRight(
          Effect.zipRight(
            vault.lease("conformance/interrupted", patiently),
            Deferred.succeed(held, undefined)
          ),
          Effect.never
        )
      ))
      yield* Deferred.await(held)
      yield* Fiber.interrupt(owner)
      yield* Effect.scoped(vault.lease("conformance/interrupted", briefly))
    })),
  define(
    "a caller that is interrupted while it waits takes no lease",
    leasing,
    (vault) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* vault.lease("conformance/waiting", patiently)
          const waiter = yield* Effect.fork(Effect.scoped(vault.lease("conformance/waiting", patiently)))
          yield* Effect.sleep("20 millis")
          const exit = yield* Fiber.interrupt(waiter)
          yield* expect(
            Exit.isFailure(exit) && Cause.isInterrupted(exit.cause),
            "two owners had the lease at once"
          )
        }))
        yield* Effect.scoped(vault.lease("conformance/waiting", briefly))
      })
  ),
  define(
    "the fence grows from owner to owner, and the time does not go back",
    leasing,
    (vault) =>
      Effect.gen(function*() {
        const leases = yield* inTurn(vault, "conformance/fence")
        const grows = leases.every(({ fence }, index) => fence > (leases[index - 1]?.fence ?? -Infinity))
        yield* expect(grows, "a later owner must have a larger fence")
        const ages = leases.every(({ acquiredAt }, index) =>
          acquiredAt >= (leases[index - 1]?.acquiredAt ?? -Infinity)
        )
        yield* expect(ages, "a later owner must not have an earlier time")
      })
  ),
  define("a lease that is held passes its check", leasing, (vault) =>
    Effect.scoped(Effect.gen(function*() {
      const lease = yield* vault.lease("conformance/check", { term: 250, wait: "10 seconds" })
      yield* lease.check
      yield* Effect.sleep("200 millis")
      yield* lease.check
    }))),
  define("a lease lives on for many terms while its owner does", leasing, keptAlive),
  {
    ...define(
      "a lease of an owner without signs of life is taken over after its term",
      leasingWidely,
      takenOver
    ),
    simulatesDeath: true
  },
  define("everybody who waits for a lease is served", leasing, allServed),
  define(
    "without leases, lease is Unsupported",
    notLeasing,
    (vault) => expectError(Effect.scoped(vault.lease("conformance", briefly)), "Unsupported", "lease")
  )
]

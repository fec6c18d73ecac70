/**
 * Refresh tokens that nobody uses for long end at many issuers. This renews a stored grant before that happens,
 * however many processes do so for the same one.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Grant from "../Grant.js"
import { RefreshScheduler } from "../RefreshScheduler.js"
import type * as Scheduler from "../RefreshScheduler.js"
import type { TokenError } from "../TokenError.js"
import type * as GrantRecord from "./GrantRecord.js"
import * as Persister from "./Persister.js"
import * as Redemption from "./Redemption.js"
import * as Vault from "./Vault.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R> extends
  Pick<
    Redemption.Options,
    "deadline" | "graceWindow" | "key" | "leaseTerm"
  >
{
  /** The name that errors and logs show. Default `keep-alive`. */
  readonly name?: string | undefined
  /** Redeems the grant's refresh token, once, interruptibly. */
  readonly redeem: (grant: Grant.Grant) => Effect.Effect<Grant.Grant, TokenError, R>
  /** The grant is renewed when its last renewal is this long ago, at least a minute. */
  readonly every: Duration.DurationInput
  /**
   * Told of each renewal that came with a new refresh token, as by `Persisted`; give both the same `Persister`. It is
   * told again whenever the grant is looked at.
   */
  readonly persister?: Persister.Callback<R> | Persister.Persister | undefined
}

/**
 * Renews the grant under a key for as long as the scope is open, whenever nobody has done so for `every`. A
 * failure that may pass is tried again after a tenth of that, but not within a minute; a grant that only a
 * login can mend is looked at again after `every`. It waits on the scheduler, so it keeps no process alive.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never>(
  options: Options<R>
): Effect.Effect<void, never, Vault.Vault | RefreshScheduler | Scope.Scope | R> =>
  Effect.gen(function*() {
    const context = yield* Effect.context<Vault.Vault | R>()
    const scheduler = yield* RefreshScheduler
    const source = options.name ?? "keep-alive"
    const persister = Persister.unsafeFrom(source, options.persister, context)
    const redemption = Redemption.make({
      ...options,
      vault: Context.get(context, Vault.Vault),
      source,
      stored: Persister.stored(persister),
      redeem: (grant) => Effect.provide(options.redeem(grant), context)
    })
    const every = Math.max(minute, Duration.toMillis(options.every))
    const looking = Effect.zipRight(persister.retry, look(redemption, every))
    const keeping = Effect.flatMap(looking, (at) => until(scheduler, at)).pipe(
      Effect.zipRight(renew(redemption, every)),
      Effect.flatMap((at) => until(scheduler, at)),
      Effect.forever
    )
    yield* Effect.forkScoped(Effect.interruptible(keeping))
  })

const minute = 60_000

/** When the grant falls due by what is stored; a grant that can't be renewed is looked at again later. */
const look = (redemption: Redemption.Redemption, every: number): Effect.Effect<number> =>
  Effect.zipWith(
    Clock.currentTimeMillis,
    Effect.orElseSucceed(redemption.read, Option.none),
    (now, found) =>
      Option.match(found, {
        onNone: () => now + every,
        onSome: (record) => isRenewable(record) ? dueAt(record, every) : now + every
      })
  )

const isRenewable = ({ grant, status }: GrantRecord.GrantRecord): boolean =>
  grant.refreshToken !== undefined && status._tag !== "Quarantined" && status._tag !== "Ambiguous"

const dueAt = ({ grant }: GrantRecord.GrantRecord, every: number): number => grant.token.issuedAt + every

/** Renews unless somebody has meanwhile, and tells from when on to look again. */
const renew = (redemption: Redemption.Redemption, every: number): Effect.Effect<number> =>
  redemption.renew((record) =>
    Effect.map(Clock.currentTimeMillis, (now) => now < dueAt(record, every) || !isRenewable(record))
  ).pipe(
    Effect.as(minute),
    Effect.catchAll((error) =>
      Effect.as(
        Effect.logDebug(error.message),
        error._tag === "TransientFailure" ? Math.max(minute, every / 10) : every
      )
    ),
    Effect.zipWith(Clock.currentTimeMillis, (pause, now) => now + pause)
  )

/** Waits without a timer of its own. */
const until = (scheduler: Scheduler.Service, at: number): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    const task: Scheduler.Task = {
      dueAt: Infinity,
      place: -1,
      onDue: () => {
        resume(Effect.void)
        return false
      }
    }
    scheduler.renewAt(task, at)
    return Effect.sync(() => scheduler.cancel(task))
  })

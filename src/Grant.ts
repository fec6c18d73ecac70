/**
 * A grant: what an authorization server gave at a login or a renewal, of which the access token is only a part.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { LazyArg } from "effect/Function"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Token from "./Token.js"

/**
 * An access token together with what renews it. Plain immutable data; secrets stay `Redacted`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Grant {
  /** The access token. */
  readonly token: Token.Token
  /** What the next renewal redeems; absent when the grant can't be renewed. */
  readonly refreshToken: Redacted.Redacted<string> | undefined
  /** When the refresh token itself ends, in Unix milliseconds, if the issuer said so. */
  readonly refreshExpiresAt: number | undefined
  /** The ID token as it was received, if there was one. */
  readonly idToken: Redacted.Redacted<string> | undefined
  /** Text fields beside the standard ones that a provider needs back, such as `resource_url`. Not secret. */
  readonly extra: Readonly<Record<string, string>>
}

/**
 * What `make` takes: the token, and what is known beside it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly token: Token.Token
  readonly refreshToken?: Redacted.Redacted<string> | undefined
  /** Unix milliseconds. */
  readonly refreshExpiresAt?: number | undefined
  readonly idToken?: Redacted.Redacted<string> | undefined
  readonly extra?: Readonly<Record<string, string>> | undefined
}

/**
 * A grant from its parts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Grant => ({
  token: options.token,
  refreshToken: options.refreshToken,
  refreshExpiresAt: options.refreshExpiresAt,
  idToken: options.idToken,
  extra: options.extra ?? {}
})

/**
 * What is held after a renewal: everything from the new grant, and from the old one whatever the new one omits. A
 * refresh token that the answer leaves out stays as it was (RFC 6749 §6), scopes that it leaves out are unchanged
 * (RFC 6749 §5.1), and the key that a refresh token is bound to stays with it (RFC 9449 §5).
 *
 * @since 0.1.0
 * @category combinators
 */
export const renew = (self: Grant, renewed: Grant): Grant => ({
  token: {
    ...renewed.token,
    scopes: renewed.token.scopes.length > 0 ? renewed.token.scopes : self.token.scopes,
    proofKey: renewed.token.proofKey ?? self.token.proofKey
  },
  refreshToken: renewed.refreshToken ?? self.refreshToken,
  refreshExpiresAt: renewed.refreshExpiresAt ??
    (renewed.refreshToken === undefined ? self.refreshExpiresAt : undefined),
  idToken: renewed.idToken ?? self.idToken,
  extra: { ...self.extra, ...renewed.extra }
})

/** Each answer that may hold a grant takes a part of it; whoever cancels the login around them takes the whole. */
class Arrivals extends Context.Tag("effect-credentials/Grant/Arrivals")<
  Arrivals,
  Option.Option<Effect.Semaphore>
>() {}

const whole = 1_000

/**
 * How long a login may take.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limit<E> {
  readonly duration: Duration.DurationInput
  readonly onTimeout: LazyArg<E>
}

/**
 * Runs a login and does with its grant what keeps it, such as to store it. Interruption cancels the login until the
 * answer that holds its grant has arrived, and so does the end of the time it may take; by default that has no end.
 * From then on it goes on to its end, whoever has left, and what it gives is kept: at its issuer it is there by then,
 * and nobody else has it.
 *
 * @since 0.1.0
 * @category arrival
 */
export const keeping = <A, E, E2, R, R2, E3 = never>(
  login: Effect.Effect<Grant, E, R>,
  keep: (grant: Grant) => Effect.Effect<A, E2, R2>,
  limit?: Limit<E3>
): Effect.Effect<A, E | E2 | E3, R | R2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const arrivals = yield* Effect.makeSemaphore(whole)
      // Daemons, since an interruption goes to all children at once. They can be interrupted even where the caller can't,
      // else no time limit would hold there. The first is ended below in any case, and the second ends with it.
      const fiber = yield* Effect.interruptible(login).pipe(
        Effect.provideService(Arrivals, Option.some(arrivals)),
        Effect.ensuring(arrivals.release(whole)),
        Effect.forkDaemon
      )
      const waiting = yield* Effect.forkDaemon(Effect.interruptible(endOf(fiber, limit?.duration)))
      const waited = yield* Effect.exit(restore(Fiber.join(waiting)))
      const exit = yield* Effect.zipRight(arrivals.take(whole), Fiber.interrupt(fiber))
      const isLate = Exit.isSuccess(waited) && Option.isNone(waited.value)
      if (limit !== undefined && isLate && Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)) {
        return yield* Effect.fail(limit.onTimeout())
      }
      return yield* Effect.flatMap(exit, keep)
    })
  )

/** How it ended; nothing when the time is over before. */
const endOf = <A, E>(
  fiber: Fiber.Fiber<A, E>,
  duration: Duration.DurationInput | undefined
): Effect.Effect<Option.Option<Exit.Exit<A, E>>> =>
  duration === undefined
    ? Effect.asSome(Fiber.await(fiber))
    : Effect.timeoutOption(Fiber.await(fiber), duration)

/**
 * What is made of an answer that may hold a grant. Where it does, a login that is run by `keeping` can't be cancelled
 * any more; where it fails, it can again. To be run where nothing interrupts it.
 *
 * @since 0.1.0
 * @category arrival
 */
export const arriving = <A, E, R>(answer: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    Effect.map(Effect.serviceOption(Arrivals), Option.flatten),
    Option.match({
      onNone: () => answer,
      onSome: (arrivals) =>
        Effect.zipRight(
          Effect.interruptible(arrivals.take(1)),
          Effect.onError(answer, () => arrivals.release(1))
        )
    })
  )

/**
 * Work within a login that gets grants of its own, such as the token that is exchanged: what arrives there is not what
 * the login is waiting for, and whoever cancels the login does not hold it up.
 *
 * @since 0.1.0
 * @category arrival
 */
export const apart = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Arrivals, Option.none())

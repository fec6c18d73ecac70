/** Parts that the tests of the core share: tokens, an issuer that is looked into, and failures of each kind. */
import * as RefreshPolicy from "effect-credentials/RefreshPolicy"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import {
  Misconfigured,
  ReauthRequired,
  TokenUnavailable,
  TransientFailure
} from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberStatus from "effect/FiberStatus"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

export const second = 1_000
export const minute = 60 * second
export const hour = 60 * minute

export const secretOf = (token: Token.Token): string => Redacted.value(token.value)

/** A token received now. */
export const received = (text: string, expiresIn?: Duration.DurationInput): Effect.Effect<Token.Token> =>
  Token.receive({ value: Redacted.make(text), expiresIn })

/** What was done with an issuer. */
export interface Log {
  fetches: number
  inFlight: number
  /** The most that were ever in flight at once. */
  most: number
  /** Virtual times at which fetches started. */
  readonly startedAt: Array<number>
  readonly requests: Array<TokenSource.TokenRequest>
  readonly invalidated: Array<string>
}

export interface Issuer<E extends TokenError> {
  readonly source: TokenSource.TokenSource<E>
  readonly log: Log
}

/** What the nth fetch (from 1) does. */
export type Script<E extends TokenError> = (
  nth: number,
  request: TokenSource.TokenRequest
) => Effect.Effect<Token.Token, E>

export const issuer = <E extends TokenError>(
  script: Script<E>,
  options?: Partial<TokenSource.TokenSource<E>>
): Issuer<E> => {
  const log: Log = { fetches: 0, inFlight: 0, most: 0, startedAt: [], requests: [], invalidated: [] }
  const request = (request: TokenSource.TokenRequest) =>
    Effect.clockWith((clock) => {
      log.startedAt.push(clock.unsafeCurrentTimeMillis())
      log.requests.push(request)
      log.inFlight++
      log.most = Math.max(log.most, log.inFlight)
      return Effect.ensuring(script(++log.fetches, request), Effect.sync(() => log.inFlight--))
    })
  const source = TokenSource.make<E>({
    name: "issuer",
    request,
    invalidate: (token) => Effect.sync(() => void log.invalidated.push(secretOf(token))),
    ...options
  })
  return { source, log }
}

/** Tokens `t1`, `t2`, … that live for so long, each after a fetch of `latency`. */
export const numbered = (
  expiresIn: Duration.DurationInput = "1 hour",
  latency: Duration.DurationInput = "1 second"
): Script<never> =>
(nth) => Effect.delay(Effect.suspend(() => received(`t${nth}`, expiresIn)), latency)

/** A token at once, without any asynchronous step. */
export const instantly = (expiresIn: Duration.DurationInput = "1 hour"): Script<never> => (nth) =>
  Effect.suspend(() => received(`t${nth}`, expiresIn))

/** Renews exactly 5 minutes before expiry and waits exactly 1, 2, 4 … 60 seconds after failures. */
export const exact: RefreshPolicy.RefreshPolicy = RefreshPolicy.make({ jitter: 0, backoff: { jitter: 0 } })

/** A cache with the exact policy and a scheduler of its own. */
export const cache = <E extends TokenError>(
  source: TokenSource.TokenSource<E>,
  options?: TokenCache.Options
): Effect.Effect<TokenSource.TokenSource<E | TokenCache.CacheError>, never, Scope.Scope> =>
  Effect.flatMap(
    RefreshScheduler.make(),
    (scheduler) =>
      Effect.provideService(
        TokenCache.make(source, { policy: exact, ...options }),
        RefreshScheduler.RefreshScheduler,
        scheduler
      )
  )

/** A cache over a scripted issuer. */
export const cached = <E extends TokenError>(
  script: Script<E>,
  options?: TokenCache.Options & { readonly below?: Partial<TokenSource.TokenSource<E>> }
) => {
  const { log, source } = issuer(script, options?.below)
  return Effect.map(cache(source, options), (source) => ({ source, log }))
}

/** Runs the effect while virtual time goes on by so much, then wants it to have ended. */
export const within = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  duration: Duration.DurationInput = "1 second"
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(effect)
    yield* TestClock.adjust(duration)
    return yield* ended(fiber)
  })

/** The outcome of a fiber that must have ended by now. */
export const ended = <A, E>(fiber: Fiber.RuntimeFiber<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(
    settle,
    () =>
      Effect.flatMap(Fiber.poll(fiber), (exit) =>
        Option.getOrElse(exit, (): Exit.Exit<A, E> => Exit.die("still waiting")))
  )

/** Lets every fiber that can run do so. */
export const settle: Effect.Effect<void> = Effect.repeatN(Effect.yieldNow(), 20)

/** Waits until the fiber waits for something. */
export const parked = <A, E>(fiber: Fiber.RuntimeFiber<A, E>): Effect.Effect<void> =>
  Effect.flatMap(
    Fiber.status(fiber),
    (status) =>
      FiberStatus.isSuspended(status) ? Effect.void : Effect.zipRight(Effect.yieldNow(), parked(fiber))
  )

/** A fetch that ends when the test says so. */
export const held = <E extends TokenError = TokenError>() => {
  const gates: Array<Deferred.Deferred<Token.Token, E>> = []
  const script: Script<E> = () =>
    Effect.flatMap(Deferred.make<Token.Token, E>(), (gate) => {
      gates.push(gate)
      return Deferred.await(gate)
    })
  const gate = (nth: number): Deferred.Deferred<Token.Token, E> => {
    const found = gates[nth - 1]
    if (found === undefined) throw new Error(`fetch ${nth} has not started`)
    return found
  }
  const answer = (nth: number, text = `t${nth}`, expiresIn: Duration.DurationInput = "1 hour") =>
    Effect.flatMap(received(text, expiresIn), (token) => Deferred.succeed(gate(nth), token))
  const fail = (nth: number, error: E) => Deferred.fail(gate(nth), error)
  const die = (nth: number, defect: unknown) => Deferred.die(gate(nth), defect)
  return { script, answer, fail, die }
}

export const transient = (
  retryAt?: number,
  reason: TransientFailure["reason"] = "ServerError"
): TransientFailure =>
  new TransientFailure({ source: "issuer", reason, detail: "it is down", hint: "Wait.", retryAt })

export const loginRequired = new TokenUnavailable({
  source: "issuer",
  reason: "LoginRequired",
  detail: "nobody has logged in",
  hint: "Log in.",
  tiers: []
})

export const reauth = (reason: ReauthRequired["reason"] = "GrantRejected"): ReauthRequired =>
  new ReauthRequired({ source: "issuer", reason, detail: "the grant is gone", hint: "Log in again." })

export const misconfigured = new Misconfigured({
  source: "issuer",
  reason: "InvalidClient",
  detail: "the client is unknown",
  hint: "Register it."
})

/** The typed error of an exit, or what it was instead. */
export const errorOf = <A, E>(exit: Exit.Exit<A, E>): E | string => {
  if (Exit.isSuccess(exit)) return "succeeded"
  return Option.getOrElse(
    Cause.failureOption(exit.cause),
    () => Cause.isInterrupted(exit.cause) ? "interrupted" : "died"
  )
}

export const isInterrupted = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)

/**
 * Streams around a source: what changes about it, and long-lived streams that live on one token after another.
 *
 * This module is apart from the core so that programs without streams do not load them.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as Token from "./Token.js"
import { TransientFailure } from "./TokenError.js"
import type { TokenError } from "./TokenError.js"
import { quiet } from "./TokenSource.js"
import type { TokenSource } from "./TokenSource.js"
import type * as TokenStatus from "./TokenStatus.js"

/**
 * The status now and after each change. A slow reader misses intermediate ones, never the last one.
 *
 * @since 0.1.0
 * @category conversions
 */
export const changes = (source: TokenSource): Stream.Stream<TokenStatus.TokenStatus> =>
  Stream.unwrapScoped(Effect.gen(function*() {
    const queue = yield* Queue.sliding<void>(1)
    yield* Effect.acquireRelease(
      Effect.sync(() => source.onChange(() => void Queue.unsafeOffer(queue, undefined))),
      (stop) => Effect.sync(stop)
    )
    yield* Queue.offer(queue, undefined)
    return Stream.mapEffect(Stream.fromQueue(queue), () => source.status)
  }))

/**
 * How `reopening` behaves.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReopenOptions<E> {
  /** How long before the token expires a new one is asked for. Default 10 seconds, at most a third of what is left. */
  readonly before?: Duration.DurationInput | undefined
  /** Which failures of the stream mean that the token was refused. Default none. */
  readonly isRejection?: ((error: E) => boolean) | undefined
  /**
   * Whether an opening may have the source ask a person to log in. Default false: where a login is needed, the stream
   * fails with what says so. A renewal beside an open stream never does.
   */
  readonly interactive?: boolean | undefined
}

/**
 * A stream that is opened with a token, and opened again with a newer one before that token expires or when the stream
 * says that it was refused. While the token is valid the stream stays open: a renewal that fails is tried again beside
 * it; when the token has expired, a source without another one is the stream's failure. So is a refusal of a token
 * that is replaced by the same one, or of two tokens in a row without an element between. Ends when the opened stream
 * ends. Nobody is asked to log in, unless `interactive` allows it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const reopening: {
  <A, E, R>(
    open: (token: Token.Token) => Stream.Stream<A, E, R>,
    options?: ReopenOptions<E>
  ): <E2 extends TokenError>(self: TokenSource<E2>) => Stream.Stream<A, E | E2 | TransientFailure, R>
  <E2 extends TokenError, A, E, R>(
    self: TokenSource<E2>,
    open: (token: Token.Token) => Stream.Stream<A, E, R>,
    options?: ReopenOptions<E>
  ): Stream.Stream<A, E | E2 | TransientFailure, R>
} = dual(
  (args) => typeof args[0] !== "function",
  <E2 extends TokenError, A, E, R>(
    self: TokenSource<E2>,
    open: (token: Token.Token) => Stream.Stream<A, E, R>,
    options?: ReopenOptions<E>
  ): Stream.Stream<A, E | E2 | TransientFailure, R> => {
    const source = options?.interactive === true ? self : quiet(self)
    return Stream.unwrap(
      Effect.map(
        Ref.make<Phase<E>>({ _tag: "Due" }),
        (phase) =>
          Stream.repeatEffectOption(nextToken(source, phase)).pipe(
            Stream.flatMap((token) => opening(source, open(token), token, phase, options ?? {}))
          )
      )
    )
  }
)

/** Where a stream is between one token and the next. */
type Phase<E> =
  /** Nothing has been opened yet, or the token has expired. */
  | { readonly _tag: "Due" }
  | { readonly _tag: "Open" }
  | { readonly _tag: "Renewed"; readonly token: Token.Token }
  | { readonly _tag: "Refused"; readonly token: Token.Token; readonly error: E }
  | { readonly _tag: "Ended" }

/** The token for the next opening; `None` says that there is none to come. */
const nextToken = <E, E2 extends TokenError>(
  source: TokenSource<E2>,
  phase: Ref.Ref<Phase<E>>
): Effect.Effect<Token.Token, Option.Option<E | E2 | TransientFailure>> =>
  Effect.flatMap(Ref.get(phase), (why) => {
    switch (why._tag) {
      case "Due":
        return Effect.mapError(valid(source), Option.some)
      case "Renewed":
        // A slow reader may come for it when it has expired, too.
        return Effect.mapError(
          Effect.flatMap(
            Clock.currentTimeMillis,
            (now) => Token.isExpired(why.token, now) ? valid(source) : Effect.succeed(why.token)
          ),
          Option.some
        )
      case "Refused":
        return afterRefusal(source, why.token, why.error)
      case "Open":
      case "Ended":
        return Effect.fail(Option.none())
    }
  })

/** An expired token is a failure: opening a stream with it would be due again at once. */
const valid = <E extends TokenError>(
  source: TokenSource<E>
): Effect.Effect<Token.Token, E | TransientFailure> =>
  Effect.flatMap(
    source.get,
    (token) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Token.isExpired(token, now) ? Effect.fail(alreadyExpired(source.name)) : Effect.succeed(token))
  )

const alreadyExpired = (source: string): TransientFailure =>
  new TransientFailure({
    source,
    reason: "MalformedAnswer",
    detail: "it gave a token that had expired already",
    hint: "Check the clock of this machine and the lifetime of the tokens."
  })

const afterRefusal = <E, E2 extends TokenError>(
  source: TokenSource<E2>,
  refused: Token.Token,
  error: E
): Effect.Effect<Token.Token, Option.Option<E | E2 | TransientFailure>> =>
  Effect.zipRight(source.invalidate(refused), valid(source)).pipe(
    Effect.mapError(Option.some),
    Effect.filterOrFail((token) => !Token.isSame(token, refused), () => Option.some(error))
  )

/** One opened stream with its renewal beside it. It notes in `phase` why it stopped. */
const opening = <A, E, R, E2 extends TokenError>(
  source: TokenSource<E2>,
  stream: Stream.Stream<A, E, R>,
  token: Token.Token,
  phase: Ref.Ref<Phase<E>>,
  options: ReopenOptions<E>
): Stream.Stream<A, E | E2, R> =>
  Stream.unwrap(Effect.gen(function*() {
    const before = yield* Ref.getAndSet(phase, { _tag: "Open" })
    const useful = yield* Ref.make(before._tag !== "Refused")
    const now = yield* Clock.currentTimeMillis
    const renewing = Effect.flatMap(renewal(source, token, renewAt(token, now, options)), (next) =>
      Ref.update(phase, (current) => current._tag === "Open" ? next : current))
    return stream.pipe(
      Stream.tap(() =>
        Ref.set(useful, true)
      ),
      Stream.concat(Stream.execute(Ref.set(phase, { _tag: "Ended" }))),
      Stream.catchAll((error) =>
        Stream.execute(Effect.flatMap(Ref.get(useful), (mayRetry) =>
          mayRetry && options.isRejection?.(error) === true
            ? Ref.set(phase, { _tag: "Refused", token, error })
            : Effect.fail(error)))
      ),
      Stream.interruptWhen(renewing)
    )
  }))

/**
 * From the instant `at` on asks for a newer token, until there is one or until this one has expired. Fails only then,
 * with the last error, and only where it is too early to ask again.
 */
const renewal = Effect.fnUntraced(
  function*<E extends TokenError>(source: TokenSource<E>, token: Token.Token, at: number) {
    let last: E | undefined
    for (let next = at, delay = firstDelay; next < token.expiresAt; delay *= 2) {
      yield* sleepUntil(next)
      const answer = yield* newer(source, token)
      if (Either.isRight(answer)) return { _tag: "Renewed", token: answer.right } as const
      last = answer.left
      next = nextTry(last, yield* Clock.currentTimeMillis, delay)
    }
    yield* sleepUntil(token.expiresAt)
    return yield* atExpiry(last, token)
  }
)

const atExpiry = <E extends TokenError>(
  last: E | undefined,
  token: Token.Token
): Effect.Effect<{ readonly _tag: "Due" }, E> =>
  last !== undefined && retryAtOf(last) > token.expiresAt
    ? Effect.fail(last)
    : Effect.succeed({ _tag: "Due" })

/** The wait after the first renewal that gave nothing; each one after it is twice as long. In milliseconds. */
const firstDelay = 1_000

/** A valid token with another secret, before this one expires; else the error if there is one. */
const newer = <E extends TokenError>(
  source: TokenSource<E>,
  token: Token.Token
): Effect.Effect<Either.Either<Token.Token, E | undefined>> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (start) =>
      Effect.either(source.request({ supersede: token, interactive: false })).pipe(
        Effect.timeoutTo({
          duration: Token.remaining(token, start),
          onSuccess: (answer) => answer,
          onTimeout: () => Either.left(undefined)
        }),
        Effect.zipWith(Clock.currentTimeMillis, (answer, now) =>
          Either.filterOrLeft(
            answer,
            (next) => !Token.isSame(next, token) && !Token.isExpired(next, now),
            () => undefined
          ))
      )
  )

/** The instant of the next try. Only a new login or another set-up helps against what is not transient. */
const nextTry = (error: TokenError | undefined, now: number, delay: number): number => {
  if (error !== undefined && error._tag !== "TransientFailure") return Infinity
  const retryAt = retryAtOf(error)
  return retryAt > now ? retryAt : now + delay
}

const retryAtOf = (error: TokenError | undefined): number =>
  error?._tag === "TransientFailure" ? error.retryAt ?? 0 : 0

const renewAt = <E>(token: Token.Token, now: number, options: ReopenOptions<E>): number => {
  const left = Token.remaining(token, now)
  if (left === Infinity) return Infinity
  return now + Math.max(1, left - Math.min(Duration.toMillis(options.before ?? "10 seconds"), left / 3))
}

/** Looks at the clock again after the longest timer that a platform takes. */
const sleepUntil = (instant: number): Effect.Effect<void> =>
  instant === Infinity ? Effect.never : Effect.flatMap(Clock.currentTimeMillis, (now) =>
    now >= instant
      ? Effect.void
      : Effect.zipRight(Effect.sleep(Math.min(Math.ceil(instant - now), 2 ** 31 - 1)), sleepUntil(instant)))

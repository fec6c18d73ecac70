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
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as Token from "./Token.js"
import type { TokenError } from "./TokenError.js"
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
  /** How long before the token expires the stream is opened anew. Default 10 seconds, at most a third of what is left. */
  readonly before?: Duration.DurationInput | undefined
  /** Which failures of the stream mean that the token was refused. Default none. */
  readonly isRejection?: ((error: E) => boolean) | undefined
}

/**
 * A stream that is opened with a token, and opened again with a new one before that token expires or when the stream
 * says that it was refused. A refusal of a token that is replaced by the same one, or of two tokens in a row without
 * an element between, is the stream's own failure. Ends when the opened stream ends.
 *
 * @since 0.1.0
 * @category combinators
 */
export const reopening: {
  <A, E, R>(
    open: (token: Token.Token) => Stream.Stream<A, E, R>,
    options?: ReopenOptions<E>
  ): <E2 extends TokenError>(self: TokenSource<E2>) => Stream.Stream<A, E | E2, R>
  <E2 extends TokenError, A, E, R>(
    self: TokenSource<E2>,
    open: (token: Token.Token) => Stream.Stream<A, E, R>,
    options?: ReopenOptions<E>
  ): Stream.Stream<A, E | E2, R>
} = dual(
  (args) => typeof args[0] !== "function",
  <E2 extends TokenError, A, E, R>(
    self: TokenSource<E2>,
    open: (token: Token.Token) => Stream.Stream<A, E, R>,
    options?: ReopenOptions<E>
  ): Stream.Stream<A, E | E2, R> =>
    Stream.unwrap(
      Effect.map(Ref.make<Phase<E>>({ _tag: "First" }), (phase) =>
        Stream.repeatEffectOption(nextToken(self, phase)).pipe(
          Stream.flatMap((token) =>
            opening(open(token), token, phase, options ?? {})
          )
        ))
    )
)

/** Why the next opening is due. */
type Phase<E> =
  | { readonly _tag: "First" }
  | { readonly _tag: "Expiring"; readonly token: Token.Token }
  | { readonly _tag: "Refused"; readonly token: Token.Token; readonly error: E }
  | { readonly _tag: "Ended" }

/** The token for the next opening; `None` says that there is none to come. */
const nextToken = <E, E2 extends TokenError>(
  source: TokenSource<E2>,
  phase: Ref.Ref<Phase<E>>
): Effect.Effect<Token.Token, Option.Option<E | E2>> =>
  Effect.flatMap(Ref.get(phase), (why) => {
    switch (why._tag) {
      case "First":
        return Effect.mapError(source.get, Option.some)
      case "Expiring":
        return Effect.mapError(source.request({ supersede: why.token }), Option.some)
      case "Refused":
        return afterRefusal(source, why.token, why.error)
      case "Ended":
        return Effect.fail(Option.none())
    }
  })

const afterRefusal = <E, E2 extends TokenError>(
  source: TokenSource<E2>,
  refused: Token.Token,
  error: E
): Effect.Effect<Token.Token, Option.Option<E | E2>> =>
  Effect.zipRight(source.invalidate(refused), source.get).pipe(
    Effect.mapError(Option.some),
    Effect.filterOrFail((token) => !Token.isSame(token, refused), () => Option.some(error))
  )

/** One opened stream: it notes in `phase` why it stopped. */
const opening = <A, E, R>(
  stream: Stream.Stream<A, E, R>,
  token: Token.Token,
  phase: Ref.Ref<Phase<E>>,
  options: ReopenOptions<E>
): Stream.Stream<A, E, R> =>
  Stream.unwrap(Effect.gen(function*() {
    const before = yield* Ref.getAndSet(phase, { _tag: "Ended" })
    const useful = yield* Ref.make(before._tag !== "Refused")
    const now = yield* Clock.currentTimeMillis
    const expiring = Effect.zipRight(
      Effect.sleep(openFor(token, now, options)),
      Ref.set(phase, { _tag: "Expiring", token })
    )
    return stream.pipe(
      Stream.tap(() => Ref.set(useful, true)),
      Stream.interruptWhen(expiring),
      Stream.catchAll((error) =>
        Stream.execute(Effect.flatMap(Ref.get(useful), (mayRetry) =>
          mayRetry && options.isRejection?.(error) === true
            ? Ref.set(phase, { _tag: "Refused", token, error })
            : Effect.fail(error)))
      )
    )
  }))

const openFor = <E>(token: Token.Token, now: number, options: ReopenOptions<E>): Duration.Duration => {
  const left = Token.remaining(token, now)
  if (left === Infinity) return Duration.infinity
  const before = Math.min(Duration.toMillis(options.before ?? "10 seconds"), left / 3)
  return Duration.millis(Math.max(1, Math.min(2 ** 31 - 1, left - before)))
}

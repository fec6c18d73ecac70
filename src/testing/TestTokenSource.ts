/**
 * Token sources for tests: for an app that uses a source, and for what wraps one. All of them live on the
 * `Clock` and none asks anybody.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import type * as Token from "../Token.js"
import type { TokenError } from "../TokenError.js"
import * as TokenSource from "../TokenSource.js"
import * as TokenStatus from "../TokenStatus.js"
import * as TestToken from "./TestToken.js"

/**
 * What each constructor takes beside its tokens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends TestToken.Options {
  /** The name that errors and status show. Default `test`. */
  readonly name?: string | undefined
}

/**
 * What was done with a source so far.
 *
 * @since 0.1.0
 * @category models
 */
export interface Usage {
  /** Every request, oldest first; a `get` is the empty one. */
  readonly requests: ReadonlyArray<TokenSource.TokenRequest>
  /** Every token that was said to be refused, oldest first. */
  readonly invalidated: ReadonlyArray<Token.Token>
  /** Requests that wait for their answer. */
  readonly inFlight: number
  /** The most that ever waited at the same time. */
  readonly maxInFlight: number
  /** Requests whose caller was interrupted. */
  readonly interrupted: number
}

/**
 * A source that remembers what was done with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observed<out E extends TokenError = TokenError> extends TokenSource.TokenSource<E> {
  readonly usage: Effect.Effect<Usage>
}

/**
 * A request that waits for its answer. Only the first answer counts.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fetch<in E extends TokenError = TokenError> {
  readonly request: TokenSource.TokenRequest
  readonly succeed: (token: TestToken.TestToken) => Effect.Effect<void>
  readonly fail: (error: E) => Effect.Effect<void>
}

/**
 * A source that is answered by hand.
 *
 * @since 0.1.0
 * @category models
 */
export interface Controlled<in out E extends TokenError = TokenError> extends Observed<E> {
  /** Waits for the next request that nobody has taken yet, in order of arrival. */
  readonly take: Effect.Effect<Fetch<E>>
}

/**
 * A source that always gives the same token, received when the source is made.
 *
 * @since 0.1.0
 * @category constructors
 */
export const constant = (token: TestToken.TestToken, options?: Options): Effect.Effect<Observed<never>> =>
  Effect.flatMap(TestToken.make(token, options), (made) => observed(() => Effect.succeed(made), options))

/**
 * A source that always fails with the same error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failing = <E extends TokenError>(error: E, options?: Options): Effect.Effect<Observed<E>> =>
  observed(() => Effect.fail(error), options)

/**
 * A source whose requests get these answers in order, and the last one from then on. Each token is received
 * when it is asked for. An empty list never answers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const sequence = <E extends TokenError = never>(
  answers: ReadonlyArray<TestToken.TestToken | E>,
  options?: Options
): Effect.Effect<Observed<E>> =>
  Effect.flatMap(
    Ref.make(0),
    (next) =>
      observed(() =>
        Effect.flatMap(Ref.getAndUpdate(next, (n) => n + 1), (n) => {
          const answer = answers[Math.min(n, answers.length - 1)]
          if (answer === undefined) return Effect.never
          return isToken(answer) ? TestToken.make(answer, options) : Effect.fail(answer)
        }), options)
  )

const isToken = <E extends TokenError>(answer: TestToken.TestToken | E): answer is TestToken.TestToken =>
  typeof answer === "string" || !("_tag" in answer)

/**
 * A source whose requests wait until the test answers them, so that the test decides what happens meanwhile.
 *
 * @since 0.1.0
 * @category constructors
 */
export const controlled = <E extends TokenError = TokenError>(
  options?: Options
): Effect.Effect<Controlled<E>> =>
  Effect.gen(function*() {
    const fetches = yield* Queue.unbounded<Fetch<E>>()
    const source = yield* observed<E>(
      (request) =>
        Effect.flatMap(
          Deferred.make<Token.Token, E>(),
          (answer) =>
            Effect.zipRight(Queue.offer(fetches, fetchOf(request, answer, options)), Deferred.await(answer))
        ),
      options
    )
    return { ...partsOf(source), usage: source.usage, take: Queue.take(fetches) }
  })

const fetchOf = <E extends TokenError>(
  request: TokenSource.TokenRequest,
  answer: Deferred.Deferred<Token.Token, E>,
  options: Options | undefined
): Fetch<E> => ({
  request,
  succeed: (token) =>
    Effect.flatMap(TestToken.make(token, options), (made) => Deferred.succeed(answer, made)),
  fail: (error) => Deferred.fail(answer, error)
})

const observed = <E extends TokenError>(
  answer: (request: TokenSource.TokenRequest) => Effect.Effect<Token.Token, E>,
  options: Options | undefined
): Effect.Effect<Observed<E>> =>
  Effect.map(Ref.make(unused), (usage) => {
    const name = options?.name ?? "test"
    const request = (request: TokenSource.TokenRequest) =>
      Effect.acquireUseRelease(
        Ref.update(usage, (usage) => begin(usage, request)),
        () => answer(request),
        (_, exit) => Ref.update(usage, (usage) => end(usage, Exit.isInterrupted(exit)))
      )
    const source = TokenSource.make({
      name,
      request,
      invalidate: (token) =>
        Ref.update(usage, (usage) => ({ ...usage, invalidated: [...usage.invalidated, token] })),
      status: Effect.succeed(TokenStatus.make({ source: name, health: "Available" }))
    })
    return { ...partsOf(source), usage: Ref.get(usage) }
  })

/** Each part by its name: a spread would lose what a class keeps on its prototype. */
const partsOf = <E extends TokenError>(source: TokenSource.TokenSource<E>): TokenSource.TokenSource<E> => ({
  name: source.name,
  timeLimit: source.timeLimit,
  get: source.get,
  request: source.request,
  invalidate: source.invalidate,
  peek: source.peek,
  status: source.status,
  onChange: source.onChange
})

const unused: Usage = { requests: [], invalidated: [], inFlight: 0, maxInFlight: 0, interrupted: 0 }

const begin = (usage: Usage, request: TokenSource.TokenRequest): Usage => ({
  ...usage,
  requests: [...usage.requests, request],
  inFlight: usage.inFlight + 1,
  maxInFlight: Math.max(usage.maxInFlight, usage.inFlight + 1)
})

const end = (usage: Usage, interrupted: boolean): Usage => ({
  ...usage,
  inFlight: usage.inFlight - 1,
  interrupted: usage.interrupted + (interrupted ? 1 : 0)
})

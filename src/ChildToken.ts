/**
 * Tokens that are made from another token: exchanged, impersonated, or leased by a secret manager. A child never
 * outlives its parent, and what was handed out can be taken back when its scope ends.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Scope from "effect/Scope"
import * as Token from "./Token.js"
import type { TokenError } from "./TokenError.js"
import * as TokenSource from "./TokenSource.js"

/**
 * What `from` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E extends TokenError, E2 extends TokenError, R> {
  readonly parent: TokenSource.TokenSource<E>
  /** Makes a child of this token. */
  readonly mint: (parent: Token.Token) => Effect.Effect<Token.Token, E2, R>
  /** The name that errors and status show. Default `child of` the parent's name. */
  readonly name?: string | undefined
  /** How long one `mint` may rightly take. Default 30 seconds. A cache on top enforces it. */
  readonly timeLimit?: Duration.DurationInput | undefined
}

/**
 * A source of children of the parent's token; each call makes one. A child expires with its parent at the latest, so
 * the parent is asked for as much validity as the child is, and for a newer token where the old one has already cut a
 * child's life that is to be replaced. Two children in a row that a resource has refused speak against their parent:
 * if it is the same one, it is invalidated. It holds no token: put a cache on top.
 *
 * @since 0.1.0
 * @category constructors
 */
export const from = <E extends TokenError, E2 extends TokenError, R = never>(
  options: Options<E, E2, R>
): Effect.Effect<TokenSource.TokenSource<E | E2>, never, R> =>
  Effect.contextWith((context: Context.Context<R>) => {
    const { mint, parent } = options
    const limit = Duration.decode(options.timeLimit ?? Duration.seconds(30))
    const family: Family = { parent: undefined, child: undefined, refusals: 0 }
    return TokenSource.make({
      name: options.name ?? `child of ${parent.name}`,
      request: (request) =>
        Effect.flatMap(
          parentFor(parent, request),
          (token) =>
            Effect.map(Effect.provide(mint(token), context), (child) =>
              born(family, within(child, token), token))
        ),
      invalidate: (child) => Effect.suspend(() => refuse(family, parent, child)),
      timeLimit: Duration.sum(parent.timeLimit, limit),
      status: parent.status,
      onChange: parent.onChange
    })
  })

/** The last child with its parent. */
interface Family {
  parent: Token.Token | undefined
  /** Absent once it was refused. */
  child: Token.Token | undefined
  /** How many of this parent's children were refused, one after the other. */
  refusals: number
}

const born = (family: Family, child: Token.Token, parent: Token.Token): Token.Token => {
  const isAfterRefusal = family.child === undefined && family.parent !== undefined &&
    Token.isSame(family.parent, parent)
  if (!isAfterRefusal) family.refusals = 0
  family.parent = parent
  family.child = child
  return child
}

/** One child may be refused for reasons of its own. */
const refuse = (family: Family, parent: TokenSource.TokenSource, child: Token.Token): Effect.Effect<void> => {
  if (family.parent === undefined || family.child === undefined || !Token.isSame(family.child, child)) {
    return Effect.void
  }
  family.child = undefined
  family.refusals++
  return family.refusals < 2 ? Effect.void : parent.invalidate(family.parent)
}

const parentFor = <E extends TokenError>(
  parent: TokenSource.TokenSource<E>,
  { interactive, minValidity, supersede }: TokenSource.TokenRequest
): Effect.Effect<Token.Token, E> =>
  Effect.flatMap(
    parent.request({ interactive, minValidity }),
    (token) =>
      supersede !== undefined && Number.isFinite(token.expiresAt) && supersede.expiresAt >= token.expiresAt
        ? parent.request({ interactive, minValidity, supersede: token })
        : Effect.succeed(token)
  )

/**
 * The child with no more life than its parent has.
 *
 * @since 0.1.0
 * @category combinators
 */
export const within = (child: Token.Token, parent: Token.Token): Token.Token =>
  child.expiresAt <= parent.expiresAt ? child : { ...child, expiresAt: parent.expiresAt }

/**
 * The same source, but every token that it has given and that has not expired is revoked when the scope closes, the
 * newest first, each within 10 seconds. A revocation that fails is logged without its token and stops no other. Put it
 * under a cache, which closes before it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const revokedOnClose: {
  <R2>(
    revoke: (token: Token.Token) => Effect.Effect<void, TokenError, R2>
  ): <E extends TokenError, E2, R>(
    self: Effect.Effect<TokenSource.TokenSource<E>, E2, R>
  ) => Effect.Effect<TokenSource.TokenSource<E>, E2, R | R2 | Scope.Scope>
  <E extends TokenError, E2, R, R2>(
    self: Effect.Effect<TokenSource.TokenSource<E>, E2, R>,
    revoke: (token: Token.Token) => Effect.Effect<void, TokenError, R2>
  ): Effect.Effect<TokenSource.TokenSource<E>, E2, R | R2 | Scope.Scope>
} = dual(
  2,
  <E extends TokenError, E2, R, R2>(
    self: Effect.Effect<TokenSource.TokenSource<E>, E2, R>,
    revoke: (token: Token.Token) => Effect.Effect<void, TokenError, R2>
  ): Effect.Effect<TokenSource.TokenSource<E>, E2, R | R2 | Scope.Scope> =>
    Effect.flatMap(self, (source) => {
      const given: Given = { tokens: [] }
      return Effect.as(
        Effect.addFinalizer(() => revokeAll(source.name, given, revoke)),
        watched(source, given)
      )
    })
)

/** The tokens that may still be in somebody's hands, oldest first. */
interface Given {
  tokens: ReadonlyArray<Token.Token>
}

const watched = <E extends TokenError>(
  source: TokenSource.TokenSource<E>,
  given: Given
): TokenSource.TokenSource<E> =>
  TokenSource.withRequest(
    source,
    (request) => Effect.tap(source.request(request), (token) => note(given, token))
  )

const note = (given: Given, token: Token.Token): Effect.Effect<void> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const others = given.tokens.filter((one) => !Token.isExpired(one, now) && !Token.isSame(one, token))
    given.tokens = [...others, token]
  })

const revokeAll = <R>(
  name: string,
  given: Given,
  revoke: (token: Token.Token) => Effect.Effect<void, TokenError, R>
): Effect.Effect<void, never, R> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.forEach(
      given.tokens.filter((token) => !Token.isExpired(token, now)).reverse(),
      (token) => revokeOne(name, revoke(token)),
      { concurrency: 8, discard: true }
    ))

const revokeOne = <R>(
  name: string,
  revocation: Effect.Effect<void, TokenError, R>
): Effect.Effect<void, never, R> =>
  revocation.pipe(
    Effect.interruptible,
    Effect.timeoutOption(Duration.seconds(10)),
    Effect.exit,
    Effect.flatMap((exit) =>
      exit._tag === "Success" && exit.value._tag === "Some"
        ? Effect.void
        : Effect.logWarning(`${name}: a token was not revoked when its scope closed; it ends by itself.`)
    )
  )

/**
 * Ordered fallback over several sources: the first tier that has a token answers. A tier falls through only when it
 * says "not available here"; a tier that failed, or was closed, stops the chain with its own error.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Ref from "effect/Ref"
import type * as Token from "./Token.js"
import { TokenUnavailable } from "./TokenError.js"
import type { Tier, TokenError } from "./TokenError.js"
import * as TokenSource from "./TokenSource.js"
import * as TokenStatus from "./TokenStatus.js"

/**
 * What `firstOf` takes beside the tiers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The name that errors and status show. Default `first of` and the names of the tiers. */
  readonly name?: string | undefined
  /**
   * Which failures, beyond `TokenUnavailable`, let the next tier try. Default none: a tier that could have answered but
   * failed is not silently replaced by another identity.
   */
  readonly fallThrough?: ((error: TokenError) => boolean) | undefined
}

/**
 * The source that asks the tiers in order. When none has a token the error is `TokenUnavailable` and lists each tier
 * with its reason and what to do about it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const firstOf = <const Tiers extends readonly [AnyTier, ...ReadonlyArray<AnyTier>]>(
  tiers: Tiers,
  options?: Options
): Effect.Effect<
  TokenSource.TokenSource<TierError<Tiers[number]> | TokenUnavailable>,
  Effect.Effect.Error<Tiers[number]>,
  Effect.Effect.Context<Tiers[number]>
> =>
  Effect.flatMap(
    Effect.all(tiers as ReadonlyArray<AnyTier> as ReadonlyArray<TierOf<Tiers[number]>>),
    (sources) => make(sources, options)
  )

type AnyTier = Effect.Effect<TokenSource.TokenSource, unknown, unknown>

/** The token errors of a tier. */
type TierError<Tier> = Tier extends Effect.Effect<TokenSource.TokenSource<infer E>, infer _, infer _R> ? E
  : never

/** What all tiers have in common. */
type TierOf<Tier extends AnyTier> = Effect.Effect<
  TokenSource.TokenSource<TierError<Tier>>,
  Effect.Effect.Error<Tier>,
  Effect.Effect.Context<Tier>
>

/**
 * The same from sources that exist already.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E extends TokenError>(
  tiers: ReadonlyArray<TokenSource.TokenSource<E>>,
  options?: Options
): Effect.Effect<TokenSource.TokenSource<E | TokenUnavailable>> =>
  Effect.map(Ref.make<ReadonlyArray<Answer>>([]), (answers) => {
    const name = options?.name ?? `first of ${tiers.map((tier) => tier.name).join(", ")}`
    const widened = options?.fallThrough ?? (() => false)
    return TokenSource.make<E | TokenUnavailable>({
      name,
      timeLimit: tiers.reduce((sum, tier) => Duration.sum(sum, tier.timeLimit), Duration.zero),
      request: (request) => ask(name, tiers, widened, answers, request),
      invalidate: (token) => Effect.forEach(tiers, (tier) => tier.invalidate(token), { discard: true }),
      status: Effect.flatMap(Ref.get(answers), (given) => statusOf(name, tiers, given)),
      onChange: (listener) => {
        const stops = tiers.map((tier) => tier.onChange(listener))
        return () => stops.forEach((stop) => stop())
      }
    })
  })

/**
 * The first source, and the second one where the first has no token.
 *
 * @since 0.1.0
 * @category combinators
 */
export const orElse: {
  <E2 extends TokenError, CE2, R2>(
    that: Effect.Effect<TokenSource.TokenSource<E2>, CE2, R2>
  ): <E extends TokenError, CE, R>(
    self: Effect.Effect<TokenSource.TokenSource<E>, CE, R>
  ) => Effect.Effect<TokenSource.TokenSource<E | E2 | TokenUnavailable>, CE | CE2, R | R2>
  <E extends TokenError, CE, R, E2 extends TokenError, CE2, R2>(
    self: Effect.Effect<TokenSource.TokenSource<E>, CE, R>,
    that: Effect.Effect<TokenSource.TokenSource<E2>, CE2, R2>
  ): Effect.Effect<TokenSource.TokenSource<E | E2 | TokenUnavailable>, CE | CE2, R | R2>
} = dual(
  2,
  <E extends TokenError, CE, R, E2 extends TokenError, CE2, R2>(
    self: Effect.Effect<TokenSource.TokenSource<E>, CE, R>,
    that: Effect.Effect<TokenSource.TokenSource<E2>, CE2, R2>
  ): Effect.Effect<TokenSource.TokenSource<E | E2 | TokenUnavailable>, CE | CE2, R | R2> =>
    Effect.flatMap(Effect.all([self, that]), (sources) => make<E | E2>(sources))
)

/** What a tier did when the chain was last asked: nothing is remembered beyond the error. */
interface Answer {
  readonly role: "Answered" | "Unavailable" | "Failed"
  readonly error: TokenError | undefined
}

const answered: Answer = { role: "Answered", error: undefined }

const ask = <E extends TokenError>(
  name: string,
  tiers: ReadonlyArray<TokenSource.TokenSource<E>>,
  widened: (error: TokenError) => boolean,
  answers: Ref.Ref<ReadonlyArray<Answer>>,
  request: TokenSource.TokenRequest
): Effect.Effect<Token.Token, E | TokenUnavailable> => {
  const from = (
    index: number,
    given: ReadonlyArray<Answer>
  ): Effect.Effect<Token.Token, E | TokenUnavailable> => {
    const tier = tiers[index]
    if (tier === undefined) {
      return Effect.zipRight(Ref.set(answers, given), allUnavailable(name, tiers, given))
    }
    return Effect.matchEffect(tier.request(request), {
      onSuccess: (token) => Effect.as(Ref.set(answers, [...given, answered]), token),
      onFailure: (error) => {
        const falls = isNotAvailableHere(error) || widened(error)
        const next = [...given, { role: falls ? "Unavailable" : "Failed", error } as const]
        return falls ? from(index + 1, next) : Effect.zipRight(Ref.set(answers, next), Effect.fail(error))
      }
    })
  }
  return from(0, [])
}

/** A tier whose scope has ended was available: what comes after it would be another identity, and nobody chose that. */
const isNotAvailableHere = (error: TokenError): boolean =>
  error._tag === "TokenUnavailable" && error.reason !== "Closed"

const allUnavailable = (
  source: string,
  tiers: ReadonlyArray<TokenSource.TokenSource>,
  answers: ReadonlyArray<Answer>
): Effect.Effect<never, TokenUnavailable> =>
  Effect.fail(
    new TokenUnavailable({
      source,
      reason: "AllTiers",
      detail: tiers.length === 0 ? "it has no tiers" : "no tier has a token",
      hint: "Make one of its tiers available.",
      tiers: answers.flatMap((answer, index) => explain(tiers[index], answer))
    })
  )

const explain = (tier: TokenSource.TokenSource | undefined, answer: Answer): ReadonlyArray<Tier> => {
  const { error } = answer
  if (tier === undefined || error === undefined) return []
  const own = { source: tier.name, reason: error.detail, hint: error.hint }
  return error._tag === "TokenUnavailable" && error.tiers.length > 0 ? error.tiers : [own]
}

const statusOf = (
  source: string,
  tiers: ReadonlyArray<TokenSource.TokenSource>,
  answers: ReadonlyArray<Answer>
): Effect.Effect<TokenStatus.TokenStatus> =>
  Effect.map(Effect.forEach(tiers, (tier) => tier.status), (statuses) => {
    const winner = answers.findIndex((answer) => answer.role === "Answered")
    const below = statuses.map((status, index) => ({ role: roleOf(status, answers[index], winner), status }))
    const best = statuses[winner]
    const failed = answers.find((answer) => answer.role === "Failed")
    return TokenStatus.make({
      source,
      health: best?.health ?? healthWithout(statuses, failed !== undefined),
      token: best?.token,
      failure: failed?.error,
      loginExpiresAt: best?.loginExpiresAt,
      tiers: below
    })
  })

const healthWithout = (
  statuses: ReadonlyArray<TokenStatus.TokenStatus>,
  failed: boolean
): TokenStatus.Health => {
  if (failed) return "Degraded"
  return statuses.some((status) => status.health !== "Unavailable") ? "Idle" : "Unavailable"
}

/** A tier behind the one that answered is shadowed if it has something to be shadowed. */
const roleOf = (
  status: TokenStatus.TokenStatus,
  answer: Answer | undefined,
  winner: number
): TokenStatus.Role => {
  if (answer !== undefined) return answer.role
  if (status.health === "Unavailable") return "Unavailable"
  return winner >= 0 && status.health !== "Idle" ? "Shadowed" : "Untried"
}

/**
 * What a token is: its secret, its lifetime and its generation, with the arithmetic of expiry.
 *
 * All instants are Unix milliseconds, as `Clock.currentTimeMillis` gives them.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

/**
 * An access token as it was received. Plain immutable data; the secret stays `Redacted`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Token {
  /** The secret. */
  readonly value: Redacted.Redacted<string>
  /** How it is presented: `Bearer`, `DPoP`, or `N_A` for a token that is never sent (RFC 8693 §2.2.1). */
  readonly type: string
  /** The moment of receipt, in Unix milliseconds; 0 when it is not known, and then a cache counts from its own receipt. */
  readonly issuedAt: number
  /** The first instant at which it is no longer valid, in Unix milliseconds; `Infinity` when it never expires. */
  readonly expiresAt: number
  /** The scopes that were granted, empty when the issuer did not say. */
  readonly scopes: ReadonlyArray<string>
  /** Counts up with each new token of one source; 0 for a token that no source has counted yet. */
  readonly generation: number
  /**
   * The private key to which it is bound, as a JWK in JSON text, or to which what renews it is bound
   * (RFC 9449 §6); absent for a token that is not bound.
   */
  readonly proofKey: Redacted.Redacted<string> | undefined
}

/**
 * What `make` takes: the secret, and what is known beside it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly value: Redacted.Redacted<string>
  /** Default `Bearer`. */
  readonly type?: string | undefined
  /** Unix milliseconds; default 0. */
  readonly issuedAt?: number | undefined
  /** Unix milliseconds; default `Infinity`: it never expires. */
  readonly expiresAt?: number | undefined
  /** Default none. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Default 0. */
  readonly generation?: number | undefined
  /** Default none. */
  readonly proofKey?: Redacted.Redacted<string> | undefined
}

/**
 * What `receive` takes: as `Options`, with a lifetime instead of instants.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReceiveOptions extends Omit<Options, "issuedAt" | "expiresAt"> {
  /** How long it is valid from now on; absent means that it never expires. */
  readonly expiresIn?: Duration.DurationInput | undefined
}

/**
 * A token from absolute instants. An `expiresAt` that is not a number counts as already expired, never as valid for
 * ever.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Token => ({
  value: options.value,
  type: options.type ?? "Bearer",
  issuedAt: options.issuedAt || 0,
  expiresAt: Number.isNaN(options.expiresAt) ? 0 : options.expiresAt ?? Infinity,
  scopes: options.scopes ?? noScopes,
  generation: options.generation ?? 0,
  proofKey: options.proofKey
})

/**
 * A token received now: its lifetime counts from this moment on the `Clock`, whatever the server's clock says.
 *
 * @since 0.1.0
 * @category constructors
 */
export const receive = (options: ReceiveOptions): Effect.Effect<Token> =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    make({
      value: options.value,
      type: options.type,
      scopes: options.scopes,
      generation: options.generation,
      proofKey: options.proofKey,
      issuedAt: now,
      expiresAt: options.expiresIn === undefined ? Infinity : now + Duration.toMillis(options.expiresIn)
    }))

const noScopes: ReadonlyArray<string> = []

/**
 * Milliseconds until it expires at the instant `now`: 0 or less once it has, `Infinity` when it never does.
 *
 * @since 0.1.0
 * @category getters
 */
export const remaining = (self: Token, now: number): number => self.expiresAt - now

/**
 * The whole lifetime in milliseconds, from receipt to expiry, never below 0.
 *
 * @since 0.1.0
 * @category getters
 */
export const lifetime = (self: Token): number => Math.max(0, self.expiresAt - self.issuedAt)

/**
 * Whether it has expired at the instant `now`; at exactly `expiresAt` it has.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isExpired = (self: Token, now: number): boolean => !(now < self.expiresAt)

/**
 * Whether at least `minValidity` milliseconds are left at the instant `now`; an expired token never passes.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isValidFor = (self: Token, now: number, minValidity: number): boolean =>
  now < self.expiresAt && remaining(self, now) >= minValidity

/**
 * Whether both are the same secret. This is what "that token was rejected" is compared by, so that it holds across
 * caches, vaults and processes.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isSame = (self: Token, that: Token): boolean =>
  self === that || Redacted.value(self.value) === Redacted.value(that.value)

/**
 * The same token under another generation.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withGeneration = (self: Token, generation: number): Token =>
  self.generation === generation ? self : { ...self, generation }

/**
 * When to renew a token and when to try again after a failure: pure functions of the token, of statistics and of one
 * random number. All times are milliseconds.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import { dual } from "effect/Function"
import * as Token from "./Token.js"

/**
 * What adaptive policies look at.
 *
 * @since 0.1.0
 * @category models
 */
export interface Statistics {
  /** Mean time that one renewal takes, in milliseconds. */
  readonly meanLatency: number
  /** The share of renewals that succeed, from 0 to 1. */
  readonly successRate: number
  /** How often the token is asked for, an hour. */
  readonly requestsPerHour: number
}

/**
 * The one object that decides about renewals. The window is never added to another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface RefreshPolicy {
  /** How long before expiry a renewal starts, in milliseconds, before it is clamped to `maxFraction`. */
  readonly window: (statistics: Statistics) => number
  /** The most that the window may take of the token's own lifetime, from 0 to 1. */
  readonly maxFraction: number
  /** The most that a renewal is moved earlier at random, as a fraction of the lifetime, from 0 to 1. */
  readonly jitter: number
  /** How failures space out. */
  readonly backoff: Backoff
  /** Whether `window` looks at the statistics, so that a cache has to keep them. */
  readonly adaptive: boolean
}

/**
 * How tries space out after failures. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Backoff {
  /** The wait after the first failure. */
  readonly base: number
  /** What each further failure multiplies it by. */
  readonly factor: number
  /** The longest wait of its own accord. */
  readonly cap: number
  /** The share of a wait that is random, from 0 to 1. */
  readonly jitter: number
  /** The longest wait that a server may ask for. */
  readonly maxRetryAfter: number
}

/**
 * What `make` takes. A fraction outside of 0 to 1 is clamped into it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long before expiry a renewal starts. Default 5 minutes. */
  readonly window?: Duration.DurationInput | undefined
  /** The smallest window. Default none. */
  readonly min?: Duration.DurationInput | undefined
  /** The largest window. Default none. */
  readonly max?: Duration.DurationInput | undefined
  /** Default 1/3: a token is used for at least two thirds of its lifetime, less the jitter. */
  readonly maxFraction?: number | undefined
  /** Default 0.1. */
  readonly jitter?: number | undefined
  /** Default: 1 second doubling to 60, half of it random, a server may ask for up to an hour. */
  readonly backoff?: Partial<Backoff> | undefined
}

/**
 * Statistics of which nothing is known yet: no latency, no failure, no use.
 *
 * @since 0.1.0
 * @category constructors
 */
export const noStatistics: Statistics = { meanLatency: 0, successRate: 1, requestsPerHour: 0 }

const defaultBackoff: Backoff = { base: 1_000, factor: 2, cap: 60_000, jitter: 0.5, maxRetryAfter: 3_600_000 }

/**
 * A policy with a fixed window.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): RefreshPolicy => {
  const window = clampWindow(Duration.toMillis(options?.window ?? "5 minutes"), options)
  return { ...shared(options), window: () => window, adaptive: false }
}

const shared = (options: Options | undefined): Omit<RefreshPolicy, "window" | "adaptive"> => ({
  maxFraction: unit(options?.maxFraction ?? 1 / 3),
  jitter: unit(options?.jitter ?? 0.1),
  backoff: backoffOf({ ...defaultBackoff, ...options?.backoff })
})

/** What is no sensible number is the default. */
const backoffOf = (backoff: Backoff): Backoff => ({
  base: sensible(backoff.base, defaultBackoff.base),
  factor: sensible(backoff.factor, defaultBackoff.factor),
  cap: sensible(backoff.cap, defaultBackoff.cap),
  jitter: unit(backoff.jitter),
  maxRetryAfter: sensible(backoff.maxRetryAfter, defaultBackoff.maxRetryAfter)
})

const sensible = (value: number, otherwise: number): number =>
  Number.isFinite(value) && value >= 0 ? value : otherwise

const clampWindow = (window: number, options: Options | undefined): number => {
  const max = Duration.toMillis(options?.max ?? Duration.infinity)
  const min = Math.min(max, Duration.toMillis(options?.min ?? Duration.zero))
  return Math.min(max, Math.max(min, window))
}

const unit = (value: number): number => Math.min(1, Math.max(0, Number.isNaN(value) ? 0 : value))

/**
 * Renew 5 minutes before expiry.
 *
 * @since 0.1.0
 * @category policies
 */
export const standard: RefreshPolicy = make()

/**
 * Renew 15 minutes before expiry, for tokens whose loss is costly.
 *
 * @since 0.1.0
 * @category policies
 */
export const conservative: RefreshPolicy = make({
  window: "15 minutes",
  min: "10 minutes",
  max: "30 minutes"
})

/**
 * A window that grows when renewals are slow (30 s for each 100 ms of mean latency), when the token is busy (30 s for
 * each 10 requests an hour above 10) and when renewals fail (10 minutes times what the success rate lacks to 95 %),
 * within the bounds. Defaults: 5 minutes, from 1 to 30.
 *
 * @since 0.1.0
 * @category policies
 */
export const adaptive = (options?: Options): RefreshPolicy => {
  const bounds: Options = { min: options?.min ?? "1 minute", max: options?.max ?? "30 minutes" }
  const base = Duration.toMillis(options?.window ?? "5 minutes")
  return {
    ...shared(options),
    adaptive: true,
    window: (statistics) =>
      clampWindow(
        base +
          nonNegative(statistics.meanLatency) / 100 * 30_000 +
          nonNegative(statistics.requestsPerHour - 10) / 10 * 30_000 +
          nonNegative(0.95 - statistics.successRate) * 600_000,
        bounds
      )
  }
}

const nonNegative = (value: number): number => (value > 0 ? value : 0)

/**
 * The same policy with twice the window for a credential that is used at least `requestsPerHour` times an hour
 * (default 100). The clamp to the token's lifetime still holds.
 *
 * @since 0.1.0
 * @category combinators
 */
export const preemptive: {
  (options?: { readonly requestsPerHour?: number | undefined }): (self: RefreshPolicy) => RefreshPolicy
  (self: RefreshPolicy, options?: { readonly requestsPerHour?: number | undefined }): RefreshPolicy
} = dual(
  (args) => typeof args[0] === "object" && args[0] !== null && "window" in args[0],
  (self: RefreshPolicy, options?: { readonly requestsPerHour?: number | undefined }): RefreshPolicy => ({
    ...self,
    adaptive: true,
    window: (statistics) =>
      self.window(statistics) * (statistics.requestsPerHour >= (options?.requestsPerHour ?? 100) ? 2 : 1)
  })
)

/**
 * The instant at which a token's renewal starts, in Unix milliseconds: the window before expiry, clamped to a fraction
 * of the lifetime, and earlier by the jitter. `random` is from 0 to 1. Never before receipt, never after expiry,
 * `Infinity` for a token that never expires.
 *
 * @since 0.1.0
 * @category getters
 */
export const renewAt = (
  self: RefreshPolicy,
  token: Token.Token,
  statistics: Statistics,
  random: number
): number => {
  const lifetime = Token.lifetime(token)
  if (lifetime === Infinity) return Infinity
  const window = Math.min(nonNegative(self.window(statistics)), lifetime * self.maxFraction)
  return Math.max(
    token.expiresAt - lifetime,
    Math.floor(token.expiresAt - window - random * self.jitter * lifetime)
  )
}

/**
 * The instant before which no further try is made after `failures` failures in a row (1 or more), in Unix milliseconds.
 * A later instant that the server asked for is honoured up to `maxRetryAfter`, and spread at random over one `base` so
 * that clients do not come back together.
 *
 * @since 0.1.0
 * @category getters
 */
export const retryAt = (
  self: RefreshPolicy,
  now: number,
  failures: number,
  random: number,
  asked: number | undefined
): number => {
  const { base, cap, factor, jitter, maxRetryAfter } = self.backoff
  const growth = Math.min(factor ** (failures - 1), Number.MAX_VALUE)
  const wait = Math.ceil(Math.min(cap, base * growth) * (1 - jitter * random))
  if (asked === undefined || !(asked > now)) return now + wait
  return Math.max(now + wait, Math.min(asked, now + maxRetryAfter) + Math.ceil(random * base))
}

/**
 * Statistics after one more renewal that took `latency` milliseconds: exponentially weighted, the newest counts 1/5.
 *
 * @since 0.1.0
 * @category combinators
 */
export const record = (self: Statistics, latency: number, succeeded: boolean): Statistics => ({
  meanLatency: self.meanLatency + (latency - self.meanLatency) / (self.meanLatency === 0 ? 1 : 5),
  successRate: self.successRate + ((succeeded ? 1 : 0) - self.successRate) / 5,
  requestsPerHour: self.requestsPerHour
})

/**
 * What a source can tell about itself without giving any secret away.
 *
 * @since 0.1.0
 */
import type * as Token from "./Token.js"
import type { TokenError } from "./TokenError.js"

/**
 * How well a source is.
 *
 * - `Idle`: nothing was asked of it yet.
 * - `Available` / `Unavailable`: it could (could not) answer, as far as it knows without asking anybody.
 * - `Healthy`: it holds a valid token.
 * - `Refreshing`: a renewal is in flight.
 * - `Waiting`: another process renews the same grant, and this one waits for what that comes to.
 * - `Degraded`: a renewal failed; the present token is served until it expires, or calls fail until `retryAt`.
 * - `LoginExpiring`: what renews it ends soon.
 * - `Ambiguous`: a renewal was sent and its answer lost.
 * - `ReauthRequired`: only a login helps.
 * - `Closed`: its scope has ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Health =
  | "Idle"
  | "Available"
  | "Unavailable"
  | "Healthy"
  | "Refreshing"
  | "Waiting"
  | "Degraded"
  | "LoginExpiring"
  | "Ambiguous"
  | "ReauthRequired"
  | "Closed"

/**
 * What the tier of a chain did when the chain was last asked. A tier is `Shadowed` when it stands behind the one that
 * answered.
 *
 * @since 0.1.0
 * @category models
 */
export type Role = "Answered" | "Shadowed" | "Unavailable" | "Failed" | "Untried"

/**
 * A snapshot of a source. Instants are Unix milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenStatus {
  readonly source: string
  readonly health: Health
  /** The token that it holds, without the secret. */
  readonly token: Omit<Token.Token, "value" | "proofKey"> | undefined
  /** The failure that it remembers. */
  readonly failure: TokenError | undefined
  /** When it tries again by itself or lets a caller try, if it waits. */
  readonly retryAt: number | undefined
  /** When what renews it ends, if known. */
  readonly loginExpiresAt: number | undefined
  /** The sources below it, each with what it did last. */
  readonly tiers: ReadonlyArray<TierStatus>
}

/**
 * A source below another one.
 *
 * @since 0.1.0
 * @category models
 */
export interface TierStatus {
  readonly role: Role
  readonly status: TokenStatus
}

/**
 * A status from the parts that differ from "nothing known".
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  parts: Pick<TokenStatus, "source" | "health"> & Partial<TokenStatus>
): TokenStatus => ({
  token: undefined,
  failure: undefined,
  retryAt: undefined,
  loginExpiresAt: undefined,
  tiers: [],
  ...parts
})

/**
 * A token without its secrets.
 *
 * @since 0.1.0
 * @category constructors
 */
export const describe = (token: Token.Token): Omit<Token.Token, "value" | "proofKey"> => ({
  type: token.type,
  issuedAt: token.issuedAt,
  expiresAt: token.expiresAt,
  scopes: token.scopes,
  generation: token.generation
})

/**
 * The status as lines of text for people: which tier answered, which are shadowed, which failed and why, and what to do.
 * Instants are printed as ISO 8601. No secret can be in it.
 *
 * @since 0.1.0
 * @category conversions
 */
export const render = (self: TokenStatus): string => lines(self, "").join("\n")

const lines = (status: TokenStatus, role: string): ReadonlyArray<string> => {
  const facts = [
    status.token === undefined ? undefined : generation(status.token) + until(status.token.expiresAt),
    status.retryAt === undefined ? undefined : `tries again ${at(status.retryAt)}`,
    status.loginExpiresAt === undefined ? undefined : `login ${until(status.loginExpiresAt)}`
  ].filter((fact) => fact !== undefined)
  return [
    [`${role}${status.source}: ${status.health}`, ...facts].join(", "),
    ...(status.failure === undefined ? [] : [`  ${status.failure.detail}. ${status.failure.hint}`]),
    ...status.tiers.flatMap((tier) => lines(tier.status, `[${tier.role}] `).map((line) => `  ${line}`))
  ]
}

const generation = (token: Omit<Token.Token, "value" | "proofKey">): string =>
  token.generation === 0 ? "" : `generation ${token.generation}, `

const until = (instant: number): string => (instant === Infinity ? "never expires" : `expires ${at(instant)}`)

const at = (instant: number): string => {
  // oxlint-disable-next-line no-restricted-globals -- No clock is read, and DateTime is the largest module that the core would load.
  const date = new Date(instant)
  return Number.isNaN(date.valueOf()) ? "at an unknown time" : date.toISOString()
}

/**
 * The one family of errors that a token source can give. The class says what kind of next step helps, `reason` says
 * what happened, `hint` says what to do. No field ever holds a secret or a response body.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"

/**
 * What a tier of a chain answered, as the chain's error lists it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tier {
  readonly source: string
  readonly reason: string
  readonly hint: string
}

interface Fields<Reason extends string> {
  /** The name of the source or part that gives the error. */
  readonly source: string
  readonly reason: Reason
  /** What happened, in one clause without secrets. */
  readonly detail: string
  /** What to do about it, in one sentence. */
  readonly hint: string
}

const render = (fields: Fields<string>): string => `${fields.source}: ${fields.detail}. ${fields.hint}`

/**
 * There is no token here, and nothing has failed: another tier may have one.
 *
 * @since 0.1.0
 * @category errors
 */
export class TokenUnavailable extends Data.TaggedError("TokenUnavailable")<
  Fields<"NotConfigured" | "Blank" | "LoginRequired" | "AllTiers" | "Closed"> & {
    /** What each tier of a chain answered; empty for a single source. */
    readonly tiers: ReadonlyArray<Tier>
  }
> {
  override get message(): string {
    const tiers = this.tiers.map((tier, index) =>
      `\n  ${index + 1}. ${tier.source}: ${tier.reason}. ${tier.hint}`
    )
    return render(this) + tiers.join("")
  }
}

/**
 * It failed now and may work later; `retryAt` says from when on another try is worth it.
 *
 * @since 0.1.0
 * @category errors
 */
export class TransientFailure extends Data.TaggedError("TransientFailure")<
  Fields<
    | "Network"
    | "ReplyLost"
    | "Timeout"
    | "ServerError"
    | "RateLimited"
    | "MalformedAnswer"
    | "RejectedWhileFresh"
    | "Interrupted"
    | "StoreLocked"
    | "StoreUnreachable"
    | "StoreConflict"
  > & {
    /** Unix milliseconds before which a retry is pointless, where the other side said so. */
    readonly retryAt?: number | undefined
  }
> {
  override get message(): string {
    return render(this)
  }
}

/**
 * The grant is gone for good: only a new login helps.
 *
 * @since 0.1.0
 * @category errors
 */
export class ReauthRequired extends Data.TaggedError("ReauthRequired")<
  Fields<"GrantRejected" | "NoRefreshToken" | "AccessDenied" | "LoginExpired" | "Ambiguous">
> {
  override get message(): string {
    return render(this)
  }
}

/**
 * This request can't be met as it was made; the credential itself is not burnt.
 *
 * @since 0.1.0
 * @category errors
 */
export class RequestRejected extends Data.TaggedError("RequestRejected")<
  Fields<"InvalidRequest" | "InvalidScope" | "InvalidTarget" | "MinValidity">
> {
  override get message(): string {
    return render(this)
  }
}

/**
 * The set-up is wrong: it fails the same way until somebody changes it.
 *
 * @since 0.1.0
 * @category errors
 */
export class Misconfigured extends Data.TaggedError("Misconfigured")<
  Fields<
    | "EmptySecret"
    | "InvalidSecret"
    | "InvalidOption"
    | "InvalidKey"
    | "InvalidClient"
    | "UnsupportedGrant"
    | "InsecureUrl"
    | "IssuerMismatch"
    | "InvalidMetadata"
    | "StoreDenied"
    | "StoreCorrupt"
    | "StoreUnsupported"
  >
> {
  override get message(): string {
    return render(this)
  }
}

/**
 * Everything that a token source can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type TokenError =
  | TokenUnavailable
  | TransientFailure
  | ReauthRequired
  | RequestRejected
  | Misconfigured

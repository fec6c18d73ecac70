/**
 * The failures that a cache gives of its own accord, ready made as `Exit`s.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Token from "../Token.js"
import { RequestRejected, TokenUnavailable, TransientFailure } from "../TokenError.js"
import type { TokenError } from "../TokenError.js"

/** What a cache adds to the errors of the source below it. */
export type CacheError = TransientFailure | TokenUnavailable | RequestRejected

/** The scope of the source has ended. */
export const closed = (source: string): Exit.Exit<never, TokenUnavailable> =>
  Exit.fail(
    new TokenUnavailable({
      source,
      reason: "Closed",
      detail: "the scope of this source has ended",
      hint: "Use it only while the Layer that provides it is alive.",
      tiers: []
    })
  )

/** The source keeps giving what a resource refuses. */
export const rejectedWhileFresh = (source: string, retryAt: number): Exit.Exit<never, TransientFailure> =>
  Exit.fail(
    new TransientFailure({
      source,
      reason: "RejectedWhileFresh",
      detail: "a resource refused a token that had just been received",
      hint: "Check that the token is meant for this resource (audience, scopes) and has not been revoked.",
      retryAt
    })
  )

/** No token of this source lives as long as it was asked to. */
export const shortLived = (
  source: string,
  token: Token.Token,
  minValidity: number
): Exit.Exit<never, RequestRejected> =>
  Exit.fail(
    new RequestRejected({
      source,
      reason: "MinValidity",
      detail: `tokens live for ${Token.lifetime(token)} ms here and ${minValidity} ms were asked for`,
      hint: "Ask for less, or have the issuer give longer lifetimes."
    })
  )

/** A new fetch did not give what was asked for, and another one at once would not either. */
export const unmet = (source: string): Exit.Exit<never, TransientFailure> =>
  Exit.fail(
    new TransientFailure({
      source,
      reason: "RejectedWhileFresh",
      detail: "the source has no token that is newer, or valid for longer, than the present one",
      hint: "Try again later, or ask for less."
    })
  )

/** What a fetch really came to: a token that is expired on arrival is none, and an interruption has a reason. */
export const check = <E>(
  source: string,
  exit: Exit.Exit<Token.Token, E>,
  now: number,
  deadline: number
): Exit.Exit<Token.Token, E | TransientFailure> => {
  if (Exit.isSuccess(exit)) return Token.isExpired(exit.value, now) ? expired(source) : exit
  if (!Cause.isInterruptedOnly(exit.cause)) return exit
  return now >= deadline ? timedOut(source) : interrupted(source)
}

const expired = (source: string): Exit.Exit<never, TransientFailure> =>
  transient(
    source,
    "MalformedAnswer",
    "it gave a token that had expired already",
    "Check the clock of this machine."
  )

const timedOut = (source: string): Exit.Exit<never, TransientFailure> =>
  transient(
    source,
    "Timeout",
    "a fetch took longer than its time limit",
    "Try again later, or raise timeLimit."
  )

const interrupted = (source: string): Exit.Exit<never, TransientFailure> =>
  transient(source, "Interrupted", "a fetch was interrupted from inside", "Try again.")

const transient = (
  source: string,
  reason: "MalformedAnswer" | "Timeout" | "Interrupted",
  detail: string,
  hint: string
): Exit.Exit<never, TransientFailure> =>
  Exit.fail(new TransientFailure({ source, reason, detail, hint, retryAt: undefined }))

/** Whether trying again by itself is worth it. A defect counts: it says nothing about the grant. */
export const isTransient = (exit: Exit.Exit<never, TokenError>): boolean => {
  const error = errorOf(exit)
  return error === undefined || error._tag === "TransientFailure"
}

/** When the other side wants to be asked again, in Unix milliseconds. */
export const askedRetryAt = (exit: Exit.Exit<never, TokenError>): number | undefined => {
  const error = errorOf(exit)
  return error?._tag === "TransientFailure" ? error.retryAt : undefined
}

/** The typed error, if it is not a defect. */
export const errorOf = (exit: Exit.Exit<never, TokenError>): TokenError | undefined =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined

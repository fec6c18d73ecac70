/**
 * From what a server answered to what the caller should do.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Misconfigured, ReauthRequired, RequestRejected, TransientFailure } from "../../TokenError.js"
import * as Body from "./body.js"
import * as HttpDate from "./httpDate.js"
import * as Seconds from "./seconds.js"
import type * as Transport from "./transport.js"

/** The server refused, and said why with an OAuth error code. */
export class Refusal extends Data.TaggedError("Refusal")<{
  readonly source: string
  /** The code, or `other` when it is not a plain word. */
  readonly code: string
  /** Milliseconds that the server wants between two requests from now on, if it said so. */
  readonly interval?: number | undefined
  /** What to do about it, where more is known than the code tells. */
  readonly hint?: string | undefined
}> {}

/** A refusal by whatever the server wrote as its code. */
export const refusal = (source: string, code: string, interval?: number): Refusal =>
  new Refusal({ source, code: /^[a-z_]{1,40}$/.test(code) ? code : "other", interval })

/** An answer that can't be understood; the same request may get a better one later. */
export const malformed = (source: string, detail: string): TransientFailure =>
  new TransientFailure({
    source,
    reason: "MalformedAnswer",
    detail,
    hint: "Check that the address is the authorization server's and no proxy or sign-in page answers for it.",
    retryAt: undefined
  })

/** Fails for the statuses that mean the same at every endpoint: redirects, outages and rate limits. */
export const ofStatus = (source: string, answer: Transport.Answer): Effect.Effect<void, TransientFailure> => {
  const { status } = answer
  if (status === 429 || status >= 500) return busy(source, answer)
  if (status >= 200 && status < 300 || status >= 400) return Effect.void
  return Effect.fail(redirected(source))
}

/**
 * Fails unless the answer is what was asked for. Some servers send their refusals with status 200, and
 * `slow_down` with 429. A bare 401 to a client that authenticates says that it failed to (RFC 6749 §5.2).
 */
export const ofAnswer = (
  source: string,
  answer: Transport.Answer,
  authenticates: boolean
): Effect.Effect<void, Refusal | TransientFailure> =>
  Effect.zipRight(
    isSlowDown(answer) ? Effect.void : ofStatus(source, answer),
    Effect.suspend((): Effect.Effect<void, Refusal | TransientFailure> => {
      const code = Body.errorCode(answer.text) ?? challengeCode(answer)
      if (code !== undefined) return Effect.fail(refusal(source, code, intervalIn(answer)))
      if (answer.status === 401 && authenticates) return Effect.fail(refusal(source, "invalid_client"))
      return answer.status < 400
        ? Effect.void
        : Effect.fail(
          malformed(source, `the authorization server answered ${answer.status} without an OAuth error code`)
        )
    })
  )

/** The poller's own code for going too fast, where no moment is named from which on it may go on. */
const isSlowDown = ({ headers, status, text }: Transport.Answer): boolean =>
  status === 429 && headers["retry-after"] === undefined && Body.errorCode(text) === "slow_down"

/** The interval that a refusal names, in milliseconds. */
const intervalIn = ({ text }: Transport.Answer): number | undefined =>
  Option.getOrUndefined(
    Option.flatMap(Body.parse(text), (fields) => Seconds.lifetime(fields["interval"]))
  )

/** The code in the challenge of a 401. */
const challengeCode = (answer: Transport.Answer): string | undefined =>
  answer.status === 401
    ? /\berror="?([a-z_]{1,40})\b/.exec(answer.headers["www-authenticate"] ?? "")?.[1]
    : undefined

const busy = (source: string, answer: Transport.Answer): Effect.Effect<never, TransientFailure> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.fail(
      new TransientFailure({
        source,
        reason: answer.status === 429 ? "RateLimited" : "ServerError",
        detail: `the authorization server answered ${answer.status}`,
        hint: "Try again later.",
        retryAt: HttpDate.retryAt(answer.headers, now)
      })
    ))

const redirected = (source: string): TransientFailure =>
  new TransientFailure({
    source,
    reason: "MalformedAnswer",
    detail: "the authorization server answered with a redirect, which is not followed",
    hint: "Give the address that it redirects to if you trust that; look for a sign-in page of the network.",
    retryAt: undefined
  })

/**
 * What a refusal means to whoever asked for a token (RFC 6749 §5.2). Beside the standard's codes, the table
 * knows those of widespread servers.
 */
export const ofRefusal = (
  { code, hint, source }: Refusal
): TransientFailure | ReauthRequired | RequestRejected | Misconfigured => {
  const detail = `the authorization server refused with ${code}`
  switch (code) {
    case "invalid_grant":
    case "bad_refresh_token":
    case "refresh_token_expired":
    case "refresh_token_reused":
    case "refresh_token_invalidated":
    case "invalid_refresh_token":
    case "invalid_token":
    case "token_expired":
    case "token_revoked":
    case "account_inactive":
    case "inactive_user":
    case "interaction_required":
    case "login_required":
    case "consent_required":
      return new ReauthRequired({ source, reason: "GrantRejected", detail, hint: "Log in again." })
    case "access_denied":
    case "authorization_declined":
      return new ReauthRequired({
        source,
        reason: "AccessDenied",
        detail,
        hint: "Log in again, and allow the access."
      })
    case "expired_token":
    case "bad_verification_code":
    case "incorrect_device_code":
      return new ReauthRequired({ source, reason: "LoginExpired", detail, hint: "Log in again." })
    case "invalid_client":
    // The document that the client's id leads to can't be used.
    case "invalid_client_metadata":
    case "incorrect_client_credentials":
      return new Misconfigured({
        source,
        reason: "InvalidClient",
        detail,
        hint: hint ??
          "Check the client id, its secret or key, how it authenticates, and which grants it may use."
      })
    case "invalid_dpop_proof":
      return new Misconfigured({
        source,
        reason: "InvalidKey",
        detail,
        hint: "Check that the server takes the algorithm of the key for proofs of possession, and this clock."
      })
    case "use_dpop_nonce":
      return new TransientFailure({
        source,
        reason: "ServerError",
        detail: "the authorization server keeps on asking for another nonce",
        hint: "Try again later.",
        retryAt: undefined
      })
    // It is known, but this is none of its grants (RFC 6749 §5.2).
    case "unauthorized_client":
    case "unsupported_grant_type":
    case "device_flow_disabled":
      return new Misconfigured({
        source,
        reason: "UnsupportedGrant",
        detail,
        hint: "Enable this grant for the client at the server, or use another one; check the client id, too."
      })
    case "invalid_scope":
      return new RequestRejected({
        source,
        reason: "InvalidScope",
        detail,
        hint: "Ask for scopes that are granted."
      })
    case "invalid_target":
      return new RequestRejected({
        source,
        reason: "InvalidTarget",
        detail,
        hint: "Check the resource or audience."
      })
    case "server_error":
    case "temporarily_unavailable":
      return new TransientFailure({
        source,
        reason: "ServerError",
        detail,
        hint: "Try again later.",
        retryAt: undefined
      })
    case "slow_down":
      return new TransientFailure({
        source,
        reason: "RateLimited",
        detail,
        hint: "Try again later.",
        retryAt: undefined
      })
    default:
      return new RequestRejected({
        source,
        reason: "InvalidRequest",
        detail,
        hint: "Check the parameters; if it stays so, log in again."
      })
  }
}

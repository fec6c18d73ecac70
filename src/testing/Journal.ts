/**
 * What a virtual identity provider remembers of the requests that it got. It never holds a secret.
 *
 * @since 0.1.0
 */
import * as Hash from "effect/Hash"
import * as Redacted from "effect/Redacted"
import type * as Fault from "./Fault.js"

/**
 * The parts of a provider that requests go to.
 *
 * @since 0.1.0
 * @category models
 */
export type Endpoint =
  | "discovery"
  | "jwks"
  | "authorization"
  | "pushed_authorization_request"
  | "token"
  | "device_authorization"
  | "revocation"
  | "introspection"
  | "userinfo"
  | "end_session"
  | "registration"
  | "resource"
  | "resource_metadata"
  | "document"
  | "unknown"

/**
 * What the server did.
 *
 * - `None`: nothing; it never got to it.
 * - `Issued`: tokens for a client, or for what it presented: client credentials, an assertion, another token,
 *   a custom grant.
 * - `LoginStarted`, `Waiting`, `LoggedIn`: a device authorization began, was polled before it was decided, gave
 *   tokens; `LoggedIn` is said of an authorization code and of a password too.
 * - `Pushed`, `Waiting`, `Authorized`: an authorization request was pushed, waits for the person, got a code.
 * - `LoggedOut`: the person's session at the provider has ended.
 * - `Registered`: a client has registered itself.
 * - `Redeemed`: a refresh token was exchanged.
 * - `Replayed`: a used refresh token came again within the grace window and got the same tokens.
 * - `Reused`: a used refresh token came again, and its whole family was revoked.
 * - `Revoked`: a token was revoked, or was not known, which looks the same (RFC 7009 §2.2).
 * - `Served`: metadata, keys, what is known of a token or of the person, or a protected resource.
 * - `Refused`: an error; `error` names it where OAuth has a name for it.
 *
 * @since 0.1.0
 * @category models
 */
export type Action =
  | "None"
  | "Issued"
  | "LoginStarted"
  | "Waiting"
  | "LoggedIn"
  | "Pushed"
  | "Authorized"
  | "LoggedOut"
  | "Registered"
  | "Redeemed"
  | "Replayed"
  | "Reused"
  | "Revoked"
  | "Served"
  | "Refused"

/**
 * What became of the answer. `Pending` is on its way, `Lost` failed in the connection, `Interrupted` was
 * given up by the caller.
 *
 * @since 0.1.0
 * @category models
 */
export type Delivery = "Pending" | "Delivered" | "Lost" | "Interrupted"

/**
 * One request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  /** Counts up from 0 in order of arrival. */
  readonly index: number
  /** When it arrived, in Unix milliseconds. */
  readonly at: number
  readonly endpoint: Endpoint
  readonly method: string
  /** The grant type, `unknown` where the provider doesn't know it, none away from the token endpoint. */
  readonly grantType: string | undefined
  /** The client, if it is a registered one. */
  readonly client: string | undefined
  /** The `fingerprint` of the refresh token that was presented. */
  readonly refreshToken: string | undefined
  /** The faults that it met. */
  readonly faults: ReadonlyArray<Fault.Fault["_tag"]>
  readonly action: Action
  /** The HTTP status of the answer. */
  readonly status: number | undefined
  /** The OAuth error code of the answer. */
  readonly error: string | undefined
  readonly delivery: Delivery
}

/**
 * How often things happened since the start, whatever became of the answers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  /** Requests of every kind. */
  readonly requests: number
  /** Requests to the token endpoint, outages included. */
  readonly tokenRequests: number
  /** Requests to the protected resource, outages included. */
  readonly resourceCalls: number
  /** Tokens for clients, or for what they presented. */
  readonly issued: number
  /** Device authorizations that began. */
  readonly loginsStarted: number
  /** Authorization codes that were given. */
  readonly codes: number
  /** Device authorizations, authorization codes and passwords that gave tokens. */
  readonly logins: number
  /** Clients that have registered themselves. */
  readonly registrations: number
  /** Refresh tokens exchanged. */
  readonly redemptions: number
  /** Used refresh tokens that came again within the grace window. */
  readonly replays: number
  /** Used refresh tokens that came again and cost their family. */
  readonly reuses: number
}

/**
 * Nothing yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const noCounts: Counts = {
  requests: 0,
  tokenRequests: 0,
  resourceCalls: 0,
  issued: 0,
  loginsStarted: 0,
  codes: 0,
  logins: 0,
  registrations: 0,
  redemptions: 0,
  replays: 0,
  reuses: 0
}

/**
 * Eight hexadecimal digits that stand for a secret in the journal. For telling test tokens apart, not for
 * protecting real ones.
 *
 * @since 0.1.0
 * @category getters
 */
export const fingerprint = (secret: string | Redacted.Redacted<string>): string => {
  const text = typeof secret === "string" ? secret : Redacted.value(secret)
  return (Hash.string(text) >>> 0).toString(16).padStart(8, "0")
}

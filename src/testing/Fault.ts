/**
 * What can go wrong at a virtual identity provider, as plain data.
 *
 * A fault has its moment: before the server acts (it never saw the request, nothing has changed) or after it
 * (the server has acted, and the caller can't know). The second kind is what costs rotating refresh tokens.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"

/**
 * Before or after the server does what was asked of it.
 *
 * @since 0.1.0
 * @category models
 */
export type Moment = "BeforeAction" | "AfterAction"

/**
 * How an answer is spoilt. The server has acted when it sends one.
 *
 * - `Html`: a page with status 200, as a captive portal gives it.
 * - `Empty`: no body.
 * - `Truncated`: the first half of the JSON.
 * - `Broken`: the first half of the JSON, then the connection fails.
 * - `Huge`: the JSON followed by 20 MB of blanks, so that only a reader with a limit refuses it.
 * - `Without`: a field is left out.
 * - `With`: a field has another value.
 *
 * @since 0.1.0
 * @category models
 */
export type Spoiling =
  | { readonly _tag: "Html" }
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Truncated" }
  | { readonly _tag: "Broken" }
  | { readonly _tag: "Huge" }
  | { readonly _tag: "Without"; readonly field: string }
  | { readonly _tag: "With"; readonly field: string; readonly value: unknown }

/**
 * One fault.
 *
 * - `Outage`: the connection fails; the server never saw the request.
 * - `DroppedReply`: the server acts, then the connection fails.
 * - `Status`: an error page of a gateway, in place of the action or of its answer.
 * - `Slow`: the answer takes a while.
 * - `Crash`: no answer ever comes, as when the calling machine dies there.
 * - `Redirect`: the server sends the caller elsewhere, without acting.
 * - `Malformed`: the server acts, and its answer is spoilt.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault =
  | { readonly _tag: "Outage" }
  | { readonly _tag: "DroppedReply" }
  | {
    readonly _tag: "Status"
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
    readonly retryAfter: RetryAfter | undefined
    readonly moment: Moment
  }
  | { readonly _tag: "Slow"; readonly delay: Duration.Duration; readonly moment: Moment }
  | { readonly _tag: "Crash"; readonly moment: Moment }
  | { readonly _tag: "Redirect"; readonly status: number; readonly location: string }
  | { readonly _tag: "Malformed"; readonly spoiling: Spoiling }

/**
 * What a `Retry-After` header says: seconds, or a date on the server's clock (RFC 9110 §10.2.3).
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryAfter {
  readonly after: Duration.Duration
  readonly format: "Seconds" | "Date"
}

/**
 * The connection fails before the server sees the request.
 *
 * @since 0.1.0
 * @category constructors
 */
export const outage: Fault = { _tag: "Outage" }

/**
 * The server acts, then the connection fails: the classic lost rotation.
 *
 * @since 0.1.0
 * @category constructors
 */
export const droppedReply: Fault = { _tag: "DroppedReply" }

/**
 * An answer with this status, 200 to 599, in place of the action (the default) or of its answer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const status = (status: number, options?: {
  /** Sent as `Retry-After`. */
  readonly retryAfter?: Duration.DurationInput | undefined
  /** How `Retry-After` is written. Default `Seconds`. */
  readonly retryAfterFormat?: RetryAfter["format"] | undefined
  /** Sent beside the others. Default none. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Default empty. */
  readonly body?: string | undefined
  /** Default `BeforeAction`. */
  readonly moment?: Moment | undefined
}): Fault => ({
  _tag: "Status",
  status,
  headers: options?.headers ?? {},
  body: options?.body ?? "",
  retryAfter: options?.retryAfter === undefined
    ? undefined
    : { after: Duration.decode(options.retryAfter), format: options.retryAfterFormat ?? "Seconds" },
  moment: options?.moment ?? "BeforeAction"
})

/**
 * The answer takes this long. By default the server acts at once and answers late, so that a caller who gives
 * up has caused the action.
 *
 * @since 0.1.0
 * @category constructors
 */
export const slow = (delay: Duration.DurationInput, moment: Moment = "AfterAction"): Fault => ({
  _tag: "Slow",
  delay: Duration.decode(delay),
  moment
})

/**
 * The caller gets no further than this: no answer ever comes. `reached` of the injected fault tells when it
 * is there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const crash = (moment: Moment): Fault => ({ _tag: "Crash", moment })

/**
 * The server answers with a redirect and does nothing else. Default status 307.
 *
 * @since 0.1.0
 * @category constructors
 */
export const redirect = (location: string, status: 301 | 302 | 303 | 307 | 308 = 307): Fault => ({
  _tag: "Redirect",
  status,
  location
})

/**
 * The server acts, and its answer is spoilt.
 *
 * @since 0.1.0
 * @category constructors
 */
export const malformed = (spoiling: Exclude<Spoiling["_tag"], "Without" | "With">): Fault => ({
  _tag: "Malformed",
  spoiling: { _tag: spoiling }
})

/**
 * The server acts, and leaves a field out of its answer, such as `access_token`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const without = (field: string): Fault => ({ _tag: "Malformed", spoiling: { _tag: "Without", field } })

/**
 * The server acts, and a field of its answer has this value, such as an `expires_in` of `"soon"`. Any JSON
 * value.
 *
 * @since 0.1.0
 * @category constructors
 */
export const withField = (field: string, value: unknown): Fault => ({
  _tag: "Malformed",
  spoiling: { _tag: "With", field, value }
})

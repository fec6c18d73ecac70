// What both providers of the contract are to its scripts.
import * as Effect from "effect/Effect"
import type * as Jose from "jose"
import type { Got } from "./calls.js"
import type * as RealProvider from "./realProvider.js"

/** A provider under judgement. */
export interface Judged {
  readonly issuer: string
  readonly device: string
  readonly revocation: string
  readonly resource: string
  readonly par: string
  readonly introspection: string
  readonly registration: string
  readonly authorization: string
  readonly logout: string
  /** A person's browser goes there; what it gets in the end. */
  readonly browse: (url: string, verdict?: "Approve" | "Deny") => Effect.Effect<Got, RealProvider.LoginFailed>
  readonly decide: (
    userCode: string,
    verdict: "Approve" | "Deny"
  ) => Effect.Effect<unknown, RealProvider.LoginFailed>
  /** Waits until the device codes of the client `brief` have expired. */
  readonly expire: Effect.Effect<void>
  /** The time, in seconds. */
  readonly now: Effect.Effect<number>
  readonly privateKey: Jose.CryptoKey
}

export type Verdict = readonly [step: string, status: number, error: unknown]

/** Notes status and OAuth error code of each step. */
export const judging =
  (verdicts: Array<Verdict>) =>
  <E, R>(step: string, call: Effect.Effect<Got, E, R>): Effect.Effect<Got, E, R> =>
    Effect.tap(call, ({ body, headers, status }) =>
      Effect.sync(() => {
        const challenge = /error="([a-z_]+)"/.exec(headers["www-authenticate"] ?? "")?.[1]
        verdicts.push([step, status, body["error"] ?? challenge])
      }))

/** An address that a browser was sent to, as if it were an answer. */
export const arrived = (location: string): Got => ({
  status: 303,
  headers: { location },
  body: Object.fromEntries([
    ...new URL(location).searchParams,
    ...new URLSearchParams(new URL(location).hash.slice(1))
  ])
})

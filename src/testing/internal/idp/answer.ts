/**
 * An answer of the server, before it is put on the wire.
 *
 * @since 0.1.0
 */
import type * as Jose from "jose"
import type { Action } from "../../Journal.js"
import type { State } from "./state.js"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>> | undefined
  /** The OAuth error code in it. */
  readonly error: string | undefined
  /** What the server did. */
  readonly action: Action
  /** What is left to be put into the body, since it takes a signature. */
  readonly finish?: Finish | undefined
  /** What is done when the person has decided; this answer is for nobody then. */
  readonly later?: Later | undefined
}

export type Finish =
  | { readonly _tag: "IdToken"; readonly claims: Jose.JWTPayload }
  | { readonly _tag: "Keys" }

export interface Later {
  /** Milliseconds; `Infinity` where the person never decides. */
  readonly after: number
  readonly step: (state: State, now: number) => Step
}

/** An answer, and the books after it. */
export type Step = readonly [Answer, State]

/** A JSON answer with status 200. */
export const ok = (action: Action, body: Readonly<Record<string, unknown>>): Answer => ({
  status: 200,
  headers: { "cache-control": "no-store" },
  body,
  error: undefined,
  action
})

/** A JSON answer with status 201. */
export const created = (action: Action, body: Readonly<Record<string, unknown>>): Answer => ({
  ...ok(action, body),
  status: 201
})

/** An empty answer with status 200. */
export const nothing = (action: Action): Answer => ({ ...ok(action, {}), body: undefined })

/** The browser is sent elsewhere. */
export const redirect = (action: Action, location: string, error?: string): Answer => ({
  ...nothing(action),
  status: 303,
  headers: { "cache-control": "no-store", location },
  error
})

/** An OAuth error (RFC 6749 §5.2). */
export const refuse = (error: string, options?: {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly action?: Action
}): Answer => ({
  status: options?.status ?? 400,
  headers: { "cache-control": "no-store", ...options?.headers },
  body: { error },
  error,
  action: options?.action ?? "Refused"
})

/** The same answer with further headers. */
export const withHeaders = (answer: Answer, headers: Readonly<Record<string, string>>): Answer => ({
  ...answer,
  headers: { ...answer.headers, ...headers }
})

/** There is nothing at this path, or not with this method. */
export const notFound: Answer = { ...nothing("Refused"), status: 404 }

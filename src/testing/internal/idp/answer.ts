/**
 * An answer of the server, before it is put on the wire.
 *
 * @since 0.1.0
 */
import type { Action } from "../../Journal.js"

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>> | undefined
  /** The OAuth error code in it. */
  readonly error: string | undefined
  /** What the server did. */
  readonly action: Action
}

/** A JSON answer with status 200. */
export const ok = (action: Action, body: Readonly<Record<string, unknown>>): Answer => ({
  status: 200,
  headers: { "cache-control": "no-store" },
  body,
  error: undefined,
  action
})

/** An empty answer with status 200. */
export const nothing = (action: Action): Answer => ({ ...ok(action, {}), body: undefined })

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

/** There is nothing at this path, or not with this method. */
export const notFound: Answer = { ...nothing("Refused"), status: 404 }

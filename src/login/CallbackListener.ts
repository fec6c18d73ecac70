/**
 * Where the person's browser comes back to after a login: a listener on this machine (RFC 8252 §7.3).
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"

/**
 * The names that this machine has for itself. To an authorization server they are three different addresses, and
 * only those that are registered may come back.
 *
 * @since 0.1.0
 * @category models
 */
export type Host = "127.0.0.1" | "[::1]" | "localhost"

/**
 * What `listen` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Default: `127.0.0.1`, and `[::1]` on a machine without that. With `localhost`, which a browser may look up
   * either way, both are listened on.
   */
  readonly host?: Host | undefined
  /** Default: a free one. A port that is named here is taken, or `PortBusy`: never another one. */
  readonly port?: number | undefined
  /** Where the browser comes back to, exactly. */
  readonly path: string
  /** Where it is sent to from there. */
  readonly resultPath: string
}

/**
 * What is shown in the browser.
 *
 * @since 0.1.0
 * @category models
 */
export interface Page {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * Somebody asked for one of the two paths: perhaps the person's browser, perhaps anybody else on this machine.
 *
 * @since 0.1.0
 * @category models
 */
export interface Visit {
  readonly _tag: "Callback" | "Result"
  /** The fields of the query; none for a result. */
  readonly parameters: Redacted.Redacted<URLSearchParams>
  /** Answers with this page once it is there; waits for nothing itself. Only the first answer counts. */
  readonly answer: (page: Effect.Effect<Page>) => Effect.Effect<void>
}

/**
 * A listener that is open. Before it closes, what was answered gets a moment to arrive.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listening {
  /** What the authorization server is told to send the browser back to. */
  readonly redirectUri: string
  /** The next visit; waits for one. Whatever else comes in is answered by the listener itself. */
  readonly next: Effect.Effect<Visit>
}

/**
 * Listens on this machine, and for this machine only.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly listen: (options: Options) => Effect.Effect<Listening, ListenFailed, Scope.Scope>
}

/**
 * No port was opened.
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly reason: "PortBusy" | "NotAllowed" | "NoAddress" | "Failed"
  /** What happened, in one clause. */
  readonly detail: string
  /** What to do about it, in one sentence. */
  readonly hint: string
}> {
  override get message(): string {
    return `${this.detail}. ${this.hint}`
  }
}

/**
 * The service that logins ask for.
 *
 * @since 0.1.0
 * @category tags
 */
export class CallbackListener
  extends Context.Tag("effect-credentials/CallbackListener")<CallbackListener, Service>()
{}

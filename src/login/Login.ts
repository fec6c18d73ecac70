/**
 * The login tier: whatever way a person logs in, as one service that sources can be built on.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Grant } from "../Grant.js"
import type { TokenError } from "../TokenError.js"

/**
 * A way to log in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The name that errors show. */
  readonly name: string
  /**
   * Logs in; each run asks the person anew. Can be interrupted while it waits. Sources and `SignIn` run it by
   * `Grant.keeping`: a login of one's own that talks to a server by itself tells of the answer by `Grant.arriving`.
   */
  readonly login: Effect.Effect<Grant, TokenError>
  /** How long one login may take. */
  readonly timeLimit: Duration.Duration
}

/**
 * The login of the program. `DeviceLogin.layer` provides one.
 *
 * @since 0.1.0
 * @category tags
 */
export class Login extends Context.Tag("effect-credentials/Login")<Login, Service>() {}

/**
 * Tokens for tests.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Token from "../Token.js"

/**
 * A token, or the text of one.
 *
 * @since 0.1.0
 * @category models
 */
export type TestToken = string | Token.Token

/**
 * What is known of a token beside its text.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long it is valid from now on. Default for ever. */
  readonly expiresIn?: Duration.DurationInput | undefined
  /** Default none. */
  readonly scopes?: ReadonlyArray<string> | undefined
}

/**
 * A bearer token with this text, received now on the `Clock`. A token is left as it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (token: TestToken, options?: Options): Effect.Effect<Token.Token> =>
  Predicate.isString(token)
    ? Token.receive({ value: Redacted.make(token), ...options })
    : Effect.succeed(token)

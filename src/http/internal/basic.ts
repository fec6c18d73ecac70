/**
 * A user name and a password as one credential (RFC 7617).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as Token from "../../Token.js"
import { Misconfigured } from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"
import * as TokenSource from "../../TokenSource.js"
import * as Placement from "../Placement.js"

/** As `HttpAuth.BasicCredentials` documents it. */
export interface Credentials<out E extends TokenError> {
  readonly username: string | Redacted.Redacted<string>
  readonly password: Redacted.Redacted<string> | TokenSource.TokenSource<E>
}

/** Where the passwords come from. */
export const sourceOf = <E extends TokenError>(
  password: Credentials<E>["password"]
): TokenSource.TokenSource<E> =>
  Redacted.isRedacted(password) ? fixed(password as Redacted.Redacted<string>) : password

const fixed = (password: Redacted.Redacted<string>): TokenSource.TokenSource<never> => {
  const token = Token.make({ value: password, type: "Basic" })
  return TokenSource.make({ name: "basic credentials", request: () => Effect.succeed(token) })
}

/** The header, unless one of the two can't stand in it. */
export const placement = (
  source: string,
  given: Credentials<never>["username"]
): Placement.Placement => {
  const username = Redacted.isRedacted(given) ? Redacted.value(given) : given
  return Placement.header({ source, name: "authorization" }, (token) => {
    const pair = `${username}:${Redacted.value(token.value)}`
    if (username.includes(":") || controls.test(pair)) return Either.left(invalidPair(source))
    return /^\s*:\s*$/.test(pair)
      ? Either.left(blankPair(source))
      : Either.right(`Basic ${Encoding.encodeBase64(pair)}`)
  })
}

const controls = /\p{Cc}/u

const invalidPair = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidSecret",
    detail: "the user name holds a colon, or one of the two holds control characters",
    hint: "Look for a pasted line break, or for a user name that was given together with its password."
  })

const blankPair = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "EmptySecret",
    detail: "the user name and the password are both empty or blank",
    hint: "Look at where they come from; such a pair is never sent."
  })

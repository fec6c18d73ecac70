/**
 * The judgement of what a browser brought back (RFC 6749 §4.1.2, RFC 9207). Anybody can call an address on loopback, so
 * nothing is believed before state and issuer, and no text of a callback is repeated.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import { Misconfigured } from "../../TokenError.js"
import type { GrantError } from "../TokenEndpoint.js"
import * as Failure from "./failure.js"

/** What is known of the login that the callback should belong to. */
export interface Expected {
  readonly state: Redacted.Redacted<string>
  readonly issuer: { readonly name: string | undefined; readonly namesItself: boolean }
}

/** It does not belong to the login. */
export interface Stray {
  readonly _tag: "Stray"
  readonly detail: string
}

export interface Code {
  readonly value: Redacted.Redacted<string>
}

/** How many fields are looked at, and how long each may be. */
const most = { fields: 64, text: 16 * 1024 }

/** A code as it can be sent on (RFC 6749, appendix A.11). */
const isCode = (text: string): boolean => /^[\x20-\x7e]+$/.test(text)

/** The code, if the callback belongs to the login and brings one. */
export const judge = (
  source: string,
  expected: Expected,
  callback: URLSearchParams
): Effect.Effect<Code, Stray | GrantError> =>
  Effect.suspend(() => {
    const detail = strangeness(expected, callback)
    if (detail !== undefined) return Effect.fail<Stray>({ _tag: "Stray", detail })
    const name = callback.get("iss")
    if (name !== null && expected.issuer.name === undefined) return Effect.fail(namelessIssuer(source))
    if (callback.has("response")) return Effect.fail(wrongKind(source))
    return Effect.flatMap(
      Effect.try({ try: () => validate(expected, callback), catch: toFailure(source) }),
      codeOf
    )
  })

/** Why the callback can't be of this login; only its state and its issuer are looked at. */
const strangeness = ({ issuer, state }: Expected, callback: URLSearchParams): string | undefined => {
  if (!isBounded(callback)) return "its query is too large"
  const [first, ...more] = callback.getAll("state")
  if (first === undefined) {
    return callback.has("response") ? "it is a signed answer, which can't be read here" : "it has no state"
  }
  if (more.length > 0) return "it has more than one state"
  if (!isSame(first, Redacted.value(state))) return "its state is of another login"
  return issuer.name === undefined ? undefined : issuerStrangeness(issuer, callback.getAll("iss"))
}

const issuerStrangeness = (
  issuer: Expected["issuer"],
  [first, ...more]: ReadonlyArray<string>
): string | undefined => {
  if (first === undefined) {
    return issuer.namesItself
      ? "it does not name the issuer, as the server promised"
      : undefined
  }
  return more.length > 0 || first !== issuer.name ? "it comes from another issuer" : undefined
}

const isBounded = (callback: URLSearchParams): boolean => {
  if (callback.size > most.fields) return false
  let length = 0
  for (const [name, value] of callback) length += name.length + value.length
  return length <= most.text
}

/** Takes as long whatever the texts have in common. */
const isSame = (self: string, that: string): boolean => {
  if (self.length !== that.length) return false
  let difference = 0
  for (let index = 0; index < self.length; index++) {
    difference |= self.charCodeAt(index) ^ that.charCodeAt(index)
  }
  return difference === 0
}

/** What oauth4webapi is given where it wants a name that it makes no use of. */
const unnamed = "unnamed"

const validate = ({ issuer, state }: Expected, callback: URLSearchParams): URLSearchParams =>
  oauth.validateAuthResponse(
    { issuer: issuer.name ?? unnamed, authorization_response_iss_parameter_supported: issuer.namesItself },
    { client_id: unnamed },
    callback,
    Redacted.value(state)
  )

/** The callback is of this login, so what is wrong with it ends the login; but for a field that came twice. */
const toFailure = (source: string) => (error: unknown): Stray | GrantError => {
  if (error instanceof oauth.AuthorizationResponseError) {
    return Failure.ofRefusal(Failure.refusal(source, error.error))
  }
  return error instanceof oauth.UnsupportedOperationError
    ? wrongKind(source)
    : { _tag: "Stray", detail: "a field comes more than once" }
}

const codeOf = (callback: URLSearchParams): Effect.Effect<Code, Stray> => {
  const [first, ...more] = callback.getAll("code")
  if (first === undefined || first === "") {
    return Effect.fail({ _tag: "Stray", detail: "it brings neither a code nor an error" })
  }
  return more.length === 0 && isCode(first)
    ? Effect.succeed({ value: Redacted.make(first) })
    : Effect.fail({ _tag: "Stray", detail: "its code can't be one" })
}

/** A judged callback again, as oauth4webapi wants it for the exchange. */
export const rebuild = (client: oauth.Client, { state }: Expected, code: Code): URLSearchParams =>
  oauth.validateAuthResponse(
    { issuer: unnamed },
    client,
    new URLSearchParams({ code: Redacted.value(code.value), state: Redacted.value(state) }),
    Redacted.value(state)
  )

const wrongKind = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "UnsupportedGrant",
    detail: "the server answered the login with something else than a code",
    hint: "Have the server answer this client with response_type code, as plain fields of the query."
  })

const namelessIssuer = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "IssuerMismatch",
    detail: "the server names its issuer, and it isn't known here what that should be",
    hint: "Give the issuer along with the endpoints, or discover the server."
  })

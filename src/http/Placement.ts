/**
 * Where the secret of a token goes in a request: a header or the query.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type * as Token from "../Token.js"
import { Misconfigured } from "../TokenError.js"
import type { TokenError } from "../TokenError.js"

/**
 * How a token is put on a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Placement<out E extends TokenError = Misconfigured> {
  /** Lower-case names of the headers that hold a secret because of it. */
  readonly secretHeaders: ReadonlyArray<string>
  /** Whether the request carries such a credential already. */
  readonly isOn: (request: HttpClientRequest.HttpClientRequest) => boolean
  /** The request with the token on it. */
  readonly put: (
    request: HttpClientRequest.HttpClientRequest,
    token: Token.Token
  ) => Effect.Effect<HttpClientRequest.HttpClientRequest, E>
}

/**
 * What `header` and `query` take: the source's name for errors, and the name of the header or parameter.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly source: string
  readonly name: string
}

/**
 * A header whose value is rendered from the token, once for as long as the source gives the same one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const header = (
  { name, source }: Options,
  render: (token: Token.Token) => Either.Either<string, Misconfigured>
): Placement => {
  const key = name.toLowerCase()
  const value = isName(name) ? memo(render) : () => Either.left(invalidName(source, "header"))
  return {
    secretHeaders: [key],
    isOn: (request) => Object.hasOwn(request.headers, key),
    put: (request, token) => {
      const rendered = value(token)
      return Either.isRight(rendered)
        ? Effect.succeed(HttpClientRequest.setHeader(request, key, rendered.right))
        : Effect.fail(rendered.left)
    }
  }
}

/**
 * A parameter of the query that holds the secret.
 *
 * @since 0.1.0
 * @category constructors
 */
export const query = ({ name, source }: Options): Placement => ({
  secretHeaders: [],
  isOn: (request) =>
    request.urlParams.some(([key]) => key === name) || new URLSearchParams(queryOf(request.url)).has(name),
  put: (request, token) => {
    const value = Redacted.value(token.value)
    if (name === "") return Effect.fail(invalidName(source, "query parameter"))
    if (isBlank(value)) return Effect.fail(emptySecret(source))
    return Effect.succeed(HttpClientRequest.setUrlParam(request, name, value))
  }
})

const queryOf = (url: string): string => /\?([^#]*)/.exec(url)?.[1] ?? ""

const isBlank = (text: string): boolean => text.trim() === ""

/**
 * The secret, if a header can carry it as it is: visible ASCII without blanks. Else `Misconfigured`.
 *
 * @since 0.1.0
 * @category rendering
 */
export const visible = (source: string, token: Token.Token): Either.Either<string, Misconfigured> => {
  const value = Redacted.value(token.value)
  if (/^[\x21-\x7e]+$/.test(value)) return Either.right(value)
  return Either.left(isBlank(value) ? emptySecret(source) : invalidSecret(source))
}

/**
 * Whether a text can be the name of a header or of a scheme: a token of RFC 9110 §5.6.2.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isName = (text: string): boolean => /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(text)

/** Remembers the last result: a source gives the same token again and again. */
const memo = <A, B>(f: (a: A) => B): (a: A) => B => {
  let last: { readonly a: A; readonly b: B } | undefined
  return (a) => {
    if (last?.a !== a) last = { a, b: f(a) }
    return last.b
  }
}

const invalidName = (source: string, what: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: `the name of the ${what} for its key is not valid`,
    hint: `Give the ${what} the name that the API documents.`
  })

const emptySecret = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "EmptySecret",
    detail: "it gave an empty or blank secret",
    hint: "Look at where it comes from; such a one is never sent."
  })

const invalidSecret = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidSecret",
    detail: "its secret holds blanks, control characters or non-ASCII characters, which no header may carry",
    hint: "Look for a pasted line break, quotation marks or a \"Bearer \" in front of it."
  })

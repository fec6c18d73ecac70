/**
 * What a server says in `WWW-Authenticate`: which schemes it takes, and what was wrong with the credential
 * that it was shown (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1).
 *
 * Reading is total: it takes any text in linear time, keeps what it understands and skips the rest. All of it
 * is outside text under the server's influence.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"

/**
 * One challenge: a scheme with either a token68 or parameters.
 *
 * @since 0.1.0
 * @category models
 */
export interface Challenge {
  /** As it was sent; compare it without case. */
  readonly scheme: string
  readonly token68: string | undefined
  /** By lower-case name; of a repeated one, the first. */
  readonly parameters: ReadonlyMap<string, string>
}

/**
 * A challenge from its parts; parameter names become lower-case.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  scheme: string,
  options?: {
    readonly token68?: string | undefined
    readonly parameters?: Readonly<Record<string, string>> | undefined
  }
): Challenge => ({
  scheme,
  token68: options?.token68,
  parameters: new Map(
    Object.entries(options?.parameters ?? {}).map(([name, value]) => [name.toLowerCase(), value])
  )
})

/**
 * The longest header that is read, in characters.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxLength = 16_384

/**
 * The challenges of a header, or of several headers of that name, in the order in which they were sent. A
 * header that is longer than `maxLength` counts as absent, so that nothing is half read.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (header: string | ReadonlyArray<string> | undefined): ReadonlyArray<Challenge> => {
  const text = header === undefined || typeof header === "string" ? header ?? "" : header.join(", ")
  if (text.length > maxLength) return []
  const cursor: Cursor = { text, at: 0 }
  const challenges: Array<Reading> = []
  for (take(cursor, separators); cursor.at < text.length; take(cursor, separators)) {
    readElement(cursor, challenges)
    skipElement(cursor)
  }
  return challenges
}

interface Cursor {
  readonly text: string
  at: number
}

interface Reading extends Challenge {
  token68: string | undefined
  readonly parameters: Map<string, string>
}

const separators = /[ \t,]*/y
const blanks = /[ \t]*/y
const tokenChars = /[!#$%&'*+\-.^_`|~\dA-Za-z]*/y
const token68Chars = /[\dA-Za-z\-._~+/]+=*(?=[ \t]*(?:,|$))/y
// Wider than the grammar's token: servers send URLs without quotes.
const bareValue = /[^ \t,"]*/y

const take = (cursor: Cursor, pattern: RegExp): string => {
  pattern.lastIndex = cursor.at
  const found = pattern.exec(cursor.text)?.[0] ?? ""
  cursor.at += found.length
  return found
}

/** An element of the list is a parameter of the challenge before it, or it starts a challenge of its own. */
const readElement = (cursor: Cursor, challenges: Array<Reading>): void => {
  const name = take(cursor, tokenChars)
  if (name === "" || readParameter(cursor, name, challenges.at(-1))) return
  const challenge: Reading = { scheme: name, token68: undefined, parameters: new Map() }
  challenges.push(challenge)
  const token68 = take(cursor, token68Chars)
  if (token68 === "") readParameter(cursor, take(cursor, tokenChars), challenge)
  else challenge.token68 = token68
}

const readParameter = (cursor: Cursor, name: string, challenge: Reading | undefined): boolean => {
  take(cursor, blanks)
  if (cursor.text[cursor.at] !== "=") return false
  cursor.at++
  take(cursor, blanks)
  const value = cursor.text[cursor.at] === "\"" ? takeQuoted(cursor) : take(cursor, bareValue)
  const key = name.toLowerCase()
  if (name !== "" && value !== undefined && challenge?.parameters.has(key) === false) {
    challenge.parameters.set(key, value)
  }
  return true
}

/** The quoted string that starts here; `undefined`, with the cursor at the end, if it is never closed. */
const takeQuoted = (cursor: Cursor): string | undefined => {
  const { text } = cursor
  let value = ""
  for (let at = cursor.at + 1; at < text.length; at++) {
    if (text[at] === "\"") {
      cursor.at = at + 1
      return value
    }
    if (text[at] === "\\") at++
    value += text[at] ?? ""
  }
  cursor.at = text.length
  return undefined
}

const skipElement = (cursor: Cursor): void => {
  while (cursor.at < cursor.text.length && cursor.text[cursor.at] !== ",") {
    if (cursor.text[cursor.at] === "\"") takeQuoted(cursor)
    else cursor.at++
  }
}

/**
 * The header value that says these challenges.
 *
 * @since 0.1.0
 * @category rendering
 */
export const render = (challenges: Iterable<Challenge>): string =>
  Array.from(challenges, (challenge) => {
    const parameters = Array.from(challenge.parameters, ([name, value]) => `${name}=${quote(value)}`)
    const rest = challenge.token68 ?? parameters.join(", ")
    return rest === "" ? challenge.scheme : `${challenge.scheme} ${rest}`
  }).join(", ")

const quote = (value: string): string => `"${value.replace(/["\\]/g, "\\$&")}"`

/**
 * The first challenge of this scheme, whatever its case.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (challenges: ReadonlyArray<Challenge>, scheme: string): Option.Option<Challenge> => {
  const wanted = scheme.toLowerCase()
  return Option.fromNullable(challenges.find((challenge) => challenge.scheme.toLowerCase() === wanted))
}

/**
 * A parameter by its name, whatever its case.
 *
 * @since 0.1.0
 * @category getters
 */
export const parameter = (self: Challenge, name: string): Option.Option<string> =>
  Option.fromNullable(self.parameters.get(name.toLowerCase()))

/**
 * The error code, where it is one that RFC 6750 §3 allows and no longer than 100 characters.
 *
 * @since 0.1.0
 * @category getters
 */
export const error = (self: Challenge): Option.Option<string> =>
  Option.filter(parameter(self, "error"), (code) => /^[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}$/.test(code))

/**
 * The scopes that the resource wants, empty when it names none (RFC 6750 §3).
 *
 * @since 0.1.0
 * @category getters
 */
export const scope = (self: Challenge): ReadonlyArray<string> =>
  (self.parameters.get("scope") ?? "").split(" ").filter((name) => name !== "")

/**
 * The scopes that any of the challenges wants, as far as they can be scopes (RFC 6749 §3.3); at most fifty.
 *
 * @since 0.1.0
 * @category getters
 */
export const scopes = (challenges: ReadonlyArray<Challenge>): ReadonlyArray<string> =>
  [...new Set(challenges.flatMap(scope))].filter((name) => scopeToken.test(name)).slice(0, 50)

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/

/**
 * Where the resource's metadata is, if that is an http or https URL (RFC 9728 §5.1). The server chose it:
 * check that the metadata names the resource that was asked before trusting it.
 *
 * @since 0.1.0
 * @category getters
 */
export const resourceMetadata = (self: Challenge): Option.Option<URL> =>
  parameter(self, "resource_metadata").pipe(
    Option.filter((text) => URL.canParse(text)),
    Option.map((text) => new URL(text)),
    Option.filter((url) => url.protocol === "https:" || url.protocol === "http:")
  )

/**
 * The claims that a claims challenge demands, as the JSON text that goes into the next token request; servers
 * send it in base64 or base64url.
 *
 * @since 0.1.0
 * @category getters
 */
export const claims = (self: Challenge): Option.Option<string> =>
  Option.flatMap(parameter(self, "claims"), (text) => {
    if (text.startsWith("{")) return Option.some(text)
    const unpadded = text.replaceAll("+", "-").replaceAll("/", "_").replace(/={1,2}$/, "")
    return Option.filter(
      Either.getRight(Encoding.decodeBase64UrlString(unpadded)),
      (json) => json.startsWith("{")
    )
  })

/**
 * From text to a vault URI. By hand, because the URL parser of the platform resolves dots, repairs slashes
 * and puts what it was given into its errors. No error here holds any part of the text but the name of a
 * scheme or a parameter that the grammars know.
 */
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { Misconfigured } from "../../TokenError.js"
import type { Database, Grammar, Parts } from "./uri.js"
import { isDrive, VaultUri } from "./uri.js"
import * as Grammars from "./uriGrammars.js"

type Parsed<A> = Either.Either<A, Misconfigured>

const maxLength = 4096

/** What the text is, by the grammar that its scheme has among these. */
export const parse = (
  input: string | Redacted.Redacted<string>,
  grammars: ReadonlyArray<Grammar>
): Parsed<VaultUri> => Either.flatMap(checkText(plain(input)), (text) => understand(text, grammars))

const plain = (input: string | Redacted.Redacted<string>): string =>
  Redacted.isRedacted(input) ? Redacted.value(input) : input

/**
 * The same URI as these grammars have it: another one of the same scheme may have another form, and other
 * parameters.
 */
export const reread = (uri: VaultUri, grammars: ReadonlyArray<Grammar>): Parsed<VaultUri> =>
  Either.gen(function*() {
    const read = yield* understand(plain(uri.toUrl(...Object.keys(uri.parameters))), grammars)
    const grammar = yield* grammarOf(uri.scheme, grammars)
    const isSecret = (name: string) =>
      Object.hasOwn(grammar.parameters, name) && grammar.parameters[name] === "Secret"
    if (!Object.keys(uri.secrets).every(isSecret)) return yield* wrong(whichParameters(grammar), grammar)
    return new VaultUri(grammar.form._tag, { ...read, secrets: { ...read.secrets, ...uri.secrets } })
  })

const understand = (text: string, grammars: ReadonlyArray<Grammar>): Parsed<VaultUri> =>
  Either.gen(function*() {
    const raw = yield* split(text, grammars)
    const grammar = yield* grammarOf(raw.scheme, grammars)
    if (raw.fragment !== undefined) return yield* wrong("it has a `#` outside of percent-encoding", grammar)
    const place = yield* placeOf(raw, grammar)
    const parameters = yield* parametersOf(raw.query, grammar)
    return new VaultUri(grammar.form._tag, { ...nowhere, ...place, ...parameters, scheme: raw.scheme })
  })

/** What most URIs don't have. */
const nowhere = { user: undefined, password: undefined, host: undefined, port: undefined, path: "" } as const

type Place = Partial<Pick<Parts, "user" | "password" | "host" | "port">> & Pick<Parts, "path">

const checkText = (input: string): Parsed<string> => {
  const text = input.trim()
  if (text === "") return wrong("it is empty")
  if (text.length > maxLength) return wrong(`it has more than ${maxLength} characters`)
  return /^[\x21-\x5b\x5d-\x7e]*$/.test(text)
    ? Either.right(text)
    : wrong("it has a blank, a backslash or another character that a URI can have percent-encoded only")
}

interface Raw {
  readonly scheme: string
  readonly authority: string | undefined
  readonly path: string
  readonly query: string | undefined
  readonly fragment: string | undefined
}

const split = (text: string, grammars: ReadonlyArray<Grammar>): Parsed<Raw> => {
  const found = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/i.exec(text)
  const [, scheme, authority, path, query, fragment] = found ?? []
  return scheme === undefined
    ? wrong(`it does not start with a scheme and a colon; the schemes here are ${namesOf(grammars)}`)
    : Either.right({ scheme: scheme.toLowerCase(), authority, path: path ?? "", query, fragment })
}

/**
 * The grammar of a scheme; one that nobody knows is not named, because it may be a secret in a wrong place.
 */
export const grammarOf = <G extends Grammar>(scheme: string, grammars: ReadonlyArray<G>): Parsed<G> => {
  const grammar = grammars.find(({ schemes }) => schemes.includes(scheme))
  if (grammar !== undefined) return Either.right(grammar)
  return wrong(`${whyUnknown(scheme)}; the schemes here are ${namesOf(grammars)}`)
}

const whyUnknown = (scheme: string): string => {
  if (Grammars.planned.includes(scheme)) return `unknown scheme: ${scheme} is not built into this release`
  return Grammars.all.some(({ schemes }) => schemes.includes(scheme))
    ? `unknown scheme: ${scheme} is not registered here`
    : "unknown scheme"
}

const namesOf = (grammars: ReadonlyArray<Grammar>): string =>
  grammars.flatMap(({ schemes }) => schemes).join(", ")

const placeOf = (raw: Raw, grammar: Grammar): Parsed<Place> => {
  const { form } = grammar
  switch (form._tag) {
    case "Nothing":
      return raw.authority === undefined && raw.path === ""
        ? Either.right({ path: "" })
        : wrong("nothing may stand after the colon", grammar)
    case "Path":
      return Either.map(pathOf(raw, grammar), (path) => ({ path }))
    case "Name":
      return Either.map(nameOf(raw, form.nested, grammar), (path) => ({ path }))
    case "Server":
      return serverOf(raw, form.database, grammar)
  }
}

const pathOf = (raw: Raw, grammar: Grammar): Parsed<string> => {
  if (raw.authority === undefined) return wrong("it has no three slashes before an absolute path", grammar)
  if (raw.authority !== "") return wrong("it names a host, or has two slashes instead of three", grammar)
  return Either.flatMap(segmentsOf(raw.path.slice(1), grammar), (segments) => {
    const path = segments.join("/")
    if (!/^[A-Za-z]:/.test(path)) return Either.right(`/${path}`)
    return isDrive(path) ? Either.right(path) : wrong("it has a drive and no absolute path on it", grammar)
  })
}

const nameOf = (raw: Raw, nested: boolean, grammar: Grammar): Parsed<string> => {
  if (raw.authority === undefined) return wrong("it has no two slashes before a name", grammar)
  if (/[@:]/.test(raw.authority)) return wrong("it may have neither user nor password", grammar)
  if (raw.path !== "" && !nested) return wrong("no path may stand after the name", grammar)
  return Either.map(segmentsOf(raw.authority + raw.path, grammar), (segments) => segments.join("/"))
}

/** One slash at the end means nothing. */
const segmentsOf = (path: string, grammar: Grammar): Parsed<ReadonlyArray<string>> =>
  path === "" || path === "/" ? wrong("a part of it is missing", grammar) : Either.all(
    path.replace(/\/$/, "").split("/").map((segment) => segmentOf(segment, grammar))
  )

const segmentOf = (segment: string, grammar: Grammar): Parsed<string> =>
  Either.filterOrLeft(
    decode(segment, grammar),
    (text) => text !== "" && text !== "." && text !== ".." && !/[/\\]/.test(text),
    () =>
      problem("a part between slashes is empty, `.` or `..`, or has a slash or a backslash in it", grammar)
  )

const decode = (text: string, grammar: Grammar): Parsed<string> =>
  Either.try({
    try: () => decodeURIComponent(text),
    catch: () => problem("its percent-encoding is broken", grammar)
  }).pipe(
    Either.filterOrLeft(
      (text) => !/\p{Cc}/u.test(text),
      () => problem("it has a control character in percent-encoding", grammar)
    )
  )

const serverOf = (raw: Raw, database: Database, grammar: Grammar): Parsed<Place> =>
  Either.gen(function*() {
    const pieces = (raw.authority ?? "").split("@")
    const address = pieces.pop() ?? ""
    if (pieces.length > 1 || `${raw.path}${raw.query ?? ""}`.includes("@")) {
      return yield* wrong("an `@`, or another character of the password, is not percent-encoded", grammar)
    }
    const [userInfo] = pieces
    const login = userInfo === undefined ? {} : yield* loginOf(userInfo, grammar)
    return {
      ...login,
      ...yield* addressOf(address, grammar),
      path: yield* databaseOf(raw.path, database, grammar)
    }
  })

const loginOf = (userInfo: string, grammar: Grammar): Parsed<Pick<Parts, "user" | "password">> =>
  Either.gen(function*() {
    const [name = "", ...rest] = userInfo.split(":")
    const user = yield* decode(name, grammar)
    if (rest.length === 0) {
      return user === ""
        ? yield* wrong("it has an `@` with no user before it", grammar)
        : { user: Redacted.make(user), password: undefined }
    }
    const password = yield* decode(rest.join(":"), grammar)
    if (password.trim() === "") return yield* wrong("the password is empty or blank", grammar)
    return { user: user === "" ? undefined : Redacted.make(user), password: Redacted.make(password) }
  })

const addressOf = (address: string, grammar: Grammar): Parsed<Pick<Parts, "host" | "port">> => {
  const [, host, digits] = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?$/i.exec(address) ?? []
  if (host === undefined || host.length > 253) {
    return wrong("it has no host, or one with odd characters", grammar)
  }
  const port = digits === undefined ? undefined : Number(digits)
  return port === undefined || (port >= 1 && port <= 65_535)
    ? Either.right({ host: host.toLowerCase(), port })
    : wrong("the port is not between 1 and 65535", grammar)
}

const databaseOf = (path: string, database: Database, grammar: Grammar): Parsed<string> => {
  const name = path.slice(1)
  if (database === "OptionalNumber") {
    return /^[0-9]{0,5}$/.test(name) ? Either.right(name) : wrong("the database is not a number", grammar)
  }
  return Either.flatMap(
    segmentsOf(name, grammar),
    ([first = "", ...more]) =>
      more.length === 0 ? Either.right(first) : wrong("more than a database stands after the host", grammar)
  )
}

type Parameters = Pick<Parts, "parameters" | "secrets">

const parametersOf = (query: string | undefined, grammar: Grammar): Parsed<Parameters> =>
  Either.gen(function*() {
    const parameters: Record<string, string> = {}
    const secrets: Record<string, Redacted.Redacted<string>> = {}
    for (const [name, text] of (query ?? "").split("&").filter((pair) => pair !== "").map(cut)) {
      const kind = Object.hasOwn(grammar.parameters, name) ? grammar.parameters[name] : undefined
      if (kind === undefined || text === undefined) return yield* wrong(whichParameters(grammar), grammar)
      if (Object.hasOwn(parameters, name) || Object.hasOwn(secrets, name)) {
        return yield* wrong(`it has \`${name}\` twice`, grammar)
      }
      const value = yield* decode(text, grammar)
      if (Array.isArray(kind) && !kind.includes(value)) return yield* wrong(oneOf(name, kind), grammar)
      if (kind === "Secret") secrets[name] = Redacted.make(value)
      else parameters[name] = value
    }
    return { parameters, secrets }
  })

const oneOf = (name: string, values: ReadonlyArray<string>): string =>
  `\`${name}\` is none of ${values.join(", ")}`

const cut = (pair: string): readonly [string, string | undefined] => {
  const at = pair.indexOf("=")
  return at < 0 ? [pair, undefined] : [pair.slice(0, at), pair.slice(at + 1)]
}

const whichParameters = ({ parameters }: Grammar): string => {
  const names = Object.keys(parameters).map((name) => `\`${name}=\``)
  return names.length === 0
    ? "it may have no query parameters"
    : `it has a query parameter other than ${names.join(", ")}`
}

const wrong = (detail: string, grammar?: Grammar): Parsed<never> => Either.left(problem(detail, grammar))

const problem = (detail: string, grammar?: Grammar): Misconfigured =>
  new Misconfigured({
    source: "vault URI",
    reason: "InvalidOption",
    detail: grammar === undefined ? detail : `${grammar.schemes[0]}: ${detail}`,
    hint: `Write it like ${(grammar ?? Grammars.file).example}, with what is special percent-encoded.`
  })

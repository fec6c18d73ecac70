/**
 * Reading a resource's metadata document (RFC 9728 §3), bounded in every field.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Misconfigured, TransientFailure } from "../../TokenError.js"
import * as HttpDate from "./httpDate.js"
import * as Address from "./resourceAddress.js"
import type * as Transport from "./transport.js"
import * as Url from "./url.js"

/** What is used of the document. */
export interface Document {
  readonly resource: string
  /** As it was written; at most ten. */
  readonly issuers: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string>
  readonly boundTokens: boolean
}

export interface Options {
  readonly source: string
  readonly url: URL
  /** Where the challenge says that the document is. */
  readonly place: URL | undefined
  readonly send: Transport.Send
}

/** The document, checked; none where there is none at any of the places. */
export const read = (
  options: Options
): Effect.Effect<Option.Option<Document>, TransientFailure | Misconfigured> => {
  const places = [...options.place === undefined ? [] : [options.place.href], ...wellKnown(options.url)]
  return Effect.flatMap(
    Effect.reduce(
      [...new Set(places)],
      start,
      (found, place) =>
        found._tag === "Found" ?
          Effect.succeed(found) :
          Effect.map(
            look(options, place),
            (next) => next._tag === "Absent" && next.why === undefined ? found : next
          )
    ),
    (found) => {
      if (found._tag === "Found") return Effect.succeedSome(found.document)
      return found.why === undefined ? Effect.succeedNone : Effect.fail(found.why)
    }
  )
}

/** A place without the document may have a page of a web site, or a redirect to one. */
type Found =
  | { readonly _tag: "Found"; readonly document: Document }
  | { readonly _tag: "Absent"; readonly why: TransientFailure | undefined }

const start: Found = { _tag: "Absent", why: undefined }

const suffix = "/.well-known/oauth-protected-resource"

/** Where the document is by convention: with the path of the resource, then without. */
const wellKnown = (url: URL): ReadonlyArray<string> => [
  url.origin + suffix + url.pathname.replace(/\/$/, "") + url.search,
  url.origin + suffix
]

/** Asks for what is at an address. */
export const get = (
  send: Transport.Send,
  url: string
): Effect.Effect<Transport.Answer, TransientFailure | Misconfigured> =>
  Effect.catchTag(
    send({ url, method: "GET", headers: { accept: "application/json" }, body: undefined }),
    "TransientFailure",
    (error) => Effect.fail(ofResource(error))
  )

/** What happened on the way is told in the words for authorization servers. */
const ofResource = ({ detail, hint, reason, retryAt, source }: TransientFailure): TransientFailure => {
  const retold = (text: string) => text.replace("authorization server", "resource")
  return new TransientFailure({ source, reason, detail: retold(detail), hint: retold(hint), retryAt })
}

const look = (
  options: Options,
  place: string
): Effect.Effect<Found, TransientFailure | Misconfigured> =>
  Effect.flatMap(
    get(options.send, place),
    (answer): Effect.Effect<Found, TransientFailure | Misconfigured> => {
      const { status } = answer
      if (status === 429 || status >= 500) return busy(options.source, answer)
      if (status < 200 || status >= 300) {
        return Effect.succeed(status >= 400 ? start : noDocument(options, status))
      }
      return Option.match(decode(answer.text), {
        onNone: () => Effect.succeed(noDocument(options, status)),
        onSome: (document) =>
          isOf(document.resource, options.url, place)
            ? Effect.succeed({ _tag: "Found", document })
            : Effect.fail(mismatch(options.source))
      })
    }
  )

const busy = (
  source: string,
  { headers, status }: Transport.Answer
): Effect.Effect<never, TransientFailure> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.fail(
      new TransientFailure({
        source,
        reason: status === 429 ? "RateLimited" : "ServerError",
        detail: `the resource answered ${status} when its metadata was asked for`,
        hint: "Try again later.",
        retryAt: HttpDate.retryAt(headers, now)
      })
    ))

const noDocument = ({ source }: Options, status: number): Found => ({
  _tag: "Absent",
  why: new TransientFailure({
    source,
    reason: "MalformedAnswer",
    detail: status >= 300
      ? "the resource answers a request for its metadata with a redirect, which is not followed"
      : "what the resource gives as its metadata is not the JSON that was expected",
    hint: "Check that the address is the resource's, and that no sign-in page of the network answers for it.",
    retryAt: undefined
  })
})

/**
 * Whether a document speaks of the resource at `url`. One of a parent does, if it is at that parent's own
 * well-known place.
 */
const isOf = (resource: string, url: URL, place: string): boolean => {
  const named = Url.parse(resource)
  if (named === undefined || !Address.isVisible(resource) || resource.includes("#")) return false
  if (named.href === url.href) return true
  return named.origin === url.origin && named.search === "" && named.username + named.password === "" &&
    isWithin(url.pathname, named.pathname) &&
    wellKnown(named)[0] === new URL(place).href
}

const isWithin = (path: string, parent: string): boolean => path.startsWith(parent.replace(/\/?$/, "/"))

const optional = <A>(schema: Schema.Schema<A>) => Schema.optionalWith(schema, { exact: true, nullable: true })

const decodeBody = Schema.decodeOption(Schema.parseJson(Schema.Struct({
  resource: Schema.NonEmptyString.pipe(Schema.maxLength(2048)),
  authorization_servers: optional(Schema.Array(Schema.String)),
  scopes_supported: optional(Schema.Array(Schema.String)),
  dpop_bound_access_tokens_required: optional(Schema.Boolean)
})))

const decode = (text: string): Option.Option<Document> =>
  Option.map(decodeBody(text), (body) => ({
    resource: body.resource,
    issuers: [...new Set(body.authorization_servers ?? [])].slice(0, 10),
    scopes: [...new Set(body.scopes_supported ?? [])].filter(isScope).slice(0, 200),
    boundTokens: body.dpop_bound_access_tokens_required === true
  }))

/** RFC 6749 §3.3. */
const isScope = (text: string): boolean => /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(text)

const mismatch = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidMetadata",
    detail: "the metadata that was found is of another resource",
    hint: "Give the address exactly as the resource's metadata names it, once you trust that document."
  })

/**
 * Reading a server's metadata document.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as oauth from "oauth4webapi"
import type { TransientFailure } from "../../TokenError.js"
import { Misconfigured } from "../../TokenError.js"
import * as ServerMetadata from "../ServerMetadata.js"
import * as Failure from "./failure.js"
import * as Protocol from "./protocol.js"
import type * as Transport from "./transport.js"

/** Which document is read. */
export type Document = "openid" | "oauth2" | "any" | "mcp"

/** A document, and how its address is made: OpenID's can also have its path where RFC 8414 §5 puts it. */
type Place = "openid" | "oauth2" | "openid-inserted"

export interface Options {
  readonly source: string
  readonly issuer: string
  readonly document: Document
  readonly send: Transport.Send
}

/** The metadata of the issuer, checked. */
export const read = (
  options: Options
): Effect.Effect<ServerMetadata.ServerMetadata, TransientFailure | Misconfigured> =>
  readFirst(options, placesOf(options)).pipe(
    Effect.catchTag("Absent", () => Effect.fail(absent(options.source))),
    Effect.withSpan("oauth.discovery", { kind: "client", captureStackTrace: false })
  )

const placesOf = ({ document, issuer }: Options): readonly [Place, ...ReadonlyArray<Place>] => {
  if (document === "any") return ["openid", "oauth2"]
  if (document !== "mcp") return [document]
  return new URL(issuer).pathname === "/" ? ["oauth2", "openid"] : ["oauth2", "openid-inserted", "openid"]
}

/** A server without one document may answer anything for it, a page of its web site too. */
const readFirst = (
  options: Options,
  [place, ...others]: readonly [Place, ...ReadonlyArray<Place>]
): Effect.Effect<ServerMetadata.ServerMetadata, TransientFailure | Misconfigured | Absent> =>
  others.reduce(
    (read, place) =>
      Effect.catchAll(read, (first) =>
        first._tag === "Absent" || isMalformed(first)
          ? Effect.catchTag(fetchDocument(options, place), "Absent", () => Effect.fail(first))
          : Effect.fail(first)),
    fetchDocument(options, place)
  )

const isMalformed = (error: TransientFailure | Misconfigured): boolean =>
  error._tag === "TransientFailure" && error.reason === "MalformedAnswer"

interface Absent {
  readonly _tag: "Absent"
}

const fetchDocument = (
  { document, issuer, send, source }: Options,
  place: Place
): Effect.Effect<ServerMetadata.ServerMetadata, TransientFailure | Misconfigured | Absent> => {
  const url = new URL(issuer)
  const call = (fetch: Protocol.Fetch) =>
    oauth.discoveryRequest(url, {
      algorithm: place === "openid" ? "oidc" : "oauth2",
      [oauth.customFetch]: fetch,
      [oauth.allowInsecureRequests]: Protocol.allowLoopback(issuer)
    })
  return Protocol.perform(source, call, place === "openid-inserted" ? inserted(send) : send).pipe(
    Effect.tap((answer) => Failure.ofStatus(source, answer)),
    Effect.flatMap((answer) =>
      answer.status >= 400
        ? Effect.fail<TransientFailure | Absent>({ _tag: "Absent" })
        : parse(source, url, answer)
    ),
    Effect.flatMap((found) => ServerMetadata.decode(source, issuer, found)),
    Effect.tap((metadata) =>
      document === "mcp" ? ServerMetadata.checkEndpoints(source, metadata, url) : Effect.void
    )
  )
}

/** The address of RFC 8414's document with OpenID's name in it. */
const inserted = (send: Transport.Send): Transport.Send => (request) =>
  send({
    ...request,
    url: request.url.replace("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")
  })

const parse = (
  source: string,
  issuer: URL,
  answer: Transport.Answer
): Effect.Effect<unknown, TransientFailure> =>
  Effect.tryPromise({
    try: () => oauth.processDiscoveryResponse(issuer, Protocol.toResponse(answer)).catch(leaveComparison),
    catch: () => Failure.malformed(source, "the metadata document is not the JSON that was expected")
  })

/** oauth4webapi compares issuers as parsed URLs; what it refuses for that is left to the exact comparison. */
const leaveComparison = (error: unknown): unknown => {
  if (
    error instanceof oauth.OperationProcessingError && error.code === oauth.JSON_ATTRIBUTE_COMPARISON &&
    Predicate.hasProperty(error.cause, "body")
  ) return error.cause.body
  throw error
}

const absent = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidMetadata",
    detail: "the issuer publishes no metadata",
    hint: "Check the issuer, or give the endpoints explicitly."
  })

/** Who is let in: requests for one of two paths, under the name that the listener has. */
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import type { Page, Visit } from "../CallbackListener.js"
import * as Pages from "./pages.js"

export interface Options {
  /** Host and port as a browser that was sent here names them. */
  readonly authority: string
  readonly path: string
  readonly resultPath: string
  readonly visits: Queue.Enqueue<Visit>
  /** Done when the listener closes: whoever still waits is sent away. */
  readonly closed: Deferred.Deferred<void>
}

/** Answers one request. */
export const make = (options: Options): HttpApp.Default =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
    const admitted = admit(options, request)
    return Effect.map(
      admitted._tag === "Refused" ? Effect.succeed(admitted.page) : visit(options, admitted),
      respond
    )
  })

type Admitted =
  | { readonly _tag: "Refused"; readonly page: Page }
  | { readonly _tag: Visit["_tag"]; readonly query: string }

const maxQuery = 16 * 1024

/**
 * The name first: a page of another site whose name was made to point here (DNS rebinding) is told nothing. A
 * HEAD, as previews send it, is no visit.
 */
const admit = (options: Options, request: HttpServerRequest.HttpServerRequest): Admitted => {
  if (request.headers["host"]?.toLowerCase() !== options.authority) return refused(421, "Not here.")
  const { path, query } = split(request.url)
  if (path !== options.path && path !== options.resultPath) return refused(404, "Nothing here.")
  if (request.method !== "GET") return refused(405, "Only GET.", { allow: "GET" })
  if (request.headers["upgrade"] !== undefined) return refused(400, "Only HTTP.")
  if (query.length > maxQuery) return refused(414, "Too long.")
  return path === options.path ? { _tag: "Callback", query } : { _tag: "Result", query: "" }
}

const refused = (status: number, text: string, headers?: Readonly<Record<string, string>>): Admitted => ({
  _tag: "Refused",
  page: Pages.plain(status, text, headers)
})

const split = (url: string): { readonly path: string; readonly query: string } => {
  const mark = url.indexOf("?")
  return mark < 0 ? { path: url, query: "" } : { path: url.slice(0, mark), query: url.slice(mark + 1) }
}

/** Hands the visit over and waits for its answer; the platform runs this without interruption otherwise. */
const visit = Effect.fnUntraced(function*(
  { closed, visits }: Options,
  { _tag, query }: Exclude<Admitted, { readonly _tag: "Refused" }>
) {
  const answered = yield* Deferred.make<Effect.Effect<Page>>()
  const isTaken = yield* Queue.offer(visits, {
    _tag,
    parameters: Redacted.make(new URLSearchParams(query)),
    answer: (page) => Effect.asVoid(Deferred.succeed(answered, page))
  })
  if (!isTaken) return Pages.plain(503, "Too many at once.", { "retry-after": "1" })
  return yield* Effect.interruptible(
    Effect.raceFirst(
      Effect.flatten(Deferred.await(answered)),
      Effect.as(Deferred.await(closed), Pages.plain(410, "The login is over."))
    )
  )
})

const respond = ({ body, headers, status }: Page): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(body, { status, headers, contentType: headers["content-type"] ?? "text/plain" })

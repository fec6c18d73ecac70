/**
 * The span of a request with a credential. The platform's own would show the whole URL and end with the
 * request as it was sent, so that the client below gets none, and the credential makes one that tells no
 * more than where the request went and how it ended.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpTraceContext from "@effect/platform/HttpTraceContext"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"

type Request = HttpClientRequest.HttpClientRequest

/** Who makes the span of a request: this credential, one above it, or nobody, as spans are off. */
export type Spans = "Ours" | "Above" | "None"

export const spansOf = (request: Request): Effect.Effect<Spans> =>
  Effect.map(
    FiberRef.get(FiberRef.currentTracerEnabled),
    (enabled) => enabled ? "Ours" : silenced.has(request) ? "Above" : "None"
  )

/** Requests with a credential from here, for the credential below, which finds the spans switched off. */
const silenced = new WeakSet<Request>()

export const mark = (request: Request): Request => {
  silenced.add(request)
  return request
}

// Set and set back by hand: `Effect.withTracerEnabled` would cost each request as much as all the rest.
const on = FiberRef.set(FiberRef.currentTracerEnabled, true)
const off = FiberRef.set(FiberRef.currentTracerEnabled, false)

/** Runs an exchange without the spans of the client below, and then `finalize`. */
export const silently = <A, E, R>(
  exchange: Effect.Effect<A, E, R>,
  finalize: (exit: Exit.Exit<A, E>) => Effect.Effect<void>
): Effect.Effect<A, E, R> =>
  Effect.onExit(Effect.zipRight(off, exchange), (exit) => Effect.zipRight(on, finalize(exit)))

/** Gives the spans back, inside an exchange, to what is no part of the request: the source of the token. */
export const aloud = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.matchCauseEffect(Effect.zipRight(on, effect), {
    onFailure: (cause) => Effect.zipRight(off, Effect.failCause(cause)),
    onSuccess: (value) => Effect.as(off, value)
  })

/** The span of a request that is about to be sent, unless the client's settings want none. */
export const start = (request: Request): Effect.Effect<Tracer.Span | undefined> =>
  Effect.flatMap(
    FiberRef.get(HttpClient.currentTracerDisabledWhen),
    (isDisabled) =>
      isDisabled(request) ? Effect.succeed(undefined) : Effect.map(open(request), (span) => {
        describe(span, request)
        return span
      })
  )

const open = (request: Request): Effect.Effect<Tracer.Span> =>
  Effect.flatMap(
    HttpClient.SpanNameGenerator,
    (nameOf) => Effect.makeSpan(nameOf(request), { kind: "client", captureStackTrace: false })
  )

const describe = (span: Tracer.Span, request: Request): void => {
  span.attribute("http.request.method", request.method)
  const url = Option.getOrUndefined(HttpClientRequest.toUrl(request))
  if (url === undefined) return
  span.attribute("server.address", url.origin)
  if (url.port !== "") span.attribute("server.port", Number(url.port))
  span.attribute("url.path", url.pathname)
  span.attribute("url.scheme", url.protocol.slice(0, -1))
}

/** The request with the headers that carry the span to the server, unless they are switched off. */
export const propagate = (request: Request, span: Tracer.Span): Effect.Effect<Request> =>
  Effect.map(
    FiberRef.get(HttpClient.currentTracerPropagation),
    (enabled) => enabled ? HttpClientRequest.setHeaders(request, HttpTraceContext.toHeaders(span)) : request
  )

/** Ends the span with what the caller gets to see. */
export const end = <E>(
  span: Tracer.Span,
  exit: Exit.Exit<HttpClientResponse.HttpClientResponse, E>
): Effect.Effect<void> =>
  Effect.zipWith(Effect.clock, FiberRef.get(FiberRef.currentTracerTimingEnabled), (clock, timed) => {
    if (Exit.isSuccess(exit)) span.attribute("http.response.status_code", exit.value.status)
    span.end(timed ? clock.unsafeCurrentTimeNanos() : 0n, Exit.asVoid(exit))
  })

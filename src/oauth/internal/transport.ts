/**
 * How a request of the protocol travels: through the injected HttpClient, to its own address only, within a
 * time and a size limit, and without leaving anything secret in a span.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { Misconfigured, TransientFailure } from "../../TokenError.js"
import type { Limits } from "../Limits.js"
import * as HttpDate from "./httpDate.js"
import * as Url from "./url.js"

/** A request as oauth4webapi makes it. */
export interface Request {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | undefined
}

/** A whole answer, read within the limits. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly text: string
}

/** Sends one request. It is over, answer read, within the time limit. */
export type Send = (request: Request) => Effect.Effect<Answer, TransientFailure | Misconfigured>

/** What a sender is made from. */
export interface Options extends Limits {
  /** The name that errors show. */
  readonly source: string
  /** Where the difference between the server's clock and ours is kept, in milliseconds. */
  readonly clockOffset: Ref.Ref<number>
}

/** The time limit of one request. */
export const timeLimit = (limits: Limits): Duration.Duration =>
  Duration.decode(limits.requestTimeLimit ?? Duration.seconds(15))

/** How long a request waits for the server's metadata at most. */
export const metadataTimeLimit = (limits: Limits): Duration.Duration =>
  Duration.max(timeLimit(limits), Duration.seconds(20))

/** A sender over the HttpClient in the context. */
export const make = (options: Options): Effect.Effect<Send, never, HttpClient.HttpClient> =>
  Effect.map(HttpClient.HttpClient, (client) => {
    const limit = timeLimit(options)
    return (request) =>
      Effect.zipRight(
        Url.secure(options.source, "the address of a request", request.url),
        exchange(client, request, options)
      ).pipe(
        Effect.timeoutFail({ duration: limit, onTimeout: () => timedOut(options.source, limit) }),
        Effect.tap((answer) => Effect.annotateCurrentSpan("http.response.status_code", answer.status))
      )
  })

const exchange = Effect.fnUntraced(
  function*(client: HttpClient.HttpClient, request: Request, options: Options) {
    const sent = yield* Clock.currentTimeMillis
    const fail = lost(options.source, request)
    const response = yield* execute(client, toRequest(request), options.source, fail)
    yield* learnOffset(response, sent, options.clockOffset)
    const text = yield* readText(response, options, fail)
    return { status: response.status, headers: response.headers, text }
  }
)

const toRequest = (request: Request): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.make(request.method === "GET" ? "GET" : "POST")(request.url, {
    headers: request.headers,
    ...(request.body === undefined
      ? {}
      : { body: HttpBody.text(request.body, request.headers["content-type"]) })
  })

/**
 * Sends it where it is meant to go and nowhere else. A client that was made to follow redirects would repeat
 * it, secrets and all, wherever an answer points: what such a client tries to send is stopped, and an answer
 * that came from elsewhere is never used. What the client itself makes of the address, with
 * `HttpClient.mapRequest` for one, is where it is meant to go.
 */
const execute = (
  client: HttpClient.HttpClient,
  request: HttpClientRequest.HttpClientRequest,
  source: string,
  fail: Lost
): Effect.Effect<HttpClientResponse.HttpClientResponse, TransientFailure | Misconfigured> =>
  Effect.suspend(() => {
    let meant: string | undefined
    const guarded = client.pipe(
      HttpClient.mapRequestEffect((request) => {
        meant = addressOf(request)
        return Effect.as(refuseRedirects, request)
      }),
      silenced((request) => meant === addressOf(request)),
      HttpClient.transformResponse(Effect.mapInputContext<never, never>(identity))
    )
    return Effect.filterOrFail(
      Effect.catchAll(guarded.execute(request), fail),
      (response) => meant === addressOf(response.request),
      () => strayed(source)
    ).pipe(
      Effect.catchSomeDefect((defect) =>
        defect instanceof Strayed ? Option.some(Effect.fail(strayed(source))) : Option.none()
      )
    )
  })

const addressOf = (request: HttpClientRequest.HttpClientRequest): string | undefined =>
  Option.getOrUndefined(HttpClientRequest.toUrl(request))?.href

class Strayed extends Cause.RuntimeException {}

/**
 * No spans of the client's own, which would show the address and headers as they are. This predicate is the
 * one thing that every client of the platform asks about each single request before it goes out; throwing is
 * its only way to stop one.
 */
const silenced =
  (isMeant: (request: HttpClientRequest.HttpClientRequest) => boolean) =>
  (client: HttpClient.HttpClient): HttpClient.HttpClient =>
    client.pipe(
      HttpClient.withTracerDisabledWhen((request) => {
        if (!isMeant(request)) throw new Strayed()
        return true
      }),
      HttpClient.transformResponse(Effect.withTracerEnabled(true))
    )

/**
 * Only the client built on fetch follows redirects by itself. Its settings may have been given to its Layer,
 * and a `RequestInit` provided from outside would replace them all, proxy too. So this adds to them where
 * that Layer's context is seen: in the fiber, on the way to the client. No operator for that exists; with
 * Effect 4 it becomes an update of the fiber's services.
 */
const refuseRedirects: Effect.Effect<void> = FiberRef.update(FiberRef.currentContext, (context) => {
  const given = Option.getOrElse(Context.getOption(context, FetchHttpClient.RequestInit), () => ({}))
  return Context.merge(context, Context.make(FetchHttpClient.RequestInit, { ...given, redirect: "manual" }))
})

const readText = (
  response: HttpClientResponse.HttpClientResponse,
  options: Options,
  fail: Lost
): Effect.Effect<string, TransientFailure> => {
  const limit = options.maxResponseBytes ?? 1024 * 1024
  const decoder = new TextDecoder()
  return response.stream.pipe(
    Stream.catchAll((error) => error.reason === "EmptyBody" ? Stream.empty : Stream.fromEffect(fail(error))),
    Stream.runFoldEffect(
      { size: 0, text: "" },
      ({ size, text }, bytes: Uint8Array) =>
        size + bytes.length > limit
          ? Effect.fail(tooLarge(options.source, limit))
          : Effect.succeed({
            size: size + bytes.length,
            text: text + decoder.decode(bytes, { stream: true })
          })
    ),
    Effect.map(({ text }) => text)
  )
}

const day = 24 * 60 * 60 * 1000

type Head = Pick<Answer, "status" | "headers">

/** What speaks for the server's clock: neither an outage or a redirect, nor an answer out of a cache. */
const showsClock = ({ headers, status }: Head): boolean =>
  headers["age"] === undefined && (status >= 200 && status < 300 || status >= 400 && status < 500)

const learnOffset = (answer: Head, sent: number, clockOffset: Ref.Ref<number>): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (received) => {
    const offset = offsetIn(answer, sent, received)
    return offset === undefined ? Effect.void : Ref.set(clockOffset, offset)
  })

/**
 * The server's clock is read from `Date` (whole seconds, so half a second is added), as of the middle of the
 * exchange. What lies within that error counts as no difference, and more than a day as no clock.
 */
export const offsetIn = (answer: Head, sent: number, received: number): number | undefined => {
  const date = HttpDate.parse(answer.headers["date"])
  if (Option.isNone(date) || !showsClock(answer)) return undefined
  const offset = Math.round(date.value + 500 - (sent + received) / 2)
  if (Math.abs(offset) > day) return undefined
  return Math.abs(offset) <= 500 + (received - sent) / 2 ? 0 : offset
}

type Lost = (error: HttpClientError.HttpClientError) => Effect.Effect<never, TransientFailure>

/** A request that changes something may have done so, unless it certainly never left. */
const lost = (source: string, { method }: Request): Lost => (error) =>
  Effect.fail(
    new TransientFailure({
      source,
      reason: method === "GET" || isUnsent(error) ? "Network" : "ReplyLost",
      detail: `the connection to the authorization server failed${codeOf(error.cause)}`,
      hint: "Check the network, the proxy and the server's certificate; it is worth trying again.",
      retryAt: undefined
    })
  )

const isUnsent = (error: HttpClientError.HttpClientError): boolean =>
  error._tag === "RequestError" && (error.reason !== "Transport" || isBeforeSending(error.cause))

/**
 * Whether no connection was made. Most codes say the same of one that breaks later, so they count only with
 * the call that failed. Where several addresses were tried, each must have failed so.
 */
const isBeforeSending = (cause: unknown, depth = 0): boolean => {
  if (!Predicate.isRecord(cause) || depth > 3) return false
  const { code, errors, syscall } = cause
  if (Array.isArray(errors) && errors.length > 0) {
    return errors.every((error) => isBeforeSending(error, depth + 1))
  }
  return typeof code === "string"
    ? syscall === "connect" || syscall === "getaddrinfo" || unsent.test(code)
    : isBeforeSending(cause["cause"], depth + 1)
}

/** Codes that nothing else has: of name lookup, of making a connection, of the server's certificate. */
const unsent =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|UND_ERR_CONNECT_TIMEOUT|(?!ERR_SSL_)[A-Z_]*CERT[A-Z_]*|UNABLE_TO_[A-Z_]+)$/

/** The system's name for the error, such as ` (ECONNREFUSED)`. */
const codeOf = (cause: unknown, depth = 0): string => {
  if (!Predicate.isRecord(cause) || depth > 3) return ""
  const code = cause["code"]
  return typeof code === "string" && /^[A-Z][A-Z0-9_]{1,40}$/.test(code)
    ? ` (${code})`
    : codeOf(cause["cause"], depth + 1)
}

const strayed = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InsecureUrl",
    detail: "the HttpClient followed a redirect, or sent the request to another address",
    hint: "Give an HttpClient that is not wrapped in followRedirects, and the server's own address."
  })

const timedOut = (source: string, limit: Duration.Duration): TransientFailure =>
  new TransientFailure({
    source,
    reason: "Timeout",
    detail: `the authorization server did not answer within ${Duration.format(limit)}`,
    hint: "Try again, or raise requestTimeLimit.",
    retryAt: undefined
  })

const tooLarge = (source: string, limit: number): TransientFailure =>
  new TransientFailure({
    source,
    reason: "MalformedAnswer",
    detail: `the answer is larger than ${limit} bytes`,
    hint: "Check that the address is the authorization server's; raise maxResponseBytes if it is.",
    retryAt: undefined
  })

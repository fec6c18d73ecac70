/**
 * One request with a credential: put it on, look at the answer, and where the answer refuses it, try once
 * more with another one.
 *
 * @since 0.1.0
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as Headers from "@effect/platform/Headers"
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import * as Token from "../../Token.js"
import { Misconfigured } from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"
import type { TokenSource } from "../../TokenSource.js"
import type { Placement } from "../Placement.js"
import * as Disguise from "./disguise.js"
import { insecureUrl } from "./origins.js"
import type { Locate } from "./origins.js"
import * as Tracing from "./tracing.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse
type Client<E, R> = HttpClient.HttpClient.With<E, R>

export interface Setup<E extends TokenError> {
  readonly source: TokenSource<E>
  readonly placement: Placement<E>
  readonly locate: Locate
  /** Bound to every origin, on purpose. */
  readonly unbound: boolean
  readonly rejected: (response: Response) => boolean
  /**
   * Learns from the answer to a request with a token, and tells whether the same token may pass if it is put
   * on once more.
   */
  readonly learn?: ((plain: Request, response: Response) => Effect.Effect<boolean>) | undefined
}

/** A request that carried a token: the token, and the request as it was without it. */
interface Carried {
  readonly token: Token.Token
  readonly plain: Request
}

/** What the client below has sent so far; of several tries, the last one counts. */
interface Sent {
  readonly carried: Carried | undefined
  readonly span: Tracer.Span | undefined
}

type Exchange<E, R> = Effect.Effect<Response, E | Misconfigured, R>

/** What may still be tried, once each: another token, and the same one put on once more. */
interface Left {
  readonly renewal: boolean
  readonly repeat: boolean
}

type Send<E, E2, R> = (
  request: Request,
  get: Effect.Effect<Token.Token, E>,
  left: Left
) => Exchange<E | E2, R>

export const client = <E extends TokenError, E2, R>(
  self: Client<E2, R>,
  setup: Setup<E>
): Client<E | E2 | Misconfigured, R> => {
  const protect = protection(setup)
  const send: Send<E, E2, R> = (request, get, left) =>
    Effect.flatMap(Tracing.spansOf(request), (spans) => {
      const sent = Ref.unsafeMake(nothing)
      const put = putting(setup, sent, get, spans)
      const exchange = protect(HttpClient.mapRequestEffect(self, put).execute(request))
      return Effect.flatMap(conceal(exchange, sent, spans), (response) =>
        Effect.flatMap(Ref.get(sent), ({ carried }) =>
          arrive(setup, carried, { request, original: response, left }, send)))
    })
  return HttpClient.makeWith<never, never, E | E2 | Misconfigured, R>(
    Effect.flatMap((request) => send(request, setup.source.get, all)),
    Effect.succeed
  )
}

const all: Left = { renewal: true, repeat: true }

const nothing: Sent = { carried: undefined, span: undefined }

/** Puts the token on the request as the client below is about to send it, and remembers both. */
const putting = <E extends TokenError>(
  setup: Setup<E>,
  sent: Ref.Ref<Sent>,
  get: Effect.Effect<Token.Token, E>,
  spans: Tracing.Spans
) =>
(plain: Request): Effect.Effect<Request, E | Misconfigured> => {
  const ready = Effect.flatMap(
    tokenFor(setup, plain, get),
    (token) =>
      Effect.map(spans === "Ours" ? spanFor(sent, plain) : noSpan, (span): Sent => ({
        carried: token && { token, plain },
        span
      }))
  )
  return Effect.flatMap(
    spans === "None" ? ready : Tracing.aloud(ready),
    (next) => Effect.zipRight(Ref.set(sent, next), dress(setup, plain, next, spans))
  )
}

/** One span for all tries of the client below. */
const spanFor = (sent: Ref.Ref<Sent>, plain: Request): Effect.Effect<Tracer.Span | undefined> =>
  Effect.flatMap(
    Ref.get(sent),
    ({ span }) => span === undefined ? Tracing.start(plain) : Effect.succeed(span)
  )

const noSpan = Effect.succeed(undefined)

const dress = <E extends TokenError>(
  { placement }: Setup<E>,
  plain: Request,
  { carried, span }: Sent,
  spans: Tracing.Spans
): Effect.Effect<Request, E> => {
  const traced = span === undefined ? Effect.succeed(plain) : Tracing.propagate(plain, span)
  const dressed = carried === undefined
    ? traced
    : Effect.flatMap(traced, (request) => placement.put(request, carried.token))
  return spans === "None" ? dressed : Effect.map(dressed, Tracing.mark)
}

/** The token for a request; undefined for one that goes elsewhere or has a credential of its own. */
const tokenFor = <E extends TokenError>(
  { locate, placement, source }: Setup<E>,
  plain: Request,
  get: Effect.Effect<Token.Token, E>
): Effect.Effect<Token.Token | undefined, E | Misconfigured> => {
  if (placement.isOn(plain)) return Effect.succeed(undefined)
  switch (locate(plain)) {
    case "Bound":
      return get
    case "Elsewhere":
      return sentWithout
    case "Insecure":
      return Effect.fail(insecureUrl(source.name))
  }
}

const sentWithout = Effect.as(
  Effect.logDebug("A request to another origin is sent without the credential"),
  undefined
)

/** Nothing that leaves the exchange shows the request with its credential: no failure and no span. */
const conceal = <E, R>(
  exchange: Effect.Effect<Response, E, R>,
  sent: Ref.Ref<Sent>,
  spans: Tracing.Spans
): Effect.Effect<Response, E, R> => {
  const concealed = Effect.catchAllCause(
    exchange,
    (cause) =>
      Effect.flatMap(
        Ref.get(sent),
        ({ carried }) =>
          Effect.failCause(carried === undefined ? cause : Disguise.cause(cause, carried.plain))
      )
  )
  if (spans !== "Ours") return concealed
  return Tracing.silently(
    concealed,
    (exit) =>
      Effect.flatMap(Ref.get(sent), ({ span }) => span === undefined ? Effect.void : Tracing.end(span, exit))
  )
}

interface Arrival {
  readonly request: Request
  readonly original: Response
  readonly left: Left
}

const arrive = <E extends TokenError, E2, R>(
  setup: Setup<E>,
  carried: Carried | undefined,
  arrival: Arrival,
  send: Send<E, E2, R>
): Exchange<E | E2, R> => {
  const { left, original, request } = arrival
  if (carried === undefined) return Effect.succeed(original)
  const response = Disguise.response(original, carried.plain)
  if (hasStrayed(setup, original.request, carried.plain)) {
    return Effect.zipRight(discard(response), Effect.fail(strayed(setup.source.name)))
  }
  if (setup.learn === undefined) return judge(setup, carried, response, arrival, send)
  return Effect.flatMap(
    setup.learn(carried.plain, response),
    (curable) =>
      curable && left.repeat && isReplayable(carried.plain.body)
        ? Effect.zipRight(
          discard(response),
          send(request, Effect.succeed(carried.token), { ...left, repeat: false })
        )
        : judge(setup, carried, response, arrival, send)
  )
}

const judge = <E extends TokenError, E2, R>(
  setup: Setup<E>,
  carried: Carried,
  response: Response,
  { left, request }: Arrival,
  send: Send<E, E2, R>
): Exchange<E | E2, R> => {
  if (!left.renewal || !setup.rejected(response)) return Effect.succeed(response)
  return Effect.flatMap(renew(setup, carried, response), (token) =>
    Option.isNone(token)
      ? Effect.succeed(response)
      : Effect.zipRight(
        discard(response),
        send(request, Effect.succeed(token.value), { ...left, renewal: false })
      ))
}

/** Another token than the refused one; none where a second try is impossible or pointless. */
const renew = <E extends TokenError>(
  { source }: Setup<E>,
  { plain, token }: Carried,
  response: Response
): Effect.Effect<Option.Option<Token.Token>, E> => {
  if (!isReplayable(plain.body)) return Effect.as(source.invalidate(token), Option.none())
  return source.invalidate(token).pipe(
    Effect.zipRight(source.request({ supersede: token })),
    Effect.map((next) => Token.isSame(next, token) ? Option.none() : Option.some(next)),
    // The breaker says that this resource refuses fresh tokens too: its own answer tells more.
    Effect.catchIf(isRejectedWhileFresh, () => Effect.succeedNone),
    // A fiber of its own: an interrupted request must not keep the connection either.
    Effect.onError(() => Effect.forkDaemon(discard(response)))
  )
}

const isRejectedWhileFresh = (error: TokenError): boolean =>
  error._tag === "TransientFailure" && error.reason === "RejectedWhileFresh"

/**
 * Whether the client below has followed a redirect and taken the credential along. By then it is too late to
 * know where else it has been on the way, so that the last hop alone clears nobody but the unbound.
 */
const hasStrayed = <E extends TokenError>(setup: Setup<E>, sent: Request, plain: Request): boolean =>
  sent.url !== plain.url && setup.placement.isOn(sent) && !(setup.unbound && setup.locate(sent) === "Bound")

const strayed = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InsecureUrl",
    detail: "the HTTP client below followed a redirect and took the credential along unchecked",
    hint: "Apply HttpClient.followRedirects after the credential, so that every hop is checked."
  })

/** The secret stays out of what is printed, and `fetch` takes a header of its own kind to no other origin. */
const protection = <E extends TokenError>(
  { placement, unbound }: Setup<E>
): <A, E1, R>(effect: Effect.Effect<A, E1, R>) => Effect.Effect<A, E1, R> => {
  const names = placement.secretHeaders
  const stays = unbound || names.every((name) => name === "authorization")
  return (effect) => redacting(stays ? effect : Effect.mapInputContext(effect, withManualRedirect), names)
}

const redacting = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  names: ReadonlyArray<string>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(
    FiberRef.get(Headers.currentRedactedNames),
    (known) =>
      names.every((name) => known.includes(name))
        ? effect
        : Effect.locally(effect, Headers.currentRedactedNames, [...known, ...names])
  )

const withManualRedirect = <R>(context: Context.Context<R>): Context.Context<R> => {
  const init = Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit))
  return Context.add(context, FetchHttpClient.RequestInit, { redirect: "manual", ...init })
}

/** Whether a body can be sent a second time. A stream can't: the first try has read it. */
export const isReplayable = (body: HttpBody.HttpBody): boolean => {
  switch (body._tag) {
    case "Empty":
    case "Uint8Array":
    case "FormData":
      return true
    case "Raw":
      return typeof body.body === "string" || replayable.some((type) => body.body instanceof type)
    case "Stream":
      return false
  }
}

const replayable = [Uint8Array, ArrayBuffer, URLSearchParams, Blob, FormData]

/** Reads a small body to its end, so that the connection is free again; gives up on a large or slow one. */
export const discard = (response: Response): Effect.Effect<void> =>
  Effect.suspend(() => {
    let left = 65_536
    return Stream.runForEachWhile(response.stream, (chunk) => Effect.sync(() => (left -= chunk.length) > 0))
  }).pipe(Effect.timeout("1 second"), Effect.ignore)

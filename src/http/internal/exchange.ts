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
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Token from "../../Token.js"
import { Misconfigured } from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"
import type { TokenSource } from "../../TokenSource.js"
import type { Placement } from "../Placement.js"
import * as Disguise from "./disguise.js"
import type { IsBound } from "./origins.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse
type Client<E, R> = HttpClient.HttpClient.With<E, R>

export interface Setup<E extends TokenError> {
  readonly source: TokenSource<E>
  readonly placement: Placement<E>
  readonly isBound: IsBound
  /** Bound to every origin, on purpose. */
  readonly unbound: boolean
  readonly rejected: (response: Response) => boolean
}

/** A request that carried a token: the token, and the request as it was without it. */
interface Carried {
  readonly token: Token.Token
  readonly plain: Request
}

export const client = <E extends TokenError, E2, R>(
  self: Client<E2, R>,
  setup: Setup<E>
): Client<E | E2 | Misconfigured, R> => {
  const protect = protection(setup)
  const send: Send<E, E2, R> = (request, get, again) => {
    const trip = new Trip(setup, get)
    return Effect.matchEffect(protect(HttpClient.mapRequestEffect(self, trip.put).execute(request)), {
      onFailure: (error) => Effect.fail(trip.hide(error)),
      onSuccess: (response) => arrive(setup, trip, request, response, again)
    })
  }
  const sendAgain: Again<E, E2, R> = (request, token) => send(request, Effect.succeed(token), undefined)
  return HttpClient.makeWith<never, never, E | E2 | Misconfigured, R>(
    Effect.flatMap((request) => send(request, setup.source.get, sendAgain)),
    Effect.succeed
  )
}

type Sent<E, R> = Effect.Effect<Response, E | Misconfigured, R>

type Again<E, E2, R> = (request: Request, token: Token.Token) => Sent<E | E2, R>

type Send<E, E2, R> = (
  request: Request,
  get: Effect.Effect<Token.Token, E>,
  again: Again<E, E2, R> | undefined
) => Sent<E | E2, R>

/** One try: it puts the token on the request as the client below is about to send it, and remembers both. */
class Trip<E extends TokenError> {
  carried: Carried | undefined
  readonly put: (plain: Request) => Effect.Effect<Request, E>

  constructor({ isBound, placement }: Setup<E>, get: Effect.Effect<Token.Token, E>) {
    this.put = (plain) => {
      this.carried = undefined
      if (placement.isOn(plain)) return Effect.succeed(plain)
      if (!isBound(plain)) return Effect.as(sentWithout, plain)
      return Effect.flatMap(get, (token) => {
        this.carried = { token, plain }
        return placement.put(plain, token)
      })
    }
  }

  hide<E2>(error: E2): E2 {
    return this.carried === undefined ? error : Disguise.error(error, this.carried.plain)
  }
}

const sentWithout = Effect.logDebug("A request to another origin is sent without the credential")

const arrive = <E extends TokenError, E2, R>(
  setup: Setup<E>,
  { carried }: Trip<E>,
  request: Request,
  original: Response,
  again: Again<E, E2, R> | undefined
): Sent<E | E2, R> => {
  if (carried === undefined) return Effect.succeed(original)
  const response = Disguise.response(original, carried.plain)
  if (hasStrayed(setup, original.request, carried.plain)) {
    return Effect.zipRight(discard(response), Effect.fail(strayed(setup.source.name)))
  }
  if (again === undefined || !setup.rejected(response)) return Effect.succeed(response)
  return Effect.flatMap(renew(setup, carried, response), (token) =>
    Option.isNone(token)
      ? Effect.succeed(response)
      : Effect.zipRight(discard(response), again(request, token.value)))
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

/** Whether the client below has taken the credential to an origin that it is not bound to. */
const hasStrayed = <E extends TokenError>(setup: Setup<E>, sent: Request, plain: Request): boolean =>
  sent.url !== plain.url && setup.placement.isOn(sent) && !setup.isBound(sent)

const strayed = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InsecureUrl",
    detail: "the HTTP client below followed a redirect and took the credential to another origin",
    hint: "Apply HttpClient.followRedirects after the credential, so that every hop is checked."
  })

/** The secret stays out of spans, and `fetch` does not take a header of its own kind to another origin. */
const protection = <E extends TokenError>(
  { placement, unbound }: Setup<E>
): <A, E1, R>(effect: Effect.Effect<A, E1, R>) => Effect.Effect<A, E1, R> => {
  const names = placement.secretHeaders
  const stays = unbound || names.every((name) => name === "authorization")
  return (effect) => {
    const untraced = placement.secretInUrl ? Effect.withTracerEnabled(effect, false) : effect
    return redacting(stays ? untraced : Effect.mapInputContext(untraced, withManualRedirect), names)
  }
}

// Straight from the fiber: this stands in the path of every request, where the names are nearly always known.
const redacting = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  names: ReadonlyArray<string>
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const known = fiber.getFiberRef(Headers.currentRedactedNames)
    return names.every((name) => known.includes(name))
      ? effect
      : Effect.locally(effect, Headers.currentRedactedNames, [...known, ...names])
  })

const withManualRedirect = <R>(context: Context.Context<R>): Context.Context<R> => {
  const init = Option.getOrUndefined(Context.getOption(context, FetchHttpClient.RequestInit))
  return Context.add(context, FetchHttpClient.RequestInit, { redirect: "manual", ...init })
}

/** Whether a body can be sent a second time. A stream can't: the first try has read it. */
const isReplayable = (body: HttpBody.HttpBody): boolean => {
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
const discard = (response: Response): Effect.Effect<void> =>
  Effect.suspend(() => {
    let left = 65_536
    return Stream.runForEachWhile(response.stream, (chunk) => Effect.sync(() => (left -= chunk.length) > 0))
  }).pipe(Effect.timeout("1 second"), Effect.ignore)

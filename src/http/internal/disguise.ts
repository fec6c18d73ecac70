/**
 * What a caller gets back shows the request as it was before the credential was put on it, so that printing a
 * response or an error can't tell the secret.
 *
 * @since 0.1.0
 */
import type * as Cookies from "@effect/platform/Cookies"
import type * as Headers from "@effect/platform/Headers"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpIncomingMessage from "@effect/platform/HttpIncomingMessage"
import type * as UrlParams from "@effect/platform/UrlParams"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import type * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import {
  Misconfigured,
  ReauthRequired,
  RequestRejected,
  TokenUnavailable,
  TransientFailure
} from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse
type ResponseError = HttpClientError.ResponseError

/** The same response to another request. */
export const response = (original: Response, request: Request): Response =>
  new DisguisedResponse(original, request)

/** The same cause about another request. */
export const cause = <E>(original: Cause.Cause<E>, request: Request): Cause.Cause<E> =>
  Cause.match<Cause.Cause<E>, E>(original, {
    onEmpty: Cause.empty,
    onFail: (failure) => Cause.fail(error(failure, request)),
    onDie: (defect) => Cause.die(reason(defect, request)),
    onInterrupt: Cause.interrupt,
    onSequential: Cause.sequential,
    onParallel: Cause.parallel
  })

/** The same error about another request; other errors stay as they are. */
export function error<E>(original: E, request: Request): E
export function error(original: unknown, request: Request): unknown {
  if (!HttpClientError.isHttpClientError(original)) return original
  const why = original.cause === undefined ? {} : { cause: reason(original.cause, request) }
  return original._tag === "RequestError"
    ? new HttpClientError.RequestError({ ...original, ...why, request })
    : new HttpClientError.ResponseError({
      ...original,
      ...why,
      request,
      response: response(original.response, request)
    })
}

/** What can be told of a cause: all of a token's error, of others what `withheld` keeps. */
const reason = (original: unknown, request: Request): unknown => {
  if (isTokenError(original)) return original
  return HttpClientError.isHttpClientError(original) ? error(original, request) : withheld(original)
}

export const isTokenError = (value: unknown): value is TokenError =>
  tokenErrors.some((type) => value instanceof type)

const tokenErrors = [TokenUnavailable, TransientFailure, ReauthRequired, RequestRejected, Misconfigured]

/**
 * The name, the code and the place of a failure whose message and fields may hold the credential: `fetch`
 * quotes a header that it does not like, and a URL that it can't parse.
 */
const withheld = (original: unknown): Error => {
  const code = codeOf(original)
  const name = read(original, "name")
  const error = Object.assign(
    new Error(code ?? "its message is withheld, since it may hold the credential"),
    {
      name: typeof name === "string" && /^[A-Za-z]{1,60}$/.test(name) ? name : "Error",
      code
    }
  )
  error.stack = [`${error.name}: ${error.message}`, ...framesOf(original)].join("\n")
  return error
}

/** The first code along its causes. */
const codeOf = (original: unknown): string | undefined => {
  const chain = [original]
  for (let at = 0; at < 8; at++) chain.push(read(chain[at], "cause"))
  const codes = chain.map((one) => read(one, "code"))
  return codes.find((code) => typeof code === "string" && /^[A-Z][A-Z\d_]{1,60}$/.test(code)) as
    | string
    | undefined
}

const framesOf = (original: unknown): ReadonlyArray<string> => {
  const stack = read(original, "stack")
  return typeof stack === "string" ? stack.split("\n").filter((line) => frame.test(line)) : []
}

const frame = /^ +at (?:[\w.<>$# [\]]+ \()?[^\s()]+:\d+:\d+\)?$/

const read = (value: unknown, key: string): unknown =>
  Predicate.hasProperty(value, key) ? value[key] : undefined

class DisguisedResponse extends Inspectable.Class implements Response {
  readonly [HttpClientResponse.TypeId]: HttpClientResponse.TypeId = HttpClientResponse.TypeId
  readonly [HttpIncomingMessage.TypeId]: HttpIncomingMessage.TypeId = HttpIncomingMessage.TypeId
  readonly #original: Response
  readonly request: Request

  constructor(original: Response, request: Request) {
    super()
    this.#original = original
    this.request = request
  }

  get status(): number {
    return this.#original.status
  }

  get headers(): Headers.Headers {
    return this.#original.headers
  }

  get cookies(): Cookies.Cookies {
    return this.#original.cookies
  }

  get remoteAddress(): Option.Option<string> {
    return this.#original.remoteAddress
  }

  get json(): Effect.Effect<unknown, ResponseError> {
    return this.#disguise(this.#original.json)
  }

  get text(): Effect.Effect<string, ResponseError> {
    return this.#disguise(this.#original.text)
  }

  get urlParamsBody(): Effect.Effect<UrlParams.UrlParams, ResponseError> {
    return this.#disguise(this.#original.urlParamsBody)
  }

  get arrayBuffer(): Effect.Effect<ArrayBuffer, ResponseError> {
    return this.#disguise(this.#original.arrayBuffer)
  }

  get formData(): Effect.Effect<FormData, ResponseError> {
    return this.#disguise(this.#original.formData)
  }

  get stream(): Stream.Stream<Uint8Array, ResponseError> {
    return Stream.mapErrorCause(this.#original.stream, (failure) => cause(failure, this.request))
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "@effect/platform/HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }

  #disguise<A>(body: Effect.Effect<A, ResponseError>): Effect.Effect<A, ResponseError> {
    return Effect.mapErrorCause(body, (failure) => cause(failure, this.request))
  }
}

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
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import type * as Option from "effect/Option"
import * as Stream from "effect/Stream"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse
type ResponseError = HttpClientError.ResponseError

/** The same response to another request. */
export const response = (original: Response, request: Request): Response =>
  new DisguisedResponse(original, request)

/** The same error about another request; other errors stay as they are. */
export function error<E>(original: E, request: Request): E
export function error(original: unknown, request: Request): unknown {
  if (!HttpClientError.isHttpClientError(original)) return original
  return original._tag === "RequestError"
    ? new HttpClientError.RequestError({ ...original, request })
    : new HttpClientError.ResponseError({
      ...original,
      request,
      response: response(original.response, request)
    })
}

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
    return Stream.mapError(this.#original.stream, (failure) => error(failure, this.request))
  }

  toJSON(): unknown {
    return HttpIncomingMessage.inspect(this, {
      _id: "@effect/platform/HttpClientResponse",
      request: this.request.toJSON(),
      status: this.status
    })
  }

  #disguise<A>(body: Effect.Effect<A, ResponseError>): Effect.Effect<A, ResponseError> {
    return Effect.mapError(body, (failure) => error(failure, this.request))
  }
}

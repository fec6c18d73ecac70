/** Many servers made of one function that sees the bodies of requests, on the virtual clock. */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export interface Request {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

export type Handler = (request: Request) => Effect.Effect<Response, "dropped">

export const client = (handler: Handler, requests: Array<Request> = []): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    const body = request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
    const seen = { url: url.href, method: request.method, headers: request.headers, body }
    requests.push(seen)
    return Effect.mapBoth(handler(seen), {
      onSuccess: (response) => HttpClientResponse.fromWeb(request, response),
      onFailure: () =>
        new HttpClientError.RequestError({ request, reason: "Transport", cause: new Error("cut") })
    })
  })

export const serve = (handler: Handler, requests: Array<Request> = []): Layer.Layer<HttpClient.HttpClient> =>
  Layer.succeed(HttpClient.HttpClient, client(handler, requests))

/**
 * A server made of one function, for answers that no real server gives, on the virtual clock.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

export interface Call {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly form: URLSearchParams
}

export type Handler = (call: Call) => Effect.Effect<Response, "dropped">

/** What `handler` answers; the calls are kept in the list. */
export const serve = (handler: Handler, calls: Array<Call> = []): Layer.Layer<HttpClient.HttpClient> =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) => {
      const call = { url: url.href, method: request.method, headers: request.headers, form: formOf(request) }
      calls.push(call)
      return Effect.mapBoth(handler(call), {
        onSuccess: (response) => HttpClientResponse.fromWeb(request, response),
        // The cause is as talkative as a real one can be.
        onFailure: () =>
          new HttpClientError.RequestError({ request, reason: "Transport", cause: leaky(request) })
      })
    })
  )

const leaky = (request: HttpClientRequest.HttpClientRequest): Error =>
  Object.assign(
    new Error(`socket hang up: ${JSON.stringify(request.headers)} ${formOf(request).toString()}`),
    {
      code: "ECONNRESET"
    }
  )

const formOf = (request: HttpClientRequest.HttpClientRequest): URLSearchParams =>
  new URLSearchParams(request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : "")

/** The given answers one after the other, the last one for ever. */
export const inTurn = (...answers: ReadonlyArray<() => Response | "dropped">): Handler => {
  let index = 0
  return () =>
    Effect.suspend(() => {
      const answer = answers[Math.min(index++, answers.length - 1)]?.() ?? "dropped"
      return answer === "dropped" ? Effect.fail(answer) : Effect.succeed(answer)
    })
}

export const json = (body: unknown, init?: ResponseInit) => (): Response => Response.json(body, init)

export const text = (body: string, init?: ResponseInit) => (): Response => new Response(body, init)

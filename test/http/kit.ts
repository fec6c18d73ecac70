/** Parts that these tests share: a source that can be looked into, a fake client and a real server. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import type * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"

export const api = "https://api.test"

export const token = (value: string, type?: string): Token.Token =>
  Token.make({ value: Redacted.make(value), type })

export const secretOf = (one: Token.Token): string => Redacted.value(one.value)

/** Holds the first of its tokens until that one is refused, then the next, and the last one for ever. */
export const source = <E extends TokenError = never>(
  values: readonly [string, ...ReadonlyArray<string>],
  options?: { readonly onRenewal?: Effect.Effect<void, E>; readonly type?: string }
) => {
  const tokens = values.map((value) => token(value, options?.type))
  const log = { held: 0, renewals: 0, invalidated: [] as Array<string> }
  const held = (): Token.Token => tokens[Math.min(log.held, tokens.length - 1)] ?? token("none")
  const renewal = Effect.zipRight(
    options?.onRenewal ?? Effect.void,
    Effect.sync(() => {
      log.renewals++
      log.held++
      return held()
    })
  )
  const made: TokenSource.TokenSource<E> = TokenSource.make<E>({
    name: "test source",
    request: ({ supersede }) =>
      Effect.suspend(() =>
        supersede !== undefined && Token.isSame(supersede, held()) ? renewal : Effect.succeed(held())
      ),
    invalidate: (refused) =>
      Effect.sync(() => {
        log.invalidated.push(secretOf(refused))
      })
  })
  return { source: made, log }
}

type Answer = Response | Effect.Effect<Response>

/** A client that answers without a network and remembers what it was asked. */
export const fake = (answer: (request: HttpClientRequest.HttpClientRequest, url: URL) => Answer) => {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      requests.push(request)
      const given = answer(request, url)
      const response = Effect.isEffect(given) ? given : Effect.succeed(given)
      return Effect.map(response, (web) => HttpClientResponse.fromWeb(request, web))
    })
  )
  const sent = (name = "authorization") => requests.map((request) => request.headers[name])
  return { client, requests, sent }
}

/** 200 for one credential, 401 for others. */
export const only = (header: string) => (request: HttpClientRequest.HttpClientRequest): Response =>
  request.headers["authorization"] === header
    ? new Response("welcome")
    : new Response("refused", {
      status: 401,
      headers: { "www-authenticate": "Bearer error=\"invalid_token\"" }
    })

/** A server on loopback; gives its origin. */
export const serve = <E, R>(
  app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
): Effect.Effect<
  string,
  never,
  Scope.Scope | Exclude<R, HttpServerRequest.HttpServerRequest | Scope.Scope>
> =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      NodeHttpServer.layerServer(() => createServer(), { port: 0, host: "127.0.0.1" })
    )
    return yield* HttpServer.serveEffect(app).pipe(
      Effect.zipRight(HttpServer.addressFormattedWith((address) => Effect.succeed(address))),
      Effect.provide(context)
    )
  }).pipe(Effect.orDie) as never

export const bearerOf: Effect.Effect<string | undefined, never, HttpServerRequest.HttpServerRequest> = Effect
  .map(
    HttpServerRequest.HttpServerRequest,
    (request) => request.headers["authorization"]?.replace("Bearer ", "")
  )

export const realClients = [
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layer]
] as const

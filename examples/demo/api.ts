/**
 * A small protected API that really checks its tokens: signature, issuer, audience and expiry.
 */
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Deferred, Effect } from "effect"
import * as jose from "jose"
import { createServer } from "node:http"

/** Who may call it: known only once the identity provider runs. */
export interface Trust {
  readonly issuer: string
  readonly keys: jose.JSONWebKeySet
}

/** Serves on a free loopback port until the scope ends, and gives its address. */
export const serve = (trust: Deferred.Deferred<Trust>) =>
  Effect.gen(function*() {
    const server = yield* NodeHttpServer.make(() => createServer(), { port: 0, host: "127.0.0.1" })
    const address = server.address._tag === "TcpAddress" ? `http://127.0.0.1:${server.address.port}` : ""
    yield* HttpServer.serveEffect(router(trust, address)).pipe(
      Effect.provideService(HttpServer.HttpServer, server)
    )
    return address
  })

/** `expires_in` counts whole seconds from the issuer's second, so a second of leeway is due, as in most APIs. */
const leeway = 1

const router = (trust: Deferred.Deferred<Trust>, audience: string) =>
  HttpRouter.empty.pipe(
    HttpRouter.get(
      "/hello",
      Effect.gen(function*() {
        const { headers } = yield* HttpServerRequest.HttpServerRequest
        const { issuer, keys } = yield* Deferred.await(trust)
        const [, token = ""] = /^Bearer (.+)$/.exec(headers["authorization"] ?? "") ?? []
        const checked = Effect.tryPromise(() =>
          jose.jwtVerify(token, jose.createLocalJWKSet(keys), { issuer, audience, clockTolerance: leeway })
        )
        return yield* Effect.match(checked, {
          onFailure: () =>
            HttpServerResponse.empty({
              status: 401,
              headers: { "www-authenticate": "Bearer error=\"invalid_token\"" }
            }),
          onSuccess: ({ payload }) => HttpServerResponse.text(`hello ${payload.sub}`)
        })
      })
    )
  )

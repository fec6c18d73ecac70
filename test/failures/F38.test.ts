import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { serve } from "../oauth/kit.js"
import type { Call, Handler } from "../oauth/kit.js"

const issuer = "https://idp.test"

const idp: Handler = (call) =>
  Effect.sync(() => {
    if (call.url.includes("/.well-known/")) {
      return Response.json({
        issuer,
        token_endpoint: `${issuer}/token`,
        device_authorization_endpoint: `${issuer}/device`
      })
    }
    return call.url.endsWith("/device")
      ? Response.json({ device_code: "d", user_code: "C", verification_uri: issuer, expires_in: 60 })
      : Response.json({ access_token: "t", refresh_token: "r" })
  })

const held = Grant.make({
  token: Token.make({ value: Redacted.make("t") }),
  refreshToken: Redacted.make("r")
})

/** Every request that this library can make to a server, once. */
const everything = Effect.gen(function*() {
  const server = yield* AuthorizationServer.discover({ issuer })
  const client = { id: "app", auth: Client.post(Redacted.make("s")) }
  const source = yield* ClientCredentials.make({ server, client })
  yield* source.get
  const redeem = yield* RefreshToken.make({ server, client })
  yield* redeem(held)
  const device = yield* DeviceCode.make({ server, client })
  const fiber = yield* Effect.fork(device.login(() => Effect.void))
  yield* TestClock.adjust("5 seconds")
  yield* Fiber.join(fiber)
})

const paths = ["/.well-known/openid-configuration", "/token", "/token", "/device", "/token"]

describe("F38 token traffic uses the injected HttpClient only", () => {
  const original = globalThis.fetch
  let outside = 0
  beforeEach(() => {
    outside = 0
    globalThis.fetch = () => {
      outside++
      return Promise.reject(new Error("the global fetch was used"))
    }
  })
  afterEach(() => {
    globalThis.fetch = original
  })

  it.effect("each request passes what was put around the client", () => {
    const calls: Array<Call> = []
    const proxied = Layer.effect(
      HttpClient.HttpClient,
      Effect.map(HttpClient.HttpClient, HttpClient.mapRequest(HttpClientRequest.setHeader("x-proxy", "yes")))
    )
    return Effect.gen(function*() {
      yield* everything
      assert.deepStrictEqual(calls.map((call) => new URL(call.url).pathname), paths)
      assert.isTrue(calls.every((call) => call.headers["x-proxy"] === "yes"))
      assert.strictEqual(outside, 0)
    }).pipe(Effect.provide(Layer.provide(proxied, serve(idp, calls))))
  })

  const around: ReadonlyArray<
    readonly [string, (layer: Layer.Layer<HttpClient.HttpClient>) => Layer.Layer<HttpClient.HttpClient>]
  > = [
    ["as it is", (layer) => layer],
    ["with retries", (layer) => mapped(layer, HttpClient.retry({ times: 1 }))],
    [
      "with a header",
      (layer) => mapped(layer, HttpClient.mapRequest(HttpClientRequest.setHeader("x-a", "b")))
    ]
  ]
  for (const [name, wrap] of around) {
    it.effect(`the settings of a client over fetch stay, ${name}, and no redirect is followed`, () => {
      const inits: Array<RequestInit & { readonly dispatcher?: string }> = []
      const settings = Context.empty().pipe(
        Context.add(FetchHttpClient.RequestInit, { keepalive: true, dispatcher: "the proxy" } as RequestInit),
        Context.add(
          FetchHttpClient.Fetch,
          ((url: URL, init: RequestInit) => {
            inits.push(init)
            const form = new URLSearchParams()
            return Effect.runPromise(Effect.orDie(idp({ url: url.href, method: "", headers: {}, form })))
          }) as typeof fetch
        )
      )
      const layer = Layer.provide(FetchHttpClient.layer, Layer.succeedContext(settings))
      return Effect.gen(function*() {
        yield* everything
        assert.strictEqual(inits.length, paths.length)
        inits.forEach((init) =>
          assert.deepStrictEqual([init.redirect, init.keepalive, init.dispatcher], [
            "manual",
            true,
            "the proxy"
          ])
        )
        assert.strictEqual(outside, 0)
      }).pipe(Effect.provide(wrap(layer)))
    })
  }
})

const mapped = (
  layer: Layer.Layer<HttpClient.HttpClient>,
  change: (client: HttpClient.HttpClient) => HttpClient.HttpClient
): Layer.Layer<HttpClient.HttpClient> =>
  Layer.provide(Layer.effect(HttpClient.HttpClient, Effect.map(HttpClient.HttpClient, change)), layer)

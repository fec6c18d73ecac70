/**
 * An API key as a Layer, and an HTTP client that sends it in a header, to one origin only. A blank key is
 * refused when its Layer is built, before anything could be sent.
 * Run it with `npx tsx examples/static-key.ts`.
 */
import {
  FetchHttpClient,
  HttpClient,
  HttpRouter,
  HttpServer,
  HttpServerRequest,
  HttpServerResponse
} from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Redacted } from "effect"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as TokenSource from "effect-credentials/TokenSource"
import { createServer } from "node:http"

/** In your program it comes from `Config.redacted`. */
const key = Redacted.make("key-of-the-example")

/** A stand-in for the service that wants the key. */
const WeatherService = HttpRouter.empty.pipe(
  HttpRouter.get(
    "/forecast",
    Effect.map(
      HttpServerRequest.HttpServerRequest,
      ({ headers }) =>
        headers["x-api-key"] === Redacted.value(key)
          ? HttpServerResponse.text("sunny, 21 °C")
          : HttpServerResponse.text("who are you?", { status: 401 })
    )
  ),
  HttpServer.serve(),
  Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" }))
)

class WeatherKey extends TokenSource.Tag("app/WeatherKey")<WeatherKey>() {}

const program = Effect.gen(function*() {
  const origin = yield* HttpServer.addressFormattedWith(Effect.succeed)
  const plain = yield* HttpClient.HttpClient
  const client = plain.pipe(HttpAuth.apiKey(yield* WeatherKey, { origins: origin, header: "x-api-key" }))

  const without = yield* plain.get(`${origin}/forecast`)
  yield* Console.log(`without the key: ${without.status} ${yield* without.text}`)
  const answer = yield* client.get(`${origin}/forecast`)
  yield* Console.log(`with the key:    ${answer.status} ${yield* answer.text}`)

  const { value } = yield* WeatherKey.get
  yield* Console.log(`the key in a log: ${value}`)
})

/** What somebody gets who left the variable empty. */
const blank = WeatherKey.get.pipe(
  Effect.provide(WeatherKey.layer(TokenSource.apiKey(Redacted.make("  "), { name: "weather key" }))),
  Effect.catchTag("Misconfigured", (error) => Console.log(`a blank key: ${error.message}`))
)

program.pipe(
  Effect.zipRight(blank),
  Effect.provide([
    WeatherKey.layer(TokenSource.apiKey(key, { name: "weather key" })),
    WeatherService,
    FetchHttpClient.layer
  ]),
  NodeRuntime.runMain
)

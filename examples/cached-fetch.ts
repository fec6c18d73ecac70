/**
 * A token that your own code fetches, here from a login endpoint that speaks no OAuth, with a cache on top: a
 * thousand callers cause one fetch, and renewals happen behind the scenes.
 * Run it with `npx tsx examples/cached-fetch.ts`.
 */
import {
  FetchHttpClient,
  HttpClient,
  HttpClientResponse,
  HttpRouter,
  HttpServer,
  HttpServerResponse
} from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Duration, Effect, Layer, Ref, Schema } from "effect"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import { TransientFailure } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import { createServer } from "node:http"

/** A stand-in for the login endpoint. Its sessions end after two seconds. */
const logins = Ref.unsafeMake(0)
const LoginService = HttpRouter.empty.pipe(
  HttpRouter.post(
    "/session",
    Ref.updateAndGet(logins, (count) => count + 1).pipe(
      Effect.delay("100 millis"),
      Effect.flatMap((count) => HttpServerResponse.json({ session: `secret-session-${count}`, seconds: 2 }))
    )
  ),
  HttpServer.serve(),
  Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" }))
)

const Session = Schema.Struct({ session: Schema.Redacted(Schema.String), seconds: Schema.Positive })

/** What each error of the client means to the cache: all of them are worth another try. */
const reasons = {
  RequestError: "Network",
  ResponseError: "ServerError",
  ParseError: "MalformedAnswer"
} as const

/** One login. */
const fetchSession = Effect.gen(function*() {
  const origin = yield* HttpServer.addressFormattedWith(Effect.succeed)
  const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
  const response = yield* client.post(`${origin}/session`)
  const { seconds, session } = yield* HttpClientResponse.schemaBodyJson(Session)(response)
  return yield* Token.receive({ value: session, expiresIn: Duration.seconds(seconds) })
}).pipe(
  Effect.mapError(({ _tag }) =>
    new TransientFailure({
      source: "session",
      reason: reasons[_tag],
      detail: "the login endpoint gave no session",
      hint: "Check that it is up.",
      retryAt: undefined
    })
  )
)

class SessionToken extends TokenSource.Tag("app/SessionToken")<SessionToken>() {}

const SessionTokenLayer = SessionToken.layer(
  TokenSource.fromEffect(fetchSession, { name: "session", timeLimit: "10 seconds" }).pipe(TokenCache.cached())
)

const program = Effect.gen(function*() {
  yield* Console.log(`before the first use: ${yield* Ref.get(logins)} logins`)
  const tokens = yield* Effect.replicateEffect(SessionToken.get, 1000, { concurrency: "unbounded" })
  yield* Console.log(`${tokens.length} callers at once: ${yield* Ref.get(logins)} login`)
  yield* Effect.sleep("3 seconds")
  const { generation } = yield* SessionToken.get
  yield* Console.log(`three seconds later the next caller gets token ${generation}: it was renewed meanwhile`)
})

program.pipe(
  Effect.provide(Layer.provide(SessionTokenLayer, [LoginService, FetchHttpClient.layer])),
  NodeRuntime.runMain
)

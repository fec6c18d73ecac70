/**
 * A typed client of an `HttpApi` that carries a token. Errors of the token stand beside the API's own in the
 * type of every call. The server in here really checks what it gets.
 * Run it with `npx tsx examples/typed-api.ts`.
 */
import {
  FetchHttpClient,
  HttpApi,
  HttpApiBuilder,
  HttpApiClient,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  HttpClient,
  HttpServer
} from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Redacted, Schema } from "effect"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import { jwtVerify, SignJWT } from "jose"
import { createServer } from "node:http"

class Unauthorized extends Schema.TaggedError<Unauthorized>()(
  "Unauthorized",
  {},
  HttpApiSchema.annotations({ status: 401 })
) {}
class Authentication extends HttpApiMiddleware.Tag<Authentication>()("Authentication", {
  failure: Unauthorized,
  security: { bearer: HttpApiSecurity.bearer }
}) {}
const Api = HttpApi.make("api").add(
  HttpApiGroup.make("notes")
    .add(HttpApiEndpoint.get("list", "/notes").addSuccess(Schema.Array(Schema.String)))
    .middleware(Authentication)
)

const key = new TextEncoder().encode("a-signing-key-that-both-sides-know")
const AuthenticationLayer = Layer.succeed(Authentication, {
  bearer: (token) =>
    Effect.tryPromise({
      try: () => jwtVerify(Redacted.value(token), key, { audience: "notes" }),
      catch: () => new Unauthorized()
    })
})
const NotesLayer = HttpApiBuilder.group(
  Api,
  "notes",
  (handlers) => handlers.handle("list", () => Effect.succeed(["buy milk", "call home"]))
)
const ServerLayer = HttpApiBuilder.serve().pipe(
  Layer.provide(Layer.provide(HttpApiBuilder.api(Api), Layer.provide(NotesLayer, AuthenticationLayer))),
  Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" }))
)

class NotesToken extends TokenSource.Tag("app/NotesToken")<NotesToken>() {}

/** Signs a token of its own, as a GitHub App does, for instance. */
const signed = Effect.flatMap(
  Effect.promise(() =>
    new SignJWT({ aud: "notes" }).setProtectedHeader({ alg: "HS256" }).setExpirationTime("5 minutes").sign(
      key
    )
  ),
  (jwt) => Token.receive({ value: Redacted.make(jwt), expiresIn: "5 minutes" })
)

const list = Effect.gen(function*() {
  const baseUrl = yield* HttpServer.addressFormattedWith(Effect.succeed)
  const bearer = HttpAuth.bearer(yield* NotesToken, { origins: baseUrl })
  const httpClient = bearer(yield* HttpClient.HttpClient)
  const client = yield* HttpApiClient.makeWith(Api, { baseUrl, httpClient })
  return yield* client.notes.list()
}).pipe(
  Effect.map((notes) => notes.join(", ")),
  Effect.catchTags({
    Unauthorized: () => Effect.succeed("the API does not take this token"),
    TokenUnavailable: ({ hint }) => Effect.succeed(`there is no token. ${hint}`),
    TransientFailure: ({ hint }) => Effect.succeed(`not now. ${hint}`)
  }),
  Effect.flatMap(Console.log)
)

const program = Effect.all([
  Effect.provide(list, NotesToken.layer(TokenCache.cached(TokenSource.fromEffect(signed)))),
  Effect.provide(list, NotesToken.layer(TokenSource.staticToken(Redacted.make("made-up-token")))),
  Effect.provide(list, NotesToken.layer(TokenSource.env("NOTES_TOKEN")))
], { discard: true })

program.pipe(Effect.provide([ServerLayer, FetchHttpClient.layer]), NodeRuntime.runMain)

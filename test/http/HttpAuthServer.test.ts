import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpApi from "@effect/platform/HttpApi"
import * as HttpApiBuilder from "@effect/platform/HttpApiBuilder"
import * as HttpApiClient from "@effect/platform/HttpApiClient"
import * as HttpApiEndpoint from "@effect/platform/HttpApiEndpoint"
import * as HttpApiGroup from "@effect/platform/HttpApiGroup"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServer from "@effect/platform/HttpServer"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import { ReauthRequired } from "effect-credentials/TokenError"
import type { Misconfigured } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createServer } from "node:http"
import * as Kit from "./kit.js"

const reauth = new ReauthRequired({ source: "s", reason: "GrantRejected", detail: "d", hint: "h" })

describe.each([...Kit.realClients, ["fetch", FetchHttpClient.layer] as const])(
  "a real server over %s",
  (_, layer) => {
    it.scopedLive("a refused token is replaced, many times over few connections", () =>
      Effect.gen(function*() {
        const accepted = { token: 0 }
        const origin = yield* Kit.serve(Effect.map(Kit.bearerOf, (bearer) =>
          bearer === `t${accepted.token}`
            ? HttpServerResponse.text("welcome")
            : HttpServerResponse.text("x".repeat(200_000), { status: 401 })))
        const { log, source } = Kit.source([
          "t0",
          ...Array.from({ length: 50 }, (__, index) => `t${index + 1}`)
        ])
        const client = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
        const authed = client.pipe(HttpAuth.bearer(source, { origins: origin }))
        for (; accepted.token < 50; accepted.token++) {
          const response = yield* authed.get(origin)
          expect([response.status, yield* response.text]).toEqual([200, "welcome"])
        }
        expect(log.renewals).toBe(49)
      }))

    it.scopedLive("keys in the query and in headers arrive as they were given", () =>
      Effect.gen(function*() {
        const origin = yield* Kit.serve(Effect.map(HttpServerRequest.HttpServerRequest, (request) =>
          HttpServerResponse.unsafeJson([
            request.url,
            request.headers["x-key"],
            request.headers["authorization"]
          ])))
        const client = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
        const at = { origins: origin }
        const { source } = Kit.source(["k&=y"])
        const ask = (credential: HttpAuth.Middleware<Misconfigured>) =>
          Effect.flatMap(client.pipe(credential).get(`${origin}/p?a=1`), (response) =>
            response.json)
        expect(yield* ask(HttpAuth.apiKey(source, { ...at, query: "key" }))).toEqual([
          "/p?a=1&key=k%26%3Dy",
          null,
          null
        ])
        expect(yield* ask(HttpAuth.apiKey(source, { ...at, header: "X-Key" }))).toEqual([
          "/p?a=1",
          "k&=y",
          null
        ])
        expect(yield* ask(HttpAuth.bearer(source, at))).toEqual(["/p?a=1", null, "Bearer k&=y"])
      }))
  }
)

class Note extends Schema.Class<Note>("Note")({ id: Schema.Number, text: Schema.String }) {}
class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

const api = HttpApi.make("notes").add(
  HttpApiGroup.make("notes")
    .add(
      HttpApiEndpoint.get("list", "/notes").addSuccess(Schema.Array(Note)).addError(Refused, { status: 401 })
    )
    .add(
      HttpApiEndpoint.post("add", "/notes").setPayload(Schema.Struct({ text: Schema.String })).addSuccess(
        Note
      )
        .addError(Refused, { status: 401 })
    )
)

const authorized = Effect.flatMap(
  Kit.bearerOf,
  (bearer) => bearer === "b" ? Effect.void : Effect.fail(new Refused())
)

const handlers = HttpApiBuilder.group(api, "notes", (group) =>
  group
    .handle("list", () => Effect.as(authorized, [new Note({ id: 1, text: "one" })]))
    .handle("add", ({ payload }) => Effect.as(authorized, new Note({ id: 2, text: payload.text }))))

const server = HttpApiBuilder.serve().pipe(
  Layer.provide(Layer.provide(HttpApiBuilder.api(api), handlers)),
  Layer.provideMerge(NodeHttpServer.layer(() => createServer(), { port: 0, host: "127.0.0.1" }))
)

const originOf = (context: Context.Context<HttpServer.HttpServer>) =>
  Effect.provide(HttpServer.addressFormattedWith((address) => Effect.succeed(address)), context)

describe("a typed client", () => {
  it.scopedLive("made with transformClient calls with the credential, bodies included", () =>
    Effect.gen(function*() {
      const baseUrl = yield* originOf(yield* Layer.build(server))
      const { log, source } = Kit.source(["a", "b"])
      const client = yield* HttpApiClient.make(api, {
        baseUrl,
        transformClient: (client) =>
          HttpAuth.toHttpClient(client.pipe(HttpAuth.bearer(source, { origins: baseUrl })))
      })
      const note = yield* client.notes.add({ payload: { text: "new" } })
      expect(note).toEqual(new Note({ id: 2, text: "new" }))
      expect(yield* client.notes.list({})).toHaveLength(1)
      expect(log.renewals).toBe(1)
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.scopedLive("decodes the API's own answer when the second token is refused too", () =>
    Effect.gen(function*() {
      const baseUrl = yield* originOf(yield* Layer.build(server))
      const { source } = Kit.source(["x", "y"])
      const httpClient = (yield* HttpClient.HttpClient).pipe(HttpAuth.bearer(source, { origins: baseUrl }))
      const client = yield* HttpApiClient.makeWith(api, { baseUrl, httpClient })
      expect(yield* Effect.flip(client.notes.list({}))).toEqual(new Refused())
    }).pipe(Effect.provide(FetchHttpClient.layer)))

  it.effect("made with makeWith fails with the token's error in its type", () =>
    Effect.gen(function*() {
      const source = TokenSource.make<ReauthRequired>({ name: "s", request: () => Effect.fail(reauth) })
      const httpClient = Kit.fake(() => new Response()).client.pipe(
        HttpAuth.bearer(source, { origins: Kit.api })
      )
      const client = yield* HttpApiClient.makeWith(api, { baseUrl: Kit.api, httpClient })
      const caught = client.notes.list({}).pipe(
        Effect.catchTag("ReauthRequired", (error) => Effect.succeed(error.hint))
      )
      expect(yield* caught).toBe("h")
    }))

  it.effect("made with transformClient fails with a RequestError that brings the token's error along", () =>
    Effect.gen(function*() {
      const source = TokenSource.make<ReauthRequired>({ name: "s", request: () => Effect.fail(reauth) })
      const client = yield* HttpApiClient.make(api, {
        baseUrl: Kit.api,
        transformClient: (client) =>
          HttpAuth.toHttpClient(client.pipe(HttpAuth.bearer(source, { origins: Kit.api })))
      }).pipe(Effect.provideService(HttpClient.HttpClient, Kit.fake(() => new Response()).client))
      const error = yield* Effect.flip(client.notes.list({}))
      expect(HttpAuth.tokenError(error)).toEqual(Option.some(reauth))
    }))
})

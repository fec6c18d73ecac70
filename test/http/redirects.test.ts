import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import type { Misconfigured } from "effect-credentials/TokenError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Kit from "./kit.js"

const credentials: ReadonlyArray<
  readonly [string, (origins: HttpAuth.Origins) => HttpAuth.Middleware<Misconfigured>]
> = [
  ["bearer", (origins) => HttpAuth.bearer(Kit.source(["t"]).source, { origins })],
  [
    "x-api-key",
    (origins) => HttpAuth.apiKey(Kit.source(["t"]).source, { origins, header: "x-api-key" })
  ],
  [
    "x-custom",
    (origins) => HttpAuth.apiKey(Kit.source(["t"]).source, { origins, header: "x-custom" })
  ],
  ["the query", (origins) => HttpAuth.apiKey(Kit.source(["t"]).source, { origins, query: "key" })]
]

/** Two origins that write down what they get. `/go` of the first leads to `target`. */
const world = Effect.gen(function*() {
  const log: Array<string> = []
  const target = { url: "" }
  const app = (name: string) =>
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const carried = ["authorization", "x-api-key", "x-custom"].some((header) =>
        header in request.headers
      ) ||
        request.url.includes("key=")
      log.push(`${name} ${request.url.split("?")[0]} ${carried ? "with" : "without"}`)
      return request.url.startsWith("/go")
        ? HttpServerResponse.empty({ status: 307, headers: { location: target.url } })
        : HttpServerResponse.text("there")
    })
  const home = yield* Kit.serve(app("home"))
  const away = yield* Kit.serve(app("away"))
  return { log, target, home, away }
})

describe.each(credentials)("F25 %s", (_, credential) => {
  for (const [name, layer] of [...Kit.realClients, ["fetch", FetchHttpClient.layer] as const]) {
    const manual = name === "fetch"
      ? Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" })
      : null
    const run = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      manual === null ? effect : manual(effect)

    it.scopedLive(`${name}: a redirect to another origin loses it`, () =>
      Effect.gen(function*() {
        const { away, home, log, target } = yield* world
        const client = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
        target.url = `${away}/x`
        const authed = client.pipe(credential(home), HttpClient.followRedirects())
        const response = yield* run(authed.get(`${home}/go`))
        expect(yield* response.text).toBe("there")
        expect(log).toEqual(["home /go with", "away /x without"])
      }))

    it.scopedLive(`${name}: a redirect within its origins keeps it`, () =>
      Effect.gen(function*() {
        const { away, home, log, target } = yield* world
        const client = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
        const authed = client.pipe(credential([home, away]), HttpClient.followRedirects())
        target.url = "/x"
        yield* run(authed.get(`${home}/go`))
        target.url = `${away}/x`
        yield* run(authed.get(`${home}/go`))
        expect(log).toEqual(["home /go with", "home /x with", "home /go with", "away /x with"])
      }))
  }

  it.scopedLive("fetch, left to its own redirects, does not take it along", () =>
    Effect.gen(function*() {
      const { away, home, log, target } = yield* world
      const client = Context.get(yield* Layer.build(FetchHttpClient.layer), HttpClient.HttpClient)
      target.url = `${away}/x`
      yield* client.pipe(credential(home)).get(`${home}/go`)
      expect(log[0]).toBe("home /go with")
      expect(log).not.toContain("away /x with")
    }))
})

describe("F25 a client that follows redirects below the credential", () => {
  const elsewhere = "https://elsewhere.test"
  const below = (location: string) => {
    const { client, sent } = Kit.fake((_, url) =>
      url.pathname === "/go"
        ? new Response(null, { status: 307, headers: { location } })
        : new Response("there")
    )
    return { client: HttpClient.followRedirects(client), sent }
  }

  it.effect("is Misconfigured as soon as it has left the origin", () =>
    Effect.gen(function*() {
      const { client } = below(`${elsewhere}/x`)
      const authed = client.pipe(HttpAuth.bearer(Kit.source(["t"]).source, { origins: Kit.api }))
      const error = yield* Effect.flip(authed.get(`${Kit.api}/go`))
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InsecureUrl" })
    }))

  it.effect("is left alone when the credential stayed behind", () =>
    Effect.gen(function*() {
      const { client } = below(`${elsewhere}/x`)
      const authed = client.pipe(
        HttpAuth.apiKey(Kit.source(["t"]).source, { origins: Kit.api, query: "key" })
      )
      expect((yield* authed.get(`${Kit.api}/go`)).status).toBe(200)
    }))

  it.effect("is Misconfigured within the origins too, as nobody can tell which way it went", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake((_, url) => {
        const [home, location] = url.pathname === "/go"
          ? [false, `${elsewhere}/x`]
          : url.hostname === "elsewhere.test"
          ? [false, `${Kit.api}/back`]
          : [true, ""]
        return home ? new Response("there") : new Response(null, { status: 307, headers: { location } })
      })
      const bearer = HttpAuth.bearer(Kit.source(["t"]).source, { origins: Kit.api })
      const error = yield* Effect.flip(HttpClient.followRedirects(client).pipe(bearer).get(`${Kit.api}/go`))
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InsecureUrl" })
      expect(error.message).toContain("followRedirects after the credential")
      expect((yield* client.pipe(bearer, HttpClient.followRedirects()).get(`${Kit.api}/go`)).status).toBe(200)
      expect(sent().slice(-3)).toEqual(["Bearer t", undefined, "Bearer t"])
    }))

  it.effect("is left alone where any will do, but not over plain http", () =>
    Effect.gen(function*() {
      const go = (location: string) => {
        const { client, sent } = below(location)
        const authed = client.pipe(HttpAuth.bearer(Kit.source(["t"]).source, { origins: "any" }))
        return { got: authed.get(`${Kit.api}/go`), sent }
      }
      const { got, sent } = go(`${elsewhere}/x`)
      expect((yield* got).status).toBe(200)
      expect(sent()).toEqual(["Bearer t", "Bearer t"])
      expect(yield* Effect.flip(go("http://elsewhere.test/x").got)).toMatchObject({ reason: "InsecureUrl" })
    }))
})

it.scopedLive("a RequestInit around the request has the last word, and keeps its other fields", () =>
  Effect.gen(function*() {
    const seen: Array<globalThis.RequestInit | undefined> = []
    const fetch: typeof globalThis.fetch = (_, init) => {
      seen.push(init)
      return Promise.resolve(new Response("ok"))
    }
    const client = Context.get(yield* Layer.build(FetchHttpClient.layer), HttpClient.HttpClient)
    const get = client.pipe(HttpAuth.apiKey(Kit.source(["t"]).source, { origins: Kit.api, header: "x-key" }))
      .get(Kit.api)
    const run = (init: globalThis.RequestInit) =>
      get.pipe(
        Effect.provideService(FetchHttpClient.Fetch, fetch),
        Effect.provideService(FetchHttpClient.RequestInit, init)
      )
    yield* run({ credentials: "include" })
    yield* run({ redirect: "error" })
    expect(seen[0]).toMatchObject({ credentials: "include", redirect: "manual" })
    expect(seen[1]).toMatchObject({ redirect: "error" })
  }))

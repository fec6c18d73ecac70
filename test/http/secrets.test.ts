import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import type { Misconfigured } from "effect-credentials/TokenError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import * as Kit from "./kit.js"

const secret = "s3cr3t-value"
const at = { origins: Kit.api }
const { source } = Kit.source([secret])

const ways: ReadonlyArray<readonly [string, HttpAuth.Middleware<Misconfigured>, string]> = [
  ["bearer", HttpAuth.bearer(source, at), secret],
  ["API key in a header of its own", HttpAuth.apiKey(source, { ...at, header: "X-My-Key" }), secret],
  ["API key in the query", HttpAuth.apiKey(source, { ...at, query: "key" }), secret],
  [
    "basic",
    HttpAuth.basic({ username: "u", password: Redacted.make(secret) }, at),
    btoa(`u:${secret}`)
  ]
]

/** All that spans were told, as exporters tell it: attributes, events, rendered failures. */
const recorder = () => {
  const seen: Array<unknown> = []
  const names: Array<string> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      names.push(name)
      const attributes = new Map<string, unknown>()
      return {
        _tag: "Span",
        name,
        spanId: "0000000000000001",
        traceId: "00000000000000000000000000000001",
        parent,
        context,
        status: { _tag: "Started", startTime },
        attributes,
        links,
        sampled: true,
        kind,
        end: (_, exit) => {
          if (Exit.isFailure(exit)) seen.push(Cause.pretty(exit.cause, { renderErrorCause: true }))
        },
        attribute: (key, value) => {
          attributes.set(key, value)
          seen.push([key, value])
        },
        event: (...event) => void seen.push(event),
        addLinks: () => {}
      }
    },
    context: (f) => f()
  })
  return { seen, names, tracer }
}

const shown = (value: unknown): string =>
  [inspect(value, { depth: 12, showHidden: true }), String(value), JSON.stringify(value) ?? ""].join("\n")

/** Private state of a response is not what anybody prints; it is left out as `console.log` leaves it out. */
const printed = (value: unknown): string =>
  [inspect(value, { depth: 12 }), String(value), JSON.stringify(value)].join("\n")

describe.each(ways)("F24 %s", (_, credential, text) => {
  const hides = (output: string) => {
    expect(output).not.toContain(text)
    expect(output).not.toContain(secret)
  }

  it.effect("reaches the wire, and not the spans", () =>
    Effect.gen(function*() {
      const { names, seen, tracer } = recorder()
      const { client, requests } = Kit.fake(() => new Response("ok"))
      yield* client.pipe(credential).get(`${Kit.api}/x?a=1`).pipe(
        Effect.withSpan("mine"),
        Effect.withTracer(tracer)
      )
      expect(JSON.stringify(requests.map((request) => [request.headers, request.urlParams]))).toContain(text)
      expect(names).toContain("mine")
      hides(shown(seen))
    }))

  it.effect("is not in a printed, serialised or logged response", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.replace(
        Logger.defaultLogger,
        Logger.map(Logger.jsonLogger, (line) => void lines.push(line))
      )
      const { client } = Kit.fake(() =>
        new Response("{}", { headers: { "content-type": "application/json" } })
      )
      const response = yield* client.pipe(credential).get(`${Kit.api}/x`)
      yield* Effect.logWarning("seen", response).pipe(Effect.provide(logger))
      expect(response.request.url).toBe(`${Kit.api}/x`)
      expect(lines.join("")).toContain("HttpClientResponse")
      hides(printed(response) + printed(response.request) + lines.join("") + shown(response.request))
    }))

  it.effect("is not in the error of a request", () =>
    Effect.gen(function*() {
      const { seen, tracer } = recorder()
      const broken = HttpClient.make((request) =>
        Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", description: "reset" }))
      )
      const get = Effect.withTracer(broken.pipe(credential).get(`${Kit.api}/x`), tracer)
      const cause = yield* Effect.flip(Effect.sandbox(get))
      const error = Cause.squash(cause)
      expect(error).toMatchObject({ _tag: "RequestError", reason: "Transport", description: "reset" })
      hides(shown(error) + shown(cause) + Cause.pretty(cause, { renderErrorCause: true }) + shown(seen))
    }))

  it.effect("is not in the error of a status filter, below or above", () =>
    Effect.gen(function*() {
      const { client } = Kit.fake(() => new Response("no", { status: 500 }))
      const below = yield* Effect.flip(client.pipe(HttpClient.filterStatusOk, credential).get(Kit.api))
      const above = yield* Effect.flip(client.pipe(credential, HttpClient.filterStatusOk).get(Kit.api))
      expect(below).toMatchObject({ _tag: "ResponseError", reason: "StatusCode" })
      for (const error of [below, above] as ReadonlyArray<HttpClientError.ResponseError>) {
        hides(printed(error) + printed(error.response) + shown(error.request))
      }
    }))

  it.effect("is not in the error of a body that can't be read", () =>
    Effect.gen(function*() {
      const { client } = Kit.fake(() =>
        new Response("{broken", { headers: { "content-type": "application/json" } })
      )
      const get = client.pipe(credential).get(Kit.api)
      const json = yield* Effect.flip(Effect.flatMap(get, (response) => Effect.asVoid(response.json)))
      const form = yield* Effect.flip(Effect.flatMap(get, (response) => response.formData))
      const empty = Kit.fake(() => new Response(null)).client.pipe(credential).get(Kit.api)
      const stream = yield* Effect.flip(Stream.runDrain(HttpClientResponse.stream(empty)))
      for (const error of [json, form, stream] as ReadonlyArray<HttpClientError.ResponseError>) {
        expect(error._tag).toBe("ResponseError")
        hides(printed(error) + printed(error.response) + shown(error.request))
      }
    }))
})

describe("spans", () => {
  const get = (credential: HttpAuth.Middleware<Misconfigured>) =>
    Effect.gen(function*() {
      const { names, seen, tracer } = recorder()
      const { client } = Kit.fake(() => new Response("ok"))
      yield* Effect.withTracer(client.pipe(credential).get(Kit.api), tracer)
      return { names, seen }
    })

  it.effect("a key in a header shows as redacted under its name", () =>
    Effect.gen(function*() {
      const { names, seen } = yield* get(HttpAuth.apiKey(source, { ...at, header: "X-My-Key" }))
      expect(names).toEqual(["http.client GET"])
      expect(seen).toContainEqual(["http.request.header.x-my-key", "<redacted>"])
    }))

  it.effect("a key in the query makes no span", () =>
    Effect.gen(function*() {
      const { names } = yield* get(HttpAuth.apiKey(source, { ...at, query: "key" }))
      expect(names).toEqual([])
    }))

  it.effect("a key in the query makes no span even where the client below has its own rule for tracing", () =>
    Effect.gen(function*() {
      const { seen, tracer } = recorder()
      const { client } = Kit.fake(() => new Response("ok"))
      const traced = HttpClient.withTracerDisabledWhen(client, () => false)
      yield* Effect.withTracer(
        traced.pipe(HttpAuth.apiKey(source, { ...at, query: "key" })).get(Kit.api),
        tracer
      )
      expect(shown(seen)).not.toContain(secret)
    }))

  it.effect("the names that were redacted before stay so", () =>
    Effect.gen(function*() {
      const { seen, tracer } = recorder()
      const { client } = Kit.fake(() => new Response("ok"))
      const request = HttpClientRequest.setHeader(HttpClientRequest.get(Kit.api), "cookie", "session=abc")
      const authed = client.pipe(HttpAuth.apiKey(source, { ...at, header: "X-My-Key" }))
      yield* Effect.withTracer(authed.execute(request), tracer)
      expect(shown(seen)).not.toContain("session=abc")
    }))
})

it.effect("the tracer of these tests sees what is not hidden", () =>
  Effect.gen(function*() {
    const { seen, tracer } = recorder()
    const broken = HttpClient.make((request) =>
      Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", description: "told" }))
    )
    yield* Effect.ignore(Effect.withTracer(broken.get(`${Kit.api}/?key=${secret}`), tracer))
    expect(shown(seen)).toContain(`key=${secret}`)
    expect(shown(seen)).toContain("told")
  }))

import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import type { Misconfigured, TokenError } from "effect-credentials/TokenError"
import type * as TokenSource from "effect-credentials/TokenSource"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
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
  const ended: Array<string> = []
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
          ended.push(`${name} ${exit._tag}`)
          seen.push(inspect(exit, { depth: 20 }), JSON.stringify(exit))
          if (Exit.isSuccess(exit)) return
          seen.push(Cause.pretty(exit.cause, { renderErrorCause: true }), shown(Cause.squash(exit.cause)))
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
  return { seen, names, ended, tracer }
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

  it.effect("is not in what is left when the client below fails and its finalizers die", () =>
    Effect.gen(function*() {
      const { ended, names, seen, tracer } = recorder()
      const { client, requests } = Kit.fake(() => new Response("no", { status: 500 }))
      const dying = client.pipe(
        HttpClient.filterStatusOk,
        HttpClient.transformResponse((sending) =>
          Effect.withSpan(
            sending.pipe(
              Effect.ensuring(Effect.suspend(() => Effect.die(requests[0]))),
              Effect.ensuring(Effect.suspend(() => Effect.die(new Error(inspect(requests, { depth: 9 })))))
            ),
            "below"
          )
        ),
        credential
      )
      const exit = yield* Effect.exit(Effect.withTracer(dying.get(`${Kit.api}/x`), tracer))
      expect(Exit.isFailure(exit)).toBe(true)
      const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
      expect(Array.from(Cause.failures(cause))).toMatchObject([{
        _tag: "ResponseError",
        reason: "StatusCode"
      }])
      expect(Array.from(Cause.defects(cause)).length).toBe(2)
      hides(
        inspect(cause, { depth: 20 }) + JSON.stringify(exit) + inspect(Cause.squash(cause), { depth: 20 })
      )
      for (const defect of Cause.defects(cause)) hides(shown(defect))
      hides(Cause.pretty(cause, { renderErrorCause: true }) + shown(seen))
      expect(names).toEqual(["http.client GET"])
      expect(ended).toEqual(["http.client GET Failure"])
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
  const url = `${Kit.api}:8443/a/b?c=d`
  const credentials = [
    HttpAuth.bearer(source, { origins: url }),
    HttpAuth.apiKey(source, { origins: url, query: "key" })
  ]
  it.effect("tell where a request goes and how it ends, and neither query nor headers", () =>
    Effect.gen(function*() {
      for (const credential of credentials) {
        const { ended, names, seen, tracer } = recorder()
        const { client } = Kit.fake(() => new Response("ok", { status: 201, headers: { "x-a": "b" } }))
        yield* Effect.withTracer(client.pipe(credential).get(url), tracer)
        expect(names).toEqual(["http.client GET"])
        expect(ended).toEqual(["http.client GET Success"])
        expect(seen.filter(Array.isArray)).toEqual([
          ["http.request.method", "GET"],
          ["server.address", `${Kit.api}:8443`],
          ["server.port", 8443],
          ["url.path", "/a/b"],
          ["url.scheme", "https"],
          ["http.response.status_code", 201]
        ])
      }
    }))

  it.effect("one for each try, and none for what lies between them", () =>
    Effect.gen(function*() {
      const { ended, tracer } = recorder()
      const { client } = Kit.fake(Kit.only("Bearer b"))
      const bearer = HttpAuth.bearer(Kit.source(["a", "b"]).source, at)
      yield* Effect.withTracer(client.pipe(bearer).get(Kit.api), tracer)
      expect(ended).toEqual(["http.client GET Success", "http.client GET Success"])
    }))

  it.effect("one for all tries of a retry below", () =>
    Effect.gen(function*() {
      const { ended, names, seen, tracer } = recorder()
      let tries = 0
      const { client } = Kit.fake(() => new Response(null, { status: tries++ === 0 ? 503 : 200 }))
      const authed = client.pipe(HttpClient.retryTransient({ times: 1 }), HttpAuth.bearer(source, at))
      yield* Effect.withTracer(authed.get(Kit.api), tracer)
      expect([names, ended]).toEqual([["http.client GET"], ["http.client GET Success"]])
      expect(seen).toContainEqual(["http.response.status_code", 200])
    }))

  it.effect("the source keeps its own, under one credential and under two", () =>
    Effect.gen(function*() {
      const spanned = {
        ...source,
        request: (request: TokenSource.TokenRequest) =>
          source.request(request).pipe(Effect.withSpan("source"))
      }
      const query = HttpAuth.apiKey(spanned, { ...at, query: "key" })
      const stacks = [
        query,
        (client: HttpClient.HttpClient) => client.pipe(query, HttpAuth.bearer(spanned, at))
      ]
      for (const [index, stack] of stacks.entries()) {
        const { names, seen, tracer } = recorder()
        const { client } = Kit.fake(() => new Response("ok"))
        const get = (stack as (
          client: HttpClient.HttpClient
        ) => HttpClient.HttpClient.With<HttpClientError.HttpClientError | TokenError>)(client)
          .get(Kit.api)
        yield* Effect.withTracer(get, tracer)
        expect(names.filter((name) => name === "source").length).toBe(index + 1)
        expect(names.filter((name) => name === "http.client GET").length).toBe(1)
        expect(shown(seen)).not.toContain(secret)
        names.length = 0
        yield* Effect.withTracerEnabled(Effect.withTracer(get, tracer), false)
        expect(names).toEqual([])
      }
    }))

  it.effect("are on again after a request, however it ended", () =>
    Effect.gen(function*() {
      const sent = yield* Deferred.make<void>()
      const hanging = Kit.fake(() => Effect.zipRight(Deferred.succeed(sent, undefined), Effect.never)).client
      const failing = HttpClient.make((request) =>
        Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport" }))
      )
      const { client } = Kit.fake(() => new Response("ok"))
      const credential = HttpAuth.bearer(source, at)
      const refused = HttpAuth.bearer(Kit.source([""]).source, at)
      const get = (one: HttpClient.HttpClient, by = credential) => Effect.exit(one.pipe(by).get(Kit.api))
      const interrupted = Effect.raceFirst(get(hanging), Deferred.await(sent))
      for (const effect of [get(client), get(failing), get(client, refused), interrupted]) {
        const { names, tracer } = recorder()
        yield* Effect.withTracer(Effect.zipRight(effect, Effect.void.pipe(Effect.withSpan("after"))), tracer)
        expect(names.at(-1)).toBe("after")
      }
    }))

  it.effect("travel to the server, unless the client below says no, and follow its other settings", () =>
    Effect.gen(function*() {
      const { names, tracer } = recorder()
      const { client, sent } = Kit.fake(() => new Response("ok"))
      const credential = HttpAuth.bearer(source, at)
      const settings = [
        client,
        HttpClient.withTracerPropagation(client, false),
        HttpClient.withTracerDisabledWhen(client, () => true),
        HttpClient.withSpanNameGenerator(client, () => "named")
      ]
      for (const one of settings) yield* Effect.withTracer(one.pipe(credential).get(Kit.api), tracer)
      const header = "00-00000000000000000000000000000001-0000000000000001-01"
      expect(sent("traceparent")).toEqual([header, undefined, undefined, header])
      expect(names).toEqual(["http.client GET", "http.client GET", "named"])
    }))

  it.effect("a key in the query is not in them even where the client below has its own rule for tracing", () =>
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

describe("the cause of an error", () => {
  const fetchFailed = (cause: unknown) => new TypeError(`fetch failed with ${secret}`, { cause })
  const coded = (code: unknown) =>
    Object.assign(new Error(`connect to ?key=${secret}`), { code, input: secret })
  const causes: ReadonlyArray<readonly [string, unknown, string, unknown]> = [
    ["a refused connection", fetchFailed(coded("ECONNREFUSED")), "TypeError", "ECONNREFUSED"],
    ["a certificate", coded("CERT_HAS_EXPIRED"), "Error", "CERT_HAS_EXPIRED"],
    [
      "deeper",
      fetchFailed(fetchFailed(coded("ERR_TLS_CERT_ALTNAME_INVALID"))),
      "TypeError",
      "ERR_TLS_CERT_ALTNAME_INVALID"
    ],
    ["no code", fetchFailed(undefined), "TypeError", undefined],
    ["a code that is none", coded(`${secret}`), "Error", undefined],
    ["a code that is a number", coded(7), "Error", undefined],
    ["a name that is none", Object.assign(new Error("x"), { name: `E ${secret}` }), "Error", undefined],
    ["a text", secret, "Error", undefined],
    ["a circle", Object.assign(coded(1), { cause: null }), "Error", undefined]
  ]
  it.effect.each(causes)(
    "keeps its name and its code, and no more: %s",
    ([, cause, name, code]) =>
      Effect.gen(function*() {
        const broken = HttpClient.make((request) =>
          Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", cause }))
        )
        const error = yield* Effect.flip(broken.pipe(HttpAuth.bearer(source, at)).get(Kit.api))
        expect(error.cause).toMatchObject({ name, code })
        if (code !== undefined) expect(String(error.cause)).toBe(`${name}: ${code}`)
        expect(shown(error) + shown(error.cause)).not.toContain(secret)
      })
  )

  it.effect("keeps the place where it came from", () =>
    Effect.gen(function*() {
      const broken = HttpClient.make(() => Effect.die(fetchFailed(undefined)))
      const cause = yield* Effect.flip(Effect.sandbox(broken.pipe(HttpAuth.bearer(source, at)).get(Kit.api)))
      const { stack } = Cause.squash(cause) as Error
      expect(stack).toContain("secrets.test.ts")
      expect(stack).not.toContain(secret)
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

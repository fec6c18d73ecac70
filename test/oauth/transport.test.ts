import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { createServer } from "node:http"
import type { IncomingMessage, RequestListener } from "node:http"
import type { AddressInfo } from "node:net"
import { inTurn, json, serve } from "./kit.js"
import type { Call } from "./kit.js"

const fetchToken = (tokenEndpoint: string, options: Partial<ClientCredentials.Options> = {}) =>
  Effect.gen(function*() {
    const server = yield* AuthorizationServer.make({ tokenEndpoint })
    const client = { id: "app", auth: Client.post(Redacted.make("s")) }
    const source = yield* ClientCredentials.make({ server, client, ...options })
    return yield* source.get
  })

const listen = (listener: RequestListener): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<ReturnType<typeof createServer>>((resume) => {
        const server = createServer(listener)
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.async<void>((resume) => {
          server.closeAllConnections()
          server.close(() => resume(Effect.void))
        })
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  )

const clients: ReadonlyArray<readonly [string, Layer.Layer<HttpClient.HttpClient>]> = [
  ["fetch", FetchHttpClient.layer],
  ["undici", NodeHttpClient.layerUndici],
  ["node:http", NodeHttpClient.layer]
]

for (const [name, layer] of clients) {
  describe(`over ${name}`, () => {
    for (const status of [301, 302, 303, 307, 308]) {
      it.scopedLive(`a redirect with ${status} is not followed`, () =>
        Effect.gen(function*() {
          const elsewhere: Array<string> = []
          const thief = yield* listen((request, response) => {
            elsewhere.push(request.url ?? "")
            response.end(`{"access_token":"stolen"}`)
          })
          const base = yield* listen((_, response) => {
            response.writeHead(status, { location: `${thief}/token` }).end()
          })
          const error = yield* Effect.flip(fetchToken(`${base}/token`))
          assert.strictEqual(error.reason, "MalformedAnswer")
          assert.include(error.message, "redirect")
          assert.deepStrictEqual(elsewhere, [])
        }).pipe(Effect.provide(layer)))
    }

    for (const status of [302, 307, 308]) {
      it.scopedLive(`not even with ${status} by a client that was made to follow`, () =>
        Effect.gen(function*() {
          const elsewhere: Array<string> = []
          const thief = yield* listen((request, response) => {
            elsewhere.push(request.url ?? "")
            response.end(`{"access_token":"stolen"}`)
          })
          const base = yield* listen((_, response) => {
            response.writeHead(status, { location: `${thief}/token` }).end()
          })
          const following = Effect.map(HttpClient.HttpClient, HttpClient.followRedirects(3))
          for (const isTraced of [true, false]) {
            const error = yield* fetchToken(`${base}/token`).pipe(
              Effect.withTracerEnabled(isTraced),
              Effect.provideServiceEffect(HttpClient.HttpClient, following),
              Effect.flip
            )
            assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InsecureUrl"])
          }
          assert.deepStrictEqual(elsewhere, [])
        }).pipe(Effect.provide(layer)))
    }

    it.scopedLive("an answer of 20 MB is read no further than its limit", () =>
      Effect.gen(function*() {
        let sent = 0
        const chunk = Buffer.alloc(64 * 1024, "x")
        const base = yield* listen((_, response) => {
          const write = () => {
            while (sent < 20 * 1024 * 1024 && !response.destroyed) {
              sent += chunk.length
              if (!response.write(chunk)) return void response.once("drain", write)
            }
            response.end()
          }
          write()
        })
        const error = yield* Effect.flip(fetchToken(`${base}/token`))
        assert.strictEqual(error.reason, "MalformedAnswer")
        assert.include(error.message, "1048576 bytes")
        assert.isBelow(sent, 20 * 1024 * 1024)
      }).pipe(Effect.provide(layer)))

    it.scopedLive("a connection that breaks in the middle of an answer", () =>
      Effect.gen(function*() {
        const base = yield* listen((_, response) => {
          response.writeHead(200, { "content-type": "application/json", "content-length": "1000" })
          response.write(`{"access_token":`)
          setTimeout(() => response.destroy(), 20)
        })
        const error = yield* Effect.flip(fetchToken(`${base}/token`))
        assert.deepStrictEqual([error._tag, error.reason], ["TransientFailure", "ReplyLost"])
      }).pipe(Effect.provide(layer)))

    it.scopedLive("nobody listens", () =>
      Effect.gen(function*() {
        const base = yield* Effect.scoped(listen(() => {}))
        const error = yield* Effect.flip(fetchToken(`${base}/token`))
        assert.deepStrictEqual([error._tag, error.reason], ["TransientFailure", "Network"])
        assert.include(error.message, "(ECONNREFUSED)")
      }).pipe(Effect.provide(layer)))

    for (const [phase, begin] of [["before", ""], ["within", `{"access_token":`]] as const) {
      it.scopedLive(`a server that hangs ${phase} the answer is given up, and the connection closed`, () =>
        Effect.gen(function*() {
          const closed = yield* Effect.makeLatch()
          const base = yield* listen((request, response) => {
            watch(request, () => closed.unsafeOpen())
            if (begin !== "") response.writeHead(200).write(begin)
          })
          const error = yield* Effect.flip(fetchToken(`${base}/token`, { requestTimeLimit: "200 millis" }))
          assert.deepStrictEqual([error._tag, error.reason], ["TransientFailure", "Timeout"])
          yield* closed.await
        }).pipe(Effect.provide(layer)))

      it.scopedLive(`interruption ${phase} the answer closes the connection`, () =>
        Effect.gen(function*() {
          const closed = yield* Effect.makeLatch()
          const arrived = yield* Effect.makeLatch()
          const base = yield* listen((request, response) => {
            watch(request, () => closed.unsafeOpen())
            if (begin !== "") response.writeHead(200).write(begin)
            setTimeout(() => arrived.unsafeOpen(), 30)
          })
          const fiber = yield* Effect.fork(fetchToken(`${base}/token`))
          yield* arrived.await
          yield* Fiber.interrupt(fiber)
          yield* closed.await
        }).pipe(Effect.provide(layer)))
    }
  })
}

const watch = (request: IncomingMessage, onClose: () => void): void => {
  request.socket.once("close", onClose)
  request.resume()
}

it.effect("nothing is sent in the clear, whoever made the server", () => {
  const calls: Array<Call> = []
  return Effect.gen(function*() {
    const made = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
    for (const token_endpoint of ["http://idp.test/token", "ftp://idp.test/token", "idp.test", undefined]) {
      const metadata = {
        issuer: "https://idp.test",
        ...(token_endpoint === undefined ? {} : { token_endpoint })
      }
      const server = { ...made, metadata: Effect.succeed(metadata) }
      const client = { id: "app", auth: Client.post(Redacted.make("s")) }
      const source = yield* ClientCredentials.make({ server, client })
      const error = yield* Effect.flip(source.get)
      assert.strictEqual(error._tag, "Misconfigured")
    }
    assert.deepStrictEqual(calls, [])
  }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
})

it.effect("an answer that came from another address is not used", () => {
  // It is not built on the platform's own and asks nobody before it follows.
  const straying = HttpClient.makeWith<never, never, never, never>(
    Effect.map((request) =>
      HttpClientResponse.fromWeb(
        HttpClientRequest.setUrl(request, "http://evil.test/token"),
        Response.json({ access_token: "stolen" })
      )
    ),
    Effect.succeed
  )
  return Effect.gen(function*() {
    const error = yield* Effect.flip(fetchToken("https://idp.test/token"))
    assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InsecureUrl"])
  }).pipe(Effect.provideService(HttpClient.HttpClient, straying))
})

it.effect("a client that maps addresses itself is believed", () => {
  const calls: Array<Call> = []
  const mapped = Effect.map(
    HttpClient.HttpClient,
    HttpClient.mapRequest((request) =>
      HttpClientRequest.setUrl(request, `https://gateway.test/${new URL(request.url).host}`)
    )
  )
  return Effect.gen(function*() {
    yield* Effect.provideServiceEffect(fetchToken("https://idp.test/token"), HttpClient.HttpClient, mapped)
    assert.deepStrictEqual(calls.map((call) => call.url), ["https://gateway.test/idp.test"])
  }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
})

describe("a request that failed", () => {
  const failing = (cause: unknown) =>
    HttpClient.make((request) =>
      Effect.fail(new HttpClientError.RequestError({ request, reason: "Transport", cause }))
    )
  const system = (code: string, syscall?: string) =>
    Object.assign(new Error(), { code, ...(syscall === undefined ? {} : { syscall }) })
  const several = (...errors: ReadonlyArray<Error & { readonly code: string }>) =>
    Object.assign(new AggregateError(errors), { code: errors[0]?.code })
  const fetchFailed = (cause: unknown) => new TypeError("fetch failed", { cause })

  const causes: ReadonlyArray<readonly [reason: string, what: string, cause: unknown]> = [
    ["Network", "no route at connect", system("EHOSTUNREACH", "connect")],
    ["Network", "no network at connect", fetchFailed(system("ENETUNREACH", "connect"))],
    ["Network", "no address at connect", fetchFailed(system("EADDRNOTAVAIL", "connect"))],
    ["Network", "no name", fetchFailed(system("EAI_AGAIN", "getaddrinfo"))],
    ["Network", "nobody there", system("ECONNREFUSED")],
    ["Network", "connecting takes too long", fetchFailed(system("UND_ERR_CONNECT_TIMEOUT"))],
    ["Network", "a certificate of another", fetchFailed(system("ERR_TLS_CERT_ALTNAME_INVALID"))],
    ["Network", "a certificate by nobody", system("DEPTH_ZERO_SELF_SIGNED_CERT")],
    ["Network", "an issuer that is not known", system("UNABLE_TO_VERIFY_LEAF_SIGNATURE")],
    [
      "Network",
      "no address of several",
      fetchFailed(several(system("ENETUNREACH", "connect"), system("ETIMEDOUT", "connect")))
    ],
    ["ReplyLost", "one of several", several(system("ENETUNREACH", "connect"), system("ECONNRESET", "read"))],
    ...["ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH", "EADDRNOTAVAIL", "ENETRESET", "EPROTO"]
      .flatMap(
        (code) =>
          ["read", "write", undefined].map((syscall) =>
            ["ReplyLost", `${code} at ${syscall}`, fetchFailed(system(code, syscall))] as const
          )
      ),
    ["ReplyLost", "the server wants a certificate", system("ERR_SSL_BAD_CERTIFICATE")],
    ["ReplyLost", "no code", fetchFailed(new Error("closed"))]
  ]
  for (const [reason, what, cause] of causes) {
    it.effect(`${what} is ${reason}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(fetchToken("https://idp.test/token"))
        assert.deepStrictEqual([error._tag, error.reason], ["TransientFailure", reason])
      }).pipe(Effect.provideService(HttpClient.HttpClient, failing(cause))))
  }
})

describe("limits", () => {
  it.effect("a body of exactly as many bytes as are allowed is read", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ access_token: "t" })
      const layer = serve(inTurn(() => new Response(body)))
      yield* Effect.provide(fetchToken("https://idp.test/token", { maxResponseBytes: body.length }), layer)
      const error = yield* Effect.flip(
        Effect.provide(fetchToken("https://idp.test/token", { maxResponseBytes: body.length - 1 }), layer)
      )
      assert.strictEqual(error.reason, "MalformedAnswer")
    }))

  it.effect("characters that lie on the border of two chunks are whole", () => {
    const bytes = new TextEncoder().encode(`{"access_token":"t","scope":"é€😀"}`)
    const layer = serve(inTurn(() =>
      new Response(
        new ReadableStream({
          start: (controller) => {
            bytes.forEach((byte) => controller.enqueue(new Uint8Array([byte])))
            controller.close()
          }
        })
      )
    ))
    return Effect.gen(function*() {
      const token = yield* fetchToken("https://idp.test/token")
      assert.deepStrictEqual(token.scopes, ["é€😀"])
    }).pipe(Effect.provide(layer))
  })

  it.effect("the time limit runs on the Clock, and is 15 seconds", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.flip(fetchToken("https://idp.test/token")))
      yield* TestClock.adjust("14999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 milli")
      assert.strictEqual((yield* Fiber.join(fiber)).reason, "Timeout")
    }).pipe(Effect.provide(serve(() => Effect.never))))

  it.effect("a client with spans of its own makes none here, and sends no trace headers", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      yield* Effect.withSpan(fetchToken("https://idp.test/token"), "outer")
      assert.deepStrictEqual(
        Object.keys(calls[0]?.headers ?? {}).filter((header) => /^(traceparent|b3)$/.test(header)),
        []
      )
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  })
})

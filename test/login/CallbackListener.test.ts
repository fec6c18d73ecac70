import { assert, describe, it } from "@effect/vitest"
import type * as CallbackListener from "effect-credentials/login/CallbackListener"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import cluster from "node:cluster"
import { request } from "node:http"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { fileURLToPath } from "node:url"

const paths = { path: "/callback", resultPath: "/callback/done" }

const listen = (options: Partial<CallbackListener.Options> = {}) =>
  NodeCallbackListener.make.listen({ ...paths, ...options })

/** What a worker of a cluster of this process says that listens at this port for as long as the scope is open. */
const worker = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      cluster.setupPrimary({
        exec: fileURLToPath(new URL("listenerWorker.ts", import.meta.url)),
        execArgv: ["--import", "tsx"],
        args: []
      })
      return cluster.fork({ PORT: String(port) })
    }),
    (worker) => Effect.sync(() => worker.process.kill())
  ).pipe(
    Effect.flatMap((worker) =>
      Effect.async<unknown>((resume) => {
        worker.once("message", (said: unknown) => resume(Effect.succeed(said)))
      })
    )
  )

const page = (body: string): CallbackListener.Page => ({
  status: 200,
  headers: { "content-type": "text/html; charset=utf-8", "connection": "close" },
  body
})

/** Answers each visit with its query, for ever. */
const echo = ({ next }: CallbackListener.Listening) =>
  Effect.forkScoped(
    Effect.forever(Effect.flatMap(next, ({ _tag, answer, parameters }) =>
      answer(Effect.succeed(page(`${_tag} ${Redacted.value(parameters).toString()}`)))))
  )

const echoing = (options: Partial<CallbackListener.Options> = {}) => Effect.tap(listen(options), echo)

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  readonly body: string
}

/** One request as a browser sends it, but for what is changed. */
const get = (
  url: string,
  options: { readonly method?: string; readonly headers?: Record<string, string> } = {}
) =>
  Effect.async<Answer>((resume) => {
    const sent = request(url, { agent: false, ...options }, (response) => {
      let body = ""
      response.on("data", (chunk) => {
        body += String(chunk)
      })
      response.on("end", () =>
        resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, body })))
    })
    sent.on("error", (error) =>
      resume(Effect.die(error)))
    sent.end()
  })

const portOf = ({ redirectUri }: CallbackListener.Listening) => Number(new URL(redirectUri).port)

/** Writes these bytes, and gives everything that comes back until the connection ends. */
const raw = (port: number, bytes: string | Uint8Array, host = "127.0.0.1") =>
  Effect.async<string>((resume) => {
    let text = ""
    const socket = connect(port, host, () => socket.write(bytes))
    socket.on("data", (chunk) => {
      text += String(chunk)
    })
    socket.on("error", () => {})
    socket.once("close", () => resume(Effect.succeed(text)))
    return Effect.sync(() => socket.destroy())
  })

/** A connection that only stands there, with these first bytes, as long as the scope is open. */
const hold = (port: number, bytes = "") =>
  Effect.acquireRelease(
    Effect.async<Socket>((resume) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.write(bytes)
        resume(Effect.succeed(socket))
      })
      socket.on("error", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** Listens at the address, or says why not. */
const occupy = (port: number, host: string) =>
  Effect.acquireRelease(
    Effect.async<{ readonly port: number }, string>((resume) => {
      const server = createServer()
      server.once("error", (error: NodeJS.ErrnoException) => resume(Effect.fail(error.code ?? "")))
      server.listen(port, host, () =>
        resume(Effect.succeed(Object.assign(server, { port: (server.address() as AddressInfo).port }))))
    }),
    (server) =>
      Effect.async<void>((resume) => {
        if ("close" in server && typeof server.close === "function") {
          server.close(() =>
            resume(Effect.void)
          )
        }
      })
  )

const isFree = (port: number, host: string) =>
  Effect.map(Effect.exit(Effect.scoped(occupy(port, host))), Exit.isSuccess)

const hasSix = Effect.map(Effect.exit(Effect.scoped(occupy(0, "::1"))), Exit.isSuccess)

describe("where it listens", () => {
  it.scopedLive("a free port of 127.0.0.1, and nowhere else", () =>
    Effect.gen(function*() {
      const door = yield* echoing()
      assert.match(door.redirectUri, /^http:\/\/127\.0\.0\.1:\d+\/callback$/)
      assert.strictEqual((yield* get(`${door.redirectUri}?code=c&state=s`)).body, "Callback code=c&state=s")
      assert.strictEqual((yield* get(`${door.redirectUri}/done?code=c`)).body, "Result ")
      assert.isFalse(yield* isFree(portOf(door), "127.0.0.1"))
      assert.isFalse(yield* isFree(portOf(door), "0.0.0.0"))
      assert.isTrue(yield* isFree(portOf(door), "127.0.0.2"))
    }))

  it.scopedLive("the IPv6 loopback", () =>
    Effect.gen(function*() {
      if (!(yield* hasSix)) return
      const door = yield* echoing({ host: "[::1]" })
      assert.match(door.redirectUri, /^http:\/\/\[::1\]:\d+\/callback$/)
      assert.strictEqual((yield* get(`${door.redirectUri}?a=b`)).body, "Callback a=b")
      assert.isTrue(yield* isFree(portOf(door), "127.0.0.1"))
    }))

  it.scopedLive("both families for localhost, on one port", () =>
    Effect.gen(function*() {
      if (!(yield* hasSix)) return
      const door = yield* echoing({ host: "localhost" })
      assert.match(door.redirectUri, /^http:\/\/localhost:\d+\/callback$/)
      for (const host of ["127.0.0.1", "::1"]) {
        const text = yield* raw(
          portOf(door),
          `GET /callback?a=b HTTP/1.1\r\nHost: localhost:${portOf(door)}\r\n\r\n`,
          host
        )
        assert.match(text, /^HTTP\/1\.1 200 [\s\S]*Callback a=b$/)
      }
    }))

  it.scopedLive("a port that is named", () =>
    Effect.gen(function*() {
      const { port } = yield* Effect.scoped(occupy(0, "127.0.0.1"))
      const door = yield* echoing({ port })
      assert.strictEqual(door.redirectUri, `http://127.0.0.1:${port}/callback`)
    }))

  it.scopedLive("or fails where that is taken, and tries no other one", () =>
    Effect.gen(function*() {
      const { port } = yield* occupy(0, "127.0.0.1")
      const error = yield* Effect.flip(listen({ port }))
      assert.strictEqual(error.reason, "PortBusy")
      assert.include(error.message, String(port))
    }))

  it.scopedLive("for localhost it is taken if it is in one family, and the other is left alone", () =>
    Effect.gen(function*() {
      if (!(yield* hasSix)) return
      const { port } = yield* occupy(0, "::1")
      const error = yield* Effect.flip(listen({ host: "localhost", port }))
      assert.strictEqual(error.reason, "PortBusy")
      assert.isTrue(yield* isFree(port, "127.0.0.1"))
    }))

  it.scopedLive(
    "alone, even where workers of a cluster share what they listen on",
    () =>
      Effect.gen(function*() {
        const { port } = yield* Effect.scoped(occupy(0, "127.0.0.1"))
        assert.deepStrictEqual([yield* worker(port), yield* worker(port)], ["listens", "PortBusy"])
      }),
    25_000
  )

  it.scopedLive("nothing but this machine's own names", () =>
    Effect.gen(function*() {
      for (const host of ["0.0.0.0", "::", "example.com", "127.0.0.2"]) {
        const error = yield* Effect.flip(listen({ host: host as CallbackListener.Host }))
        assert.strictEqual(error.reason, "NotAllowed")
      }
    }))

  it.live("closes with its scope, and another can have the port at once", () =>
    Effect.gen(function*() {
      const first = yield* Effect.scoped(listen())
      assert.isTrue(yield* isFree(portOf(first), "127.0.0.1"))
      yield* Effect.scoped(Effect.flatMap(echoing({ port: portOf(first) }), (door) => get(door.redirectUri)))
    }))

  it.live("closes although connections are held open", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const door = yield* Scope.extend(echoing(), scope)
      yield* Scope.extend(Effect.forEach([..."12345"], () => hold(portOf(door), "GET /callb")), scope)
      const [time] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(time), 2_000)
      assert.isTrue(yield* isFree(portOf(door), "127.0.0.1"))
    }))
})

interface Refusal {
  readonly url?: string
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly status: number
}

/** Each is refused by the listener itself, without the login being told. */
const refusals: Readonly<Record<string, Refusal>> = {
  "another name (DNS rebinding)": { headers: { host: "evil.test" }, status: 421 },
  "another name with our port": { headers: { host: "evil.test:PORT" }, status: 421 },
  "another of this machine's names": { headers: { host: "localhost:PORT" }, status: 421 },
  "our name without the port": { headers: { host: "127.0.0.1" }, status: 421 },
  "our name with a dot": { headers: { host: "127.0.0.1.:PORT" }, status: 421 },
  "another path": { url: "/", status: 404 },
  "an icon": { url: "/favicon.ico", status: 404 },
  "a longer path": { url: "/callback/", status: 404 },
  "the path in another case": { url: "/Callback?code=c", status: 404 },
  "the path encoded": { url: "/%63allback?code=c", status: 404 },
  "a path with dots": { url: "/a/../callback?code=c", status: 404 },
  "two slashes": { url: "//callback?code=c", status: 404 },
  "HEAD, as previews send it": { method: "HEAD", url: "/callback?code=c", status: 405 },
  "POST": { method: "POST", url: "/callback?code=c", status: 405 },
  "PUT": { method: "PUT", url: "/callback?code=c", status: 405 },
  "OPTIONS, as scripts of other sites send it": { method: "OPTIONS", url: "/callback", status: 405 },
  "a long query": { url: `/callback?code=${"c".repeat(17 * 1024)}`, status: 414 },
  "a header without an end": { headers: { cookie: "c".repeat(70 * 1024) }, status: 431 },
  "a web socket": {
    url: "/callback?code=c",
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
      "sec-websocket-version": "13"
    },
    status: 400
  }
}

describe("what it refuses by itself", () => {
  it.scopedLive.each(Object.entries(refusals))(
    "%s",
    ([, { headers = {}, method = "GET", status, url = "/callback" }]) =>
      Effect.gen(function*() {
        const door = yield* listen()
        const visited = yield* Effect.fork(door.next)
        const port = String(portOf(door))
        const own = { host: `127.0.0.1:${port}`, connection: "close" }
        const lines = Object.entries({ ...own, ...headers }).map(([name, value]) =>
          `${name}: ${value.replace("PORT", port)}`
        )
        const text = yield* raw(
          portOf(door),
          `${[`${method} ${url} HTTP/1.1`, ...lines].join("\r\n")}\r\n\r\n`
        )
        assert.strictEqual(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1], String(status))
        assert.notMatch(text, /code=c|evil/)
        assert.isNull(visited.unsafePoll())
      })
  )

  it.scopedLive("is answered plainly and safely", () =>
    Effect.gen(function*() {
      const door = yield* listen()
      const { headers } = yield* get(new URL("/x", door.redirectUri).href)
      assert.strictEqual(headers["content-type"], "text/plain; charset=utf-8")
      assert.strictEqual(headers["x-content-type-options"], "nosniff")
      assert.include(headers["content-security-policy"], "default-src 'none'")
      assert.strictEqual(headers["cache-control"], "no-store")
      assert.isUndefined(headers["access-control-allow-origin"])
    }))
})

describe("strangers", () => {
  const garbage: ReadonlyArray<readonly [string, string | Uint8Array]> = [
    ["bytes that are no HTTP", new Uint8Array(512).fill(0xff)],
    ["a TLS hello", new Uint8Array([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, ...new Uint8Array(32)])],
    ["no host", "GET /callback?code=c HTTP/1.1\r\n\r\n"],
    ["HTTP/1.0 without a host", "GET /callback?code=c HTTP/1.0\r\n\r\n"],
    ["a query of a megabyte", `GET /callback?${"x".repeat(1024 * 1024)} HTTP/1.1\r\nHost: a\r\n\r\n`],
    ["a thousand requests at once", "GET /callback?a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000)],
    [
      "a smuggled request",
      "POST /callback HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET "
    ]
  ]
  it.scopedLive.each(garbage)("%s ends nothing", ([, bytes]) =>
    Effect.gen(function*() {
      const door = yield* echoing()
      const text = yield* raw(portOf(door), bytes)
      assert.match(text, /^(?:HTTP\/1\.1 4|$)/)
      assert.strictEqual((yield* get(`${door.redirectUri}?code=c`)).body, "Callback code=c")
    }))

  it.scopedLive("who hold connections open keep no browser out", () =>
    Effect.gen(function*() {
      const door = yield* echoing()
      yield* Effect.forEach(
        Array.from({ length: 300 }),
        (_, index) => hold(portOf(door), index % 2 === 0 ? "" : "GET /callback HTTP/1.1\r\nX-Slow: "),
        { concurrency: 20 }
      )
      const [time, answer] = yield* Effect.timed(get(`${door.redirectUri}?code=c`))
      assert.strictEqual(answer.body, "Callback code=c")
      assert.isBelow(Duration.toMillis(time), 3_000)
    }))

  it.scopedLive("who hold connections open get 64 of them", () =>
    Effect.gen(function*() {
      const door = yield* echoing()
      const sockets = yield* Effect.forEach(Array.from({ length: 100 }), () => hold(portOf(door)))
      sockets.forEach((socket) => socket.resume())
      yield* Effect.sleep("500 millis")
      assert.strictEqual(sockets.filter((socket) => !socket.destroyed).length, 64)
    }))

  it.scopedLive("who write slowly are cut off", () =>
    Effect.gen(function*() {
      const door = yield* echoing()
      const socket = yield* hold(portOf(door), "GET /callback?code=c HTTP/1.1\r\n")
      const ended = yield* Effect.fork(Effect.async<void>((resume) => {
        socket.once("close", () => resume(Effect.void))
        socket.resume()
      }))
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.delay(Effect.sync(() => socket.destroyed || socket.write("X: y\r\n")), "300 millis")
        )
      )
      const [time] = yield* Effect.timed(Fiber.join(ended))
      assert.isBelow(Duration.toMillis(time), 15_000)
    }), 20_000)

  it.scopedLive("who are many get 503 while the login answers nobody", () =>
    Effect.gen(function*() {
      const door = yield* listen()
      const visits = Array.from({ length: 40 }, (_, index) => get(`${door.redirectUri}?n=${index}`))
      const fiber = yield* Effect.fork(Effect.all(visits, { concurrency: "unbounded" }))
      yield* Effect.sleep("500 millis")
      yield* echo(door)
      const statuses = (yield* Fiber.join(fiber)).map(({ status }) => status)
      assert.strictEqual(statuses.filter((status) => status === 503).length, 8)
      assert.strictEqual(statuses.filter((status) => status === 200).length, 32)
    }))

  it.scopedLive("who go away before the answer trouble nobody", () =>
    Effect.gen(function*() {
      const door = yield* listen()
      const fiber = yield* Effect.fork(get(`${door.redirectUri}?code=gone`))
      const visit = yield* door.next
      yield* Fiber.interrupt(fiber)
      yield* visit.answer(Effect.succeed(page("too late")))
      yield* echo(door)
      assert.strictEqual((yield* get(`${door.redirectUri}?code=c`)).body, "Callback code=c")
    }))
})

describe("answers", () => {
  it.live("that are under way arrive whole, although it closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const door = yield* Scope.extend(listen(), scope)
      const body = "x".repeat(4 * 1024 * 1024)
      const asked = yield* Effect.fork(get(door.redirectUri))
      const visit = yield* door.next
      yield* visit.answer(Effect.succeed(page(body)))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(asked)).body.length, body.length)
    }))

  it.live("are given to everybody who still waits when it closes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const door = yield* Scope.extend(listen(), scope)
      const taken = yield* Effect.fork(get(door.redirectUri))
      const visit = yield* door.next
      yield* visit.answer(Effect.never)
      const waiting = yield* Effect.fork(get(door.redirectUri))
      yield* Effect.sleep("200 millis")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([(yield* Fiber.join(taken)).status, (yield* Fiber.join(waiting)).status], [
        410,
        410
      ])
    }))

  it.scopedLive("only the first counts", () =>
    Effect.gen(function*() {
      const door = yield* listen()
      const asked = yield* Effect.fork(get(door.redirectUri))
      const visit = yield* door.next
      yield* visit.answer(Effect.succeed(page("first")))
      yield* visit.answer(Effect.succeed(page("second")))
      assert.strictEqual((yield* Fiber.join(asked)).body, "first")
    }))
})

it.scopedLive("no span holds what came in", () =>
  Effect.gen(function*() {
    const spans: Array<string> = []
    const tracer = Tracer.make({
      span: (name, parent, context, links, startTime, kind) => {
        const attributes = new Map<string, unknown>()
        spans.push(name)
        return {
          _tag: "Span",
          name,
          spanId: "s",
          traceId: "t",
          parent,
          context,
          status: { _tag: "Started", startTime },
          attributes,
          links,
          sampled: true,
          kind,
          end: () => {},
          attribute: (key, value) => void spans.push(`${key}=${String(value)}`),
          event: () => {},
          addLinks: () => {}
        }
      },
      context: (run) => run()
    })
    const seen = yield* Effect.scoped(
      Effect.flatMap(echoing(), (door) => get(`${door.redirectUri}?code=secret`))
    ).pipe(Effect.withTracer(tracer), Effect.withSpan("outside"), Effect.withTracer(tracer))
    assert.strictEqual(seen.body, "Callback code=secret")
    assert.isTrue(Option.isSome(Option.fromNullable(spans.find((name) => name === "outside"))))
    assert.notInclude(spans.join(), "secret")
    assert.notInclude(spans.join(), "http.server")
  }))

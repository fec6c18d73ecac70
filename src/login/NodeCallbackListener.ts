/**
 * Listens for the browser with the HTTP server of Node. Needs `@effect/platform-node`.
 *
 * It serves this machine only, at most 64 connections at a time, one request each, of 64 KiB and 10 seconds at
 * most. A request under another name than its own (DNS rebinding), for another path, by another method or with a
 * query above 16 KiB is refused, and the listener goes on.
 *
 * @since 0.1.0
 */
import * as HttpMiddleware from "@effect/platform/HttpMiddleware"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Host, Options, Service, Visit } from "./CallbackListener.js"
import { CallbackListener, ListenFailed } from "./CallbackListener.js"
import * as App from "./internal/callbackApp.js"
import type { Bound } from "./internal/callbackServer.js"
import * as Server from "./internal/callbackServer.js"

/**
 * The listener.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Service = {
  listen: (options) => Effect.flatMap(bind(options), (door) => serve(door, options))
}

/**
 * The listener of the program.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<CallbackListener> = Layer.succeed(CallbackListener, make)

/** What was opened: one socket, or two of the same port. */
interface Door {
  readonly host: Host
  readonly sockets: readonly [Bound, ...ReadonlyArray<Bound>]
}

const bind = ({ host, port = 0 }: Options): Effect.Effect<Door, ListenFailed, Scope.Scope> => {
  switch (host) {
    case "127.0.0.1":
      return literal("127.0.0.1", port)
    case "[::1]":
      return literal("[::1]", port)
    case "localhost":
      return both(port, 10)
    case undefined:
      return unlessMissing(literal("127.0.0.1", port), () => literal("[::1]", port))
    default:
      return Effect.fail(notLoopback)
  }
}

const literal = (host: "127.0.0.1" | "[::1]", port: number): Effect.Effect<Door, ListenFailed, Scope.Scope> =>
  Effect.map(
    Server.bind(host === "[::1]" ? "::1" : host, port),
    (socket): Door => ({ host, sockets: [socket] })
  )

/**
 * Both families on one port, because the browser decides which of them it tries, and on the other one there could
 * be somebody else. A free port of the one may be taken in the other: then another is tried.
 */
const both = (port: number, attempts: number): Effect.Effect<Door, ListenFailed, Scope.Scope> =>
  Effect.catchIf(
    Server.allOrNothing(pair(port)),
    ({ reason }) => reason === "PortBusy" && port === 0 && attempts > 1,
    () => both(port, attempts - 1)
  )

const pair = (port: number): Effect.Effect<Door, ListenFailed, Scope.Scope> =>
  unlessMissing(
    Effect.flatMap(Server.bind("127.0.0.1", port), (four) =>
      unlessMissing(
        Effect.map(
          Server.bind("::1", four.port),
          (six): Door => ({ host: "localhost", sockets: [four, six] })
        ),
        () => Effect.succeed<Door>({ host: "localhost", sockets: [four] })
      )),
    () => Effect.map(Server.bind("::1", port), (six): Door => ({ host: "localhost", sockets: [six] }))
  )

/** Another way on machines that lack one of the families. */
const unlessMissing = (
  self: Effect.Effect<Door, ListenFailed, Scope.Scope>,
  orElse: () => Effect.Effect<Door, ListenFailed, Scope.Scope>
): Effect.Effect<Door, ListenFailed, Scope.Scope> =>
  Effect.catchIf(self, ({ reason }) => reason === "NoAddress", orElse)

const serve = Effect.fnUntraced(function*({ host, sockets }: Door, { path, resultPath }: Options) {
  const visits = yield* Queue.dropping<Visit>(maxWaiting)
  const closed = yield* Deferred.make<void>()
  const { host: authority } = new URL(`http://${host}:${sockets[0].port}`)
  const app = App.make({ authority, path, resultPath, visits, closed })
  // A span of the server would hold the query, and in that the code.
  yield* Effect.forEach(sockets, ({ server }) => server.serve(app), { discard: true }).pipe(
    HttpMiddleware.withTracerDisabledWhenEffect(() => true)
  )
  yield* Effect.addFinalizer(() => Deferred.succeed(closed, undefined))
  return { redirectUri: `http://${authority}${path}`, next: Queue.take(visits) }
})

const maxWaiting = 32

const notLoopback = new ListenFailed({
  reason: "NotAllowed",
  detail: "the host is none of this machine's own names",
  hint: "Give 127.0.0.1, [::1] or localhost."
})

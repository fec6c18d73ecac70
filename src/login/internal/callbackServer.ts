/**
 * One socket of this machine that HTTP is spoken on: bounded in what it reads, how many it serves and how long it
 * takes to close.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import type * as HttpServer from "@effect/platform/HttpServer"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import { createServer } from "node:http"
import type { Server, ServerOptions } from "node:http"
import type { Socket } from "node:net"
import { ListenFailed } from "../CallbackListener.js"

export type Address = "127.0.0.1" | "::1"

export interface Bound {
  readonly port: number
  readonly server: HttpServer.HttpServer
}

/** Listens at this address for as long as the scope is open; port 0 is a free one. */
export const bind = (address: Address, port: number): Effect.Effect<Bound, ListenFailed, Scope.Scope> =>
  allOrNothing(open(address, port))

/** Where it fails, nothing of it is left open, even if the scope stays so. */
export const allOrNothing = <A, E>(
  self: Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<A, E, Scope.Scope> =>
  Effect.uninterruptible(
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const own = yield* Scope.fork(scope, ExecutionStrategy.sequential)
      return yield* Effect.onError(
        Scope.extend(self, own),
        (cause) => Scope.close(own, Exit.failCause(cause))
      )
    })
  )

const open = Effect.fnUntraced(function*(address: Address, port: number) {
  const guard = guarded()
  // `exclusive`: else the workers of a cluster would share the port, and one another's callbacks.
  const server = yield* Effect.mapError(
    NodeHttpServer.make(() => guard.server, { host: address, port, exclusive: true }),
    ({ cause }) => failure(address, port, cause)
  )
  yield* Effect.addFinalizer(() => guard.close)
  return { server, port: server.address._tag === "TcpAddress" ? server.address.port : port }
})

/**
 * Cookies come in the header too, and on `localhost` those of every program. Time limits are looked at each
 * second.
 */
const limits: ServerOptions = {
  maxHeaderSize: 64 * 1024,
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
  keepAliveTimeout: 1_000
}

const maxSockets = 64

interface Guard {
  readonly server: Server
  /** Lets answers that are under way arrive, for a second at most, and ends every connection. */
  readonly close: Effect.Effect<void>
}

/**
 * When there are too many connections, the oldest that has asked for nothing yet makes room, so that sockets
 * which are only held open keep no browser out.
 */
const guarded = (): Guard => {
  const server = createServer(limits)
  const sockets = new Set<Socket>()
  const busy = new Set<Socket>()
  let idle = () => {}
  let closing = false
  const makeRoom = (newest: Socket) =>
    [...sockets].find((socket) => !busy.has(socket) && socket !== newest) ?? newest
  server.maxRequestsPerSocket = 1
  server.on("connection", (socket) => {
    if (closing) return socket.destroy()
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
    return sockets.size > maxSockets ? makeRoom(socket).destroy() : undefined
  })
  server.on("request", ({ socket }, response) => {
    busy.add(socket)
    response.once("close", () => {
      busy.delete(socket)
      if (busy.size === 0) idle()
    })
  })
  // Trouble with a single connection must not end the program.
  server.on("error", () => {})
  const quiet = Effect.async<void>((resume) => {
    closing = true
    idle = () => resume(Effect.void)
    if (busy.size === 0) idle()
  })
  const close = Effect.zipRight(
    Effect.timeoutOption(Effect.interruptible(quiet), "1 second"),
    Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
  )
  return { server, close }
}

const failure = (address: Address, port: number, cause: unknown): ListenFailed => {
  const code = Predicate.hasProperty(cause, "code") && typeof cause.code === "string" ? cause.code : "unknown"
  const place = `${address} ${port === 0 ? "on a free port" : `on port ${port}`}`
  switch (code) {
    case "EADDRINUSE":
      return new ListenFailed({
        reason: "PortBusy",
        detail: `another program listens at ${place}`,
        hint: "End that program, or register and give another port."
      })
    case "EACCES":
    case "EPERM":
      return new ListenFailed({
        reason: "NotAllowed",
        detail: `the system does not allow to listen at ${place}`,
        hint: "Give a port above 1023, or leave it out."
      })
    case "EADDRNOTAVAIL":
    case "EAFNOSUPPORT":
      return new ListenFailed({
        reason: "NoAddress",
        detail: `this machine has no address ${address}`,
        hint: "Give another host, and register that."
      })
    default:
      return new ListenFailed({
        reason: "Failed",
        detail: `it was not possible to listen at ${place} (${code.slice(0, 40)})`,
        hint: "Try again."
      })
  }
}

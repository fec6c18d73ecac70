/**
 * A Redis server of one's own on a free loopback port, for as long as the scope is open. What it is told
 * survives a stop and a start.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { connect, createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { setTimeout as pause } from "node:timers/promises"

export interface Redis {
  readonly url: string
  readonly port: number
  /** Its process id; `undefined` while it is stopped. */
  readonly pid: () => number | undefined
  /** Ends it in order. */
  readonly stop: Effect.Effect<void>
  /** Ends it at once, as a power cut does. */
  readonly kill: Effect.Effect<void>
  /** Starts it again on the same port with the same data, and waits until it answers. */
  readonly start: Effect.Effect<void>
  /** It answers nothing until `resume`. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

const binary = (process.env["PATH"] ?? "").split(delimiter)
  .map((directory) => join(directory, "redis-server"))
  .find((path) => existsSync(path))

/** Whether tests may count on a server: where servers are required, a missing one is a failure. */
export const available: boolean = binary !== undefined || process.env["REQUIRE_SERVERS"] === "1"

/** A server with these settings on top, such as `["--requirepass", "secret"]`. */
export const makeWith = (settings: ReadonlyArray<string>): Effect.Effect<Redis, never, Scope.Scope> =>
  Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "redis-"))),
      (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
    )
    const port = yield* Effect.promise(freePort)
    const server = new Server(port, [...arguments_(port, directory), ...settings])
    const end = () => server.signal("SIGKILL")
    yield* Effect.acquireRelease(
      Effect.sync(() => process.once("exit", end)),
      () => Effect.promise(() => server.end("SIGKILL").finally(() => process.removeListener("exit", end)))
    )
    yield* Effect.promise(() => server.start())
    return {
      url: `redis://127.0.0.1:${port}`,
      port,
      pid: () => server.pid,
      stop: Effect.promise(() => server.end("SIGTERM")),
      kill: Effect.promise(() => server.end("SIGKILL")),
      start: Effect.promise(() => server.start()),
      pause: Effect.sync(() => server.signal("SIGSTOP")),
      resume: Effect.sync(() => server.signal("SIGCONT"))
    }
  })

export const make: Effect.Effect<Redis, never, Scope.Scope> = makeWith([])

/** A cluster of one node, which keeps all hash slots. */
export const cluster: Effect.Effect<Redis, never, Scope.Scope> = Effect.tap(
  makeWith(["--cluster-enabled", "yes"]),
  ({ port }) =>
    Effect.promise(async () => {
      await ask(port, "CLUSTER ADDSLOTSRANGE 0 16383")
      while (!(await ask(port, "CLUSTER INFO")).includes("cluster_state:ok")) await pause(50)
    })
)

const arguments_ = (port: number, directory: string): ReadonlyArray<string> => // dprint-ignore
[
    "--port", String(port), "--bind", "127.0.0.1", "--dir", directory, "--daemonize", "no", "--save", "",
    "--appendonly", "yes", "--loglevel", "warning", "--shutdown-on-sigterm", "now"
  ]

class Server {
  readonly port: number
  readonly args: ReadonlyArray<string>
  private child: ChildProcess | undefined = undefined
  private output = ""

  constructor(port: number, args: ReadonlyArray<string>) {
    this.port = port
    this.args = args
  }

  get pid(): number | undefined {
    return this.child?.pid
  }

  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal)
  }

  /** Waits until it answers, for 15 seconds at most. */
  async start(): Promise<void> {
    if (this.child !== undefined) return
    if (binary === undefined) throw new Error("redis-server is not installed")
    const child = spawn(binary, this.args, { stdio: ["ignore", "pipe", "pipe"] })
    this.child = child
    this.output = ""
    const keep = (chunk: unknown) => {
      this.output = (this.output + String(chunk)).slice(-2000)
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    child.once("exit", () => {
      if (this.child === child) this.child = undefined
    })
    for (let attempt = 0; attempt < 300; attempt++) {
      if (this.child !== child) throw new Error(`redis-server ended at once: ${this.output}`)
      if (await answers(this.port)) return
      await pause(50)
    }
    throw new Error(`redis-server does not answer: ${this.output}`)
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.child
    if (child === undefined) return
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    child.kill(signal)
    child.kill("SIGCONT")
    const late = setTimeout(() => child.kill("SIGKILL"), 5000)
    await ended
    clearTimeout(late)
  }
}

/** A server that asks for a password answers too; one that is still loading its data does not count. */
const answers = async (port: number): Promise<boolean> => /^(\+PONG|-NOAUTH)/.test(await ask(port, "PING"))

/** The beginning of the answer; nothing if there is none within a second. */
const ask = (port: number, command: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(`${command}\r\n`))
    const settle = (answer: string) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1000, () => settle(""))
    socket.once("error", () => settle(""))
    socket.once("data", (data) => settle(data.toString()))
  })

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

/**
 * A real PostgreSQL on a free loopback port in a temporary directory, for as long as the scope is open.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { execFile, spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { promisify } from "node:util"

const run = promisify(execFile)

export interface Postgres {
  /** Of a database that is empty at first; the user owns everything. */
  readonly url: Redacted.Redacted<string>
  readonly port: number
  readonly user: string
  readonly password: string
  /** Of another database, that is made for this call and is empty. */
  readonly database: Effect.Effect<Redacted.Redacted<string>>
  /** The same for this user, password and database. */
  readonly urlOf: (parts: {
    readonly user?: string
    readonly password?: string
    readonly database?: string
  }) => Redacted.Redacted<string>
  /** Runs statements as the owner, outside of what is tested, and gives what psql prints. */
  readonly psql: (statements: string, database?: string) => Effect.Effect<string>
  /** Ends the server and keeps its data: `fast` as an administrator does, `kill` as a power cut does. */
  readonly stop: (how?: "fast" | "kill") => Effect.Effect<void>
  /** Starts it again on the same port, and waits until it answers. */
  readonly start: Effect.Effect<void>
  /**
   * Stops all its processes as they are, so that it takes connections and never answers; and lets them go on.
   */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const versions = (directory: string): ReadonlyArray<string> => {
  try {
    return readdirSync(directory).sort((a, b) => Number(b) - Number(a))
  } catch {
    return []
  }
}

/** The directory of the server's programs, the newest version first. */
const binaries: string | undefined = [
  ...versions("/usr/lib/postgresql").map((version) => `/usr/lib/postgresql/${version}/bin`),
  ...(process.env["PATH"] ?? "").split(delimiter)
].find((directory) => isExecutable(join(directory, "initdb")) && isExecutable(join(directory, "postgres")))

/** Whether there is a PostgreSQL to test with. Where servers are required, a missing one fails the tests. */
export const available: boolean = binaries !== undefined || process.env["REQUIRE_SERVERS"] === "1"

const user = "vault_owner"
const password = "p%40ss w/ord:of?the#owner&"

/** PostgreSQL refuses to run as root. */
const isRoot = process.getuid?.() === 0
const asUser = (command: string, args: ReadonlyArray<string>): readonly [string, ReadonlyArray<string>] =>
  isRoot
    ? ["setpriv", [...privileges, "--", command, ...args]]
    : [command, args]

/** A test process that is killed takes the server with it. */
const privileges = ["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=SIGINT"]

const freePort = async (): Promise<number> => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const idOf = async (flag: string): Promise<number> => Number((await run("id", [flag, "postgres"])).stdout)

/** A directory of the user that the server runs as. */
const makeHome = async (): Promise<string> => {
  const home = mkdtempSync(join(tmpdir(), "effect-credentials-postgres-"))
  chmodSync(home, 0o700)
  if (isRoot) chownSync(home, await idOf("-u"), await idOf("-g"))
  return home
}

const settings = (home: string): string =>
  [
    "listen_addresses = '127.0.0.1'",
    `unix_socket_directories = '${home}'`,
    "fsync = off",
    "synchronous_commit = on",
    "full_page_writes = off",
    "shared_buffers = 16MB",
    "max_connections = 150",
    "log_min_messages = fatal"
  ].join("\n")

const initialize = async (bin: string, home: string): Promise<string> => {
  const data = join(home, "data")
  const secret = join(home, "password")
  writeFileSync(secret, password, { mode: 0o644 })
  await run(
    ...command(join(bin, "initdb"), [
      "--pgdata",
      data,
      "--username",
      user,
      "--auth=scram-sha-256",
      "--pwfile",
      secret,
      "--encoding=UTF8",
      "--locale=C.UTF-8",
      "--no-sync"
    ]),
    { cwd: home }
  )
  writeFileSync(join(data, "postgresql.conf"), settings(home), { flag: "a" })
  return data
}

const command = (path: string, args: ReadonlyArray<string>): [string, Array<string>] => {
  const [program, all] = asUser(path, args)
  return [program, [...all]]
}

/** One server: its data stays, its process comes and goes. */
class Server {
  private child: ChildProcess | undefined
  readonly bin: string
  readonly home: string
  readonly data: string
  readonly port: number

  constructor(bin: string, home: string, data: string, port: number) {
    this.bin = bin
    this.home = home
    this.data = data
    this.port = port
  }

  async start(): Promise<void> {
    if (this.child !== undefined) return
    const args = command(join(this.bin, "postgres"), ["-D", this.data, "-p", String(this.port)])
    const child = spawn(...args, { cwd: this.home, stdio: ["ignore", "ignore", "pipe"] })
    let complaint = ""
    child.stderr?.on("data", (data: Buffer) => complaint = (complaint + data.toString()).slice(-2000))
    this.child = child
    for (let tries = 0; tries < 300; tries++) {
      if (child.exitCode !== null) throw new Error(`PostgreSQL did not start: ${complaint}`)
      if (await this.answers()) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    throw new Error(`PostgreSQL did not answer: ${complaint}`)
  }

  async stop(how: "fast" | "kill"): Promise<void> {
    const child = this.child
    if (child === undefined) return
    this.child = undefined
    const ended = new Promise((resolve) => child.once("exit", resolve))
    const processes = this.processes()
    if (how === "fast") child.kill("SIGINT")
    else processes.forEach((id) => signal(id, "SIGKILL"))
    if (child.exitCode === null && child.signalCode === null) await ended
    if (how === "kill") rmSync(join(this.data, "postmaster.pid"), { force: true })
  }

  /** The process that was started, and those that it has started. */
  processes(): ReadonlyArray<number> {
    const id = this.child?.pid ??
      Number(readFileSync(join(this.data, "postmaster.pid"), "utf8").split("\n")[0])
    const children = readFileSync(`/proc/${id}/task/${id}/children`, "utf8").split(" ").filter(Boolean)
    return [id, ...children.map(Number)]
  }

  async psql(statements: string, database: string): Promise<string> {
    const client = join(this.bin, "psql")
    const args = ["-h", "127.0.0.1", "-p", String(this.port), "-U", user, "-d", database]
    const options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statements]
    const env = { ...process.env, PGPASSWORD: password, PGCONNECT_TIMEOUT: "5" }
    return (await run(client, [...args, ...options], { env })).stdout.trim()
  }

  private async answers(): Promise<boolean> {
    return this.psql("select 1", "postgres").then((answer) => answer === "1", () => false)
  }
}

const signal = (id: number, name: NodeJS.Signals): void => {
  try {
    process.kill(id, name)
  } catch {
    // It has ended meanwhile.
  }
}

/** Starts a server with an empty data directory; both are gone when the scope closes. */
export const make: Effect.Effect<Postgres, never, Scope.Scope> = Effect.gen(function*() {
  if (binaries === undefined) {
    return yield* Effect.dieMessage("PostgreSQL is not installed, and it is required")
  }
  const home = yield* Effect.acquireRelease(
    Effect.promise(makeHome),
    (home) => Effect.sync(() => rmSync(home, { recursive: true, force: true }))
  )
  const data = yield* Effect.promise(() => initialize(binaries, home))
  const server = new Server(binaries, home, data, yield* Effect.promise(freePort))
  const stop = (how: "fast" | "kill" = "fast") => Effect.promise(() => server.stop(how))
  yield* Effect.acquireRelease(Effect.promise(() => server.start()), () => stop("kill"))
  yield* Effect.promise(() => server.psql("create database vault", "postgres"))
  return interfaceOf(server, stop)
})

const interfaceOf = (server: Server, stop: Postgres["stop"]): Postgres => {
  const urlOf: Postgres["urlOf"] = (parts) =>
    Redacted.make(
      `postgresql://${encodeURIComponent(parts.user ?? user)}:${
        encodeURIComponent(parts.password ?? password)
      }`
        + `@127.0.0.1:${server.port}/${parts.database ?? "vault"}`
    )
  const psql: Postgres["psql"] = (statements, database = "vault") =>
    Effect.promise(() => server.psql(statements, database))
  const signalAll = (name: NodeJS.Signals) =>
    Effect.sync(() => server.processes().forEach((id) => signal(id, name)))
  let databases = 0
  return {
    url: urlOf({}),
    port: server.port,
    user,
    password,
    database: Effect.suspend(() => {
      const database = `vault_${++databases}`
      return Effect.as(psql(`create database ${database}`, "postgres"), urlOf({ database }))
    }),
    urlOf,
    psql,
    stop,
    start: Effect.promise(() => server.start()),
    freeze: signalAll("SIGSTOP"),
    thaw: signalAll("SIGCONT")
  }
}

import * as Reactivity from "@effect/experimental/Reactivity"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FileSystem from "@effect/platform/FileSystem"
import * as LibsqlClient from "@effect/sql-libsql/LibsqlClient"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Statement from "@effect/sql/Statement"
import type * as Vault from "effect-credentials/vault/Vault"
import type { VaultError } from "effect-credentials/vault/VaultError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { connect, createServer } from "node:net"
import type { AddressInfo, Socket } from "node:net"
import { fileURLToPath, pathToFileURL } from "node:url"
import { inspect } from "node:util"

/**
 * A path in a directory that is removed at the end of the scope; neither its last directory nor the file
 * exists.
 */
export const freshPath: Effect.Effect<string, never, Scope.Scope> = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.makeTempDirectoryScoped()
).pipe(
  Effect.map((home) => `${home}/vault/records.db`),
  Effect.orDie,
  Effect.provide(NodeContext.layer)
)

/**
 * A connection of its own to a SQLite file, as one of several that look at it. It must not meet a lock:
 * libsql does not recover from that.
 */
export const sqlite = (path: string): Effect.Effect<SqlClient.SqlClient, never, Scope.Scope> =>
  Effect.gen(function*() {
    const libsql = yield* Layer.build(LibsqlClient.layer({ url: pathToFileURL(path) }))
    return yield* SqlClient.make({
      acquirer: Context.get(libsql, LibsqlClient.LibsqlClient).reserve,
      compiler: Statement.makeCompilerSqlite(),
      spanAttributes: []
    })
  }).pipe(Effect.provide(Reactivity.layer))

export const secret = (text: string): Redacted.Redacted<string> => Redacted.make(text)

export const valueOf = (
  vault: Vault.Service,
  key: string
): Effect.Effect<string | undefined, VaultError> =>
  Effect.map(
    vault.get(key),
    (entry) => Option.getOrUndefined(Option.map(entry, ({ value }) => Redacted.value(value)))
  )

/** Everything of an error that a person or a log may come to see. */
export const shown = (error: object): string =>
  [
    String(error),
    JSON.stringify(error, (_, value: unknown) => typeof value === "bigint" ? String(value) : value),
    inspect(error, { depth: 20, showHidden: true })
  ].join("\n")

/** A program of its own that works on the vault there. */
export const program = (where: string, times: number, env: NodeJS.ProcessEnv = {}): Effect.Effect<string> =>
  Effect.promise(() =>
    new Promise((resolve, reject) => {
      const args = ["--import", "tsx", fixture, where, String(times)]
      execFile(process.execPath, args, { env: { ...process.env, ...env }, timeout: 60_000 }, (error, out) =>
        error === null ? resolve(out) : reject(error))
    })
  )

const fixture = fileURLToPath(new URL("../fixtures/sqlVault.ts", import.meta.url))

/**
 * Stands before a server of this machine. What clients send can be held back, a piece of the stream at a time,
 * and is sent on when it is released, even if the client has long gone.
 */
export const stallingProxy = (
  target: number
): Effect.Effect<
  { readonly port: number; readonly stallAfter: (pieces: number) => void; readonly release: () => void },
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    let passing = Infinity
    let held: Array<() => void> = []
    const sockets = new Set<Socket>()
    const through = (client: Socket) => {
      const server = connect(target, "127.0.0.1")
      for (const socket of [client, server]) sockets.add(socket.on("error", () => undefined))
      const send = (work: () => void) => {
        if (passing > 0) work()
        else held.push(work)
      }
      client.on("data", (data) => {
        send(() => server.write(data))
        passing--
      })
      client.on("close", () => send(() => server.end()))
      server.on("data", (data) => client.write(data))
    }
    const listener = createServer({ allowHalfOpen: true }, through)
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void listener.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.sync(() => {
          listener.close()
          for (const socket of sockets) socket.destroy()
        })
    )
    return {
      port: (listener.address() as AddressInfo).port,
      stallAfter: (pieces) => {
        passing = pieces
      },
      release: () => {
        passing = Infinity
        const works = held
        held = []
        for (const work of works) work()
      }
    }
  })

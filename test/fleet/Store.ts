/** The store that the processes of a fleet share, and how it fails for a while. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import type * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Postgres from "../support/Postgres.js"
import * as Redis from "../support/Redis.js"
import { open } from "./open.js"
import type { Place } from "./protocol.js"

export const kinds = ["file", "postgres", "redis", "libsql"] as const

export type Kind = typeof kinds[number]

export interface Outage {
  readonly name: string
  readonly begin: Effect.Effect<void>
  readonly end: Effect.Effect<void>
}

export interface Store {
  readonly kind: Kind
  readonly place: Place
  /** The ways in which it can fail here; none where nothing of the kind is permitted. */
  readonly outages: ReadonlyArray<Outage>
  /** What must not be shown either. */
  readonly secrets: ReadonlyArray<string>
}

/** In this directory, as far as it is about files; one that is to fail gets a small disk of its own. */
export const start = (
  kind: Kind,
  directory: string,
  fails: boolean
): Effect.Effect<Store, never, Scope.Scope> => {
  switch (kind) {
    case "file":
      return Effect.map(fails ? disk(directory) : bare(directory), ({ home, outages }) => ({
        kind,
        place: { _tag: "File", directory: path.join(home, "vault") },
        outages,
        secrets: []
      }))
    case "libsql":
      return Effect.succeed({
        kind,
        place: { _tag: "Libsql", path: path.join(directory, "vault", "vault.db") },
        outages: [],
        secrets: []
      })
    case "postgres":
      return postgres
    case "redis":
      return redis
  }
}

const bare = (
  home: string
): Effect.Effect<{ readonly home: string; readonly outages: ReadonlyArray<Outage> }> =>
  Effect.succeed({ home, outages: [] })

/** A small disk of its own that can get full, where permitted; else a directory that gets read-only. */
const disk = Effect.fnUntraced(function*(directory: string) {
  const home = path.join(directory, "disk")
  fs.mkdirSync(home)
  const isMounted = yield* Effect.acquireRelease(
    Effect.sync(() => succeeds("mount", ["-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", home])),
    (isMounted) => Effect.sync(() => isMounted && execFileSync("umount", ["-l", home]))
  )
  const outages = isMounted
    ? [full(home)]
    : process.getuid?.() === 0
    ? []
    : [readOnly(path.join(home, "vault"))]
  return { home, outages }
})

const succeeds = (command: string, args: ReadonlyArray<string>): boolean => {
  try {
    execFileSync(command, args, { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

const full = (home: string): Outage => {
  const ballast = path.join(home, "ballast")
  const fill = () => {
    const file = fs.openSync(ballast, "w")
    try {
      for (;;) fs.writeSync(file, Buffer.alloc(4096))
    } catch {
      // It is full now.
    } finally {
      fs.closeSync(file)
    }
  }
  return {
    name: "the disk is full",
    begin: Effect.sync(fill),
    end: Effect.sync(() => fs.rmSync(ballast, { force: true }))
  }
}

const readOnly = (directory: string): Outage => ({
  name: "the directory is read-only",
  begin: Effect.sync(() => fs.chmodSync(directory, 0o500)),
  end: Effect.sync(() => fs.chmodSync(directory, 0o700))
})

const postgres: Effect.Effect<Store, never, Scope.Scope> = Effect.gen(function*() {
  const server = yield* Postgres.make
  // What was committed must survive a kill of the server, as it does with PostgreSQL's own defaults.
  yield* server.psql("alter system set synchronous_commit = on", "postgres")
  yield* server.psql("alter system set max_connections = 250", "postgres")
  yield* Effect.zipRight(server.stop(), server.start)
  return {
    kind: "postgres",
    place: { _tag: "Postgres", url: Redacted.value(server.url) },
    outages: [
      { name: "the server is stopped", begin: server.stop("fast"), end: server.start },
      { name: "the server is killed", begin: server.stop("kill"), end: server.start },
      { name: "the server hangs", begin: server.freeze, end: server.thaw }
    ],
    secrets: [server.password]
  }
})

const redis: Effect.Effect<Store, never, Scope.Scope> = Effect.map(Redis.make, (server) => ({
  kind: "redis",
  place: { _tag: "Redis", url: server.url },
  outages: [
    { name: "the server is stopped", begin: server.stop, end: server.start },
    { name: "the server is killed", begin: server.kill, end: server.start },
    { name: "the server hangs", begin: server.pause, end: server.resume }
  ],
  secrets: []
}))

/** The harness's own view of the vault. */
export const openHere = ({ place }: Store): Effect.Effect<Vault.Service, never, Scope.Scope> =>
  Effect.orDie(Effect.provide(open(place), [NodeFileSystem.layer, NodePath.layer]))

import * as NodeContext from "@effect/platform-node/NodeContext"
import { afterAll, beforeAll, describe } from "@effect/vitest"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as LibsqlVault from "effect-credentials/vault/LibsqlVault"
import * as PostgresVault from "effect-credentials/vault/PostgresVault"
import * as RedisVault from "effect-credentials/vault/RedisVault"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Postgres from "../support/Postgres.js"
import * as Redis from "../support/Redis.js"
import { sharedPostgres } from "../support/sharedPostgres.js"
import { conformsTogether } from "./conformance.js"
import { freshPath } from "./sql.js"
import { platform, temporary } from "./temporary.js"

conformsTogether(
  "FileVault",
  { writable: true, list: true, compareAndSet: "process", lease: "shared", announce: "none" },
  Effect.map(temporary, ({ directory }) => Layer.provide(FileVault.layer({ directory }), platform)).pipe(
    Effect.provide(platform)
  )
)

conformsTogether(
  "LibsqlVault",
  { writable: true, list: true, compareAndSet: "shared", lease: "shared", announce: "none" },
  Effect.map(freshPath, (path) => Layer.provide(LibsqlVault.layer({ path }), NodeContext.layer))
)

const onServer = {
  writable: true,
  list: true,
  compareAndSet: "shared",
  lease: "shared",
  announce: "shared"
} as const

describe.skipIf(!Redis.available)("on a real Redis", () => {
  const scope = Effect.runSync(Scope.make())
  let url = ""
  beforeAll(async () => {
    url = (await Effect.runPromise(Scope.extend(Redis.make, scope))).url
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  conformsTogether("RedisVault", onServer, Effect.sync(() => RedisVault.layer({ url })))
})

describe.skipIf(!Postgres.available)("on a real PostgreSQL", () => {
  const server = sharedPostgres()
  conformsTogether(
    "PostgresVault",
    onServer,
    Effect.map(Effect.flatMap(server, ({ database }) => database), (url) => PostgresVault.layer({ url }))
  )
})

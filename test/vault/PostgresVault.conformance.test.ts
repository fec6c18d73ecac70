import { describe } from "@effect/vitest"
import * as PostgresVault from "effect-credentials/vault/PostgresVault"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Postgres from "../support/Postgres.js"
import { sharedPostgres } from "../support/sharedPostgres.js"
import { conforms } from "./conformance.js"

describe.skipIf(!Postgres.available)("on a real server", () => {
  const server = sharedPostgres()
  const database = Effect.flatMap(server, ({ database }) => database)
  conforms(
    "PostgresVault",
    { writable: true, list: true, compareAndSet: "shared", lease: "shared", announce: "shared" },
    Layer.unwrapEffect(Effect.map(database, (url) => PostgresVault.layer({ url })))
  )
})

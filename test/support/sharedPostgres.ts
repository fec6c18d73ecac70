import { afterAll, beforeAll } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Postgres from "./Postgres.js"

/** One server for all tests of the `describe` that calls this. */
export const sharedPostgres = (): Effect.Effect<Postgres.Postgres> => {
  const scope = Effect.runSync(Scope.make())
  const server = Effect.runSync(Deferred.make<Postgres.Postgres>())
  beforeAll(() => Effect.runPromise(Deferred.complete(server, Scope.extend(Postgres.make, scope))))
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return Deferred.await(server)
}

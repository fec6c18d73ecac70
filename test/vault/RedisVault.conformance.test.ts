import { afterAll, beforeAll, describe } from "@effect/vitest"
import * as RedisVault from "effect-credentials/vault/RedisVault"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Redis from "../support/Redis.js"
import { conforms } from "./conformance.js"

/** One server for all cases; each gets a vault of its own. */
const onServer = (
  backend: string,
  server: Effect.Effect<Redis.Redis, never, Scope.Scope>,
  options: RedisVault.Settings
) =>
  describe.skipIf(!Redis.available)(backend, () => {
    const scope = Effect.runSync(Scope.make())
    let url = ""
    beforeAll(async () => {
      url = (await Effect.runPromise(Scope.extend(server, scope))).url
    })
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    conforms(
      backend,
      { writable: true, list: true, compareAndSet: "shared", lease: "shared", announce: "shared" },
      Layer.suspend(() => RedisVault.layer({ url, ...options }))
    )
  })

onServer("RedisVault", Redis.make, {})

// Such a server refuses a script whose keys are in more than one hash slot.
onServer("RedisVault on a node of a cluster", Redis.cluster, { prefix: "a*[b]?^\\:" })

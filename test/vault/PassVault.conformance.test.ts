import * as NodeContext from "@effect/platform-node/NodeContext"
import { afterAll, beforeAll, describe, vi } from "@effect/vitest"
import * as PassVault from "effect-credentials/vault/PassVault"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as PasswordStore from "../support/PasswordStore.js"
import { conforms } from "./conformance.js"

// Each call of the vault is several programs.
vi.setConfig({ testTimeout: 60_000 })

describe.skipIf(!PasswordStore.available)("on a real password store", () => {
  const scope = Effect.runSync(Scope.make())
  let store: PasswordStore.PasswordStore | undefined
  beforeAll(async () => {
    store = await Effect.runPromise(Scope.extend(PasswordStore.make, scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  conforms(
    "PassVault",
    { writable: true, list: true, compareAndSet: "process", lease: "none", announce: "none" },
    Layer.suspend(() =>
      PassVault.layer({ storeDirectory: store?.storeDirectory ?? "", gnupgHome: store?.gnupgHome })
    ).pipe(Layer.provide(NodeContext.layer))
  )
})

import { afterAll, beforeAll, describe } from "@effect/vitest"
import * as KeychainVault from "effect-credentials/vault/KeychainVault"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as SecretService from "../support/SecretService.js"
import { conforms } from "./conformance.js"

const capabilities = {
  writable: true,
  list: true,
  compareAndSet: "process",
  lease: "none",
  announce: "none"
} as const

describe.skipIf(!SecretService.available)("on a real Secret Service", () => {
  const scope = Effect.runSync(Scope.make())
  beforeAll(() => Effect.runPromise(Effect.asVoid(Scope.extend(SecretService.make(), scope))))
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  conforms("KeychainVault", capabilities, KeychainVault.layer({ service: "conformance" }))
  conforms(
    "KeychainVault in pieces",
    capabilities,
    KeychainVault.layer({ service: "conformance in pieces", maxEntryBytes: 32 * 1024 })
  )
})

import { assert, it } from "@effect/vitest"
import * as KeychainVault from "effect-credentials/vault/KeychainVault"
import * as Effect from "effect/Effect"
import { vi } from "vitest"

vi.mock("@napi-rs/keyring", () => {
  throw new Error("Cannot find native binding.")
})

it.effect("without the binding, or its native part, a vault is not made and says what to install", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(KeychainVault.make({ service: "missing" }))
    assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "StoreUnsupported"])
    assert.include(error.hint, "Install @napi-rs/keyring")
    const found = yield* KeychainVault.probe({ service: "missing" })
    assert.strictEqual(found._tag, "Absent")
  }))

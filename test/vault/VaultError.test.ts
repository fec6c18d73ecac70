import { expect, it } from "@effect/vitest"
import * as VaultError from "effect-credentials/vault/VaultError"

const fields = { vault: "file", action: "get", detail: "what happened", hint: "Do this." } as const

it.each([
  [new VaultError.Locked(fields), "TransientFailure", "StoreLocked"],
  [new VaultError.Unreachable(fields), "TransientFailure", "StoreUnreachable"],
  [new VaultError.Conflict(fields), "TransientFailure", "StoreConflict"],
  [new VaultError.Denied(fields), "Misconfigured", "StoreDenied"],
  [new VaultError.Corrupt(fields), "Misconfigured", "StoreCorrupt"],
  [new VaultError.Unsupported(fields), "Misconfigured", "StoreUnsupported"]
])("%s is a %s with reason %s", (error, tag, reason) => {
  expect(error.message).toBe("file: get: what happened. Do this.")
  const told = VaultError.toTokenError(error, "source")
  expect(told).toMatchObject({ _tag: tag, reason, source: "source", hint: "Do this." })
  expect(told.message).toBe("source: file: get: what happened. Do this.")
})

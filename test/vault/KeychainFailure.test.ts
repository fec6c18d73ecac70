import { describe, expect, it } from "@effect/vitest"
import { classify } from "effect-credentials/vault/internal/keychainFailure"

describe("a keychain service that has gone away is not absent:", () => {
  for (
    const message of [
      "Platform failure: DBus error: Failed to connect to socket /run/user/1/bus: Connection refused",
      "zbus error: I/O error: Connection refused (os error 111)",
      "Platform failure: DBus error: org.freedesktop.DBus.Error.Disconnected",
      "Platform failure: DBus error: Connection reset by peer",
      "zbus error: I/O error: Broken pipe (os error 32)"
    ]
  ) {
    it(message.slice(0, 100), () => expect(classify(new Error(message)).reason).toBe("Failed"))
  }
})

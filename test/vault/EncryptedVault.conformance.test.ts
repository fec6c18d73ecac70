import * as EncryptedVault from "effect-credentials/vault/EncryptedVault"
import * as EncryptionKey from "effect-credentials/vault/EncryptionKey"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { conforms } from "./conformance.js"
import { layer as files } from "./temporary.js"

const encrypted = EncryptedVault.layer({ keys: Effect.map(EncryptionKey.generate, (key) => [key] as const) })

conforms(
  "EncryptedVault over MemoryVault",
  { writable: true, list: true, compareAndSet: "process", lease: "process", announce: "process" },
  Layer.provide(encrypted, MemoryVault.layer)
)

conforms(
  "EncryptedVault over FileVault",
  { writable: true, list: true, compareAndSet: "process", lease: "shared", announce: "none" },
  Layer.provide(encrypted, files)
)

conforms(
  "EncryptedVault over EncryptedVault",
  { writable: true, list: true, compareAndSet: "process", lease: "process", announce: "process" },
  Layer.provide(encrypted, Layer.provide(encrypted, MemoryVault.layer))
)

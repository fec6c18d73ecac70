import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import { conforms } from "./conformance.js"

conforms(
  "MemoryVault",
  { writable: true, list: true, compareAndSet: "process", lease: "process", announce: "process" },
  MemoryVault.layer
)

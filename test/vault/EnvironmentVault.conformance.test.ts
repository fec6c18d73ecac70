import * as EnvironmentVault from "effect-credentials/vault/EnvironmentVault"
import { conforms } from "./conformance.js"

conforms(
  "EnvironmentVault",
  { writable: false, list: false, compareAndSet: "none", lease: "none", announce: "none" },
  EnvironmentVault.layer({ prefix: "EFFECT_CREDENTIALS_TEST_" })
)

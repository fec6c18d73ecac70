/** What a store of texts can answer instead of doing what it was asked. */
import type { Action, VaultError } from "../VaultError.js"
import { Corrupt, Denied, Locked, Unreachable, Unsupported } from "../VaultError.js"

/** Why it was not done. Whatever the system or a program said is not shown: it is of no known length and language. */
export interface Failure {
  readonly reason: "Absent" | "Locked" | "Denied" | "TooLong" | "Spoilt" | "Failed"
  readonly detail: string
  readonly hint: string
}

/** The same as the vault gives it. */
export const toVaultError = (vault: string, action: Action) => (failure: Failure): VaultError => {
  const fields = { vault, action, detail: failure.detail, hint: failure.hint }
  switch (failure.reason) {
    case "Locked":
      return new Locked(fields)
    case "Denied":
      return new Denied(fields)
    case "TooLong":
      return new Unsupported(fields)
    case "Spoilt":
      return new Corrupt(fields)
    case "Absent":
    case "Failed":
      return new Unreachable(fields)
  }
}

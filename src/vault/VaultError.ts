/**
 * What can go wrong with a vault. That a record is missing is no error but a `None`; everything else is one
 * of these six, because each asks for another next step. No field ever holds a stored value.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import { Misconfigured, TransientFailure } from "../TokenError.js"

/**
 * The method of the vault that failed.
 *
 * @since 0.1.0
 * @category models
 */
export type Action = "get" | "set" | "compareAndSet" | "remove" | "list" | "lease" | "changes"

/**
 * The fields that every vault error has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fields {
  /** The name of the vault. */
  readonly vault: string
  readonly action: Action
  /** What happened, in one clause without secrets. */
  readonly detail: string
  /** What to do about it, in one sentence. */
  readonly hint: string
}

const render = (fields: Fields): string =>
  `${fields.vault}: ${fields.action}: ${fields.detail}. ${fields.hint}`

/**
 * The vault, or a lease in it, is held by somebody else or locked; it may open later.
 *
 * @since 0.1.0
 * @category errors
 */
export class Locked extends Data.TaggedError("Locked")<Fields> {
  override get message(): string {
    return render(this)
  }
}

/**
 * The vault refuses this program, or this program refuses the vault as unsafe.
 *
 * @since 0.1.0
 * @category errors
 */
export class Denied extends Data.TaggedError("Denied")<Fields> {
  override get message(): string {
    return render(this)
  }
}

/**
 * There is a record, but it isn't one that this library can have written in whole.
 *
 * @since 0.1.0
 * @category errors
 */
export class Corrupt extends Data.TaggedError("Corrupt")<Fields> {
  override get message(): string {
    return render(this)
  }
}

/**
 * The vault did not answer, or its medium failed; whether a write took place is unknown.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unreachable extends Data.TaggedError("Unreachable")<Fields> {
  override get message(): string {
    return render(this)
  }
}

/**
 * The record is not at the version that was expected; nothing was written.
 *
 * @since 0.1.0
 * @category errors
 */
export class Conflict extends Data.TaggedError("Conflict")<Fields> {
  override get message(): string {
    return render(this)
  }
}

/**
 * This vault can't do that, with any credentials and at any time.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unsupported extends Data.TaggedError("Unsupported")<Fields> {
  override get message(): string {
    return render(this)
  }
}

/**
 * Everything that a vault can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type VaultError = Locked | Denied | Corrupt | Unreachable | Conflict | Unsupported

/**
 * The same failure as a token source gives it: locks, outages and conflicts may pass, the rest wants
 * somebody's hand.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toTokenError = (error: VaultError, source: string): TransientFailure | Misconfigured => {
  const fields = { source, detail: `${error.vault}: ${error.action}: ${error.detail}`, hint: error.hint }
  switch (error._tag) {
    case "Locked":
      return new TransientFailure({ ...fields, reason: "StoreLocked", retryAt: undefined })
    case "Unreachable":
      return new TransientFailure({ ...fields, reason: "StoreUnreachable", retryAt: undefined })
    case "Conflict":
      return new TransientFailure({ ...fields, reason: "StoreConflict", retryAt: undefined })
    case "Denied":
      return new Misconfigured({ ...fields, reason: "StoreDenied" })
    case "Corrupt":
      return new Misconfigured({ ...fields, reason: "StoreCorrupt" })
    case "Unsupported":
      return new Misconfigured({ ...fields, reason: "StoreUnsupported" })
  }
}

/**
 * What a process remembers about the grants of a vault, shared by everything in it that works on the same
 * records.
 */
import type * as Fiber from "effect/Fiber"
import { globalValue } from "effect/GlobalValue"
import type * as Option from "effect/Option"
import type { GrantRecord } from "../GrantRecord.js"
import type * as Vault from "../Vault.js"
import * as Turns from "./turns.js"

/**
 * A grant that is not stored yet. Nobody has seen its token. A renewal replaces just what it renewed, a login
 * whatever is there.
 */
export type Unsaved =
  | { readonly _tag: "Renewal"; readonly record: GrantRecord; readonly over: Versioned }
  | { readonly _tag: "Login"; readonly record: GrantRecord; readonly seen: Seen }

/** What was there when a login was to be stored; nothing is known where that could not be read. */
export type Seen = Option.Option<Versioned> | "Unknown"

export interface Versioned {
  readonly record: GrantRecord
  readonly version: string
}

export interface Pending {
  /** One redeem transaction a key. */
  readonly transactions: Turns.Turns
  /** One login a key. Taken before, never inside, a transaction. */
  readonly logins: Turns.Turns
  /** What the logins of a key share. */
  readonly loginMemories: Map<string, Turns.Memory>
  readonly unsaved: Map<string, Unsaved>
  /** The write that has not ended, even though nobody waits for it any more. */
  readonly running: Map<string, Fiber.RuntimeFiber<unknown, unknown>>
  /** The record that was refused last: it isn't sent again, even if the vault can't be told. */
  readonly refused: Map<string, GrantRecord>
  /** The record whose journal is open although its request had no effect: the vault could not be told. */
  readonly answered: Map<string, GrantRecord>
  /** The record that the issuer last called an invalid request. */
  readonly doubted: Map<string, GrantRecord>
  /** Whether it was said that the vault has no leases. */
  hasWarned: boolean
}

const all = globalValue("effect-credentials/vault/pending", () => new WeakMap<Vault.Identity, Pending>())

export const of = ({ identity }: Vault.Service): Pending => {
  const known = all.get(identity)
  if (known !== undefined) return known
  const made: Pending = {
    transactions: Turns.unsafeMake(),
    logins: Turns.unsafeMake(),
    loginMemories: new Map(),
    unsaved: new Map(),
    running: new Map(),
    refused: new Map(),
    doubted: new Map(),
    answered: new Map(),
    hasWarned: false
  }
  all.set(identity, made)
  return made
}

/**
 * What a process remembers about the grants of a vault, shared by everything in it that works on the same
 * vault.
 */
import { globalValue } from "effect/GlobalValue"
import type { GrantRecord } from "../GrantRecord.js"
import type * as Vault from "../Vault.js"
import * as Turns from "./turns.js"

/** A grant that is not stored yet. Nobody has seen its token. */
export interface Unsaved {
  readonly record: GrantRecord
  /** What it replaces: a renewal replaces just that, a login whatever is there. */
  readonly over: Versioned | "Anything"
}

export interface Versioned {
  readonly record: GrantRecord
  readonly version: string
}

export interface Pending {
  /** One redeem transaction a key. */
  readonly transactions: Turns.Turns
  /** One login a key. Taken before, never inside, a transaction. */
  readonly logins: Turns.Turns
  readonly unsaved: Map<string, Unsaved>
  /** The record that was refused last: it isn't sent again, even if the vault can't be told. */
  readonly refused: Map<string, GrantRecord>
  /** The record that the issuer last called an invalid request. */
  readonly doubted: Map<string, GrantRecord>
}

const all = globalValue("effect-credentials/vault/pending", () => new WeakMap<Vault.Service, Pending>())

export const of = (vault: Vault.Service): Pending => {
  const known = all.get(vault)
  if (known !== undefined) return known
  const made: Pending = {
    transactions: Turns.unsafeMake(),
    logins: Turns.unsafeMake(),
    unsaved: new Map(),
    refused: new Map(),
    doubted: new Map()
  }
  all.set(vault, made)
  return made
}

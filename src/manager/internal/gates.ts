/** The gates of the logins that open by themselves: one for each grant of each vault, never one for all. */
import { globalValue } from "effect/GlobalValue"
import * as LoginGate from "../../login/LoginGate.js"
import type * as Vault from "../../vault/Vault.js"
import * as VaultKey from "../../vault/VaultKey.js"

const all = globalValue(
  "effect-credentials/manager/gates",
  () => new WeakMap<Vault.Identity, Map<string, LoginGate.LoginGate>>()
)

/** The same for all sources of this process that keep their grant in the same place. */
export const of = ({ identity }: Vault.Service, key: VaultKey.Input): LoginGate.LoginGate => {
  const gates = all.get(identity) ?? new Map<string, LoginGate.LoginGate>()
  all.set(identity, gates)
  const name = VaultKey.nameOf(key)
  const gate = gates.get(name) ?? LoginGate.unsafeMake()
  gates.set(name, gate)
  return gate
}

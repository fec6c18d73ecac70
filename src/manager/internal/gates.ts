/** The gates of the logins for resources: one for each place in a vault, whoever uses it in this process. */
import { globalValue } from "effect/GlobalValue"
import * as LoginGate from "../../LoginGate.js"
import type * as Vault from "../../vault/Vault.js"

const all = globalValue(
  "effect-credentials/manager/gates",
  () => new WeakMap<Vault.Identity, Map<string, LoginGate.LoginGate>>()
)

export const at = ({ identity }: Vault.Service, place: string): LoginGate.LoginGate => {
  const gates = all.get(identity) ?? new Map<string, LoginGate.LoginGate>()
  const gate = gates.get(place) ?? LoginGate.unsafeMake()
  all.set(identity, gates.set(place, gate))
  return gate
}

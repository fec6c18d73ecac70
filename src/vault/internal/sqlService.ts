/** The vault over a place in a database. */
import * as Stream from "effect/Stream"
import type * as Vault from "../Vault.js"
import { unsupported } from "./contract.js"
import * as Leasing from "./leasing.js"
import * as Leases from "./sqlLeases.js"
import type { Place } from "./sqlPlace.js"
import * as Records from "./sqlRecords.js"

export const make = (place: Place, identity: Vault.Identity): Vault.Service => ({
  name: place.vault,
  identity,
  capabilities,
  get: (key) => Records.get(place, key),
  set: (key, value) => Records.set(place, key, value),
  compareAndSet: (key, expected, value) => Records.compareAndSet(place, key, expected, value),
  remove: (key, options) => Records.remove(place, key, options?.version),
  list: (prefix) => Records.list(place, prefix),
  lease: Leasing.make(place.vault, Leases.make(place)),
  changes: () => Stream.fail(unsupported(place.vault, "changes", "nothing here listens to the database"))
})

const capabilities: Vault.Capabilities = {
  writable: true,
  list: true,
  compareAndSet: "shared",
  lease: "shared",
  announce: "none",
  maxValueBytes: Records.maxValueBytes
}

import { describe, it } from "@effect/vitest"
import * as VaultConformance from "effect-credentials/testing/VaultConformance"
import type * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"

/** Registers the whole suite; each case gets a vault of its own. */
export const conforms = <E>(
  backend: string,
  capabilities: Omit<Vault.Capabilities, "maxValueBytes">,
  layer: Layer.Layer<Vault.Vault, E>
): void => {
  describe(`${backend} keeps the contract of vaults`, () => {
    for (const { applies, name, run } of VaultConformance.cases) {
      const register = applies({ maxValueBytes: 1024, ...capabilities }) ? it.live : it.live.skip
      register(name, () => Effect.provide(run, layer))
    }
  })
}

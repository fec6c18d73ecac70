import { describe, it } from "@effect/vitest"
import * as VaultConformance from "effect-credentials/testing/VaultConformance"
import * as Vault from "effect-credentials/vault/Vault"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

type Declared = Omit<Vault.Capabilities, "maxValueBytes">

const register = ({ applies }: Pick<VaultConformance.Case, "applies">, capabilities: Declared) =>
  applies({ maxValueBytes: 1024, ...capabilities }) ? it.live : it.live.skip

/** Registers the whole suite; each case gets a vault of its own. */
export const conforms = <E>(
  backend: string,
  capabilities: Declared,
  layer: Layer.Layer<Vault.Vault, E>
): void => {
  describe(`${backend} keeps the contract of vaults`, () => {
    for (const one of VaultConformance.cases) {
      register(one, capabilities)(one.name, () => Effect.provide(one.run, layer))
    }
  })
}

/**
 * Registers what vaults over the same records promise each other; each case gets a place of its own, and two
 * vaults there that are built apart.
 */
export const conformsTogether = <E, E2>(
  backend: string,
  capabilities: Declared,
  place: Effect.Effect<Layer.Layer<Vault.Vault, E>, E2, Scope.Scope>
): void => {
  describe(`two of ${backend} keep the contract of vaults`, () => {
    for (const one of VaultConformance.sharedCases) {
      register(one, capabilities)(
        one.name,
        () => Effect.scoped(Effect.flatMap(place, (layer) => one.run(opened(layer))))
      )
    }
  })
}

const opened = <E>(layer: Layer.Layer<Vault.Vault, E>): Effect.Effect<Vault.Service, E, Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(layer)), Context.get(Vault.Vault))

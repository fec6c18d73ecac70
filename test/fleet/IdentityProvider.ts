/** The identity provider of a fleet, as a handle on its process. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Processes from "./Processes.js"
import type { Entry, Faults, Login, ProviderSettings } from "./protocol.js"

export interface IdentityProvider {
  /** Of its endpoints. */
  readonly address: string
  readonly process: Processes.Process
  /** A new family: someone logs in. */
  readonly login: Effect.Effect<Login>
  /** From now on, these and no others. */
  readonly faults: (faults: Partial<Faults>) => Effect.Effect<void>
  /** What happens to the next requests that redeem, one after the other. */
  readonly next: (faults: ReadonlyArray<Entry["fault"]>) => Effect.Effect<void>
  readonly log: Effect.Effect<ReadonlyArray<Entry>>
  /** All tokens that it ever gave. */
  readonly secrets: Effect.Effect<ReadonlyArray<string>>
}

interface Hello {
  readonly address: string
}

export const start = (
  program: string,
  settings: ProviderSettings,
  args?: ReadonlyArray<string>
): Effect.Effect<IdentityProvider, never, Scope.Scope> =>
  Effect.gen(function*() {
    const hello = yield* Deferred.make<Hello>()
    const provider = yield* Processes.start({
      program,
      args,
      env: { FLEET_PROVIDER: JSON.stringify(settings) },
      onMessage: (message) => Deferred.unsafeDone(hello, Effect.succeed(message as Hello)),
      onExit: (ending) =>
        Deferred.unsafeDone(hello, Effect.dieMessage(`the identity provider ended: ${ending}`))
    })
    const { address } = yield* Effect.tapDefect(
      Deferred.await(hello),
      () => Effect.sync(() => console.error(provider.output()))
    )
    const ask = <A>(path: string, body: unknown) =>
      Effect.promise(async () => {
        const response = await fetch(`${address}/control/${path}`, {
          method: "POST",
          body: JSON.stringify(body)
        })
        if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
        return await response.json() as A
      })
    return {
      address,
      process: provider,
      login: ask<Login>("login", {}),
      faults: (faults) => ask("faults", faults),
      next: (faults) => ask("next", faults),
      log: ask<ReadonlyArray<Entry>>("log", {}),
      secrets: ask<ReadonlyArray<string>>("secrets", {})
    }
  })

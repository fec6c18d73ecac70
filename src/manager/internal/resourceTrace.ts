/** Where the grant of the last login for a resource is kept, for a logout while nothing can be found out. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { TokenError } from "../../TokenError.js"
import * as Persisted from "../../vault/Persisted.js"
import * as Vault from "../../vault/Vault.js"
import { toTokenError } from "../../vault/VaultError.js"
import * as VaultKey from "../../vault/VaultKey.js"
import type { Options } from "../ResourceSettings.js"

export interface Trace {
  /** Writes it down, where the vault takes it. */
  readonly note: (key: VaultKey.VaultKey) => Effect.Effect<void>
  /** What was written down, and whether a grant is stored there. */
  readonly find: Effect.Effect<Option.Option<Traced>>
}

export interface Traced {
  readonly isStored: boolean
  /** Removes the grant; nobody outside is asked. */
  readonly forget: Effect.Effect<void, TokenError>
}

export const make = <R>(options: Options<R>, name: string): Effect.Effect<Trace, never, Vault.Vault> =>
  Effect.zipWith(Vault.Vault, placeOf(options), (vault, place) => {
    const tracedAt = (key: VaultKey.VaultKey) =>
      Effect.map(
        Effect.orElseSucceed(Effect.map(vault.get(key.name), Option.isSome), () => true),
        (isStored): Traced => ({
          isStored,
          forget: Persisted.forget(key).pipe(
            Effect.provideService(Vault.Vault, vault),
            Effect.mapError((error) => toTokenError(error, name))
          )
        })
      )
    return {
      note: ({ binding }) =>
        Effect.ignore(Effect.timeout(vault.set(place, Redacted.make(binding)), patience)),
      find: Effect.flatMap(
        Effect.orElseSucceed(vault.get(place), Option.none),
        (entry) =>
          Effect.transposeOption(
            Option.map(
              Option.filter(Option.map(entry, ({ value }) => Redacted.value(value)), isBinding),
              (binding) => tracedAt(keyOf(binding))
            )
          )
      )
    }
  })

/** For a vault that is slow: a login doesn't wait for it for long. */
const patience = "5 seconds"

/** The programs that are other clients of the resource have their own. */
const placeOf = <R>({ client, url }: Options<R>): Effect.Effect<string> =>
  Effect.map(
    VaultKey.make({
      prefix: "",
      resource: url,
      issuer: [client.documentUrl ?? "", ...[...client.metadata?.redirectUris ?? []].sort()].join(" ")
    }),
    ({ binding }) => `OAUTH_RESOURCE_${binding}`
  )

const isBinding = (text: string): boolean => /^[0-9a-f]{64}$/.test(text)

/** Those who name resources and issuers could find some whose short names meet: the name is the whole digest. */
export const keyOf = (binding: string): VaultKey.VaultKey => ({
  name: `OAUTH_REFRESH_TOKEN_${binding}`,
  binding
})

/** With whom there were logins for a resource, for a logout: the resource may be elsewhere by then. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Vault from "../../vault/Vault.js"
import * as VaultKey from "../../vault/VaultKey.js"
import type { Found, Options } from "../ResourceSettings.js"

export interface Trace {
  /** Writes down that there is a login with these, where the vault takes it. */
  readonly note: (party: Party) => Effect.Effect<void>
  /** Those of the last few logins, the last one first; `None` where nothing readable was written down. */
  readonly find: Effect.Effect<Option.Option<ReadonlyArray<Party>>>
}

/** Whom a login was with, and what for. No secret. */
export interface Party {
  readonly resource: string
  readonly client: string
  readonly issuer: string
}

const Parties = Schema.parseJson(
  Schema.NonEmptyArray(
    Schema.Struct({ resource: Schema.String, client: Schema.String, issuer: Schema.String })
  )
)
const encodeParties = Schema.encodeSync(Parties)
const decodeParties = Schema.decodeOption(Parties)

/** At this place in the vault. */
export const make = (place: string): Effect.Effect<Trace, never, Vault.Vault> =>
  Effect.map(Vault.Vault, (vault) => {
    const read = Effect.map(
      vault.get(place),
      Option.flatMap(({ value }) => decodeParties(Redacted.value(value)))
    )
    return {
      note: (party) =>
        read.pipe(
          Effect.flatMap((before) => vault.set(place, Redacted.make(encodeParties(among(before, party))))),
          Effect.timeout(patience),
          Effect.ignore
        ),
      find: Effect.orElseSucceed(read, Option.none)
    }
  })

/** For a vault that is slow: a login doesn't wait for it for long. */
const patience = "5 seconds"

/** Some vaults take short texts only. */
const most = 8

const among = (
  before: Option.Option<ReadonlyArray<Party>>,
  party: Party
): typeof Parties.Type => {
  const others = Option.getOrElse(before, () => []).filter((other) => !isSame(other, party))
  return [party, ...others.slice(0, most - 1)]
}

const isSame = (self: Party, that: Party): boolean =>
  self.resource === that.resource && self.client === that.client && self.issuer === that.issuer

/** The programs that are other clients of the resource have their own. */
export const placeOf = <R>({ client, url }: Options<R>): Effect.Effect<string> => {
  const { clients = {}, documentUrl = "", metadata } = client
  const given = Object.entries(clients).map(([issuer, { id }]) => `${issuer} ${id}`)
  const issuer = [documentUrl, ...[...metadata?.redirectUris ?? []].sort(), ...given.sort()].join(" ")
  return Effect.map(
    VaultKey.make({ prefix: "", resource: url, issuer }),
    ({ binding }) => `OAUTH_RESOURCE_${binding}`
  )
}

export const partyOf = ({ client, resource, server }: Found): Party => ({
  resource: resource.resource,
  client: client.client.id,
  issuer: server.issuer
})

/**
 * Where the grant is: it is one client's alone (RFC 6749 §6), so that one of another client is not sent. Those who name
 * resources and issuers could find some whose short names meet: the name is the whole digest.
 */
export const keyOf = ({ client, issuer, resource }: Party): Effect.Effect<VaultKey.VaultKey> =>
  Effect.map(VaultKey.make({ prefix: "", resource: `${resource}\0${client}`, issuer }), ({ binding }) => ({
    name: `OAUTH_REFRESH_TOKEN_${binding}`,
    binding
  }))

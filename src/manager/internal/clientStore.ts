/** The registrations in the vault: read, made once, replaced by comparing with what is there. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { PrivateKeyJwt } from "../../oauth/Client.js"
import type * as Registration from "../../oauth/Registration.js"
import { Misconfigured } from "../../TokenError.js"
import type { TransientFailure } from "../../TokenError.js"
import type * as Vault from "../../vault/Vault.js"
import { toTokenError } from "../../vault/VaultError.js"
import type { VaultError } from "../../vault/VaultError.js"
import * as VaultKey from "../../vault/VaultKey.js"
import * as Record from "./clientRecord.js"

type Registered = Registration.RegisteredClient
type Failure = TransientFailure | Misconfigured
type Register = Effect.Effect<Registered, Failure>

export interface Store {
  /** The stored client, or a new one where there is none or its secret ends. */
  readonly usable: (issuer: string, register: Register) => Effect.Effect<Registered, Failure>
  /** The stored client if it is another than the refused one, else a new one. */
  readonly replace: (
    issuer: string,
    refused: Registered,
    register: Register
  ) => Effect.Effect<Registered, Failure>
  /** The stored client, as it is. */
  readonly stored: (issuer: string) => Effect.Effect<Registered | undefined, Failure>
  readonly forget: (issuer: string) => Effect.Effect<void, Failure>
}

const source = "client registry"

/** A secret that ends within this time, in milliseconds, counts as ended. */
const margin = 60_000

/** A registration that is younger than this, in milliseconds, is not made again, whatever is wrong with it. */
const youth = 60_000

const isYoung = ({ registeredAt }: Registered, now: number): boolean =>
  now - registeredAt < youth && now >= registeredAt

export interface Options {
  readonly vault: Vault.Service
  /** What the program registers as: what differs in this makes another client. */
  readonly traits: ReadonlyArray<string>
  readonly privateKey: PrivateKeyJwt | undefined
}

export const make = (options: Options): Store => {
  const self: Self = { ...options, unstored: new Map() }
  return {
    usable: (issuer, register) =>
      Effect.flatMap(
        Effect.zip(find(self, issuer), Clock.currentTimeMillis),
        ([found, now]) =>
          found.client !== undefined &&
            (now < found.client.secretExpiresAt - margin || isYoung(found.client, now))
            ? Effect.succeed(found.client)
            : anew(self, found, register)
      ),
    replace: (issuer, refused, register) =>
      Effect.flatMap(Effect.zip(find(self, issuer), Clock.currentTimeMillis), ([found, now]) => {
        if (found.client !== undefined && found.client.client.id !== refused.client.id) {
          return Effect.succeed(found.client)
        }
        return isYoung(refused, now)
          ? Effect.fail(refusedAtOnce(issuer))
          : anew(self, found, register)
      }),
    stored: (issuer) => Effect.map(find(self, issuer), ({ client }) => client),
    forget: (issuer) =>
      Effect.flatMap(keyOf(self, issuer), (key) => {
        self.unstored.delete(key)
        return Effect.mapError(self.vault.remove(key), ofVault)
      })
  }
}

interface Self extends Options {
  /** What could not be stored: this process goes on with it. */
  readonly unstored: Map<string, Registered>
}

interface Found {
  readonly key: string
  readonly version: Option.Option<string>
  readonly client: Registered | undefined
}

/** The whole digest, so that no two issuers meet under one key. */
const keyOf = ({ traits }: Self, issuer: string): Effect.Effect<string> =>
  Effect.map(
    VaultKey.make({ prefix: "", resource: [...traits].sort().join(" "), issuer }),
    ({ binding }) => `OAUTH_CLIENT_${binding}`
  )

const ofVault = (error: VaultError): Failure => toTokenError(error, source)

/** A record that can't be read is replaced: nothing is lost but a registration. */
const find = (self: Self, issuer: string): Effect.Effect<Found, Failure> =>
  Effect.flatMap(keyOf(self, issuer), (key) =>
    Effect.mapBoth(self.vault.get(key), {
      onFailure: ofVault,
      onSuccess: (entry): Found => ({
        key,
        version: Option.map(entry, ({ version }) => version),
        client: self.unstored.get(key) ??
          Option.getOrUndefined(
            Option.flatMap(entry, ({ value }) => Record.decode(value, issuer, self.privateKey))
          )
      })
    }))

/** Once the server has answered, the registration is stored, whoever leaves. */
const anew = (self: Self, found: Found, register: Register): Effect.Effect<Registered, Failure> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(restore(register), (client) => {
      const { capabilities } = self.vault
      const value = Record.encode(client)
      const write = capabilities.compareAndSet === "none"
        ? self.vault.set(found.key, value)
        : self.vault.compareAndSet(found.key, found.version, value)
      self.unstored.delete(found.key)
      return Effect.catchAll(Effect.as(write, client), (error) => settle(self, found, { client, error }))
    })
  )

/** Where another process was first, its client is taken; where nothing can be stored, this one while it lives. */
const settle = (
  self: Self,
  { key }: Found,
  { client, error }: { readonly client: Registered; readonly error: VaultError }
): Effect.Effect<Registered, Failure> =>
  Effect.flatMap(
    error._tag === "Conflict"
      ? Effect.map(find(self, client.issuer), ({ client: winner }) => winner)
      : Effect.as(Effect.void, undefined),
    (winner) => {
      if (winner !== undefined) return Effect.succeed(winner)
      self.unstored.set(key, client)
      return Effect.as(Effect.logWarning(unstoredText(error)), client)
    }
  )

const unstoredText = (error: VaultError): string =>
  `${source}: the client that was registered could not be stored, so that the next start registers another one ` +
  `(${error.vault}: ${error.detail})`

const refusedAtOnce = (issuer: string): Misconfigured =>
  new Misconfigured({
    source: `client at ${issuer}`,
    reason: "InvalidClient",
    detail: "the server refuses the client that it has only just registered",
    hint: "Register the program there by hand, and give its client id."
  })

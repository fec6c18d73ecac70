/**
 * What a virtual identity provider is set up to do, with every default filled in. Times are milliseconds.
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"
import type * as Jose from "jose"

/** How a client proves itself at the token endpoint. */
export type Method = "none" | "client_secret_basic" | "client_secret_post" | "private_key_jwt"

/** What becomes of the refresh token in a refresh: a new one, the same one again, or not a word of it. */
export type Rotation = "Rotate" | "Repeat" | "Omit"

export interface Client {
  readonly id: string
  readonly methods: ReadonlyArray<Method>
  readonly secret: Redacted.Redacted<string> | undefined
  readonly publicKey: Jose.JWK | undefined
  readonly grants: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string> | undefined
}

export interface Settings {
  readonly issuer: string
  /** The issuer without a slash at its end, below which the endpoints are. */
  readonly base: string
  readonly clients: ReadonlyMap<string, Client>
  readonly accessLifetime: number
  readonly refreshLifetime: number
  readonly announceRefreshLifetime: boolean
  readonly rotation: Rotation
  readonly grace: number
  readonly needsOfflineAccess: boolean
  readonly deviceLifetime: number
  readonly interval: number
  readonly announceInterval: boolean
  readonly metadata: Readonly<Record<string, unknown>>
}

/** RFC 8628 §3.4. */
export const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

/** The grants that the token endpoint knows. */
export const grantTypes: ReadonlyArray<string> = ["client_credentials", "refresh_token", deviceGrant]

/** RFC 7523 §2.2. */
export const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

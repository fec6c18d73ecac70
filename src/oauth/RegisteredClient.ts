/**
 * What a client says about itself when it registers, and what it is afterwards.
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"
import type * as Client from "./Client.js"

/**
 * What a client says about itself (RFC 7591 §2).
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientMetadata {
  /** What people are shown when they are asked to allow it. */
  readonly name: string
  /** Where logins come back to; none for a client that has no browser. Default none. */
  readonly redirectUris?: ReadonlyArray<string> | undefined
  /** Default `authorization_code` and `refresh_token`, or the device grant where there is no redirect URI. */
  readonly grantTypes?: ReadonlyArray<string> | undefined
  /** The scopes that it may ask for at all. Default: none is named, so that it may ask for more later. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Default `native` where every redirect URI is a loopback address or has a scheme of its own, else `web`. */
  readonly applicationType?: "native" | "web" | undefined
  /**
   * How it authenticates. Default `none`, where the server's metadata doesn't exclude that, else a secret in the
   * way that it names.
   */
  readonly authMethod?: AuthMethod | undefined
  /** Its page on the web. */
  readonly uri?: string | undefined
  readonly logoUri?: string | undefined
  readonly contacts?: ReadonlyArray<string> | undefined
  readonly softwareId?: string | undefined
  readonly softwareVersion?: string | undefined
  /** Where its public keys are, for `private_key_jwt`. */
  readonly jwksUri?: string | undefined
  /** Further fields, under the names of the registry. Never a secret. */
  readonly further?: Readonly<Record<string, string | number | boolean | Array<string>>> | undefined
}

/**
 * How a client that registers itself authenticates.
 *
 * @since 0.1.0
 * @category models
 */
export type AuthMethod = "none" | "client_secret_basic" | "client_secret_post" | "private_key_jwt"

/**
 * A client that a server has registered. It is good at that server only.
 *
 * @since 0.1.0
 * @category models
 */
export interface RegisteredClient {
  readonly issuer: string
  readonly client: Client.Client
  readonly redirectUris: ReadonlyArray<string>
  /** Unix milliseconds. */
  readonly registeredAt: number
  /** From when on its secret is no longer taken, in Unix milliseconds; `Infinity` for never. */
  readonly secretExpiresAt: number
  /** Where it can be read, changed and removed, and with which token (RFC 7592 §3). */
  readonly management: Management | undefined
}

/**
 * How a registration is managed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Management {
  readonly uri: string
  readonly token: Redacted.Redacted<string>
}

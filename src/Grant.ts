/**
 * A grant: what an authorization server gave at a login or a renewal, of which the access token is only a part.
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"
import type * as Token from "./Token.js"

/**
 * An access token together with what renews it. Plain immutable data; secrets stay `Redacted`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Grant {
  /** The access token. */
  readonly token: Token.Token
  /** What the next renewal redeems; absent when the grant can't be renewed. */
  readonly refreshToken: Redacted.Redacted<string> | undefined
  /** When the refresh token itself ends, in Unix milliseconds, if the issuer said so. */
  readonly refreshExpiresAt: number | undefined
  /** The ID token as it was received, if there was one. */
  readonly idToken: Redacted.Redacted<string> | undefined
  /** Text fields beside the standard ones that a provider needs back, such as `resource_url`. Not secret. */
  readonly extra: Readonly<Record<string, string>>
}

/**
 * What `make` takes: the token, and what is known beside it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly token: Token.Token
  readonly refreshToken?: Redacted.Redacted<string> | undefined
  /** Unix milliseconds. */
  readonly refreshExpiresAt?: number | undefined
  readonly idToken?: Redacted.Redacted<string> | undefined
  readonly extra?: Readonly<Record<string, string>> | undefined
}

/**
 * A grant from its parts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Grant => ({
  token: options.token,
  refreshToken: options.refreshToken,
  refreshExpiresAt: options.refreshExpiresAt,
  idToken: options.idToken,
  extra: options.extra ?? {}
})

/**
 * What is held after a renewal: everything from the new grant, and from the old one whatever the new one omits. A
 * refresh token that the answer leaves out stays as it was (RFC 6749 §6), and scopes that it leaves out are unchanged
 * (RFC 6749 §5.1).
 *
 * @since 0.1.0
 * @category combinators
 */
export const renew = (self: Grant, renewed: Grant): Grant => ({
  token: renewed.token.scopes.length > 0 ? renewed.token : { ...renewed.token, scopes: self.token.scopes },
  refreshToken: renewed.refreshToken ?? self.refreshToken,
  refreshExpiresAt: renewed.refreshExpiresAt ??
    (renewed.refreshToken === undefined ? self.refreshExpiresAt : undefined),
  idToken: renewed.idToken ?? self.idToken,
  extra: { ...self.extra, ...renewed.extra }
})

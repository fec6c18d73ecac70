/**
 * An OAuth client: its id, and how it proves to the authorization server that it is itself. Plain data; keys
 * and secrets are checked where a grant is made from it.
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"

/**
 * A registered client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly id: string
  /** Default `none`: a public client. */
  readonly auth?: ClientAuth | undefined
}

/**
 * How a client authenticates at the token endpoint (RFC 6749 §2.3, OpenID Connect Core §9).
 *
 * @since 0.1.0
 * @category models
 */
export type ClientAuth = None | Basic | Post | PrivateKeyJwt

/**
 * A public client, which has no secret; or one that the TLS connection of the injected HttpClient identifies.
 *
 * @since 0.1.0
 * @category models
 */
export interface None {
  readonly _tag: "None"
}

/**
 * The secret goes into the `Authorization` header.
 *
 * @since 0.1.0
 * @category models
 */
export interface Basic {
  readonly _tag: "Basic"
  readonly secret: Redacted.Redacted<string>
  readonly encoding: "form" | "raw"
}

/**
 * The secret goes into the body.
 *
 * @since 0.1.0
 * @category models
 */
export interface Post {
  readonly _tag: "Post"
  readonly secret: Redacted.Redacted<string>
}

/**
 * A JWT that the client's private key signs anew for each request (RFC 7523).
 *
 * @since 0.1.0
 * @category models
 */
export interface PrivateKeyJwt extends PrivateKeyJwtOptions {
  readonly _tag: "PrivateKeyJwt"
}

/**
 * A private key: PKCS#8 PEM or a JWK as text, a JWK as an object, or a key that WebCrypto holds.
 *
 * @since 0.1.0
 * @category models
 */
export type PrivateKey = Redacted.Redacted<string> | Redacted.Redacted<JsonWebKey> | CryptoKey

/**
 * What `privateKeyJwt` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface PrivateKeyJwtOptions {
  readonly key: PrivateKey
  /** The `kid` of the JWT. Default: the JWK's own, if it has one. */
  readonly keyId?: string | undefined
  /**
   * The JWS algorithm, such as `PS256`. Default: the JWK's own, else the one that suits the key; RSA keys
   * sign with `RS256`. A `CryptoKey` has its algorithm already.
   */
  readonly algorithm?: string | undefined
  /** The `aud` of the JWT. Default: the issuer, or the token endpoint where no issuer is known. */
  readonly audience?: string | undefined
}

/**
 * A public client.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: None = { _tag: "None" }

/**
 * HTTP Basic. Id and secret are form-encoded first, as RFC 6749 §2.3.1 wants it; some servers don't decode
 * them again and need `encoding: "raw"`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const basic = (
  secret: Redacted.Redacted<string>,
  options?: {
    /** Default `form`. */
    readonly encoding?: "form" | "raw" | undefined
  }
): Basic => ({ _tag: "Basic", secret, encoding: options?.encoding ?? "form" })

/**
 * The secret as a field of the request. White space around it is left out, as it is with `basic`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const post = (secret: Redacted.Redacted<string>): Post => ({ _tag: "Post", secret })

/**
 * A signed JWT instead of a secret.
 *
 * @since 0.1.0
 * @category constructors
 */
export const privateKeyJwt = (options: PrivateKeyJwtOptions): PrivateKeyJwt => ({
  _tag: "PrivateKeyJwt",
  ...options
})

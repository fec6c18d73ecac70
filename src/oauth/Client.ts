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
export type ClientAuth = None | Basic | Post | PrivateKeyJwt | ClientSecretJwt | Tls | Anonymous

/**
 * A public client, which has no secret.
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
 * A JWT that is signed anew for each request with the client's secret, which itself stays here (OpenID Connect
 * Core §9).
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientSecretJwt extends ClientSecretJwtOptions {
  readonly _tag: "ClientSecretJwt"
}

/**
 * The certificate of the TLS connection identifies the client, which only says its id (RFC 8705 §2).
 *
 * @since 0.1.0
 * @category models
 */
export interface Tls {
  readonly _tag: "Tls"
}

/**
 * Nothing identifies the client, not even its id: what the grant itself brings says who asks (RFC 7521 §4.1).
 *
 * @since 0.1.0
 * @category models
 */
export interface Anonymous {
  readonly _tag: "Anonymous"
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
 * What `clientSecretJwt` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientSecretJwtOptions {
  readonly secret: Redacted.Redacted<string>
  /** The JWS algorithm. Default `HS256`. */
  readonly algorithm?: "HS256" | "HS384" | "HS512" | undefined
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

/**
 * A JWT signed with the secret instead of the secret itself. Servers have to keep such secrets readable, so a key
 * of the client's own is better where the server takes it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const clientSecretJwt = (options: ClientSecretJwtOptions): ClientSecretJwt => ({
  _tag: "ClientSecretJwt",
  ...options
})

/**
 * Mutual TLS. The injected HttpClient has to be one whose connections present the certificate; requests go to the
 * addresses that the server names for it (`mtls_endpoint_aliases`, RFC 8705 §5). Where tokens are bound to the
 * certificate, the API has to be called with that HttpClient too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tls: Tls = { _tag: "Tls" }

/**
 * A client that does not name itself, for grants whose assertion says who asks. The id is never sent.
 *
 * @since 0.1.0
 * @category constructors
 */
export const anonymous: Client = { id: "anonymous", auth: { _tag: "Anonymous" } }

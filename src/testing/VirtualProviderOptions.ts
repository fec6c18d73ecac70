/**
 * What a virtual identity provider can be set up to be, as plain data. Everything has a default.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type * as Jose from "jose"

/**
 * How a client proves itself.
 *
 * @since 0.1.0
 * @category models
 */
export type Method =
  | "none"
  | "client_secret_basic"
  | "client_secret_post"
  | "client_secret_jwt"
  | "private_key_jwt"

/**
 * A registered client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly id: string
  readonly secret?: Redacted.Redacted<string> | undefined
  /** Its public key, as a JWK, which the signatures of its assertions must match. */
  readonly publicKey?: Jose.JWK | undefined
  /**
   * How it may authenticate. Default: what it has a key or a secret for (`client_secret_basic` and
   * `client_secret_post` with a secret), else `none`. `private_key_jwt` without a key checks all but the
   * signature; an hour ahead is the most that `exp` may be.
   */
  readonly methods?: ReadonlyArray<Method> | undefined
  /** The grant types that it may use. Default all, but `client_credentials` only if it authenticates. */
  readonly grants?: ReadonlyArray<string> | undefined
  /** The scopes that it may ask for. Default any. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /**
   * Where browsers may be sent back to, exactly; on a loopback host any port will do (RFC 8252 §7.3). Default
   * `/callback` on `127.0.0.1`, `[::1]` and `localhost`.
   */
  readonly redirectUris?: ReadonlyArray<string> | undefined
  /** Where browsers may be sent after a logout. Default `/logged-out` on the same hosts. */
  readonly postLogoutRedirectUris?: ReadonlyArray<string> | undefined
  /** Whether its authorization requests have to be pushed (RFC 9126 §6). Default as the provider's. */
  readonly requirePushedRequests?: boolean | undefined
  /** Whether its token requests need a proof of possession (RFC 9449 §5.2). Default as the provider's. */
  readonly requireDpop?: boolean | undefined
}

/**
 * What the person does about a login, counted from its start: nothing until `approve` or `deny` is called, or
 * one of the two by itself. Whoever comes with a browser is there already: for them `ByHand` is to approve at
 * once.
 *
 * @since 0.1.0
 * @category models
 */
export type Approval =
  | "ByHand"
  | { readonly approveAfter: Duration.DurationInput }
  | { readonly denyAfter: Duration.DurationInput }

/**
 * How far the server's clock is from the `Clock`. It shows in `Date` headers, in ID tokens and in the judgement
 * of assertions and proofs; lifetimes of tokens are not affected.
 *
 * @since 0.1.0
 * @category models
 */
export type Skew =
  | { readonly ahead: Duration.DurationInput }
  | { readonly behind: Duration.DurationInput }

/**
 * The person who logs in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Person {
  /** The `sub` of ID tokens and of `/userinfo`. Default `alice`. */
  readonly subject?: string | undefined
  /** Told by `/userinfo`: `email…` for the scope `email`, the rest for `profile`. Default a name and an address. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
  /** For the password grant, where the user name is the subject. Default `alice-password`. */
  readonly password?: Redacted.Redacted<string> | undefined
}

/**
 * How proofs of possession are judged (RFC 9449).
 *
 * @since 0.1.0
 * @category models
 */
export interface DpopOptions {
  /** Whether every token request needs a proof. Default false: those that have one get bound tokens. */
  readonly required?: boolean | undefined
  /** Whether proofs must hold a nonce of the server (RFC 9449 §8). Default false. */
  readonly nonces?: boolean | undefined
  /** How long a nonce is good for. A newer one is handed out in the second half of that. Default 5 minutes. */
  readonly nonceLifetime?: Duration.DurationInput | undefined
  /** How far the `iat` of a proof may be from the server's clock. Default 1 minute. */
  readonly proofWindow?: Duration.DurationInput | undefined
}

/**
 * A resource that is protected by the provider's tokens and says so (RFC 9728). It answers at its own address,
 * on any origin, and takes only tokens that were issued for it (RFC 8707).
 *
 * @since 0.1.0
 * @category models
 */
export interface Resource {
  /** Its address, which is its identifier too. Requests below it are its own as well. */
  readonly url: string
  /** The scopes that each request needs. Default none. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** The scopes that requests with this method need besides. Default none. */
  readonly scopesByMethod?: Readonly<Record<string, ReadonlyArray<string>>> | undefined
  /** Whether it takes tokens that were issued for no resource at all. Default false. */
  readonly anyAudience?: boolean | undefined
  /** Whether it takes only tokens that are bound to a key. Default false. */
  readonly requireDpop?: boolean | undefined
  /** Whether its challenges name the metadata document and the scopes. Default true. */
  readonly challenges?: boolean | undefined
  /** Fields to add to its metadata document, or to put in place of the ones there. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

/**
 * Who else's signatures count: for the JWT bearer grant (RFC 7523 §2.1) and as subject of a token exchange.
 *
 * @since 0.1.0
 * @category models
 */
export interface TrustedIssuer {
  readonly issuer: string
  /** Its public keys. */
  readonly keys: ReadonlyArray<Jose.JWK>
}

/**
 * A token request of a grant type that is the user's own.
 *
 * @since 0.1.0
 * @category models
 */
export interface CustomRequest {
  readonly client: string
  /** Every field of the form. */
  readonly fields: ReadonlyMap<string, string>
  /** Unix milliseconds. */
  readonly now: number
}

/**
 * What a custom grant answers: tokens, or a refusal by its OAuth error code.
 *
 * @since 0.1.0
 * @category models
 */
export type CustomAnswer =
  | {
    readonly scopes?: ReadonlyArray<string> | undefined
    readonly subject?: string | undefined
    /** Default false. */
    readonly refreshToken?: boolean | undefined
    /** Fields beside the standard ones. */
    readonly fields?: Readonly<Record<string, unknown>> | undefined
  }
  | { readonly error: string; readonly status?: number | undefined }

/**
 * Whether clients can register themselves (RFC 7591): all, those with this initial access token, or none.
 *
 * @since 0.1.0
 * @category models
 */
export type Registration = "Open" | "Closed" | Redacted.Redacted<string>

/**
 * What a provider is made with; everything has a default.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Default `https://idp.test`. */
  readonly issuer?: string | undefined
  /** Default a public client `app` and a confidential client `service` with the secret `service-secret`. */
  readonly clients?: ReadonlyArray<Client> | undefined
  /** Default 1 hour. */
  readonly accessTokenLifetime?: Duration.DurationInput | undefined
  /** How long a refresh token lives, from its own issue. Default 30 days. */
  readonly refreshTokenLifetime?: Duration.DurationInput | undefined
  /** Whether answers tell that lifetime as `refresh_token_expires_in`. Default false. */
  readonly announceRefreshTokenLifetime?: boolean | undefined
  /**
   * What a refresh does to the refresh token: `Rotate` gives a new one (the default), `Repeat` sends the same
   * one again, `Omit` leaves it as it is without a word (RFC 6749 §6).
   */
  readonly rotation?: "Rotate" | "Repeat" | "Omit" | undefined
  /**
   * How long after its redemption a refresh token that comes again gets the same tokens again. After that it
   * costs its whole family. Default 0.
   */
  readonly reuseGrace?: Duration.DurationInput | undefined
  /** Whether a login gives a refresh token only for the scope `offline_access`. Default false. */
  readonly requireOfflineAccess?: boolean | undefined
  /** Default 10 minutes. */
  readonly deviceCodeLifetime?: Duration.DurationInput | undefined
  /** How far apart polls must be; an earlier one gets `slow_down` and adds 5 seconds. Default 5 seconds. */
  readonly deviceInterval?: Duration.DurationInput | undefined
  /** Whether the client is told that interval. Default true. */
  readonly announceInterval?: boolean | undefined
  /** How long an authorization code can be exchanged. Default 1 minute. */
  readonly authorizationCodeLifetime?: Duration.DurationInput | undefined
  /** Whether authorization responses name the issuer (RFC 9207). Default true. */
  readonly announceIssuer?: boolean | undefined
  /** How long a pushed authorization request can be used. Default 1 minute. */
  readonly pushedRequestLifetime?: Duration.DurationInput | undefined
  /** Whether authorization requests have to be pushed (RFC 9126 §5). Default false. */
  readonly requirePushedRequests?: boolean | undefined
  /** Default 1 hour. */
  readonly idTokenLifetime?: Duration.DurationInput | undefined
  /** What ID tokens are signed with. Default `ES256`. */
  readonly idTokenAlgorithm?: "ES256" | "RS256" | undefined
  /** Changes what ID tokens say before they are signed. Default nothing. */
  readonly idTokenClaims?: ((claims: Jose.JWTPayload) => Jose.JWTPayload) | undefined
  /** How proofs of possession are judged. Default: they are taken, and not asked for. */
  readonly dpop?: DpopOptions | undefined
  /** Who logs in. */
  readonly person?: Person | undefined
  /** What the person does: one for every login, or a list for the first ones, with `ByHand` after it. */
  readonly approvals?: Approval | ReadonlyArray<Approval> | undefined
  /**
   * Resources beside `/resource`. Where there are any, tokens are issued for no others; where there are none,
   * `/resource` stands for all and takes any valid token. Default none.
   */
  readonly resources?: ReadonlyArray<Resource> | undefined
  /** Default none. */
  readonly trustedIssuers?: ReadonlyArray<TrustedIssuer> | undefined
  /** What answers further grant types, by their names. Default none. */
  readonly customGrants?: Readonly<Record<string, (request: CustomRequest) => CustomAnswer>> | undefined
  /** Default `Open`. */
  readonly registration?: Registration | undefined
  /** Whether a client id may be the address of a document about the client. Default true. */
  readonly clientIdDocuments?: boolean | undefined
  /**
   * JSON documents on other origins, by their addresses, such as those about clients. The provider reads them
   * and so can everybody else. Default none.
   */
  readonly documents?: Readonly<Record<string, unknown>> | undefined
  /** Default none. */
  readonly skew?: Skew | undefined
  /** Fields to add to the discovery documents, or to put in place of theirs. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  /** How many requests the journal keeps; the counts go on. Default 1000. */
  readonly journalLimit?: number | undefined
  /** What answers requests to other origins. Default nothing: the connection fails. */
  readonly elsewhere?: HttpClient.HttpClient | undefined
  /** The server's clock, where it shall not be that of the requesting fiber. */
  readonly clock?: Clock.Clock | undefined
}

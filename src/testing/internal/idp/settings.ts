/**
 * What a virtual identity provider is set up to do, with every default filled in. Times are milliseconds.
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"
import type * as Jose from "jose"
import type {
  CustomAnswer,
  CustomRequest,
  Method,
  Registration,
  TrustedIssuer
} from "../../VirtualProviderOptions.js"

/** What becomes of the refresh token in a refresh: a new one, the same one again, or not a word of it. */
export type Rotation = "Rotate" | "Repeat" | "Omit"

export interface Client {
  readonly id: string
  readonly methods: ReadonlyArray<Method>
  readonly secret: Redacted.Redacted<string> | undefined
  readonly publicKeys: ReadonlyArray<Jose.JWK>
  readonly grants: ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string> | undefined
  readonly redirectUris: ReadonlyArray<string>
  readonly postLogoutRedirectUris: ReadonlyArray<string>
  readonly pushes: boolean
  readonly dpop: boolean
}

export interface Resource {
  readonly url: URL
  readonly id: string
  readonly scopes: ReadonlyArray<string>
  readonly scopesByMethod: ReadonlyMap<string, ReadonlyArray<string>>
  readonly anyAudience: boolean
  readonly dpop: boolean
  readonly challenges: boolean
  readonly metadata: Readonly<Record<string, unknown>>
}

export interface Person {
  readonly subject: string
  readonly claims: Readonly<Record<string, unknown>>
  readonly password: Redacted.Redacted<string>
}

export interface Dpop {
  readonly required: boolean
  readonly nonces: boolean
  readonly nonceLifetime: number
  readonly proofWindow: number
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
  readonly codeLifetime: number
  readonly announceIssuer: boolean
  readonly pushedLifetime: number
  readonly pushes: boolean
  readonly idTokenLifetime: number
  readonly idTokenAlgorithm: "ES256" | "RS256"
  readonly idTokenClaims: (claims: Jose.JWTPayload) => Jose.JWTPayload
  readonly dpop: Dpop
  readonly person: Person
  /** The plain one at `/resource` first. */
  readonly resources: ReadonlyArray<Resource>
  readonly trusted: ReadonlyArray<TrustedIssuer>
  readonly customGrants: ReadonlyMap<string, (request: CustomRequest) => CustomAnswer>
  readonly registration: Registration
  readonly clientIdDocuments: boolean
  readonly documents: ReadonlyMap<string, unknown>
  readonly metadata: Readonly<Record<string, unknown>>
}

/** RFC 8628 §3.4. */
export const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

/** RFC 7523 §2.1. */
export const jwtBearerGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"

/** RFC 8693 §2.1. */
export const exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"

/** The grants that every provider knows. */
const ownGrants: ReadonlyArray<string> = [
  "authorization_code",
  "client_credentials",
  "refresh_token",
  deviceGrant,
  "password",
  jwtBearerGrant,
  exchangeGrant
]

/** The grants that the token endpoint knows. */
export const grantTypes = ({ customGrants }: Pick<Settings, "customGrants">): ReadonlyArray<string> => [
  ...ownGrants,
  ...customGrants.keys()
]

/** RFC 7523 §2.2. */
export const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

/** What signatures of others may be made with. */
export const algorithms: ReadonlyArray<string> = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519"
]

/** Where a program listens for the browser, whatever the port (RFC 8252 §7.3). */
export const loopbackHosts: ReadonlyArray<string> = ["127.0.0.1", "[::1]", "localhost"]

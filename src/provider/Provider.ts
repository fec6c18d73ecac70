/**
 * A provider as data: where it is, what it wants and where it bends the standard; and from that data the options
 * of its logins, its renewals and its token sources. Everything here can be changed with a spread. No provider has a
 * client id: that comes from the caller, who has registered with the provider and keeps its terms. None of them binds
 * tokens to keys (RFC 9449).
 *
 * What the presets say of Entra, GitHub and Google is taken from their published documents; what they say of
 * Anthropic, MiniMax, OpenAI and Qwen, who publish none for this, from what public clients of theirs send and take.
 * The contracts that the presets are tested against are written from the same and not recorded from the servers
 * themselves: where a server has changed since, the tests do not see it.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as AuthorizationCode from "../oauth/AuthorizationCode.js"
import * as AuthorizationServer from "../oauth/AuthorizationServer.js"
import * as Client from "../oauth/Client.js"
import type * as DeviceCode from "../oauth/DeviceCode.js"
import type { Limits } from "../oauth/Limits.js"
import type * as RefreshToken from "../oauth/RefreshToken.js"
import type * as Revocation from "../oauth/Revocation.js"
import type * as TokenEndpoint from "../oauth/TokenEndpoint.js"
import type { Misconfigured } from "../TokenError.js"

/**
 * What is known of a provider. Plain immutable data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Provider {
  /** A short name for programs, such as `google`. */
  readonly id: string
  /** The name for people. */
  readonly name: string
  /** Its addresses; one that is missing is one that it does not have, or that is not known. */
  readonly endpoints: AuthorizationServer.Options
  /** What is asked for where the caller names no scopes. */
  readonly scopes: ReadonlyArray<string>
  /** How it wants to be sent a client's secret, where the client has one. */
  readonly secret: "post" | "basic" | "basic-raw"
  /** How long a token counts as valid where the answer does not say. */
  readonly defaultLifetime: Duration.DurationInput
  /** Fields of its token answers that are kept in `Grant.extra`. */
  readonly keep: ReadonlyArray<string>
  readonly renewal: Renewal
  /** How it departs from the standard, and whether it wants to be told who a token is for. */
  readonly dialect: DeviceCode.Dialect
  /** What becomes of its ID tokens: see the options of the logins; undefined for their defaults. */
  readonly idToken: "verify" | "ignore" | undefined
  /** How people log in on another device; undefined where they can't. */
  readonly device: Device | undefined
  /** How people log in with a browser; undefined where they can't. */
  readonly browser: Browser | undefined
}

/**
 * What becomes of its refresh tokens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Renewal {
  /** Whether a renewal gives a new refresh token in place of the old one. */
  readonly rotates: boolean
  /**
   * For how long after a renewal it takes the same refresh token again; infinite where the old one stays good, and 0
   * where it doesn't or nobody knows. `source` hands it on.
   */
  readonly graceWindow: Duration.DurationInput
  /** After how long without a renewal the refresh token ends; undefined where it doesn't or nobody knows. */
  readonly idleLimit: Duration.DurationInput | undefined
}

/**
 * A login on another device (RFC 8628).
 *
 * @since 0.1.0
 * @category models
 */
export interface Device {
  /** Whether it binds the poll to the start by PKCE. */
  readonly pkce: boolean
  /** Further fields of the request that starts a login. */
  readonly parameters: TokenEndpoint.Parameters
}

/**
 * A login with a browser (RFC 8252).
 *
 * @since 0.1.0
 * @category models
 */
export interface Browser {
  /** Further fields of the request that the browser carries. */
  readonly parameters: TokenEndpoint.Parameters
  /** Where a browser may come back to on this machine. */
  readonly redirect: Redirect
  /** A page of the provider that shows the code to the person, who pastes it; undefined where there is none. */
  readonly pastePage: string | undefined
}

/**
 * The redirect URI on this machine, in its parts.
 *
 * @since 0.1.0
 * @category models
 */
export interface Redirect {
  /** Which name of this machine the provider lets clients register. */
  readonly host: "127.0.0.1" | "localhost"
  /** Undefined where any free port will do, as RFC 8252 §7.3 wants it. */
  readonly port: number | undefined
  readonly path: string
}

/**
 * A provider where people can log in on another device.
 *
 * @since 0.1.0
 * @category models
 */
export interface WithDevice extends Provider {
  readonly device: Device
}

/**
 * A provider where people can log in with a browser.
 *
 * @since 0.1.0
 * @category models
 */
export interface WithBrowser extends Provider {
  readonly browser: Browser
}

/**
 * A provider where people can log in with any browser, as a page of its own shows them the code to paste.
 *
 * @since 0.1.0
 * @category models
 */
export interface WithPastePage extends WithBrowser {
  readonly browser: Browser & { readonly pastePage: string }
}

/**
 * What the functions from a provider to options take.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Limits {
  /** As `server` makes it; the same one for the login and the renewals, which learn from each other. */
  readonly server: AuthorizationServer.AuthorizationServer
  /** The client that the caller registered with the provider; see `client`. */
  readonly client: Client.Client
  /** The name that errors, status and spans show. Default: the grant and the server's host. */
  readonly name?: string | undefined
}

/**
 * What the functions for logins take.
 *
 * @since 0.1.0
 * @category models
 */
export interface LoginOptions extends Options {
  /** Default: those of the provider. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Who the token is for: sent in the field that the provider takes, and not to one that takes none. */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** Further fields of the request that starts the login; they win over those of the provider. */
  readonly parameters?: TokenEndpoint.Parameters | undefined
}

/**
 * What `source` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface SourceOptions extends Options {
  /**
   * Who the token is for, as the login was told: grants for different ones are kept apart. Default: nobody in
   * particular.
   */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /**
   * Whether the grant is renewed in time, though nobody asks for a token, at a provider that ends refresh tokens which
   * nobody uses: when half of its `idleLimit` has passed. Default false, as it means a look into the vault as soon as
   * the source is made.
   */
  readonly keepAlive?: boolean | undefined
}

/**
 * What `OAuthSource` and `SignIn` want to know of a provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source {
  readonly name: string | undefined
  readonly refresh: RefreshToken.Options
  readonly graceWindow: Duration.DurationInput
  readonly keepAlive: Duration.DurationInput | undefined
}

/**
 * What `client` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions {
  /** As the provider registered it. */
  readonly id: string
  /** Absent for a public client. */
  readonly secret?: Redacted.Redacted<string> | undefined
}

/**
 * The provider's server. Each of the addresses given here takes the place of the provider's own, as for a proxy
 * or for tests.
 *
 * @since 0.1.0
 * @category constructors
 */
export const server = (
  self: Provider,
  endpoints: Partial<AuthorizationServer.Options> = {}
): Effect.Effect<AuthorizationServer.AuthorizationServer, Misconfigured> =>
  AuthorizationServer.make({ ...self.endpoints, ...endpoints })

/**
 * The caller's client, which sends its secret as this provider wants it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const client = (self: Provider, { id, secret }: ClientOptions): Client.Client => {
  if (secret === undefined) return { id }
  switch (self.secret) {
    case "post":
      return { id, auth: Client.post(secret) }
    case "basic":
      return { id, auth: Client.basic(secret) }
    case "basic-raw":
      return { id, auth: Client.basic(secret, { encoding: "raw" }) }
  }
}

/**
 * The options of a login on another device, for `DeviceCode.make` and `DeviceLogin.make`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const device = (self: WithDevice, options: LoginOptions): DeviceCode.Options => ({
  ...login(self, options),
  dialect: self.dialect,
  pkce: self.device.pkce,
  authorizationParameters: { ...self.device.parameters, ...options.parameters }
})

/**
 * The options of a login with a browser, for `AuthorizationCode.make` and `BrowserLogin.make`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const browser = (self: WithBrowser, options: LoginOptions): AuthorizationCode.Options => ({
  ...login(self, options),
  dialect: self.dialect,
  authorizationParameters: { ...self.browser.parameters, ...options.parameters }
})

/**
 * The options of a source of tokens that keeps and renews a grant of this provider, for `OAuthSource` and `SignIn`: as
 * they are, or with a spread. They know how the provider treats refresh tokens, so that a renewal whose answer was lost
 * is repeated where that does no harm, and nowhere else.
 *
 * @since 0.1.0
 * @category constructors
 */
export const source = (self: Provider, { keepAlive, resource, ...options }: SourceOptions): Source => {
  const { graceWindow, idleLimit, rotates } = self.renewal
  return {
    name: options.name,
    refresh: { ...refresh(self, options), resource },
    graceWindow: rotates ? graceWindow : Duration.infinity,
    keepAlive: keepAlive === true && idleLimit !== undefined ? Duration.times(idleLimit, 0.5) : undefined
  }
}

/**
 * The options of renewals alone, for `RefreshToken.make`. They don't say what becomes of refresh tokens: for
 * `OAuthSource` and `SignIn` there is `source`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const refresh = (self: Provider, options: Options): RefreshToken.Options => common(self, options)

/**
 * The options of revocation, for `Revocation.make`; its `isOffered` says whether the provider takes tokens back.
 *
 * @since 0.1.0
 * @category constructors
 */
export const revocation = (
  { dialect }: Provider,
  { client, maxResponseBytes, name, requestTimeLimit, server }: Options
): Revocation.Options => ({ server, client, name, requestTimeLimit, maxResponseBytes, dialect })

const login = (
  self: Provider,
  { resource, scopes = self.scopes, ...options }: LoginOptions
): Omit<DeviceCode.Options, "dialect"> => ({
  ...common(self, options),
  scopes,
  resource,
  idToken: self.idToken
})

const common = (
  { defaultLifetime, dialect, keep }: Provider,
  { client, maxResponseBytes, name, requestTimeLimit, server }: Options
): TokenEndpoint.Options => ({
  server,
  client,
  name,
  requestTimeLimit,
  maxResponseBytes,
  defaultLifetime,
  keep,
  dialect
})

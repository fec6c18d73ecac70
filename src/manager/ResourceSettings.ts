/**
 * What access to a resource is made from, and what is found out about it.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as BrowserLogin from "../login/BrowserLogin.js"
import type * as Login from "../login/Login.js"
import type { AuthorizationServer } from "../oauth/AuthorizationServer.js"
import type { Limits } from "../oauth/Limits.js"
import type { ProtectedResource } from "../oauth/ProtectedResource.js"
import type * as TokenEndpoint from "../oauth/TokenEndpoint.js"
import type { Misconfigured } from "../TokenError.js"
import type * as ClientRegistry from "./ClientRegistry.js"
import type * as SignIn from "./SignIn.js"

/**
 * What a login for the resource is made from; what `AuthorizationCode`, `BrowserLogin` and `DeviceLogin` take.
 *
 * @since 0.1.0
 * @category models
 */
export interface LoginOptions extends TokenEndpoint.Options {
  readonly scopes: ReadonlyArray<string> | undefined
  /** What the token is for (RFC 8707); nothing where that is switched off. */
  readonly resource: string | undefined
  readonly offlineAccess: boolean | undefined
  /** Where a browser comes back to: the first of the redirect URIs that the client was registered with. */
  readonly redirect: BrowserLogin.Redirect | undefined
  /** See `AuthorizationCode.Options`. True but for a resource without metadata. */
  readonly requirePkce: boolean
}

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R = never>
  extends
    Limits,
    Pick<SignIn.Options, "cache" | "deadline" | "graceWindow" | "keepAlive" | "leaseTerm" | "persister">
{
  /** The address of the resource: https, or http on a loopback address. */
  readonly url: string
  /** Which client this program is, or how it becomes one. */
  readonly client: ClientRegistry.Options
  /**
   * How a person logs in: `BrowserLogin.make`, `DeviceLogin.make`, or what suits these options, such as
   * `(options) => AnyLogin.make({ browser: options, device: options })` for the way that works. A login by code needs a
   * server with a `device_authorization_endpoint`, and a client that may do it: see `ClientRegistry.Options`. Default:
   * nobody can be asked, and where a login is needed the error says so.
   */
  readonly login?: ((options: LoginOptions) => Effect.Effect<Login.Service, Misconfigured, R>) | undefined
  /**
   * Whether a request through `http` may open a login, be it the first one or one for more scopes. Default false: it
   * fails, and `login` is for a place in the program where somebody expects to be asked.
   */
  readonly interactive?: boolean | undefined
  /** The scopes to ask for. Default: those of the resource's challenge, else those of its metadata, else none. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /**
   * See `AuthorizationCode.Options`. Default: where some scopes are asked for and the server lists it, and then with
   * consent, as the official client of the Model Context Protocol has it. Where that keeps people out, leave it to the
   * server: `login: (options) => BrowserLogin.make({ ...options, authorizationParameters: { prompt: "" } })`.
   */
  readonly offlineAccess?: boolean | undefined
  /**
   * Whether logins and renewals name the resource (RFC 8707), for a server that refuses that. Default: they do, unless
   * the resource has no metadata.
   */
  readonly sendResource?: boolean | ((issuer: string) => boolean) | undefined
  /**
   * Whether this authorization server may be used. Default: any may that the resource names, but that one elsewhere may
   * not be at an address of this machine or its network, as far as its host's name alone tells.
   */
  readonly trust?: ((issuer: string) => boolean) | undefined
  /** Of several authorization servers those to try, in order. Default: all of them, as the resource lists them. */
  readonly choose?: ((issuers: ReadonlyArray<string>) => ReadonlyArray<string>) | undefined
  /** See `ProtectedResource.Options`. Default false. */
  readonly legacy?: boolean | undefined
  /** Whether the resource itself is asked for its challenge. Default true; else only its well-known places are. */
  readonly ask?: boolean | undefined
  /** See `TokenEndpoint.Options`. Default: where the resource wants bound tokens. */
  readonly dpop?: TokenEndpoint.Options["dpop"]
  /**
   * How many logins may open within an hour because somebody wants a token, whatever the resource and its server
   * answer. A login that a person asks for is never held back, and counting begins anew with it. Default 10.
   */
  readonly maxLogins?: number | undefined
  /** How many of them may be for more scopes, because a request was refused for those. Default 3. */
  readonly maxStepUps?: number | undefined
  /** How long what was found out counts. Default 1 hour. */
  readonly cacheFor?: Duration.DurationInput | undefined
  /** The name that errors and status show. Default the resource's host. */
  readonly name?: string | undefined
}

/**
 * What was found out about the resource.
 *
 * @since 0.1.0
 * @category models
 */
export interface Found {
  readonly resource: ProtectedResource
  readonly server: AuthorizationServer
  readonly client: ClientRegistry.Resolved
  /** What a first login asks for. */
  readonly scopes: ReadonlyArray<string>
}

/**
 * A login as a program's commands see it: log in, use the token, renew it, log out. Over a `TokenFileVault`
 * it shares its file with programs that know nothing of this library.
 *
 * Everything is safe for any number of concurrent callers, here and in other processes over the same vault:
 * the grant is redeemed once, and a login or a logout that happens while another process renews stays.
 *
 * @since 0.1.0
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Path from "@effect/platform/Path"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Grant from "../Grant.js"
import { Login } from "../login/Login.js"
import type { Claims } from "../oauth/Claims.js"
import * as EndSession from "../oauth/EndSession.js"
import * as IdToken from "../oauth/IdToken.js"
import type * as RefreshToken from "../oauth/RefreshToken.js"
import * as Revocation from "../oauth/Revocation.js"
import * as RefreshScheduler from "../RefreshScheduler.js"
import type * as Token from "../Token.js"
import type { Misconfigured, TokenError } from "../TokenError.js"
import type * as TokenSource from "../TokenSource.js"
import type * as TokenStatus from "../TokenStatus.js"
import * as Persister from "../vault/Persister.js"
import * as Redemption from "../vault/Redemption.js"
import * as TokenFileVault from "../vault/TokenFileVault.js"
import * as Vault from "../vault/Vault.js"
import * as BaseUrl from "./internal/baseUrl.js"
import * as OAuth from "./internal/oauth.js"
import * as Machine from "./internal/signIn.js"
import * as OAuthSource from "./OAuthSource.js"

/**
 * What `make` takes: as for `OAuthSource`, but that `minUsable` is 1 minute by default, and `resource_url` is
 * kept from each renewal.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends OAuthSource.InteractiveOptions {}

/**
 * How to log out.
 *
 * @since 0.1.0
 * @category models
 */
export interface LogoutOptions {
  /**
   * Whether the grant is ended at its issuer (RFC 7009), or what ends it there. Default: where the server has a
   * revocation endpoint. `true` fails where it has none, `false` asks nobody. It runs before the grant is removed,
   * for as long as `deadline`; interrupting the logout interrupts it, and the grant is removed all the same.
   */
  readonly revoke?: boolean | ((grant: Grant.Grant) => Effect.Effect<void, TokenError>) | undefined
  /**
   * Sends the browser in which the person logged in to this address, which ends their session at the server too
   * (OpenID Connect RP-Initiated Logout 1.0): by `BrowserLauncher.open`, say, and tells the person where that fails.
   * Default: the session lives on, and the next login in that browser may ask nothing. It runs when the grant was
   * removed, for as long as `deadline`, where somebody was logged in and the server offers it. The address holds the ID
   * token, if that is of this issuer and for this client, by which most servers know the session without asking; unwrap
   * it only to open it.
   */
  readonly browser?: ((address: Redacted.Redacted<string>) => Effect.Effect<void>) | undefined
}

/**
 * A login and what is done with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** The four-tier source: memory, the stored token, the stored refresh token, a login. */
  readonly source: TokenSource.TokenSource
  /**
   * Asks the person now, whatever is stored, stores the grant and gives its token; from then on nobody is
   * given an older one. The grant that it replaces is not revoked, since some issuers end all grants of the person with
   * one; `logout` before it does that. One login at a time: who waits for another login takes what that comes to.
   * Interruption ends the login and changes nothing, unless the grant is there already; then that is stored.
   * Fails before anybody is asked where the vault can't be read; a damaged record is replaced. Never held back by
   * `coolDown`, and it ends one that runs.
   */
  readonly login: Effect.Effect<Token.Token, TokenError>
  /**
   * A valid token, from memory or from the vault, renewed if need be. Never opens a login: where one is
   * needed, the error says so. It waits for one that somebody else has opened.
   */
  readonly token: Effect.Effect<Token.Token, TokenError>
  /**
   * A new token, however good the present one is; the person is not asked. Joins a renewal that is in flight.
   */
  readonly refresh: Effect.Effect<Token.Token, TokenError>
  /**
   * Revokes the grant, and then removes it whether that succeeds or not; nobody is given its token any more.
   * What revoking failed with is given after the removal, else why `browser` could not be told. Where another process
   * renews the grant meanwhile, the renewed one is revoked and removed. A damaged record is removed. Succeeds where
   * nobody is logged in. Once begun, the removal can't be interrupted.
   */
  readonly logout: (options?: LogoutOptions) => Effect.Effect<void, TokenError>
  /**
   * Who is logged in, by the ID token that is stored with the grant; `None` where nobody is or none came, as where
   * `openid` was not among the scopes. Asks nobody outside.
   *
   * - A login with `BrowserLogin` or `DeviceLogin` has verified it: issuer, audience, lifetime, signature where the
   *   server publishes keys, and the nonce in a browser. One that came with a renewal was compared with it (same issuer,
   *   same person, this client), and the connection to the issuer vouches for its signature (OpenID Connect Core
   *   §3.1.3.7, 6; §12.2). One by a `Login` of one's own is as good as that.
   * - Here issuer and audience are compared again; signature and lifetime are not: it says who logged in, not that
   *   they still are at the server, and whoever can write to the vault can change it.
   * - One that can't be read fails with `ReauthRequired`, one of another issuer or for another client with
   *   `Misconfigured`, and so does a damaged record.
   *
   * `UserInfo.fetch` tells more of them, given `token` and the `sub` from here.
   */
  readonly user: Effect.Effect<Option.Option<Claims>, TokenError>
  /** What is known of it; asks nobody outside. */
  readonly status: Effect.Effect<TokenStatus.TokenStatus>
  /**
   * The address of the API that the issuer has told with the grant (`resource_url`), as an `https` URL
   * without credentials, query and fragment, and without a slash at its end; `None` where there is none like
   * that.
   */
  readonly baseUrl: Effect.Effect<Option.Option<string>, TokenError>
}

/**
 * The login of the program.
 *
 * @since 0.1.0
 * @category tags
 */
export class SignIn extends Context.Tag("effect-credentials/SignIn")<SignIn, Service>() {}

/**
 * A manager of one login, over the `Vault` and with the `Login` in the context. The vault must know the key:
 * give a `TokenFileVault` the same one, or let `layerTokenFile` do so. Name `resource_url` in the `keep` of
 * the login's own options, if the issuer tells it there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<
  Service,
  Misconfigured,
  Vault.Vault | Login | HttpClient.HttpClient | RefreshScheduler.RefreshScheduler | Scope.Scope
> => Effect.map(assemble(options), service)

/** The login's parts, what ends it at its issuer, and whose it is. */
interface Assembled extends Machine.Self {
  readonly revocation: Revocation.Revocation
  readonly issuer: Revocation.Options
}

const assemble = Effect.fnUntraced(function*(options: Options) {
  const { cache, minUsable = Duration.minutes(1), refresh } = options
  const vault = yield* Vault.Vault
  const login = yield* Login
  const keep = ["resource_url", ...refresh.keep ?? []]
  const shared = yield* OAuth.prepare({ ...options, refresh: { ...refresh, keep } })
  const { key, name, persister } = shared
  const memo: Machine.Memo = { adopting: 0, gone: [] }
  const wrap = (source: TokenSource.TokenSource) => Machine.heeding(source, memo)
  const self: Assembled = {
    name,
    issuer: issuerOf(refresh),
    revocation: yield* Revocation.make(issuerOf(refresh)),
    redemption: Redemption.make({
      vault,
      key,
      source: name,
      deadline: shared.deadline,
      graceWindow: shared.graceWindow,
      leaseTerm: shared.leaseTerm,
      stored: persister && Persister.stored(persister)
    }),
    prompt: { login: login.login, timeLimit: login.timeLimit, kind: "explicit", coolDown: options.coolDown },
    memory: yield* OAuth.remembered(shared, { cache, login, minUsable, wrap }),
    memo,
    deadline: shared.deadline,
    scope: yield* Effect.scope
  }
  return self
})

/** Whom to revoke at. The name that renewals have is none for that. */
const issuerOf = ({
  client,
  dialect,
  maxResponseBytes,
  requestTimeLimit,
  server
}: RefreshToken.Options): Revocation.Options => ({
  client,
  dialect,
  maxResponseBytes,
  requestTimeLimit,
  server
})

const revoking = (
  revocation: Revocation.Revocation,
  revoke: LogoutOptions["revoke"]
): Machine.Step | undefined => {
  if (revoke === false) return undefined
  if (typeof revoke === "function") return revoke
  if (revoke === true) return revocation.revoke
  return (grant) =>
    Effect.if(revocation.isOffered, {
      onTrue: () => revocation.revoke(grant),
      onFalse: () => Effect.void
    })
}

/** An ID token that is not the person's own is shown to nobody. */
const leaving = (
  { issuer: { client, server }, name }: Assembled,
  browser: LogoutOptions["browser"]
): Machine.Step | undefined =>
  browser && ((grant) =>
    IdToken.ofKept(grant, { client, name, server }).pipe(
      Effect.match({ onFailure: () => undefined, onSuccess: () => grant.idToken }),
      Effect.flatMap((idToken) => EndSession.url({ client, server, idToken })),
      Effect.flatMap(Option.match({ onNone: () => Effect.void, onSome: browser }))
    ))

const userOf = ({ issuer: { client, server }, name, redemption }: Assembled): Service["user"] =>
  Effect.flatMap(
    redemption.read,
    Option.match({
      onNone: () => Effect.succeedNone,
      onSome: ({ grant }) =>
        Effect.mapError(IdToken.ofKept(grant, { client, name, server }), IdToken.toGrantError)
    })
  )

const service = (self: Assembled): Service => {
  const { memory } = self
  return {
    source: memory,
    login: Machine.logIn(self),
    token: memory.request({ interactive: false }),
    refresh: memory.request({ interactive: false, refresh: true }),
    logout: (options) =>
      Machine.logOut(self, {
        revoke: revoking(self.revocation, options?.revoke),
        leave: leaving(self, options?.browser)
      }),
    user: userOf(self),
    status: memory.status,
    baseUrl: Effect.map(
      self.redemption.read,
      Option.flatMap(({ grant }) => BaseUrl.parse(grant.extra["resource_url"] ?? ""))
    )
  }
}

/**
 * The login of the program, over the vault in the context.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<SignIn, Misconfigured, Vault.Vault | HttpClient.HttpClient | Login> =>
  RefreshScheduler.provide(Layer.scoped(SignIn, make(options)))

/**
 * What `layerTokenFile` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenFileOptions extends Options {
  /** The token file. */
  readonly path: string
}

/**
 * The login of the program in a token file of its own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTokenFile = (
  options: TokenFileOptions
): Layer.Layer<
  SignIn,
  Misconfigured,
  HttpClient.HttpClient | Login | FileSystem.FileSystem | Path.Path
> =>
  Layer.unwrapEffect(Effect.map(
    options.key === undefined ? OAuthSource.keyOf(options.refresh) : Effect.succeed(options.key),
    (key) => Layer.provide(layer({ ...options, key }), TokenFileVault.layer({ path: options.path, key }))
  ))

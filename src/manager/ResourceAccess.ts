/**
 * Access to a protected resource of which nothing is known but its address, as clients of the Model Context Protocol
 * have to get it: the challenge of the resource leads to its metadata (RFC 9728), that to an authorization server
 * (RFC 8414), there the program becomes a client (RFC 7591), and a person logs in for just this resource (RFC 8707).
 *
 * All that is kept is bound to the issuer, and a grant to its client too: a resource that moves to another issuer gets
 * a new client and a new login, and neither a secret nor a grant of the old one is sent there.
 *
 * A resource elsewhere, and the server that it names, can't name an address of this machine or its network. That is
 * judged by the host as it is written: a public name that leads to a local address is not noticed. Where that matters,
 * name the servers by `trust`, or give an `HttpClient` that refuses such addresses when it connects.
 *
 * @example
 * ```ts
 * import * as HttpClient from "@effect/platform/HttpClient"
 * import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
 * import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
 * import * as Effect from "effect/Effect"
 *
 * const url = "https://api.example.com/mcp"
 *
 * // Over a vault and an HttpClient, and with what a login in the browser needs: `SystemBrowser.layer` and
 * // `NodeCallbackListener.layer`, and the `LoginPrompt` of your choice.
 * const AccessLayer = ResourceAccess.layer({
 *   url,
 *   client: { metadata: { name: "My program", redirectUris: ["http://127.0.0.1/callback"] } },
 *   login: BrowserLogin.make
 * })
 *
 * const program = Effect.gen(function*() {
 *   const access = yield* ResourceAccess.ResourceAccess
 *   // Where somebody expects to be asked; whoever is logged in already is not asked again.
 *   yield* access.source.get
 *   const http = access.http(yield* HttpClient.HttpClient)
 *   const response = yield* http.get(url)
 *   return yield* response.json
 * })
 *
 * const runnable = Effect.provide(program, AccessLayer)
 * ```
 *
 * @example
 * ```ts
 * import * as AnyLogin from "effect-credentials/login/AnyLogin"
 * import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
 *
 * // A browser where one can open, a code on another device where not. For the second the server needs a
 * // `device_authorization_endpoint` and the client the grant, which a program that registers itself names in
 * // `grantTypes`. Where the server has none, the person pastes the address at which a browser elsewhere ended. Needs
 * // `Surroundings.layer` beside what the browser needs.
 * const AccessLayer = ResourceAccess.layer({
 *   url: "https://api.example.com/mcp",
 *   client: {
 *     metadata: {
 *       name: "My program",
 *       redirectUris: ["http://127.0.0.1/callback"],
 *       grantTypes: [
 *         "authorization_code",
 *         "refresh_token",
 *         "urn:ietf:params:oauth:grant-type:device_code"
 *       ]
 *     }
 *   },
 *   login: (options) => AnyLogin.make({ browser: options, device: options })
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as HttpAuth from "../http/HttpAuth.js"
import * as StepUp from "../http/StepUp.js"
import * as RefreshScheduler from "../RefreshScheduler.js"
import type * as Token from "../Token.js"
import { TokenUnavailable } from "../TokenError.js"
import type { Misconfigured, TokenError, TransientFailure } from "../TokenError.js"
import * as TokenSource from "../TokenSource.js"
import * as TokenStatus from "../TokenStatus.js"
import type * as Vault from "../vault/Vault.js"
import * as ClientRegistry from "./ClientRegistry.js"
import * as Keeper from "./internal/resourceKeeper.js"
import * as Logins from "./internal/resourceLogin.js"
import * as Logout from "./internal/resourceLogout.js"
import type * as Session from "./internal/resourceSession.js"
import * as Steps from "./internal/resourceStepUp.js"
import type { Found, Options } from "./ResourceSettings.js"
import type * as SignIn from "./SignIn.js"

export type { Found, LoginOptions, Options } from "./ResourceSettings.js"

/**
 * Access to one resource. Nothing is asked of anybody before the first use, and what was found out is remembered for a
 * time. Safe for any number of concurrent callers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * The tokens for the resource: from memory, from the vault, renewed, or by a login. A client that its server has
   * forgotten is registered once more, and then a person has to log in again. What resource and server answer can
   * neither open more than `maxLogins` logins within an hour nor bring about more than a few registrations.
   */
  readonly source: TokenSource.TokenSource
  /**
   * Gives an HTTP client the tokens, for requests to the resource's origin. An answer that wants more scopes
   * (`insufficient_scope`) leads to a login for those beside the present ones, once a request; where that may not be,
   * or brought nothing, the request fails with `InvalidScope`, which names them.
   */
  readonly http: HttpAuth.Middleware<TokenError>
  /** Asks the person now, whatever is stored and however many logins there were. */
  readonly login: Effect.Effect<Token.Token, TokenError>
  /** Asks the person for these scopes beside the present ones; `refused` is a token that lacked them. */
  readonly stepUp: (
    scopes: ReadonlyArray<string>,
    refused?: Token.Token
  ) => Effect.Effect<Token.Token, TokenError>
  /**
   * Ends the login; see `SignIn.Service`. Where the resource was with other issuers before, or the program another
   * client there, the logins from then end too: each grant is revoked at its own issuer, as the client that it was given
   * to, and then removed. They are found in the vault, of the last eight such, and the resource is not asked. A grant that
   * can't be revoked is removed all the same, and then the first failure is given; that a server does not know a former
   * client any more is none. With `revoke: false` nobody is asked.
   */
  readonly logout: SignIn.Service["logout"]
  /** What is known of the resource, found out now if it wasn't. */
  readonly found: Effect.Effect<Found, TransientFailure | Misconfigured>
}

/**
 * Access to the resource that the program is about. Whoever has several makes each by `make`.
 *
 * @since 0.1.0
 * @category tags
 */
export class ResourceAccess
  extends Context.Tag("effect-credentials/ResourceAccess")<ResourceAccess, Service>()
{}

/**
 * Access to a resource, over the vault in the context. Fails when an option can't be used; that the resource is out of
 * reach is found out by its first use.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: <R = never>(
  options: Options<R>
) => Effect.Effect<
  Service,
  Misconfigured,
  Vault.Vault | HttpClient.HttpClient | RefreshScheduler.RefreshScheduler | Scope.Scope | R
> = Effect.fnUntraced(function*<R>(options: Options<R>) {
  const name = options.name ?? (URL.canParse(options.url) ? new URL(options.url).host : "resource")
  const registry = yield* ClientRegistry.make(options.client)
  const keeper = yield* Keeper.make(options, name, registry)
  const stepUp = yield* Steps.make({ name, most: options.maxStepUps ?? 3, current: keeper.current })
  const mayAsk = options.login !== undefined
  const automatic = (session: Session.Session, wish?: Steps.Wish) =>
    Logins.wishing(logIn(keeper, session), { ...wish, kind: "automatic" })
  const login = (session: Session.Session, wish?: Steps.Wish) =>
    Effect.zipRight(
      keeper.logins.reset,
      Logins.wishing(logIn(keeper, session), { ...wish, kind: "explicit" })
    )
  const source = sourceOf({ name, keeper, mayAsk })
  const obtain = (scopes: ReadonlyArray<string>, refused: Token.Token) =>
    options.interactive === true && mayAsk
      ? Effect.if(keeper.logins.isLeft, {
        onTrue: () => stepUp({ scopes, refused, login: automatic }),
        onFalse: () => Effect.fail(tooOften(name))
      })
      : Effect.fail(Steps.missing(name, scopes, "and a request may not ask for a login"))
  return {
    source,
    http: middleware(options, keeper, source, obtain),
    login: Effect.flatMap(keeper.current, (session) => login(session)),
    stepUp: (scopes, refused) => stepUp({ scopes, refused, login }),
    logout: yield* Logout.make(options, name, { keeper, registry }),
    found: Effect.map(keeper.current, ({ found }) => found)
  }
})

/** Longer than people are given for a login. */
const timeLimit = Duration.minutes(30)

interface Self {
  readonly name: string
  readonly keeper: Keeper.Keeper
  /** Whether there is somebody who can be asked. */
  readonly mayAsk: boolean
}

const sourceOf = (self: Self): TokenSource.TokenSource => {
  const { keeper, name } = self
  const held = () => keeper.peek()?.signIn.source
  const idle = TokenStatus.make({ source: name, health: "Idle" })
  return TokenSource.make({
    name,
    timeLimit,
    request: (request) =>
      restrained(self, request, (request) =>
        Effect.flatMap(keeper.current, (session) =>
          Effect.catchIf(
            session.signIn.source.request(request),
            (error) => isForgotten(session, error),
            // A new client has no grant, so this opens a login, where it may.
            () => Effect.flatMap(keeper.renewed(session), (next) => next.signIn.source.request(request))
          ))).pipe(Effect.tapError((error) => error._tag === "ReauthRequired" ? keeper.doubt : Effect.void)),
    peek: () => held()?.peek() ?? Option.none(),
    invalidate: (token) => Effect.suspend(() => held()?.invalidate(token) ?? Effect.void),
    status: Effect.suspend(() => held()?.status ?? Effect.succeed(idle)),
    onChange: keeper.onChange
  })
}

/** Asks nobody where there were logins enough, whatever brought them about. */
const restrained = (
  { keeper, mayAsk, name }: Self,
  request: TokenSource.TokenRequest,
  ask: (request: TokenSource.TokenRequest) => Effect.Effect<Token.Token, TokenError>
): Effect.Effect<Token.Token, TokenError> =>
  !mayAsk || request.interactive === false
    ? ask(request)
    : Effect.if(keeper.logins.isLeft, {
      onTrue: () => ask(request),
      onFalse: () =>
        Effect.catchIf(ask({ ...request, interactive: false }), needsLogin, () => Effect.fail(tooOften(name)))
    })

const needsLogin = ({ _tag, reason }: TokenError): boolean =>
  _tag === "ReauthRequired" || reason === "LoginRequired"

/** Whether the server has forgotten a client that registered itself. */
const isForgotten = ({ found }: Session.Session, error: TokenError): boolean =>
  found.client._tag === "Registered" && Logins.isInvalidClient(error)

const logIn = (keeper: Keeper.Keeper, session: Session.Session): Effect.Effect<Token.Token, TokenError> =>
  Effect.catchIf(
    session.signIn.login,
    (error) => isForgotten(session, error),
    () => Effect.flatMap(keeper.renewed(session), (next) => next.signIn.login)
  )

const middleware = <R>(
  { interactive, url }: Options<R>,
  keeper: Keeper.Keeper,
  source: TokenSource.TokenSource,
  obtain: (scopes: ReadonlyArray<string>, refused: Token.Token) => Effect.Effect<unknown, TokenError>
): HttpAuth.Middleware<TokenError> => {
  const stepping = StepUp.make<TokenError, TokenError>({
    source,
    credential: (source) => HttpAuth.dpop(source, { origins: url, interactive, allowBearer: true }),
    obtain
  })
  return (client) =>
    HttpClient.tap(stepping(client), ({ status }) => status === 401 ? keeper.doubt : Effect.void)
}

const tooOften = (source: string): TokenUnavailable =>
  new TokenUnavailable({
    source,
    reason: "LoginRequired",
    detail: "a login is needed, and there were enough of them within the hour",
    hint:
      "Log in by the program's login command. Check the resource: it, or its server, refuses each login's token.",
    tiers: []
  })

/**
 * Access to the resource that the program is about, over the vault in the context.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: Options<R>
): Layer.Layer<ResourceAccess, Misconfigured, Vault.Vault | HttpClient.HttpClient | R> =>
  RefreshScheduler.provide(Layer.scoped(ResourceAccess, make(options)))

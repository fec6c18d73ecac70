/** A login at one issuer, as one client, for one resource: it lives until one of the three changes. */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Grant from "../../Grant.js"
import type * as CallbackListener from "../../login/CallbackListener.js"
import * as Login from "../../login/Login.js"
import * as RefreshToken from "../../oauth/RefreshToken.js"
import type { RefreshScheduler } from "../../RefreshScheduler.js"
import * as Token from "../../Token.js"
import { TokenUnavailable } from "../../TokenError.js"
import type { Misconfigured, TokenError } from "../../TokenError.js"
import * as TokenSource from "../../TokenSource.js"
import type * as Vault from "../../vault/Vault.js"
import * as VaultKey from "../../vault/VaultKey.js"
import type { Found, LoginOptions, Options } from "../ResourceSettings.js"
import * as SignIn from "../SignIn.js"

export interface Session extends Asking {
  readonly signIn: SignIn.Service
  /** Ends it when nobody is in the middle of something. */
  readonly close: Effect.Effect<void>
}

/** What logins are made from, as it is by then. */
interface Asking {
  found: Found
  scopes: ReadonlyArray<string>
}

export type Needs = Vault.Vault | HttpClient.HttpClient | RefreshScheduler | Scope.Scope

/** Whether what was found out now is what the session is about. */
export const isStill = ({ found }: Session, now: Found): boolean =>
  found.server.issuer === now.server.issuer && found.resource.resource === now.resource.resource &&
  found.resource.origin === now.resource.origin &&
  found.client._tag === now.client._tag && found.client.client.id === now.client.client.id

/** What was found out now counts from now on, beside the scopes that were asked for meanwhile. */
export const update = (session: Session, found: Found): Session => {
  const further = session.scopes.filter((scope) => !session.found.scopes.includes(scope))
  return Object.assign(session, { found, scopes: [...new Set([...found.scopes, ...further])] })
}

/** Its scope is a child of the one around it. `note` is run by each login. */
export const open: <R>(
  options: Options<R>,
  name: string,
  found: Found,
  note: Effect.Effect<void>
) => Effect.Effect<Session, Misconfigured, Needs | R> = Effect.fnUntraced(function*<R>(
  options: Options<R>,
  name: string,
  found: Found,
  note: Effect.Effect<void>
) {
  const { resource } = found.resource
  const users = yield* Effect.makeSemaphore(everybody)
  const asking: Asking = { found, scopes: found.scopes }
  const login = yield* loginOf(options, name, asking, note)
  const key = yield* keyOf(found)
  const { dpop } = base(options, found)
  const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
  const signIn = yield* SignIn.make({
    ...kept(options),
    name,
    key,
    refresh: {
      server: found.server,
      client: found.client.client,
      // None at all says so even where a login from before has named it.
      resource: names(options, found) ? resource : [],
      requestTimeLimit: options.requestTimeLimit,
      maxResponseBytes: options.maxResponseBytes,
      ...dpop === undefined ? {} : { dpop }
    }
  }).pipe(Effect.provideService(Login.Login, login), Effect.provideService(Scope.Scope, scope))
  return Object.assign(asking, {
    signIn: used(signIn, users.withPermits(1)),
    close: users.withPermits(everybody)(Scope.close(scope, Exit.void))
  })
})

/**
 * A grant is its client's alone (RFC 6749 §6), so that one of another client is not sent. Those who name resources
 * and issuers could find some whose short names meet: the name is the whole digest.
 */
const keyOf = ({ client, resource, server }: Found): Effect.Effect<VaultKey.VaultKey> =>
  Effect.map(
    VaultKey.make({
      prefix: "",
      resource: `${resource.resource}\0${client.client.id}`,
      issuer: server.issuer
    }),
    ({ binding }) => ({ name: `OAUTH_REFRESH_TOKEN_${binding}`, binding })
  )

/** More than ever use it at once. */
const everybody = 2 ** 31

/** What is under way goes on to its end, also where the session is replaced meanwhile. */
const used = (
  signIn: SignIn.Service,
  using: <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E>
): SignIn.Service => ({
  ...signIn,
  source: TokenSource.withRequest(signIn.source, (request) => using(signIn.source.request(request))),
  login: using(signIn.login),
  logout: (how) => using(signIn.logout(how))
})

type Kept = Pick<
  SignIn.Options,
  "cache" | "deadline" | "graceWindow" | "keepAlive" | "leaseTerm" | "minUsable" | "persister"
>

const kept = <R>(options: Options<R>): Kept => {
  const { cache, deadline, graceWindow, keepAlive, leaseTerm, persister } = options
  return { cache, deadline, graceWindow, keepAlive, leaseTerm, minUsable: 0, persister }
}

/** Whether requests name the resource. */
const names = <R>({ sendResource }: Options<R>, { resource, server }: Found): boolean =>
  typeof sendResource === "function"
    ? sendResource(server.issuer)
    : sendResource ?? resource.origin === "Metadata"

const base = <R>(options: Options<R>, found: Found): Omit<LoginOptions, "scopes"> => ({
  server: found.server,
  client: found.client.client,
  resource: names(options, found) ? found.resource.resource : undefined,
  offlineAccess: options.offlineAccess,
  redirect: redirectOf(options, found),
  requirePkce: found.resource.origin === "Metadata",
  dpop: options.dpop ?? (found.resource.boundTokens ? true : undefined),
  requestTimeLimit: options.requestTimeLimit,
  maxResponseBytes: options.maxResponseBytes
})

/** Where a browser comes back to, as it is registered. */
const redirectOf = <R>({ client: { metadata } }: Options<R>, { client }: Found): LoginOptions["redirect"] => {
  const [uri] = (client._tag === "Registered" ? client.registration : metadata)?.redirectUris ?? []
  if (uri === undefined || !URL.canParse(uri)) return uri === undefined ? undefined : { manual: uri }
  const { hostname, pathname, port, protocol, search } = new URL(uri)
  const host = loopbacks.find((host) => host === hostname)
  return protocol !== "http:" || host === undefined || search !== ""
    ? { manual: uri }
    : { host, path: pathname, port: port === "" ? undefined : Number(port) }
}

const loopbacks: ReadonlyArray<CallbackListener.Host> = ["127.0.0.1", "[::1]", "localhost"]

/** Each login asks for what is wanted by then. */
const loginOf = <R>(
  options: Options<R>,
  name: string,
  asking: Asking,
  note: Effect.Effect<void>
): Effect.Effect<Login.Service, Misconfigured, R | HttpClient.HttpClient> => {
  const { login } = options
  if (login === undefined) return Effect.succeed(nobody(name))
  return Effect.flatMap(Effect.context<R | HttpClient.HttpClient>(), (context) => {
    const prepared = Effect.suspend(() => {
      const scopes = asking.scopes.length === 0 ? undefined : asking.scopes
      return Effect.provide(login({ ...base(options, asking.found), scopes }), context)
    })
    const checked = Effect.suspend(() => Effect.provide(check(asking.found), context))
    return Effect.map(prepared, (first): Login.Service => ({
      name: first.name,
      timeLimit: Duration.sum(first.timeLimit, Duration.minutes(1)),
      login: Effect.zipRight(
        Effect.zipRight(note, checked),
        Effect.flatMap(prepared, (service) => service.login)
      )
    }))
  })
}

const nobody = (name: string): Login.Service => ({
  name,
  timeLimit: Duration.zero,
  login: Effect.fail(
    new TokenUnavailable({
      source: name,
      reason: "LoginRequired",
      detail: "nobody is logged in, and nobody can be asked here",
      hint: "Log in where somebody can be asked, over the same vault.",
      tiers: []
    })
  )
})

/** A registration that is younger than this, in milliseconds, is still there. */
const trusted = 5 * 60_000

/**
 * Fails where the server has forgotten a client that registered itself: a browser would show the person an error page
 * then, and nobody would ever come back. Any request of the client tells, and one for no token at all does no harm.
 */
const check = Effect.fnUntraced(function*({ client, server }: Found) {
  const now = yield* Clock.currentTimeMillis
  if (client._tag !== "Registered" || now - client.registration.registeredAt < trusted) return
  const redeem = yield* RefreshToken.make({ server, client: client.client, name: "client registration" })
  yield* Effect.catchIf(Grant.apart(redeem(probe)), (error) => !isInvalidClient(error), () => Effect.void)
})

const probe = Grant.make({
  token: Token.make({ value: Redacted.make("") }),
  refreshToken: Redacted.make("is-this-client-known")
})

export const isInvalidClient = (error: TokenError): error is Misconfigured =>
  error._tag === "Misconfigured" && error.reason === "InvalidClient"

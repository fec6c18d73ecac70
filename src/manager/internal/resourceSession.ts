/** A login at one issuer, as one client, for one resource: it lives until one of the three changes. */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as CallbackListener from "../../login/CallbackListener.js"
import * as Login from "../../login/Login.js"
import type { RefreshScheduler } from "../../RefreshScheduler.js"
import type { Misconfigured } from "../../TokenError.js"
import * as TokenSource from "../../TokenSource.js"
import type * as Vault from "../../vault/Vault.js"
import type { Found, LoginOptions, Options } from "../ResourceSettings.js"
import * as SignIn from "../SignIn.js"
import * as Logins from "./resourceLogin.js"
import * as Trace from "./resourceTrace.js"

export interface Session extends Logins.Asking {
  readonly signIn: SignIn.Service
  /** Ends it when nobody is in the middle of something. */
  readonly close: Effect.Effect<void>
}

export type Needs = Vault.Vault | HttpClient.HttpClient | RefreshScheduler | Scope.Scope

/** Whether what was found out now is what the session is about. */
export const isStill = (session: Session, now: Found): boolean => {
  const { client, resource } = session.found
  return isBeside(session, now) && resource.origin === now.resource.origin &&
    client._tag === now.client._tag && client.client.id === now.client.client.id
}

/** Whether what was found out now is about the same resource and issuer, whatever the client. */
const isBeside = ({ found }: Session, now: Found): boolean =>
  found.server.issuer === now.server.issuer && found.resource.resource === now.resource.resource

/** What a session is made from. */
export interface Settings<R> extends Logins.Limits {
  readonly options: Options<R>
  readonly name: string
  readonly trace: Trace.Trace
}

/**
 * Its scope is a child of the one around it. What logins have brought in the session before it is asked for in this one
 * too, unless it is with somebody else.
 */
export const open: <R>(
  settings: Settings<R>,
  found: Found,
  before: Session | undefined
) => Effect.Effect<Session, Misconfigured, Needs | R> = Effect.fnUntraced(function*<R>(
  settings: Settings<R>,
  found: Found,
  before: Session | undefined
) {
  const { gate, logins, name, options, trace } = settings
  const { resource } = found.resource
  const users = yield* Effect.makeSemaphore(everybody)
  const brought = before !== undefined && isBeside(before, found) ? before.brought : []
  const asking: Logins.Asking = { found, brought, isUnknown: false }
  const party = Trace.partyOf(found)
  const login = yield* Logins.make({
    gate,
    logins,
    name,
    login: options.login,
    base: (found) => base(options, found),
    before: trace.note(party)
  }, asking)
  const { dpop } = base(options, found)
  const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
  const signIn = yield* SignIn.make({
    ...kept(options),
    name,
    key: yield* Trace.keyOf(party),
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
  // Whoever logs in next may be somebody else.
  const forget = Effect.sync(() => {
    asking.brought = []
  })
  return Object.assign(asking, {
    signIn: used(
      { ...signIn, logout: (how) => Effect.zipRight(forget, signIn.logout(how)) },
      users.withPermits(1)
    ),
    close: users.withPermits(everybody)(Scope.close(scope, Exit.void))
  })
})

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
  "cache" | "coolDown" | "deadline" | "graceWindow" | "keepAlive" | "leaseTerm" | "minUsable" | "persister"
>

/** It is the gate of the resource that holds logins back, not that of the grant. */
const kept = <R>(options: Options<R>): Kept => {
  const { cache, deadline, graceWindow, keepAlive, leaseTerm, persister } = options
  return { cache, coolDown: 0, deadline, graceWindow, keepAlive, leaseTerm, minUsable: 0, persister }
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

/** A resource, its authorization servers and a person, all made of functions on the virtual clock. */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as Grant from "effect-credentials/Grant"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { client as clientOf } from "../oauth/siteKit.js"
import type { Request } from "../oauth/siteKit.js"

export const url = "https://api.test/mcp"
export const issuer = "https://idp.test"

/** What a login was asked for. */
export interface Asked {
  readonly issuer: string
  readonly client: string
  readonly scopes: ReadonlyArray<string> | undefined
  readonly resource: string | undefined
}

export interface World {
  readonly requests: Array<Request>
  readonly logins: Array<Asked>
  /** By issuer: the ids of the clients that it knows. */
  readonly clients: Map<string, Set<string>>
  /** What each access token and refresh token is good for. */
  readonly tokens: Map<
    string,
    { readonly issuer: string; readonly client: string; readonly scopes: ReadonlyArray<string> }
  >
  /** What can be changed. */
  readonly set: Settings
  /** The requests for tokens, as the fields of their bodies. */
  readonly exchanges: () => ReadonlyArray<Record<string, string>>
  readonly registrations: () => number
  readonly http: HttpClient.HttpClient
  readonly vault: Vault.Service
}

export interface Settings {
  /** The metadata of the resource, or nothing. */
  metadata: Record<string, unknown> | undefined
  /** Of the resource, to somebody without a token. */
  challenge: string | undefined
  /** Laid over the metadata of an issuer; nothing: it has none. */
  server: (issuer: string) => Record<string, unknown> | undefined
  /** What calls of the API need, and how the refusal says so. */
  needs: ReadonlyArray<string>
  refusal: (needs: ReadonlyArray<string>) => string
  /** Which of the scopes that were asked for a login brings. */
  grants: (scopes: ReadonlyArray<string>) => ReadonlyArray<string>
  /** Fails logins. */
  denies: TokenError | undefined
  /** Answers before everything else. */
  before: (request: Request) => Response | "dropped" | "hangs" | undefined
  /** Milliseconds that a registration takes. */
  registrationTakes: number
}

export const challenge = (parameters: Record<string, string>): string =>
  `Bearer ${Object.entries(parameters).map(([name, value]) => `${name}="${value}"`).join(", ")}`

export const makeWorld: Effect.Effect<World> = Effect.map(MemoryVault.make(), (vault) => {
  const requests: Array<Request> = []
  const clients: World["clients"] = new Map()
  const tokens: World["tokens"] = new Map()
  const set: Settings = {
    metadata: { resource: url, authorization_servers: [issuer] },
    challenge: challenge({ resource_metadata: "https://api.test/.well-known/oauth-protected-resource/mcp" }),
    server: () => ({}),
    needs: [],
    refusal: (needs) => challenge({ error: "insufficient_scope", scope: needs.join(" ") }),
    grants: (scopes) => scopes,
    denies: undefined,
    before: () => undefined,
    registrationTakes: 0
  }
  const self: World = {
    requests,
    logins: [],
    clients,
    tokens,
    set,
    vault,
    exchanges: () =>
      requests.filter(({ url }) => url.endsWith("/token")).map(({ body }) =>
        Object.fromEntries(new URLSearchParams(body))
      ),
    registrations: () => requests.filter(({ url }) => url.endsWith("/register")).length,
    http: clientOf((request) => {
      const before = set.before(request)
      if (before === "dropped") return Effect.fail("dropped")
      if (before === "hangs") return Effect.never
      const answer = Effect.sync(() => before ?? respond(self, request))
      return request.url.endsWith("/register") ? Effect.delay(answer, set.registrationTakes) : answer
    }, requests)
  }
  return self
})

const respond = (world: World, request: Request): Response => {
  const { set } = world
  const { origin, pathname } = new URL(request.url)
  if (request.url === url) return api(world, request)
  if (origin === "https://api.test") {
    return pathname === "/.well-known/oauth-protected-resource/mcp" && set.metadata !== undefined
      ? Response.json(set.metadata)
      : new Response("", { status: 404 })
  }
  if (pathname === "/.well-known/oauth-authorization-server") {
    const change = set.server(origin)
    return change === undefined ? new Response("", { status: 404 }) : Response.json({
      issuer: origin,
      token_endpoint: `${origin}/token`,
      registration_endpoint: `${origin}/register`,
      ...change
    })
  }
  if (pathname === "/register") {
    const known = knownAt(world, origin)
    const id = `client-${known.size + 1}-of-${origin}-${Math.random()}`
    known.add(id)
    return Response.json({ client_id: id }, { status: 201 })
  }
  return pathname === "/token"
    ? exchange(world, origin, new URLSearchParams(request.body))
    : new Response("", { status: 404 })
}

export const knownAt = ({ clients }: World, issuer: string): Set<string> => {
  const known = clients.get(issuer) ?? new Set()
  clients.set(issuer, known)
  return known
}

const api = ({ set, tokens }: World, request: Request): Response => {
  const header = request.headers["authorization"]
  const grant = tokens.get(header?.replace("Bearer ", "") ?? "")
  if (grant === undefined) {
    const text = header === undefined ? set.challenge : challenge({ error: "invalid_token" })
    return new Response("", { status: 401, headers: text === undefined ? {} : { "www-authenticate": text } })
  }
  return set.needs.every((scope) => grant.scopes.includes(scope))
    ? Response.json({ ok: true })
    : new Response("", { status: 403, headers: { "www-authenticate": set.refusal(set.needs) } })
}

const exchange = (world: World, origin: string, form: URLSearchParams): Response => {
  const client = form.get("client_id") ?? ""
  if (!knownAt(world, origin).has(client)) return Response.json({ error: "invalid_client" }, { status: 401 })
  const grant = world.tokens.get(form.get("refresh_token") ?? "")
  if (grant === undefined || grant.issuer !== origin || grant.client !== client) {
    return Response.json({ error: "invalid_grant" }, { status: 400 })
  }
  const { access, refresh } = mint(world, grant)
  world.tokens.delete(form.get("refresh_token") ?? "")
  return Response.json({
    access_token: access,
    refresh_token: refresh,
    token_type: "Bearer",
    expires_in: 3600,
    scope: grant.scopes.join(" ")
  })
}

const mint = (
  { tokens }: World,
  grant: { readonly issuer: string; readonly client: string; readonly scopes: ReadonlyArray<string> }
) => {
  const access = `at-${tokens.size}-${Math.random()}`
  tokens.set(access, grant)
  const refresh = `rt-${tokens.size}-${Math.random()}`
  tokens.set(refresh, grant)
  return { access, refresh }
}

/** The person, who grants what the world says. */
export const person = (world: World) => (options: ResourceAccess.LoginOptions) =>
  Effect.succeed({
    name: "test login",
    timeLimit: Duration.minutes(5),
    login: Effect.flatMap(Clock.currentTimeMillis, (now): Effect.Effect<Grant.Grant, TokenError> => {
      const { client, resource, scopes, server } = options
      world.logins.push({ issuer: server.issuer, client: client.id, scopes, resource })
      if (world.set.denies !== undefined) return Effect.fail(world.set.denies)
      const granted = world.set.grants(scopes ?? [])
      knownAt(world, server.issuer).add(client.id)
      const { access, refresh } = mint(world, { issuer: server.issuer, client: client.id, scopes: granted })
      return Effect.succeed(Grant.make({
        token: Token.make({
          value: Redacted.make(access),
          issuedAt: now,
          expiresAt: now + 3_600_000,
          scopes: granted
        }),
        refreshToken: Redacted.make(refresh),
        extra: resource === undefined ? {} : { resource }
      }))
    })
  })

export const metadata = { name: "Test client", redirectUris: ["http://127.0.0.1/callback"] }

/** Access as a process has it that shares the vault with others. */
export const access = (
  world: World,
  options: Partial<ResourceAccess.Options> = {},
  vault: Vault.Service = world.vault
): Effect.Effect<ResourceAccess.Service, TokenError, Scope.Scope> =>
  ResourceAccess.make({ url, client: { metadata }, login: person(world), ...options }).pipe(
    Effect.provideService(Vault.Vault, vault),
    Effect.provideService(HttpClient.HttpClient, world.http),
    Effect.provide(RefreshScheduler.layer)
  )

/** As another process sees the vault. */
export const asProcess = ({ vault }: World, name: string): Vault.Service => ({ ...vault, identity: { name } })

/** One call of the API; gives the status. */
export const call = (
  { http }: World,
  { http: authenticated }: ResourceAccess.Service
): Effect.Effect<number, TokenError | HttpClientError.HttpClientError> =>
  Effect.map(authenticated(http).post(url), ({ status }) => status)

/**
 * A resource and its authorization servers, all made of one table of pages, and what the official client and ours do
 * with them until a person is sent to a page, and afterwards.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import type { TokenError } from "effect-credentials/TokenError"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { client as clientOf } from "../oauth/siteKit.js"
import type { Request } from "../oauth/siteKit.js"
import * as Mcp from "./kit.js"
import * as Official from "./official.js"

export const url = "https://api.test/mcp"
export const issuer = "https://idp.test"

/** By address without `https://`: a document, a status, what answers, or nothing (404). */
export type Pages = Readonly<Record<string, Page>>
type Page = object | number | undefined | ((request: Request) => Response)

export interface Web {
  readonly pages: Record<string, Page>
  /** What was asked of the servers, as addresses without `https://`; requests to the resource itself are left out. */
  readonly asked: Array<string>
  /** The bodies of requests, by the same addresses. */
  readonly sent: Array<readonly [address: string, body: string]>
  readonly answer: (request: Request) => Response
}

export const resourceMetadata = (fields: object = {}) => ({
  resource: url,
  authorization_servers: [issuer],
  ...fields
})

export const serverMetadata = (fields: object = {}, origin = issuer) => ({
  issuer: origin,
  authorization_endpoint: `${origin}/authorize`,
  token_endpoint: `${origin}/token`,
  registration_endpoint: `${origin}/register`,
  response_types_supported: ["code"],
  code_challenge_methods_supported: ["S256"],
  ...fields
})

export const challenged = (header: string | undefined) => (request: Request): Response =>
  request.headers["authorization"] === undefined
    ? new Response("", { status: 401, headers: header === undefined ? {} : { "www-authenticate": header } })
    : protocol(request)

/** The protocol's answers to somebody with a token. */
export const protocol = ({ body, method }: Request): Response => {
  const message = method === "POST" ? JSON.parse(body) : {}
  if (message.method === "initialize") {
    const result = { ...Mcp.initialize, serverInfo: { name: "test", version: "1.0.0" } }
    return Response.json({ jsonrpc: "2.0", id: message.id, result })
  }
  if (message.method === "tools/call") {
    return Response.json({ jsonrpc: "2.0", id: message.id, result: { content: [] } })
  }
  return new Response(null, { status: method === "POST" ? 202 : 405 })
}

export const make = (change: Pages = {}): Web => {
  const asked: Array<string> = []
  const sent: Array<readonly [string, string]> = []
  const counts = { clients: 0, tokens: 0 }
  const pages: Record<string, Page> = {
    "api.test/mcp": challenged("Bearer realm=\"api\""),
    "api.test/.well-known/oauth-protected-resource/mcp": resourceMetadata(),
    "idp.test/.well-known/oauth-authorization-server": serverMetadata(),
    ...Object.fromEntries(["api.test", "idp.test", "second.test"].flatMap((host) => [
      [
        `${host}/register`,
        () =>
          Response.json({ redirect_uris: [Official.redirectUri], client_id: `client-${++counts.clients}` })
      ],
      [`${host}/token`, () =>
        Response.json({
          access_token: `access-${++counts.tokens}`,
          refresh_token: `refresh-${counts.tokens}`,
          token_type: "Bearer",
          expires_in: 3600
        })]
    ])),
    ...change
  }
  const answer = (request: Request): Response => {
    const address = request.url.replace(/^https:\/\//, "")
    if (address !== "api.test/mcp") {
      asked.push(address)
      if (request.body !== "") sent.push([address, request.body])
    }
    const page = pages[address]
    if (page === undefined) return new Response("", { status: 404 })
    if (typeof page === "number") return new Response("", { status: page })
    return typeof page === "function" ? page(request) : Response.json(page)
  }
  return { pages, asked, sent, answer }
}

/** What was done until a person was sent to a page, if that came about. */
export interface Told {
  readonly asked: ReadonlyArray<string>
  readonly login: Login | undefined
  readonly error: string | undefined
}

export interface Login {
  /** Where the page is. */
  readonly page: string
  readonly resource: string | null
  readonly scope: string | null
  readonly prompt: string | null
  readonly client: string | null
}

const loginAt = (page: URL): Login => ({
  page: page.host + page.pathname,
  resource: page.searchParams.get("resource"),
  scope: page.searchParams.get("scope"),
  prompt: page.searchParams.get("prompt"),
  client: page.searchParams.get("client_id")
})

const toldBy = (web: Web, authorize: ReadonlyArray<URL>, error: string | undefined): Told => ({
  // The rest is the exchange of the code.
  asked: web.asked.slice(0, error === undefined ? web.asked.indexOf(tokenOf(web)) : undefined),
  login: authorize[0] && loginAt(authorize[0]),
  error
})

const tokenOf = ({ asked }: Web): string => asked.find((address) => address.endsWith("/token")) ?? ""

export const fetchOf = ({ answer }: Web): typeof fetch => (input, init) =>
  Promise.resolve(answer({
    url: String(input instanceof Request ? input.url : input),
    method: init?.method ?? "GET",
    headers: Object.fromEntries(new Headers(init?.headers)),
    body: String(init?.body ?? "")
  }))

/** Stops where the person would come back, since theirs asks for all metadata once more then. */
class Sent extends Data.TaggedError("Sent") {}

export const theirs = (pages: Pages, document?: string): Effect.Effect<Told> =>
  Effect.promise(async () => {
    const web = make(pages)
    const authorize: Array<URL> = []
    const person = (): Promise<string> => Promise.reject(new Sent())
    const error = await Official.connect({ url, authorize, person, held: {}, fetch: fetchOf(web), document })
      .then(() => "connected", (error: Error) => error instanceof Sent ? undefined : error.message)
    return { ...toldBy(web, authorize, error), asked: [...web.asked] }
  })

export interface Access {
  readonly api: ResourceAccess.Service
  readonly http: HttpClient.HttpClient.With<
    TokenError | HttpClientError.HttpClientError
  >
  readonly authorize: Array<URL>
}

/** Ours over these pages, with a person who allows everything. */
export const access = (
  web: Web,
  options: Partial<ResourceAccess.Options> = {}
): Effect.Effect<Access, TokenError, Scope.Scope> =>
  Effect.gen(function*() {
    const http = clientOf((request) => Effect.sync(() => web.answer(request)))
    const authorize: Array<URL> = []
    const api = yield* ResourceAccess.make({
      url,
      client: { metadata: { name: "Test client", redirectUris: [Official.redirectUri] } },
      login: (login) => Effect.provideService(person(login, authorize), HttpClient.HttpClient, http),
      interactive: true,
      ...options
    }).pipe(
      Effect.provideServiceEffect(Vault.Vault, MemoryVault.make()),
      Effect.provideService(HttpClient.HttpClient, http),
      Effect.provide(RefreshScheduler.layer)
    )
    return { api, authorize, http: api.http(http) }
  })

const person = (options: ResourceAccess.LoginOptions, authorize: Array<URL>) =>
  Effect.map(AuthorizationCode.make(options), (code) => ({
    name: code.name,
    timeLimit: Duration.minutes(5),
    login: Effect.gen(function*() {
      const attempt = yield* code.begin({ redirectUri: Official.redirectUri })
      const page = new URL(attempt.url)
      authorize.push(page)
      const state = page.searchParams.get("state") ?? ""
      const back = new URLSearchParams({ code: "code-1", state })
      return yield* code.exchange(attempt, yield* Effect.orDie(code.judge(attempt, back)))
    })
  }))

export const ours = (
  pages: Pages,
  options: Partial<ResourceAccess.Options> = {}
): Effect.Effect<Told, TokenError> =>
  Effect.gen(function*() {
    const web = make(pages)
    const { api, authorize } = yield* access(web, options)
    const outcome = yield* Effect.either(api.source.get)
    const error = outcome._tag === "Left" ? `${outcome.left._tag} ${outcome.left.reason}` : undefined
    return toldBy(web, authorize, error)
  }).pipe(Effect.scoped)

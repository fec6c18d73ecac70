/** From the address of a resource to whom a login is with: the resource, the server, the client, the scopes. */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Challenge from "../../http/Challenge.js"
import * as AuthorizationServer from "../../oauth/AuthorizationServer.js"
import type { Limits } from "../../oauth/Limits.js"
import * as ProtectedResource from "../../oauth/ProtectedResource.js"
import { Misconfigured } from "../../TokenError.js"
import type { TransientFailure } from "../../TokenError.js"
import type * as ClientRegistry from "../ClientRegistry.js"
import type { Found } from "../ResourceSettings.js"

export interface Options extends Limits {
  readonly name: string
  readonly url: string
  readonly ask: boolean
  readonly legacy: boolean
  readonly trust: ((issuer: string) => boolean) | undefined
  readonly choose: (issuers: ReadonlyArray<string>) => ReadonlyArray<string>
  readonly scopes: ReadonlyArray<string> | undefined
}

type Failure = TransientFailure | Misconfigured

/** The servers that were met, so that what their answers told is not forgotten. */
export type Servers = Map<string, AuthorizationServer.AuthorizationServer>

/** Finds it all out; nobody is asked to log in. */
export const find: (
  options: Options,
  servers: Servers,
  registry: ClientRegistry.ClientRegistry
) => Effect.Effect<Found, Failure, HttpClient.HttpClient> = Effect.fnUntraced(function*(
  options: Options,
  servers: Servers,
  registry: ClientRegistry.ClientRegistry
) {
  const hint = options.ask ? yield* challengeOf(options) : nothing
  const resource = yield* ProtectedResource.discover({ ...options, metadataUrl: hint.metadataUrl })
  const server = yield* firstReadable(options, servers, resource)
  const client = yield* registry.resolve(server)
  const found: Found = {
    resource,
    server,
    client,
    scopes: options.scopes ?? (hint.scopes.length > 0 ? hint.scopes : resource.scopes)
  }
  return found
})

interface Hint {
  readonly metadataUrl: string | undefined
  readonly scopes: ReadonlyArray<string>
}

const nothing: Hint = { metadataUrl: undefined, scopes: [] }

/** What a resource that can't be asked would have said is not needed; its metadata may be there all the same. */
const challengeOf = (options: Options): Effect.Effect<Hint, never, HttpClient.HttpClient> =>
  Effect.match(ProtectedResource.ask(options), {
    onFailure: () => nothing,
    onSuccess: ({ challenge, status }) => status === 401 ? hintIn(Challenge.parse(challenge)) : nothing
  })

const hintIn = (challenges: ReadonlyArray<Challenge.Challenge>): Hint => {
  const ours = challenges.filter(({ scheme }) => /^(?:bearer|dpop)$/i.test(scheme))
  const urls = ours.flatMap((challenge) => Option.toArray(Challenge.resourceMetadata(challenge)))
  return { metadataUrl: urls[0]?.href, scopes: Challenge.scopes(ours) }
}

/**
 * The first server whose metadata can be had. One that is out of reach ends the search: the next one would be
 * another login.
 */
const firstReadable = (
  options: Options,
  servers: Servers,
  resource: ProtectedResource.ProtectedResource
): Effect.Effect<AuthorizationServer.AuthorizationServer, Failure, HttpClient.HttpClient> => {
  const listed = new Set(resource.issuers)
  const candidates = options.choose(resource.issuers).filter((issuer) => listed.has(issuer)).map((issuer) =>
    readable(options, servers, issuer, resource.origin)
  )
  return candidates.reduceRight(
    (others: Effect.Effect<AuthorizationServer.AuthorizationServer, Failure, HttpClient.HttpClient>, one) =>
      Effect.catchTag(
        one,
        "Misconfigured",
        (error) => Effect.catchAll(others, (other) => Effect.fail(other === noneLeft ? error : other))
      ),
    Effect.fail(candidates.length === 0 ? noneChosen(options.name) : noneLeft)
  )
}

/** The end of the list, after which the first error counts. */
const noneLeft = new Misconfigured({ source: "", reason: "InvalidMetadata", detail: "", hint: "" })

const readable = (
  options: Options,
  servers: Servers,
  issuer: string,
  origin: ProtectedResource.ProtectedResource["origin"]
): Effect.Effect<AuthorizationServer.AuthorizationServer, Failure, HttpClient.HttpClient> =>
  serverAt(options, servers, issuer).pipe(
    Effect.catchIf(
      (error) => error._tag === "Misconfigured" && error.reason === "IssuerMismatch" && isBare(issuer),
      () => serverAt(options, servers, respelt(issuer))
    ),
    Effect.catchIf(
      (error) => error._tag === "Misconfigured" && error.reason === "InvalidMetadata" && origin === "Legacy",
      () => Effect.tap(conventional(issuer), (server) => remember(servers, issuer, server))
    )
  )

const serverAt = Effect.fnUntraced(function*(options: Options, servers: Servers, issuer: string) {
  const { maxResponseBytes, requestTimeLimit } = options
  const server = servers.get(issuer) ??
    (yield* AuthorizationServer.discover({ issuer, document: "mcp", maxResponseBytes, requestTimeLimit }))
  yield* server.metadata
  remember(servers, issuer, server)
  return server
})

/** The last ones only, since resources could name new ones without end. */
const remember = (
  servers: Servers,
  issuer: string,
  server: AuthorizationServer.AuthorizationServer
): void => {
  servers.delete(issuer)
  servers.set(issuer, server)
  const [oldest] = servers.keys()
  if (servers.size > mostServers && oldest !== undefined) servers.delete(oldest)
}

const mostServers = 20

/**
 * Without a path, the issuer's document has the same address whether or not a slash is at its end, and resources are
 * careless about that. The document itself says which it is.
 */
const isBare = (issuer: string): boolean => new URL(issuer).pathname === "/"

const respelt = (issuer: string): string => issuer.endsWith("/") ? issuer.slice(0, -1) : `${issuer}/`

/** Where the endpoints of a server are that is older than its metadata, by the protocol of 2025-03-26. */
export const conventional = (
  origin: string
): Effect.Effect<AuthorizationServer.AuthorizationServer, Misconfigured> =>
  AuthorizationServer.make({
    issuer: origin,
    authorizationEndpoint: `${origin}/authorize`,
    tokenEndpoint: `${origin}/token`,
    registrationEndpoint: `${origin}/register`
  })

const noneChosen = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "IssuerMismatch",
    detail: "none of the resource's authorization servers was chosen",
    hint: "Check what `choose` gives."
  })

/**
 * An MCP server made of the official SDK's server side, on a free loopback port: its metadata router, its bearer
 * middleware, its streamable HTTP transport. And what a client of it says.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js"
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthMetadataRouter
} from "@modelcontextprotocol/sdk/server/auth/router.js"
import type { AuthInfo } from "@modelcontextprotocol/sdk/server/auth/types.js"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import type * as CallbackListener from "effect-credentials/login/CallbackListener"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import express from "express"
import * as jose from "jose"
import type { AddressInfo } from "node:net"
import * as Loopback from "../../examples/demo/loopback.js"
import * as DemoServer from "../../examples/demo/mcpServer.js"
import * as OidcProvider from "../support/OidcProvider.js"

export interface Seen {
  readonly method: string
  readonly path: string
  /** The method of the protocol's message. */
  readonly rpc: string | undefined
  readonly hasToken: boolean
}

export interface Mcp {
  /** The address of the resource. */
  readonly url: string
  /** The requests so far, oldest first. */
  readonly requests: Array<Seen>
  /** What the tokens said that were let in. */
  readonly admitted: Array<AuthInfo>
}

export interface Options {
  readonly issuer: string
  /** What every request needs. Default `tools:read`. */
  readonly required?: ReadonlyArray<string> | undefined
  /** What calling a tool needs beside that. Default `tools:write`. */
  readonly requiredForCalls?: ReadonlyArray<string> | undefined
  /** Laid over what the SDK gives as the resource's metadata; `undefined` gives 404. */
  readonly metadata?: ((document: Record<string, unknown>) => unknown) | undefined
  /** Whether a 401 says where the metadata is. Default true. */
  readonly pointing?: boolean | undefined
}

/** A server whose tokens are of the issuer. */
export const make = (options: Options): Effect.Effect<Mcp, never, Scope.Scope> =>
  Effect.gen(function*() {
    const app = express()
    const server = yield* Loopback.listen
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const url = new URL(`${origin}/mcp`)
    const requests: Array<Seen> = []
    const admitted: Array<AuthInfo> = []
    const discovery = yield* Effect.promise(() =>
      fetch(`${options.issuer}/.well-known/openid-configuration`).then((response) => response.json())
    )
    const keys = jose.createRemoteJWKSet(new URL(discovery.jwks_uri))
    app.use(express.json())
    app.use((request, _response, next) => {
      requests.push({
        method: request.method,
        path: request.path,
        rpc: request.body?.method,
        hasToken: request.headers.authorization !== undefined
      })
      next()
    })
    if (options.metadata !== undefined) {
      const { metadata } = options
      app.get("/.well-known/oauth-protected-resource/mcp", (_request, response) => {
        const document = metadata({ resource: url.href, authorization_servers: [options.issuer] })
        if (document === undefined) response.sendStatus(404)
        else response.json(document)
      })
    }
    app.use(mcpAuthMetadataRouter({
      oauthMetadata: discovery,
      resourceServerUrl: url,
      scopesSupported: ["tools:read", "tools:write"]
    }))
    const guard = (requiredScopes: ReadonlyArray<string>) =>
      requireBearerAuth({
        requiredScopes: [...requiredScopes],
        ...options.pointing === false
          ? {}
          : { resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(url) },
        verifier: {
          verifyAccessToken: async (token) => {
            const { payload } = await verified(token, keys, { issuer: discovery.issuer, audience: url.href })
            const info: AuthInfo = {
              token,
              clientId: String(payload["client_id"]),
              scopes: String(payload["scope"] ?? "").split(" "),
              expiresAt: payload.exp ?? 0,
              resource: url
            }
            admitted.push(info)
            return info
          }
        }
      })
    const required = options.required ?? ["tools:read"]
    const forCalls = [...required, ...options.requiredForCalls ?? ["tools:write"]]
    app.use(
      "/mcp",
      (request, response, next) =>
        guard(request.body?.method === "tools/call" ? forCalls : required)(request, response, next)
    )
    app.post("/mcp", (request, response) => void DemoServer.answer(request, response))
    app.use("/mcp", (_request, response) => void response.sendStatus(405))
    server.on("request", app)
    return { url: url.href, requests, admitted }
  })

/** The SDK takes only its own error for a bad token; any other is an outage. */
const verified = (
  token: string,
  keys: jose.JWTVerifyGetKey,
  claims: jose.JWTVerifyOptions
): Promise<jose.JWTVerifyResult> =>
  jose.jwtVerify(token, keys, claims).catch(async () => {
    const { InvalidTokenError } = await import("@modelcontextprotocol/sdk/server/auth/errors.js")
    throw new InvalidTokenError("The token does not hold")
  })

export interface Registrar extends OidcProvider.OidcProvider {
  /** Loses a client, as servers do. */
  readonly forget: (clientId: string) => Promise<void>
}

/** A provider that registers everybody, and gives a JWT for each resource. */
export const provider = (options: OidcProvider.Options = {}): Effect.Effect<Registrar, never, Scope.Scope> =>
  Effect.map(providerOf(options), (idp) => ({
    ...idp,
    forget: (clientId) => (idp.provider.Client as unknown as { adapter: Adapter }).adapter.destroy(clientId)
  }))

interface Adapter {
  readonly destroy: (id: string) => Promise<void>
}

const providerOf = (options: OidcProvider.Options): ReturnType<typeof OidcProvider.make> =>
  OidcProvider.make({
    ...options,
    configuration: {
      // The official client names its scopes when it registers, and the provider knows only these.
      scopes: ["openid", "offline_access", "tools:read", "tools:write"],
      ...options.configuration
    },
    features: {
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined as never,
        useGrantedResource: () => true,
        getResourceServerInfo: (_context: unknown, resource: string) => ({
          scope: "tools:read tools:write",
          audience: resource,
          accessTokenFormat: "jwt",
          accessTokenTTL: options.accessTokenLifetime ?? 3600,
          jwt: { sign: { alg: "RS256" } }
        })
      },
      ...options.features
    } as never
  })

/** A person who follows links in a browser without a screen. */
export const person = <E>(
  follow: (url: string) => Effect.Effect<unknown, E>,
  logins: Array<URL> = []
): Layer.Layer<
  LoginPrompt.LoginPrompt | BrowserLauncher.BrowserLauncher | CallbackListener.CallbackListener
> =>
  Layer.mergeAll(
    LoginPrompt.layerSilent,
    NodeCallbackListener.layer,
    BrowserLauncher.layerTest((url) => {
      logins.push(new URL(url))
      return Effect.asVoid(Effect.forkDaemon(follow(url)))
    })
  )

export interface Said {
  readonly status: number
  readonly body: {
    readonly result: { readonly tools?: ReadonlyArray<unknown>; readonly content?: ReadonlyArray<unknown> }
  }
}

/** One message to the server; gives the status and the answer. */
export const say = <E>(
  client: HttpClient.HttpClient.With<E>,
  url: string,
  method: string,
  params: Record<string, unknown> = {}
): Effect.Effect<Said, E | HttpClientError.ResponseError> =>
  Effect.flatMap(
    client.execute(
      HttpClientRequest.post(url, { headers: { accept: "application/json, text/event-stream" } }).pipe(
        HttpClientRequest.bodyUnsafeJson({ jsonrpc: "2.0", id: 1, method, params })
      )
    ),
    (response) =>
      Effect.map(response.json, (body) => ({ status: response.status, body: body as Said["body"] }))
  )

/** What the tool `greet` gives. */
export const greeting = [{ type: "text", text: "hello from the tool" }]

export const initialize = {
  protocolVersion: "2025-06-18",
  capabilities: {},
  clientInfo: { name: "effect-credentials-test", version: "1.0.0" }
}

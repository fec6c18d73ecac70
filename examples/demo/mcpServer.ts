/**
 * An MCP server on loopback that is its own authorization server, made of the server side of the official SDK: its
 * router for metadata, registration and tokens, its check of bearer tokens, its transport. Reading needs one scope,
 * calling a tool needs another one beside it. Everything is kept in memory.
 */
import { InvalidGrantError, InvalidTokenError } from "@modelcontextprotocol/sdk/server/auth/errors.js"
import { requireBearerAuth } from "@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js"
import type {
  AuthorizationParams,
  OAuthServerProvider
} from "@modelcontextprotocol/sdk/server/auth/provider.js"
import {
  getOAuthProtectedResourceMetadataUrl,
  mcpAuthRouter
} from "@modelcontextprotocol/sdk/server/auth/router.js"
import type { AuthInfo } from "@modelcontextprotocol/sdk/server/auth/types.js"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js"
import type { OAuthClientInformationFull, OAuthTokens } from "@modelcontextprotocol/sdk/shared/auth.js"
import { Effect } from "effect"
import type { Scope } from "effect"
import express from "express"
import { randomUUID } from "node:crypto"
import type { AddressInfo } from "node:net"
import * as Loopback from "./loopback.js"

export interface DemoServer {
  /** The address of the resource. */
  readonly url: string
  /** What was asked of it so far: the path, and the method of the protocol's message. */
  readonly seen: ReadonlyArray<string>
  /** The clients that it has registered; a server that is set up anew knows none of them. */
  readonly clients: Map<string, OAuthClientInformationFull>
}

export const make: Effect.Effect<DemoServer, never, Scope.Scope> = Effect.map(Loopback.listen, (server) => {
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const url = new URL(`${origin}/mcp`)
  const seen: Array<string> = []
  const clients = new Map<string, OAuthClientInformationFull>()
  const app = express()
  app.use(express.json(), (request, _response, next) => {
    seen.push([request.path, request.body?.method ?? []].flat().join(" "))
    next()
  })
  const provider = makeProvider(clients)
  app.use(mcpAuthRouter({
    provider,
    issuerUrl: new URL(origin),
    resourceServerUrl: url,
    scopesSupported: ["tools:read", "tools:call"]
  }))
  app.use("/mcp", (request, response, next) =>
    requireBearerAuth({
      verifier: provider,
      requiredScopes: request.body?.method === "tools/call" ? ["tools:read", "tools:call"] : ["tools:read"],
      resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(url),
      expectedResource: url
    })(request, response, next))
  app.post("/mcp", (request, response) => void answer(request, response))
  server.on("request", app)
  return { url: url.href, seen, clients }
})

interface Grant {
  readonly clientId: string
  readonly scopes: Array<string>
  readonly resource: URL | undefined
  readonly codeChallenge: string
}

/** Everybody who comes is alice, and she agrees to everything. */
const makeProvider = (clients: Map<string, OAuthClientInformationFull>): OAuthServerProvider => {
  const codes = new Map<string, Grant>()
  const refreshTokens = new Map<string, Grant>()
  const accessTokens = new Map<string, AuthInfo>()
  const take = (from: Map<string, Grant>, key: string, clientId: string): Grant => {
    const grant = from.get(key)
    from.delete(key)
    if (grant === undefined || grant.clientId !== clientId) {
      throw new InvalidGrantError("There is no such grant")
    }
    return grant
  }
  const issue = (grant: Grant): OAuthTokens => {
    const { clientId, resource, scopes } = grant
    const token = randomUUID()
    const refreshToken = randomUUID()
    refreshTokens.set(refreshToken, grant)
    const expiresAt = Math.floor(Date.now() / 1000) + 3600
    accessTokens.set(token, {
      token,
      clientId,
      scopes,
      expiresAt,
      ...resource === undefined ? {} : { resource }
    })
    return {
      access_token: token,
      refresh_token: refreshToken,
      token_type: "Bearer",
      expires_in: 3600,
      scope: scopes.join(" ")
    }
  }
  return {
    clientsStore: {
      getClient: (id) => clients.get(id),
      registerClient: (client) => {
        const registered = client as OAuthClientInformationFull
        clients.set(registered.client_id, registered)
        return registered
      }
    },
    authorize: async (client, params: AuthorizationParams, response) => {
      const code = randomUUID()
      const { codeChallenge, resource, scopes = [] } = params
      codes.set(code, { clientId: client.client_id, scopes, resource, codeChallenge })
      const back = new URL(params.redirectUri)
      back.searchParams.set("code", code)
      if (params.state !== undefined) back.searchParams.set("state", params.state)
      response.redirect(back.href)
    },
    challengeForAuthorizationCode: async (_client, code) => codes.get(code)?.codeChallenge ?? "",
    exchangeAuthorizationCode: async (client, code) => issue(take(codes, code, client.client_id)),
    exchangeRefreshToken: async (client, token) => issue(take(refreshTokens, token, client.client_id)),
    verifyAccessToken: async (token) => {
      const info = accessTokens.get(token)
      if (info === undefined) throw new InvalidTokenError("There is no such token")
      return info
    }
  }
}

/** What the protocol answers to a request that is let in: there is one tool, `greet`. */
export const answer = async (request: express.Request, response: express.Response): Promise<void> => {
  const server = new McpServer({ name: "demo", version: "1.0.0" })
  server.registerTool(
    "greet",
    { description: "Says hello" },
    () => ({ content: [{ type: "text", text: "hello from the tool" }] })
  )
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true })
  response.on("close", () => void transport.close())
  await server.connect(transport as never)
  await transport.handleRequest(request, response, request.body)
}

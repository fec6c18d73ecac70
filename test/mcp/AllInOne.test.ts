import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as DemoServer from "../../examples/demo/mcpServer.js"
import * as Person from "../../examples/demo/person.js"
import * as Mcp from "./kit.js"

const metadata = { name: "Test client", redirectUris: ["http://127.0.0.1/callback"] }

/** A server that is its own authorization server, as the SDK's `mcpAuthRouter` makes it. */
const setting = Effect.gen(function*() {
  const server = yield* DemoServer.make
  const vault = yield* MemoryVault.make()
  const logins: Array<URL> = []
  const access = (client: ResourceAccess.Options["client"] = { metadata }) =>
    Effect.gen(function*() {
      const api = yield* ResourceAccess.make({
        url: server.url,
        client,
        login: BrowserLogin.make,
        interactive: true
      })
      const http = api.http(yield* HttpClient.HttpClient)
      const say = (method: string, params?: Record<string, unknown>) =>
        Mcp.say(http, server.url, method, params)
      return { api, say }
    }).pipe(
      Effect.provide(Mcp.person(Person.approve, logins)),
      Effect.provideService(Vault.Vault, vault)
    )
  return { access, logins, server, vault }
})

const layer = Layer.mergeAll(FetchHttpClient.layer, RefreshScheduler.layer)

describe("an MCP server that is its own authorization server", () => {
  it.scopedLive("is talked to from its address, and asked for more", () =>
    Effect.gen(function*() {
      const { access, logins, server } = yield* setting
      const { api, say } = yield* access()
      expect((yield* say("initialize", Mcp.initialize)).status).toBe(200)
      expect((yield* say("tools/call", { name: "greet", arguments: {} })).status).toBe(200)
      expect(logins.map(({ searchParams }) => searchParams.get("scope"))).toEqual([
        "tools:read",
        "tools:read tools:call"
      ])
      const refreshed = yield* api.source.request({ refresh: true, interactive: false })
      expect([...refreshed.scopes].sort()).toEqual(["tools:call", "tools:read"])
      expect(server.seen.filter((path) => path === "/register")).toHaveLength(1)
    }).pipe(Effect.provide(layer)), 30_000)

  it.scopedLive(
    "that was set up anew knows the client no more, and gets it again",
    () =>
      Effect.gen(function*() {
        const { access, logins, server, vault } = yield* setting
        yield* (yield* access()).say("initialize", Mcp.initialize)
        const [key = ""] = yield* vault.list("OAUTH_CLIENT_")
        const stored = yield* Effect.flatten(vault.get(key))
        const record = { ...JSON.parse(Redacted.value(stored.value)), registeredAt: 0 }
        yield* vault.set(key, Redacted.make(JSON.stringify(record)))
        server.clients.clear()
        const { api, say } = yield* access()
        yield* api.login
        expect((yield* say("tools/list")).status).toBe(200)
        expect(server.seen.filter((path) => path === "/register")).toHaveLength(2)
        // The person was not sent to a page that says that nobody knows the client.
        expect(logins.map(({ searchParams }) => server.clients.has(searchParams.get("client_id") ?? "")))
          .toEqual([
            false,
            true
          ])
      }).pipe(Effect.provide(layer)),
    30_000
  )

  it.scopedLive("gives the client a secret where it wants one", () =>
    Effect.gen(function*() {
      const { access, vault } = yield* setting
      const client = { metadata: { ...metadata, authMethod: "client_secret_post" as const } }
      const { api } = yield* access(client)
      yield* api.source.get
      yield* api.source.request({ refresh: true, interactive: false })
      const { client: resolved } = yield* api.found
      expect(resolved.client.auth?._tag).toBe("Post")
      // The next start takes it from the vault.
      const again = yield* access(client)
      yield* again.api.source.request({ refresh: true, interactive: false })
      const [key = ""] = yield* vault.list("OAUTH_CLIENT_")
      const stored = JSON.parse(Redacted.value((yield* Effect.flatten(vault.get(key))).value))
      const shown = JSON.stringify([yield* api.found, yield* again.api.source.status])
      expect(stored.auth.secret.length).toBeGreaterThan(20)
      expect(shown).not.toContain(stored.auth.secret)
    }).pipe(Effect.provide(layer)), 30_000)
})

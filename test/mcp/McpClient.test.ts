import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as jose from "jose"
import * as Mcp from "./kit.js"

const client = { metadata: { name: "Test client", redirectUris: ["http://127.0.0.1/callback"] } }

interface Options {
  /** Whether nobody can be asked to log in. */
  readonly nobody?: boolean
  readonly ask?: boolean
}

/** A provider, a server that takes its tokens, and a person; `access` is what a process has. */
const setting = (
  change: {
    readonly provider?: Parameters<typeof Mcp.provider>[0]
    readonly server?: Partial<Mcp.Options>
  } = {}
) =>
  Effect.gen(function*() {
    const idp = yield* Mcp.provider(change.provider)
    const mcp = yield* Mcp.make({ issuer: idp.issuer, ...change.server })
    const vault = yield* MemoryVault.make()
    const logins: Array<URL> = []
    const access = (options: Options = {}) =>
      Effect.gen(function*() {
        const api = yield* ResourceAccess.make({
          url: mcp.url,
          client,
          login: options.nobody === true ? undefined : BrowserLogin.make,
          interactive: true,
          ask: options.ask
        }).pipe(
          Effect.provide(Mcp.person(idp.approve, logins)),
          Effect.provideService(Vault.Vault, vault)
        )
        const http = api.http(yield* HttpClient.HttpClient)
        return {
          api,
          say: (method: string, params?: Record<string, unknown>) => Mcp.say(http, mcp.url, method, params)
        }
      })
    return { access, idp, logins, mcp, vault }
  })

type Live = HttpClient.HttpClient | RefreshScheduler.RefreshScheduler | Scope.Scope

const live = <E>(name: string, test: Effect.Effect<void, E, Live>) =>
  it.scopedLive(name, () => Effect.provide(test, [FetchHttpClient.layer, RefreshScheduler.layer]), 60_000)

const greet = { name: "greet", arguments: {} }

describe("an MCP server made of the official SDK, with a certified authorization server", () => {
  live(
    "is talked to from its address alone, and asked for more scopes when they are missing",
    Effect.gen(function*() {
      const { access, idp, logins, mcp } = yield* setting()
      const { api, say } = yield* access()
      expect((yield* say("initialize", Mcp.initialize)).status).toBe(200)
      expect((yield* say("tools/list")).body.result.tools).toMatchObject([{ name: "greet" }])
      expect(logins.map(({ searchParams }) => searchParams.get("scope"))).toEqual([
        "tools:read offline_access"
      ])
      expect(logins[0]?.searchParams.get("resource")).toBe(mcp.url)

      const called = yield* say("tools/call", greet)
      expect(called.body.result.content).toEqual(Mcp.greeting)
      expect(logins[1]?.searchParams.get("scope")?.split(" ").sort()).toEqual([
        "offline_access",
        "tools:read",
        "tools:write"
      ])
      expect((yield* say("tools/list")).status).toBe(200)
      expect(logins).toHaveLength(2)

      const token = yield* api.source.get
      expect(jose.decodeJwt(Redacted.value(token.value))).toMatchObject({ aud: mcp.url, iss: idp.issuer })
      expect(idp.requests.filter(({ path }) => path === "/reg")).toHaveLength(1)
      expect(mcp.requests.filter(({ hasToken, path }) => hasToken && path !== "/mcp")).toEqual([])
    })
  )

  live(
    "needs no login at the next start, and renewals name the resource",
    Effect.gen(function*() {
      const { access, idp, logins, mcp } = yield* setting({ provider: { accessTokenLifetime: 2 } })
      yield* (yield* access()).say("initialize", Mcp.initialize)
      const { api, say } = yield* access({ nobody: true })
      expect((yield* say("tools/list")).status).toBe(200)
      yield* Effect.sleep("2500 millis")
      expect((yield* say("tools/list")).status).toBe(200)
      const token = yield* api.source.request({ refresh: true })
      expect(jose.decodeJwt(Redacted.value(token.value)).aud).toBe(mcp.url)
      expect(logins).toHaveLength(1)
      expect(idp.requests.filter(({ path }) => path === "/token").length).toBeGreaterThan(2)
    })
  )

  live(
    "is found by its well-known place where its challenge doesn't say where",
    Effect.gen(function*() {
      const { access, mcp } = yield* setting({ server: { pointing: false } })
      expect((yield* (yield* access()).say("initialize", Mcp.initialize)).status).toBe(200)
      expect((yield* (yield* access({ ask: false })).say("tools/list")).status).toBe(200)
      expect(mcp.requests.filter(({ path }) => path.startsWith("/.well-known")).map(({ path }) => path))
        .toEqual([
          "/.well-known/oauth-protected-resource/mcp",
          "/.well-known/oauth-protected-resource/mcp"
        ])
    })
  )

  live(
    "that names another resource gets nothing",
    Effect.gen(function*() {
      const { access, idp, logins } = yield* setting({
        server: { metadata: (document) => ({ ...document, resource: "https://victim.test/mcp" }) }
      })
      const before = idp.requests.length
      const error = yield* Effect.flip((yield* access()).say("initialize", Mcp.initialize))
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidMetadata" })
      expect([idp.requests.length, logins.length]).toEqual([before, 0])
    })
  )

  live(
    "whose client the server has forgotten is talked to again after one registration and one login",
    Effect.gen(function*() {
      const { access, idp, logins, vault } = yield* setting()
      yield* (yield* access()).say("initialize", Mcp.initialize)
      const [key = ""] = yield* vault.list("OAUTH_CLIENT_")
      const stored = Option.getOrThrow(yield* vault.get(key))
      const registration = JSON.parse(Redacted.value(stored.value))
      // As if it were from long ago: one that is refused at once is not made again.
      yield* vault.set(key, Redacted.make(JSON.stringify({ ...registration, registeredAt: 0 })))
      yield* Effect.promise(() => idp.forget(registration.id))
      const { api, say } = yield* access()
      yield* api.source.request({ refresh: true })
      expect((yield* say("tools/list")).status).toBe(200)
      expect(logins).toHaveLength(2)
      expect(logins[1]?.searchParams.get("client_id")).not.toBe(registration.id)
      expect(idp.requests.filter(({ path }) => path === "/reg")).toHaveLength(2)
    })
  )

  live(
    "that moves to another authorization server gets a new client and a new login there",
    Effect.gen(function*() {
      const second = yield* Mcp.provider()
      const state = { moved: false }
      const { access, idp, logins, mcp } = yield* setting({
        server: {
          metadata: (document) =>
            state.moved ? { ...document, authorization_servers: [second.issuer] } : document
        }
      })
      yield* (yield* access()).say("initialize", Mcp.initialize)
      state.moved = true
      const { api } = yield* access({ nobody: true })
      expect(yield* Effect.flip(api.source.get)).toMatchObject({ reason: "LoginRequired" })
      const there = yield* access()
      const token = yield* there.api.source.get
      expect(jose.decodeJwt(Redacted.value(token.value))).toMatchObject({ aud: mcp.url, iss: second.issuer })
      expect(logins.map(({ origin }) => origin)).toEqual([idp.issuer, second.issuer])
      expect(second.requests.every(({ authorization }) => authorization === undefined)).toBe(true)
    })
  )

  live(
    "that takes only bound tokens gets one",
    Effect.gen(function*() {
      const { access } = yield* setting({
        provider: { features: { dPoP: { enabled: true } } },
        server: { metadata: (document) => ({ ...document, dpop_bound_access_tokens_required: true }) }
      })
      const { api } = yield* access()
      const token = yield* api.source.get
      expect(token.type).toBe("DPoP")
      expect(jose.decodeJwt(Redacted.value(token.value))["cnf"]).toMatchObject({ jkt: expect.any(String) })
    })
  )
})

/**
 * What comes after the first login, of the official client and of ours, at an MCP server of the official SDK and a
 * certified provider: renewals with rotation, and a client that the provider has lost.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import type { Misconfigured } from "effect-credentials/TokenError"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Mcp from "./kit.js"
import * as Official from "./official.js"

/** Seconds. */
const lifetime = 2

const setting = (change: Parameters<typeof Mcp.provider>[0] = {}) =>
  Effect.gen(function*() {
    const idp = yield* Mcp.provider({ accessTokenLifetime: lifetime, ...change })
    const mcp = yield* Mcp.make({ issuer: idp.issuer, requiredForCalls: [] })
    const authorize: Array<URL> = []
    const grants: Array<Granted> = []
    const refused: Array<string> = []
    idp.provider.on("grant.success", ({ oidc: { client, params } }) => {
      const { grant_type, refresh_token, resource } = params ?? {}
      grants.push({
        type: String(grant_type),
        client: client?.clientId,
        spent: String(refresh_token),
        resource
      })
    })
    idp.provider.on("grant.error", (_, error) => void refused.push(error.message))
    const held: Official.Held = {}
    const vault = yield* MemoryVault.make()
    return { authorize, grants, held, idp, mcp, refused, vault }
  })

/** What the provider has given tokens for. */
interface Granted {
  readonly type: string
  readonly client: string | undefined
  readonly spent: string
  readonly resource: unknown
}

interface Running {
  readonly call: Effect.Effect<unknown>
  /** Makes its registration one of long ago: one that is refused at once is not made again. */
  readonly aged: Effect.Effect<void>
}

type Runner = (
  world: Effect.Effect.Success<ReturnType<typeof setting>>
) => Effect.Effect<Running, Misconfigured, HttpClient.HttpClient | Scope.Scope>

const greet = { name: "greet", arguments: {} }

const official: Runner = ({ authorize, held, idp, mcp }) =>
  Effect.sync(() => {
    const person = async (url: URL) => {
      const back = new URL(await Effect.runPromise(idp.authorize(url.href)))
      return back.searchParams.get("code") ?? ""
    }
    const connect = () => Official.connect({ url: mcp.url, authorize, person, held })
    // A login in the midst of a call ends the connection, so each call makes its own.
    const call = Effect.acquireUseRelease(
      Effect.promise(connect),
      (client: Client) => Effect.promise(() => client.callTool(greet)),
      (client) => Effect.promise(() => client.close())
    )
    return { call, aged: Effect.void }
  })

const ours: Runner = ({ authorize, idp, mcp, vault }) =>
  Effect.gen(function*() {
    const api = yield* ResourceAccess.make({
      url: mcp.url,
      client: { metadata: { name: "Test client", redirectUris: [Official.redirectUri] } },
      login: BrowserLogin.make,
      interactive: true
    }).pipe(
      Effect.provide([Mcp.person(idp.approve, authorize), RefreshScheduler.layer]),
      Effect.provideService(Vault.Vault, vault)
    )
    const http = api.http(yield* HttpClient.HttpClient)
    const aged = Effect.gen(function*() {
      const [key = ""] = yield* vault.list("OAUTH_CLIENT_")
      const { value } = yield* Effect.flatten(vault.get(key))
      const record = { ...JSON.parse(Redacted.value(value)), registeredAt: 0 }
      yield* vault.set(key, Redacted.make(JSON.stringify(record)))
    }).pipe(Effect.orDie)
    return { call: Effect.orDie(Mcp.say(http, mcp.url, "tools/call", greet)), aged }
  })

describe.each([["the official client", official], ["ours", ours]] as const)(
  "%s",
  { concurrent: true },
  (_, run) => {
    it.scopedLive(
      "renews without the person, and uses the refresh token that rotation brought",
      () =>
        Effect.gen(function*() {
          const world = yield* setting()
          const { authorize, grants, mcp, refused } = world
          const { call } = yield* run(world)
          yield* call
          for (const count of [2, 3]) {
            yield* Effect.sleep(`${lifetime + 0.5} seconds`)
            yield* call
            expect(grants.length).toBeGreaterThanOrEqual(count)
          }
          const [login, ...renewals] = grants
          expect(login?.type).toBe("authorization_code")
          expect(new Set(renewals.map(({ type }) => type))).toEqual(new Set(["refresh_token"]))
          expect(new Set(renewals.map(({ spent }) => spent)).size).toBe(renewals.length)
          expect(new Set(grants.map(({ resource }) => resource))).toEqual(new Set([mcp.url]))
          expect([authorize.length, refused]).toEqual([1, []])
        }).pipe(Effect.provide(FetchHttpClient.layer)),
      30_000
    )

    it.scopedLive(
      "registers itself once more where the provider has lost its client, and has the person log in",
      () =>
        Effect.gen(function*() {
          const world = yield* setting()
          const { aged, call } = yield* run(world)
          const { authorize, grants, idp, refused } = world
          yield* call
          yield* aged
          const next = yield* run(world)
          const lost = grants[0]?.client ?? ""
          yield* Effect.promise(() => idp.forget(lost))
          yield* Effect.sleep(`${lifetime + 0.5} seconds`)
          yield* next.call
          expect(refused.filter((message) => message === "invalid_client")).toHaveLength(1)
          expect(idp.requests.filter(({ path }) => path === "/reg")).toHaveLength(2)
          expect(authorize).toHaveLength(2)
          expect(authorize[1]?.searchParams.get("client_id")).toBe(grants.at(-1)?.client)
          expect(grants.at(-1)).toMatchObject({ type: "authorization_code" })
          expect(grants.at(-1)?.client).not.toBe(lost)
        }).pipe(Effect.provide(FetchHttpClient.layer)),
      30_000
    )
  }
)

/** Gives a refresh token to those only who asked for it by a scope, and people by a page. */
const strict: Parameters<typeof setting>[0] = {
  configuration: {
    issueRefreshToken: (
      _context: unknown,
      _client: unknown,
      code: { readonly scopes: ReadonlySet<string> }
    ) => Promise.resolve(code.scopes.has("offline_access"))
  } as never
}

it.scopedLive(
  "ours asks in a way that brings a refresh token where the provider is strict",
  () =>
    Effect.gen(function*() {
      const world = yield* setting(strict)
      const { call } = yield* ours(world)
      yield* call
      yield* Effect.sleep(`${lifetime + 0.5} seconds`)
      yield* call
      expect(world.grants.map(({ type }) => type)).toContain("refresh_token")
      expect(world.authorize).toHaveLength(1)
    }).pipe(Effect.provide(FetchHttpClient.layer)),
  30_000
)

/** F45 where the resource has moved since: a logout ends the logins with both of its servers, which are real ones. */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Mcp from "../mcp/kit.js"

const client = { metadata: { name: "Test client", redirectUris: ["http://127.0.0.1/callback"] } }

/** Somebody who has logged in at the first server, and at the second one when the resource had moved there. */
const moved = Effect.gen(function*() {
  const servers = [yield* Mcp.provider(), yield* Mcp.provider()] as const
  const vault = yield* MemoryVault.make()
  let now: Mcp.Registrar = servers[0]
  const mcp = yield* Mcp.make({
    issuer: servers[0].issuer,
    metadata: (document) => ({ ...document, authorization_servers: [now.issuer] })
  })
  const access = (name: string) =>
    ResourceAccess.make({ url: mcp.url, client, login: BrowserLogin.make }).pipe(
      Effect.provide(Mcp.person((url) => now.approve(url))),
      Effect.provideService(Vault.Vault, { ...vault, identity: { name } })
    )
  yield* (yield* access("first")).login
  now = servers[1]
  const api = yield* access("second")
  yield* api.login
  const refreshTokens = Effect.gen(function*() {
    const keys = yield* vault.list("OAUTH_REFRESH_TOKEN_")
    const entries = yield* Effect.forEach(keys, vault.get)
    return entries.map((entry) =>
      String(JSON.parse(Redacted.value(Option.getOrThrow(entry).value))["refreshToken"])
    )
  })
  /** How many of these the servers still take. */
  const alive = (tokens: ReadonlyArray<string>) =>
    Effect.promise(async () => {
      const found = await Promise.all(
        servers.flatMap(({ provider }) => tokens.map((token) => provider.RefreshToken.find(token)))
      )
      return found.filter((token) => token !== undefined).length
    })
  return { access, alive, api, refreshTokens }
})

describe("F45 after a logout from a resource that has moved to another server", () => {
  for (const next of [false, true]) {
    it.scopedLive(
      `the refresh tokens of both are dead, and none is kept (${next ? "by the next process" : "at once"})`,
      () =>
        Effect.gen(function*() {
          const { access, alive, api, refreshTokens } = yield* moved
          const held = yield* refreshTokens
          expect([held.length, yield* alive(held)]).toEqual([2, 2])
          yield* (next ? yield* access("next") : api).logout()
          expect([yield* refreshTokens, yield* alive(held)]).toEqual([[], 0])
        }).pipe(Effect.provide([FetchHttpClient.layer, RefreshScheduler.layer])),
      60_000
    )
  }
})

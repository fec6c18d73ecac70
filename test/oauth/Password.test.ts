import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as Password from "effect-credentials/oauth/Password"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as OidcProvider from "../support/OidcProvider.js"
import * as ProviderGrants from "../support/ProviderGrants.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call } from "./kit.js"

const explicit = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token"
})

describe("with a real provider", () => {
  const real = (password: string) =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make({ clients: ProviderGrants.clients })
      const asked = ProviderGrants.register(idp.provider)
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const options = {
        server,
        client: { id: "machine", auth: Client.basic(Redacted.make(ProviderGrants.clientSecret)) },
        username: "alice",
        password: Redacted.make(password),
        scopes: ["read", "write"],
        audience: "the API"
      }
      return { asked, idp, options }
    })

  it.scopedLive("gives a token, and a grant that can be renewed for the same audience", () =>
    Effect.gen(function*() {
      const { asked, idp, options } = yield* real(ProviderGrants.password)
      const token = yield* Effect.flatMap(Password.make(options), (source) => source.get)
      const known = yield* Effect.promise(() => idp.provider.AccessToken.find(Redacted.value(token.value)))
      expect(known).toMatchObject({ accountId: "alice", clientId: "machine" })
      expect(token.scopes).toEqual(["read", "write"])

      const { login, name } = yield* Password.makeLogin(options)
      expect(name).toContain("password (legacy) at 127.0.0.1")
      const grant = yield* login
      expect(grant.extra).toEqual({ audience: "the API" })
      const redeem = yield* RefreshToken.make({ server: options.server, client: options.client })
      const renewed = yield* redeem(grant)
      expect(renewed.extra).toEqual({ audience: "the API" })
      expect(asked.map(({ audience }) => audience)).toEqual(["the API", "the API"])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("a wrong password is Misconfigured, and says where to look", () =>
    Effect.gen(function*() {
      const { options } = yield* real("a guess")
      const error = yield* Effect.flip(Effect.flatMap(Password.make(options), (source) => source.get))
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidClient" })
      expect(error.message).toContain("Check the user name and the password")
      expect(error.message).not.toContain("a guess")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

describe("what is sent", () => {
  it.effect("the password as it is, and nothing that isn't given", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const server = yield* explicit
      const password = Redacted.make(" hush + & = % ")
      const { login } = yield* Password.makeLogin({ server, client: { id: "app" }, username: "al", password })
      yield* login
      expect([...calls[0]?.form ?? []].sort()).toEqual([
        ["client_id", "app"],
        ["grant_type", "password"],
        ["password", " hush + & = % "],
        ["username", "al"]
      ])
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  })

  for (
    const [what, username, password] of [
      ["no user name", " ", "x"],
      ["no password", "al", ""]
    ] as const
  ) {
    it.effect(`nothing, where there is ${what}`, () => {
      const calls: Array<Call> = []
      return Effect.gen(function*() {
        const options = { server: yield* explicit, client: { id: "app" }, username }
        const error = yield* Effect.flip(Password.make({ ...options, password: Redacted.make(password) }))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "EmptySecret" })
        expect(calls).toEqual([])
      }).pipe(Effect.provide(serve(inTurn(json({})), calls)))
    })
  }

  it.scoped("once only, where it is refused: servers lock accounts", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const source = yield* Password.make({
        server: yield* explicit,
        client: { id: "app" },
        username: "al",
        password: Redacted.make("wrong")
      }).pipe(TokenCache.cached())
      yield* Effect.all(Effect.replicate(Effect.flip(source.get), 20), { concurrency: "unbounded" })
      yield* Effect.flip(source.get)
      expect(calls.length).toBe(1)
    }).pipe(
      Effect.provide([
        RefreshScheduler.layer,
        serve(inTurn(json({ error: "invalid_grant" }, { status: 400 })), calls)
      ])
    )
  })
})

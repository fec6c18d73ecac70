import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as CustomGrant from "effect-credentials/oauth/CustomGrant"
import { TransientFailure } from "effect-credentials/TokenError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
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
  const real = (key: string) =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make({ clients: ProviderGrants.clients })
      ProviderGrants.register(idp.provider)
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const { login, name } = yield* CustomGrant.makeLogin({
        server,
        client: { id: "machine", auth: Client.basic(Redacted.make(ProviderGrants.clientSecret)) },
        grantType: "account_credentials",
        fields: { account_id: "acme", account_key: Redacted.make(key) }
      })
      expect(name).toMatch(/^account_credentials at 127/)
      return { grant: yield* login, idp }
    })

  it.scopedLive("an account's credentials give a token", () =>
    Effect.gen(function*() {
      const { grant, idp } = yield* real("key/of+acme")
      const known = yield* Effect.promise(() =>
        idp.provider.AccessToken.find(Redacted.value(grant.token.value))
      )
      expect(known).toMatchObject({ accountId: "acme" })
      expect(grant.refreshToken).toBeDefined()
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("wrong ones are Misconfigured", () =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(real("no"))).toMatchObject({ _tag: "Misconfigured", reason: "InvalidClient" })
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

const send = (options: Partial<CustomGrant.Options<TransientFailure>>, times = 1) => {
  const calls: Array<Call> = []
  return Effect.gen(function*() {
    const source = yield* CustomGrant.make<TransientFailure>({
      server: yield* explicit,
      client: { id: "app" },
      grantType: "made_up",
      fields: {},
      ...options
    })
    yield* Effect.replicateEffect(source.get, times)
    return calls
  }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
}

describe("what is sent", () => {
  it.effect("text, lists, secrets, and what all grants have", () =>
    Effect.gen(function*() {
      const [call] = yield* send({
        grantType: "urn:acme:params:grant",
        fields: { one: "1", many: ["2", "3"], secret: Redacted.make("h/u+s&h"), none: [] },
        scopes: ["a"],
        resource: "https://api.test",
        audience: "api",
        parameters: { one: "loses", more: "5" }
      })
      expect([...call?.form ?? []].sort()).toEqual([
        ["audience", "api"],
        ["client_id", "app"],
        ["grant_type", "urn:acme:params:grant"],
        ["many", "2"],
        ["many", "3"],
        ["more", "5"],
        ["one", "1"],
        ["resource", "https://api.test"],
        ["scope", "a"],
        ["secret", "h/u+s&h"]
      ])
    }))

  it.effect("fields from an effect, which runs for each request", () =>
    Effect.gen(function*() {
      let count = 0
      const calls = yield* send({ fields: Effect.sync(() => ({ nonce: String(++count) })) }, 3)
      expect(calls.map(({ form }) => form.get("nonce"))).toEqual(["1", "2", "3"])
    }))

  it.effect("and once more where a request is repeated with the server's nonce", () => {
    const calls: Array<Call> = []
    const answers = inTurn(
      json({ error: "use_dpop_nonce" }, { status: 400, headers: { "dpop-nonce": "n1" } }),
      json({ access_token: "t", token_type: "DPoP" })
    )
    return Effect.gen(function*() {
      let count = 0
      const source = yield* CustomGrant.make({
        server: yield* explicit,
        client: { id: "app" },
        grantType: "made_up",
        fields: Effect.sync(() => ({ nonce: String(++count) })),
        dpop: true
      })
      yield* source.get
      expect(calls.map(({ form }) => form.get("nonce"))).toEqual(["1", "2"])
    }).pipe(Effect.provide(serve(answers, calls)))
  })

  it.effect("nothing, where that effect fails", () =>
    Effect.gen(function*() {
      const failure = new TransientFailure({
        source: "signer",
        reason: "Network",
        detail: "down",
        hint: "Wait."
      })
      expect(yield* Effect.flip(send({ fields: Effect.fail(failure) }))).toMatchObject({ source: "signer" })
    }))

  it.effect("nothing, where that effect is interrupted", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const { login } = yield* CustomGrant.makeLogin({
        server: yield* explicit,
        client: { id: "app" },
        grantType: "made_up",
        fields: Effect.never
      })
      const fiber = yield* Effect.fork(login)
      yield* Effect.yieldNow()
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(calls).toEqual([])
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  })

  const wrong: ReadonlyArray<readonly [what: string, options: Partial<CustomGrant.Options>]> = [
    ["a blank grant type", { grantType: " " }],
    ["a grant type of two words", { grantType: "two words" }],
    ["a grant type with a line break", { grantType: "a\r\nb" }],
    ["a grant type without end", { grantType: "x".repeat(513) }],
    ["refresh_token, which RefreshToken redeems", { grantType: "refresh_token" }],
    ["authorization_code", { grantType: "authorization_code" }],
    ["a field that names the client", { fields: { client_secret: Redacted.make("hush") } }],
    ["a field that is the grant type", { fields: { grant_type: "other" } }],
    ["a field that is a scope", { fields: Effect.succeed({ scope: "x" }) }],
    ["a refresh token among the fields", { fields: { refresh_token: Redacted.make("hush") } }]
  ]
  for (const [what, options] of wrong) {
    it.effect(`nothing with ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(send(options))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
        expect(error.message).not.toContain("hush")
      }))
  }
})

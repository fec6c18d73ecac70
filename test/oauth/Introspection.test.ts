import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Introspection from "effect-credentials/oauth/Introspection"
import * as Revocation from "effect-credentials/oauth/Revocation"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as OidcProvider from "../support/OidcProvider.js"
import { inTurn, json, serve, text } from "./kit.js"
import type { Call } from "./kit.js"

const explicit = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token",
  introspectionEndpoint: "https://idp.test/introspect"
})

const basic = { id: "cc-basic", auth: Client.basic(Redacted.make(OidcProvider.basicSecret)) }

describe("with a real provider", () => {
  const real = Effect.gen(function*() {
    const idp = yield* OidcProvider.make()
    return yield* AuthorizationServer.discover({ issuer: idp.issuer })
  })

  it.scopedLive("a token is active, until it is revoked", () =>
    Effect.gen(function*() {
      const server = yield* real
      const source = yield* ClientCredentials.make({ server, client: basic, scopes: ["read"] })
      const { introspect } = yield* Introspection.make({ server, client: basic })
      const token = yield* source.get
      const state = yield* introspect(token.value, "access_token")
      expect(state).toMatchObject({
        _tag: "Active",
        scopes: ["read"],
        clientId: "cc-basic",
        tokenType: "Bearer",
        issuer: server.issuer
      })
      const { expiresAt, issuedAt } = state as Introspection.Active
      expect((expiresAt ?? 0) - (issuedAt ?? 0)).toBe(3_600_000)
      expect(Math.abs((expiresAt ?? 0) - token.expiresAt)).toBeLessThan(2_000)

      const { revokeToken } = yield* Revocation.make({ server, client: basic })
      yield* revokeToken(token)
      expect(yield* introspect(token.value)).toEqual({ _tag: "Inactive" })
      expect(yield* introspect(Redacted.make("made up"))).toEqual({ _tag: "Inactive" })
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("a wrong secret says nothing of the token", () =>
    Effect.gen(function*() {
      const server = yield* real
      const client = { id: "cc-basic", auth: Client.basic(Redacted.make("wrong")) }
      const { introspect } = yield* Introspection.make({ server, client })
      const error = yield* Effect.flip(introspect(Redacted.make("x")))
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidClient" })
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

const ask = (answer: () => Response | "dropped", hint?: "access_token") => {
  const calls: Array<Call> = []
  return Effect.gen(function*() {
    const client = { id: "app", auth: Client.post(Redacted.make("hush")) }
    const { introspect } = yield* Introspection.make({ server: yield* explicit, client })
    return { calls, state: yield* introspect(Redacted.make("to+ken"), hint) }
  }).pipe(Effect.provide(serve(inTurn(answer), calls)))
}

describe("what is sent", () => {
  it.effect("the token, and the hint if there is one", () =>
    Effect.gen(function*() {
      const { calls } = yield* ask(json({ active: false }), "access_token")
      expect(calls[0]).toMatchObject({ url: "https://idp.test/introspect", method: "POST" })
      expect(calls[0]?.headers["accept"]).toBe("application/json")
      expect([...calls[0]?.form ?? []].sort()).toEqual([
        ["client_id", "app"],
        ["client_secret", "hush"],
        ["token", "to+ken"],
        ["token_type_hint", "access_token"]
      ])
      const bare = yield* ask(json({ active: false }))
      expect(bare.calls[0]?.form.has("token_type_hint")).toBe(false)
    }))
})

describe("what is received", () => {
  const unknown = {
    _tag: "Active",
    scopes: [],
    clientId: undefined,
    username: undefined,
    tokenType: undefined,
    expiresAt: undefined,
    issuedAt: undefined,
    notBefore: undefined,
    subject: undefined,
    audience: [],
    issuer: undefined,
    tokenId: undefined
  }
  const full = {
    active: true,
    scope: "a  b",
    client_id: "c",
    username: "al",
    token_type: "DPoP",
    exp: 1_700_000_300,
    iat: 1_700_000_000,
    nbf: 1_700_000_001.5,
    sub: "s",
    aud: ["x", "y"],
    iss: "https://idp.test",
    jti: "j",
    cnf: { jkt: "thumb" }
  }
  const told = {
    _tag: "Active",
    scopes: ["a", "b"],
    clientId: "c",
    username: "al",
    tokenType: "DPoP",
    expiresAt: 1_700_000_300_000,
    issuedAt: 1_700_000_000_000,
    notBefore: 1_700_000_001_500,
    subject: "s",
    audience: ["x", "y"],
    issuer: "https://idp.test",
    tokenId: "j"
  }
  const wrong = {
    active: true,
    scope: ["a"],
    client_id: 5,
    username: null,
    token_type: {},
    exp: "soon",
    iat: null,
    nbf: {},
    sub: [],
    aud: [1, "x", null],
    iss: false,
    jti: 7
  }
  const cases: ReadonlyArray<readonly [what: string, body: object, expected: object]> = [
    ["all facts", full, { ...told, claims: full }],
    ["none but that it is active", { active: true }, { ...unknown, claims: { active: true } }],
    ["one audience, and times as text", { active: true, aud: "x", exp: "60" }, {
      ...unknown,
      audience: ["x"],
      expiresAt: 60_000,
      claims: { active: true, aud: "x", exp: "60" }
    }],
    ["facts of other types, which count as not told", wrong, { ...unknown, audience: ["x"], claims: wrong }],
    ["facts about what is not active", { active: false, sub: "s" }, { _tag: "Inactive" }]
  ]
  for (const [what, body, expected] of cases) {
    it.effect(what, () =>
      Effect.gen(function*() {
        expect((yield* ask(json(body))).state).toEqual(expected)
      }))
  }

  const failures: ReadonlyArray<
    readonly [what: string, answer: () => Response | "dropped", tag: string, reason: string]
  > = [
    ["nothing about active", json({ sub: "s" }), "TransientFailure", "MalformedAnswer"],
    ["active as text", json({ active: "true" }), "TransientFailure", "MalformedAnswer"],
    ["active as a number", json({ active: 1 }), "TransientFailure", "MalformedAnswer"],
    ["a list", json([{ active: true }]), "TransientFailure", "MalformedAnswer"],
    ["a page", text("<html>active"), "TransientFailure", "MalformedAnswer"],
    ["nothing", text(""), "TransientFailure", "MalformedAnswer"],
    ["too much", text("x".repeat(1024 * 1024 + 1)), "TransientFailure", "MalformedAnswer"],
    ["an outage", text("", { status: 503 }), "TransientFailure", "ServerError"],
    ["a bare 401", text("", { status: 401 }), "Misconfigured", "InvalidClient"],
    ["a bare 403", text("", { status: 403 }), "TransientFailure", "MalformedAnswer"],
    ["invalid_client", json({ error: "invalid_client" }, { status: 401 }), "Misconfigured", "InvalidClient"],
    ["access_denied", json({ error: "access_denied" }, { status: 403 }), "Misconfigured", "InvalidClient"],
    ["a dropped connection", () => "dropped", "TransientFailure", "ReplyLost"]
  ]
  for (const [what, answer, tag, reason] of failures) {
    it.effect(`${what}: ${reason}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ask(answer))
        expect(error).toMatchObject({ _tag: tag, reason })
        expect(JSON.stringify(error) + error.message).not.toMatch(/hush|to\+ken/)
      }))
  }
})

it.effect("a server without the endpoint says so", () =>
  Effect.gen(function*() {
    const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
    const { introspect } = yield* Introspection.make({ server, client: { id: "app" } })
    const error = yield* Effect.flip(introspect(Redacted.make("x")))
    expect(error).toMatchObject({ _tag: "Misconfigured", reason: "UnsupportedGrant" })
  }).pipe(Effect.provide(serve(inTurn(json({}))))))

it.effect("a server that wants revocations in JSON is asked in a form still", () => {
  const calls: Array<Call> = []
  return Effect.gen(function*() {
    const { introspect } = yield* Introspection.make({
      server: yield* explicit,
      client: { id: "app" },
      dialect: { json: ["token", "revocation"], requestIds: true }
    })
    yield* introspect(Redacted.make("to+ken"))
    expect(calls[0]?.form.get("token")).toBe("to+ken")
    expect(calls[0]?.headers["content-type"]).toContain("application/x-www-form-urlencoded")
    expect(calls[0]?.headers).toHaveProperty("x-request-id")
  }).pipe(Effect.provide(serve(inTurn(json({ active: false })), calls)))
})

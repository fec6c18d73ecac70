import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as Password from "effect-credentials/oauth/Password"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Revocation from "effect-credentials/oauth/Revocation"
import * as Token from "effect-credentials/Token"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as OidcProvider from "../support/OidcProvider.js"
import * as ProviderGrants from "../support/ProviderGrants.js"
import { inTurn, json, serve, text } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const explicit = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token",
  revocationEndpoint: "https://idp.test/revoke"
})

const held = Grant.make({
  token: Token.make({ value: Redacted.make("access"), expiresAt: 3_600_000 }),
  refreshToken: Redacted.make("refresh")
})

describe("with a real provider", () => {
  const clients: ReadonlyArray<readonly [what: string, client: Client.Client]> = [
    ["confidential", { id: "machine", auth: Client.basic(Redacted.make(ProviderGrants.clientSecret)) }],
    ["public", { id: "public" }]
  ]
  for (const [what, client] of clients) {
    it.scopedLive(`a ${what} client's grant is dead afterwards, both tokens of it; again is no failure`, () =>
      Effect.gen(function*() {
        const idp = yield* OidcProvider.make({ clients: ProviderGrants.clients })
        ProviderGrants.register(idp.provider)
        const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
        const password = Redacted.make(ProviderGrants.password)
        const login = yield* Password.makeLogin({ server, client, username: "alice", password })
        const redeem = yield* RefreshToken.make({ server, client })
        const { isOffered, revoke } = yield* Revocation.make({ server, client })
        const find = ({ token }: Grant.Grant) =>
          Effect.promise(() => idp.provider.AccessToken.find(Redacted.value(token.value)))

        expect(yield* isOffered).toBe(true)
        const grant = yield* login.login
        expect(yield* find(grant)).toBeDefined()
        yield* revoke(grant)
        expect(yield* find(grant)).toBe(undefined)
        expect(yield* Effect.flip(redeem(grant))).toMatchObject({ reason: "GrantRejected" })
        yield* revoke(grant)
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }

  it.scopedLive("one token goes alone, and another client's is not touched", () =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make({ clients: ProviderGrants.clients })
      ProviderGrants.register(idp.provider)
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const client = { id: "public" }
      const password = Redacted.make(ProviderGrants.password)
      const login = yield* Password.makeLogin({ server, client, username: "alice", password })
      const { token } = yield* login.login
      const find = Effect.promise(() => idp.provider.AccessToken.find(Redacted.value(token.value)))
      const others = yield* Revocation.make({ server, client: { id: "device" } })
      yield* Effect.exit(others.revokeToken(token))
      expect(yield* find).toBeDefined()
      const own = yield* Revocation.make({ server, client })
      yield* own.revokeToken(token)
      expect(yield* find).toBe(undefined)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("a wrong secret is Misconfigured", () =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make({ clients: ProviderGrants.clients })
      ProviderGrants.register(idp.provider)
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const client = { id: "machine", auth: Client.basic(Redacted.make("wrong")) }
      const { revoke } = yield* Revocation.make({ server, client })
      expect(yield* Effect.flip(revoke(held))).toMatchObject({
        _tag: "Misconfigured",
        reason: "InvalidClient"
      })
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

/** Revokes what is held, with time passing as it has to. */
const revoking = (handler: Handler, grant: Grant.Grant = held) => {
  const calls: Array<Call> = []
  return Effect.gen(function*() {
    const { revoke, timeLimit } = yield* Revocation.make({ server: yield* explicit, client: { id: "app" } })
    const fiber = yield* Effect.fork(Effect.zip(Effect.either(revoke(grant)), Clock.currentTimeMillis))
    yield* Effect.yieldNow()
    const limit = Duration.toMillis(timeLimit)
    while (fiber.unsafePoll() === null && (yield* Clock.currentTimeMillis) < limit) {
      yield* TestClock.adjust("100 millis")
    }
    const [outcome, now] = yield* Fiber.join(fiber)
    return { calls, outcome, now }
  }).pipe(Effect.provide(serve(handler, calls)))
}

const tokensOf = (calls: ReadonlyArray<Call>) => calls.map(({ form }) => form.get("token"))

const refusal = (code: string) => json({ error: code }, { status: 400 })

describe("what is sent", () => {
  it.effect("the refresh token, then the access token, each with its hint", () =>
    Effect.gen(function*() {
      const { calls, outcome } = yield* revoking(inTurn(text("")))
      expect(outcome).toMatchObject({ _tag: "Right" })
      expect(calls.map(({ url }) => url)).toEqual(["https://idp.test/revoke", "https://idp.test/revoke"])
      expect(calls.map(({ form }) => [...form].sort())).toEqual([
        [["client_id", "app"], ["token", "refresh"], ["token_type_hint", "refresh_token"]],
        [["client_id", "app"], ["token", "access"], ["token_type_hint", "access_token"]]
      ])
    }))

  const grants: ReadonlyArray<readonly [what: string, grant: Grant.Grant, tokens: ReadonlyArray<string>]> = [
    ["no access token that has expired", {
      ...held,
      token: Token.make({ value: Redacted.make("access"), expiresAt: 0 })
    }, ["refresh"]],
    ["no access token that is empty", { ...held, token: Token.make({ value: Redacted.make("") }) }, [
      "refresh"
    ]],
    ["the access token alone", { ...held, refreshToken: undefined }, ["access"]],
    [
      "nothing",
      Grant.make({ token: Token.make({ value: Redacted.make("access"), expiresAt: 0 }) }),
      []
    ]
  ]
  for (const [what, grant, tokens] of grants) {
    it.effect(`${what}, where there is no more`, () =>
      Effect.gen(function*() {
        const { calls, outcome } = yield* revoking(inTurn(text("")), grant)
        expect(outcome).toMatchObject({ _tag: "Right" })
        expect(tokensOf(calls)).toEqual(tokens)
      }))
  }
})

describe("what the server answers", () => {
  const cases: ReadonlyArray<
    readonly [
      what: string,
      answers: ReadonlyArray<() => Response>,
      expected: object,
      tokens: ReadonlyArray<string>
    ]
  > = [
    ["200 with a page", [text("<html>")], { _tag: "Right" }, ["refresh", "access"]],
    ["204", [() => new Response(null, { status: 204 })], { _tag: "Right" }, ["refresh", "access"]],
    ["invalid_token, for a token that has ended", [refusal("invalid_token")], { _tag: "Right" }, [
      "refresh",
      "access"
    ]],
    ["unsupported_token_type for the access token", [text(""), refusal("unsupported_token_type")], {
      _tag: "Right"
    }, ["refresh", "access"]],
    [
      "unsupported_token_type for the refresh token",
      [refusal("unsupported_token_type"), text("")],
      { left: { _tag: "RequestRejected", reason: "InvalidRequest" } },
      ["refresh", "access"]
    ],
    [
      "invalid_client",
      [json({ error: "invalid_client" }, { status: 401 })],
      { left: { _tag: "Misconfigured", reason: "InvalidClient" } },
      ["refresh", "access"]
    ],
    [
      "a challenge that knows no such token",
      [text("", { status: 401, headers: { "www-authenticate": `Bearer error="invalid_token"` } })],
      { left: { _tag: "Misconfigured", reason: "InvalidClient" } },
      ["refresh", "access"]
    ],
    [
      "invalid_request",
      [refusal("invalid_request")],
      { left: { _tag: "RequestRejected", reason: "InvalidRequest" } },
      ["refresh", "access"]
    ],
    ["404 with a page", [text("no", { status: 404 })], { left: { reason: "MalformedAnswer" } }, [
      "refresh",
      "access"
    ]],
    [
      "a redirect",
      [text("", { status: 302, headers: { location: "https://else.test" } })],
      { left: { reason: "MalformedAnswer" } },
      ["refresh", "access"]
    ],
    ["failure of the first, success of the second", [refusal("invalid_request"), text("")], {
      left: { _tag: "RequestRejected" }
    }, ["refresh", "access"]],
    ["success of the first, failure of the second", [text(""), refusal("invalid_request")], {
      left: { _tag: "RequestRejected" }
    }, ["refresh", "access"]]
  ]
  for (const [what, answers, expected, tokens] of cases) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const { calls, outcome } = yield* revoking(inTurn(...answers))
        expect(outcome).toMatchObject(expected)
        expect(tokensOf(calls)).toEqual(tokens)
      }))
  }
})

describe("a server that is busy", () => {
  const alone: Grant.Grant = { ...held, token: Token.make({ value: Redacted.make("") }) }
  const busy = (status: number, retryAfter?: string) =>
    text("", { status, ...(retryAfter === undefined ? {} : { headers: { "retry-after": retryAfter } }) })

  const cases: ReadonlyArray<
    readonly [
      what: string,
      answers: ReadonlyArray<() => Response | "dropped">,
      outcome: object,
      calls: number,
      now: number
    ]
  > = [
    ["is asked again", [busy(503), text("")], { _tag: "Right" }, 2, 500],
    ["is asked twice again", [busy(503), busy(500), text("")], { _tag: "Right" }, 3, 1_500],
    ["is asked when it wants", [busy(503, "7"), text("")], { _tag: "Right" }, 2, 7_000],
    ["is asked when it wants, after 429 too", [busy(429, "10"), text("")], { _tag: "Right" }, 2, 10_000],
    ["is not waited for longer", [busy(503, "11"), text("")], { left: { reason: "ServerError" } }, 1, 0],
    ["is not asked for ever", [busy(503)], { left: { reason: "ServerError" } }, 3, 1_500],
    ["and drops the connection is asked again", [() => "dropped", text("")], { _tag: "Right" }, 2, 500]
  ]
  for (const [what, answers, expected, count, at] of cases) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const { calls, now, outcome } = yield* revoking(inTurn(...answers), alone)
        expect(outcome).toMatchObject(expected)
        expect([calls.length, now]).toEqual([count, at])
      }))
  }

  it.effect("and hangs is not asked again", () =>
    Effect.gen(function*() {
      const { calls, now, outcome } = yield* revoking(() => Effect.never, alone)
      expect(outcome).toMatchObject({ left: { reason: "Timeout" } })
      expect([calls.length, now]).toEqual([1, 15_000])
    }))

  it.effect("can be left at any moment", () =>
    Effect.gen(function*() {
      const { revoke } = yield* Revocation.make({ server: yield* explicit, client: { id: "app" } })
      const fiber = yield* Effect.fork(revoke(held))
      yield* TestClock.adjust("1 second")
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
    }).pipe(Effect.provide(serve(() => Effect.never))))
})

it.effect("a server without the endpoint says so, and is not asked", () => {
  const calls: Array<Call> = []
  return Effect.gen(function*() {
    const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
    const { isOffered, revoke, revokeSecret } = yield* Revocation.make({ server, client: { id: "app" } })
    expect(yield* isOffered).toBe(false)
    const none = { _tag: "Misconfigured", reason: "UnsupportedGrant" }
    expect(yield* Effect.flip(revoke(held))).toMatchObject(none)
    expect(yield* Effect.flip(revokeSecret(Redacted.make("x")))).toMatchObject(none)
    expect(calls).toEqual([])
  }).pipe(Effect.provide(serve(inTurn(text("")), calls)))
})

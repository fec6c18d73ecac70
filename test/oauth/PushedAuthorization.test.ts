import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as OidcProvider from "../support/OidcProvider.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const redirectUri = "http://127.0.0.1:49152/callback"

describe("with a real provider", () => {
  const secret = Redacted.make(OidcProvider.basicSecret)

  const setup = (
    options: Partial<AuthorizationCode.Options>,
    pushed: { readonly requirePushedAuthorizationRequests?: boolean } = {},
    features: OidcProvider.Options["features"] = {}
  ) =>
    Effect.gen(function*() {
      const pushedAuthorizationRequests = { enabled: true, ...pushed }
      const idp = yield* OidcProvider.make({ features: { pushedAuthorizationRequests, ...features } })
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const code = yield* AuthorizationCode.make({
        server,
        client: { id: "native" },
        scopes: ["openid", "read"],
        ...options
      })
      const pushes = () => idp.requests.filter(({ path }) => path === "/request").length
      const login = Effect.gen(function*() {
        const attempt = yield* code.begin({ redirectUri })
        const callback = new URL(yield* idp.authorize(attempt.url)).searchParams
        return yield* code.exchange(attempt, yield* code.judge(attempt, callback))
      })
      return { code, idp, login, pushes }
    })

  const required = { requirePushedAuthorizationRequests: true }
  const clients: ReadonlyArray<readonly [string, Partial<AuthorizationCode.Options>]> = [
    ["a public client", {}],
    ["a client with a secret", { client: { id: "web", auth: Client.basic(secret) } }]
  ]
  for (const [name, options] of clients) {
    it.scopedLive(`${name} logs in with a request that was pushed`, () =>
      Effect.gen(function*() {
        const { code, login, pushes } = yield* setup({ ...options, pushed: true })
        const grant = yield* login
        assert.deepStrictEqual(grant.token.scopes, ["openid", "read"])
        assert.strictEqual(pushes(), 1)
        const attempt = yield* code.begin({ redirectUri })
        const { searchParams } = new URL(attempt.url)
        assert.deepStrictEqual([...searchParams.keys()].sort(), ["client_id", "request_uri"])
        assert.isDefined(attempt.expiresAt)
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }

  const ways: ReadonlyArray<
    readonly [string, Partial<AuthorizationCode.Options>, Parameters<typeof setup>[1], number]
  > = [
    ["is pushed where the server requires it", {}, required, 1],
    [
      "is pushed where the server requires it, though the caller would rather not",
      { pushed: false },
      required,
      1
    ],
    ["is not pushed where nobody asks for it", {}, {}, 0],
    ["is pushed where the caller asks for it", { pushed: true }, {}, 1]
  ]
  for (const [name, options, pushed, count] of ways) {
    it.scopedLive(`a request ${name}`, () =>
      Effect.gen(function*() {
        const { login, pushes } = yield* setup(options, pushed)
        assert.strictEqual((yield* login).token.type, "Bearer")
        assert.strictEqual(pushes(), count)
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }

  it.scopedLive("a request is bound to the key of the token, over nonces that the server demands", () =>
    Effect.gen(function*() {
      const dPoP = { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true }
      const { login, pushes } = yield* setup({ dpop: true }, required, { dPoP })
      const grant = yield* login
      assert.strictEqual(grant.token.type, "DPoP")
      // The first one learns the nonce, by which the exchange is spared the demand.
      assert.strictEqual(pushes(), 2)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("a client that can't prove itself is told so before a browser opens", () =>
    Effect.gen(function*() {
      const auth = Client.basic(Redacted.make("wrong"))
      const { code } = yield* setup({ client: { id: "web", auth }, pushed: true })
      const error = yield* Effect.flip(code.begin({ redirectUri }))
      assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidClient"])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("a redirect URI that is not registered is told before a browser opens", () =>
    Effect.gen(function*() {
      const { code } = yield* setup({ pushed: true })
      const error = yield* Effect.flip(code.begin({ redirectUri: "http://127.0.0.1/elsewhere" }))
      assert.strictEqual(error._tag, "RequestRejected")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

describe("the answer to a pushed request", () => {
  const make = (handler: Handler, calls: Array<Call> = []) =>
    Effect.flatMap(
      AuthorizationServer.make({
        issuer: "https://idp.test",
        tokenEndpoint: "https://idp.test/token",
        authorizationEndpoint: "https://idp.test/authorize?tenant=7",
        pushedAuthorizationRequestEndpoint: "https://idp.test/par"
      }),
      (server) => AuthorizationCode.make({ server, client: { id: "app" }, scopes: ["openid"], pushed: true })
    ).pipe(Effect.provide(serve(handler, calls)))

  const begin = (handler: Handler, calls?: Array<Call>) =>
    Effect.flatMap(make(handler, calls), (code) => code.begin({ redirectUri }))

  it.effect("is all that the browser carries", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(5_000)
      const calls: Array<Call> = []
      const answer = json({ request_uri: "urn:r:1", expires_in: 90 }, { status: 201 })
      const attempt = yield* begin(inTurn(answer), calls)
      assert.strictEqual(
        attempt.url,
        "https://idp.test/authorize?tenant=7&request_uri=urn%3Ar%3A1&client_id=app"
      )
      assert.strictEqual(attempt.expiresAt, 95_000)
      const { code_challenge: challenge, nonce, state, ...rest } = Object.fromEntries(calls[0]?.form ?? [])
      assert.deepStrictEqual(rest, {
        response_type: "code",
        client_id: "app",
        redirect_uri: redirectUri,
        scope: "openid",
        code_challenge_method: "S256"
      })
      assert.strictEqual(state, Redacted.value(attempt.state))
      assert.isDefined(challenge)
      assert.isDefined(nonce)
    }))

  const lifetimes: ReadonlyArray<readonly [string, unknown, number]> = [
    ["missing", undefined, 60],
    ["text", "90", 90],
    ["negative", -5, 60],
    ["nonsense", "soon", 60],
    ["a year", 365 * 24 * 60 * 60, 24 * 60 * 60],
    ["for ever", 1e9, 60]
  ]
  for (const [name, expiresIn, seconds] of lifetimes) {
    it.effect(`may have a lifetime that is ${name}`, () =>
      Effect.gen(function*() {
        const attempt = yield* begin(inTurn(json({ request_uri: "urn:r:1", expires_in: expiresIn })))
        assert.strictEqual(attempt.expiresAt, seconds * 1_000)
      }))
  }

  const failures: ReadonlyArray<readonly [string, Handler, string, string]> = [
    ["no request", inTurn(json({})), "TransientFailure", "MalformedAnswer"],
    ["a request that is a list", inTurn(json({ request_uri: ["x"] })), "TransientFailure", "MalformedAnswer"],
    [
      "a request with a line break",
      inTurn(json({ request_uri: "a\nb" })),
      "TransientFailure",
      "MalformedAnswer"
    ],
    [
      "a huge request",
      inTurn(json({ request_uri: "x".repeat(2_000) })),
      "TransientFailure",
      "MalformedAnswer"
    ],
    ["a page", inTurn(() => new Response("<html>")), "TransientFailure", "MalformedAnswer"],
    ["a redirect", inTurn(() => new Response(null, { status: 302 })), "TransientFailure", "MalformedAnswer"],
    ["an outage", inTurn(json({}, { status: 503 })), "TransientFailure", "ServerError"],
    ["a lost answer", inTurn(() => "dropped"), "TransientFailure", "ReplyLost"],
    [
      "a refusal",
      inTurn(json({ error: "invalid_request", error_description: "<b>evil" }, { status: 400 })),
      "RequestRejected",
      "InvalidRequest"
    ],
    [
      "a scope that is none",
      inTurn(json({ error: "invalid_scope" }, { status: 400 })),
      "RequestRejected",
      "InvalidScope"
    ]
  ]
  for (const [name, handler, tag, reason] of failures) {
    it.effect(`fails with a type: ${name}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(begin(handler))
        assert.deepStrictEqual([error._tag, error.reason], [tag, reason])
        assert.notInclude(error.message, "evil")
      }))
  }

  it.effect("can't come from a server that has no place for such requests", () =>
    Effect.gen(function*() {
      const server = yield* AuthorizationServer.make({
        tokenEndpoint: "https://idp.test/token",
        authorizationEndpoint: "https://idp.test/authorize"
      })
      const code = yield* Effect.provide(
        AuthorizationCode.make({ server, client: { id: "app" }, pushed: true }),
        serve(() => Effect.never)
      )
      const error = yield* Effect.flip(code.begin({ redirectUri }))
      assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "UnsupportedGrant"])
    }))

  it.effect("need not be waited for", () =>
    Effect.gen(function*() {
      const code = yield* make(() => Effect.never)
      const waiting = yield* Effect.fork(code.begin({ redirectUri }))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.interrupt(waiting))._tag, "Failure")
    }))
})

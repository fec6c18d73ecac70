import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as IdToken from "effect-credentials/oauth/IdToken"
import * as UserInfo from "effect-credentials/oauth/UserInfo"
import * as Token from "effect-credentials/Token"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as OidcProvider from "../support/OidcProvider.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const redirectUri = "http://127.0.0.1:49152/callback"

describe("with a real provider", () => {
  const setup = (options: Partial<AuthorizationCode.Options> = {}, provider: OidcProvider.Options = {}) =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make({
        ...provider,
        configuration: {
          claims: { openid: ["sub"], email: ["email", "email_verified"] },
          findAccount: (_context, id) => ({
            accountId: id,
            claims: () => ({ sub: id, email: "alice@idp.test", email_verified: true })
          })
        }
      })
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const client = { id: "native" }
      const code = yield* AuthorizationCode.make({ server, client, scopes: ["openid", "email"], ...options })
      const users = yield* UserInfo.make({ server, client })
      const attempt = yield* code.begin({ redirectUri })
      const callback = new URL(yield* idp.authorize(attempt.url)).searchParams
      const grant = yield* code.exchange(attempt, yield* code.judge(attempt, callback))
      const { sub } = Option.getOrThrow(IdToken.ofGrant(grant))
      return { grant, idp, sub, users }
    })

  it.scopedLive("tells about the person whose token it is, and about nobody else", () =>
    Effect.gen(function*() {
      const { grant, sub, users } = yield* setup()
      const claims = yield* users.fetch(grant.token, sub)
      assert.deepInclude(claims, {
        sub: "alice",
        email: "alice@idp.test",
        email_verified: true,
        name: undefined
      })
      const error = yield* Effect.flip(users.fetch(grant.token, "bob"))
      assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "GrantRejected"])
      assert.notInclude(error.message, "alice")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("takes a token that is bound to a key, over nonces that the server demands", () =>
    Effect.gen(function*() {
      const dPoP = { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true }
      const { grant, sub, users } = yield* setup({ dpop: true }, { features: { dPoP } })
      assert.strictEqual(grant.token.type, "DPoP")
      for (const type of ["DPoP", "dpop"]) {
        assert.strictEqual((yield* users.fetch({ ...grant.token, type }, sub)).email, "alice@idp.test")
      }
      const stolen = yield* Effect.flip(users.fetch({ ...grant.token, type: "Bearer" }, sub))
      assert.strictEqual(stolen._tag, "ReauthRequired")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("says that a token is rejected", () =>
    Effect.gen(function*() {
      const { grant, sub, users } = yield* setup()
      const error = yield* Effect.flip(users.fetch({ ...grant.token, value: Redacted.make("made-up") }, sub))
      assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "GrantRejected"])
      assert.include(error.message, "rejected the token")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

describe("answers", () => {
  const token = Token.make({ value: Redacted.make("hush-token") })

  const make = (handler: Handler, calls: Array<Call> = []) =>
    Effect.flatMap(
      AuthorizationServer.make({
        tokenEndpoint: "https://idp.test/token",
        userinfoEndpoint: "https://idp.test/userinfo"
      }),
      (server) => UserInfo.make({ server, client: { id: "app" } })
    ).pipe(Effect.provide(serve(handler, calls)))

  it.effect("are not asked for with a bound token whose key is not there", () =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const users = yield* make(inTurn(json({ sub: "alice" })), calls)
      const error = yield* Effect.flip(users.fetch({ ...token, type: "DPoP" }, "alice"))
      assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidKey"])
      assert.strictEqual(calls.length, 0)
    }))

  it.effect("are asked for with the token in a header, once", () =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const users = yield* make(inTurn(json({ sub: "alice", groups: ["a"], name: 7 })), calls)
      const claims = yield* users.fetch(token, "alice")
      assert.deepStrictEqual(claims.raw, { sub: "alice", groups: ["a"], name: 7 })
      assert.isUndefined(claims.name)
      assert.deepStrictEqual(
        calls.map(({ headers, method, url }) => [method, url, headers["authorization"]]),
        [["GET", "https://idp.test/userinfo", "Bearer hush-token"]]
      )
    }))

  const challenge = (value: string, status = 401): Handler =>
    inTurn(() => new Response("", { status, headers: { "www-authenticate": value } }))

  const failures: ReadonlyArray<readonly [string, Handler, string, string]> = [
    ["about somebody else", inTurn(json({ sub: "evil" })), "ReauthRequired", "GrantRejected"],
    ["about nobody", inTurn(json({ email: "evil@idp.test" })), "TransientFailure", "MalformedAnswer"],
    ["about a number", inTurn(json({ sub: 7 })), "TransientFailure", "MalformedAnswer"],
    ["a list", inTurn(json(["evil"])), "TransientFailure", "MalformedAnswer"],
    ["a page", inTurn(() => new Response("<html>evil")), "TransientFailure", "MalformedAnswer"],
    [
      "a JWT",
      inTurn(() => new Response("e.v.il", { headers: { "content-type": "application/jwt; charset=utf-8" } })),
      "Misconfigured",
      "UnsupportedGrant"
    ],
    ["a redirect", inTurn(() => new Response(null, { status: 303 })), "TransientFailure", "MalformedAnswer"],
    ["huge", inTurn(() => new Response("x".repeat(2_000_000))), "TransientFailure", "MalformedAnswer"],
    ["an outage", inTurn(json({}, { status: 502 })), "TransientFailure", "ServerError"],
    ["a lost connection", inTurn(() => "dropped"), "TransientFailure", "Network"],
    ["a bare 401", inTurn(() => new Response("", { status: 401 })), "ReauthRequired", "GrantRejected"],
    [
      "a token that has expired",
      challenge("Bearer error=\"invalid_token\""),
      "ReauthRequired",
      "GrantRejected"
    ],
    [
      "a token without openid",
      challenge("Bearer error=\"insufficient_scope\"", 403),
      "RequestRejected",
      "InvalidScope"
    ]
  ]
  for (const [name, handler, tag, reason] of failures) {
    it.effect(`fail with a type: ${name}`, () =>
      Effect.gen(function*() {
        const users = yield* make(handler)
        const error = yield* Effect.flip(users.fetch(token, "alice"))
        assert.deepStrictEqual([error._tag, error.reason], [tag, reason])
        assert.notMatch(`${error.message} ${JSON.stringify(error)}`, /evil|hush|alice/)
      }))
  }

  it.effect("are not asked for with what is no access token, nor of a server that gives none", () =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const users = yield* make(inTurn(json({ sub: "alice" })), calls)
      const other = yield* Effect.flip(users.fetch({ ...token, type: "N_A" }, "alice"))
      assert.strictEqual(other._tag, "RequestRejected")
      const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
      const without = yield* Effect.provide(
        UserInfo.make({ server, client: { id: "app" } }),
        serve(inTurn(json({ sub: "alice" })), calls)
      )
      const error = yield* Effect.flip(without.fetch(token, "alice"))
      assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "UnsupportedGrant"])
      assert.deepStrictEqual(calls, [])
    }))

  it.effect("need not be waited for", () =>
    Effect.gen(function*() {
      const users = yield* make(() => Effect.never)
      const waiting = yield* Effect.fork(users.fetch(token, "alice"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.interrupt(waiting))._tag, "Failure")
      const slow = yield* Effect.fork(Effect.flip(users.fetch(token, "alice")))
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* Fiber.join(slow)).reason, "Timeout")
    }))
})

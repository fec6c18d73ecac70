import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Fault from "effect-credentials/testing/Fault"
import { VirtualIdentityProvider } from "effect-credentials/testing/VirtualIdentityProvider"
import * as Idp from "effect-credentials/testing/VirtualIdentityProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Jose from "jose"
import { createHash } from "node:crypto"
import { basic, get, issuer, post, refresh, resource } from "./calls.js"
import type { Fields } from "./logins.js"
import {
  authorizationUrl,
  authorize,
  challenge,
  given,
  logIn,
  push,
  redeem,
  redirectUri,
  sound,
  verifier
} from "./logins.js"

const counts = Effect.flatMap(VirtualIdentityProvider, (idp) => idp.counts)

const lastEntry = Effect.flatMap(
  VirtualIdentityProvider,
  (idp) => Effect.map(idp.journal, (all) => all.at(-1))
)

const visitPushed = (uri: unknown, client = "app") =>
  Effect.flatMap(VirtualIdentityProvider, (idp) =>
    idp.authorize(
      `${issuer}/authorize?${new URLSearchParams({ client_id: client, request_uri: String(uri) }).toString()}`
    ))

describe("a login in a browser", () => {
  it.effect("gives a code, the state and the issuer, and the code gives tokens", () =>
    Effect.gen(function*() {
      const { code, ...rest } = yield* authorize({ scope: "a b" })
      assert.deepStrictEqual(rest, { to: redirectUri, state: "a state", iss: issuer } as never)
      const { body, status } = yield* redeem(code)
      assert.strictEqual(status, 200)
      assert.deepInclude(body, { token_type: "Bearer", expires_in: 3600, scope: "a b" })
      assert.strictEqual((yield* resource(body["access_token"])).body["subject"], "alice")
      assert.strictEqual((yield* refresh(body["refresh_token"])).status, 200)
      const { codes, logins } = yield* counts
      assert.deepStrictEqual({ codes, logins }, { codes: 1, logins: 1 })
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("keeps the query of a redirect address, and its state as it is", () =>
    Effect.gen(function*() {
      const state = "a&b=c %+ä#"
      const { a, code, state: back } = yield* authorize({ state, redirect_uri: "https://app.test/cb?a=1" })
      assert.deepStrictEqual([a, back, code === undefined], ["1", state, false])
    }).pipe(
      Effect.provide(Idp.layer({ clients: [{ id: "app", redirectUris: ["https://app.test/cb?a=1"] }] }))
    ))

  it.effect("doesn't name itself where it is told so", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* authorize()).iss, undefined)
      const { body } = yield* get(`${issuer}/.well-known/openid-configuration`)
      assert.strictEqual(body["authorization_response_iss_parameter_supported"], false)
    }).pipe(Effect.provide(Idp.layer({ announceIssuer: false }))))

  it.effect("over the HttpClient it is a redirect", () =>
    Effect.gen(function*() {
      const response = yield* HttpClient.get(authorizationUrl())
      assert.strictEqual(response.status, 303)
      assert.match(response.headers["location"] ?? "", /^http:\/\/127\.0\.0\.1:45678\/callback\?code=ac_/)
      const byPost = yield* post(`${issuer}/authorize`, given(sound))
      assert.strictEqual(byPost.status, 303)
    }).pipe(Effect.provide(Idp.layer())))

  describe("the request", () => {
    const shown: ReadonlyArray<readonly [string, Fields, string]> = [
      ["no client", { client_id: undefined }, "invalid_request"],
      ["an unknown client", { client_id: "nobody" }, "invalid_client"],
      ["no redirect address", { redirect_uri: undefined }, "invalid_request"],
      ["another host", { redirect_uri: "https://evil.test/callback" }, "invalid_redirect_uri"],
      ["another path", { redirect_uri: "http://127.0.0.1:1/other" }, "invalid_redirect_uri"],
      ["another scheme", { redirect_uri: "https://127.0.0.1/callback" }, "invalid_redirect_uri"],
      ["a query", { redirect_uri: `${redirectUri}?a=b` }, "invalid_redirect_uri"],
      ["a fragment", { redirect_uri: `${redirectUri}#a` }, "invalid_redirect_uri"],
      ["a user name", { redirect_uri: "http://127.0.0.1@evil.test/callback" }, "invalid_redirect_uri"],
      ["a longer host", { redirect_uri: "http://127.0.0.1.evil.test/callback" }, "invalid_redirect_uri"],
      ["a port that is none", { redirect_uri: "http://127.0.0.1:x/callback" }, "invalid_redirect_uri"]
    ]
    for (const [name, fields, error] of shown) {
      it.effect(`${name}: the browser is not sent anywhere`, () =>
        Effect.gen(function*() {
          const refused = yield* Effect.flip(authorize(fields))
          assert.deepInclude(refused, { _tag: "NotRedirected", status: 400, error })
        }).pipe(Effect.provide(Idp.layer())))
    }

    const back: ReadonlyArray<readonly [string, Fields, string]> = [
      ["no response type", { response_type: undefined }, "invalid_request"],
      ["an implicit login", { response_type: "token" }, "unsupported_response_type"],
      ["a hybrid login", { response_type: "code id_token" }, "unsupported_response_type"],
      ["another response mode", { response_mode: "form_post" }, "unsupported_response_mode"],
      ["no challenge", { code_challenge: undefined, code_challenge_method: undefined }, "invalid_request"],
      ["a plain challenge", { code_challenge_method: "plain" }, "invalid_request"],
      ["a challenge without a method", { code_challenge_method: undefined }, "invalid_request"],
      ["a short challenge", { code_challenge: challenge.slice(1) }, "invalid_request"],
      ["a scope that the client may not have", { scope: "a admin" }, "invalid_scope"],
      ["a resource that is none", { resource: "api" }, "invalid_target"],
      ["a resource with a fragment", { resource: "https://api.test/#a" }, "invalid_target"],
      ["a key that is none", { dpop_jkt: "x" }, "invalid_request"],
      ["a bad max_age", { max_age: "1.5" }, "invalid_request"],
      ["a request object", { request: "e30.e30." }, "request_not_supported"],
      ["prompt=none before any login", { prompt: "none" }, "login_required"]
    ]
    for (const [name, fields, error] of back) {
      it.effect(`${name}: ${error}, with the state`, () =>
        Effect.gen(function*() {
          const { code, iss, state, ...rest } = yield* authorize(fields)
          assert.deepStrictEqual([rest["error"], state, iss, code], [error, "a state", issuer, undefined])
          assert.deepInclude(yield* lastEntry, { endpoint: "authorization", action: "Refused", error })
        }).pipe(Effect.provide(Idp.layer({ clients: [{ id: "app", scopes: ["a"] }] }))))
    }

    it.effect("a field twice: the browser is not sent anywhere", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const refused = yield* Effect.flip(idp.authorize(`${authorizationUrl()}&state=other`))
        assert.strictEqual(refused.error, "invalid_request")
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("another port on a host that is not loopback: the browser is not sent anywhere", () =>
      Effect.gen(function*() {
        const uri = "http://intranet.test/callback"
        assert.strictEqual((yield* authorize({ redirect_uri: uri })).to, uri)
        const other = authorize({ redirect_uri: "http://intranet.test:8080/callback" })
        assert.strictEqual((yield* Effect.flip(other)).error, "invalid_redirect_uri")
      }).pipe(Effect.provide(Idp.layer({
        clients: [{ id: "app", redirectUris: ["http://intranet.test/callback"] }]
      }))))

    for (const host of ["127.0.0.1", "[::1]", "localhost"]) {
      it.effect(`any port on ${host}`, () =>
        Effect.gen(function*() {
          const uri = `http://${host}:50123/callback`
          const { code, to } = yield* authorize({ redirect_uri: uri })
          assert.strictEqual(to, uri)
          assert.strictEqual((yield* redeem(code, { redirect_uri: uri })).status, 200)
        }).pipe(Effect.provide(Idp.layer())))
    }
  })

  describe("the person", () => {
    it.effect("denies", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* authorize({}, "Deny"))["error"], "access_denied")
        assert.strictEqual((yield* counts).codes, 0)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("takes their time, and the code lives from then on", () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(authorize({}, { approveAfter: "2 minutes" }))
        yield* TestClock.adjust("119 seconds")
        assert.isNull(fiber.unsafePoll())
        assert.deepInclude(yield* lastEntry, { action: "Waiting", delivery: "Pending", status: undefined })
        yield* TestClock.adjust("1 second")
        const { code } = yield* Fiber.join(fiber)
        assert.deepInclude(yield* lastEntry, { action: "Authorized", delivery: "Delivered", status: 303 })
        yield* TestClock.adjust("59999 millis")
        assert.strictEqual((yield* redeem(code)).status, 200)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("ignores the page, and the browser is closed", () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(authorize({}, "Ignore"))
        yield* TestClock.adjust("1 day")
        assert.isNull(fiber.unsafePoll())
        yield* Fiber.interrupt(fiber)
        assert.deepInclude(yield* lastEntry, { action: "Waiting", delivery: "Interrupted" })
        assert.strictEqual((yield* counts).codes, 0)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("follows the script, then approves at once", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        yield* idp.script(["ByHand"])
        assert.strictEqual((yield* authorize())["error"], "access_denied")
        assert.isString((yield* authorize()).code)
        assert.isString((yield* authorize()).code)
      }).pipe(Effect.provide(Idp.layer({ approvals: [{ denyAfter: 0 }] }))))

    it.effect("is asked no more once logged in, up to max_age and until logged out", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const silent = (fields: Fields = {}) =>
          Effect.map(authorize({ prompt: "none", ...fields }), (got) => got["error"] ?? "code")
        yield* authorize()
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* silent(), "code")
        assert.strictEqual(yield* silent({ max_age: "3600" }), "code")
        assert.strictEqual(yield* silent({ max_age: "3599" }), "login_required")
        yield* Effect.flip(idp.authorize(`${issuer}/end_session`))
        assert.strictEqual(yield* silent(), "login_required")
      }).pipe(Effect.provide(Idp.layer())))
  })

  describe("the code", () => {
    it.effect("counts once: the second use costs what the first one gave", () =>
      Effect.gen(function*() {
        const { code } = yield* authorize()
        const { body } = yield* redeem(code)
        assert.strictEqual((yield* redeem(code)).body["error"], "invalid_grant")
        assert.strictEqual((yield* refresh(body["refresh_token"])).body["error"], "invalid_grant")
        assert.strictEqual((yield* resource(body["access_token"])).status, 401)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("expires, to the millisecond", () =>
      Effect.gen(function*() {
        const { code } = yield* authorize()
        yield* TestClock.adjust("9999 millis")
        const late = yield* authorize()
        assert.strictEqual((yield* redeem(code)).status, 200)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* redeem(late.code)).body["error"], "invalid_grant")
      }).pipe(Effect.provide(Idp.layer({ authorizationCodeLifetime: "10 seconds" }))))

    const wrong: ReadonlyArray<readonly [string, Fields, string]> = [
      ["no verifier", { code_verifier: undefined }, "invalid_grant"],
      ["another verifier", { code_verifier: verifier.replace("d", "e") }, "invalid_grant"],
      ["the challenge in its place", { code_verifier: challenge }, "invalid_grant"],
      ["another address", { redirect_uri: "http://127.0.0.1:45679/callback" }, "invalid_grant"],
      ["no address", { redirect_uri: undefined }, "invalid_request"],
      ["another client", { client_id: "thief" }, "invalid_grant"],
      ["another resource", { resource: "https://other.test/" }, "invalid_target"]
    ]
    for (const [name, fields, error] of wrong) {
      it.effect(`${name}: ${error}, and it is still good`, () =>
        Effect.gen(function*() {
          const { code } = yield* authorize({ resource: "https://api.test/" })
          assert.strictEqual((yield* redeem(code, fields)).body["error"], error)
          assert.strictEqual((yield* redeem(code)).status, 200)
        }).pipe(Effect.provide(Idp.layer({ clients: [{ id: "app" }, { id: "thief" }] }))))
    }

    const verifiers: ReadonlyArray<readonly [string, string, number]> = [
      ["42 characters", "v".repeat(42), 400],
      ["43 characters", "v".repeat(43), 200],
      ["128 characters", "-._~".repeat(32), 200],
      ["129 characters", "v".repeat(129), 400],
      ["a blank", `${"v".repeat(42)} `, 400]
    ]
    for (const [name, code_verifier, status] of verifiers) {
      it.effect(`a verifier of ${name}: ${status} (RFC 7636 §4.1)`, () =>
        Effect.gen(function*() {
          const code_challenge = createHash("sha256").update(code_verifier).digest("base64url")
          const { code } = yield* authorize({ code_challenge })
          assert.strictEqual((yield* redeem(code, { code_verifier })).status, status)
        }).pipe(Effect.provide(Idp.layer())))
    }

    it.effect("of a confidential client takes its secret too", () =>
      Effect.gen(function*() {
        const { code } = yield* authorize({ client_id: "service" })
        assert.strictEqual((yield* redeem(code, { client_id: "service" })).body["error"], "invalid_client")
        const header = basic("service", "service-secret")
        assert.strictEqual((yield* redeem(code, { client_id: "service" }, header)).status, 200)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("resources are kept with the grant, and an access token can be for one of them", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const both = `${authorizationUrl({ resource: "https://a.test/" })}&resource=https%3A%2F%2Fb.test%2F`
        const code = new URL(yield* idp.authorize(both)).searchParams.get("code")
        const first = yield* redeem(code, { resource: "https://a.test/" })
        const on = (access: unknown) => Effect.map(resource(access), ({ body }) => body["resources"])
        assert.deepStrictEqual(yield* on(first.body["access_token"]), ["https://a.test/"])
        const wide = yield* refresh(first.body["refresh_token"])
        assert.deepStrictEqual(yield* on(wide.body["access_token"]), ["https://a.test/", "https://b.test/"])
        const other = yield* refresh(wide.body["refresh_token"], { resource: "https://c.test/" })
        assert.strictEqual(other.body["error"], "invalid_target")
        const narrow = yield* refresh(wide.body["refresh_token"], { resource: "https://b.test/" })
        assert.deepStrictEqual(yield* on(narrow.body["access_token"]), ["https://b.test/"])
      }).pipe(Effect.provide(Idp.layer())))
  })

  describe("pushed requests", () => {
    it.effect("are good for one visit of their client", () =>
      Effect.gen(function*() {
        const { body, status } = yield* push({ scope: "a" })
        assert.strictEqual(status, 201)
        assert.strictEqual(body["expires_in"], 60)
        assert.match(String(body["request_uri"]), /^urn:ietf:params:oauth:request_uri:/)
        const uri = body["request_uri"]
        assert.strictEqual((yield* Effect.flip(visitPushed(uri, "thief"))).error, "invalid_request_uri")
        const code = new URL(yield* visitPushed(uri)).searchParams.get("code")
        assert.strictEqual((yield* redeem(code)).body["scope"], "a")
        assert.strictEqual((yield* Effect.flip(visitPushed(uri))).error, "invalid_request_uri")
      }).pipe(Effect.provide(Idp.layer({ clients: [{ id: "app" }, { id: "thief" }] }))))

    it.effect("expire, to the millisecond", () =>
      Effect.gen(function*() {
        const first = yield* push()
        yield* TestClock.adjust("59999 millis")
        const second = yield* push()
        assert.isString(yield* visitPushed(first.body["request_uri"]))
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(
          (yield* Effect.flip(visitPushed(second.body["request_uri"]))).error,
          "invalid_request_uri"
        )
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("are a must where the provider or the client says so", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* authorize())["error"], "invalid_request")
        const { body } = yield* get(`${issuer}/.well-known/oauth-authorization-server`)
        assert.strictEqual(body["require_pushed_authorization_requests"], true)
        const pushed = yield* push()
        assert.include(yield* visitPushed(pushed.body["request_uri"]), "code=")
        const second = yield* Idp.make({ clients: [{ id: "app", requirePushedRequests: true }] })
        assert.include(yield* second.authorize(authorizationUrl()), "error=invalid_request")
      }).pipe(Effect.provide(Idp.layer({ requirePushedRequests: true }))))

    const bad: ReadonlyArray<readonly [string, Fields, number, string]> = [
      ["a wrong address", { redirect_uri: "https://evil.test/" }, 400, "invalid_request"],
      ["no challenge", { code_challenge: undefined }, 400, "invalid_request"],
      ["another one inside", { request_uri: "urn:x" }, 400, "invalid_request"],
      ["an unknown client", { client_id: "nobody" }, 401, "invalid_client"],
      ["no secret where one is due", { client_id: "service" }, 401, "invalid_client"]
    ]
    for (const [name, fields, status, error] of bad) {
      it.effect(`${name}: ${error}`, () =>
        Effect.gen(function*() {
          const got = yield* push(fields)
          assert.deepStrictEqual([got.status, got.body["error"]], [status, error])
        }).pipe(Effect.provide(Idp.layer())))
    }
  })

  describe("ID tokens", () => {
    const verify = (idToken: unknown, options?: Jose.JWTVerifyOptions) =>
      Effect.flatMap(
        get(`${issuer}/jwks`),
        ({ body }) =>
          Effect.promise(() =>
            Jose.jwtVerify(String(idToken), Jose.createLocalJWKSet(body as unknown as Jose.JSONWebKeySet), {
              issuer,
              audience: "app",
              currentDate: new Date(1_700_000_000_000),
              ...options
            })
          )
      )

    for (const algorithm of ["ES256", "RS256"] as const) {
      it.effect(`are signed with ${algorithm} and verify with the published key`, () =>
        Effect.gen(function*() {
          yield* TestClock.setTime(1_700_000_000_000)
          const { code } = yield* authorize({ scope: "openid", nonce: "n" })
          yield* TestClock.adjust("5 seconds")
          const { body } = yield* redeem(code)
          const { payload, protectedHeader } = yield* verify(body["id_token"], {
            currentDate: new Date(1_700_000_005_000)
          })
          assert.strictEqual(protectedHeader.alg, algorithm)
          const { at_hash, ...claims } = payload
          assert.match(String(at_hash), /^[\w-]{22}$/)
          assert.deepStrictEqual(claims, {
            iss: issuer,
            sub: "alice",
            aud: "app",
            iat: 1_700_000_005,
            exp: 1_700_000_005 + 3600,
            auth_time: 1_700_000_000,
            nonce: "n"
          })
          const renewed = yield* refresh(body["refresh_token"])
          const again = yield* verify(renewed.body["id_token"], { currentDate: new Date(1_700_000_005_000) })
          assert.deepInclude(again.payload, { sub: "alice", auth_time: 1_700_000_000 })
          assert.notProperty(again.payload, "nonce")
        }).pipe(Effect.provide(Idp.layer({ idTokenAlgorithm: algorithm }))))
    }

    it.effect("are given for the scope openid alone", () =>
      Effect.gen(function*() {
        assert.notProperty((yield* logIn({ scope: "a" })).body, "id_token")
        assert.property((yield* logIn({ scope: "a openid" })).body, "id_token")
        const grant = yield* (yield* VirtualIdentityProvider).issue("app", ["openid"])
        assert.match(Redacted.value(grant.idToken ?? Redacted.make("none")), /^eyJ/)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("are dated by the server's clock", () =>
      Effect.gen(function*() {
        const { body } = yield* logIn({ scope: "openid" })
        assert.strictEqual(Jose.decodeJwt(String(body["id_token"])).iat, 600)
      }).pipe(Effect.provide(Idp.layer({ skew: { ahead: "10 minutes" } }))))

    it.effect("can be made to lie: in their claims, their signature, their key", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_700_000_000_000)
        const idp = yield* VirtualIdentityProvider
        const login = Effect.map(logIn({ scope: "openid" }), ({ body }) => body["id_token"])
        assert.strictEqual(Jose.decodeJwt(String(yield* login)).aud, "other")
        const claims = { iss: issuer, aud: "app", exp: 1_800_000_000 }
        const unsigned = yield* idp.sign(claims, { key: "None" })
        yield* idp.inject(Fault.withField("id_token", unsigned), { endpoint: "token", times: 1 })
        assert.strictEqual(yield* login, unsigned)
        assert.deepStrictEqual(Jose.decodeProtectedHeader(unsigned), { alg: "none" })
        yield* verify(yield* idp.sign(claims))
        const foreign = yield* idp.sign(claims, { key: "Unpublished" })
        assert.strictEqual((yield* Effect.exit(verify(foreign)))._tag, "Failure")
      }).pipe(Effect.provide(Idp.layer({ idTokenClaims: (claims) => ({ ...claims, aud: "other" }) }))))

    it.effect("keys rotate: the old one stays, until it is withdrawn", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_700_000_000_000)
        const idp = yield* VirtualIdentityProvider
        const old = (yield* logIn({ scope: "openid" })).body["id_token"]
        yield* idp.rotateKeys()
        const fresh = (yield* logIn({ scope: "openid" })).body["id_token"]
        const kid = (token: unknown) => Jose.decodeProtectedHeader(String(token)).kid
        assert.notStrictEqual(kid(old), kid(fresh))
        yield* verify(old)
        yield* verify(fresh)
        yield* idp.rotateKeys({ withdraw: true })
        assert.strictEqual((yield* Effect.exit(verify(old)))._tag, "Failure")
      }).pipe(Effect.provide(Idp.layer())))
  })

  describe("userinfo", () => {
    it.effect("tells what the scopes allow", () =>
      Effect.gen(function*() {
        const see = (scope: string) =>
          Effect.flatMap(
            logIn({ scope }),
            ({ body }) =>
              get(`${issuer}/userinfo`, { authorization: `Bearer ${String(body["access_token"])}` })
          )
        assert.deepStrictEqual((yield* see("openid")).body, { sub: "al" })
        assert.deepStrictEqual((yield* see("openid email")).body, { sub: "al", email: "al@test" })
        assert.deepStrictEqual((yield* see("openid profile")).body, { sub: "al", name: "Al" })
        const refused = yield* see("profile")
        assert.strictEqual(refused.status, 403)
        assert.match(refused.headers["www-authenticate"] ?? "", /^Bearer error="insufficient_scope"/)
        assert.strictEqual((yield* get(`${issuer}/userinfo`)).status, 401)
      }).pipe(Effect.provide(Idp.layer({
        person: { subject: "al", claims: { name: "Al", email: "al@test" } }
      }))))
  })

  describe("logout", () => {
    const leave = (fields: Fields) =>
      Effect.flatMap(
        VirtualIdentityProvider,
        (idp) => idp.authorize(`${issuer}/end_session?${new URLSearchParams(given(fields)).toString()}`)
      )
    const uri = "http://127.0.0.1:4000/logged-out"

    it.effect("sends the browser back to where the client may send it", () =>
      Effect.gen(function*() {
        const hint = String((yield* logIn({ scope: "openid" })).body["id_token"])
        yield* TestClock.adjust("1 day")
        const back = yield* leave({ id_token_hint: hint, post_logout_redirect_uri: uri, state: "s" })
        assert.strictEqual(back, `${uri}?state=s`)
        assert.strictEqual(yield* leave({ client_id: "app", post_logout_redirect_uri: uri }), uri)
        assert.deepInclude(yield* lastEntry, { endpoint: "end_session", action: "LoggedOut" })
        assert.strictEqual((yield* Effect.flip(leave({}))).status, 200)
      }).pipe(Effect.provide(Idp.layer())))

    const bad: ReadonlyArray<readonly [string, (hint: string) => Fields]> = [
      [
        "another address",
        (hint) => ({ id_token_hint: hint, post_logout_redirect_uri: "https://evil.test/" })
      ],
      ["an address without a client", () => ({ post_logout_redirect_uri: uri })],
      ["a hint that is not signed", (hint) => ({ id_token_hint: `${hint.slice(0, -6)}AAAAAA` })],
      ["a hint for somebody else", (hint) => ({ id_token_hint: hint, client_id: "service" })]
    ]
    for (const [name, fields] of bad) {
      it.effect(`${name}: invalid_request`, () =>
        Effect.gen(function*() {
          const hint = String((yield* logIn({ scope: "openid" })).body["id_token"])
          const refused = yield* Effect.flip(leave(fields(hint)))
          assert.deepInclude(refused, { status: 400, error: "invalid_request" })
        }).pipe(Effect.provide(Idp.layer())))
    }
  })

  describe("faults", () => {
    it.effect("an outage: the browser gets no answer, and nothing has happened", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        yield* idp.inject(Fault.outage, { endpoint: "authorization", times: 1 })
        assert.deepInclude(yield* Effect.flip(authorize()), { _tag: "NotRedirected", status: undefined })
        assert.strictEqual((yield* counts).codes, 0)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("a dropped reply: the code is spent", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const { code } = yield* authorize()
        yield* idp.inject(Fault.droppedReply, { grantType: "authorization_code", times: 1 })
        assert.strictEqual((yield* Effect.exit(redeem(code)))._tag, "Failure")
        assert.strictEqual((yield* redeem(code)).body["error"], "invalid_grant")
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("a slow push, and a malformed answer to one", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const reach = { endpoint: "pushed_authorization_request", times: 1 } as const
        yield* idp.inject(Fault.slow("10 seconds"), reach)
        const fiber = yield* Effect.fork(push())
        yield* TestClock.adjust("9999 millis")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* Fiber.join(fiber)).status, 201)
        yield* idp.inject(Fault.without("request_uri"), reach)
        assert.deepStrictEqual((yield* push()).body, { expires_in: 60 })
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("keys and userinfo that are down, or huge, or a page", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        yield* idp.inject(Fault.status(503), { endpoint: "jwks" })
        yield* idp.inject(Fault.malformed("Html"), { endpoint: "userinfo" })
        assert.strictEqual((yield* get(`${issuer}/jwks`)).status, 503)
        assert.strictEqual((yield* get(`${issuer}/userinfo`)).headers["content-type"], "text/html")
      }).pipe(Effect.provide(Idp.layer())))
  })

  it.effect("the same seed gives the same codes and tokens", () =>
    Effect.gen(function*() {
      const run = (seed: string) =>
        Effect.gen(function*() {
          const pushed = yield* push()
          const code = new URL(yield* visitPushed(pushed.body["request_uri"])).searchParams.get("code")
          return JSON.stringify([pushed, yield* redeem(code)])
        }).pipe(Effect.withRandom(Random.make(seed)), Effect.provide(Idp.layer()))
      assert.strictEqual(yield* run("a"), yield* run("a"))
      assert.notStrictEqual(yield* run("a"), yield* run("b"))
    }))

  it.effect("the journal holds no secret of a login", () =>
    Effect.gen(function*() {
      const idp = yield* VirtualIdentityProvider
      const pushed = yield* push({ scope: "openid", state: "hunter2", nonce: "hunter2" })
      const code = new URL(yield* visitPushed(pushed.body["request_uri"])).searchParams.get("code")
      const { body } = yield* redeem(code)
      const text = JSON.stringify(yield* idp.journal)
      const secrets = [code, verifier, "hunter2", pushed.body["request_uri"], body["id_token"]]
      for (const secret of secrets) assert.notInclude(text, String(secret))
    }).pipe(Effect.provide(Idp.layer())))
})

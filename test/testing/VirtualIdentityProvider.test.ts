import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import { VirtualIdentityProvider } from "effect-credentials/testing/VirtualIdentityProvider"
import * as Idp from "effect-credentials/testing/VirtualIdentityProvider"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Jose from "jose"
import { basic, credentials, get, issuer, poll, post, refresh, resource, startLogin, token } from "./calls.js"

const secretOf = (value: Redacted.Redacted<string> | undefined): string =>
  value === undefined ? "none" : Redacted.value(value)

/** A login by hand, as texts. */
const issued = (scopes?: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const grant = yield* (yield* VirtualIdentityProvider).issue("app", scopes)
    return { access: secretOf(grant.token.value), refresh: secretOf(grant.refreshToken), grant }
  })

describe("VirtualIdentityProvider", () => {
  describe("client credentials", () => {
    it.effect("gives an opaque token with its lifetime in whole seconds", () =>
      Effect.gen(function*() {
        const { body, headers, status } = yield* credentials
        assert.strictEqual(status, 200)
        assert.deepStrictEqual(Object.keys(body).sort(), ["access_token", "expires_in", "token_type"])
        assert.strictEqual(body["expires_in"], 90)
        assert.match(String(body["access_token"]), /^at_[0-9a-v]{24}$/)
        assert.strictEqual(headers["cache-control"], "no-store")
        assert.strictEqual(headers["content-type"], "application/json")
      }).pipe(Effect.provide(Idp.layer({ accessTokenLifetime: "90999 millis" }))))

    it.effect("grants the scopes that were asked for, and no others", () =>
      Effect.gen(function*() {
        const ask = (scope: string) =>
          token({ grant_type: "client_credentials", client_id: "s", client_secret: "x", scope })
        assert.strictEqual((yield* ask("read write")).body["scope"], "read write")
        assert.strictEqual((yield* ask("read admin")).body["error"], "invalid_scope")
      }).pipe(Effect.provide(Idp.layer({
        clients: [{ id: "s", secret: Redacted.make("x"), scopes: ["read", "write"] }]
      }))))
  })

  describe("client authentication", () => {
    const clients = [
      { id: "public" },
      { id: "a b:c", secret: Redacted.make("p+ä:%") },
      { id: "strict", secret: Redacted.make("s"), methods: ["client_secret_basic"] as const },
      { id: "limited", secret: Redacted.make("s"), grants: ["refresh_token"] }
    ]
    const grant = { grant_type: "client_credentials" }
    const cases: ReadonlyArray<
      readonly [string, Record<string, string>, Record<string, string>, number, unknown]
    > = [
      ["basic, form-encoded", grant, basic("a b:c", "p+ä:%"), 200, undefined],
      ["post", { ...grant, client_id: "a b:c", client_secret: "p+ä:%" }, {}, 200, undefined],
      ["a wrong secret", grant, basic("a b:c", "p"), 401, "invalid_client"],
      ["an unknown client", grant, basic("nobody", "p"), 401, "invalid_client"],
      ["no secret where one is due", { ...grant, client_id: "a b:c" }, {}, 401, "invalid_client"],
      [
        "a secret where none is known",
        { ...grant, client_id: "public", client_secret: "x" },
        {},
        401,
        "invalid_client"
      ],
      [
        "a method that it may not use",
        { ...grant, client_id: "strict", client_secret: "s" },
        {},
        401,
        "invalid_client"
      ],
      ["two ways at once", { ...grant, client_secret: "s" }, basic("strict", "s"), 400, "invalid_request"],
      ["two names at once", { ...grant, client_id: "public" }, basic("strict", "s"), 400, "invalid_request"],
      ["no client at all", grant, {}, 400, "invalid_request"],
      ["a header that is not Basic", grant, { authorization: "Bearer x" }, 400, "invalid_request"],
      ["a header that is not base64", grant, { authorization: "Basic *" }, 400, "invalid_request"],
      ["a grant that is not its own", grant, basic("limited", "s"), 400, "unauthorized_client"],
      ["a public client by itself", { ...grant, client_id: "public" }, {}, 400, "unauthorized_client"],
      ["no grant type", { client_id: "public" }, {}, 400, "invalid_request"],
      ["an empty grant type", { client_id: "public", grant_type: "" }, {}, 400, "invalid_request"],
      ["an unknown grant type", { client_id: "public", grant_type: "x" }, {}, 400, "unsupported_grant_type"]
    ]
    for (const [name, fields, headers, status, error] of cases) {
      it.effect(`${name}: ${status}`, () =>
        Effect.gen(function*() {
          const got = yield* token(fields, headers)
          assert.strictEqual(got.status, status)
          assert.strictEqual(got.body["error"], error)
        }).pipe(Effect.provide(Idp.layer({ clients }))))
    }

    it.effect("challenges a client that used the header, and no other", () =>
      Effect.gen(function*() {
        const header = yield* token({ grant_type: "client_credentials" }, basic("app", "x"))
        assert.match(header.headers["www-authenticate"] ?? "", /^Basic /)
        const form = yield* token({ grant_type: "client_credentials", client_id: "nobody" })
        assert.strictEqual(form.headers["www-authenticate"], undefined)
      }).pipe(Effect.provide(Idp.layer())))
  })

  describe("private_key_jwt", () => {
    const now = 1_700_000_000
    const keys = Effect.promise(() => Jose.generateKeyPair("ES256", { extractable: true }))
    const claims = { iss: "k", sub: "k", aud: issuer, exp: now + 60, iat: now, jti: "1" }
    const send = (assertion: string) =>
      token({
        grant_type: "client_credentials",
        client_assertion: assertion,
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
      })
    const sign = (claims: Jose.JWTPayload, key: Jose.CryptoKey) =>
      Effect.promise(() => new Jose.SignJWT(claims).setProtectedHeader({ alg: "ES256" }).sign(key))
    const withKey = (options?: Idp.Options) =>
      Effect.gen(function*() {
        const { privateKey, publicKey } = yield* keys
        const jwk = yield* Effect.promise(() => Jose.exportJWK(publicKey))
        yield* TestClock.setTime(now * 1000)
        const idp = yield* Idp.make({ ...options, clients: [{ id: "k", publicKey: jwk }] })
        return {
          idp,
          privateKey,
          ask: (assertion: string) =>
            Effect.provideService(send(assertion), HttpClient.HttpClient, idp.client)
        }
      })

    const cases: ReadonlyArray<readonly [string, Jose.JWTPayload, number]> = [
      ["a sound one", claims, 200],
      ["the token endpoint as audience", { ...claims, aud: ["x", `${issuer}/token`] }, 200],
      ["no exp", { ...claims, exp: undefined as never }, 401],
      ["expiring exactly now", { ...claims, exp: now }, 401],
      ["expiring in a second", { ...claims, exp: now + 1 }, 200],
      ["expiring in an hour", { ...claims, exp: now + 3600 }, 200],
      ["expiring in more than an hour", { ...claims, exp: now + 3601 }, 401],
      ["expiring never", { ...claims, exp: Number.MAX_SAFE_INTEGER }, 401],
      ["issued in the future", { ...claims, iat: now + 1 }, 401],
      ["not valid yet", { ...claims, nbf: now + 1 }, 401],
      ["another issuer", { ...claims, iss: "x" }, 401],
      ["another subject", { ...claims, sub: "x" }, 401],
      ["another audience", { ...claims, aud: "https://other.test" }, 401],
      ["no jti", { ...claims, jti: undefined as never }, 401]
    ]
    for (const [name, payload, status] of cases) {
      it.effect(`${name}: ${status}`, () =>
        Effect.gen(function*() {
          const { ask, privateKey } = yield* withKey()
          const got = yield* ask(yield* sign(payload, privateKey))
          assert.strictEqual(got.status, status)
          assert.strictEqual(got.body["error"], status === 200 ? undefined : "invalid_client")
        }))
    }

    it.effect("an assertion works once", () =>
      Effect.gen(function*() {
        const { ask, privateKey } = yield* withKey()
        const assertion = yield* sign(claims, privateKey)
        assert.strictEqual((yield* ask(assertion)).status, 200)
        assert.strictEqual((yield* ask(assertion)).body["error"], "invalid_client")
      }))

    it.effect("a signature by another key is refused", () =>
      Effect.gen(function*() {
        const { ask } = yield* withKey()
        const other = yield* keys
        assert.strictEqual((yield* ask(yield* sign(claims, other.privateKey))).status, 401)
      }))

    it.effect("without a registered key all but the signature counts", () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now * 1000)
        const { privateKey } = yield* keys
        const ask = Effect.flatMap(sign(claims, privateKey), send)
        assert.strictEqual((yield* ask).status, 200)
        assert.strictEqual((yield* ask).status, 401)
      }).pipe(Effect.provide(Idp.layer({ clients: [{ id: "k", methods: ["private_key_jwt"] }] }))))

    it.effect("the server judges times by its own clock", () =>
      Effect.gen(function*() {
        const { ask, idp, privateKey } = yield* withKey({ skew: { ahead: "2 minutes" } })
        assert.strictEqual((yield* ask(yield* sign(claims, privateKey))).status, 401)
        yield* idp.setSkew({ behind: "1 second" })
        assert.strictEqual((yield* ask(yield* sign({ ...claims, jti: "2" }, privateKey))).status, 401)
        yield* idp.setSkew({ behind: 0 })
        assert.strictEqual((yield* ask(yield* sign({ ...claims, jti: "3" }, privateKey))).status, 200)
      }))
  })

  describe("refresh", () => {
    it.effect("rotates, keeps the scopes, and narrows but never widens them", () =>
      Effect.gen(function*() {
        const first = yield* issued(["a", "b"])
        const second = yield* refresh(first.refresh)
        assert.strictEqual(second.body["scope"], "a b")
        assert.notStrictEqual(second.body["refresh_token"], first.refresh)
        assert.notStrictEqual(second.body["access_token"], first.access)
        const wide = yield* refresh(second.body["refresh_token"], { scope: "a c" })
        assert.strictEqual(wide.body["error"], "invalid_scope")
        const narrow = yield* refresh(second.body["refresh_token"], { scope: "b" })
        assert.strictEqual(narrow.body["scope"], "b")
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("a used refresh token costs its family, and no other", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const first = yield* issued()
        const bystander = yield* issued()
        const second = yield* refresh(first.refresh)
        assert.strictEqual((yield* resource(second.body["access_token"])).status, 200)
        assert.strictEqual((yield* refresh(first.refresh)).body["error"], "invalid_grant")
        assert.strictEqual((yield* refresh(second.body["refresh_token"])).body["error"], "invalid_grant")
        assert.strictEqual((yield* resource(second.body["access_token"])).status, 401)
        assert.strictEqual((yield* resource(first.access)).status, 401)
        assert.strictEqual((yield* resource(bystander.access)).status, 200)
        assert.strictEqual((yield* refresh(bystander.refresh)).status, 200)
        const { redemptions, reuses } = yield* idp.counts
        assert.deepStrictEqual({ redemptions, reuses }, { redemptions: 2, reuses: 1 })
      }).pipe(Effect.provide(Idp.layer())))

    for (
      const [name, wait, error, replays] of [
        ["at once", "0 millis", undefined, 1],
        ["in the last millisecond of the window", "9999 millis", undefined, 1],
        ["at exactly the end of the window", "10 seconds", "invalid_grant", 0]
      ] as const
    ) {
      it.effect(`a used refresh token again, ${name}`, () =>
        Effect.gen(function*() {
          const first = yield* issued()
          const second = yield* refresh(first.refresh)
          yield* TestClock.adjust(wait)
          const again = yield* refresh(first.refresh)
          assert.strictEqual(again.body["error"], error)
          if (replays === 1) {
            assert.strictEqual(again.body["access_token"], second.body["access_token"])
            assert.strictEqual(again.body["refresh_token"], second.body["refresh_token"])
          }
          const counts = yield* (yield* VirtualIdentityProvider).counts
          assert.strictEqual(counts.replays, replays)
          assert.strictEqual(counts.reuses, 1 - replays)
          assert.strictEqual(counts.redemptions, 1)
        }).pipe(Effect.provide(Idp.layer({ reuseGrace: "10 seconds" }))))
    }

    it.effect("a replayed answer tells what is left of the lifetime", () =>
      Effect.gen(function*() {
        const first = yield* issued()
        yield* refresh(first.refresh)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* refresh(first.refresh)).body["expires_in"], 50)
      }).pipe(Effect.provide(Idp.layer({ reuseGrace: "1 minute", accessTokenLifetime: "1 minute" }))))

    it.effect("many at once: one redeems, the rest lose it all", () =>
      Effect.gen(function*() {
        const first = yield* issued()
        const all = yield* Effect.all(Array.from({ length: 5 }, () => refresh(first.refresh)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(all.map(({ status }) => status).sort(), [200, 400, 400, 400, 400])
        const winner = all.find(({ status }) => status === 200)
        assert.strictEqual((yield* refresh(winner?.body["refresh_token"])).body["error"], "invalid_grant")
      }).pipe(Effect.provide(Idp.layer())))

    for (const rotation of ["Repeat", "Omit"] as const) {
      it.effect(`${rotation}: the refresh token stays good`, () =>
        Effect.gen(function*() {
          const first = yield* issued()
          const second = yield* refresh(first.refresh)
          assert.strictEqual(second.body["refresh_token"], rotation === "Repeat" ? first.refresh : undefined)
          const third = yield* refresh(first.refresh)
          assert.strictEqual(third.status, 200)
          assert.notStrictEqual(third.body["access_token"], second.body["access_token"])
        }).pipe(Effect.provide(Idp.layer({ rotation }))))
    }

    it.effect("expires, to the millisecond, and each new one anew", () =>
      Effect.gen(function*() {
        const first = yield* issued()
        yield* TestClock.adjust("59999 millis")
        const second = yield* refresh(first.refresh)
        assert.strictEqual(second.body["refresh_token_expires_in"], 60)
        yield* TestClock.adjust("60 seconds")
        assert.strictEqual((yield* refresh(second.body["refresh_token"])).body["error"], "invalid_grant")
      }).pipe(Effect.provide(Idp.layer({
        refreshTokenLifetime: "1 minute",
        announceRefreshTokenLifetime: true
      }))))

    it.effect("belongs to its client", () =>
      Effect.gen(function*() {
        const first = yield* issued()
        const other = yield* refresh(first.refresh, { client_id: "thief" })
        assert.strictEqual(other.body["error"], "invalid_grant")
        assert.strictEqual((yield* refresh(first.refresh)).status, 200)
        assert.strictEqual((yield* refresh("unknown")).body["error"], "invalid_grant")
        assert.strictEqual((yield* refresh("")).body["error"], "invalid_request")
      }).pipe(Effect.provide(Idp.layer({ clients: [{ id: "app" }, { id: "thief" }] }))))

    it.effect("is given for offline_access only, where that is the rule", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* issued(["a"])).refresh, "none")
        assert.notStrictEqual((yield* issued(["a", "offline_access"])).refresh, "none")
      }).pipe(Effect.provide(Idp.layer({ requireOfflineAccess: true }))))
  })

  describe("device login", () => {
    it.effect("waits until the person approves by hand", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const { body } = yield* startLogin({ scope: "a" })
        assert.match(String(body["user_code"]), /^[B-Z]{4}-[B-Z]{4}$/)
        assert.strictEqual(body["verification_uri"], `${issuer}/device`)
        assert.strictEqual(body["expires_in"], 600)
        assert.strictEqual(body["interval"], 5)
        assert.deepStrictEqual(yield* idp.waiting, [String(body["user_code"])])
        assert.strictEqual((yield* poll(body["device_code"])).body["error"], "authorization_pending")
        assert.isTrue(yield* idp.approve(String(body["user_code"]).toLowerCase().replace("-", " ")))
        assert.isFalse(yield* idp.approve(String(body["user_code"])))
        assert.deepStrictEqual(yield* idp.waiting, [])
        const done = yield* poll(body["device_code"])
        assert.strictEqual(done.body["scope"], "a")
        assert.strictEqual((yield* resource(done.body["access_token"])).status, 200)
        assert.strictEqual((yield* refresh(done.body["refresh_token"])).status, 200)
        const { logins, loginsStarted } = yield* idp.counts
        assert.deepStrictEqual({ logins, loginsStarted }, { logins: 1, loginsStarted: 1 })
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("a second use of the device code costs what the first one gave", () =>
      Effect.gen(function*() {
        const { body } = yield* startLogin()
        const done = yield* poll(body["device_code"])
        assert.strictEqual(done.status, 200)
        assert.strictEqual((yield* poll(body["device_code"])).body["error"], "invalid_grant")
        assert.strictEqual((yield* refresh(done.body["refresh_token"])).body["error"], "invalid_grant")
      }).pipe(Effect.provide(Idp.layer({ approvals: { approveAfter: 0 } }))))

    it.effect("follows its script, login by login, then waits for a hand", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        yield* idp.script([{ denyAfter: "2 seconds" }])
        const first = yield* startLogin()
        const second = yield* startLogin()
        const third = yield* startLogin()
        const outcomes = (seconds: number) =>
          Effect.gen(function*() {
            yield* TestClock.adjust(`${seconds} seconds`)
            return yield* Effect.forEach(
              [first, second, third],
              ({ body }) => Effect.map(poll(body["device_code"]), ({ body }) => body["error"] ?? "tokens")
            )
          })
        assert.deepStrictEqual(yield* outcomes(7), [
          "authorization_pending",
          "access_denied",
          "authorization_pending"
        ])
        assert.deepStrictEqual(yield* outcomes(23), ["tokens", "invalid_grant", "authorization_pending"])
        assert.isTrue(yield* idp.deny(String(third.body["user_code"])))
        assert.strictEqual((yield* poll(third.body["device_code"])).body["error"], "access_denied")
      }).pipe(Effect.provide(Idp.layer({ approvals: [{ approveAfter: "30 seconds" }] }))))

    it.effect("polling too early says slow_down and adds five seconds, for good", () =>
      Effect.gen(function*() {
        const { body } = yield* startLogin()
        const after = (millis: number) =>
          Effect.zipRight(
            TestClock.adjust(millis),
            Effect.map(poll(body["device_code"]), ({ body }) => body["error"])
          )
        assert.strictEqual(yield* after(0), "authorization_pending")
        assert.strictEqual(yield* after(1999), "slow_down")
        assert.strictEqual(yield* after(6999), "slow_down")
        assert.strictEqual(yield* after(11_999), "slow_down")
        assert.strictEqual(yield* after(17_000), "authorization_pending")
        assert.strictEqual(yield* after(17_000), "authorization_pending")
      }).pipe(Effect.provide(Idp.layer({ deviceInterval: "2 seconds" }))))

    it.effect("an early poll after the approval still gets the tokens", () =>
      Effect.gen(function*() {
        const { body } = yield* startLogin()
        yield* poll(body["device_code"])
        yield* (yield* VirtualIdentityProvider).approve(String(body["user_code"]))
        assert.strictEqual((yield* poll(body["device_code"])).status, 200)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("expires to the millisecond, approved or not", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const { body } = yield* startLogin()
        yield* TestClock.adjust("59999 millis")
        assert.strictEqual((yield* poll(body["device_code"])).body["error"], "authorization_pending")
        assert.isTrue(yield* idp.approve(String(body["user_code"])))
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* poll(body["device_code"])).body["error"], "expired_token")
        assert.isFalse(yield* idp.approve(String(body["user_code"])))
      }).pipe(Effect.provide(Idp.layer({ deviceCodeLifetime: "1 minute" }))))

    it.effect("keeps the interval to itself where it is told so", () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* startLogin()).body["interval"], undefined)
      }).pipe(Effect.provide(Idp.layer({ announceInterval: false }))))

    it.effect("belongs to its client", () =>
      Effect.gen(function*() {
        const { body } = yield* startLogin()
        assert.strictEqual(
          (yield* poll(body["device_code"], { client_id: "thief" })).body["error"],
          "invalid_grant"
        )
        assert.strictEqual((yield* poll(body["device_code"])).status, 200)
      }).pipe(Effect.provide(Idp.layer({
        clients: [{ id: "app" }, { id: "thief" }],
        approvals: { approveAfter: 0 }
      }))))
  })

  describe("resource", () => {
    it.effect("wants a token that is valid to the millisecond", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const { access } = yield* issued(["a"])
        yield* TestClock.adjust("59999 millis")
        assert.deepInclude((yield* resource(access)).body, { client: "app", scope: "a" })
        yield* TestClock.adjust("1 millis")
        const late = yield* resource(access)
        assert.strictEqual(late.status, 401)
        assert.match(late.headers["www-authenticate"] ?? "", /^Bearer .*error="invalid_token"/)
        const bare = yield* get(`${issuer}/resource`)
        const document = `${issuer}/.well-known/oauth-protected-resource/resource`
        assert.strictEqual(
          bare.headers["www-authenticate"],
          `Bearer realm="${issuer}", resource_metadata="${document}"`
        )
        assert.strictEqual((yield* resource("made-up")).status, 401)
        assert.strictEqual((yield* idp.counts).resourceCalls, 4)
      }).pipe(Effect.provide(Idp.layer({ accessTokenLifetime: "1 minute" }))))

    it.effect("a revoked access token is refused alone; a revoked refresh token takes all with it", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const first = yield* issued()
        const second = yield* refresh(first.refresh)
        yield* idp.revoke(first.grant.token.value)
        assert.strictEqual((yield* resource(first.access)).status, 401)
        assert.strictEqual((yield* resource(second.body["access_token"])).status, 200)
        yield* idp.revoke(Redacted.make(String(second.body["refresh_token"])))
        assert.strictEqual((yield* resource(second.body["access_token"])).status, 401)
        assert.strictEqual((yield* refresh(second.body["refresh_token"])).body["error"], "invalid_grant")
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("a client revokes its own tokens only; one that proves itself is told so, others learn nothing", () =>
      Effect.gen(function*() {
        const { refresh: mine } = yield* issued()
        const revoke = (client: string, token: string) =>
          post(`${issuer}/revocation`, { client_id: client, token })
        assert.strictEqual((yield* revoke("thief", mine)).status, 200)
        const told = yield* post(`${issuer}/revocation`, { token: mine }, basic("robber", "robber-secret"))
        assert.strictEqual(told.body["error"], "invalid_request")
        assert.strictEqual((yield* revoke("app", "unknown")).status, 200)
        const next = yield* refresh(mine)
        assert.strictEqual(next.status, 200)
        assert.strictEqual((yield* revoke("app", String(next.body["refresh_token"]))).status, 200)
        assert.strictEqual((yield* refresh(next.body["refresh_token"])).body["error"], "invalid_grant")
      }).pipe(Effect.provide(Idp.layer({
        clients: [{ id: "app" }, { id: "thief" }, { id: "robber", secret: Redacted.make("robber-secret") }]
      }))))
  })

  describe("PKCE in the device flow (RFC 7636)", () => {
    const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    const sound = { code_challenge: challenge, code_challenge_method: "S256" }
    const polls: ReadonlyArray<
      readonly [string, Record<string, string>, Record<string, string>, string | undefined]
    > = [
      ["the right verifier", sound, { code_verifier: verifier }, undefined],
      ["a wrong verifier", sound, { code_verifier: verifier.replace("d", "e") }, "invalid_grant"],
      ["the challenge in its place", sound, { code_verifier: challenge }, "invalid_grant"],
      ["no verifier", sound, {}, "invalid_grant"],
      ["a verifier too short to count, without a challenge", {}, { code_verifier: "v" }, "invalid_grant"],
      ["a verifier without a challenge", {}, { code_verifier: verifier }, "invalid_grant"]
    ]
    for (const [name, started, polled, error] of polls) {
      it.effect(`${name}: ${error ?? "tokens"}`, () =>
        Effect.gen(function*() {
          const { body } = yield* startLogin(started)
          assert.strictEqual((yield* poll(body["device_code"], polled)).body["error"], error)
          const right = "code_challenge" in started ? { code_verifier: verifier } : {}
          const again = yield* poll(body["device_code"], right)
          assert.strictEqual(again.status, error === undefined ? 400 : 200)
        }).pipe(Effect.provide(Idp.layer({ approvals: { approveAfter: 0 } }))))
    }

    const starts: ReadonlyArray<readonly [string, Record<string, string>]> = [
      ["plain", { ...sound, code_challenge_method: "plain" }],
      ["no method, which means plain", { code_challenge: challenge }],
      ["a method without a challenge", { code_challenge_method: "S256" }],
      ["a challenge that is too short", { ...sound, code_challenge: challenge.slice(1) }]
    ]
    for (const [name, fields] of starts) {
      it.effect(`${name}: invalid_request`, () =>
        Effect.gen(function*() {
          assert.strictEqual((yield* startLogin(fields)).body["error"], "invalid_request")
        }).pipe(Effect.provide(Idp.layer())))
    }
  })

  describe("a long run", () => {
    it.effect("forgets nothing that matters", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const first = yield* issued()
        const bystander = yield* issued()
        const late = yield* startLogin()
        let current = (yield* refresh(first.refresh)).body
        for (let round = 0; round < 2000; round++) {
          if (round % 100 === 0) yield* TestClock.adjust("36 minutes")
          current = (yield* refresh(current["refresh_token"])).body
        }
        assert.strictEqual((yield* resource(current["access_token"])).status, 200)
        assert.strictEqual((yield* resource(first.access)).status, 401)
        assert.strictEqual((yield* poll(late.body["device_code"])).body["error"], "expired_token")
        assert.strictEqual((yield* refresh(bystander.refresh)).status, 200)
        assert.strictEqual((yield* refresh(first.refresh)).body["error"], "invalid_grant")
        assert.strictEqual((yield* idp.counts).reuses, 1)
        assert.strictEqual((yield* resource(current["access_token"])).status, 401)
        assert.strictEqual((yield* idp.counts).redemptions, 2002)
      }).pipe(Effect.provide(Idp.layer())), 30_000)

    it.effect("a refresh token that has expired revokes nothing", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const first = yield* issued()
        yield* TestClock.adjust("20 hours")
        const second = yield* refresh(first.refresh)
        yield* TestClock.adjust("4 hours")
        yield* idp.revoke(Redacted.make(first.refresh))
        assert.strictEqual((yield* refresh(second.body["refresh_token"])).status, 200)
      }).pipe(Effect.provide(Idp.layer({ refreshTokenLifetime: "1 day" }))))
  })

  describe("discovery", () => {
    for (
      const [issuer, openid, oauth] of [
        ["https://idp.test", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"],
        [
          "https://idp.test/a/b",
          "/a/b/.well-known/openid-configuration",
          "/.well-known/oauth-authorization-server/a/b"
        ],
        [
          "https://idp.test/a/",
          "/a/.well-known/openid-configuration",
          "/.well-known/oauth-authorization-server/a"
        ]
      ] as const
    ) {
      it.effect(`both documents of ${issuer}`, () =>
        Effect.gen(function*() {
          const first = yield* get(`https://idp.test${openid}`)
          const second = yield* get(`https://idp.test${oauth}`)
          assert.deepStrictEqual(first.body, second.body)
          assert.strictEqual(first.body["issuer"], issuer)
          assert.strictEqual(first.body["token_endpoint"], `${issuer.replace(/\/$/, "")}/token`)
          const login = yield* post(String(first.body["device_authorization_endpoint"]), { client_id: "app" })
          assert.strictEqual(login.status, 200)
        }).pipe(Effect.provide(Idp.layer({ issuer }))))
    }

    it.effect("fields can be added and replaced", () =>
      Effect.gen(function*() {
        const { body } = yield* get(`${issuer}/.well-known/openid-configuration`)
        assert.deepInclude(body, { issuer: "https://evil.test", extra: 1 })
      }).pipe(Effect.provide(Idp.layer({ metadata: { issuer: "https://evil.test", extra: 1 } }))))
  })

  describe("requests", () => {
    const form = "grant_type=client_credentials&client_id=service&client_secret=service-secret"
    const type = "application/x-www-form-urlencoded"
    const bytes = new TextEncoder().encode(form)
    const bodies: ReadonlyArray<readonly [string, HttpBody.HttpBody, number]> = [
      ["text", HttpBody.text(form, type), 200],
      ["text with a charset", HttpBody.text(form, `${type.toUpperCase()}; charset=utf-8`), 200],
      ["bytes", HttpBody.uint8Array(bytes, type), 200],
      ["a stream", HttpBody.stream(Stream.make(bytes.slice(0, 9), bytes.slice(9)), type), 200],
      ["a raw string", HttpBody.raw(form, { contentType: type }), 200],
      ["raw parameters", HttpBody.raw(new URLSearchParams(form), { contentType: type }), 200],
      ["a raw stream", HttpBody.raw(new Blob([form]).stream(), { contentType: type }), 200],
      ["JSON", HttpBody.unsafeJson({ grant_type: "client_credentials" }), 400],
      ["no body", HttpBody.empty, 400],
      ["a field twice", HttpBody.text(`${form}&client_id=service`, type), 400],
      ["a resource twice", HttpBody.text(`${form}&resource=urn:a&resource=urn:b`, type), 200],
      ["64 KiB", HttpBody.text(form.padEnd(64 * 1024, "&"), type), 200],
      ["a byte more", HttpBody.text(form.padEnd(64 * 1024 + 1, "&"), type), 413],
      ["an endless stream", HttpBody.stream(Stream.forever(Stream.make(bytes)), type), 413]
    ]
    for (const [name, body, status] of bodies) {
      it.effect(`${name}: ${status}`, () =>
        Effect.gen(function*() {
          const response = yield* HttpClient.execute(
            HttpClientRequest.post(`${issuer}/token`).pipe(HttpClientRequest.setBody(body))
          )
          assert.strictEqual(response.status, status)
        }).pipe(Effect.provide(Idp.layer())))
    }

    for (
      const [method, path] of [["GET", "/token"], ["POST", "/nothing"], [
        "POST",
        "/.well-known/openid-configuration"
      ]] as const
    ) {
      it.effect(`${method} ${path}: 404`, () =>
        Effect.gen(function*() {
          const response = yield* HttpClient.execute(HttpClientRequest.make(method)(`${issuer}${path}`))
          assert.strictEqual(response.status, 404)
        }).pipe(Effect.provide(Idp.layer())))
    }

    it.effect("another origin is not there, unless it is given", () =>
      Effect.gen(function*() {
        const second = yield* Idp.make({ issuer: "https://second.test" })
        const first = yield* Idp.make({ elsewhere: second.client })
        const discover = (idp: Idp.Service, issuer: string) =>
          get(`${issuer}/.well-known/openid-configuration`).pipe(
            Effect.provideService(HttpClient.HttpClient, idp.client),
            Effect.map(({ body }) => body["issuer"])
          )
        assert.strictEqual(yield* discover(first, "https://idp.test"), "https://idp.test")
        assert.strictEqual(yield* discover(first, "https://second.test"), "https://second.test")
        const error = yield* Effect.flip(Effect.asVoid(discover(first, "https://third.test")))
        assert.deepInclude(error, { _tag: "RequestError", reason: "Transport" })
      }))
  })

  describe("time and chance", () => {
    it.effect("dates answers by its own clock", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        yield* TestClock.setTime(Date.parse("2030-01-01T00:00:00Z"))
        const date = Effect.map(get(`${issuer}/resource`), ({ headers }) => headers["date"])
        assert.strictEqual(yield* date, "Tue, 01 Jan 2030 00:10:00 GMT")
        yield* idp.setSkew({ behind: "1 day" })
        assert.strictEqual(yield* date, "Mon, 31 Dec 2029 00:00:00 GMT")
      }).pipe(Effect.provide(Idp.layer({ skew: { ahead: "10 minutes" } }))))

    it.effect("skew leaves the lifetimes of tokens alone", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const { access } = yield* issued()
        yield* idp.setSkew({ ahead: "1 day" })
        assert.strictEqual((yield* resource(access)).status, 200)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("lives on another clock where it is given one", () =>
      Effect.gen(function*() {
        const stopped: Clock.Clock = { ...Clock.make(), currentTimeMillis: Effect.succeed(0) }
        const idp = yield* Idp.make({ clock: stopped })
        const { token } = yield* idp.issue("app")
        yield* TestClock.adjust("1 day")
        const got = yield* Effect.provideService(
          resource(secretOf(token.value)),
          HttpClient.HttpClient,
          idp.client
        )
        assert.strictEqual(got.status, 200)
      }))

    it.effect("the same seed gives the same answers and the same journal", () =>
      Effect.gen(function*() {
        const run = (seed: string) =>
          Effect.gen(function*() {
            const first = yield* startLogin()
            const failed = yield* refresh("wrong")
            const second = yield* poll(first.body["device_code"])
            const third = yield* refresh(second.body["refresh_token"])
            const journal = yield* (yield* VirtualIdentityProvider).journal
            return JSON.stringify([first, failed, second, third, journal])
          }).pipe(
            Effect.withRandom(Random.make(seed)),
            Effect.provide(Idp.layer({ approvals: { approveAfter: 0 } }))
          )
        assert.strictEqual(yield* run("a"), yield* run("a"))
        assert.notStrictEqual(yield* run("a"), yield* run("b"))
      }))

    it.effect("a grant by hand is the one that the server knows", () =>
      Effect.gen(function*() {
        yield* TestClock.adjust("5 seconds")
        const { grant } = yield* issued(["a"])
        assert.strictEqual(grant.token.issuedAt, 5000)
        assert.strictEqual(grant.token.expiresAt, 5000 + 3_600_000)
        assert.deepStrictEqual(grant.token.scopes, ["a"])
        assert.strictEqual(grant.refreshExpiresAt, undefined)
        const exit = yield* Effect.exit((yield* VirtualIdentityProvider).issue("nobody"))
        assert.strictEqual(exit._tag, "Failure")
      }).pipe(Effect.provide(Idp.layer())))
  })
})

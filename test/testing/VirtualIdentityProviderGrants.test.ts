import { assert, describe, it } from "@effect/vitest"
import { VirtualIdentityProvider } from "effect-credentials/testing/VirtualIdentityProvider"
import * as Idp from "effect-credentials/testing/VirtualIdentityProvider"
import type * as VirtualProviderOptions from "effect-credentials/testing/VirtualProviderOptions"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Jose from "jose"
import { basic, credentials, get, issuer, post, refresh, resource, token } from "./calls.js"
import type { Fields } from "./logins.js"
import { given, logIn } from "./logins.js"

const now = 1_700_000_000
const service = basic("service", "service-secret")

interface KeyPair {
  readonly jwk: Jose.JWK
  readonly sign: (claims: Jose.JWTPayload) => Effect.Effect<string>
}

const makeKey: Effect.Effect<KeyPair> = Effect.promise(async () => {
  const { privateKey, publicKey } = await Jose.generateKeyPair("ES256")
  return {
    jwk: await Jose.exportJWK(publicKey),
    sign: (claims) =>
      Effect.promise(() => new Jose.SignJWT(claims).setProtectedHeader({ alg: "ES256" }).sign(privateKey))
  }
})

/** Whose signatures count, beside the provider's own. */
const withPartner = <A, E, R>(
  test: (key: KeyPair) => Effect.Effect<A, E, R>,
  options: VirtualProviderOptions.Options = {}
) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(now * 1000)
    const key = yield* makeKey
    const trustedIssuers = [{ issuer: "https://partner.test", keys: [key.jwk] }]
    return yield* Effect.provide(test(key), Idp.layer({ trustedIssuers, ...options }))
  })

const claims = { iss: "https://partner.test", sub: "bob", aud: issuer, exp: now + 60, iat: now, jti: "1" }

describe("password", () => {
  const ask = (fields: Fields) =>
    token(given({ grant_type: "password", client_id: "app", username: "alice", ...fields }))
  const cases: ReadonlyArray<readonly [string, Fields, string | undefined]> = [
    ["the right one", { password: "alice-password" }, undefined],
    ["a wrong one", { password: "x" }, "invalid_grant"],
    ["somebody else's name", { username: "bob", password: "alice-password" }, "invalid_grant"],
    ["none", {}, "invalid_request"]
  ]
  for (const [name, fields, error] of cases) {
    it.effect(`${name}: ${error ?? "tokens"}`, () =>
      Effect.gen(function*() {
        const { body } = yield* ask(fields)
        assert.strictEqual(body["error"], error)
        if (error === undefined) assert.strictEqual((yield* refresh(body["refresh_token"])).status, 200)
      }).pipe(Effect.provide(Idp.layer())))
  }
})

describe("JWT bearer (RFC 7523)", () => {
  const ask = (assertion: string, headers: Record<string, string> = {}) =>
    token({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion, scope: "a" }, headers)

  it.effect("gives an access token for the subject, with and without a client", () =>
    withPartner(({ sign }) =>
      Effect.gen(function*() {
        const alone = yield* ask(yield* sign(claims))
        assert.deepStrictEqual(Object.keys(alone.body).sort(), [
          "access_token",
          "expires_in",
          "scope",
          "token_type"
        ])
        assert.deepInclude((yield* resource(alone.body["access_token"])).body, { subject: "bob", client: "" })
        const named = yield* ask(yield* sign({ ...claims, jti: "2" }), service)
        assert.deepInclude((yield* resource(named.body["access_token"])).body, { client: "service" })
      })
    ))

  const bad: ReadonlyArray<readonly [string, Jose.JWTPayload]> = [
    ["an unknown issuer", { ...claims, iss: "https://evil.test" }],
    ["no subject", { ...claims, sub: undefined as never }],
    ["another audience", { ...claims, aud: "https://other.test" }],
    ["expired just now", { ...claims, exp: now }],
    ["no expiry", { ...claims, exp: undefined as never }],
    ["not valid yet", { ...claims, nbf: now + 1 }],
    ["from the future", { ...claims, iat: now + 1 }],
    ["valid for more than an hour", { ...claims, exp: now + 3601 }]
  ]
  for (const [name, payload] of bad) {
    it.effect(`${name}: invalid_grant`, () =>
      withPartner(({ sign }) =>
        Effect.gen(function*() {
          const refused = yield* ask(yield* sign(payload))
          assert.deepStrictEqual([refused.status, refused.body["error"]], [400, "invalid_grant"])
        })
      ))
  }

  it.effect("counts once, and only with a signature of the issuer", () =>
    withPartner(({ sign }) =>
      Effect.gen(function*() {
        const assertion = yield* sign(claims)
        assert.strictEqual((yield* ask(assertion)).status, 200)
        assert.strictEqual((yield* ask(assertion)).body["error"], "invalid_grant")
        const forged = yield* (yield* makeKey).sign({ ...claims, jti: "2" })
        assert.strictEqual((yield* ask(forged)).body["error"], "invalid_grant")
        assert.strictEqual((yield* ask("made-up")).body["error"], "invalid_grant")
        assert.strictEqual((yield* ask("")).body["error"], "invalid_request")
      })
    ))
})

describe("token exchange (RFC 8693)", () => {
  const type = (name: string) => `urn:ietf:params:oauth:token-type:${name}`
  const ask = (fields: Fields) =>
    token(given({ grant_type: "urn:ietf:params:oauth:grant-type:token-exchange", ...fields }), service)

  it.effect("takes access tokens, refresh tokens, ID tokens and a partner's", () =>
    withPartner(({ sign }) =>
      Effect.gen(function*() {
        const { body } = yield* logIn({ scope: "openid a" })
        const subjects = [
          ["access_token", body["access_token"]],
          ["refresh_token", body["refresh_token"]],
          ["id_token", body["id_token"]],
          ["jwt", yield* sign(claims)]
        ] as const
        const told = yield* Effect.forEach(subjects, ([name, value]) =>
          Effect.gen(function*() {
            const fields = { subject_token: String(value), subject_token_type: type(name) }
            const { body } = yield* ask({ ...fields, resource: "https://api.test/" })
            assert.strictEqual(body["issued_token_type"], type("access_token"))
            assert.notProperty(body, "refresh_token")
            const seen = (yield* resource(body["access_token"])).body
            return [seen["subject"], seen["scope"], seen["resources"]]
          }))
        const at = ["https://api.test/"]
        assert.deepStrictEqual(told, [
          ["alice", "openid a", at],
          ["alice", "openid a", at],
          ["alice", "", at],
          ["bob", "", at]
        ])
      })
    ))

  it.effect("narrows scopes and never widens them; wants an actor's token with its type", () =>
    withPartner(({ sign }) =>
      Effect.gen(function*() {
        const access = String((yield* logIn({ scope: "a b" })).body["access_token"])
        const subject = { subject_token: access, subject_token_type: type("access_token") }
        assert.strictEqual((yield* ask({ ...subject, scope: "b" })).body["scope"], "b")
        assert.strictEqual((yield* ask({ ...subject, scope: "b c" })).body["error"], "invalid_scope")
        const actor = yield* sign(claims)
        assert.strictEqual((yield* ask({ ...subject, actor_token: actor })).body["error"], "invalid_request")
        const withActor = { ...subject, actor_token: actor, actor_token_type: type("jwt") }
        assert.strictEqual((yield* ask(withActor)).status, 200)
      })
    ))

  it.effect("gives a client no more than it may ask for, even if it asks for nothing", () =>
    Effect.gen(function*() {
      const access = String((yield* logIn({ scope: "a b" })).body["access_token"])
      const subject = { subject_token: access, subject_token_type: type("access_token") }
      assert.strictEqual((yield* ask(subject)).body["scope"], "b")
    }).pipe(Effect.provide(Idp.layer({
      clients: [{ id: "app" }, { id: "service", secret: Redacted.make("service-secret"), scopes: ["b"] }]
    }))))

  const bad: ReadonlyArray<readonly [string, Fields, string]> = [
    ["no subject", { subject_token_type: type("access_token") }, "invalid_request"],
    ["no type", { subject_token: "x" }, "invalid_request"],
    ["a made-up token", { subject_token: "x", subject_token_type: type("access_token") }, "invalid_request"],
    ["an unknown type", { subject_token: "x", subject_token_type: type("saml2") }, "invalid_request"]
  ]
  for (const [name, fields, error] of bad) {
    it.effect(`${name}: ${error}`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* ask(fields)).body["error"], error)
      }).pipe(Effect.provide(Idp.layer())))
  }

  it.effect("an expired ID token, or one that was asked to become something else: invalid_request", () =>
    Effect.gen(function*() {
      const idToken = String((yield* logIn({ scope: "openid" })).body["id_token"])
      const subject = { subject_token: idToken, subject_token_type: type("id_token") }
      const other = yield* ask({ ...subject, requested_token_type: type("refresh_token") })
      assert.strictEqual(other.body["error"], "invalid_request")
      yield* TestClock.adjust("59999 millis")
      assert.strictEqual((yield* ask(subject)).status, 200)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* ask(subject)).body["error"], "invalid_request")
    }).pipe(Effect.provide(Idp.layer({ idTokenLifetime: "1 minute" }))))
})

describe("a grant of the user's own", () => {
  const customGrants: VirtualProviderOptions.Options["customGrants"] = {
    account_credentials: ({ fields }) =>
      fields.get("account_id") === "7"
        ? { scopes: ["meeting"], subject: "account-7", fields: { api_url: "https://api.test" } }
        : { error: "invalid_grant", status: 403 },
    "urn:app:user-code": () => ({ refreshToken: true })
  }
  const ask = (fields: Fields) => token(given({ grant_type: "account_credentials", ...fields }), service)

  it.effect("answers what it likes", () =>
    Effect.gen(function*() {
      const { body } = yield* ask({ account_id: "7" })
      assert.deepInclude(body, { scope: "meeting", api_url: "https://api.test", token_type: "Bearer" })
      assert.strictEqual((yield* resource(body["access_token"])).body["subject"], "account-7")
      const refused = yield* ask({ account_id: "8" })
      assert.deepStrictEqual([refused.status, refused.body["error"]], [403, "invalid_grant"])
      const login = yield* token({ grant_type: "urn:app:user-code", client_id: "app" })
      assert.strictEqual((yield* refresh(login.body["refresh_token"])).status, 200)
      const { body: told } = yield* get(`${issuer}/.well-known/openid-configuration`)
      assert.includeMembers(told["grant_types_supported"] as Array<string>, Object.keys(customGrants))
    }).pipe(Effect.provide(Idp.layer({ customGrants }))))

  it.effect("is unknown elsewhere, and no name of Object is a grant", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* ask({})).body["error"], "unsupported_grant_type")
      const odd = yield* token({ grant_type: "constructor" }, service)
      assert.strictEqual(odd.body["error"], "unsupported_grant_type")
    }).pipe(Effect.provide(Idp.layer())))
})

describe("client_secret_jwt", () => {
  const secret = "a-secret-of-32-characters-at-least"
  const clients = [{ id: "hashed", secret: Redacted.make(secret), methods: ["client_secret_jwt"] as const }]
  const ask = (key: string, payload: Jose.JWTPayload = {}) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const all = { iss: "hashed", sub: "hashed", aud: issuer, exp: now + 60, jti: "1", ...payload }
      const assertion = yield* Effect.promise(() =>
        new Jose.SignJWT(all).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(key))
      )
      return yield* token({
        grant_type: "client_credentials",
        client_assertion: assertion,
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
      })
    })

  it.effect("counts once, with the secret and in time", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        (yield* ask("another-secret-of-32-characters-or-so")).body["error"],
        "invalid_client"
      )
      assert.strictEqual((yield* ask(secret, { exp: now })).body["error"], "invalid_client")
      assert.strictEqual((yield* ask(secret)).status, 200)
      assert.strictEqual((yield* ask(secret)).body["error"], "invalid_client")
    }).pipe(Effect.provide(Idp.layer({ clients }))))

  it.effect("is not private_key_jwt: a public key can't be the secret", () =>
    Effect.gen(function*() {
      const { jwk } = yield* makeKey
      const layer = Idp.layer({ clients: [{ id: "hashed", publicKey: jwk }] })
      const got = yield* Effect.provide(ask(JSON.stringify(jwk)), layer)
      assert.strictEqual(got.body["error"], "invalid_client")
    }))
})

describe("introspection (RFC 7662)", () => {
  const ask = (value: unknown, headers = service) =>
    Effect.map(post(`${issuer}/introspection`, { token: String(value) }, headers), ({ body }) => body)

  it.effect("tells what is known of a token, and of a bad one nothing", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const { body } = yield* logIn({ scope: "a", resource: "https://api.test/" })
      assert.deepStrictEqual(yield* ask(body["access_token"]), {
        active: true,
        iss: issuer,
        client_id: "app",
        iat: now,
        exp: now + 3600,
        scope: "a",
        sub: "alice",
        username: "alice",
        aud: "https://api.test/",
        token_type: "Bearer"
      })
      assert.notProperty(yield* ask(body["refresh_token"]), "token_type")
      const inactive = { active: false }
      assert.deepStrictEqual(yield* ask("made-up"), inactive)
      yield* refresh(body["refresh_token"])
      assert.deepStrictEqual(yield* ask(body["refresh_token"]), inactive)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* ask(body["access_token"]), inactive)
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("tells a public client of its own tokens only", () =>
    Effect.gen(function*() {
      const own = (yield* logIn()).body["access_token"]
      const other = (yield* credentials).body["access_token"]
      const asApp = (value: unknown) =>
        Effect.map(
          post(`${issuer}/introspection`, { token: String(value), client_id: "app" }),
          ({ body }) => body["active"]
        )
      assert.deepStrictEqual([yield* asApp(own), yield* asApp(other)], [true, false])
      assert.strictEqual((yield* post(`${issuer}/introspection`, { token: "x" })).status, 400)
    }).pipe(Effect.provide(Idp.layer())))
})

it.effect("every endpoint is in the metadata, and answers there", () =>
  Effect.gen(function*() {
    const { body } = yield* get(`${issuer}/.well-known/openid-configuration`)
    const endpoints = Object.entries(body).filter(([name]) => /_(endpoint|uri)$/.test(name))
    assert.strictEqual(endpoints.length, 10)
    for (const [name, url] of endpoints) {
      const { status } = yield* name === "jwks_uri" ? get(String(url)) : post(String(url), {})
      assert.notStrictEqual(status, 404, name)
    }
    const seen = new Set((yield* (yield* VirtualIdentityProvider).journal).map(({ endpoint }) => endpoint))
    assert.isFalse(seen.has("unknown"))
    assert.strictEqual(seen.size, 11)
  }).pipe(Effect.provide(Idp.layer())))

import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import type { Dialect } from "effect-credentials/oauth/Dialect"
import * as IdToken from "effect-credentials/oauth/IdToken"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Duration from "effect/Duration"
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
  const native = { id: "native" }
  const web = { id: "web", auth: Client.basic(Redacted.make(OidcProvider.basicSecret)) }

  const setup = (
    options: Partial<AuthorizationCode.Options> = {},
    provider: OidcProvider.Options = {}
  ) =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make(provider)
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const client = options.client ?? native
      const code = yield* AuthorizationCode.make({ server, client, scopes: ["openid", "read"], ...options })
      const authorize = Effect.gen(function*() {
        const attempt = yield* code.begin({ redirectUri })
        const callback = new URL(yield* idp.authorize(attempt.url)).searchParams
        return { attempt, callback }
      })
      const login = Effect.gen(function*() {
        const { attempt, callback } = yield* authorize
        return yield* code.exchange(attempt, yield* code.judge(attempt, callback))
      })
      return { authorize, client, code, idp, login, server }
    })

  const clients = [["a public client", native], ["a client with a secret", web]] as const
  for (const [name, client] of clients) {
    it.scopedLive(`${name} logs in, knows who it was, and renews`, () =>
      Effect.gen(function*() {
        const { login, server } = yield* setup({ client })
        const grant = yield* login
        assert.strictEqual(grant.token.type, "Bearer")
        assert.deepStrictEqual(grant.token.scopes, ["openid", "read"])
        assert.strictEqual(Option.getOrThrow(IdToken.ofGrant(grant)).sub, "alice")
        const redeem = yield* RefreshToken.make({ server, client })
        const renewed = yield* redeem(grant)
        assert.isTrue(IdToken.sameUser(grant, renewed))
        assert.notStrictEqual(Redacted.value(renewed.token.value), Redacted.value(grant.token.value))
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }

  it.scopedLive("each login has secrets of its own, and a callback belongs to one of them", () =>
    Effect.gen(function*() {
      const { authorize, code } = yield* setup()
      const first = yield* authorize
      const second = yield* authorize
      assert.notStrictEqual(Redacted.value(first.attempt.state), Redacted.value(second.attempt.state))
      const crossed = yield* Effect.flip(code.judge(first.attempt, second.callback))
      assert.strictEqual(crossed._tag, "Unrelated")
      const stolen = yield* code.judge(second.attempt, second.callback)
      const error = yield* Effect.flip(code.exchange(first.attempt, stolen))
      assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "GrantRejected"])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("a code is spent by its exchange", () =>
    Effect.gen(function*() {
      const { authorize, code } = yield* setup()
      const { attempt, callback } = yield* authorize
      const value = yield* code.judge(attempt, callback)
      yield* code.exchange(attempt, value)
      const error = yield* Effect.flip(code.exchange(attempt, value))
      assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "GrantRejected"])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("an ID token that nobody asked for is thrown away", () =>
    Effect.gen(function*() {
      const { authorize, code, login } = yield* setup({ idToken: "ignore" })
      const { attempt } = yield* authorize
      assert.isUndefined(attempt.nonce)
      assert.isFalse(new URL(attempt.url).searchParams.has("nonce"))
      assert.isUndefined((yield* login).idToken)
      assert.include(code.name, "browser login at 127.0.0.1")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("the login is as recent as was asked for", () =>
    Effect.gen(function*() {
      const { login } = yield* setup({ maxAge: "5 minutes" })
      const claims = Option.getOrThrow(IdToken.ofGrant(yield* login))
      assert.isNumber(claims.auth_time)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("offline access is given where consent is asked for", () =>
    Effect.gen(function*() {
      const { login } = yield* setup({ offlineAccess: true }, {
        configuration: {
          issueRefreshToken: (_context: unknown, _client: unknown, code: { scopes: Set<string> }) =>
            Promise.resolve(code.scopes.has("offline_access"))
        } as never
      })
      const grant = yield* login
      assert.isDefined(grant.refreshToken)
      assert.include(grant.token.scopes, "offline_access")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("the resource is asked for at every step, and kept for renewals", () =>
    Effect.gen(function*() {
      const resource = "https://api.example.com"
      const { login, server } = yield* setup({ resource }, {
        features: {
          resourceIndicators: {
            enabled: true,
            getResourceServerInfo: () => ({
              scope: "read",
              audience: resource,
              accessTokenFormat: "jwt",
              accessTokenTTL: 600
            })
          }
        }
      })
      const grant = yield* login
      assert.strictEqual(grant.extra["resource"], resource)
      const audience = (token: Redacted.Redacted<string>) =>
        JSON.parse(Buffer.from(Redacted.value(token).split(".")[1] ?? "", "base64url").toString()).aud
      assert.strictEqual(audience(grant.token.value), resource)
      const redeem = yield* RefreshToken.make({ server, client: native })
      assert.strictEqual(audience((yield* redeem(grant)).token.value), resource)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("a token that is bound to a key, over nonces that the server demands", () =>
    Effect.gen(function*() {
      const { login, server } = yield* setup({ dpop: true }, {
        features: { dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true } }
      })
      const grant = yield* login
      assert.strictEqual(grant.token.type, "DPoP")
      assert.isDefined(grant.token.proofKey)
      const redeem = yield* RefreshToken.make({ server, client: native, dpop: true })
      const renewed = yield* redeem(grant)
      assert.strictEqual(renewed.token.type, "DPoP")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("a code that is bound to a key is worth nothing without it", () =>
    Effect.gen(function*() {
      const { authorize, code } = yield* setup({ dpop: true }, { features: { dPoP: { enabled: true } } })
      const { attempt, callback } = yield* authorize
      assert.isTrue(new URL(attempt.url).searchParams.has("dpop_jkt"))
      const value = yield* code.judge(attempt, callback)
      const error = yield* Effect.flip(code.exchange({ ...attempt, proofKey: undefined }, value))
      assert.strictEqual(error._tag, "ReauthRequired")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

const endpoints = {
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token",
  authorizationEndpoint: "https://idp.test/authorize?tenant=7&scope=theirs",
  jwksUri: "https://idp.test/keys"
}

const make = (
  options: Partial<AuthorizationCode.Options> = {},
  server: Partial<AuthorizationServer.Options> = {},
  handler: Handler = inTurn(json({ access_token: "granted" })),
  calls: Array<Call> = []
) =>
  Effect.flatMap(
    AuthorizationServer.make({ ...endpoints, ...server }),
    (server) => AuthorizationCode.make({ server, client: { id: "app" }, ...options })
  ).pipe(Effect.provide(serve(handler, calls)))

/** A server that says of itself what the metadata says. */
const discovered = (metadata: Record<string, unknown>, options: Partial<AuthorizationCode.Options> = {}) =>
  AuthorizationServer.discover({ issuer: "https://idp.test" }).pipe(
    Effect.flatMap((server) => AuthorizationCode.make({ server, client: { id: "app" }, ...options })),
    Effect.provide(serve(inTurn(json({
      issuer: "https://idp.test",
      authorization_endpoint: "https://idp.test/authorize",
      token_endpoint: "https://idp.test/token",
      ...metadata
    }))))
  )

const fieldsOf = (code: AuthorizationCode.AuthorizationCode) =>
  Effect.map(code.begin({ redirectUri }), ({ url }) => new URL(url).searchParams)

describe("the address for the browser", () => {
  it.effect("keeps the query of the endpoint, but for what the login decides", () =>
    Effect.gen(function*() {
      const code = yield* make({
        scopes: ["openid", "read"],
        resource: ["https://a.test", "https://b.test"],
        audience: "api",
        maxAge: "90500 millis",
        authorizationParameters: { login_hint: "alice", access_type: "offline" }
      })
      const attempt = yield* code.begin({ redirectUri })
      const { searchParams, ...url } = new URL(attempt.url)
      assert.isTrue(attempt.url.startsWith("https://idp.test/authorize?tenant=7&"), String(url))
      const { code_challenge: challenge, nonce, state, ...rest } = Object.fromEntries(searchParams)
      assert.deepStrictEqual(rest, {
        tenant: "7",
        response_type: "code",
        client_id: "app",
        redirect_uri: redirectUri,
        scope: "openid read",
        resource: "https://b.test",
        audience: "api",
        max_age: "90",
        login_hint: "alice",
        access_type: "offline",
        code_challenge_method: "S256"
      })
      assert.deepStrictEqual(searchParams.getAll("resource"), ["https://a.test", "https://b.test"])
      assert.deepStrictEqual(searchParams.getAll("scope"), ["openid read"])
      assert.strictEqual(state, Redacted.value(attempt.state))
      assert.strictEqual(nonce, attempt.nonce && Redacted.value(attempt.nonce))
      assert.match(challenge ?? "", /^[\w-]{43}$/)
      assert.notInclude(attempt.url, Redacted.value(attempt.codeVerifier))
      assert.isUndefined(attempt.expiresAt)
    }))

  it.effect("has a challenge and a state without OpenID too, and no nonce", () =>
    Effect.gen(function*() {
      const fields = yield* Effect.flatMap(make(), fieldsOf)
      assert.deepStrictEqual([...fields.keys()].sort(), [
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "tenant"
      ])
    }))

  const listed = { scopes_supported: ["openid", "offline_access"] }
  const offline: ReadonlyArray<
    readonly [
      string,
      Record<string, unknown>,
      Partial<AuthorizationCode.Options>,
      scope: string | null,
      prompt: string | null
    ]
  > = [
    ["is asked for where the server lists it", listed, { scopes: ["read"] }, "read offline_access", null],
    ["is not asked for where the server does not list it", {}, { scopes: ["read"] }, "read", null],
    ["is not asked for alone by default", listed, {}, null, null],
    ["is asked for once", listed, { scopes: ["offline_access"] }, "offline_access", null],
    [
      "is not asked for against the caller's will",
      listed,
      { scopes: ["a"], offlineAccess: false },
      "a",
      null
    ],
    ["is asked for at the caller's will", {}, { offlineAccess: true }, "offline_access", "consent"],
    [
      "comes with consent in an OpenID login",
      {},
      { scopes: ["openid"], offlineAccess: true },
      "openid offline_access",
      "consent"
    ],
    [
      "leaves a prompt as it is",
      listed,
      { scopes: ["openid"], offlineAccess: true, authorizationParameters: { prompt: "login" } },
      "openid offline_access",
      "login"
    ],
    [
      "leaves an empty prompt out",
      listed,
      { scopes: ["openid"], offlineAccess: true, authorizationParameters: { prompt: "" } },
      "openid offline_access",
      null
    ]
  ]
  for (const [name, metadata, options, scope, prompt] of offline) {
    it.effect(`offline access ${name}`, () =>
      Effect.gen(function*() {
        const fields = yield* Effect.flatMap(discovered(metadata, options), fieldsOf)
        assert.deepStrictEqual([fields.get("scope"), fields.get("prompt")], [scope, prompt])
      }))
  }

  const redirects: ReadonlyArray<readonly [string, boolean]> = [
    ["http://127.0.0.1:8080/callback", true],
    ["http://[::1]:8080/callback", true],
    ["https://app.example.com/callback?a=b", true],
    ["com.example.app:/callback", true],
    ["http://app.example.com/callback", false],
    ["https://user:word@app.example.com/", false],
    ["https://app.example.com/#here", false],
    ["javascript:alert(1)", false],
    ["/callback", false],
    ["", false],
    [`https://app.example.com/${"x".repeat(3_000)}`, false]
  ]
  for (const [address, isFit] of redirects) {
    it.effect(`${address.slice(0, 40)} is ${isFit ? "" : "not "}where a code can come back to`, () =>
      Effect.gen(function*() {
        const code = yield* make()
        const exit = yield* Effect.either(code.begin({ redirectUri: address }))
        assert.strictEqual(exit._tag, isFit ? "Right" : "Left")
        if (exit._tag === "Left") {
          assert.deepStrictEqual([exit.left._tag, exit.left.reason], ["Misconfigured", "InvalidOption"])
        }
      }))
  }

  const own = [
    "state",
    "nonce",
    "response_mode",
    "max_age",
    "dpop_jkt",
    "request",
    "request_uri",
    "code_challenge"
  ]
  for (const name of own) {
    it.effect(`${name} is not left to further parameters`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(make({ authorizationParameters: { [name]: "x" } }))
        assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidOption"])
        assert.include(error.detail, name)
      }))
  }

  it.effect("maxAge without an ID token is refused", () =>
    Effect.gen(function*() {
      for (const options of [{}, { scopes: ["read"] }, { scopes: ["openid"], idToken: "ignore" as const }]) {
        const error = yield* Effect.flip(make({ ...options, maxAge: "1 hour" }))
        assert.strictEqual(error.reason, "InvalidOption")
      }
      yield* make({ idToken: "verify", maxAge: "1 hour" })
      yield* make({ maxAge: Duration.infinity })
    }))

  it.effect("a server without an authorization endpoint can't be logged in to", () =>
    Effect.gen(function*() {
      const code = yield* make({}, { authorizationEndpoint: undefined })
      const error = yield* Effect.flip(code.begin({ redirectUri }))
      assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "UnsupportedGrant"])
      const insecure = yield* Effect.flip(
        Effect.flatMap(discovered({ authorization_endpoint: "http://idp.test/authorize" }), fieldsOf)
      )
      assert.deepStrictEqual([insecure._tag, insecure.reason], ["Misconfigured", "InsecureUrl"])
    }))
})

describe("the exchange", () => {
  const exchange = (handler: Handler, options: Partial<AuthorizationCode.Options> = {}) =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const code = yield* make(options, {}, handler, calls)
      const attempt = yield* code.begin({ redirectUri })
      const result = yield* Effect.either(code.exchange(attempt, { value: Redacted.make("c-1") }))
      return { attempt, calls, result }
    })

  it.effect("sends what the login was begun with", () =>
    Effect.gen(function*() {
      const { attempt, calls, result } = yield* exchange(
        inTurn(json({ access_token: "granted", expires_in: 60 })),
        {
          resource: "https://a.test",
          parameters: { vendor: "x" }
        }
      )
      assert.strictEqual(result._tag, "Right")
      assert.deepStrictEqual(Object.fromEntries(calls[0]?.form ?? []), {
        grant_type: "authorization_code",
        code: "c-1",
        redirect_uri: redirectUri,
        code_verifier: Redacted.value(attempt.codeVerifier),
        client_id: "app",
        resource: "https://a.test",
        vendor: "x"
      })
      if (result._tag === "Right") assert.strictEqual(result.right.extra["resource"], "https://a.test")
    }))

  const targets: ReadonlyArray<readonly [string, Dialect | undefined, Record<string, string>]> = [
    ["by the standard", undefined, { resource: "https://a.test" }],
    ["as an audience", { target: "audience" }, { audience: "https://a.test" }],
    ["by its scopes alone", { target: "none" }, {}]
  ]
  for (const [name, dialect, expected] of targets) {
    it.effect(`tells who the token is for, to a server that wants it ${name}`, () =>
      Effect.gen(function*() {
        const audience = dialect === undefined ? "api" : undefined
        const options = { dialect, resource: "https://a.test", audience }
        const { attempt, calls, result } = yield* exchange(inTurn(json({ access_token: "granted" })), options)
        const named = (fields: URLSearchParams | undefined) =>
          Object.fromEntries([...fields ?? []].filter(([name]) => name === "resource" || name === "audience"))
        assert.deepStrictEqual(named(calls[0]?.form), expected)
        const inBrowser = audience === undefined ? expected : { ...expected, audience }
        assert.deepStrictEqual(named(new URL(attempt.url).searchParams), inBrowser)
        if (result._tag === "Left") throw result.left
        assert.strictEqual(result.right.extra["resource"], "https://a.test")
        assert.strictEqual(result.right.extra["audience"], audience)
      }))
  }

  it.effect("sends the state along to a server that wants it", () =>
    Effect.gen(function*() {
      const answer = inTurn(json({ access_token: "granted" }))
      const { attempt, calls } = yield* exchange(answer, { dialect: { redeemsState: true } })
      assert.strictEqual(calls[0]?.form.get("state"), Redacted.value(attempt.state))
    }))

  const failures: ReadonlyArray<readonly [string, Handler, string, string]> = [
    [
      "a spent code",
      inTurn(json({ error: "invalid_grant" }, { status: 400 })),
      "ReauthRequired",
      "GrantRejected"
    ],
    ["an outage", inTurn(json({}, { status: 503 })), "TransientFailure", "ServerError"],
    ["a lost answer", inTurn(() => "dropped"), "TransientFailure", "ReplyLost"],
    ["a page", inTurn(() => new Response("<html>")), "TransientFailure", "MalformedAnswer"],
    ["a redirect", inTurn(() => new Response(null, { status: 302 })), "TransientFailure", "MalformedAnswer"]
  ]
  for (const [name, handler, tag, reason] of failures) {
    it.effect(`fails with a type: ${name}`, () =>
      Effect.gen(function*() {
        const { calls, result } = yield* exchange(handler)
        assert.strictEqual(calls.length, 1)
        assert.strictEqual(result._tag, "Left")
        if (result._tag === "Left") {
          assert.deepStrictEqual([result.left._tag, result.left.reason], [tag, reason])
        }
      }))
  }

  it.effect("an ID token that was not asked for is neither read nor kept", () =>
    Effect.gen(function*() {
      const { result } = yield* exchange(inTurn(json({ access_token: "granted", id_token: "not.a.token" })))
      assert.strictEqual(result._tag, "Right")
      if (result._tag === "Right") assert.isUndefined(result.right.idToken)
    }))

  it.effect("no ID token where one was asked for fails the login", () =>
    Effect.gen(function*() {
      const answers = inTurn(json({ keys: [] }), json({ access_token: "granted" }))
      const { result } = yield* exchange(answers, { scopes: ["openid"] })
      assert.strictEqual(result._tag, "Left")
      if (result._tag === "Left") assert.strictEqual(result.left._tag, "Misconfigured")
    }))

  it.effect("can be interrupted while it waits, and ends by itself within its time limit", () =>
    Effect.gen(function*() {
      const code = yield* make({}, {}, () => Effect.never)
      const attempt = yield* code.begin({ redirectUri })
      const waiting = yield* Effect.fork(code.exchange(attempt, { value: Redacted.make("c-1") }))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.interrupt(waiting))._tag, "Failure")
      const slow = yield* Effect.fork(Effect.flip(code.exchange(attempt, { value: Redacted.make("c-1") })))
      yield* TestClock.adjust(code.exchangeTimeLimit)
      const error = yield* Fiber.join(slow)
      assert.deepStrictEqual([error._tag, error.reason], ["TransientFailure", "Timeout"])
      assert.isAbove(Duration.toSeconds(code.exchangeTimeLimit), 30)
    }))
})

// One script of plain HTTP calls, run against the virtual provider and against a certified one: same
// statuses, same OAuth error codes, but for the differences that are listed here with their reasons.
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import { assert, describe, it } from "@effect/vitest"
import * as Idp from "effect-credentials/testing/VirtualIdentityProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Jose from "jose"
import type { Got } from "./calls.js"
import { basic, deviceGrant, get, post } from "./calls.js"
import type { Judged, Verdict } from "./contractKit.js"
import { arrived, judging } from "./contractKit.js"
import * as Logins from "./contractLogins.js"
import * as RealProvider from "./realProvider.js"

/** What the real one answers where it is not the same, and why it is not. */
const differences: Readonly<Record<string, { readonly real: Verdict; readonly reason: string }>> = Object
  .fromEntries(
    [
      {
        real: ["a grant that the client may not use", 400, "invalid_request"] as const,
        reason: "RFC 6749 §5.2 calls it unauthorized_client, as most servers do"
      },
      {
        real: ["a poll right after the first", 400, "authorization_pending"] as const,
        reason: "the real one never says slow_down, though RFC 8628 §3.5 lets it"
      },
      {
        real: ["a pushed request of another client", 400, "invalid_request_object"] as const,
        reason: "RFC 9101 §7 has invalid_request_uri for an address that leads to nothing of use"
      },
      {
        real: ["a pushed request for a pushed request", 400, "request_uri_not_supported"] as const,
        reason: "RFC 9126 §2.1 refuses it without a name, and invalid_request is the general one"
      },
      {
        real: ["userinfo without a proof", 400, "invalid_request"] as const,
        reason: "RFC 9449 §7.1 answers with a challenge"
      },
      {
        real: ["userinfo with a proof again", 401, "invalid_token"] as const,
        reason: "RFC 9449 §7.1 blames the proof"
      },
      {
        real: ["a proof again", 400, "invalid_grant"] as const,
        reason: "RFC 9449 §5 blames the proof"
      },
      {
        real: ["no proof of a client that needs one", 400, "invalid_grant"] as const,
        reason: "RFC 9449 §5 blames the proof, as most servers do"
      }
    ].map((difference) => [difference.real[0], difference])
  )

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const script = Effect.fnUntraced(function*(on: Judged) {
  const verdicts: Array<Verdict> = []
  const judge = judging(verdicts)
  const token = (fields: Record<string, string>, headers: Record<string, string> = {}) =>
    post(`${on.issuer}/token`, fields, headers)
  const own = { grant_type: "client_credentials" }
  const secret = basic("service", "service-secret")

  yield* judge("client credentials, basic", token(own, secret))
  yield* judge(
    "client credentials, post",
    token({ ...own, client_id: "service", client_secret: "service-secret" })
  )
  yield* judge("a wrong secret", token(own, basic("service", "wrong")))
  yield* judge("a wrong secret in the form", token({ ...own, client_id: "service", client_secret: "wrong" }))
  yield* judge("no secret", token({ ...own, client_id: "service" }))
  yield* judge("a secret of a public client", token({ ...own, client_id: "app", client_secret: "x" }))
  yield* judge("an unknown client", token(own, basic("nobody", "x")))
  yield* judge("no client", token(own))
  yield* judge("two ways of authentication", token({ ...own, client_secret: "service-secret" }, secret))
  yield* judge("two client ids", token({ ...own, client_id: "app" }, secret))
  yield* judge("a broken header", token(own, { authorization: "Basic" }))
  yield* judge("an unknown grant type", token({ grant_type: "made_up" }, secret))
  yield* judge("no grant type", token({}, secret))
  yield* judge("a grant that the client may not use", token({ ...own, client_id: "app" }))
  yield* judge("GET of the token endpoint", get(`${on.issuer}/token`))
  yield* judge("an unknown path", get(`${on.issuer}/made-up`))

  const claims = { iss: "signer", sub: "signer", aud: on.issuer, jti: "1", exp: (yield* on.now) + 60 }
  const signed = (claims: Jose.JWTPayload) =>
    Effect.flatMap(
      Effect.promise(() => new Jose.SignJWT(claims).setProtectedHeader({ alg: "ES256" }).sign(on.privateKey)),
      (assertion) => token({ ...own, client_assertion: assertion, client_assertion_type: assertionType })
    )
  yield* judge("a signed assertion", signed(claims))
  yield* judge("the same assertion again", signed(claims))
  yield* judge("an expired assertion", signed({ ...claims, jti: "2", exp: (yield* on.now) - 60 }))
  yield* judge("an assertion for somebody else", signed({ ...claims, jti: "3", aud: "https://other.test" }))
  yield* judge("an assertion by somebody else", signed({ ...claims, jti: "4", iss: "app" }))
  yield* judge("an assertion without jti", signed({ ...claims, jti: undefined as never }))
  yield* judge("an assertion from the future", signed({ ...claims, jti: "5", nbf: (yield* on.now) + 60 }))
  yield* judge("an assertion of an unknown client", signed({ ...claims, jti: "6", iss: "x", sub: "x" }))
  yield* judge(
    "an assertion that is none",
    token({ ...own, client_assertion: "x", client_assertion_type: assertionType })
  )

  const startLogin = (client: string) =>
    post(on.device, { client_id: client, scope: "openid offline_access" })
  const poll = (code: unknown, client = "app") =>
    token({ grant_type: deviceGrant, device_code: String(code), client_id: client })
  const text = (got: Got, name: string) => String(got.body[name])
  const logIn = Effect.gen(function*() {
    const started = yield* startLogin("app")
    yield* on.decide(text(started, "user_code"), "Approve")
    const done = yield* poll(started.body["device_code"])
    return { ...done, code: started.body["device_code"] }
  })
  yield* judge("a login by an unknown client", startLogin("nobody"))
  const started = yield* judge("a login", startLogin("app"))
  yield* judge("the first poll", poll(started.body["device_code"]))
  yield* judge("a poll right after the first", poll(started.body["device_code"]))
  yield* judge("a poll by another client", poll(started.body["device_code"], "other"))
  yield* judge("a poll with a made-up code", poll("made-up"))
  yield* judge("a poll without a code", token({ grant_type: deviceGrant, client_id: "app" }))
  yield* on.decide(text(started, "user_code"), "Approve")
  const first = yield* judge("a poll after the approval", poll(started.body["device_code"]))
  yield* judge("a poll after the tokens", poll(started.body["device_code"]))
  const refresh = (value: unknown, more: Record<string, string> = {}) =>
    token({ grant_type: "refresh_token", refresh_token: String(value), client_id: "app", ...more })
  yield* judge("a refresh after the code was used twice", refresh(first.body["refresh_token"]))

  const denied = yield* startLogin("app")
  yield* on.decide(text(denied, "user_code"), "Deny")
  yield* judge("a poll after the denial", poll(denied.body["device_code"]))
  yield* judge("another poll after the denial", poll(denied.body["device_code"]))

  const resource = (access: unknown) => get(on.resource, { authorization: `Bearer ${String(access)}` })
  const login = yield* logIn
  const bystander = yield* logIn
  yield* judge("the resource", resource(login.body["access_token"]))
  yield* judge("the resource with a made-up token", resource("made-up"))
  yield* judge("a refresh by another client", refresh(login.body["refresh_token"], { client_id: "other" }))
  yield* judge("a refresh with more scopes", refresh(login.body["refresh_token"], { scope: "openid email" }))
  const second = yield* judge("a refresh", refresh(login.body["refresh_token"]))
  assert.notStrictEqual(second.body["refresh_token"], login.body["refresh_token"])
  yield* judge("the resource with the new token", resource(second.body["access_token"]))
  yield* judge("a used refresh token", refresh(login.body["refresh_token"]))
  yield* judge("its successor", refresh(second.body["refresh_token"]))
  yield* judge("the resource with the revoked token", resource(second.body["access_token"]))
  yield* judge("the resource with another login's token", resource(bystander.body["access_token"]))
  yield* judge("a made-up refresh token", refresh("made-up"))
  yield* judge("no refresh token", token({ grant_type: "refresh_token", client_id: "app" }))

  const revoke = (value: unknown, client = "app") =>
    post(on.revocation, { token: String(value), client_id: client })
  yield* judge("revocation of a made-up token", revoke("made-up"))
  yield* judge("revocation", revoke(bystander.body["refresh_token"]))
  yield* judge("a revoked refresh token", refresh(bystander.body["refresh_token"]))
  yield* judge("the resource after the revocation", resource(bystander.body["access_token"]))

  const brief = yield* startLogin("brief")
  yield* on.expire
  yield* judge("a poll too late", poll(brief.body["device_code"], "brief"))
  return { verdicts }
})

type Script<A> = (on: Judged) => Effect.Effect<
  A,
  HttpClientError.HttpClientError | RealProvider.LoginFailed,
  HttpClient.HttpClient
>

interface Keys {
  readonly publicKey: Jose.JWK
  readonly privateKey: Jose.CryptoKey
}

const onReal = <A>(script: Script<A>, { privateKey, publicKey }: Keys, nonces: boolean) =>
  Effect.gen(function*() {
    const { authorize, decide, issuer } = yield* RealProvider.start(publicKey, { nonces })
    return yield* script({
      issuer,
      decide,
      privateKey,
      device: `${issuer}/device/auth`,
      revocation: `${issuer}/token/revocation`,
      resource: `${issuer}/me`,
      par: `${issuer}/request`,
      introspection: `${issuer}/token/introspection`,
      registration: `${issuer}/reg`,
      authorization: `${issuer}/auth`,
      logout: `${issuer}/session/end`,
      browse: (url, verdict = "Approve") =>
        Effect.map(authorize(url, verdict), (arrival) =>
          "location" in arrival
            ? arrived(arrival.location)
            : { status: arrival.status, headers: {}, body: { error: arrival.error } }),
      expire: Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2100))),
      now: Effect.sync(() => Math.floor(Date.now() / 1000))
    })
  }).pipe(Effect.provide(FetchHttpClient.layer))

const onVirtual = <A>(script: Script<A>, { privateKey, publicKey }: Keys, nonces: boolean) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(1_800_000_000_000)
    const browser = {
      grants: ["authorization_code", "refresh_token"],
      redirectUris: ["http://127.0.0.1/callback", "https://app.test/callback"],
      postLogoutRedirectUris: ["http://127.0.0.1/logged-out"]
    }
    const device = { grants: [deviceGrant, "refresh_token"], redirectUris: [] }
    const idp = yield* Idp.make({
      dpop: { nonces },
      resources: [{ url: RealProvider.apiResource }],
      clients: [
        { ...browser, id: "native" },
        { ...browser, id: "pusher", requirePushedRequests: true },
        { ...browser, id: "bound", requireDpop: true },
        { ...device, id: "app" },
        { ...device, id: "other" },
        { ...device, id: "brief" },
        {
          id: "hashed",
          secret: Redacted.make("a-secret-of-32-characters-at-least"),
          methods: ["client_secret_jwt"]
        },
        { id: "service", secret: Redacted.make("service-secret"), grants: ["client_credentials"] },
        { id: "signer", publicKey }
      ]
    })
    const { issuer } = idp
    return yield* script({
      issuer,
      privateKey,
      device: `${issuer}/device_authorization`,
      revocation: `${issuer}/revocation`,
      resource: `${issuer}/userinfo`,
      par: `${issuer}/par`,
      introspection: `${issuer}/introspection`,
      registration: `${issuer}/registration`,
      authorization: `${issuer}/authorize`,
      logout: `${issuer}/end_session`,
      browse: (url, verdict) =>
        Effect.match(idp.authorize(url, verdict), {
          onSuccess: arrived,
          onFailure: ({ error, status = 0 }): Got => ({ status, headers: {}, body: { error } })
        }),
      decide: (userCode, verdict) => verdict === "Approve" ? idp.approve(userCode) : idp.deny(userCode),
      expire: TestClock.adjust("10 minutes"),
      now: Effect.succeed(1_800_000_000)
    }).pipe(Effect.provideService(HttpClient.HttpClient, idp.client))
  })

const makeKeys = Effect.promise(async (): Promise<Keys> => {
  const { privateKey, publicKey } = await Jose.generateKeyPair("ES256", { extractable: true })
  return { privateKey, publicKey: await Jose.exportJWK(publicKey) }
})

const scripts: ReadonlyArray<readonly [string, Script<Outcome>, steps: number, nonces: boolean]> = [
  ["grants and devices", script, 50, false],
  ["logins in a browser", Logins.script, 80, false],
  ["proofs of possession", Logins.proofs, 25, false],
  ["nonces", Logins.nonces, 7, true]
]

interface Outcome {
  readonly verdicts: ReadonlyArray<Verdict>
  readonly seen?: ReadonlyArray<unknown>
}

describe("contract: the virtual provider answers as a real one", () => {
  for (const [name, script, steps, nonces] of scripts) {
    it.scoped(name, () =>
      Effect.gen(function*() {
        const keys = yield* makeKeys
        const real = yield* onReal(script, keys, nonces)
        const virtual = yield* onVirtual(script, keys, nonces)
        const expected = virtual.verdicts.map(([step, status, error]): Verdict =>
          differences[step]?.real ?? [step, status, error]
        )
        assert.deepStrictEqual(real.verdicts, expected)
        assert.deepStrictEqual(real.seen, virtual.seen)
        const unlike = virtual.verdicts.filter((one, index) => !isSame(one, real.verdicts[index]))
        const listed = virtual.verdicts.filter(([step]) => differences[step] !== undefined)
        assert.deepStrictEqual(unlike, listed)
        assert.isAtLeast(real.verdicts.length, steps)
      }), 60_000)
  }
})

const isSame = (left: Verdict, right: Verdict | undefined): boolean =>
  JSON.stringify(left) === JSON.stringify(right)

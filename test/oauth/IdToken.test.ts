import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as IdToken from "effect-credentials/oauth/IdToken"
import * as Token from "effect-credentials/Token"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import * as OidcProvider from "../support/OidcProvider.js"
import * as Identity from "./identity.js"

/** What a verifier of the server makes of the text. */
const verifier = (script: Identity.Script = {}, options: Partial<IdToken.Options> = {}) =>
  Effect.gen(function*() {
    const served = yield* Identity.make(script)
    const made = yield* Effect.provide(
      IdToken.make({ server: served.server, client: { id: Identity.clientId }, ...options }),
      served.layer
    )
    const verify = (text: Promise<string> | string, checks?: IdToken.Checks) =>
      Effect.flatMap(
        Effect.promise(() => Promise.resolve(text)),
        (text) => made.verify(Redacted.make(text), checks)
      )
    return { ...served, ...made, verify }
  })

const { claims, evil, next, own, rsa, sign, unsigned, withSecret } = Identity

const nonce = Redacted.make("n-1")

describe("claims that hold", () => {
  it.effect("are given, with what they say of the person", () =>
    Effect.gen(function*() {
      const { verify } = yield* verifier()
      const said = claims({
        nonce: "n-1",
        auth_time: 0,
        acr: "strong",
        amr: ["pwd", "otp"],
        sid: "s-1",
        name: "Alice",
        email: "alice@idp.test",
        email_verified: "true",
        locale: 7,
        groups: ["a", "b"]
      })
      const found = yield* verify(sign(said), { nonce, maxAge: "1 minute", subject: "alice" })
      assert.deepInclude(found, {
        iss: Identity.issuer,
        sub: "alice",
        aud: ["app"],
        exp: 600,
        iat: 0,
        auth_time: 0,
        acr: "strong",
        amr: ["pwd", "otp"],
        sid: "s-1",
        name: "Alice",
        email: "alice@idp.test",
        email_verified: true,
        locale: undefined,
        raw: said
      })
    }))

  const fine: ReadonlyArray<readonly [string, () => Promise<string>]> = [
    ["signed with RSA", () => sign(claims(), rsa)],
    ["the only key that fits has no name in the header", () => sign(claims(), own, { kid: undefined })],
    ["an audience in a list", () => sign(claims({ aud: ["app"] }))],
    [
      "two audiences, and the client is the authorized party",
      () => sign(claims({ aud: ["app", "api"], azp: "app" }))
    ],
    ["a party that is the client", () => sign(claims({ azp: "app" }))],
    ["expired this very second, which the tolerance covers", () => sign(claims({ exp: 0 }))],
    ["made within the tolerance from now", () => sign(claims({ iat: 29, nbf: 29 }))],
    ["fields that are null", () => sign(claims({ nonce: null, azp: null, auth_time: null }))],
    ["a nonce of a login that is not at hand", () => sign(claims({ nonce: "other" }))]
  ]
  for (const [name, make] of fine) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { verify } = yield* verifier()
        assert.strictEqual((yield* verify(make())).sub, "alice")
      }))
  }

  it.effect("several keys that fit are tried one after the other", () =>
    Effect.gen(function*() {
      const nameless = [evil, next, own].map(({ jwk: { kid: _, ...jwk } }) => jwk)
      const { verify } = yield* verifier({ keys: Identity.keySet(...nameless) })
      assert.strictEqual((yield* verify(sign(claims(), own, { kid: undefined }))).sub, "alice")
      const other = yield* Effect.promise(() => Identity.pair("key-9"))
      const error = yield* Effect.flip(verify(sign(claims(), other, { kid: undefined })))
      assert.strictEqual(error.reason, "Signature")
    }))
})

describe("an ID token that is not to be believed", () => {
  const now = 1_000_000
  const body = (fields: Record<string, unknown> = {}) =>
    claims({ nonce: "n-1", iat: now, exp: now + 600, ...fields })
  const pem = () => new TextEncoder().encode(JSON.stringify(own.jwk))

  const cases: ReadonlyArray<
    readonly [string, () => Promise<string> | string, IdToken.IdTokenRejected["reason"], IdToken.Checks?]
  > = [
    ["another issuer", () => sign(body({ iss: "https://evil.test" })), "Issuer"],
    ["the issuer but for a slash", () => sign(body({ iss: "https://idp.test/" })), "Issuer"],
    ["another audience", () => sign(body({ aud: "other" })), "Audience"],
    ["other audiences", () => sign(body({ aud: ["a", "b"] })), "Audience"],
    ["two audiences and nobody authorized", () => sign(body({ aud: ["app", "api"] })), "Audience"],
    [
      "two audiences and somebody else authorized",
      () => sign(body({ aud: ["app", "b"], azp: "b" })),
      "Audience"
    ],
    ["one audience and somebody else authorized", () => sign(body({ azp: "b" })), "Audience"],
    ["no audience", () => sign(body({ aud: [] })), "Malformed"],
    ["an old nonce", () => sign(body({ nonce: "n-0" })), "Nonce", { nonce }],
    ["no nonce", () => sign(body({ nonce: undefined })), "Nonce", { nonce }],
    ["a nonce that is a list", () => sign(body({ nonce: ["n-1"] })), "Malformed", { nonce }],
    ["expired just beyond the tolerance", () => sign(body({ exp: now - 30 })), "Expired"],
    ["never expires", () => sign(body({ exp: undefined })), "Malformed"],
    ["expires as text", () => sign(body({ exp: "never" })), "Malformed"],
    ["made in the future", () => sign(body({ iat: now + 31 })), "NotYetValid"],
    ["good from the future on", () => sign(body({ nbf: now + 31 })), "NotYetValid"],
    ["nobody knows when it was made", () => sign(body({ iat: undefined })), "Malformed"],
    ["a login too long ago", () => sign(body({ auth_time: now - 91 })), "LoginTooOld", {
      maxAge: "1 minute"
    }],
    ["a login nobody knows when", () => sign(body()), "LoginTooOld", { maxAge: "1 minute" }],
    ["somebody else", () => sign(body()), "Subject", { subject: "bob" }],
    ["nobody", () => sign(body({ sub: "" })), "Malformed"],
    ["a number", () => sign(body({ sub: 7 })), "Malformed"],
    ["no signature at all", () => unsigned(body(), { alg: "none" }), "Algorithm"],
    ["no signature, in other letters", () => unsigned(body(), { alg: "nOnE" }), "Algorithm"],
    ["no algorithm", () => unsigned(body(), { kid: "key-1" }), "Algorithm"],
    ["signed with the client's secret", () => withSecret(body(), new Uint8Array(32)), "Algorithm"],
    ["signed with the text of the public key", () => withSecret(body(), pem()), "Algorithm"],
    ["signed with somebody else's key of the same name", () => sign(body(), evil), "Signature"],
    ["signed with somebody else's key of another name", () => sign(body(), next), "UnknownKey"],
    ["a key of another kind", () => sign(body(), own, { kid: "key-rsa" }), "UnknownKey"],
    ["brings its own key", () => sign(body(), evil, { kid: undefined, jwk: evil.jwk }), "Signature"],
    ["changed afterwards", () => sign(body()).then((text) => changed(text)), "Signature"],
    [
      "demands what nobody understands",
      () => unsigned(body(), { alg: "ES256", kid: "key-1", crit: ["x"], x: 1 }, "AA"),
      "Malformed"
    ],
    ["encrypted", () => "a.b.c.d.e", "Malformed"],
    ["no token", () => "evil", "Malformed"],
    ["empty", () => "", "Malformed"],
    ["dots", () => "..", "Malformed"],
    ["a signed list", () => sign([] as never), "Malformed"],
    ["huge", () => sign(body({ padding: "x".repeat(70_000) })), "Malformed"]
  ]
  for (const [name, make, reason, checks] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now * 1000)
        const { verify } = yield* verifier()
        const error = yield* Effect.flip(verify(make(), checks))
        assert.deepStrictEqual([error._tag, error.reason], ["IdTokenRejected", reason])
        assert.notMatch(`${error.message} ${JSON.stringify(error)}`, /evil|alice|n-[01]/)
      }))
  }

  it.effect("a kind of signature that the server did not announce", () =>
    Effect.gen(function*() {
      const { verify } = yield* verifier({
        metadata: { id_token_signing_alg_values_supported: ["RS256", "HS256"] }
      })
      assert.strictEqual((yield* verify(sign(claims(), rsa))).sub, "alice")
      assert.strictEqual((yield* Effect.flip(verify(sign(claims())))).reason, "Algorithm")
      const secret = withSecret(claims(), new Uint8Array(32))
      assert.strictEqual((yield* Effect.flip(verify(secret))).reason, "Algorithm")
    }))

  it.effect("means that the set-up is wrong, or that another login may help", () =>
    Effect.gen(function*() {
      const { verify } = yield* verifier()
      const meaning = (text: Promise<string>) =>
        Effect.map(Effect.flip(verify(text)), (error) => {
          const { _tag, reason } = error._tag === "IdTokenRejected" ? IdToken.toGrantError(error) : error
          return [_tag, reason]
        })
      assert.deepStrictEqual(yield* meaning(sign(claims({ iss: "x" }))), ["Misconfigured", "IssuerMismatch"])
      assert.deepStrictEqual(yield* meaning(sign(claims({ aud: "x" }))), ["Misconfigured", "InvalidOption"])
      assert.deepStrictEqual(yield* meaning(sign(claims({ exp: -60 }))), ["ReauthRequired", "GrantRejected"])
      assert.deepStrictEqual(yield* meaning(sign(claims(), evil)), ["ReauthRequired", "GrantRejected"])
    }))

  it.effect("is judged by the server's clock, as far as it is known", () =>
    Effect.gen(function*() {
      const { server, verify } = yield* verifier()
      const ahead = sign(claims({ iat: 3_600, exp: 4_200 }))
      assert.strictEqual((yield* Effect.flip(verify(ahead))).reason, "NotYetValid")
      yield* Ref.set(server.clockOffset, 3_600_000)
      assert.strictEqual((yield* verify(ahead)).sub, "alice")
    }))
})

/** A client whose requests hang as long as that is so. */
const stuckWhile = (isStuck: () => boolean, layer: Layer.Layer<HttpClient.HttpClient>) =>
  Layer.map(layer, (context) =>
    Context.make(
      HttpClient.HttpClient,
      HttpClient.transform(
        Context.get(context, HttpClient.HttpClient),
        (response) => Effect.suspend(() => isStuck() ? Effect.never : response)
      )
    ))

/** What a fiber ends with that waits for the clock, after promises that don't. */
const settled = <A, E>(fiber: Fiber.RuntimeFiber<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() =>
    fiber.unsafePoll() === null
      ? Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5))).pipe(
        Effect.zipRight(TestClock.adjust("500 millis")),
        Effect.zipRight(settled(fiber))
      )
      : Fiber.join(fiber)
  )

const changed = (text: string): string => {
  const [header = "", , signature = ""] = text.split(".")
  const payload = Buffer.from(JSON.stringify(claims({ sub: "mallory", exp: 2_000_000 }))).toString(
    "base64url"
  )
  return [header, payload, signature].join(".")
}

describe("the keys", () => {
  it.effect("are fetched when first needed, once for all who ask, and kept with the server", () =>
    Effect.gen(function*() {
      const { fetches, layer, server, verify } = yield* verifier()
      assert.strictEqual(fetches(), 0)
      const text = yield* Effect.promise(() => sign(claims({ exp: 60 * 60 * 24 })))
      yield* Effect.all(Array.from({ length: 20 }, () => verify(text)), { concurrency: "unbounded" })
      assert.strictEqual(fetches(), 1)
      const second = yield* Effect.provide(IdToken.make({ server, client: { id: "app" } }), layer)
      yield* second.verify(Redacted.make(text))
      assert.strictEqual(fetches(), 1)
      yield* TestClock.adjust("1 hour")
      yield* verify(text)
      assert.strictEqual(fetches(), 2)
    }))

  it.effect("are fetched again for one that is unknown, but not in a storm", () =>
    Effect.gen(function*() {
      const keys = (index: number) => Identity.keySet(own.jwk, ...(index === 0 ? [] : [next.jwk]))()
      const { fetches, verify } = yield* verifier({ keys })
      const rotated = yield* Effect.promise(() => sign(claims(), next))
      const forged = yield* Effect.promise(() => sign(claims(), evil, { kid: "made-up" }))
      yield* verify(sign(claims()))
      assert.strictEqual((yield* Effect.flip(verify(rotated))).reason, "UnknownKey")
      assert.strictEqual(fetches(), 1)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* verify(rotated)).sub, "alice")
      assert.strictEqual(fetches(), 2)
      const many = Array.from({ length: 50 }, () => Effect.flip(verify(forged)))
      const errors = yield* Effect.all(many, { concurrency: "unbounded" })
      assert.isTrue(errors.every(({ reason }) => reason === "UnknownKey"))
      assert.strictEqual(fetches(), 2)
      yield* TestClock.adjust("30 seconds")
      yield* Effect.all(many, { concurrency: "unbounded" })
      assert.strictEqual(fetches(), 3)
    }))

  it.effect("a server that fails them is not asked without end", () =>
    Effect.gen(function*() {
      const { fetches, verify } = yield* verifier({ keys: () => new Response("", { status: 503 }) })
      const text = yield* Effect.promise(() => sign(claims()))
      const many = yield* Effect.fork(
        Effect.all(Array.from({ length: 20 }, () => Effect.flip(verify(text))), { concurrency: "unbounded" })
      )
      const errors = yield* settled(many)
      assert.isTrue(errors.every(({ reason }) => reason === "ServerError"))
      assert.strictEqual(fetches(), 2)
    }))

  it.effect("a server that never answers is waited for once by all, and within the time limit", () =>
    Effect.gen(function*() {
      const { fetches, timeLimit, verify } = yield* verifier({ keys: () => "hangs" })
      const text = yield* Effect.promise(() => sign(claims()))
      const many = yield* Effect.fork(
        Effect.all(Array.from({ length: 20 }, () => Effect.flip(verify(text))), { concurrency: "unbounded" })
      )
      const errors = yield* settled(many)
      assert.isTrue(errors.every(({ reason }) => reason === "Timeout"))
      assert.strictEqual(fetches(), 2)
      assert.isAtMost(yield* Clock.currentTimeMillis, Duration.toMillis(timeLimit))
    }))

  it.effect("are not taken from long ago, when nobody can say whether they still count", () =>
    Effect.gen(function*() {
      const keys = (index: number) => index === 0 ? Identity.keySet(own.jwk)() : "dropped" as const
      const { verify } = yield* verifier({ keys })
      const text = yield* Effect.promise(() => sign(claims({ exp: 60 * 60 * 48 })))
      yield* verify(text)
      yield* TestClock.adjust("23 hours")
      assert.strictEqual((yield* settled(yield* Effect.fork(verify(text)))).sub, "alice")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* settled(yield* Effect.fork(Effect.flip(verify(text))))).reason, "Network")
    }))

  it.effect("a blip is survived, and known keys survive an outage", () =>
    Effect.gen(function*() {
      const keys = (index: number) => index === 1 ? Identity.keySet(own.jwk)() : "dropped" as const
      const { fetches, verify } = yield* verifier({ keys })
      const text = yield* Effect.promise(() => sign(claims({ exp: 60 * 60 * 24 })))
      const first = yield* Effect.fork(verify(text))
      assert.strictEqual((yield* settled(first)).sub, "alice")
      yield* TestClock.adjust("2 hours")
      const later = yield* Effect.fork(verify(text))
      assert.strictEqual((yield* settled(later)).sub, "alice")
      assert.strictEqual(fetches(), 4)
    }))

  const useless: ReadonlyArray<readonly [string, () => Response, string]> = [
    ["a page", () => new Response("<html>"), "MalformedAnswer"],
    ["nothing", () => new Response(null, { status: 204 }), "MalformedAnswer"],
    ["no list", () => Response.json({ keys: "evil" }), "MalformedAnswer"],
    ["not found", () => new Response("", { status: 404 }), "MalformedAnswer"],
    [
      "a redirect",
      () => new Response(null, { status: 302, headers: { location: "https://evil.test/keys" } }),
      "MalformedAnswer"
    ],
    ["a huge list", () => new Response(`{"keys":[${"{},".repeat(200_000)}{}]}`), "MalformedAnswer"],
    [
      "a list of anything",
      () => Response.json({ keys: [null, 1, "x", [], {}, { kty: "EC" }] }),
      "UnknownKey"
    ],
    [
      "broken keys",
      () => Response.json({ keys: [{ kty: "EC", crv: "P-256", kid: "key-1", x: "!", y: "!" }] }),
      "UnknownKey"
    ],
    [
      "a shared secret",
      () => Response.json({ keys: [{ kty: "oct", kid: "key-1", k: "c2VjcmV0" }] }),
      "UnknownKey"
    ],
    ["keys to encrypt with", () => Response.json({ keys: [{ ...own.jwk, use: "enc" }] }), "UnknownKey"]
  ]
  for (const [name, answer, reason] of useless) {
    it.effect(`${name} instead of keys`, () =>
      Effect.gen(function*() {
        const { calls, verify } = yield* verifier({ keys: answer })
        const verified = yield* Effect.fork(Effect.flip(verify(sign(claims()))))
        assert.strictEqual((yield* settled(verified)).reason, reason)
        assert.isTrue(calls.every(({ url }) => url.startsWith(Identity.issuer)))
      }))
  }

  it.effect("a shared secret among the keys does not make it count", () =>
    Effect.gen(function*() {
      const secret = new Uint8Array(32).fill(9)
      const shared = { kty: "oct", kid: "key-1", alg: "HS256", k: Buffer.from(secret).toString("base64url") }
      const { verify } = yield* verifier({ keys: Identity.keySet(shared, own.jwk) })
      assert.strictEqual((yield* Effect.flip(verify(withSecret(claims(), secret)))).reason, "Algorithm")
    }))

  it.effect("of a server that has none: only what came from it directly is believed", () =>
    Effect.gen(function*() {
      const { verify } = yield* verifier({ metadata: { jwks_uri: undefined } })
      const text = yield* Effect.promise(() => sign(claims()))
      const error = yield* Effect.flip(verify(text))
      assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidMetadata"])
      assert.strictEqual((yield* verify(text, { direct: true })).sub, "alice")
      const hostile = [unsigned(claims(), { alg: "none" }), withSecret(claims(), new Uint8Array(32))]
      for (const one of hostile) {
        assert.strictEqual((yield* Effect.flip(verify(one, { direct: true }))).reason, "Algorithm")
      }
      const foreign = sign(claims({ aud: "other" }))
      assert.strictEqual((yield* Effect.flip(verify(foreign, { direct: true }))).reason, "Audience")
    }))

  it.effect("verifying is interrupted while it waits for them, and leaves nothing locked", () =>
    Effect.gen(function*() {
      let isStuck = true
      const { layer, server } = yield* Identity.make()
      const stuck = stuckWhile(() => isStuck, layer)
      const { verify } = yield* Effect.provide(IdToken.make({ server, client: { id: "app" } }), stuck)
      const text = Redacted.make(yield* Effect.promise(() => sign(claims())))
      const waiting = yield* Effect.fork(verify(text))
      yield* Effect.yieldNow()
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(waiting)
      isStuck = false
      assert.strictEqual((yield* verify(text)).sub, "alice")
    }))
})

describe("of a grant", () => {
  const grant = (idToken: string | undefined) =>
    Grant.make({
      token: Token.make({ value: Redacted.make("t") }),
      idToken: idToken === undefined ? undefined : Redacted.make(idToken)
    })

  it("says what it says, whenever that was", () => {
    const said = IdToken.ofGrant(grant(unsigned(claims({ exp: 1 }), { alg: "ES256" }, "AA")))
    assert.strictEqual(Option.getOrThrow(said).sub, "alice")
    for (
      const text of [undefined, "", "x", "a.b.c", unsigned([], { alg: "none" }), unsigned({ sub: "x" }, {})]
    ) {
      assert.isTrue(Option.isNone(IdToken.ofGrant(grant(text))), text)
    }
  })

  it("of any text at all says something or nothing", () => {
    const part = FastCheck.oneof(
      FastCheck.base64String(),
      FastCheck.json().map((json) => Buffer.from(json).toString("base64url"))
    )
    FastCheck.assert(FastCheck.property(FastCheck.array(part, { maxLength: 5 }), (parts) => {
      assert.isTrue(Option.isOption(IdToken.ofGrant(grant(parts.join(".")))))
    }))
  })

  it("tells whether a renewed one is of the same person", () => {
    const of = (fields: Record<string, unknown>) => grant(unsigned(claims(fields), { alg: "ES256" }, "AA"))
    assert.isTrue(IdToken.sameUser(of({}), of({ exp: 1_000 })))
    assert.isTrue(IdToken.sameUser(of({}), grant(undefined)))
    assert.isTrue(IdToken.sameUser(grant(undefined), of({})))
    assert.isFalse(IdToken.sameUser(of({}), of({ sub: "bob" })))
    assert.isFalse(IdToken.sameUser(of({}), of({ iss: "https://evil.test" })))
  })
})

describe("with a real provider", () => {
  it.scopedLive("its keys are found, and a text of another provider is not believed", () =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make()
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const { verify } = yield* IdToken.make({ server, client: { id: "app" } })
      const error = yield* Effect.flip(
        verify(Redacted.make(yield* Effect.promise(() => sign(claims(), rsa))))
      )
      assert.strictEqual(error.reason, "UnknownKey")
      assert.strictEqual((yield* Ref.get(server.keys))?.keys.length, 1)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

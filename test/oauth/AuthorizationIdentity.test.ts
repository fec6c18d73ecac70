/** The ID token that comes with the answer to a code: a login that can't be believed fails. */
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as IdToken from "effect-credentials/oauth/IdToken"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Identity from "./identity.js"
import { inTurn, json, serve } from "./kit.js"

const { claims, evil, next, own, sign, unsigned, withSecret } = Identity

type IdTokenOf = (nonce: string) => Promise<string> | string | undefined

/** Logs in to a server that answers the code with this ID token. */
const login = (
  idToken: IdTokenOf,
  options: Partial<AuthorizationCode.Options> = {},
  script: Identity.Script = {}
) =>
  Effect.gen(function*() {
    let nonce = ""
    const answer = async () =>
      Response.json({ access_token: "granted", refresh_token: "r-1", id_token: await idToken(nonce) })
    const { calls, layer, server } = yield* Identity.make({ answer, ...script })
    const code = yield* AuthorizationCode.make({
      server,
      client: { id: Identity.clientId },
      scopes: ["openid"],
      ...options
    }).pipe(Effect.provide(layer))
    const attempt = yield* code.begin({ redirectUri: "http://127.0.0.1/callback" })
    nonce = attempt.nonce === undefined ? "" : Redacted.value(attempt.nonce)
    const result = yield* Effect.either(code.exchange(attempt, { value: Redacted.make("c-1") }))
    return { attempt, calls, result }
  })

describe("a login that can be believed", () => {
  it.effect("is of the person that the ID token names", () =>
    Effect.gen(function*() {
      const { result } = yield* login((nonce) => sign(claims({ nonce })))
      if (result._tag === "Left") throw result.left
      assert.strictEqual(Option.getOrThrow(IdToken.ofGrant(result.right)).sub, "alice")
    }))

  it.effect("of a server that publishes no keys, which the connection vouches for", () =>
    Effect.gen(function*() {
      const script = { metadata: { jwks_uri: undefined } }
      const { result } = yield* login((nonce) => sign(claims({ nonce })), {}, script)
      assert.strictEqual(result._tag, "Right")
    }))

  it.effect("is verified without openid too where the caller says so", () =>
    Effect.gen(function*() {
      const options = { scopes: ["read"], idToken: "verify" as const }
      const good = yield* login((nonce) => sign(claims({ nonce })), options)
      assert.strictEqual(good.result._tag, "Right")
      const bad = yield* login(() => sign(claims()), options)
      assert.strictEqual(bad.result._tag, "Left")
    }))
})

describe("a login that can't be believed fails", () => {
  const now = 300

  const cases: ReadonlyArray<readonly [string, IdTokenOf, string, string, Identity.Script?]> = [
    ["no ID token", () => undefined, "Misconfigured", "InvalidOption"],
    ["no text", () => 7 as never, "Misconfigured", "InvalidOption"],
    [
      "not for this client",
      (nonce) => sign(claims({ nonce, aud: "other" })),
      "Misconfigured",
      "InvalidOption"
    ],
    [
      "of another issuer",
      (nonce) => sign(claims({ nonce, iss: "https://evil.test" })),
      "Misconfigured",
      "IssuerMismatch"
    ],
    ["of another login", () => sign(claims({ nonce: "n-0" })), "ReauthRequired", "GrantRejected"],
    ["of no login", () => sign(claims()), "ReauthRequired", "GrantRejected"],
    ["expired", (nonce) => sign(claims({ nonce, exp: now - 60 })), "ReauthRequired", "GrantRejected"],
    [
      "two audiences",
      (nonce) => sign(claims({ nonce, aud: ["app", "b"] })),
      "Misconfigured",
      "InvalidOption"
    ],
    [
      "not signed",
      (nonce) => unsigned(claims({ nonce }), { alg: "none" }),
      "Misconfigured",
      "InvalidMetadata"
    ],
    [
      "not signed, by a server without keys",
      (nonce) => unsigned(claims({ nonce }), { alg: "none" }),
      "Misconfigured",
      "InvalidMetadata",
      { metadata: { jwks_uri: undefined } }
    ],
    [
      "signed with a secret",
      (nonce) => withSecret(claims({ nonce }), new Uint8Array(32)),
      "Misconfigured",
      "InvalidMetadata"
    ],
    ["signed by somebody else", (nonce) => sign(claims({ nonce }), evil), "ReauthRequired", "GrantRejected"],
    [
      "signed with an unknown key",
      (nonce) => sign(claims({ nonce }), next),
      "ReauthRequired",
      "GrantRejected"
    ],
    ["garbage", () => "garbage", "ReauthRequired", "GrantRejected"],
    [
      "keys that are a page",
      (nonce) => sign(claims({ nonce }), own),
      "TransientFailure",
      "MalformedAnswer",
      { keys: () => new Response("<html>") }
    ]
  ]
  for (const [name, idToken, tag, reason, script] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(now * 1_000)
        const fiber = yield* Effect.fork(login(idToken, {}, script))
        yield* Effect.repeat(elapse, { until: () => fiber.unsafePoll() !== null })
        const { result } = yield* Fiber.join(fiber)
        assert.strictEqual(result._tag, "Left")
        if (result._tag === "Right") return
        assert.deepStrictEqual([result.left._tag, result.left.reason], [tag, reason])
        assert.notMatch(`${result.left.message} ${JSON.stringify(result.left)}`, /evil|alice|n-0|granted/)
      }))
  }

  /** A fetch that failed is tried again after half a second, and promises want real time in between. */
  const elapse = Effect.zipRight(
    Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5))),
    TestClock.adjust("100 millis")
  )

  it.effect("too long ago, or nobody says when", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const at = (auth_time: number | undefined) =>
        login((nonce) => sign(claims({ nonce, exp: 2_000, auth_time })), { maxAge: "1 minute" })
      assert.strictEqual((yield* at(990)).result._tag, "Right")
      for (const time of [900, undefined]) assert.strictEqual((yield* at(time)).result._tag, "Left")
    }))

  it.effect("without the server's keys the code is not spent", () =>
    Effect.gen(function*() {
      const keys = () => new Response("", { status: 503 })
      const fiber = yield* Effect.fork(login((nonce) => sign(claims({ nonce })), {}, { keys }))
      yield* Effect.repeat(elapse, { until: () => fiber.unsafePoll() !== null })
      const { calls, result } = yield* Fiber.join(fiber)
      assert.strictEqual(result._tag === "Left" && result.left._tag, "TransientFailure")
      assert.isAbove(calls.length, 0)
      assert.deepStrictEqual(calls.filter(({ form }) => form.has("code")), [])
    }))

  it.effect("nothing is asked for where any login will do, however long ago", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_000_000)
      const { attempt, result } = yield* login((nonce) => sign(claims({ nonce, exp: 2_000 })), {
        maxAge: Duration.infinity
      })
      assert.strictEqual(result._tag, "Right")
      assert.isFalse(new URL(attempt.url).searchParams.has("max_age"))
    }))
})

describe("a renewal", () => {
  const of = (sub: string) => unsigned(claims({ sub }), { alg: "RS256" }, "AA")
  const held = Grant.make({
    token: Token.make({ value: Redacted.make("old") }),
    refreshToken: Redacted.make("r-1"),
    idToken: Redacted.make(of("alice"))
  })

  const renew = (idToken: string | undefined) =>
    Effect.gen(function*() {
      const server = yield* AuthorizationServer.make({
        issuer: Identity.issuer,
        tokenEndpoint: "https://idp.test/token"
      })
      const redeem = yield* RefreshToken.make({ server, client: { id: Identity.clientId } })
      return yield* Effect.either(redeem(held))
    }).pipe(
      Effect.provide(serve(inTurn(json({ access_token: "new", refresh_token: "r-2", id_token: idToken }))))
    )

  it.effect("that is of somebody else is not used", () =>
    Effect.gen(function*() {
      const result = yield* renew(of("bob"))
      assert.strictEqual(result._tag, "Left")
      if (result._tag === "Right") return
      assert.deepStrictEqual([result.left._tag, result.left.reason], ["ReauthRequired", "GrantRejected"])
      assert.notMatch(result.left.message, /alice|bob/)
    }))

  it.effect("of the same person is, and so is one that names nobody", () =>
    Effect.gen(function*() {
      for (const idToken of [of("alice"), undefined]) {
        const result = yield* renew(idToken)
        assert.strictEqual(result._tag, "Right")
      }
    }))
})

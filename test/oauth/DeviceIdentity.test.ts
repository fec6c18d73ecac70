/** The ID token that comes with a device login: one that can't be believed fails it. */
import { assert, describe, it } from "@effect/vitest"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as IdToken from "effect-credentials/oauth/IdToken"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Identity from "./identity.js"
import type { Call } from "./kit.js"

const { claims, evil, next, own, sign, unsigned, withSecret } = Identity

const endpoints = { device_authorization_endpoint: `${Identity.issuer}/device` }

/** A server whose polls are answered by this ID token, the first of them by none at all. */
const answering = (idToken: unknown) => {
  let polls = 0
  return async (call: Call): Promise<Response> => {
    if (call.url.endsWith("/device")) {
      return Response.json({ device_code: "d", user_code: "C", verification_uri: `${Identity.issuer}/go` })
    }
    return polls++ === 0
      ? Response.json({ error: "authorization_pending" }, { status: 400 })
      : Response.json({ access_token: "granted", refresh_token: "r-1", id_token: await idToken })
  }
}

const login = (
  idToken: unknown,
  options: Partial<DeviceCode.Options> = {},
  script: Identity.Script = {}
) =>
  Effect.gen(function*() {
    const served = yield* Identity.make({
      answer: answering(idToken),
      ...script,
      metadata: { ...endpoints, ...script.metadata }
    })
    const device = yield* DeviceCode.make({
      server: served.server,
      client: { id: Identity.clientId },
      scopes: ["openid"],
      ...options
    }).pipe(Effect.provide(served.layer))
    const events: Array<string> = []
    const fiber = yield* Effect.fork(
      Effect.either(device.login(({ _tag }) => Effect.sync(() => events.push(_tag))))
    )
    yield* Effect.repeat(elapse, { until: () => fiber.unsafePoll() !== null })
    return { ...served, device, events, result: yield* Fiber.join(fiber) }
  })

/** Promises want real time in between. */
const elapse = Effect.zipRight(
  Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1))),
  TestClock.adjust("1 second")
)

describe("a device login that can be believed", () => {
  it.effect("is of the person that the ID token names", () =>
    Effect.gen(function*() {
      const { events, fetches, result } = yield* login(sign(claims()))
      if (result._tag === "Left") throw result.left
      assert.strictEqual(Option.getOrThrow(IdToken.ofGrant(result.right)).sub, "alice")
      assert.deepStrictEqual(events, ["Prompt", "Pending", "Approved"])
      assert.strictEqual(fetches(), 1)
    }))

  it.effect("of a server that publishes no keys, which the connection vouches for", () =>
    Effect.gen(function*() {
      const { result } = yield* login(sign(claims(), evil), {}, { metadata: { jwks_uri: undefined } })
      assert.strictEqual(result._tag, "Right")
    }))

  for (const idToken of [undefined, null, "", 7]) {
    it.effect(`goes on without an ID token (${idToken}), which no standard promises, but not where one is demanded`, () =>
      Effect.gen(function*() {
        const { result } = yield* login(idToken)
        if (result._tag === "Left") throw result.left
        assert.isUndefined(result.right.idToken)
        const demanded = yield* login(idToken, { idToken: "verify" })
        if (demanded.result._tag === "Right") throw new Error("it did not fail")
        const { _tag, reason } = demanded.result.left
        assert.deepStrictEqual([_tag, reason], ["Misconfigured", "InvalidOption"])
      }))
  }

  const unread: ReadonlyArray<Partial<DeviceCode.Options>> = [
    { scopes: undefined },
    { scopes: ["read"] },
    { scopes: ["openid"], idToken: "ignore" }
  ]
  for (const options of unread) {
    it.effect(`throws away one that nobody asked for: ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const { fetches, result } = yield* login(sign(claims(), evil), options)
        if (result._tag === "Left") throw result.left
        assert.isUndefined(result.right.idToken)
        assert.strictEqual(fetches(), 0)
      }))
  }

  it.effect("has the time for it, where there is something to verify", () =>
    Effect.gen(function*() {
      const { device } = yield* login(undefined)
      const { device: other } = yield* login(undefined, { scopes: [] })
      assert.isTrue(Duration.greaterThan(device.exchangeTimeLimit, other.exchangeTimeLimit))
    }))
})

describe("a device login that can't be believed fails", () => {
  const cases: ReadonlyArray<readonly [string, unknown, string, string]> = [
    ["of another issuer", sign(claims({ iss: "https://evil.test" })), "Misconfigured", "IssuerMismatch"],
    ["expired", sign(claims({ exp: -60, iat: -120 })), "ReauthRequired", "GrantRejected"],
    ["long expired", sign(claims({ exp: 1 })), "ReauthRequired", "GrantRejected"],
    ["from the future", sign(claims({ iat: 9_000, exp: 9_600 })), "ReauthRequired", "GrantRejected"],
    ["of nobody", sign(claims({ sub: "" })), "ReauthRequired", "GrantRejected"],
    ["not signed", unsigned(claims(), { alg: "none" }), "Misconfigured", "InvalidMetadata"],
    [
      "signed with a secret",
      withSecret(claims(), new Uint8Array(32)),
      "Misconfigured",
      "InvalidMetadata"
    ],
    ["signed by somebody else", sign(claims(), evil), "ReauthRequired", "GrantRejected"],
    ["signed with an unknown key", sign(claims(), next), "ReauthRequired", "GrantRejected"],
    ["garbage", "garbage", "ReauthRequired", "GrantRejected"]
  ]
  for (const [name, idToken, tag, reason] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(120_000)
        const { events, result } = yield* login(idToken)
        if (result._tag === "Right") throw new Error("it did not fail")
        assert.deepStrictEqual([result.left._tag, result.left.reason], [tag, reason])
        assert.notMatch(`${result.left.message} ${JSON.stringify(result.left)}`, /evil|alice|granted/)
        assert.deepStrictEqual(events, ["Prompt", "Pending"])
      }))
  }

  it.effect("not for this client", () =>
    Effect.gen(function*() {
      const { result } = yield* login(sign(claims({ aud: "other" })))
      if (result._tag === "Right") throw new Error("it did not fail")
      assert.strictEqual(result.left._tag, "Misconfigured")
    }))

  it.effect("before anybody is asked, where the server's keys can't be had", () =>
    Effect.gen(function*() {
      const { calls, events, result } = yield* login(sign(claims(), own), {}, {
        keys: () => new Response("", { status: 503 })
      })
      assert.strictEqual(result._tag === "Left" && result.left._tag, "TransientFailure")
      assert.deepStrictEqual(new Set(events), new Set(["Blip"]))
      assert.isFalse(calls.some(({ url }) => url.endsWith("/device")))
    }))
})

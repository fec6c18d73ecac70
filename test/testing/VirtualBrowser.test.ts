import { assert, describe, it } from "@effect/vitest"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as CallbackListener from "effect-credentials/login/CallbackListener"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Fault from "effect-credentials/testing/Fault"
import * as VirtualBrowser from "effect-credentials/testing/VirtualBrowser"
import { VirtualIdentityProvider } from "effect-credentials/testing/VirtualIdentityProvider"
import * as Idp from "effect-credentials/testing/VirtualIdentityProvider"
import type * as VirtualProviderOptions from "effect-credentials/testing/VirtualProviderOptions"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { issuer, resource } from "./calls.js"

const setting = (options: VirtualProviderOptions.Options = {}) =>
  Layer.provideMerge(Layer.merge(VirtualBrowser.layer, LoginPrompt.layerSilent), Idp.layer(options))

const make = (options: Partial<BrowserLogin.Options> = {}) =>
  Effect.gen(function*() {
    const server = yield* AuthorizationServer.discover({ issuer })
    return yield* BrowserLogin.make({ server, client: { id: "app" }, ...options })
  })

const lastHeading = Effect.flatMap(
  VirtualBrowser.VirtualBrowser,
  (browser) => Effect.map(browser.pages, (pages) => /<h1>(.*)<\/h1>/.exec(pages.at(-1)?.body ?? "")?.[1])
)

/** Every way in which this library asks for a login in a browser, at a provider that is strict about it. */
const ways: ReadonlyArray<
  readonly [string, Partial<BrowserLogin.Options>, VirtualProviderOptions.Options]
> = [
  ["plainly", {}, {}],
  ["with an ID token", { scopes: ["openid"] }, {}],
  ["with an RS256 ID token", { scopes: ["openid"] }, { idTokenAlgorithm: "RS256" }],
  ["with a pushed request", {}, { requirePushedRequests: true }],
  ["for a resource", { resource: "https://api.test/" }, { resources: [{ url: "https://api.test/" }] }],
  ["bound to a key", { dpop: true }, { dpop: { required: true } }],
  [
    "bound to a key, with nonces, pushed, with an ID token",
    { dpop: true, scopes: ["openid"] },
    { dpop: { required: true, nonces: true }, requirePushedRequests: true }
  ]
]

describe("a login in a virtual browser", () => {
  for (const [name, options, provider] of ways) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const grant = yield* (yield* make(options)).login
        assert.match(Redacted.value(grant.token.value), /^at_/)
        assert.strictEqual(grant.idToken !== undefined, options.scopes !== undefined)
        assert.strictEqual(grant.token.type, options.dpop === true ? "DPoP" : "Bearer")
        assert.strictEqual(yield* lastHeading, "You are logged in")
        const server = yield* AuthorizationServer.discover({ issuer })
        const redeem = yield* RefreshToken.make({ server, client: { id: "app" } })
        const renewed = yield* redeem(grant)
        assert.notStrictEqual(Redacted.value(renewed.token.value), Redacted.value(grant.token.value))
      }).pipe(Effect.provide(setting(provider))))
  }

  it.effect("takes as long as the person, and is over with its time limit", () =>
    Effect.gen(function*() {
      const idp = yield* VirtualIdentityProvider
      yield* idp.script([{ approveAfter: "2 minutes" }, { approveAfter: "6 minutes" }])
      const { login } = yield* make()
      const first = yield* Effect.fork(login)
      yield* TestClock.adjust("119 seconds")
      assert.isNull(first.unsafePoll())
      yield* TestClock.adjust("1 second")
      const grant = yield* Fiber.join(first)
      assert.strictEqual((yield* resource(Redacted.value(grant.token.value))).status, 200)
      const second = yield* Effect.fork(Effect.flip(login))
      yield* TestClock.adjust("7 minutes")
      assert.deepInclude(yield* Fiber.join(second), { _tag: "ReauthRequired", reason: "LoginExpired" })
      assert.strictEqual((yield* idp.counts).logins, 1)
    }).pipe(Effect.provide(setting())))

  it.effect("is denied", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip((yield* make()).login)
      assert.deepInclude(error, { _tag: "ReauthRequired", reason: "AccessDenied" })
      assert.notStrictEqual(yield* lastHeading, "You are logged in")
    }).pipe(Effect.provide(setting({ approvals: { denyAfter: 0 } }))))

  it.effect("an outage of the authorization page: the person goes there again by hand", () =>
    Effect.gen(function*() {
      const idp = yield* VirtualIdentityProvider
      const browser = yield* VirtualBrowser.VirtualBrowser
      const fault = yield* idp.inject(Fault.outage, { endpoint: "authorization", times: 1 })
      const fiber = yield* Effect.fork((yield* make()).login)
      yield* fault.reached
      const [url = ""] = yield* browser.opened
      const page = yield* browser.visit(url)
      assert.include(page.body, "You are logged in")
      assert.strictEqual((yield* Fiber.join(fiber)).token.type, "Bearer")
    }).pipe(Effect.provide(setting())))

  it.effect("nobody listens once it is over; a busy port is an error", () =>
    Effect.gen(function*() {
      const browser = yield* VirtualBrowser.VirtualBrowser
      const listener = yield* CallbackListener.CallbackListener
      const options = { path: "/callback", resultPath: "/callback/done", port: 4000 }
      const busy = yield* Effect.scoped(Effect.gen(function*() {
        const { redirectUri } = yield* listener.listen(options)
        assert.strictEqual(redirectUri, "http://127.0.0.1:4000/callback")
        assert.strictEqual((yield* browser.visit("http://127.0.0.1:4000/favicon.ico")).status, 404)
        const waiting = yield* Effect.fork(Effect.flip(browser.visit(`${redirectUri}?code=1`)))
        yield* Effect.yieldNow()
        const busy = yield* Effect.flip(Effect.scoped(listener.listen(options)))
        return { busy, waiting }
      }))
      assert.strictEqual(busy.busy.reason, "PortBusy")
      assert.strictEqual((yield* Fiber.join(busy.waiting)).status, undefined)
      const late = yield* Effect.flip(browser.visit("http://127.0.0.1:4000/callback?code=1"))
      assert.strictEqual(late._tag, "NotRedirected")
    }).pipe(Effect.provide(setting())))

  it.effect("a free port is one at which nobody listens", () =>
    Effect.gen(function*() {
      const listener = yield* CallbackListener.CallbackListener
      const listen = listener.listen({ path: "/callback", resultPath: "/callback/done" })
      const twice = Effect.zip(listen, listen)
      const [one, other] = yield* Effect.withRandom(twice, Random.fixed([50_000, 50_000, 50_001]))
      assert.strictEqual(one.redirectUri, "http://127.0.0.1:50000/callback")
      assert.strictEqual(other.redirectUri, "http://127.0.0.1:50001/callback")
    }).pipe(Effect.scoped, Effect.provide(setting())))

  it.effect("of a long run the last pages are kept", () =>
    Effect.gen(function*() {
      const browser = yield* VirtualBrowser.VirtualBrowser
      const listener = yield* CallbackListener.CallbackListener
      yield* listener.listen({ path: "/callback", resultPath: "/callback/done", port: 4000 })
      yield* Effect.replicateEffect(browser.visit("http://127.0.0.1:4000/"), 1001)
      assert.strictEqual((yield* browser.pages).length, 1000)
    }).pipe(Effect.scoped, Effect.provide(setting())))
})

/**
 * How to test an app whose users log in with a browser: a virtual identity provider, a virtual browser that the
 * person of the test sits at, and a clock that moves only when the test says so. A login, a day of renewals, a
 * login that is withdrawn and a person who says no pass in a moment, and nothing of it is real.
 * Run it with `npx tsx examples/testing-a-login.ts`.
 */
import { HttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Layer, Option, TestClock, TestContext } from "effect"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as VirtualBrowser from "effect-credentials/testing/VirtualBrowser"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as VaultKey from "effect-credentials/vault/VaultKey"
import * as assert from "node:assert/strict"

// The app: nothing in it knows that it is tested.

const issuer = "https://idp.test"
const notes = "https://notes.test/api"

class NotesToken extends TokenSource.Tag("app/NotesToken")<NotesToken>() {}

const NotesTokenLayer = NotesToken.layer(Effect.gen(function*() {
  const server = yield* AuthorizationServer.discover({ issuer })
  const client = { id: "notes-app" }
  return yield* Persisted.make({
    name: "notes",
    key: yield* VaultKey.make({ prefix: "OAUTH_GRANT_", resource: notes, issuer }),
    redeem: yield* RefreshToken.make({ server, client }),
    login: yield* BrowserLogin.make({ server, client, scopes: ["notes.read"], resource: notes })
  }).pipe(TokenCache.cached())
}))

/** May open a browser; a request by itself never does. */
const start = NotesToken.get

const readNotes = Effect.gen(function*() {
  const client = (yield* HttpClient.HttpClient).pipe(
    HttpAuth.bearer(yield* NotesToken, { origins: notes }),
    HttpClient.filterStatusOk
  )
  return yield* client.get(notes)
})

// The test.

const app = { id: "notes-app", redirectUris: ["http://127.0.0.1/callback"] }

const Provider = VirtualIdentityProvider.layer({
  clients: [app],
  resources: [{ url: notes, scopes: ["notes.read"] }],
  accessTokenLifetime: "1 hour"
})

const Machine = Layer.mergeAll(VirtualBrowser.layer, LoginPrompt.layerSilent, MemoryVault.layer)

const AppTest = NotesTokenLayer.pipe(Layer.provideMerge(Machine), Layer.provideMerge(Provider))

const test = Effect.gen(function*() {
  const idp = yield* VirtualIdentityProvider.VirtualIdentityProvider
  const browser = yield* VirtualBrowser.VirtualBrowser

  // The person takes their time; the app waits for them.
  yield* idp.script([{ approveAfter: "40 seconds" }, { denyAfter: "5 seconds" }])
  const first = yield* Effect.fork(start)
  yield* TestClock.adjust("39 seconds")
  assert.ok(Option.isNone(yield* Fiber.poll(first)), "the app waits for the login")
  yield* TestClock.adjust("1 second")
  yield* Fiber.join(first)
  assert.match((yield* browser.pages).at(-1)?.body ?? "", /You are logged in/)

  // A day of work, a call every half hour: nobody is asked again.
  yield* Effect.repeatN(Effect.zipRight(TestClock.adjust("30 minutes"), readNotes), 47)
  const day = yield* idp.counts
  assert.equal(day.logins, 1)
  yield* Console.log(`a day: ${day.logins} login, ${day.redemptions} renewals, ${day.resourceCalls} calls`)

  // The grant is withdrawn. A call finds out and opens no browser; the next start does, and the person says no.
  yield* idp.purge("notes-app")
  yield* idp.register(app)
  const call = yield* Effect.flip(readNotes)
  yield* Console.log(`then a call: ${call.message}`)
  const second = yield* Effect.fork(Effect.flip(start))
  yield* TestClock.adjust("5 seconds")
  const refusal = yield* Fiber.join(second)
  assert.equal(refusal._tag, "ReauthRequired")
  yield* Console.log(`then a start: ${refusal.message}`)
  yield* Console.log(`browsers opened: ${(yield* browser.opened).length}`)
}).pipe(Effect.provide(AppTest))

// With @effect/vitest the clock is there already, and the same effect is a test:
//
//   it.effect("asks once, renews all day, and takes no for an answer", () => test)

NodeRuntime.runMain(Effect.provide(test, TestContext.TestContext))

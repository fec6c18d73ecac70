/**
 * How to test an app that lives on tokens: a virtual identity provider as its `HttpClient`, and a clock that
 * moves only when the test says so. Hours pass in a moment, with an outage just when the token is due.
 * Run it with `npx tsx examples/testing-on-a-mocked-clock.ts`.
 */
import { HttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Fiber, Layer, Option, Redacted, Schedule, TestClock, TestContext } from "effect"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Fault from "effect-credentials/testing/Fault"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as assert from "node:assert/strict"

// The app: nothing in it knows that it is tested.

class ApiToken extends TokenSource.Tag("app/ApiToken")<ApiToken>() {}

const ApiTokenLayer = ApiToken.layer(Effect.gen(function*() {
  const server = yield* AuthorizationServer.discover({ issuer: "https://idp.test" })
  const client = { id: "service", auth: Client.basic(Redacted.make("service-secret")) }
  return yield* ClientCredentials.make({ server, client }).pipe(TokenCache.cached())
}))

/** Calls every ten minutes, and ends with the first call that fails. */
const heartbeat = Effect.gen(function*() {
  const client = (yield* HttpClient.HttpClient).pipe(
    HttpAuth.bearer(yield* ApiToken, { origins: "https://idp.test" }),
    HttpClient.filterStatusOk
  )
  return yield* Effect.repeat(client.post("https://idp.test/resource"), Schedule.fixed("10 minutes"))
})

// The test.

const AppTest = Layer.provideMerge(
  ApiTokenLayer,
  VirtualIdentityProvider.layer({ accessTokenLifetime: "1 hour" })
)

const test = Effect.gen(function*() {
  const idp = yield* VirtualIdentityProvider.VirtualIdentityProvider
  const app = yield* Effect.fork(heartbeat)

  yield* TestClock.adjust("45 minutes")
  const outage = yield* idp.inject(Fault.outage, { endpoint: "token", during: "13 minutes" })
  yield* TestClock.adjust("6 hours")

  const { issued, resourceCalls } = yield* idp.counts
  const hits = yield* outage.hits
  assert.ok(Option.isNone(yield* Fiber.poll(app)), "no call failed, so the app still runs")
  assert.equal(resourceCalls, 41)
  assert.ok(hits > 1, "the renewal was tried again and again")
  assert.ok(issued >= 7 && issued <= 9, "each token served for most of its hour")
  yield* Console.log(`no call of ${resourceCalls} failed; ${issued} tokens, ${hits} tries during the outage`)
}).pipe(Effect.provide(AppTest))

// With @effect/vitest the clock is there already, and the same effect is a test:
//
//   it.effect("lives through an outage of the identity provider", () => test)

NodeRuntime.runMain(Effect.provide(test, TestContext.TestContext))

/**
 * What a source tells about itself: each change as a stream, and its status as text for people, while the
 * identity provider is away for longer than the token lives, and comes back. It all happens on a virtual
 * clock. Run it with `npx tsx examples/status-and-changes.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, DateTime, Effect, Layer, Redacted, Stream, TestClock, TestContext } from "effect"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Fault from "effect-credentials/testing/Fault"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStatus from "effect-credentials/TokenStatus"
import * as TokenStream from "effect-credentials/TokenStream"

class ApiToken extends TokenSource.Tag("app/ApiToken")<ApiToken>() {}

const ApiTokenLayer = ApiToken.layer(Effect.gen(function*() {
  const server = yield* AuthorizationServer.discover({ issuer: "https://idp.test" })
  const client = { id: "service", auth: Client.basic(Redacted.make("service-secret")) }
  return yield* ClientCredentials.make({ server, client, name: "api" }).pipe(TokenCache.cached())
}))

const say = (line: string) =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) => Console.log(`${DateTime.formatIso(DateTime.unsafeMake(now)).slice(11, 16)}  ${line}`)
  )

/** A line for each change that people care about: not for every try of a renewal. */
const watch = Effect.flatMap(ApiToken, (source) =>
  TokenStream.changes(source).pipe(
    Stream.filter(({ health }) => health !== "Refreshing"),
    Stream.map(({ health, token }) =>
      `${health}, ${token === undefined ? "no token" : `token ${token.generation}`}`
    ),
    Stream.changes,
    Stream.runForEach(say)
  ))

const program = Effect.gen(function*() {
  const idp = yield* VirtualIdentityProvider.VirtualIdentityProvider
  const source = yield* ApiToken
  const status = Effect.flatMap(source.status, (status) => say(`status\n${TokenStatus.render(status)}`))
  yield* TestClock.setTime(new Date("2030-01-01T09:00:00Z"))
  yield* Effect.fork(watch)
  yield* TestClock.adjust("5 minutes")

  yield* source.get
  yield* TestClock.adjust("30 minutes")
  yield* say("the identity provider goes away")
  const outage = yield* idp.inject(Fault.outage)
  yield* TestClock.adjust("25 minutes")
  yield* status

  yield* TestClock.adjust("15 minutes")
  const error = yield* Effect.flip(source.get)
  yield* say(`a caller gets ${error._tag}: ${error.hint}`)

  yield* say("the identity provider is back")
  yield* outage.clear
  yield* TestClock.adjust("2 minutes")
  yield* status
})

program.pipe(
  Effect.provide(ApiTokenLayer.pipe(
    Layer.provideMerge(VirtualIdentityProvider.layer()),
    Layer.provideMerge(TestContext.TestContext)
  )),
  NodeRuntime.runMain
)

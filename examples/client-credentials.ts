/**
 * A service that gets its tokens with the client credentials grant: one token for all calls, and another one
 * at once when the API refuses it. The identity provider is the virtual one of the test kit; a real one needs
 * only `FetchHttpClient.layer` in its place. Run it with `npx tsx examples/client-credentials.ts`.
 */
import { HttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Redacted } from "effect"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"

class ApiToken extends TokenSource.Tag("app/ApiToken")<ApiToken>() {}

const apiToken = (secret: string) =>
  ApiToken.layer(Effect.gen(function*() {
    const server = yield* AuthorizationServer.discover({ issuer: "https://idp.test" })
    const client = { id: "service", auth: Client.basic(Redacted.make(secret)) }
    return yield* ClientCredentials.make({ server, client, scopes: ["read"] }).pipe(TokenCache.cached())
  }))

const program = Effect.gen(function*() {
  const idp = yield* VirtualIdentityProvider.VirtualIdentityProvider
  const client = (yield* HttpClient.HttpClient).pipe(
    HttpAuth.bearer(yield* ApiToken, { origins: "https://idp.test" })
  )
  const call = Effect.map(client.get("https://idp.test/resource"), (response) => response.status)
  const issued = Effect.map(idp.counts, (counts) => counts.issued)

  yield* Console.log(`three calls: ${yield* Effect.replicateEffect(call, 3)}, tokens: ${yield* issued}`)

  const { value } = yield* ApiToken.get
  yield* idp.revoke(value)
  yield* Console.log(`after the token was revoked: ${yield* call}, tokens: ${yield* issued}`)
})

/** The error says what to do, and nothing is sent again and again. */
const wrongSecret = ApiToken.get.pipe(
  Effect.provide(apiToken("not-the-secret")),
  Effect.catchTag("Misconfigured", (error) => Console.log(`with a wrong secret: ${error.message}`))
)

program.pipe(
  Effect.provide(apiToken("service-secret")),
  Effect.zipRight(wrongSecret),
  Effect.provide(VirtualIdentityProvider.layer()),
  NodeRuntime.runMain
)

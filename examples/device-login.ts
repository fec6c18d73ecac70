/**
 * A login on another device, kept in a vault: the first start of the app asks the person, the second one
 * finds the grant. The identity provider is a real one on loopback, and the person is a script; the login
 * takes some seconds, since the provider wants five between two polls.
 * Run it with `npx tsx examples/device-login.ts`.
 */
import { FetchHttpClient, FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect, Layer } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStatus from "effect-credentials/TokenStatus"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as VaultKey from "effect-credentials/vault/VaultKey"
import * as IdentityProvider from "./demo/identityProvider.js"
import * as Person from "./demo/person.js"

const resource = "https://api.example.com"

class ApiToken extends TokenSource.Tag("app/ApiToken")<ApiToken>() {}

/** The stored grant, renewed when it is due; a login where there is none. */
const apiToken = (issuer: string) =>
  ApiToken.layer(Effect.gen(function*() {
    const server = yield* AuthorizationServer.discover({ issuer })
    const client = { id: "demo-app" }
    return yield* Persisted.make({
      name: "api login",
      key: yield* VaultKey.make({ prefix: "OAUTH_GRANT_", resource, issuer }),
      redeem: yield* RefreshToken.make({ server, client }),
      login: yield* DeviceLogin.make({ server, client, scopes: ["openid", "read"], resource })
    }).pipe(TokenCache.cached())
  }))

/** Shows the prompt, as `LoginPrompt.layerConsole` does, and lets the scripted person follow the link. */
const PromptLayer = Layer.succeed(
  LoginPrompt.LoginPrompt,
  LoginPrompt.make({
    show: (prompt) =>
      Effect.gen(function*() {
        yield* Console.log(LoginPrompt.render(prompt, yield* Clock.currentTimeMillis))
        const link = prompt._tag === "Device" ? prompt.verificationUriComplete : prompt.url
        yield* Effect.forkDaemon(Person.approve(link ?? ""))
      }),
    progress: () => Effect.void
  })
)

/** What the app does with its token. */
const app = Effect.gen(function*() {
  yield* ApiToken.get
  const source = yield* ApiToken
  yield* Console.log(TokenStatus.render(yield* source.status))
})

const program = Effect.gen(function*() {
  const provider = yield* IdentityProvider.make({ api: resource, lifetime: 3600 })
  const directory = yield* Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped())
  const start = Effect.provide(
    app,
    apiToken(provider.issuer).pipe(
      Layer.provide([FileVault.layer({ directory: `${directory}/vault` }), PromptLayer])
    )
  )
  yield* Console.log("=== first start")
  yield* start
  yield* Console.log("=== second start")
  yield* start
  const { logins, redemptions } = yield* provider.figures
  yield* Console.log(`=== ${logins} login, ${redemptions} renewals`)
})

program.pipe(
  Effect.scoped,
  Effect.provide([FetchHttpClient.layer, NodeContext.layer]),
  NodeRuntime.runMain
)

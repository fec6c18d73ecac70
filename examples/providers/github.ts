/**
 * A program that asks for a token of GitHub's, and so logs its person in with a code on another device where nobody is
 * logged in yet. Needs no secret; enable the device flow in the settings of your app. Run it with
 * `npx tsx examples/providers/github.ts`; see `account.ts` for the client.
 */
import { Console, Effect, Layer } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as OAuthSource from "effect-credentials/manager/OAuthSource"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Provider from "effect-credentials/provider/Provider"
import * as TokenSource from "effect-credentials/TokenSource"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Account from "./account.js"

/** An OAuth app's tokens never expire, and can't be renewed; those of a GitHub App are. */
const program = Effect.gen(function*() {
  const source = yield* TokenSource.TokenSource
  yield* Account.show("logged in", yield* source.get)
  yield* source.request({ refresh: true, interactive: false }).pipe(
    Effect.flatMap((token) => Account.show("renewed", token)),
    Effect.catchTag("ReauthRequired", (error) => Console.log(error.detail))
  )
})

const { provider } = GitHub

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const options = { server, client, name: "GitHub" }
    const login = DeviceLogin.layer(Provider.device(provider, options))
    // `GitHub.provider` says that a refresh token works once: one whose answer is lost is not sent again.
    const source = OAuthSource.layerInteractive(Provider.source(provider, options))
    yield* Effect.provide(program, Layer.provide(source, [login, MemoryVault.layer]))
  }))

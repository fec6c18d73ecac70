/**
 * A login at Microsoft Entra ID with a code on another device, for an API that is named by a scope, as Entra wants it.
 * A program that stays up but is seldom asked keeps the login alive by itself: Entra ends one that is unused for 90
 * days. Name your tenant, and allow public client flows in your app's settings. Run it with
 * `npx tsx examples/providers/entra.ts`; see `account.ts` for the client.
 */
import { Effect, Layer } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as OAuthSource from "effect-credentials/manager/OAuthSource"
import * as Entra from "effect-credentials/provider/Entra"
import * as Provider from "effect-credentials/provider/Provider"
import * as TokenSource from "effect-credentials/TokenSource"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Account from "./account.js"

const provider = Entra.make({ tenant: "11111111-2222-3333-4444-555555555555" })

const program = Effect.gen(function*() {
  const source = yield* TokenSource.TokenSource
  yield* Account.show("logged in", yield* source.get)
  yield* Account.show("renewed", yield* source.request({ refresh: true, interactive: false }))
})

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const options = { server, client, name: "Entra" }
    const login = DeviceLogin.layer(Provider.device(provider, {
      ...options,
      scopes: ["openid", "offline_access", "https://graph.microsoft.com/User.Read"]
    }))
    const source = OAuthSource.layerInteractive(Provider.source(provider, { ...options, keepAlive: true }))
    yield* Effect.provide(program, Layer.provide(source, [login, MemoryVault.layer]))
  }))

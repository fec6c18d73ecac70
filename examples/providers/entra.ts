/**
 * A login at Microsoft Entra ID with a code on another device, for an API that is named by a scope, as Entra wants
 * it. Name your tenant, and allow public client flows in your app's settings. Run it with
 * `npx tsx examples/providers/entra.ts`; see `account.ts` for the client.
 */
import { Effect } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Entra from "effect-credentials/provider/Entra"
import * as Provider from "effect-credentials/provider/Provider"
import * as Account from "./account.js"

const provider = Entra.make({ tenant: "11111111-2222-3333-4444-555555555555" })

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const { login } = yield* DeviceLogin.make(Provider.device(provider, {
      server,
      client,
      name: "Entra",
      scopes: ["openid", "offline_access", "https://graph.microsoft.com/User.Read"]
    }))
    const grant = yield* login
    yield* Account.show("logged in", grant)
    const redeem = yield* RefreshToken.make(Provider.refresh(provider, { server, client }))
    yield* Account.show("renewed", yield* redeem(grant))
  }))

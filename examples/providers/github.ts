/**
 * A login at GitHub with a code on another device, then a renewal. Needs no secret; enable the device flow in the
 * settings of your app. Run it with `npx tsx examples/providers/github.ts`; see `account.ts` for the client.
 */
import { Effect } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Provider from "effect-credentials/provider/Provider"
import * as Account from "./account.js"

Account.run(GitHub.provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(GitHub.provider)
    const { login } = yield* DeviceLogin.make(
      Provider.device(GitHub.provider, { server, client, name: "GitHub" })
    )
    const grant = yield* login
    yield* Account.show("logged in", grant)
    // An OAuth app's tokens never expire; those of a GitHub App are renewed.
    if (grant.refreshToken === undefined) return
    const redeem = yield* RefreshToken.make(Provider.refresh(GitHub.provider, { server, client }))
    yield* Account.show("renewed", yield* redeem(grant))
  }))

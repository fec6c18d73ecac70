/**
 * A login at Google in a browser of this machine, then a renewal and a logout that ends the grant. Register a client
 * of the kind "desktop app". Run it with `npx tsx examples/providers/google.ts`; see `account.ts` for the client.
 */
import { Console, Effect } from "effect"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Revocation from "effect-credentials/oauth/Revocation"
import * as Google from "effect-credentials/provider/Google"
import * as Provider from "effect-credentials/provider/Provider"
import * as Account from "./account.js"

Account.run(Google.provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(Google.provider)
    const { login } = yield* BrowserLogin.make({
      ...Provider.browser(Google.provider, { server, client, name: "Google" }),
      redirect: Google.provider.browser.redirect
    })
    const grant = yield* login
    yield* Account.show("logged in", grant)
    const redeem = yield* RefreshToken.make(Provider.refresh(Google.provider, { server, client }))
    const renewed = yield* redeem(grant)
    yield* Account.show("renewed", renewed)
    const { revoke } = yield* Revocation.make(Provider.revocation(Google.provider, { server, client }))
    yield* revoke(renewed)
    yield* Console.log("logged out: Google has taken the tokens back")
  }))

/**
 * A login with a Claude account, where the person pastes what Anthropic's page shows: no browser needs to be on this
 * machine. Whether your client may log people in like this is between you and Anthropic. Run it with
 * `npx tsx examples/providers/anthropic.ts`; see `account.ts` for the client.
 */
import { Effect } from "effect"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Anthropic from "effect-credentials/provider/Anthropic"
import * as Provider from "effect-credentials/provider/Provider"
import * as Account from "./account.js"

const { provider } = Anthropic

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const { login } = yield* BrowserLogin.make({
      ...Provider.browser(provider, { server, client, name: "Anthropic" }),
      redirect: { manual: provider.browser.pastePage },
      openBrowser: false
    })
    const grant = yield* login
    yield* Account.show("logged in", grant)
    const redeem = yield* RefreshToken.make(Provider.refresh(provider, { server, client }))
    yield* Account.show("renewed", yield* redeem(grant))
  }))

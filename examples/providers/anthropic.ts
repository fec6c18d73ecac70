/**
 * A login with a Claude account, where the person pastes what Anthropic's page shows: no browser needs to be on this
 * machine. Whether your client may log people in like this is between you and Anthropic. Run it with
 * `npx tsx examples/providers/anthropic.ts`; see `account.ts` for the client.
 */
import { Effect, Layer } from "effect"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as Anthropic from "effect-credentials/provider/Anthropic"
import * as Provider from "effect-credentials/provider/Provider"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Account from "./account.js"

const { provider } = Anthropic

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const options = { server, client, name: "Anthropic" }
    const login = BrowserLogin.layer({
      ...Provider.browser(provider, options),
      redirect: { manual: provider.browser.pastePage },
      openBrowser: false
    })
    const signIn = SignIn.layer(Provider.source(provider, options))
    yield* Effect.provide(Account.session, Layer.provide(signIn, [login, MemoryVault.layer]))
  }))

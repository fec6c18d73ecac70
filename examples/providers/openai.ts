/**
 * A login with a ChatGPT account, which comes back to a fixed port of this machine. Whether your client may log people
 * in like this is between you and OpenAI. Run it with `npx tsx examples/providers/openai.ts`; see `account.ts` for the
 * client.
 */
import { Effect, Layer } from "effect"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as OpenAI from "effect-credentials/provider/OpenAI"
import * as Provider from "effect-credentials/provider/Provider"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Account from "./account.js"

const { provider } = OpenAI

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const options = { server, client, name: "OpenAI" }
    const login = BrowserLogin.layer({
      ...Provider.browser(provider, options),
      redirect: provider.browser.redirect
    })
    // OpenAI's refresh tokens work once, so one whose answer is lost is never sent again: `source` knows.
    const signIn = SignIn.layer(Provider.source(provider, options))
    yield* Effect.provide(Account.session, Layer.provide(signIn, [login, MemoryVault.layer]))
  }))

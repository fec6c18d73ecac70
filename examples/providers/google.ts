/**
 * A login at Google in a browser of this machine, then a renewal and a logout that ends the grant at Google too.
 * Register a client of the kind "desktop app". Run it with `npx tsx examples/providers/google.ts`; see `account.ts` for
 * the client.
 */
import { Effect, Layer } from "effect"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as Google from "effect-credentials/provider/Google"
import * as Provider from "effect-credentials/provider/Provider"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Account from "./account.js"

const { provider } = Google

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const options = { server, client, name: "Google" }
    const login = BrowserLogin.layer({
      ...Provider.browser(provider, options),
      redirect: provider.browser.redirect
    })
    // Google's refresh tokens stay as they are, so that a renewal whose answer is lost can be repeated: `source` knows.
    const signIn = SignIn.layer(Provider.source(provider, options))
    yield* Effect.provide(Account.session, Layer.provide(signIn, [login, MemoryVault.layer]))
  }))

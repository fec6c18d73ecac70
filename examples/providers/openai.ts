/**
 * A login with a ChatGPT account, which comes back to a fixed port of this machine. Whether your client may log people
 * in like this is between you and OpenAI. Run it with `npx tsx examples/providers/openai.ts`; see `account.ts` for the
 * client.
 */
import { Console, Effect } from "effect"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Revocation from "effect-credentials/oauth/Revocation"
import * as OpenAI from "effect-credentials/provider/OpenAI"
import * as Provider from "effect-credentials/provider/Provider"
import * as Account from "./account.js"

Account.run(OpenAI.provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(OpenAI.provider)
    const { login } = yield* BrowserLogin.make({
      ...Provider.browser(OpenAI.provider, { server, client, name: "OpenAI" }),
      redirect: OpenAI.provider.browser.redirect
    })
    const grant = yield* login
    yield* Account.show("logged in", grant)
    const redeem = yield* RefreshToken.make(Provider.refresh(OpenAI.provider, { server, client }))
    const renewed = yield* redeem(grant)
    yield* Account.show("renewed", renewed)
    const { revoke } = yield* Revocation.make(Provider.revocation(OpenAI.provider, { server, client }))
    yield* revoke(renewed)
    yield* Console.log("logged out: OpenAI has taken the tokens back")
  }))

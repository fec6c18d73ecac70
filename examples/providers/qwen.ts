/**
 * A login at Qwen, kept in a vault. Qwen names the address of its API with each token, and the session below asks for
 * it each time. Run it with `npx tsx examples/providers/qwen.ts`; see `account.ts` for the client.
 */
import { Effect, Layer } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Account from "./account.js"

const { provider } = Qwen

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const options = { server, client, name: "Qwen" }
    const login = DeviceLogin.layer(Provider.device(provider, options))
    const signIn = SignIn.layer(Provider.source(provider, options))
    yield* Effect.provide(Account.session, Layer.provide(signIn, [login, MemoryVault.layer]))
  }))

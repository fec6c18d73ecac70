/**
 * A login at MiniMax, whose protocol is one of its own: nothing of that shows here. Run it with
 * `npx tsx examples/providers/minimax.ts`; see `account.ts` for the client.
 */
import { Effect, Layer } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import * as Provider from "effect-credentials/provider/Provider"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Account from "./account.js"

/** `MiniMax.make({ region: "china" })` is the other region. */
const provider = MiniMax.provider

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const options = { server, client, name: "MiniMax" }
    const login = DeviceLogin.layer(Provider.device(provider, options))
    const signIn = SignIn.layer(Provider.source(provider, options))
    yield* Effect.provide(Account.session, Layer.provide(signIn, [login, MemoryVault.layer]))
  }))

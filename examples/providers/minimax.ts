/**
 * A login at MiniMax, whose protocol is one of its own: nothing of that shows here. Run it with
 * `npx tsx examples/providers/minimax.ts`; see `account.ts` for the client.
 */
import { Effect } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import * as Provider from "effect-credentials/provider/Provider"
import * as Account from "./account.js"

/** `MiniMax.make({ region: "china" })` is the other region. */
const provider = MiniMax.provider

Account.run(provider, (client) =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const { login } = yield* DeviceLogin.make(Provider.device(provider, { server, client, name: "MiniMax" }))
    const grant = yield* login
    yield* Account.show("logged in", grant)
    const redeem = yield* RefreshToken.make(Provider.refresh(provider, { server, client }))
    yield* Account.show("renewed", yield* redeem(grant))
  }))

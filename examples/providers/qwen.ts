/**
 * A login at Qwen, kept in a vault: the program asks for its token and for the address of the API, which Qwen names
 * with each token. Run it with `npx tsx examples/providers/qwen.ts`; see `account.ts` for the client.
 */
import { Console, Effect, Layer, Option } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Account from "./account.js"

const program = Effect.gen(function*() {
  const { baseUrl, login, refresh, status } = yield* SignIn.SignIn
  yield* login
  yield* Console.log(`logged in: ${(yield* status).health}`)
  yield* Console.log(`the API is at ${Option.getOrElse(yield* baseUrl, () => "its usual address")}`)
  yield* Console.log(`renewed: token ${(yield* refresh).generation}`)
  yield* Console.log(`the API is at ${Option.getOrElse(yield* baseUrl, () => "its usual address")}`)
})

Account.run(
  Qwen.provider,
  (client) =>
    Effect.flatMap(Provider.server(Qwen.provider), (server) =>
      Effect.provide(
        program,
        SignIn.layer({
          name: "Qwen",
          refresh: Provider.refresh(Qwen.provider, { server, client }),
          graceWindow: Qwen.provider.renewal.graceWindow
        }).pipe(
          Layer.provide(DeviceLogin.layer(Provider.device(Qwen.provider, { server, client, name: "Qwen" }))),
          Layer.provide(MemoryVault.layer)
        )
      ))
)

/**
 * The vault as one line of configuration: a URI says where logins are kept, the program knows which kinds
 * there are, and a kind of the program's own is one of them. Run it with `npx tsx examples/vault-from-
 * uri.ts`, or with a `VAULT_URI` of yours.
 */
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Option, Redacted } from "effect"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as VaultRegistry from "effect-credentials/vault/VaultRegistry"
import * as VaultSchemes from "effect-credentials/vault/VaultSchemes"
import * as VaultUri from "effect-credentials/vault/VaultUri"

/** A kind of vault that this program adds: its grammar, and how it is opened. */
const scratch: VaultRegistry.Scheme = {
  schemes: ["scratch"],
  form: { _tag: "Name", nested: false },
  parameters: { pin: "Secret" },
  example: "scratch://name?pin=1234",
  open: (uri) => MemoryVault.make({ name: `scratch ${uri.path}` })
}

/** Nothing but these can be named. Each vault is loaded when a URI asks for it. */
const Registry = VaultRegistry.layerAdd(scratch).pipe(
  Layer.provide(VaultSchemes.layer),
  Layer.provide(NodeContext.layer)
)

const fromConfig = Config.redacted("VAULT_URI").pipe(Config.withDefault(Redacted.make("memory:")))

const program = Effect.gen(function*() {
  const vault = yield* Vault.Vault
  yield* vault.set("example", Redacted.make("stored-secret"))
  const found = yield* vault.get("example")
  yield* Console.log(`${vault.name}: stored ${Option.isSome(found) ? found.value.value : "nothing"}`)
  yield* vault.remove("example")
})

/** What people are told about a URI that can't be meant. The passwords in them show nowhere. */
const explain = (uri: string) =>
  VaultUri.open(uri).pipe(
    Effect.scoped,
    Effect.matchEffect({
      onSuccess: (vault) => Console.log(`opened ${vault.name}`),
      onFailure: (error) => Console.log(error.message)
    })
  )

const shown = Effect.flatMap(
  VaultUri.parse("rediss://app:hidden-word@cache.example:6380/2?prefix=app:"),
  (uri) => Console.log(`in a log: ${uri}`)
)

program.pipe(
  Effect.provide(VaultUri.layerConfig(fromConfig)),
  Effect.zipRight(explain("scratch://desk?pin=hidden-word")),
  Effect.zipRight(explain("redis://app:hidden-word@cache/zero")),
  Effect.zipRight(explain("file://var/lib/app")),
  Effect.zipRight(explain("op://team/login")),
  Effect.zipRight(shown),
  Effect.provide(Registry),
  NodeRuntime.runMain
)

/**
 * Two programs, one login: both find the same expired token in one vault and renew at the same moment, and the
 * identity provider, which ends a login whose refresh token is used twice, sees one redemption.
 * Run it with `npx tsx examples/two-programs-one-vault.ts`.
 */
import { Command, FetchHttpClient, FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Chunk, Config, Console, Effect, Layer, Option, Redacted, Stream } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as OAuthSource from "effect-credentials/manager/OAuthSource"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as TokenSource from "effect-credentials/TokenSource"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as IdentityProvider from "./demo/identityProvider.js"
import * as Person from "./demo/person.js"

const resource = "https://api.example.com"

/** Seconds that an access token lives. */
const lifetime = 2

/** Who renews, and where. */
const refreshAt = (issuer: string) =>
  Effect.map(AuthorizationServer.discover({ issuer }), (server) => ({
    server,
    client: { id: "demo-app" },
    resource
  }))

/** Either program: it knows the vault and the issuer, and never asks anybody. */
const program = Effect.gen(function*() {
  const source = yield* TokenSource.TokenSource
  const token = yield* source.get
  yield* Console.log(
    `generation ${token.generation}, ${Redacted.isRedacted(token.value) ? "secret" : "open"}`
  )
}).pipe(Effect.provide(Layer.unwrapEffect(Effect.gen(function*() {
  const refresh = yield* refreshAt(yield* Config.string("EXAMPLE_ISSUER"))
  const directory = yield* Config.string("EXAMPLE_VAULT")
  return OAuthSource.layer({ refresh }).pipe(Layer.provide(FileVault.layer({ directory })))
}))))

/** Starts a program in a process of its own, and gives what it tells. */
const start = (environment: Record<string, string>) =>
  Command.make(process.execPath, "--import", "tsx", "examples/two-programs-one-vault.ts").pipe(
    Command.env(environment),
    Command.stderr("inherit"),
    Command.streamLines,
    Stream.runCollect,
    Effect.map((lines) => Chunk.join(lines, "\n"))
  )

/** Shows nothing: a script is the person. */
const PromptLayer = Layer.succeed(
  LoginPrompt.LoginPrompt,
  LoginPrompt.make({
    show: (prompt) =>
      Effect.asVoid(Effect.forkDaemon(Person.approve(
        (prompt._tag === "Device" ? prompt.verificationUriComplete : prompt.url) ?? ""
      ))),
    progress: () => Effect.void
  })
)

const main = Effect.gen(function*() {
  const provider = yield* IdentityProvider.make({ api: resource, lifetime })
  const directory = `${yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()}/vault`
  const refresh = yield* refreshAt(provider.issuer)
  const login = yield* Effect.provide(
    DeviceLogin.make({ ...refresh, scopes: ["openid", "read"] }),
    PromptLayer
  )
  yield* Effect.provide(
    Effect.zipWith(OAuthSource.keyOf(refresh), login.login, Persisted.save).pipe(Effect.flatten),
    FileVault.layer({ directory })
  )
  yield* Console.log("logged in; the token expires now")
  yield* Effect.sleep(`${lifetime} seconds`)
  const environment = { EXAMPLE_ISSUER: provider.issuer, EXAMPLE_VAULT: directory }
  const told = yield* Effect.all([start(environment), start(environment)], { concurrency: 2 })
  yield* Console.log(`one program:   ${told[0]}\nthe other one: ${told[1]}`)
  const { logins, redemptions, refusals } = yield* provider.figures
  yield* Console.log(`=== ${logins} login, ${redemptions} renewal, ${refusals} refused`)
})

const isOneOfThem = Effect.map(Config.option(Config.string("EXAMPLE_VAULT")), Option.isSome)

Effect.if(isOneOfThem, { onTrue: () => program, onFalse: () => main }).pipe(
  Effect.scoped,
  Effect.provide([FetchHttpClient.layer, NodeContext.layer]),
  NodeRuntime.runMain
)

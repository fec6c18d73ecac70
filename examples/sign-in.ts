/**
 * A command-line program's login, in a token file that other programs read too: log in, use the token, renew
 * it, log out, with a look at the file in between. The identity provider is a real one on loopback, and the
 * person is a script; the login takes some seconds, since the provider wants five between two polls. Run it
 * with `npx tsx examples/sign-in.ts`.
 */
import { FetchHttpClient, FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Effect, Layer, Schema } from "effect"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as IdentityProvider from "./demo/identityProvider.js"
import * as Person from "./demo/person.js"

const resource = "https://api.example.com"

/** Shows the prompt, and lets the scripted person follow the link. */
const PromptLayer = Layer.succeed(
  LoginPrompt.LoginPrompt,
  LoginPrompt.make({
    show: (prompt) =>
      Effect.gen(function*() {
        yield* Console.log(LoginPrompt.render(prompt, yield* Clock.currentTimeMillis))
        const link = prompt._tag === "Device" ? prompt.verificationUriComplete : prompt.url
        yield* Effect.forkDaemon(Person.approve(link ?? ""))
      }),
    progress: () => Effect.void
  })
)

/** The program's login: a file, a way to log in, and who renews. */
const signIn = (issuer: string, path: string) =>
  Layer.unwrapEffect(Effect.gen(function*() {
    const server = yield* AuthorizationServer.discover({ issuer })
    const client = { id: "demo-app" }
    return SignIn.layerTokenFile({ name: "demo", path, refresh: { server, client, resource } }).pipe(
      Layer.provide(DeviceLogin.layer({ server, client, scopes: ["openid", "read"], resource })),
      Layer.provide(PromptLayer)
    )
  }))

/** What any program reads in the file. */
const TokenFile = Schema.parseJson(Schema.Struct({
  access: Schema.Redacted(Schema.String),
  refresh: Schema.Redacted(Schema.String),
  expires: Schema.Number
}))

const show = (path: string) =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    if (!(yield* files.exists(path))) return yield* Console.log("  the file: none")
    const { access, expires, refresh } = yield* Schema.decode(TokenFile)(yield* files.readFileString(path))
    const minutes = Math.round((expires - (yield* Clock.currentTimeMillis)) / 60_000)
    yield* Console.log(`  the file: access ${access}, refresh ${refresh}, expires in ${minutes} minutes`)
  })

/** What the commands of the program do. */
const commands = (path: string) =>
  Effect.gen(function*() {
    const { login, logout, refresh, status, token } = yield* SignIn.SignIn
    yield* Console.log(`token:   ${(yield* Effect.flip(token)).message}`)
    yield* login
    yield* Console.log(`login:   ${(yield* status).health}`)
    yield* show(path)
    yield* Console.log(`token:   generation ${(yield* token).generation}`)
    yield* Console.log(`refresh: generation ${(yield* refresh).generation}`)
    yield* show(path)
    // A real program leaves that out: the grant is then revoked by the server's own endpoint, if it has one.
    yield* logout({ revoke: () => Console.log("logout:  the issuer is told") })
    yield* show(path)
    yield* Console.log(`token:   ${(yield* Effect.flip(token)).message}`)
  })

const program = Effect.gen(function*() {
  const provider = yield* IdentityProvider.make({ api: resource, lifetime: 3600 })
  const directory = yield* Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped())
  const path = `${directory}/token.json`
  yield* Effect.provide(commands(path), signIn(provider.issuer, path))
  const { logins, redemptions } = yield* provider.figures
  yield* Console.log(`=== ${logins} login, ${redemptions} renewal`)
})

program.pipe(
  Effect.scoped,
  Effect.provide([FetchHttpClient.layer, NodeContext.layer]),
  NodeRuntime.runMain
)

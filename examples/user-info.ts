/**
 * Who is it? A login in a browser, the person by the verified ID token that is kept with the grant, what the server tells
 * about them beside it, and a logout that leaves nothing alive: the tokens are revoked and removed, then the session in
 * the browser is ended. The identity provider is a real one on loopback, and the person with the browser is a script.
 * Run it with `npx tsx examples/user-info.ts`.
 */
import { FetchHttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Option, Redacted } from "effect"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as IdToken from "effect-credentials/oauth/IdToken"
import * as UserInfo from "effect-credentials/oauth/UserInfo"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as IdentityProvider from "./demo/identityProvider.js"
import * as Person from "./demo/person.js"

const client = { id: "demo-app" }

/** The person's browser, which knows them again until its session is ended. */
const visit = Person.browser()

/** A real program takes `SystemBrowser.layer` here. */
const BrowserLayer = BrowserLauncher.layerTest((url) => Effect.asVoid(Effect.forkDaemon(visit(url))))

/** The login of the program, kept in memory only. */
const SignInLayer = (server: AuthorizationServer.AuthorizationServer) =>
  SignIn.layer({ refresh: { server, client } }).pipe(
    Layer.provide(BrowserLogin.layer({ server, client, scopes: ["openid", "profile"] })),
    Layer.provide([MemoryVault.layer, NodeCallbackListener.layer, BrowserLayer, LoginPrompt.layerSilent])
  )

/** Whoever gets an ID token from elsewhere, from another program say, verifies it before it is believed. */
const forged = (server: AuthorizationServer.AuthorizationServer) =>
  Effect.gen(function*() {
    const { verify } = yield* IdToken.make({ server, client })
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
    const payload = { iss: server.issuer, sub: "bob", aud: client.id, iat: 0, exp: 1 }
    const idToken = `${part({ alg: "RS256", kid: "demo" })}.${part(payload)}.${"A".repeat(342)}`
    const error = yield* Effect.flip(verify(Redacted.make(idToken)))
    yield* Console.log(`a forged one:  ${error.message}`)
  })

const commands = (server: AuthorizationServer.AuthorizationServer) =>
  Effect.gen(function*() {
    const signIn = yield* SignIn.SignIn
    const token = yield* signIn.login
    const { aud, sub } = yield* Effect.flatten(signIn.user)
    yield* Console.log(`the ID token:  ${sub}, logged in to ${aud.join(", ")}`)
    yield* forged(server)

    const users = yield* UserInfo.make({ server, client })
    yield* Console.log(`the person:    ${(yield* users.fetch(token, sub)).name}`)
    yield* Console.log(`somebody else: ${(yield* Effect.flip(users.fetch(token, "bob"))).message}`)

    // A real program opens the address with its `BrowserLauncher`, and says so where that fails.
    yield* signIn.logout({ browser: (address) => Effect.orDie(visit(Redacted.value(address))) })
    yield* Console.log(`after logout:  ${(yield* Effect.flip(users.fetch(token, sub))).message}`)
    yield* Console.log("the browser:   its session is ended as well")
    yield* Console.log(`the ID token:  ${Option.isNone(yield* signIn.user) ? "nobody's" : "still there"}`)
  })

const program = Effect.gen(function*() {
  const { issuer } = yield* IdentityProvider.make({ api: "https://api.example.com", lifetime: 3600 })
  const server = yield* AuthorizationServer.discover({ issuer })
  yield* Effect.provide(commands(server), SignInLayer(server))
})

program.pipe(
  Effect.scoped,
  Effect.provide(FetchHttpClient.layer),
  NodeRuntime.runMain
)

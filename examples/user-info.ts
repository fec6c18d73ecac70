/**
 * Who is it? A login in a browser, the verified ID token, what the server tells about the person beside it, and a
 * logout that leaves nothing alive: the tokens are revoked, then the session in the browser is ended. The identity
 * provider is a real one on loopback, and the person with the browser is a script.
 * Run it with `npx tsx examples/user-info.ts`.
 */
import { FetchHttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Option, Redacted } from "effect"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as EndSession from "effect-credentials/oauth/EndSession"
import * as IdToken from "effect-credentials/oauth/IdToken"
import * as Revocation from "effect-credentials/oauth/Revocation"
import * as UserInfo from "effect-credentials/oauth/UserInfo"
import * as IdentityProvider from "./demo/identityProvider.js"
import * as Person from "./demo/person.js"

/** A real program takes `SystemBrowser.layer` here. */
const BrowserLayer = BrowserLauncher.layerTest((url) => Effect.asVoid(Effect.forkDaemon(Person.approve(url))))

const LoginLayer = Layer.mergeAll(BrowserLayer, LoginPrompt.layerSilent, NodeCallbackListener.layer)

const program = Effect.gen(function*() {
  const { issuer } = yield* IdentityProvider.make({ api: "https://api.example.com", lifetime: 3600 })
  const server = yield* AuthorizationServer.discover({ issuer })
  const client = { id: "demo-app" }

  const browser = yield* BrowserLogin.make({ server, client, scopes: ["openid", "profile"] })
  const grant = yield* browser.login

  // Whoever gets an ID token from elsewhere, from another program say, verifies it before it is believed.
  const { verify } = yield* IdToken.make({ server, client })
  const idToken = yield* Effect.fromNullable(grant.idToken)
  const { aud, sub } = yield* verify(idToken)
  yield* Console.log(`the ID token:  ${sub}, logged in to ${aud.join(", ")}`)
  const [header, payload] = Redacted.value(idToken).split(".")
  const forged = yield* Effect.flip(verify(Redacted.make(`${header}.${payload}.${"A".repeat(342)}`)))
  yield* Console.log(`a forged one:  ${forged.message}`)

  const users = yield* UserInfo.make({ server, client })
  yield* Console.log(`the person:    ${(yield* users.fetch(grant.token, sub)).name}`)
  yield* Console.log(`somebody else: ${(yield* Effect.flip(users.fetch(grant.token, "bob"))).message}`)

  yield* Effect.flatMap(Revocation.make({ server, client }), (revocation) => revocation.revoke(grant))
  yield* Console.log(`after logout:  ${(yield* Effect.flip(users.fetch(grant.token, sub))).message}`)

  const end = yield* EndSession.url({ server, client, idToken })
  yield* Option.match(end, {
    onNone: () => Console.log("the browser:   this server ends no sessions"),
    onSome: (url) =>
      Effect.zipRight(
        Person.approve(Redacted.value(url)),
        Console.log("the browser:   its session is ended as well")
      )
  })
})

program.pipe(
  Effect.scoped,
  Effect.provide([FetchHttpClient.layer, LoginLayer]),
  NodeRuntime.runMain
)

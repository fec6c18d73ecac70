/**
 * A command-line program whose login picks its way: a browser at a desk, a code over SSH, and for a service, whose prompts
 * nobody sees, an error that says what to do. What is for the person goes to the standard error; the output is the
 * program's own. The identity provider is a real one on loopback, and the person is a script; the login over SSH takes
 * some seconds, since the provider wants five between two polls. Run it with `npx tsx examples/cli-login.ts`.
 */
import { FetchHttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import * as AnyLogin from "effect-credentials/login/AnyLogin"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import { Login } from "effect-credentials/login/Login"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as StderrTerminal from "effect-credentials/login/StderrTerminal"
import * as Surroundings from "effect-credentials/login/Surroundings"
import * as TerminalPrompt from "effect-credentials/login/TerminalPrompt"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as IdToken from "effect-credentials/oauth/IdToken"
import * as IdentityProvider from "./demo/identityProvider.js"
import * as Person from "./demo/person.js"

const client = { id: "demo-app" }

/** Both logins of the program, as one. */
const login = (issuer: string) =>
  Layer.unwrapEffect(Effect.map(AuthorizationServer.discover({ issuer }), (server) => {
    const options = { server, client, scopes: ["openid"] }
    return AnyLogin.layer({ name: "app", browser: options, device: options })
  }))

/** The command: who is it? */
const whoami = (issuer: string) =>
  Effect.gen(function*() {
    const grant = yield* Effect.flatMap(Login, ({ login }) => login)
    const server = yield* AuthorizationServer.discover({ issuer })
    const { verify } = yield* IdToken.make({ server, client })
    const { sub } = yield* Effect.flatMap(Effect.fromNullable(grant.idToken), verify)
    yield* Console.log(`  I am ${sub}`)
  }).pipe(
    Effect.provide(login(issuer)),
    Effect.catchTag("TokenUnavailable", (error) => Console.log(`  ${error.message}`))
  )

/** The scripted person, where a real program has nothing but `TerminalPrompt.layer()`: follows the link, as with a phone. */
const PromptLayer = Layer.effect(
  LoginPrompt.LoginPrompt,
  Effect.map(LoginPrompt.LoginPrompt, (prompt) =>
    LoginPrompt.make({
      ...prompt,
      show: (shown) =>
        Effect.zipRight(
          prompt.show(shown),
          shown._tag === "Device" ? approve(shown.verificationUriComplete ?? "") : Effect.void
        ),
      progress: (told) =>
        Effect.zipRight(
          prompt.progress(told),
          told._tag === "Chosen" ? Console.log(`  by a code: ${told.why}`) : Effect.void
        )
    }))
).pipe(Layer.provide(TerminalPrompt.layer()), Layer.provide(StderrTerminal.layer))

/** A real program takes `SystemBrowser.layer` here. */
const BrowserLayer = BrowserLauncher.layerTest((url) =>
  Effect.zipRight(Console.log("  a browser opens"), approve(url))
)

const approve = (url: string) => Effect.asVoid(Effect.forkDaemon(Person.approve(url)))

/** A real program takes `Surroundings.layer` here, which looks for itself. */
const places: Readonly<Record<string, Partial<Surroundings.Facts>>> = {
  "at a desk": { display: true },
  "over SSH": { remote: "SSH_CONNECTION", display: false },
  "as a service": { display: false, terminal: false }
}

const program = Effect.gen(function*() {
  const { issuer } = yield* IdentityProvider.make({ api: "https://api.example.com", lifetime: 3600 })
  yield* Effect.forEach(Object.entries(places), ([name, facts]) =>
    Effect.zipRight(
      Console.log(name),
      Effect.provide(whoami(issuer), Surroundings.layerOf(facts))
    ))
})

program.pipe(
  Effect.scoped,
  Effect.provide([FetchHttpClient.layer, NodeCallbackListener.layer, BrowserLayer, PromptLayer]),
  NodeRuntime.runMain
)

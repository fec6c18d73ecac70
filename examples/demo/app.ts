/**
 * The ordinary Effect app of the demo. It knows one Layer for its token: environment, then vault, then renewal, then
 * a login, on another device or in a browser. It calls a protected API again and again, and prints what happens as lines of JSON.
 */
import { FetchHttpClient, HttpClient } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Clock, Config, Console, Effect, Layer, Schedule, Stream } from "effect"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as RefreshPolicy from "effect-credentials/RefreshPolicy"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenChain from "effect-credentials/TokenChain"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStream from "effect-credentials/TokenStream"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as VaultKey from "effect-credentials/vault/VaultKey"
import type * as Events from "./events.js"

class ApiToken extends TokenSource.Tag("demo/ApiToken")<ApiToken>() {}

const settings = Config.all({
  api: Config.string("DEMO_API"),
  issuer: Config.string("DEMO_ISSUER"),
  login: Config.literal("browser", "device")("DEMO_LOGIN"),
  vault: Config.string("DEMO_VAULT")
})

const ApiTokenLayer = ApiToken.layer(Effect.gen(function*() {
  const { api, issuer, login } = yield* settings
  const server = yield* AuthorizationServer.discover({ issuer })
  const client = { id: "demo-app" }
  const loginOptions = { server, client, scopes: ["openid", "read"], resource: api }
  return yield* TokenChain.firstOf([
    TokenSource.env("DEMO_API_TOKEN"),
    Persisted.make({
      name: "demo login",
      key: yield* VaultKey.make({ prefix: "demo-", resource: api, issuer }),
      redeem: yield* RefreshToken.make({ server, client }),
      login: yield* login === "browser" ? BrowserLogin.make(loginOptions) : DeviceLogin.make(loginOptions)
    })
  ]).pipe(TokenCache.cached({ policy: RefreshPolicy.make({ backoff: { cap: 4_000 } }) }))
}))

const VaultLayer = Layer.unwrapEffect(
  Effect.map(settings, ({ vault }) => FileVault.layer({ directory: vault }))
)

const report = (event: Events.AppEvent) => Console.log(JSON.stringify(event))

/** What the person has to do goes to whoever started this app. */
const PromptLayer = Layer.succeed(
  LoginPrompt.LoginPrompt,
  LoginPrompt.make({
    show: (prompt) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        report({
          _tag: "Prompt",
          text: LoginPrompt.render(prompt, now),
          url: prompt._tag === "Device"
            ? prompt.verificationUriComplete ?? prompt.verificationUri
            : prompt.url
        })),
    progress: () => Effect.void
  })
)

/** Nor does it open a browser itself: that is for the person. */
const LoginLayer = Layer.mergeAll(
  PromptLayer,
  NodeCallbackListener.layer,
  BrowserLauncher.layerNone("this is a demo")
)

const program = Effect.gen(function*() {
  const { api } = yield* settings
  const source = yield* ApiToken
  const client = HttpAuth.bearer(source, { origins: api, interactive: true })(yield* HttpClient.HttpClient)
  yield* TokenStream.changes(source).pipe(
    Stream.filter((status) => status.health !== "Refreshing"),
    Stream.runForEach(({ failure, health, token }) =>
      report({
        _tag: "Status",
        health,
        generation: token?.generation,
        expiresAt: token?.expiresAt,
        failure: failure?.message
      })
    ),
    Effect.fork
  )
  const call = client.get(`${api}/hello`).pipe(
    Effect.flatMap((response) => Effect.zipRight(response.text, Effect.succeed(response.status))),
    Effect.scoped,
    Effect.matchEffect({
      onSuccess: (status) => report({ _tag: "Call", ok: status === 200, detail: `HTTP ${status}` }),
      onFailure: (error) => report({ _tag: "Call", ok: false, detail: error.message })
    })
  )
  yield* Effect.repeat(call, Schedule.spaced("200 millis"))
})

program.pipe(
  Effect.provide(ApiTokenLayer.pipe(
    Layer.provide([VaultLayer, LoginLayer]),
    Layer.provideMerge(Layer.merge(FetchHttpClient.layer, NodeContext.layer))
  )),
  NodeRuntime.runMain
)

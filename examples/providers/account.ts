/**
 * Where the examples of this folder get their client from. With `GOOGLE_CLIENT_ID` (and `GOOGLE_CLIENT_SECRET`, if
 * the client has one) in the environment, `google.ts` logs you in at Google itself; without it, it talks to a record
 * that was written from Google's documents, and nobody has to be there. The others have names of their own in the place
 * of `GOOGLE`.
 */
import { FetchHttpClient, HttpClient } from "@effect/platform"
import { NodeRuntime, NodeTerminal } from "@effect/platform-node"
import { Clock, Config, Console, Duration, Effect, Layer, Option, Queue, Redacted } from "effect"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import type { CallbackListener } from "effect-credentials/login/CallbackListener"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as SystemBrowser from "effect-credentials/login/SystemBrowser"
import * as TerminalPrompt from "effect-credentials/login/TerminalPrompt"
import * as SignIn from "effect-credentials/manager/SignIn"
import type * as Client from "effect-credentials/oauth/Client"
import * as Provider from "effect-credentials/provider/Provider"
import type * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as Replay from "../../test/provider/Replay.js"

/** What a login needs of its surroundings. */
type Surroundings =
  | HttpClient.HttpClient
  | LoginPrompt.LoginPrompt
  | BrowserLauncher.BrowserLauncher
  | CallbackListener

/** Runs the program of an example with the client that there is. */
export const run = <E>(
  provider: Provider.Provider,
  program: (client: Client.Client) => Effect.Effect<void, E, Surroundings>
): void => {
  const name = provider.id.toUpperCase().replaceAll("-", "_")
  Effect.gen(function*() {
    const id = yield* Config.option(Config.nonEmptyString(`${name}_CLIENT_ID`))
    const secret = Option.getOrUndefined(yield* Config.option(Config.redacted(`${name}_CLIENT_SECRET`)))
    if (Option.isSome(id)) {
      const client = Provider.client(provider, { id: id.value, secret })
      return yield* Effect.provide(program(client), RealLayer)
    }
    const contract = impatient(Replay.read(provider.id))
    yield* Console.log(`${name}_CLIENT_ID is not set: this is a record of ${provider.name}.`)
    yield* Console.log(`It was written from ${contract.writtenFrom}.`)
    const replay = yield* Replay.make(contract)
    const recorded = contract.client.secret
    const client = Provider.client(provider, {
      id: contract.client.id,
      secret: recorded === undefined ? undefined : Redacted.make(recorded)
    })
    yield* Effect.provide(program(client), recordedLayer(replay))
    yield* Console.log(`requests that the record does not know: ${replay.complaints.length}`)
  }).pipe(NodeRuntime.runMain)
}

const RealLayer = Layer.mergeAll(
  FetchHttpClient.layer,
  Layer.provide(TerminalPrompt.layer(), NodeTerminal.layer),
  SystemBrowser.layer,
  NodeCallbackListener.layer
)

/** The provider is its record, and so is the person in front of the browser. */
const recordedLayer = (replay: Replay.Replay) =>
  Layer.mergeAll(
    replay.layer,
    NodeCallbackListener.layer,
    BrowserLauncher.layerTest((url) => Effect.asVoid(Effect.forkDaemon(comeBack(replay, url)))),
    Layer.effect(
      LoginPrompt.LoginPrompt,
      Effect.map(Queue.unbounded<Redacted.Redacted<string>>(), (pastes) =>
        LoginPrompt.make({
          show: (prompt) =>
            Effect.gen(function*() {
              const text = LoginPrompt.render(prompt, yield* Clock.currentTimeMillis)
              yield* Console.log(text.split("\n")[0])
              if (prompt._tag === "Browser" && !prompt.opened) {
                yield* Queue.offer(pastes, yield* copy(replay, prompt.url))
              }
            }),
          progress: () => Effect.void,
          pasted: () => Queue.take(pastes)
        }))
    )
  )

/** As a browser does that is sent back to this machine. */
const comeBack = (replay: Replay.Replay, url: string) =>
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const callback = yield* replay.browse(url)
    const redirectUri = new URL(url).searchParams.get("redirect_uri")
    yield* client.get(`${redirectUri}?${callback}`)
  }).pipe(Effect.scoped, Effect.ignore, Effect.provide(FetchHttpClient.layer))

/** As a person does who is shown a code. */
const copy = (replay: Replay.Replay, url: string) =>
  Effect.map(
    replay.browse(url),
    (callback) => Redacted.make(`${callback.get("code")}#${callback.get("state")}`)
  )

/** Polls every second, so that nobody waits for an example. */
const impatient = (contract: Replay.Contract): Replay.Contract =>
  JSON.parse(
    JSON.stringify(contract),
    (name, value: unknown) => name === "interval" ? 1 : value
  ) as Replay.Contract

/** What each of the examples does once its login is set up. */
export const session: Effect.Effect<void, TokenError, SignIn.SignIn> = Effect.gen(function*() {
  const { baseUrl, login, logout, refresh } = yield* SignIn.SignIn
  const tellAddress = Effect.flatMap(
    baseUrl,
    Option.match({
      onNone: () => Effect.void,
      onSome: (address) => Console.log(`  the API is at ${address}`)
    })
  )
  yield* show("logged in", yield* login)
  yield* tellAddress
  yield* show("renewed", yield* refresh)
  yield* tellAddress
  yield* logout()
  yield* Console.log("logged out")
})

/** What may be shown of a token. */
export const show = (what: string, { expiresAt, type, value }: Token.Token) =>
  Effect.gen(function*() {
    const left = expiresAt - (yield* Clock.currentTimeMillis)
    const good = Number.isFinite(left)
      ? `for ${Duration.format(Duration.minutes(Math.round(left / 60_000)))}`
      : "for ever"
    yield* Console.log(`${what}: ${type} ${value}, good ${good}`)
  })

/** A login in a browser on the virtual clock: a listener and a server that are functions. */
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as CallbackListener from "effect-credentials/login/CallbackListener"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import { json, serve } from "../oauth/kit.js"
import type { Call, Handler } from "../oauth/kit.js"

export const redirectUri = "http://127.0.0.1:5555/callback"

export interface Options extends Partial<BrowserLogin.Options> {
  readonly token?: Handler | undefined
  readonly listen?: CallbackListener.Service["listen"] | undefined
  readonly open?: BrowserLauncher.Service["open"] | undefined
  readonly launcher?: Layer.Layer<BrowserLauncher.BrowserLauncher> | undefined
  readonly pasted?: LoginPrompt.Service["pasted"] | undefined
  readonly show?: LoginPrompt.Service["show"] | undefined
}

export const granted: Handler = () => Effect.sync(json({ access_token: "t", expires_in: 60 }))

/** A login, and everything that goes in and out. */
export const setup = (given: Options = {}) =>
  Effect.gen(function*() {
    const { launcher, listen, open, pasted, show, token, ...options } = given
    const calls: Array<Call> = []
    const queue = yield* Queue.unbounded<LoginPrompt.Prompt | LoginPrompt.Progress>()
    const visits = yield* Queue.unbounded<CallbackListener.Visit>()
    const log: Array<string> = []
    const listener: CallbackListener.Service = {
      listen: listen ?? (() =>
        Effect.acquireRelease(
          Effect.sync(() => {
            log.push("listens")
            return { redirectUri, next: Queue.take(visits) }
          }),
          () => Effect.sync(() => log.push("closed"))
        ))
    }
    const server = yield* AuthorizationServer.make({
      issuer: "https://idp.test",
      tokenEndpoint: "https://idp.test/token",
      authorizationEndpoint: "https://idp.test/authorize",
      pushedAuthorizationRequestEndpoint: "https://idp.test/par"
    })
    const login = yield* BrowserLogin.make({ server, client: { id: "app" }, name: "acme", ...options }).pipe(
      Effect.provide(Layer.mergeAll(
        serve(token ?? granted, calls),
        launcher ?? BrowserLauncher.layerTest(open ?? (() => Effect.void)),
        Layer.succeed(CallbackListener.CallbackListener, listener),
        Layer.succeed(
          LoginPrompt.LoginPrompt,
          LoginPrompt.make({
            show: show ?? ((prompt) => Queue.offer(queue, prompt)),
            progress: (progress) => Queue.offer(queue, progress),
            pasted
          })
        )
      ))
    )
    return {
      login,
      calls,
      log,
      /** The next thing that the person is told, which must be this. */
      prompt: Effect.flatMap(Queue.take(queue), (told) =>
        told._tag === "Browser" ? Effect.succeed(told) : Effect.dieMessage(`told ${told._tag}`)),
      told: Effect.map(Queue.takeAll(queue), (all) =>
        Chunk.toReadonlyArray(all).map((one) =>
          "detail" in one ? `${one._tag}: ${one.detail}` : one._tag
        )),
      visit: visit(visits)
    }
  })

/** Comes with this query; gives the page once there is one. */
const visit =
  (visits: Queue.Enqueue<CallbackListener.Visit>) =>
  (query: string, _tag: CallbackListener.Visit["_tag"] = "Callback") =>
    Effect.gen(function*() {
      const answer = yield* Deferred.make<Effect.Effect<CallbackListener.Page>>()
      yield* Queue.offer(visits, {
        _tag,
        parameters: Redacted.make(new URLSearchParams(query)),
        answer: (page) => Effect.asVoid(Deferred.succeed(answer, page))
      })
      return yield* Effect.fork(Effect.flatten(Deferred.await(answer)))
    })

/** The query of a callback that belongs to the login that was begun at this address. */
export const belonging = (url: string, fields: Readonly<Record<string, string>> = { code: "c" }): string =>
  new URLSearchParams({ ...fields, state: new URL(url).searchParams.get("state") ?? "" }).toString()

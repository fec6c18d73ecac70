import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, it } from "@effect/vitest"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import { request } from "node:http"
import { createServer } from "node:net"
import * as OidcProvider from "../support/OidcProvider.js"

/** A login at a real provider whose person pastes what is in the queue, and reads the prompts. */
const begin = (options: Partial<BrowserLogin.Options>) =>
  Effect.gen(function*() {
    const idp = yield* OidcProvider.make()
    const pastes = yield* Queue.unbounded<string>()
    const prompts = yield* Queue.unbounded<LoginPrompt.Prompt>()
    const services = yield* Layer.build(Layer.mergeAll(
      NodeHttpClient.layerUndici,
      NodeCallbackListener.layer,
      BrowserLauncher.layerNone("this is a remote machine"),
      Layer.succeed(
        LoginPrompt.LoginPrompt,
        LoginPrompt.make({
          show: (prompt) => Queue.offer(prompts, prompt),
          progress: () => Effect.void,
          pasted: () => Effect.map(Queue.take(pastes), Redacted.make)
        })
      )
    ))
    const server = yield* Effect.provide(AuthorizationServer.discover({ issuer: idp.issuer }), services)
    const { login } = yield* Effect.provide(
      BrowserLogin.make({ server, client: { id: "native" }, scopes: ["openid"], ...options }),
      services
    )
    const fiber = yield* Effect.fork(Effect.exit(login))
    const prompt = yield* Effect.raceFirst(
      Queue.take(prompts),
      Effect.flatMap(Fiber.join(fiber), (exit) => Effect.dieMessage(`it ended at once: ${String(exit)}`))
    )
    const { url } = prompt._tag === "Browser" ? prompt : yield* Effect.dieMessage("no browser")
    return { fiber, idp, paste: (text: string) => Queue.offer(pastes, text), prompt, url }
  })

/** What a browser does that looks up the name as this address: follows the redirects, and gives the last page. */
const visit = (address: string, host: string): Effect.Effect<string> =>
  Effect.async<string>((resume) => {
    const { host: authority, pathname, port, search } = new URL(address)
    const sent = request(
      { host, port, path: pathname + search, headers: { host: authority }, agent: false },
      (response) => {
        const { location } = response.headers
        if (location !== undefined) return resume(visit(new URL(location, address).href, host))
        let text = ""
        response.on("data", (chunk) => {
          text += String(chunk)
        })
        response.on("end", () => resume(Effect.succeed(text)))
      }
    )
    sent.on("error", (error) => resume(Effect.die(error)))
    sent.end()
  })

const hasSix = Effect.async<boolean>((resume) => {
  const server = createServer()
  server.once("error", () => resume(Effect.succeed(false)))
  server.listen(0, "::1", () => server.close(() => resume(Effect.succeed(true))))
})

const ways = [
  ["127.0.0.1", "127.0.0.1"],
  ["[::1]", "::1"],
  ["localhost", "127.0.0.1"],
  ["localhost", "::1"]
] as const

it.scopedLive.each(ways)(
  "F37: the login comes back to %s, which the browser takes for %s",
  ([host, address]) =>
    Effect.gen(function*() {
      if (address === "::1" && !(yield* hasSix)) return
      const { fiber, idp, url } = yield* begin({ redirect: { host } })
      const callback = yield* idp.authorize(url)
      assert.isTrue(callback.startsWith(`http://${host}:`))
      assert.include(yield* visit(callback, address), "You are logged in")
      const grant = yield* Effect.flatten(Fiber.join(fiber))
      assert.isDefined(grant.idToken)
    })
)

it.scopedLive("F37: over SSH, the address at which the browser of another machine ended is pasted", () =>
  Effect.gen(function*() {
    const { fiber, idp, paste, prompt, url } = yield* begin({})
    assert.deepInclude(prompt, { opened: false, canPaste: true })
    yield* paste(yield* idp.authorize(url))
    const grant = yield* Effect.flatten(Fiber.join(fiber))
    assert.isDefined(grant.refreshToken)
  }))

it.scopedLive("F37: and where no port can be opened at all, a registered address of somebody else will do", () =>
  Effect.gen(function*() {
    // The provider ignores the port of a loopback address, as RFC 8252 §7.3 has it.
    const { fiber, idp, paste, url } = yield* begin({ redirect: { manual: "http://127.0.0.1:1/callback" } })
    yield* paste(yield* idp.authorize(url))
    yield* Effect.flatten(Fiber.join(fiber))
  }))

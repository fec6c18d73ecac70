import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, layer } from "@effect/vitest"
import type { Vitest } from "@effect/vitest"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import type * as CallbackListener from "effect-credentials/login/CallbackListener"
import * as LoginPages from "effect-credentials/login/LoginPages"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import { networkInterfaces } from "node:os"
import { join } from "node:path"
import type * as Playwright from "playwright-core"
import * as Chromium from "../support/Chromium.js"
import * as OidcProvider from "../support/OidcProvider.js"

type OnRequest = (request: HttpClientRequest.HttpClientRequest) => Effect.Effect<void>

const services = (urls: Queue.Enqueue<string>, onRequest: OnRequest) =>
  Layer.mergeAll(
    Layer.effect(
      HttpClient.HttpClient,
      Effect.map(HttpClient.HttpClient, HttpClient.tapRequest(onRequest))
    ).pipe(Layer.provide(NodeHttpClient.layerUndici)),
    NodeCallbackListener.layer,
    LoginPrompt.layerSilent,
    BrowserLauncher.layerTest((url) => Effect.asVoid(Queue.offer(urls, url)))
  )

/** One browser for all tests; each has windows of its own. */
class Browser extends Context.Tag("test/Browser")<Browser, Playwright.Browser>() {}

/** Two providers: one that binds tokens to keys as it is, and one that demands a nonce in each proof. */
class Providers extends Context.Tag("test/Providers")<Providers, {
  readonly plain: OidcProvider.OidcProvider
  readonly nonces: OidcProvider.OidcProvider
}>() {}

const provider = (dPoP: object) =>
  OidcProvider.make({
    features: { pushedAuthorizationRequests: { enabled: true }, dPoP: { enabled: true, ...dPoP } }
  })

const shared = Layer.merge(
  Layer.scoped(Browser, Chromium.make),
  Layer.scoped(
    Providers,
    Effect.all({
      plain: provider({}),
      nonces: provider({ nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true })
    })
  )
)

/** A login that has begun, and a window that is open. */
const begin = (
  options: Partial<BrowserLogin.Options> = {},
  onRequest: OnRequest = () => Effect.void,
  nonces = false
) =>
  Effect.gen(function*() {
    const browser = yield* Browser
    const idp = (yield* Providers)[nonces ? "nonces" : "plain"]
    const before = idp.requests.length
    const urls = yield* Queue.unbounded<string>()
    const { login } = yield* Effect.flatMap(
      AuthorizationServer.discover({ issuer: idp.issuer }),
      (server) =>
        BrowserLogin.make({
          server,
          client: { id: "native" },
          scopes: ["openid", "offline_access"],
          authorizationParameters: { prompt: "consent" },
          ...options
        })
    ).pipe(Effect.provide(yield* Layer.build(services(urls, onRequest))))
    const page = yield* Chromium.open(browser)
    const complaints: Array<string> = []
    page.on("console", (message) => {
      if (message.type() === "error" && message.location().url.includes("/callback")) {
        complaints.push(message.text())
      }
    })
    const fiber = yield* Effect.fork(Effect.exit(login))
    const ended = Effect.flatMap(Fiber.join(fiber), (exit) =>
      Effect.dieMessage(`it ended at once: ${String(exit)}`))
    const url = yield* Effect.raceFirst(Queue.take(urls), ended)
    const count = (path: string) =>
      idp.requests.slice(before).filter((one) => one.path === path).length
    return { browser, complaints, count, fiber, page, url }
  })

interface Case {
  readonly name: string
  readonly options: Partial<BrowserLogin.Options>
  /** Whether the provider demands nonces. */
  readonly nonces?: boolean
  readonly redirect?: RegExp
}

const cases: ReadonlyArray<Case> = [
  { name: "as it is", options: {} },
  { name: "with a pushed request", options: { pushed: true } },
  { name: "with DPoP", options: { dpop: true } },
  { name: "with DPoP and nonces", options: { dpop: true }, nonces: true },
  { name: "with a pushed request and DPoP", options: { dpop: true, pushed: true } },
  {
    name: "with a pushed request, DPoP and nonces",
    options: { dpop: true, pushed: true },
    nonces: true
  },
  {
    name: "over the IPv6 loopback",
    options: { redirect: { host: "[::1]" } },
    redirect: /^http:\/\/\[::1\]:/
  },
  { name: "over localhost", options: { redirect: { host: "localhost" } }, redirect: /^http:\/\/localhost:/ }
]

const hasSix = Object.values(networkInterfaces()).flat().some((one) => one?.address === "::1")

const possible = cases.filter(({ options }) =>
  hasSix || options.redirect === undefined ||
  !("host" in options.redirect) || options.redirect.host !== "[::1]"
)

const browsing = describe.runIf(Chromium.available)

/** What the provider is asked before it answers: it refuses the first proof where it wants a nonce in it. */
const requests = ({ nonces, options }: Case): readonly [pushes: number, exchanges: number] => {
  const refused = nonces === true ? 1 : 0
  return options.pushed === true ? [1 + refused, 1] : [0, 1 + refused]
}

browsing("a login in a real browser", () => {
  layer(shared, { excludeTestServices: true })(logins)
})

function logins(it: Vitest.MethodsNonLive<Browser | Providers, true>): void {
  it.scoped.each(possible.map((one) => [one.name, one] as const))(
    "%s",
    ([, one]) =>
      Effect.gen(function*() {
        const { nonces, options, redirect = /^http:\/\/127\.0\.0\.1:/ } = one
        const { complaints, count, fiber, page, url } = yield* begin(options, () => Effect.void, nonces)
        assert.strictEqual(new URL(url).searchParams.has("request_uri"), options.pushed === true)
        yield* Chromium.logIn(page, url)
        assert.strictEqual(yield* Chromium.heading(page), "You are logged in")
        const grant = yield* Effect.flatten(Fiber.join(fiber))
        assert.strictEqual(grant.token.type, options.dpop === true ? "DPoP" : "Bearer")
        assert.strictEqual(grant.token.proofKey === undefined, options.dpop !== true)
        assert.isDefined(grant.refreshToken)
        assert.isDefined(grant.idToken)
        assert.match(page.url(), redirect)
        assert.isTrue(page.url().endsWith("/callback/done"))
        assert.deepStrictEqual(complaints, [])
        assert.deepStrictEqual([count("/request"), count("/token")], requests(one))
      }),
    60_000
  )

  it.scoped("leaves no code in the history", () =>
    Effect.gen(function*() {
      const { fiber, page, url } = yield* begin()
      yield* Chromium.logIn(page, url)
      yield* Chromium.heading(page)
      yield* Fiber.join(fiber)
      const session = yield* Effect.promise(() => page.context().newCDPSession(page))
      const history = yield* Effect.promise(() => session.send("Page.getNavigationHistory"))
      const entries = history.entries.flatMap((entry) => [entry.url, entry.userTypedURL])
      assert.isTrue(entries.some((entry) => entry.endsWith("/callback/done")))
      assert.notMatch(entries.join(), /[?&]code=/)
    }), 60_000)

  it.scoped("that the person cancels", () =>
    Effect.gen(function*() {
      const { fiber, page, url } = yield* begin()
      yield* Chromium.logIn(page, url, { abort: true })
      assert.strictEqual(yield* Chromium.heading(page), "Access was not allowed")
      const error = yield* Effect.flip(Effect.flatten(Fiber.join(fiber)))
      assert.strictEqual(error.reason, "AccessDenied")
    }), 60_000)

  it.scoped("whose code can't be redeemed", () =>
    Effect.gen(function*() {
      const { fiber, page, url } = yield* begin({
        client: { id: "web", auth: Client.basic(Redacted.make("wrong")) }
      })
      yield* Chromium.logIn(page, url)
      assert.strictEqual(yield* Chromium.heading(page), "You are not logged in")
      const error = yield* Effect.flip(Effect.flatten(Fiber.join(fiber)))
      assert.strictEqual(error.reason, "InvalidClient")
    }), 60_000)

  it.scoped("that the program gives up while it redeems the code", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const { fiber, page, url } = yield* begin({}, (request) =>
        request.url.endsWith("/token")
          ? Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never)
          : Effect.void)
      // The last click waits for the page that it leads to.
      const person = yield* Effect.fork(Chromium.logIn(page, url))
      yield* Deferred.await(asked)
      yield* Effect.sleep("500 millis")
      yield* Fiber.interrupt(fiber)
      yield* Fiber.join(person)
      assert.strictEqual(yield* Chromium.heading(page), "The login was cancelled")
    }), 60_000)

  it.scoped("goes on after a visit that does not belong to it", () =>
    Effect.gen(function*() {
      const { browser, fiber, page, url } = yield* begin()
      const stranger = yield* Chromium.open(browser)
      const redirectUri = new URL(url).searchParams.get("redirect_uri") ?? ""
      yield* Effect.promise(() => stranger.goto(`${redirectUri}?error=x&error_description=<img src=x>`))
      assert.strictEqual(yield* Chromium.heading(stranger), "This page belongs to no login")
      yield* Chromium.logIn(page, url)
      assert.strictEqual(yield* Chromium.heading(page), "You are logged in")
      yield* Effect.flatten(Fiber.join(fiber))
    }), 60_000)
}

const states: ReadonlyArray<LoginPages.State> = [
  { _tag: "Succeeded" },
  { _tag: "Denied" },
  { _tag: "Expired" },
  { _tag: "Cancelled" },
  {
    _tag: "Failed",
    reason: "InvalidClient",
    hint: "Check the client id, its secret or key, how it authenticates, and which grants it may use."
  },
  { _tag: "Unrelated" },
  { _tag: "AlreadyDone" }
]

const screens: Readonly<Record<string, Playwright.BrowserContextOptions>> = {
  light: { colorScheme: "light", viewport: { width: 1000, height: 640 } },
  dark: { colorScheme: "dark", viewport: { width: 1000, height: 640 } },
  phone: {
    colorScheme: "light",
    viewport: { width: 320, height: 568 },
    deviceScaleFactor: 2,
    isMobile: true
  },
  large: { colorScheme: "dark", viewport: { width: 320, height: 256 }, isMobile: true }
}

/** Pictures go to this directory, where one is named. */
const pictures = process.env["PICTURES"]

/** Serves the pages one after the other. */
const serve = (pages: ReadonlyArray<CallbackListener.Page>) =>
  Effect.tap(
    NodeCallbackListener.make.listen({ path: "/page", resultPath: "/other" }),
    ({ next }) =>
      Effect.forkScoped(Effect.forever(Effect.flatMap(next, ({ answer, parameters }) => {
        const page = pages[Number(Redacted.value(parameters).get("n"))]
        return page === undefined ? Effect.dieMessage("no such page") : answer(Effect.succeed(page))
      })))
  )

/** What can be wrong with a page that is shown, by what the browser makes of it. */
const examine = (page: Playwright.Page) =>
  Effect.promise(() =>
    page.evaluate(() => {
      const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number)
      const luminance = (color: string) => {
        const [red = 0, green = 0, blue = 0] = channels(color).map((channel) => {
          const part = channel / 255
          return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
        })
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue
      }
      const card = getComputedStyle(document.querySelector("main") ?? document.body).backgroundColor
      const contrast = (color: string) => {
        const [one, other] = [luminance(color), luminance(card)]
        return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
      }
      const texts = [...document.querySelectorAll("main p, main h1")]
      return {
        text: Math.min(...texts.map((element) => contrast(getComputedStyle(element).color))),
        picture: Math.min(
          ...[...document.querySelectorAll("svg")].map((element) =>
            contrast(getComputedStyle(element).stroke)
          )
        ),
        sideways: document.documentElement.scrollWidth > document.documentElement.clientWidth,
        small: Math.min(...texts.map((element) => parseFloat(getComputedStyle(element).fontSize))),
        language: document.documentElement.lang,
        headings: document.querySelectorAll("h1").length,
        title: document.title
      }
    })
  )

browsing("the pages", () => {
  layer(Layer.scoped(Browser, Chromium.make), { excludeTestServices: true })(pages)
})

function pages(it: Vitest.MethodsNonLive<Browser, true>): void {
  it.scoped.each(Object.entries(screens))(
    "are readable on a screen that is %s",
    ([name, screen]) =>
      Effect.gen(function*() {
        const browser = yield* Browser
        const render = yield* LoginPages.make("browser login at idp.example", { name: "Acme Tools" })
        const door = yield* serve(states.map(render))
        const page = yield* Chromium.open(browser, screen)
        const complaints: Array<string> = []
        page.on("console", (message) => complaints.push(message.text()))
        for (const [index, state] of states.entries()) {
          yield* Effect.promise(() => page.goto(`${door.redirectUri}?n=${index}`))
          const found = yield* examine(page)
          assert.isAtLeast(found.text, 7, `${state._tag}: contrast of the text`)
          assert.isAtLeast(found.picture, 4.5, `${state._tag}: contrast of the picture`)
          assert.isAtLeast(found.small, 14)
          assert.isFalse(found.sideways)
          assert.deepStrictEqual([found.language, found.headings], ["en", 1])
          assert.match(found.title, / · Acme Tools$/)
          if (pictures !== undefined) {
            yield* Effect.promise(() =>
              page.screenshot({ path: join(pictures, `${state._tag}-${name}.png`) })
            )
          }
        }
        // A status of 400 is itself a message to the console.
        assert.deepStrictEqual(complaints.filter((text) => !text.includes("the server responded with")), [])
      }),
    60_000
  )

  const hostile =
    "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">&amp;'\u202e"

  it.scoped("show what is in a name, and run none of it", () =>
    Effect.gen(function*() {
      const browser = yield* Browser
      const render = yield* LoginPages.make(hostile, {
        words: { Denied: { heading: hostile, text: hostile } }
      })
      const door = yield* serve([
        render({ _tag: "Denied" }),
        render({ _tag: "Failed", reason: hostile, hint: hostile })
      ])
      const page = yield* Chromium.open(browser)
      for (const index of [0, 1]) {
        yield* Effect.promise(() => page.goto(`${door.redirectUri}?n=${index}`))
        const { images, scripts, text, title } = yield* Effect.promise(() =>
          page.evaluate(() => ({
            images: document.querySelectorAll("img").length,
            scripts: document.querySelectorAll("script").length,
            text: document.body.innerText,
            title: document.title
          }))
        )
        assert.deepStrictEqual([images, scripts], [0, 0])
        assert.include(text, "<script>")
        assert.include(text, "&amp;")
        assert.notStrictEqual(title, "run")
      }
    }), 60_000)

  it.scoped("may not be put into a frame, and load and run nothing", () =>
    Effect.gen(function*() {
      const browser = yield* Browser
      const render = yield* LoginPages.make("acme")
      const door = yield* serve([render({ _tag: "Succeeded" })])
      const page = yield* Chromium.open(browser)
      yield* Effect.promise(() => page.setContent(`<iframe src="${door.redirectUri}?n=0"></iframe>`))
      yield* Effect.sleep("500 millis")
      const framed = page.frames().find((frame) => frame.url().startsWith(door.redirectUri))
      assert.isUndefined(framed)
      yield* Effect.promise(() => page.goto(`${door.redirectUri}?n=0`))
      const refused = yield* Effect.promise(() =>
        page.evaluate(() =>
          new Promise<string>((resolve) => {
            document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective))
            const script = document.createElement("script")
            script.textContent = "document.title = 'run'"
            document.body.append(script)
          })
        )
      )
      assert.match(refused, /^script-src/)
      assert.notStrictEqual(yield* Effect.promise(() => page.title()), "run")
    }), 60_000)
}

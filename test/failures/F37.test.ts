import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as AnyLogin from "effect-credentials/login/AnyLogin"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as CallbackListener from "effect-credentials/login/CallbackListener"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as Surroundings from "effect-credentials/login/Surroundings"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as TestServices from "effect/TestServices"
import * as Screen from "../login/screen.js"
import { json, serve } from "../oauth/kit.js"

interface Place {
  readonly env?: Record<string, string>
  readonly files?: ReadonlyArray<string>
  readonly isTTY?: boolean
  readonly canPaste?: boolean
  /** Whether the server has a device endpoint. Default true. */
  readonly hasDevice?: boolean
  /** What the program says. */
  readonly way?: Surroundings.Way
}

const device = {
  device_code: "d",
  user_code: "CODE",
  verification_uri: "https://idp.test/go",
  expires_in: 600
}

/** A program with both logins, started in this place; gives what the person was shown and what it came to. */
const logIn = ({ canPaste = false, env = {}, files = [], hasDevice = true, isTTY = true, way }: Place) =>
  Effect.gen(function*() {
    const shown: Array<LoginPrompt.Prompt | LoginPrompt.Progress> = []
    const opened: Array<string> = []
    const server = yield* AuthorizationServer.make({
      issuer: "https://idp.test",
      tokenEndpoint: "https://idp.test/token",
      authorizationEndpoint: "https://idp.test/authorize",
      ...(hasDevice ? { deviceAuthorizationEndpoint: "https://idp.test/device" } : {})
    })
    const common = { server, client: { id: "app" } }
    const prompt = LoginPrompt.make({
      show: (prompt) => Effect.sync(() => shown.push(prompt)),
      progress: (progress) => Effect.sync(() => shown.push(progress)),
      pasted: canPaste ? () => Effect.never : undefined
    })
    const login = yield* AnyLogin.make({ browser: common, device: common, way }).pipe(Effect.provide([
      serve((call) => Effect.sync(json(call.url.endsWith("/device") ? device : { access_token: "t" }))),
      Layer.succeed(LoginPrompt.LoginPrompt, prompt),
      Layer.succeed(CallbackListener.CallbackListener, {
        listen: () => Effect.succeed({ redirectUri: "http://127.0.0.1:5555/callback", next: Effect.never })
      }),
      Layer.provide(Surroundings.layer, [
        Screen.make({ isTTY }).layer,
        FileSystem.layerNoop({
          exists: (path) => Effect.succeed(files.includes(path)),
          readFileString: () => Effect.succeed("6.1.0-18-amd64")
        })
      ]),
      BrowserLauncher.layerTest((url) => Effect.sync(() => void opened.push(url)))
    ]))
    const fiber = yield* login.login.pipe(
      Effect.either,
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env)))),
      Effect.fork
    )
    // Making a challenge takes real time.
    const isOn = () =>
      fiber.unsafePoll() !== null || shown.some(({ _tag }) => _tag === "Browser" || _tag === "Device")
    yield* TestServices.provideLive(Effect.repeat(Effect.sleep("5 millis"), { until: isOn }))
    yield* TestClock.adjust("6 seconds")
    const done = fiber.unsafePoll()
    yield* Fiber.interrupt(fiber)
    const outcome = done?._tag === "Success"
      ? Either.match(done.value, {
        onLeft: ({ reason }) => reason as string,
        onRight: ({ token }) => Redacted.value(token.value)
      })
      : undefined
    return { tags: shown.map(({ _tag }) => _tag), prompts: shown, outcome, opened: opened.length }
  })

const ssh = { SSH_CONNECTION: "10.0.0.1 50000 10.0.0.2 22", SSH_TTY: "/dev/pts/0" }

describe("F37 where no browser can open, the device flow is taken by itself", () => {
  const places: Readonly<Record<string, Place>> = {
    "over SSH": { env: ssh },
    "over SSH with a forwarded display": { env: { ...ssh, DISPLAY: "localhost:10.0" } },
    "over SSH with a browser of text": { env: { ...ssh, BROWSER: "w3m" } },
    "in a container": { env: { DISPLAY: ":0" }, files: ["/.dockerenv"] },
    "in a pod": { env: { KUBERNETES_SERVICE_HOST: "10.0.0.1", DISPLAY: ":0" } },
    "without a display": {},
    "on a build machine, whose log somebody reads": { env: { CI: "true", DISPLAY: ":0" }, isTTY: false },
    "where the person wants it so": { env: { DISPLAY: ":0", EFFECT_CREDENTIALS_LOGIN: "device" } }
  }
  for (const [name, place] of Object.entries(places)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { opened, outcome, tags } = yield* logIn(place)
        assert.strictEqual(outcome, "t")
        assert.strictEqual(opened, 0)
        const chosen = name === "where the person wants it so" ? [] : ["Chosen"]
        assert.deepStrictEqual(tags, [...chosen, "Device", "Succeeded"])
      }))
  }
})

describe("F37 a browser opens", () => {
  const places: Readonly<Record<string, Place>> = {
    "on a desktop": { env: { DISPLAY: ":0" } },
    "on a desktop, for a program that is read by another one": { env: { DISPLAY: ":0" }, isTTY: false },
    "on a Mac": { files: ["/System/Library/CoreServices/SystemVersion.plist"] },
    "in a development container, whose editor forwards it": {
      env: { BROWSER: "/vscode/bin/helpers/browser.sh", REMOTE_CONTAINERS: "true" },
      files: ["/.dockerenv"]
    },
    "over SSH, where the person wants it": { env: { ...ssh, EFFECT_CREDENTIALS_LOGIN: "browser" } },
    "over SSH, where the program says so": { env: ssh, way: "browser" }
  }
  for (const [name, place] of Object.entries(places)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { opened, prompts } = yield* logIn(place)
        assert.strictEqual(opened, 1)
        assert.deepInclude(prompts[0], { _tag: "Browser", opened: true })
      }))
  }
})

it.effect("F37 over SSH, at a server without a device flow, the address is shown and its end pasted", () =>
  Effect.gen(function*() {
    const { opened, prompts, tags } = yield* logIn({ env: ssh, hasDevice: false, canPaste: true })
    assert.deepStrictEqual(tags.slice(0, 2), ["Chosen", "Browser"])
    assert.deepInclude(prompts[1], { opened: false, canPaste: true })
    assert.strictEqual(opened, 0)
  }))

describe("F37 where nobody would see a prompt, the login fails at once and nothing opens", () => {
  const places: Readonly<Record<string, Place>> = {
    "without a terminal and a browser": { env: {}, isTTY: false },
    "on a build machine, at a server without a device flow": {
      env: { CI: "true" },
      isTTY: false,
      hasDevice: false
    },
    "over SSH with neither": { env: ssh, hasDevice: false }
  }
  for (const [name, place] of Object.entries(places)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { opened, outcome, tags } = yield* logIn(place)
        assert.strictEqual(outcome, "LoginRequired")
        assert.strictEqual(opened, 0)
        assert.notInclude(tags, "Browser")
      }))
  }
})

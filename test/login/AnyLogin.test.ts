import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AnyLogin from "effect-credentials/login/AnyLogin"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import type * as Login from "effect-credentials/login/Login"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as Surroundings from "effect-credentials/login/Surroundings"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Token from "effect-credentials/Token"
import { Misconfigured, ReauthRequired, TransientFailure } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { serve } from "../oauth/kit.js"

const fields = { source: "x", detail: "d", hint: "h" }
const unsupported = new Misconfigured({ ...fields, reason: "UnsupportedGrant" })

interface Setting extends AnyLogin.Choice {
  readonly facts?: Partial<Surroundings.Facts>
  /** Why the launcher can't open a browser. */
  readonly none?: string
  readonly canPaste?: boolean
  /** Which logins there are. Default both. */
  readonly has?: ReadonlyArray<"browser" | "device">
  readonly deviceFails?: TokenError
  readonly prompt?: Effect.Effect<void>
}

/** What was done, and what was told. */
const run = ({ canPaste = false, has = ["browser", "device"], ...setting }: Setting) =>
  Effect.gen(function*() {
    const log: Array<string> = []
    const grant = Grant.make({ token: Token.make({ value: Redacted.make("t") }) })
    const login = (name: "browser" | "device", fails?: TokenError): Login.Service | undefined =>
      has.includes(name)
        ? {
          name: `the ${name}`,
          timeLimit: Duration.minutes(name === "browser" ? 5 : 15),
          login: Effect.suspend(() => {
            log.push(name)
            return fails === undefined ? Effect.succeed(grant) : Effect.fail(fails)
          })
        }
        : undefined
    const prompt = LoginPrompt.make({
      show: () => Effect.void,
      progress: (progress) =>
        setting.prompt ?? Effect.sync(() => log.push(LoginPrompt.renderProgress(progress) ?? "")),
      pasted: canPaste ? () => Effect.never : undefined
    })
    const made = yield* AnyLogin.fromLogins({
      browser: login("browser"),
      device: login("device", setting.deviceFails),
      way: setting.way,
      name: setting.name
    }).pipe(Effect.provide([
      Surroundings.layerOf(setting.facts ?? {}),
      Layer.succeed(LoginPrompt.LoginPrompt, prompt),
      setting.none === undefined
        ? BrowserLauncher.layerTest(() => Effect.void)
        : BrowserLauncher.layerNone(setting.none)
    ]))
    const fiber = yield* Effect.fork(Effect.either(made.login))
    yield* TestClock.adjust(setting.prompt === undefined ? 0 : "5 seconds")
    const result = yield* Fiber.join(fiber)
    const error = result._tag === "Left" ? `${result.left._tag} ${result.left.reason}` : undefined
    return { log, error, message: result._tag === "Left" ? result.left.message : "", made }
  })

const remote = { remote: "SSH_TTY", display: false }
const build = { ci: "CI", terminal: false }
const unseen = { display: false, terminal: false }
const byCode = (
  why: string
) => [`the device: ${why}, so the login is done with a code on any device.`, "device"]
const byPaste = (why: string) => [
  `the browser: ${why}, so the login is done in a browser of any machine.`,
  "browser"
]
const ssh = "this is a remote session (SSH_TTY)"

describe("which way is taken", () => {
  const cases: ReadonlyArray<readonly [string, Setting, ReadonlyArray<string>, error?: string]> = [
    ["on a desktop, the browser", {}, ["browser"]],
    ["over SSH, the device login", { facts: remote }, byCode(ssh)],
    ["over SSH, the device login rather than pasting", { facts: remote, canPaste: true }, byCode(ssh)],
    ["with no launcher, the device login", { none: "nothing is installed" }, byCode("nothing is installed")],
    [
      "over SSH without a device login, pasting",
      { facts: remote, canPaste: true, has: ["browser"] },
      byPaste(ssh)
    ],
    ["over SSH with a device login that the server has not, pasting", {
      facts: remote,
      canPaste: true,
      deviceFails: unsupported
    }, [...byCode(ssh), ...byPaste(`${ssh} and the server has no device login`)]],
    ["on a desktop without a browser login, the device login", { has: ["device"] }, ["device"]],
    ["over SSH with no way, none", { facts: remote, has: ["browser"] }, [], "TokenUnavailable LoginRequired"],
    [
      "over SSH with no way that the server has, none",
      { facts: remote, deviceFails: unsupported },
      byCode(ssh),
      "TokenUnavailable LoginRequired"
    ],
    [
      "a device login that fails is not replaced",
      {
        facts: remote,
        canPaste: true,
        deviceFails: new ReauthRequired({ ...fields, reason: "AccessDenied" })
      },
      byCode(ssh),
      "ReauthRequired AccessDenied"
    ],
    [
      "a device login that can't be reached is not replaced",
      {
        facts: remote,
        canPaste: true,
        deviceFails: new TransientFailure({ ...fields, reason: "Network" })
      },
      byCode(ssh),
      "TransientFailure Network"
    ],
    [
      "the only login, that the server has not",
      { has: ["device"], facts: remote, deviceFails: unsupported },
      ["device"],
      "Misconfigured UnsupportedGrant"
    ],
    ["with no login at all, none", { has: [] }, [], "TokenUnavailable LoginRequired"],
    ["on a build machine, the device login", { facts: build }, byCode("this is a build machine (CI)")],
    [
      "on a build machine without a device login, none",
      { facts: build, has: ["browser"] },
      [],
      "TokenUnavailable LoginRequired"
    ],
    ["without a terminal, the browser", { facts: { terminal: false } }, ["browser"]],
    [
      "where nobody would see it, none",
      { facts: unseen, canPaste: true },
      [],
      "TokenUnavailable LoginRequired"
    ],
    ["the one that the option names: device", { way: "device" }, ["device"]],
    ["the one that the option names: browser", { way: "browser", facts: remote }, ["browser"]],
    ["the one that the option names: none", { way: "none" }, [], "TokenUnavailable LoginRequired"],
    ["the one that the variable names: device", { facts: { wanted: "device" } }, ["device"]],
    [
      "the one that the variable names, where nobody would see it",
      { facts: { ...unseen, wanted: "device" } },
      [
        "device"
      ]
    ],
    [
      "the one that the variable names: none",
      { facts: { wanted: "none" } },
      [],
      "TokenUnavailable LoginRequired"
    ],
    [
      "none where the variable names no way that there is",
      { facts: { wanted: "misspelt" } },
      [],
      "Misconfigured InvalidOption"
    ],
    [
      "nor where nobody could be asked anyway",
      { facts: { ...unseen, wanted: "misspelt" } },
      [],
      "Misconfigured InvalidOption"
    ],
    ["the option's, before a variable's that is no way", { way: "device", facts: { wanted: "misspelt" } }, [
      "device"
    ]],
    ["the option's, before the variable's", { way: "browser", facts: { wanted: "device" } }, ["browser"]],
    [
      "one that is asked for and not there",
      { way: "browser", has: ["device"] },
      [],
      "Misconfigured InvalidOption"
    ]
  ]
  for (const [name, setting, log, error] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const done = yield* run(setting)
        assert.deepStrictEqual(done.log, log)
        assert.strictEqual(done.error, error)
      }))
  }
})

it.effect("where nobody can be asked, the error says why and what to do", () =>
  Effect.gen(function*() {
    const { message } = yield* run({ facts: unseen })
    assert.strictEqual(
      message,
      "the browser: a login is needed and nobody can be asked: there is no terminal, and no browser can open. " +
        "Log in from a terminal first, or give this program a credential of its own; " +
        "set EFFECT_CREDENTIALS_LOGIN to device or browser to be asked nevertheless."
    )
    assert.include((yield* run({ way: "none" })).message, "logins are turned off")
  }))

it.effect("a variable that names no way is told from one that is not set, without what it holds", () =>
  Effect.gen(function*() {
    const { message } = yield* run({ facts: { wanted: "misspelt" } })
    assert.strictEqual(
      message,
      "the browser: EFFECT_CREDENTIALS_LOGIN holds none of the ways to log in. " +
        "Set it to browser, device or none, or to nothing, which leaves the choice to the program."
    )
  }))

it.effect("the name is the program's, else that of the first login", () =>
  Effect.gen(function*() {
    assert.strictEqual((yield* run({ name: "acme" })).made.name, "acme")
    assert.strictEqual((yield* run({ has: ["device"] })).made.name, "the device")
  }))

it.effect("a screen that hangs does not keep the login back for long", () =>
  Effect.gen(function*() {
    const { log } = yield* run({ facts: remote, prompt: Effect.never })
    assert.deepStrictEqual(log, ["device"])
  }))

it.effect("the time limit leaves time for both, one after the other", () =>
  Effect.gen(function*() {
    assert.strictEqual(Duration.toMinutes((yield* run({})).made.timeLimit), 20)
    assert.strictEqual(Duration.toMinutes((yield* run({ has: ["device"] })).made.timeLimit), 15)
  }))

describe("what the server turns out not to support when the person has been asked", () => {
  const answers: Readonly<Record<string, () => Response>> = {
    "tokens that are bound to a key": () => Response.json({ access_token: "t", token_type: "bearer" }),
    "a type of token that can be sent": () => Response.json({ access_token: "t", token_type: "mac" }),
    "the grant itself": () => Response.json({ error: "unsupported_grant_type" }, { status: 400 })
  }
  for (const [name, answer] of Object.entries(answers)) {
    it.effect(`(${name}) is no reason to ask them again in a browser`, () =>
      Effect.gen(function*() {
        const queue = yield* Queue.unbounded<LoginPrompt.Prompt | LoginPrompt.Progress>()
        const prompt = LoginPrompt.make({
          show: (prompt) => Queue.offer(queue, prompt),
          progress: (progress) => Queue.offer(queue, progress),
          pasted: () => Effect.never
        })
        const device = yield* DeviceLogin.make({
          server: yield* AuthorizationServer.make({
            issuer: "https://idp.test",
            tokenEndpoint: "https://idp.test/token",
            deviceAuthorizationEndpoint: "https://idp.test/device"
          }),
          client: { id: "app" },
          name: "the device",
          dpop: true
        }).pipe(
          Effect.provide(
            serve(({ url }) => Effect.sync(() => url.endsWith("/device") ? started() : answer()))
          ),
          Effect.provideService(LoginPrompt.LoginPrompt, prompt)
        )
        const browser = {
          name: "the browser",
          timeLimit: Duration.minutes(5),
          login: Effect.die("asked again")
        }
        const any = yield* AnyLogin.fromLogins({ device, browser }).pipe(
          Effect.provide([Surroundings.layerOf(remote), BrowserLauncher.layerNone("none")]),
          Effect.provideService(LoginPrompt.LoginPrompt, prompt)
        )
        const fiber = yield* Effect.fork(Effect.flip(any.login))
        yield* Effect.repeat(elapse, { until: () => fiber.unsafePoll() !== null })
        const error = yield* Fiber.join(fiber)
        assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidOption"])
        const told = Chunk.toReadonlyArray(yield* Queue.takeAll(queue))
        assert.deepStrictEqual(told.map(({ _tag }) => _tag), ["Chosen", "Device", "Failed"])
      }))
  }
})

const started = () =>
  Response.json({ device_code: "d", user_code: "C", verification_uri: "https://idp.test/go", expires_in: 60 })

/** Promises want real time in between. */
const elapse = Effect.zipRight(
  Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1))),
  TestClock.adjust("1 second")
)

import { assert, describe, it } from "@effect/vitest"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as TerminalPrompt from "effect-credentials/login/TerminalPrompt"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import jsQR from "jsqr"
import * as Screen from "./screen.js"

const device: LoginPrompt.Prompt = {
  _tag: "Device",
  source: "acme",
  userCode: "WDJB-MJHT",
  verificationUri: "https://idp.test/go",
  verificationUriComplete: "https://idp.test/go?user_code=WDJB-MJHT",
  expiresAt: 10 * 60_000
}

const browser: LoginPrompt.Prompt = {
  _tag: "Browser",
  source: "acme",
  url: "https://idp.test/auth?a=b",
  expiresAt: 5 * 60_000,
  opened: true,
  canPaste: true
}

interface Setting extends Screen.Options, TerminalPrompt.Options {
  readonly env?: Record<string, string>
}

const setup = ({ env = { LANG: "en_US.UTF-8" }, paste, qr, ...options }: Setting = {}) => {
  const screen = Screen.make(options)
  return TerminalPrompt.make({ qr, paste }).pipe(
    Effect.provide(screen.layer),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env)))),
    Effect.map((prompt) => ({ prompt, screen }))
  )
}

const text = LoginPrompt.render(device, 0).split("\n")

describe("the countdown", () => {
  it.scoped("runs in one line, and nothing is left of it in the end", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup({ qr: false })
      yield* prompt.show(device)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(screen.lines(), [...text, "Waiting for your approval, 10:00 left"])
      yield* TestClock.adjust("328 seconds")
      assert.deepStrictEqual(screen.lines(), [...text, "Waiting for your approval, 4:32 left"])
      yield* prompt.progress({ _tag: "Waiting", source: "acme", nextAt: 0 })
      yield* prompt.progress({ _tag: "Succeeded", source: "acme" })
      assert.deepStrictEqual(screen.lines(), [...text, "acme: logged in.", ""])
      const before = screen.written()
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(screen.written(), before)
    }))

  const ends: ReadonlyArray<readonly [LoginPrompt.Progress, string]> = [
    [{ _tag: "Cancelled", source: "acme" }, "acme: the login was cancelled."],
    [
      { _tag: "Failed", source: "acme", reason: "AccessDenied", hint: "Log in again." },
      "acme: not logged in (AccessDenied). Log in again."
    ]
  ]
  for (const [end, line] of ends) {
    it.scoped(`ends with ${end._tag}`, () =>
      Effect.gen(function*() {
        const { prompt, screen } = yield* setup({ qr: false })
        yield* prompt.show(device)
        yield* TestClock.adjust("3 seconds")
        yield* prompt.progress(end)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(screen.lines(), [...text, line, ""])
      }))
  }

  it.effect("ends with the scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { prompt, screen } = yield* Scope.extend(setup({ qr: false }), scope)
      yield* prompt.show(device)
      yield* TestClock.adjust("3 seconds")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(screen.lines(), [...text, ""])
    }))

  it.scoped("ends with the login's time, if nobody says that it has ended", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup({ qr: false })
      yield* prompt.show(device)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(screen.lines(), [...text, ""])
    }))

  it.scoped("outlives whoever showed the prompt, and gives way to the next prompt", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup({ qr: false })
      yield* Fiber.join(yield* Effect.fork(prompt.show(device)))
      yield* TestClock.adjust("1 second")
      yield* prompt.show({ ...device, source: "other" })
      yield* TestClock.adjust("1 second")
      yield* prompt.progress({ _tag: "Cancelled", source: "acme" })
      assert.strictEqual(screen.lines().at(-1), "")
      yield* TestClock.adjust("1 second")
      assert.match(screen.lines().at(-1) ?? "", /^Waiting for your approval, 9:5\d left$/)
    }))

  it.scoped("says what the trouble is, until that is over", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup({ qr: false })
      yield* prompt.show(device)
      yield* prompt.progress({ _tag: "Trouble", source: "acme", reason: "Network", nextAt: 0 })
      assert.strictEqual(
        screen.lines().at(-1),
        "Waiting for your approval, 10:00 left, the server can't be asked just now (Network)"
      )
      yield* prompt.progress({ _tag: "Waiting", source: "acme", nextAt: 0 })
      assert.strictEqual(screen.lines().at(-1), "Waiting for your approval, 10:00 left")
    }))

  it.scoped("says what keeps the login from beginning, until the prompt comes or it ends", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup({ qr: false })
      const trouble = { _tag: "Trouble", source: "acme", reason: "Network", nextAt: 0 } as const
      yield* prompt.progress(trouble)
      yield* prompt.progress(trouble)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(screen.lines(), [
        "Waiting for the server, the server can't be asked just now (Network)"
      ])
      yield* prompt.show(device)
      yield* TestClock.adjust("1 second")
      assert.match(screen.lines().at(-1) ?? "", /^Waiting for your approval, 9:5\d left$/)
      assert.deepStrictEqual(screen.lines().slice(0, -1), text)
      yield* prompt.progress({ ...trouble, source: "other" })
      assert.match(screen.lines().at(-1) ?? "", /^Waiting for your approval, 9:5\d left$/)
      yield* prompt.progress({ _tag: "Cancelled", source: "acme" })
      yield* prompt.progress(trouble)
      yield* TestClock.adjust("1 second")
      yield* prompt.progress({ _tag: "Cancelled", source: "acme" })
      assert.strictEqual(screen.lines().at(-1), "")
    }))

  for (const columns of [10, 30, 37, 38, 39]) {
    it.scoped(`never breaks its line on ${columns} columns`, () =>
      Effect.gen(function*() {
        const { prompt, screen } = yield* setup({ qr: false, columns })
        yield* prompt.show(device)
        yield* TestClock.adjust("1 second")
        assert.isBelow((screen.lines().at(-1) ?? "").length, columns)
      }))
  }

  for (const expiresAt of [NaN, Infinity]) {
    it.scoped(`without a time for one that ends at ${expiresAt}`, () =>
      Effect.gen(function*() {
        const { prompt, screen } = yield* setup({ qr: false })
        yield* prompt.show({ ...device, expiresAt })
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(screen.lines().at(-1), "Waiting for your approval")
      }))
  }
})

describe("where there is no terminal", () => {
  for (
    const [name, setting] of Object.entries<Setting>({
      "as in a log": { isTTY: false },
      "but a dumb one": { env: { LANG: "en_US.UTF-8", TERM: "dumb" } }
    })
  ) {
    it.scoped(`${name}, it writes the prompt and how it ended, and nothing can be pasted`, () =>
      Effect.gen(function*() {
        const { prompt, screen } = yield* setup(setting)
        yield* prompt.show(device)
        yield* TestClock.adjust("1 minute")
        yield* prompt.progress({ _tag: "Waiting", source: "acme", nextAt: 0 })
        yield* prompt.progress({ _tag: "Trouble", source: "acme", reason: "Network", nextAt: 0 })
        yield* prompt.progress({ _tag: "Succeeded", source: "acme" })
        assert.strictEqual(screen.written(), `${text.join("\n")}\nacme: logged in.\n`)
        assert.isFalse(prompt.canPaste)
      }))
  }

  it.scoped("that takes any text, the login does not learn of it", () =>
    Effect.gen(function*() {
      const { prompt } = yield* setup({ display: () => Effect.fail(new Error("EPIPE") as never) })
      yield* prompt.show(device)
      yield* TestClock.adjust("1 minute")
      yield* prompt.progress({ _tag: "Succeeded", source: "acme" })
    }))
})

it.effect("a terminal that hangs keeps no program from ending", () =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const display = () => Effect.uninterruptible(Effect.never)
    const { prompt } = yield* Scope.extend(setup({ qr: false, display }), scope)
    yield* Effect.forkDaemon(prompt.show(device))
    yield* Effect.yieldNow()
    const closing = yield* Effect.forkDaemon(Scope.close(scope, Exit.void))
    yield* TestClock.adjust("5 seconds")
    assert.isNotNull(closing.unsafePoll())
  }))

/** What a camera sees: each half of a block as some dots, in the colours of the terminal. */
const scan = (lines: ReadonlyArray<string>, theme: { readonly ink: number; readonly paper: number }) => {
  const dot = 4
  const modules = lines.flatMap((line) => {
    const own = line.startsWith("\u001b[97;40m")
    const { ink, paper } = own ? { ink: 255, paper: 0 } : theme
    // oxlint-disable-next-line no-control-regex
    const characters = [...line.replaceAll(/\u001b\[[\d;]*m/g, "")]
    const row = (lit: string) => characters.map((one) => (lit.includes(one) ? ink : paper))
    return [row("█▀"), row("█▄")]
  })
  const frame = 8
  const width = (modules[0]?.length ?? 0) * dot + 2 * frame
  const height = modules.length * dot + 2 * frame
  const pixels = new Uint8ClampedArray(width * height * 4).fill(theme.paper)
  modules.forEach((row, y) =>
    row.forEach((value, x) => {
      for (let dy = 0; dy < dot; dy++) {
        for (let dx = 0; dx < dot; dx++) {
          pixels.fill(
            value,
            ((y * dot + dy + frame) * width + x * dot + dx + frame) * 4,
            ((y * dot + dy + frame) * width + x * dot + dx + frame) * 4 + 3
          )
        }
      }
    })
  )
  pixels.forEach((_, index) => {
    if (index % 4 === 3) pixels[index] = 255
  })
  // A scanner that does not try the negative.
  return jsQR(pixels, width, height, { inversionAttempts: "dontInvert" })?.data
}

const dark = { ink: 230, paper: 20 }
const light = { ink: 20, paper: 240 }
const qrOf = (screen: Screen.Screen) => screen.written().split("\n").filter((line) => /[█▀▄]/.test(line))

describe("the QR code", () => {
  for (const [name, theme] of Object.entries({ dark, light })) {
    it.scoped(`is read from a ${name} terminal, by a scanner that does not invert`, () =>
      Effect.gen(function*() {
        const { prompt, screen } = yield* setup()
        yield* prompt.show(device)
        assert.strictEqual(scan(qrOf(screen), theme), "https://idp.test/go?user_code=WDJB-MJHT")
      }))
  }

  it.scoped("has no colours under NO_COLOR, and is read from a dark terminal", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup({ env: { LC_ALL: "C.UTF-8", NO_COLOR: "1" } })
      yield* prompt.show({ ...device, verificationUriComplete: undefined })
      assert.notInclude(screen.written().replaceAll("\u001b[2K", ""), "\u001b")
      assert.strictEqual(scan(qrOf(screen), dark), "https://idp.test/go")
    }))

  const without: ReadonlyArray<readonly [string, Setting, LoginPrompt.Prompt]> = [
    ["a narrow terminal", { columns: 30 }, device],
    ["a low terminal", { rows: 20 }, device],
    ["a terminal of unknown size", { columns: 0, rows: 0 }, device],
    ["a locale without Unicode", { env: { LANG: "C" } }, device],
    ["no locale", { env: {} }, device],
    ["LC_ALL that overrides LANG", { env: { LC_ALL: "POSIX", LANG: "en_US.UTF-8" } }, device],
    ["no terminal", { isTTY: false }, device],
    ["a program that wants none", { qr: false }, device],
    ["a browser", {}, browser],
    ["what is no address", {}, { ...device, verificationUriComplete: "javascript:alert(1)" }],
    ["an address that is too long", { columns: 500, rows: 500 }, {
      ...device,
      verificationUriComplete: `https://idp.test/${"x".repeat(400)}`
    }]
  ]
  for (const [name, setting, prompted] of without) {
    it.scoped(`is left out for ${name}`, () =>
      Effect.gen(function*() {
        const { prompt, screen } = yield* setup(setting)
        yield* prompt.show(prompted)
        assert.deepStrictEqual(qrOf(screen), [])
      }))
  }
})

describe("pasting", () => {
  it.scoped("gives lines one after the other, shows none of them, and reads no key when nobody asks", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup()
      assert.isTrue(prompt.canPaste)
      yield* prompt.show(browser)
      const read = () => Effect.fork(prompt.pasted("acme"))
      for (const line of ["http://127.0.0.1/callback?code=sesame&state=s", "second"]) {
        const fiber = yield* read()
        yield* Effect.yieldNow()
        yield* screen.type(`${line}`)
        yield* TestClock.adjust(0)
        assert.include(screen.lines().at(-1), `${line.length} characters pasted`)
        yield* screen.type("\r")
        assert.strictEqual(Redacted.value(yield* Fiber.join(fiber)), line)
        assert.strictEqual(screen.readers(), 0)
      }
      assert.notInclude(screen.written(), "sesame")
    }))

  it.scoped("knows backspace and Ctrl-U, and leaves out other keys and blank lines", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup()
      const fiber = yield* Effect.fork(prompt.pasted("acme"))
      yield* Effect.yieldNow()
      yield* screen.type("  \r\rwrong")
      yield* screen.press({ name: "u", ctrl: true })
      yield* screen.type("righx")
      yield* screen.press({ name: "backspace" })
      yield* screen.press({ name: "up" })
      yield* screen.type("\u0007t\r")
      assert.strictEqual(Redacted.value(yield* Fiber.join(fiber)), "right")
    }))

  it.scoped("keeps at most 16384 characters", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup()
      const fiber = yield* Effect.fork(prompt.pasted("acme"))
      yield* Effect.yieldNow()
      yield* screen.type(`${"x".repeat(20_000)}\r`)
      assert.strictEqual(Redacted.value(yield* Fiber.join(fiber)).length, 16_384)
    }))

  it.scoped("ends with Ctrl-C, as an interruption", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup()
      const fiber = yield* Effect.fork(prompt.pasted("acme"))
      yield* Effect.yieldNow()
      yield* screen.press({ name: "c", ctrl: true })
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      assert.strictEqual(screen.readers(), 0)
    }))

  it.scoped("gives the keys back when it is interrupted", () =>
    Effect.gen(function*() {
      const { prompt, screen } = yield* setup()
      const fiber = yield* Effect.fork(prompt.pasted("acme"))
      yield* Effect.yieldNow()
      assert.strictEqual(screen.readers(), 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(screen.readers(), 0)
    }))

  it.scoped("can be turned off", () =>
    Effect.gen(function*() {
      const { prompt } = yield* setup({ paste: false })
      assert.isFalse(prompt.canPaste)
    }))
})

it.scoped("what comes from outside is made fit for the terminal", () =>
  Effect.gen(function*() {
    const { prompt, screen } = yield* setup({ qr: false })
    const nasty = "\u001b[2J\u202e\rgone"
    yield* prompt.show({ ...device, source: nasty, userCode: nasty, verificationUri: nasty })
    yield* prompt.progress({ _tag: "Trouble", source: nasty, reason: nasty, nextAt: 0 })
    yield* prompt.progress({ _tag: "Rejected", source: nasty, detail: nasty })
    yield* prompt.progress({ _tag: "Chosen", source: nasty, way: "Device", why: nasty })
    yield* prompt.progress({ _tag: "Failed", source: nasty, reason: nasty, hint: nasty })
    assert.notInclude(screen.written(), "\u001b[2J")
    assert.notInclude(screen.written(), "\u202e")
    assert.notInclude(screen.written().replaceAll("\r\u001b[2K", ""), "\r")
  }))

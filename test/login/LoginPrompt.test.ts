import { assert, describe, it } from "@effect/vitest"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as Chunk from "effect/Chunk"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"

const device: LoginPrompt.Prompt = {
  _tag: "Device",
  source: "device login at idp.test",
  userCode: "WDJB-MJHT",
  verificationUri: "https://idp.test/go",
  verificationUriComplete: "https://idp.test/go?user_code=WDJB-MJHT",
  expiresAt: 10 * 60_000
}

describe("render", () => {
  it("says what to do, where, with what, and until when", () => {
    assert.strictEqual(
      LoginPrompt.render(device, 0),
      [
        "device login at idp.test: log in.",
        "Open https://idp.test/go",
        "and enter the code WDJB-MJHT",
        "or open https://idp.test/go?user_code=WDJB-MJHT",
        "This works until 00:10 UTC (10 minutes)."
      ].join("\n")
    )
  })

  it("without a complete address, in the last minute", () => {
    const text = LoginPrompt.render({ ...device, verificationUriComplete: undefined }, 9 * 60_000)
    assert.notInclude(text, "or open")
    assert.include(text, "(1 minute)")
  })

  it("for a browser on this machine", () => {
    const text = LoginPrompt.render({
      _tag: "Browser",
      source: "x",
      url: "https://idp.test/auth?a=b",
      expiresAt: 60_000,
      opened: false,
      canPaste: false
    }, 0)
    assert.include(text, "Open https://idp.test/auth?a=b\n")
  })

  it("for a browser that was opened, and for one of another machine", () => {
    const prompt = { _tag: "Browser", source: "x", url: "https://idp.test/auth", expiresAt: NaN } as const
    assert.strictEqual(
      LoginPrompt.render({ ...prompt, opened: true, canPaste: true }, 0),
      [
        "x: log in.",
        "A browser was opened. If it shows nothing:",
        "Open https://idp.test/auth",
        "If that browser is on another machine, it ends at an address that does not open there:",
        "paste that address here and press Enter."
      ].join("\n")
    )
  })

  it("for a browser, an address as long as authorization requests are", () => {
    const prompt = { _tag: "Browser", source: "x", expiresAt: NaN, opened: false, canPaste: false } as const
    const long = `https://idp.test/?${"x".repeat(30_000)}`
    assert.include(LoginPrompt.render({ ...prompt, url: long }, 0), long)
    const longer = LoginPrompt.render({ ...prompt, url: `${long}${"x".repeat(5000)}` }, 0)
    assert.include(longer, "(an address that is not shown because it is too long)")
    assert.notInclude(longer, "https:")
  })

  it("shows when it has expired, or never does", () => {
    assert.include(LoginPrompt.render(device, 11 * 60_000), "(0 minutes)")
    for (const expiresAt of [NaN, Infinity, 1e300]) {
      const text = LoginPrompt.render({ ...device, expiresAt }, 0)
      assert.notMatch(text, /NaN|Infinity|until/)
      assert.match(text, /user_code=WDJB-MJHT$/)
    }
  })

  it("whatever the server says, nothing but plain text of bounded length comes out", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.string({ unit: "binary", maxLength: 5000 }),
        FastCheck.webUrl(),
        FastCheck.constantFrom("", "\u001b[2J", "\r", "\u009b1A", "\u202e", "\u0007", "\u2028"),
        (text, url, control) => {
          const shown = LoginPrompt.render({
            ...device,
            source: text + control,
            userCode: control + text,
            verificationUri: url + control + text,
            verificationUriComplete: control + text
          }, 0)
          assert.notMatch(shown.replaceAll("\n", ""), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
          assert.strictEqual(shown.split("\n").length, 5)
          assert.isBelow(shown.length, 20_000)
        }
      )
    )
  })
})

describe("webAddress", () => {
  const cases: ReadonlyArray<readonly [string, string | undefined]> = [
    ["https://idp.test/a", "https://idp.test/a"],
    ["http://idp.test", "http://idp.test/"],
    ["https://idp.test/\u001b[2J", "https://idp.test/%1B[2J"],
    ["https://idp.test/\u202egpj", "https://idp.test/%E2%80%AEgpj"],
    ["https://\u0456dp.test/", "https://xn--dp-goc.test/"],
    ["https://bank.test@evil.test/", undefined],
    ["https://:bank.test@evil.test/", undefined],
    ["javascript:alert(1)", undefined],
    ["file:///etc/passwd", undefined],
    ["vscode://x", undefined],
    ["idp.test", undefined],
    ["", undefined],
    [`https://idp.test/${"x".repeat(4096)}`, `https://idp.test/${"x".repeat(4096)}`],
    [`https://idp.test/${"x".repeat(32 * 1024)}`, undefined],
    [`https://idp.test/${"é".repeat(8 * 1024)}`, undefined]
  ]
  for (const [text, expected] of cases) {
    it(JSON.stringify(text.slice(0, 40)), () => {
      const shown = LoginPrompt.webAddress(text)
      if (expected === undefined) assert.match(shown, /^\(an address that is not shown/)
      else assert.strictEqual(shown, expected)
    })
  }
})

describe("printable", () => {
  const cases: ReadonlyArray<readonly [string, number, string]> = [
    ["plain – ünïcode 日本", 100, "plain – ünïcode 日本"],
    ["a\u001b[31mb\r\nc\td", 100, "a[31mbcd"],
    ["exactly", 7, "exactly"],
    ["too long", 7, "too lo…"],
    ["\u200b\u200fhidden", 100, "hidden"]
  ]
  for (const [text, limit, expected] of cases) {
    it(JSON.stringify(text), () => assert.strictEqual(LoginPrompt.printable(text, limit), expected))
  }
})

describe("layers", () => {
  const progress: ReadonlyArray<LoginPrompt.Progress> = [
    { _tag: "Chosen", source: "x", way: "Device", why: "there is no display" },
    { _tag: "Chosen", source: "x", way: "Browser", why: "there is no display" },
    { _tag: "Rejected", source: "x", detail: "what was pasted is no address\u001b[2J" },
    { _tag: "Waiting", source: "x", nextAt: 0 },
    { _tag: "Trouble", source: "x", reason: "Network", nextAt: 0 },
    { _tag: "Succeeded", source: "x" },
    { _tag: "Failed", source: "x", reason: "AccessDenied", hint: "Log in again.\u001b[2J" },
    { _tag: "Cancelled", source: "x" }
  ]
  const everything = Effect.gen(function*() {
    const prompt = yield* LoginPrompt.LoginPrompt
    yield* prompt.show(device)
    yield* Effect.forEach(progress, prompt.progress)
  })

  /** What the test writes to the console, by its method. */
  const written = <A, E, R>(test: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const others: Array<unknown> = []
      const console = yield* Console.consoleWith(Effect.succeed)
      yield* Effect.withConsole(test, {
        ...console,
        log: (...args) => Effect.sync(() => others.push(args)),
        error: (...args) => Effect.sync(() => lines.push(args.join(" ")))
      })
      assert.deepStrictEqual(others, [])
      return lines
    })

  const told = [
    LoginPrompt.render(device, 60_000),
    "x: there is no display, so the login is done with a code on any device.",
    "x: there is no display, so the login is done in a browser of any machine.",
    "x: what was pasted is no address[2J. The login goes on.",
    "x: the server can't be asked just now (Network), next look in 0 s.",
    "x: logged in.",
    "x: not logged in (AccessDenied). Log in again.[2J",
    "x: the login was cancelled."
  ]

  it.effect("layerConsole writes the prompt and how it ended, beside the output of the program", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(60_000)
      assert.deepStrictEqual(yield* written(Effect.provide(everything, LoginPrompt.layerConsole)), told)
    }))

  it.effect("where none is given, it is the console, and nothing has to be provided", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(60_000)
      const test: Effect.Effect<void> = Effect.asVoid(everything)
      assert.deepStrictEqual(yield* written(test), told)
      assert.isFalse((yield* LoginPrompt.LoginPrompt).canPaste)
    }))

  it.effect("layerConsole says every half a minute how it goes, and nothing of a login that has ended", () =>
    Effect.gen(function*() {
      const source = device.source
      const polls = Effect.gen(function*() {
        const prompt = yield* LoginPrompt.LoginPrompt
        yield* prompt.progress({ _tag: "Waiting", source, nextAt: 0 })
        yield* prompt.show(device)
        for (let at = 5_000; at < device.expiresAt; at += 5_000) {
          yield* TestClock.adjust("5 seconds")
          const nextAt = at + 5_000
          yield* prompt.progress(
            at < 300_000 || at > 350_000
              ? { _tag: "Waiting", source, nextAt }
              : { _tag: "Trouble", source, reason: "Network\u001b[2J", nextAt }
          )
        }
        yield* prompt.progress({ _tag: "Cancelled", source })
        yield* TestClock.adjust("1 minute")
        yield* prompt.progress({ _tag: "Waiting", source, nextAt: 0 })
      })
      const lines = yield* written(Effect.provide(polls, LoginPrompt.layerConsole))
      assert.strictEqual(lines.length, 1 + 19 + 1)
      assert.strictEqual(
        lines[1],
        "device login at idp.test: waiting for your approval, 10 minutes left, next look in 5 s."
      )
      assert.strictEqual(
        lines[10],
        "device login at idp.test: the server can't be asked just now (Network[2J), 5 minutes left, next look in 5 s."
      )
      assert.strictEqual(
        lines[19],
        "device login at idp.test: waiting for your approval, 30 s left, next look in 5 s."
      )
    }))

  it.effect("the console says what keeps a login from beginning, and then forgets it", () =>
    Effect.gen(function*() {
      const trouble = { _tag: "Trouble", source: "x", reason: "Network", nextAt: Infinity } as const
      const start = Effect.gen(function*() {
        const prompt = yield* LoginPrompt.LoginPrompt
        for (const pause of [1, 2, 27, 1]) {
          yield* prompt.progress(trouble)
          yield* TestClock.adjust(`${pause} seconds`)
        }
        yield* prompt.progress({ _tag: "Cancelled", source: "x" })
        yield* prompt.progress({ _tag: "Waiting", source: "x", nextAt: 0 })
      })
      assert.deepStrictEqual(yield* written(Effect.provide(start, LoginPrompt.layerConsole)), [
        "x: the server can't be asked just now (Network).",
        "x: the server can't be asked just now (Network).",
        "x: the login was cancelled."
      ])
    }))

  for (const time of [NaN, Infinity, -Infinity]) {
    it(`a wait without an end (${time}) is told without one`, () => {
      const wait = { _tag: "Waiting", source: "x\u202e", nextAt: time } as const
      assert.strictEqual(
        LoginPrompt.renderWait(wait, { expiresAt: time, now: 0 }),
        "x: waiting for your approval."
      )
    })
  }

  it.effect("layerQueue gives all of it, in order", () =>
    Effect.gen(function*() {
      const queue = yield* Queue.unbounded<LoginPrompt.Prompt | LoginPrompt.Progress>()
      yield* Effect.provide(everything, LoginPrompt.layerQueue(queue))
      assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Queue.takeAll(queue)), [device, ...progress])
    }))

  it.effect("layerSilent says nothing", () => Effect.provide(everything, LoginPrompt.layerSilent))
})

describe("make", () => {
  const plain = { show: () => Effect.void, progress: () => Effect.void }
  const pasted = () => Effect.succeed(Redacted.make("line"))

  it.effect("without a place to paste, nothing ever is", () =>
    Effect.gen(function*() {
      const prompt = LoginPrompt.make(plain)
      assert.isFalse(prompt.canPaste)
      const fiber = yield* Effect.fork(prompt.pasted("x"))
      yield* TestClock.adjust("1 day")
      assert.isNull(fiber.unsafePoll())
    }))

  it.effect("with one, it is what it says", () =>
    Effect.gen(function*() {
      const prompt = LoginPrompt.make({ ...plain, pasted })
      assert.isTrue(prompt.canPaste)
      assert.strictEqual(Redacted.value(yield* prompt.pasted("x")), "line")
    }))

  it("of another prompt, it can paste where that one can", () => {
    for (const prompt of [LoginPrompt.make(plain), LoginPrompt.make({ ...plain, pasted })]) {
      assert.strictEqual(LoginPrompt.make({ ...prompt, show: () => Effect.void }).canPaste, prompt.canPaste)
    }
  })
})

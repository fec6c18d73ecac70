import { assert, describe, it } from "@effect/vitest"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as CallbackListener from "effect-credentials/login/CallbackListener"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { json } from "../oauth/kit.js"
import { belonging, granted, redirectUri, setup } from "./browserKit.js"
import type { Options } from "./browserKit.js"

const slowly = (time: Duration.DurationInput): Options["token"] => (call) => Effect.delay(granted(call), time)

/** A login that has shown its prompt. */
const begun = (options: Options = {}) =>
  Effect.gen(function*() {
    const all = yield* setup(options)
    const fiber = yield* Effect.fork(Effect.exit(all.login.login))
    const prompt = yield* all.prompt
    return { ...all, fiber, prompt }
  })

const errorOf = (exit: Exit.Exit<unknown, { readonly _tag: string; readonly reason: string }>) =>
  exit._tag === "Failure" && exit.cause._tag === "Fail"
    ? `${exit.cause.error._tag} ${exit.cause.error.reason}`
    : exit._tag

const headingOf = (page: CallbackListener.Page) => /<h1>(.*)<\/h1>/.exec(page.body)?.[1]

describe("a login", () => {
  it.effect("sends the browser away from the code, and shows how it ended when it has", () =>
    Effect.gen(function*() {
      const { calls, fiber, log, prompt, told, visit } = yield* begun({ token: slowly("5 seconds") })
      assert.deepStrictEqual([prompt.opened, prompt.expiresAt, prompt.source], [true, 300_000, "acme"])
      assert.strictEqual(new URL(prompt.url).searchParams.get("redirect_uri"), redirectUri)
      const callback = yield* Fiber.join(yield* visit(belonging(prompt.url)))
      assert.strictEqual(callback.status, 303)
      assert.strictEqual(callback.headers["location"], "/callback/done")
      assert.strictEqual(callback.headers["referrer-policy"], "no-referrer")
      const result = yield* visit("", "Result")
      yield* TestClock.adjust("4 seconds")
      assert.isNull(result.unsafePoll())
      assert.deepStrictEqual(log, ["listens"])
      yield* TestClock.adjust("1 second")
      const page = yield* Fiber.join(result)
      assert.strictEqual(headingOf(page), "You are logged in")
      const grant = yield* Effect.flatten(Fiber.join(fiber))
      assert.strictEqual(Redacted.value(grant.token.value), "t")
      assert.deepStrictEqual(calls.map(({ form }) => [form.get("code"), form.get("redirect_uri")]), [[
        "c",
        redirectUri
      ]])
      assert.deepStrictEqual(yield* told, ["Succeeded"])
      assert.deepStrictEqual(log, ["listens", "closed"])
    }))

  it.effect("says how long it may take", () =>
    Effect.gen(function*() {
      const { login } = yield* setup({ loginTimeLimit: "1 minute" })
      assert.isAbove(Duration.toSeconds(login.timeLimit), 62)
      assert.isBelow(Duration.toSeconds(login.timeLimit), 180)
    }))

  it.effect("redeems the code once, whatever comes after", () =>
    Effect.gen(function*() {
      const { calls, fiber, prompt, visit } = yield* begun({ token: slowly("5 seconds") })
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      for (const query of [belonging(prompt.url), belonging(prompt.url, { code: "other" })]) {
        const again = yield* Fiber.join(yield* visit(query))
        assert.deepStrictEqual([again.status, headingOf(again)], [409, "You have been here before"])
      }
      const denied = yield* Fiber.join(yield* visit(belonging(prompt.url, { error: "access_denied" })))
      assert.strictEqual(denied.status, 409)
      yield* visit("", "Result")
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      assert.deepStrictEqual(calls.map(({ form }) => form.get("code")), ["c"])
    }))

  it.effect("waits 2 seconds for a browser that never asks for its last page", () =>
    Effect.gen(function*() {
      const { fiber, log, prompt, visit } = yield* begun()
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      yield* TestClock.adjust("1999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      assert.deepStrictEqual(log, ["listens", "closed"])
    }))

  it.effect("each run asks anew", () =>
    Effect.gen(function*() {
      const { login, prompt } = yield* setup()
      const first = yield* Effect.fork(login.login)
      const one = yield* prompt
      yield* Fiber.interrupt(first)
      const second = yield* Effect.fork(login.login)
      const { url } = yield* Effect.catchAllCause(prompt, () => prompt)
      yield* Fiber.interrupt(second)
      assert.notStrictEqual(
        new URL(url).searchParams.get("state"),
        new URL(one.url).searchParams.get("state")
      )
    }))
})

/** What must neither end the login nor be repeated on a page. */
const strays: ReadonlyArray<readonly [string, (url: string) => string]> = [
  ["nothing", () => ""],
  ["no state", () => "code=stolen"],
  ["another state", () => "code=stolen&state=strange"],
  ["an error without a state", () => "error=access_denied&error_description=<script>alert(1)</script>"],
  ["an error with another state", () => "error=server_error&state=strange"],
  ["the state twice", (url) => `${belonging(url)}&state=strange`],
  ["the code twice", (url) => `${belonging(url)}&code=strange`],
  ["another issuer", (url) => belonging(url, { code: "stolen", iss: "https://evil.test" })],
  ["neither code nor error", (url) => belonging(url, {})],
  ["a thousand fields", () => Array.from({ length: 1000 }, (_, index) => `f${index}=1`).join("&")]
]

describe("what does not belong to it", () => {
  it.effect.each(strays)("%s gets a page, and the login goes on", ([, query]) =>
    Effect.gen(function*() {
      const { calls, fiber, prompt, told, visit } = yield* begun()
      const page = yield* Fiber.join(yield* visit(query(prompt.url)))
      assert.deepStrictEqual([page.status, headingOf(page)], [400, "This page belongs to no login"])
      assert.notMatch(page.body, /stolen|script>|strange|evil/)
      yield* Effect.yieldNow()
      assert.match((yield* told).join(), /^Rejected: /)
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      yield* Fiber.join(yield* visit("", "Result"))
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      assert.strictEqual(calls.length, 1)
    }))

  it.effect("a flood is answered, and the person is told of five", () =>
    Effect.gen(function*() {
      const { fiber, prompt, told, visit } = yield* begun()
      const pages = yield* Effect.forEach(
        Array.from({ length: 500 }),
        (_, index) => Effect.flatMap(visit(`code=x&state=${index}`), Fiber.join)
      )
      assert.isTrue(pages.every(({ status }) => status === 400))
      yield* Effect.yieldNow()
      assert.strictEqual((yield* told).length, 5)
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      yield* Fiber.join(yield* visit("", "Result"))
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
    }))

  it.effect("the page of the result is for nobody before there is one", () =>
    Effect.gen(function*() {
      const { fiber, visit } = yield* begun()
      const page = yield* Fiber.join(yield* visit("", "Result"))
      assert.strictEqual(page.status, 400)
      yield* Fiber.interrupt(fiber)
    }))
})

describe("how it fails", () => {
  it.effect("access was denied", () =>
    Effect.gen(function*() {
      const { calls, fiber, prompt, told, visit } = yield* begun()
      const query = belonging(prompt.url, { error: "access_denied", error_description: "<b>evil</b>" })
      yield* Fiber.join(yield* visit(query))
      const page = yield* Fiber.join(yield* visit("", "Result"))
      assert.deepStrictEqual([page.status, headingOf(page)], [200, "Access was not allowed"])
      assert.notInclude(page.body, "evil")
      assert.strictEqual(errorOf(yield* Fiber.join(fiber)), "ReauthRequired AccessDenied")
      assert.deepStrictEqual([yield* told, calls.length], [["Failed"], 0])
    }))

  it.effect("the code is refused, and the page says so", () =>
    Effect.gen(function*() {
      const { fiber, prompt, told, visit } = yield* begun({
        token: () => Effect.sync(json({ error: "invalid_client" }, { status: 400 }))
      })
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      const page = yield* Fiber.join(yield* visit("", "Result"))
      assert.strictEqual(headingOf(page), "You are not logged in")
      assert.include(page.body, "Check the client id")
      assert.strictEqual(errorOf(yield* Fiber.join(fiber)), "Misconfigured InvalidClient")
      assert.deepStrictEqual(yield* told, ["Failed"])
    }))

  it.effect("nobody comes", () =>
    Effect.gen(function*() {
      const { fiber, log, told } = yield* begun({ loginTimeLimit: "90 seconds" })
      yield* TestClock.adjust("89 seconds")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(errorOf(yield* Fiber.join(fiber)), "ReauthRequired LoginExpired")
      assert.deepStrictEqual([yield* told, log], [["Failed"], ["listens", "closed"]])
    }))

  it.effect("the time limit does not cut off the exchange", () =>
    Effect.gen(function*() {
      const { fiber, prompt, visit } = yield* begun({
        loginTimeLimit: "3 seconds",
        token: slowly("10 seconds")
      })
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      yield* TestClock.adjust("12 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
    }))

  const reasons = [
    ["PortBusy", "Misconfigured InvalidOption"],
    ["NotAllowed", "Misconfigured InvalidOption"],
    ["NoAddress", "Misconfigured InvalidOption"],
    ["Failed", "TransientFailure Network"]
  ] as const
  it.effect.each(reasons)("no port: %s is %s", ([reason, expected]) =>
    Effect.gen(function*() {
      const failed = new CallbackListener.ListenFailed({ reason, detail: "d", hint: "h" })
      const { login, told } = yield* setup({ listen: () => Effect.fail(failed) })
      assert.strictEqual(errorOf(yield* Effect.exit(login.login)), expected)
      assert.deepStrictEqual(yield* told, ["Failed"])
    }))
})

describe("the browser", () => {
  const failed = new BrowserLauncher.LaunchFailed({ reason: "Failed", detail: "d", hint: "h" })
  const launches: ReadonlyArray<readonly [string, Options]> = [
    ["fails", { open: () => Effect.fail(failed) }],
    ["hangs", { open: () => Effect.never }],
    ["can't be interrupted", { open: () => Effect.uninterruptible(Effect.never) }],
    ["is not there", { launcher: BrowserLauncher.layerNone("there is none") }],
    ["is not wanted", { openBrowser: false, open: () => Effect.dieMessage("opened") }]
  ]
  it.effect.each(launches)(
    "that %s leaves the address, and the login goes on",
    ([, options]) =>
      Effect.gen(function*() {
        const all = yield* setup(options)
        const fiber = yield* Effect.fork(Effect.exit(all.login.login))
        const showing = yield* Effect.fork(all.prompt)
        yield* Effect.promise(() => new Promise((done) => setTimeout(done, 50)))
        yield* TestClock.adjust("10 seconds")
        const prompt = yield* Fiber.join(showing)
        assert.isFalse(prompt.opened)
        yield* Fiber.join(yield* all.visit(belonging(prompt.url)))
        yield* Fiber.join(yield* all.visit("", "Result"))
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      })
  )

  it.effect("is told until when a pushed request can be opened, where it is opened by hand", () =>
    Effect.gen(function*() {
      const pushed = json({ request_uri: "urn:ietf:params:oauth:request_uri:1", expires_in: 60 }, {
        status: 201
      })
      for (const [openBrowser, expected] of [[true, 300_000], [false, 60_000]] as const) {
        const { fiber, prompt } = yield* begun({
          pushed: true,
          openBrowser,
          token: () => Effect.sync(pushed)
        })
        assert.strictEqual(prompt.expiresAt, expected)
        yield* Fiber.interrupt(fiber)
      }
    }))

  it.effect("is opened at the address that is shown", () =>
    Effect.gen(function*() {
      const opened: Array<string> = []
      const { fiber, prompt } = yield* begun({ open: (url) => Effect.sync(() => void opened.push(url)) })
      assert.deepStrictEqual(opened, [prompt.url])
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("may be back before the screen has shown anything", () =>
    Effect.gen(function*() {
      const urls = yield* Queue.unbounded<string>()
      const { login, visit } = yield* setup({
        open: (url) => Effect.asVoid(Queue.offer(urls, url)),
        show: () => Effect.never
      })
      const fiber = yield* Effect.fork(Effect.exit(login.login))
      yield* Fiber.join(yield* visit(belonging(yield* Queue.take(urls))))
      yield* Fiber.join(yield* visit("", "Result"))
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
    }))
})

describe("the person's screen and browser", () => {
  const breaking: ReadonlyArray<readonly [string, Effect.Effect<never>]> = [
    ["hangs", Effect.never],
    ["hangs and can't be interrupted", Effect.uninterruptible(Effect.never)],
    ["dies", Effect.die(new Error("broken"))],
    ["interrupts itself", Effect.interrupt]
  ]
  it.effect.each(breaking)(
    "a screen that %s keeps nobody from pasting",
    ([, breaks]) =>
      Effect.gen(function*() {
        const opened = yield* Deferred.make<string>()
        const { login } = yield* setup({
          show: () => breaks,
          open: (url) => Deferred.succeed(opened, url),
          pasted: () => Effect.map(Deferred.await(opened), (url) => Redacted.make(belonging(url)))
        })
        const fiber = yield* Effect.fork(login.login)
        yield* Deferred.await(opened)
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(Redacted.value((yield* Fiber.join(fiber)).token.value), "t")
      })
  )

  it.effect.each(breaking)(
    "a launcher that %s is none: the address is shown",
    ([, breaks]) =>
      Effect.gen(function*() {
        const { login, prompt, visit } = yield* setup({ open: () => breaks })
        const fiber = yield* Effect.fork(login.login)
        yield* Effect.promise(() => new Promise((done) => setTimeout(done, 20)))
        yield* TestClock.adjust("10 seconds")
        const { opened, url } = yield* prompt
        assert.isFalse(opened)
        yield* Fiber.join(yield* visit(belonging(url)))
        yield* Fiber.join(yield* visit("", "Result"))
        yield* Fiber.join(fiber)
      })
  )

  it.effect("the keys are given back once the browser has come, before the code is redeemed", () =>
    Effect.gen(function*() {
      const back = yield* Deferred.make<void>()
      const { fiber, prompt, visit } = yield* begun({
        token: slowly("5 seconds"),
        pasted: () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(back, undefined))
      })
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      yield* Deferred.await(back)
      assert.isNull(fiber.unsafePoll())
      yield* visit("", "Result")
      yield* TestClock.adjust("5 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
    }))
})

describe("interruption", () => {
  /** The moment is reached when the effect that `at` is given runs; that never ends. */
  const moments: ReadonlyArray<readonly [string, (reached: Effect.Effect<never>) => Options]> = [
    ["opening the port", (at) => ({ listen: () => at })],
    ["opening the browser", (at) => ({ open: () => at })],
    ["showing the address", (at) => ({ show: () => at })],
    ["reading what is pasted", (at) => ({ pasted: () => at })]
  ]
  it.effect.each(moments)("while %s", ([, options]) =>
    Effect.gen(function*() {
      const reached = yield* Queue.unbounded<void>()
      const at = Effect.zipRight(Queue.offer(reached, undefined), Effect.never)
      const { log, login, told } = yield* setup(options(at))
      const fiber = yield* Effect.fork(login.login)
      yield* Queue.take(reached)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.strictEqual((yield* told).at(-1), "Cancelled")
      assert.include([0, 2], log.length)
    }))

  it.effect("while the request is pushed", () =>
    Effect.gen(function*() {
      const reached = yield* Queue.unbounded<void>()
      const { log, login, told } = yield* setup({
        pushed: true,
        token: () => Effect.zipRight(Queue.offer(reached, undefined), Effect.never)
      })
      const fiber = yield* Effect.fork(login.login)
      yield* Queue.take(reached)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([yield* told, log], [["Cancelled"], ["listens", "closed"]])
    }))

  it.effect("while the code is redeemed: the browser is told", () =>
    Effect.gen(function*() {
      const reached = yield* Queue.unbounded<void>()
      const { fiber, log, prompt, told, visit } = yield* begunInterruptible({
        token: () => Effect.zipRight(Queue.offer(reached, undefined), Effect.never)
      })
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      const result = yield* visit("", "Result")
      yield* Queue.take(reached)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      assert.strictEqual(headingOf(yield* Fiber.join(result)), "The login was cancelled")
      assert.deepStrictEqual([yield* told, log], [["Cancelled"], ["listens", "closed"]])
    }))

  it.effect("while the code is redeemed: no browser is waited for", () =>
    Effect.gen(function*() {
      const reached = yield* Queue.unbounded<void>()
      const { fiber, log, prompt, visit } = yield* begunInterruptible({
        token: () => Effect.zipRight(Queue.offer(reached, undefined), Effect.never)
      })
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      yield* Queue.take(reached)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log, ["listens", "closed"])
    }))

  it.effect("while nobody asks for the last page: it ends at once", () =>
    Effect.gen(function*() {
      const { fiber, log, prompt, visit } = yield* begunInterruptible()
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      yield* Effect.promise(() => new Promise((done) => setTimeout(done, 50)))
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(log, ["listens", "closed"])
    }))

  const begunInterruptible = (options: Options = {}) =>
    Effect.gen(function*() {
      const all = yield* setup(options)
      const fiber = yield* Effect.fork(all.login.login)
      return { ...all, fiber, prompt: yield* all.prompt }
    })
})

describe("pasting", () => {
  const pasting = (options: Options = {}) =>
    Effect.gen(function*() {
      const lines = yield* Queue.unbounded<string>()
      const all = yield* begun({ pasted: () => Effect.map(Queue.take(lines), Redacted.make), ...options })
      return { ...all, paste: (line: string) => Queue.offer(lines, line) }
    })

  const accepted: ReadonlyArray<readonly [string, (query: string) => string]> = [
    ["the whole address", (query) => `${redirectUri}?${query}`],
    ["the address in white space", (query) => `  ${redirectUri}?${query}\r\n`],
    ["the query", (query) => query],
    ["the query with its mark", (query) => `?${query}`]
  ]
  it.effect.each(accepted)("%s is as good as a callback", ([, line]) =>
    Effect.gen(function*() {
      const { calls, fiber, paste, prompt } = yield* pasting()
      assert.isTrue(prompt.canPaste)
      yield* paste(line(belonging(prompt.url)))
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      assert.deepStrictEqual(calls.map(({ form }) => form.get("code")), ["c"])
    }))

  const refused: ReadonlyArray<readonly [string, (url: string) => string, RegExp]> = [
    ["nothing", () => "", /nothing was pasted/],
    ["a bare code", () => "SplxlOBeZQQYbYS6WxSbIA", /paste the whole address/],
    ["words", () => "where do I find it?", /paste the whole address/],
    ["another site", (url) => `https://evil.test/callback?${belonging(url)}`, /not where this login ends/],
    [
      "another port",
      (url) => `http://127.0.0.1:5556/callback?${belonging(url)}`,
      /not where this login ends/
    ],
    ["the address to go to", (url) => url, /not where this login ends/],
    ["another login's", () => `${redirectUri}?code=x&state=y`, /state is of another login/],
    ["a megabyte", () => "x".repeat(1024 * 1024), /too long/]
  ]
  it.effect.each(refused)(
    "%s is refused with a reason, and asked for again",
    ([, line, reason]) =>
      Effect.gen(function*() {
        const { fiber, paste, prompt, told } = yield* pasting()
        yield* paste(line(prompt.url))
        yield* TestClock.adjust("1 second")
        const [rejected = "", ...more] = yield* told
        assert.match(rejected, /^Rejected: /)
        assert.match(rejected, reason)
        assert.deepStrictEqual(more, [])
        assert.notInclude(rejected, "SplxlOBeZQQYbYS6WxSbIA")
        yield* paste(belonging(prompt.url))
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      })
  )

  it.effect("a line that comes for ever is read more and more slowly", () =>
    Effect.gen(function*() {
      const { fiber, told } = yield* begun({ pasted: () => Effect.succeed(Redacted.make("")) })
      yield* TestClock.adjust("299 seconds")
      const count = (yield* told).length
      assert.isAbove(count, 20)
      assert.isBelow(count, 100)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(errorOf(yield* Fiber.join(fiber)), "ReauthRequired LoginExpired")
    }))

  it.effect("an address that denies ends the login", () =>
    Effect.gen(function*() {
      const { fiber, paste, prompt } = yield* pasting()
      yield* paste(belonging(prompt.url, { error: "access_denied" }))
      assert.strictEqual(errorOf(yield* Fiber.join(fiber)), "ReauthRequired AccessDenied")
    }))

  it.effect("needs no listener", () =>
    Effect.gen(function*() {
      const manual = "https://acme.test/show-code"
      const { calls, fiber, log, paste, prompt } = yield* pasting({ redirect: { manual } })
      assert.strictEqual(new URL(prompt.url).searchParams.get("redirect_uri"), manual)
      yield* paste(`${manual}?${belonging(prompt.url)}`)
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      assert.deepStrictEqual([calls[0]?.form.get("redirect_uri"), log], [manual, []])
    }))

  it.effect("is not asked for where it is turned off", () =>
    Effect.gen(function*() {
      const { fiber, prompt } = yield* begun({ paste: false, pasted: () => Effect.dieMessage("read") })
      assert.isFalse(prompt.canPaste)
      yield* Fiber.interrupt(fiber)
    }))
})

describe("options", () => {
  const wrong: ReadonlyArray<readonly [string, Options]> = [
    ["a host elsewhere", { redirect: { host: "0.0.0.0" as never } }],
    ["port 0", { redirect: { port: 0 } }],
    ["a port that is none", { redirect: { port: 65_536 } }],
    ["half a port", { redirect: { port: 80.5 } }],
    ["a path without a slash", { redirect: { path: "callback" } }],
    ["a path to another host", { redirect: { path: "//evil.test" } }],
    ["a path with dots", { redirect: { path: "/a/../b" } }],
    ["a path with a query", { redirect: { path: "/a?b" } }],
    ["a long path", { redirect: { path: `/${"a".repeat(512)}` } }],
    ["a path of many letters with a query", { redirect: { path: `/${"a".repeat(100)}?b` } }],
    ["a redirect in the clear", { redirect: { manual: "http://acme.test/" }, pasted: () => Effect.never }],
    ["a redirect with a fragment", {
      redirect: { manual: "https://acme.test/#a" },
      pasted: () => Effect.never
    }],
    ["a redirect that is none", { redirect: { manual: "acme" }, pasted: () => Effect.never }],
    ["nothing to paste with", { redirect: { manual: "https://acme.test/" } }],
    ["pasting turned off", {
      redirect: { manual: "https://acme.test/" },
      paste: false,
      pasted: () => Effect.never
    }],
    ["a page in the clear", { pages: { successUrl: "http://acme.test/" } }],
    ["a language that is none", { pages: { language: "en\" onload=\"" } }]
  ]
  it.effect.each(wrong)("%s is Misconfigured", ([, options]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(setup(options))
      assert.strictEqual(error._tag, "Misconfigured")
    }))

  it.effect("a page of one's own after a success", () =>
    Effect.gen(function*() {
      const { fiber, prompt, visit } = yield* begun({ pages: { successUrl: "https://acme.test/welcome" } })
      yield* Fiber.join(yield* visit(belonging(prompt.url)))
      const page = yield* Fiber.join(yield* visit("", "Result"))
      assert.deepStrictEqual([page.status, page.headers["location"]], [303, "https://acme.test/welcome"])
      yield* Fiber.join(fiber)
    }))
})

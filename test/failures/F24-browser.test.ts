/** Secrets of a whole login, from its prompt to its last page, that came out in logs, spans, pages and errors. */
import { assert, describe, it } from "@effect/vitest"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Kit from "../login/browserKit.js"
import { json } from "../oauth/kit.js"
import type { Handler } from "../oauth/kit.js"
import { seen, written } from "../support/seen.js"

const code = "sesame+code/1"
const access = "sesame+access/2"
const renewal = "sesame+refresh/3"

const granted: Handler = () =>
  Effect.sync(json({ access_token: access, refresh_token: renewal, expires_in: 60 }))

const refused: Handler = ({ form }) =>
  Effect.sync(json({ error: "invalid_grant", error_description: form.toString() }, { status: 400 }))

const assertHidden = (text: string, secrets: ReadonlyArray<string>) => {
  for (const form of secrets.flatMap(written)) assert.notInclude(text, form)
}

const stateOf = (url: string) => new URL(url).searchParams.get("state") ?? ""

/** All that was sent to the token endpoint, so that a test can't pass by sending nothing. */
const wasSent = (calls: ReadonlyArray<{ readonly form: URLSearchParams }>) =>
  assert.strictEqual(calls.at(-1)?.form.get("code"), code)

describe("F24 a whole login shows no secret", () => {
  for (
    const [name, token, ends] of [["that succeeds", granted, true], ["that fails", refused, false]] as const
  ) {
    it.scoped(`${name}, by a callback`, () =>
      Effect.gen(function*() {
        const { calls, login, prompt, told, visit } = yield* Kit.setup({ token })
        const running = yield* Effect.fork(seen(login.login))
        const { url } = yield* prompt
        const strangers = [{ code }, { code, state: "other" }, { error: code, state: "other" }]
        for (const query of strangers) yield* visit(new URLSearchParams(query).toString())
        const page = yield* visit(Kit.belonging(url, { code }))
        const { body } = yield* Fiber.join(page)
        yield* TestClock.adjust("10 seconds")
        const { exit, text } = yield* Fiber.join(running)
        assert.strictEqual(Exit.isSuccess(exit), ends)
        wasSent(calls)
        assertHidden([text, body, ...(yield* told)].join("\n"), [code, access, renewal, stateOf(url)])
      }))

    it.scoped(`${name}, by an address that is pasted`, () =>
      Effect.gen(function*() {
        const lines = yield* Queue.unbounded<string>()
        const pasted = () => Effect.map(Queue.take(lines), Redacted.make)
        const { calls, login, prompt, told } = yield* Kit.setup({ token, pasted })
        const running = yield* Effect.fork(seen(login.login))
        const { url } = yield* prompt
        const of = (query: string) => `${Kit.redirectUri}?${query}`
        yield* Queue.offerAll(lines, [
          code,
          of(new URLSearchParams({ code, state: "other" }).toString()),
          `javascript:${code}`,
          of(Kit.belonging(url, { code }))
        ])
        yield* TestClock.adjust("10 seconds")
        const { exit, text } = yield* Fiber.join(running)
        assert.strictEqual(Exit.isSuccess(exit), ends)
        wasSent(calls)
        assertHidden([text, ...(yield* told)].join("\n"), [code, access, renewal, stateOf(url)])
      }))
  }

  it.scopedLive("over a real listener, whoever calls", () =>
    Effect.gen(function*() {
      const { calls, login, prompt, told } = yield* Kit.setup({
        token: granted,
        listen: NodeCallbackListener.make.listen
      })
      const running = yield* Effect.fork(seen(login.login))
      const { url } = yield* prompt
      const back = new URL(url).searchParams.get("redirect_uri") ?? ""
      const get = (query: string) =>
        Effect.promise(async () => {
          const response = await fetch(`${back}?${query}`)
          return [response.status, ...response.headers, await response.text()].join("\n")
        })
      const pages = [
        yield* get(new URLSearchParams({ code }).toString()),
        yield* get(new URLSearchParams({ code: code.repeat(2_000), state: stateOf(url) }).toString()),
        yield* get(Kit.belonging(url, { code }))
      ]
      const { exit, text } = yield* Fiber.join(running)
      assert.isTrue(Exit.isSuccess(exit))
      wasSent(calls)
      assertHidden([text, ...pages, ...(yield* told)].join("\n"), [code, access, renewal, stateOf(url)])
    }))

  it.scoped("that is cancelled while its code is redeemed", () =>
    Effect.gen(function*() {
      const isAsked = yield* Deferred.make<void>()
      const { calls, login, prompt, told, visit } = yield* Kit.setup({
        token: () => Effect.zipRight(Deferred.succeed(isAsked, undefined), Effect.never)
      })
      let state = ""
      const cancelled = Effect.gen(function*() {
        const running = yield* Effect.fork(login.login)
        const { url } = yield* prompt
        state = stateOf(url)
        yield* visit(Kit.belonging(url, { code }))
        yield* Deferred.await(isAsked)
        yield* Fiber.interruptFork(running)
        yield* TestClock.adjust("1 minute")
        return yield* Fiber.await(running)
      })
      const { exit, text } = yield* seen(cancelled)
      assert.isTrue(Exit.isFailure(yield* exit))
      wasSent(calls)
      assertHidden([text, ...(yield* told)].join("\n"), [code, state])
    }))
})

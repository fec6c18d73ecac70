import { assert, describe, it } from "@effect/vitest"
import * as TestToken from "effect-credentials/testing/TestToken"
import * as TestTokenSource from "effect-credentials/testing/TestTokenSource"
import type * as Token from "effect-credentials/Token"
import { ReauthRequired, TransientFailure } from "effect-credentials/TokenError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"

const text = (token: Token.Token): string => Redacted.value(token.value)

const reauth = new ReauthRequired({ source: "t", reason: "GrantRejected", detail: "gone", hint: "Log in." })
const network = new TransientFailure({
  source: "t",
  reason: "Network",
  detail: "offline",
  hint: "Wait.",
  retryAt: undefined
})

describe("TestTokenSource", () => {
  it.effect("constant: the same token, received when the source was made", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 second")
      const source = yield* TestTokenSource.constant("a", { expiresIn: "1 minute", scopes: ["s"], name: "n" })
      const first = yield* source.get
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* source.request({ refresh: true }), first)
      assert.deepInclude(first, { issuedAt: 1000, expiresAt: 61_000, scopes: ["s"] })
      assert.strictEqual(source.name, "n")
      assert.strictEqual((yield* source.status).source, "n")
    }))

  it.effect("a ready-made token is left as it is", () =>
    Effect.gen(function*() {
      const token = yield* TestToken.make("a", { expiresIn: "1 minute" })
      const source = yield* TestTokenSource.constant(token, { expiresIn: "1 hour" })
      assert.strictEqual(yield* source.get, token)
    }))

  it.effect("sequence: one after the other, errors among them, then the last one for ever", () =>
    Effect.gen(function*() {
      const source = yield* TestTokenSource.sequence(["a", network, "b"], { expiresIn: "1 minute" })
      assert.strictEqual(text(yield* source.get), "a")
      assert.strictEqual(yield* Effect.flip(source.get), network)
      yield* TestClock.adjust("5 seconds")
      const last = yield* source.get
      assert.strictEqual(text(last), "b")
      assert.strictEqual(last.expiresAt, 65_000)
      assert.strictEqual(text(yield* source.get), "b")
      assert.strictEqual((yield* source.usage).requests.length, 4)
    }))

  it.effect("sequence: the last answer may be an error", () =>
    Effect.gen(function*() {
      const source = yield* TestTokenSource.sequence(["a", reauth])
      yield* source.get
      assert.strictEqual(yield* Effect.flip(source.get), reauth)
      assert.strictEqual(yield* Effect.flip(source.get), reauth)
    }))

  it.effect("an empty sequence never answers", () =>
    Effect.gen(function*() {
      const source = yield* TestTokenSource.sequence([])
      const fiber = yield* Effect.fork(source.get)
      yield* TestClock.adjust("1 day")
      assert.isNull(fiber.unsafePoll())
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("failing: always, and it is typed", () =>
    Effect.gen(function*() {
      const source = yield* TestTokenSource.failing(reauth)
      const error: ReauthRequired = yield* Effect.flip(source.get)
      assert.strictEqual(error, reauth)
      assert.strictEqual(yield* Effect.flip(source.request({ refresh: true })), reauth)
    }))

  it.effect("remembers what was asked and what was refused", () =>
    Effect.gen(function*() {
      const source = yield* TestTokenSource.constant("a")
      const token = yield* source.get
      yield* source.request({ supersede: token, interactive: false })
      yield* source.invalidate(token)
      const usage = yield* source.usage
      assert.deepStrictEqual(usage.requests, [{}, { supersede: token, interactive: false }])
      assert.deepStrictEqual(usage.invalidated, [token])
      assert.strictEqual(usage.maxInFlight, 1)
      assert.strictEqual(usage.inFlight, 0)
    }))

  it.effect("controlled: waits for the hand that answers, in order of arrival", () =>
    Effect.gen(function*() {
      const source = yield* TestTokenSource.controlled()
      const first = yield* Effect.fork(source.get)
      const taken = yield* source.take
      const second = yield* Effect.fork(Effect.flip(source.request({ refresh: true })))
      const other = yield* source.take
      assert.deepStrictEqual([taken.request, other.request], [{}, { refresh: true }])
      assert.strictEqual((yield* source.usage).inFlight, 2)
      yield* other.fail(network)
      assert.strictEqual(yield* Fiber.join(second), network)
      assert.isNull(first.unsafePoll())
      yield* taken.succeed("a")
      yield* taken.succeed("too late")
      assert.strictEqual(text(yield* Fiber.join(first)), "a")
      const { inFlight, interrupted, maxInFlight } = yield* source.usage
      assert.deepStrictEqual({ inFlight, interrupted, maxInFlight }, {
        inFlight: 0,
        interrupted: 0,
        maxInFlight: 2
      })
    }))

  it.effect("controlled: an interrupted caller is counted out", () =>
    Effect.gen(function*() {
      const source = yield* TestTokenSource.controlled()
      const fiber = yield* Effect.fork(source.get)
      yield* source.take
      yield* Fiber.interrupt(fiber)
      const { inFlight, interrupted } = yield* source.usage
      assert.deepStrictEqual({ inFlight, interrupted }, { inFlight: 0, interrupted: 1 })
    }))
})

import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { inTurn, json, serve } from "../oauth/kit.js"
import type { Handler } from "../oauth/kit.js"
import * as OidcProvider from "../support/OidcProvider.js"

const authorization = {
  device_code: "d",
  user_code: "CODE",
  verification_uri: "https://idp.test/go",
  expires_in: 3600
}

const pending = json({ error: "authorization_pending" }, { status: 400 })

const setup = (
  poll: Handler,
  options: Partial<DeviceLogin.Options> = {},
  prompt?: LoginPrompt.Service
) =>
  Effect.gen(function*() {
    const queue = yield* Queue.unbounded<LoginPrompt.Prompt | LoginPrompt.Progress>()
    const layer = serve((call) =>
      call.url.endsWith("/device") ? Effect.sync(() => Response.json(authorization)) : poll(call)
    )
    const server = yield* AuthorizationServer.make({
      tokenEndpoint: "https://idp.test/token",
      deviceAuthorizationEndpoint: "https://idp.test/device"
    })
    const login = yield* Effect.provide(
      DeviceLogin.make({ server, client: { id: "app" }, name: "acme", ...options }),
      Layer.merge(
        layer,
        prompt === undefined ? LoginPrompt.layerQueue(queue) : Layer.succeed(LoginPrompt.LoginPrompt, prompt)
      )
    )
    const told = Effect.map(Queue.takeAll(queue), (all) => Chunk.toReadonlyArray(all).map((one) => one._tag))
    return { login, queue, told }
  })

it.scoped("a person is told what to do, does it, and is told that it worked", () =>
  Effect.gen(function*() {
    // The provider's clock, by which its ID token is dated.
    yield* TestClock.setTime(Date.now())
    const idp = yield* OidcProvider.make()
    const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
    const queue = yield* Queue.unbounded<LoginPrompt.Prompt | LoginPrompt.Progress>()
    const { login } = yield* Effect.provide(
      DeviceLogin.make({ server, client: { id: "device" }, scopes: ["openid", "offline_access"] }),
      LoginPrompt.layerQueue(queue)
    )
    const fiber = yield* Effect.fork(login)
    const prompt = yield* Queue.take(queue)
    const url = prompt._tag === "Device" ? prompt.verificationUriComplete : undefined
    yield* idp.approve(url ?? "")
    yield* TestClock.adjust("5 seconds")
    const grant = yield* Fiber.join(fiber)
    assert.isDefined(grant.refreshToken)
    // Whoever has the grant does not wait for it.
    assert.deepStrictEqual(yield* Queue.take(queue), {
      _tag: "Succeeded",
      source: `device login at ${new URL(idp.issuer).host}`
    })
  }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

describe("what the person is told", () => {
  it.effect("waiting, trouble and success", () =>
    Effect.gen(function*() {
      const { login, told } = yield* setup(inTurn(pending, () => "dropped", json({ access_token: "t" })))
      const fiber = yield* Effect.fork(login.login)
      yield* TestClock.adjust("20 seconds")
      const grant = yield* Fiber.join(fiber)
      assert.strictEqual(Redacted.value(grant.token.value), "t")
      assert.deepStrictEqual(yield* told, ["Device", "Waiting", "Trouble", "Succeeded"])
    }))

  it.effect("that it failed, and why", () =>
    Effect.gen(function*() {
      const { login, queue } = yield* setup(inTurn(json({ error: "access_denied" }, { status: 400 })))
      const fiber = yield* Effect.fork(Effect.flip(login.login))
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(fiber)
      const [, last] = Chunk.toReadonlyArray(yield* Queue.takeAll(queue))
      assert.deepStrictEqual(last, {
        _tag: "Failed",
        source: "acme",
        reason: "AccessDenied",
        hint: error.hint
      })
    }))
})

describe("the time limit", () => {
  it.effect("ends a login that the server would let go on", () =>
    Effect.gen(function*() {
      const { login, told } = yield* setup(inTurn(pending), { loginTimeLimit: "62 seconds" })
      // The last answer may take 35 seconds more.
      assert.strictEqual(Duration.toSeconds(login.timeLimit), 97)
      const fiber = yield* Effect.fork(Effect.flip(login.login))
      yield* TestClock.adjust("60 seconds")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "LoginExpired"])
      assert.deepStrictEqual((yield* told).slice(-2), ["Waiting", "Failed"])
    }))

  it.effect("is 15 minutes", () =>
    Effect.gen(function*() {
      const { login } = yield* setup(inTurn(pending))
      assert.strictEqual(Duration.toSeconds(login.timeLimit), 15 * 60 + 35)
    }))

  it.effect("is what the person is told, where the server allows more", () =>
    Effect.gen(function*() {
      const { login, queue } = yield* setup(inTurn(pending))
      const fiber = yield* Effect.fork(login.login)
      const prompt = yield* Queue.take(queue)
      assert.strictEqual(prompt._tag === "Device" ? prompt.expiresAt : undefined, 15 * 60_000)
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("does not cut off an answer on its way", () =>
    Effect.gen(function*() {
      const late: Handler = () => Effect.delay(Effect.sync(json({ access_token: "late" })), "10 seconds")
      const { login } = yield* setup(late, { loginTimeLimit: "6 seconds" })
      const fiber = yield* Effect.fork(login.login)
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(Redacted.value((yield* Fiber.join(fiber)).token.value), "late")
    }))
})

describe("a screen that hangs", () => {
  const granted = inTurn(json({ access_token: "t" }))
  const hanging = LoginPrompt.make({ show: () => Effect.void, progress: () => Effect.never })

  it.effect("does not keep back a grant that has come", () =>
    Effect.gen(function*() {
      const { login } = yield* setup(granted, {}, hanging)
      const fiber = yield* Effect.fork(login.login)
      yield* TestClock.adjust("5 seconds")
      assert.isNotNull(fiber.unsafePoll())
      assert.strictEqual(Redacted.value((yield* Fiber.join(fiber)).token.value), "t")
    }))

  it.effect("does not lose a grant to an interruption while it shows the success", () =>
    Effect.gen(function*() {
      const stored: Array<string> = []
      const { login } = yield* setup(granted, {}, hanging)
      const store = (secret: Redacted.Redacted) => Effect.sync(() => stored.push(Redacted.value(secret)))
      const storing = Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(restore(login.login), (grant) => store(grant.token.value))
      )
      const fiber = yield* Effect.fork(storing)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(stored, ["t"])
    }))

  const breaking: ReadonlyArray<readonly [string, Effect.Effect<never>]> = [
    ["hangs", Effect.never],
    ["hangs and can't be interrupted", Effect.uninterruptible(Effect.never)],
    ["dies", Effect.die(new Error("no screen"))],
    ["interrupts itself", Effect.interrupt]
  ]
  for (const [name, breaks] of breaking) {
    it.effect(`does not keep a person from logging in when it ${name} over the prompt and all that follows`, () =>
      Effect.gen(function*() {
        const prompt = LoginPrompt.make({ show: () => breaks, progress: () => breaks })
        const { login } = yield* setup(inTurn(pending, json({ access_token: "t" })), {}, prompt)
        const fiber = yield* Effect.fork(login.login)
        // 5 for the prompt, 5 until the first poll, 5 for what that tells, 5 until the second one.
        yield* TestClock.adjust("20 seconds")
        assert.isNotNull(fiber.unsafePoll())
        assert.strictEqual(Redacted.value((yield* Fiber.join(fiber)).token.value), "t")
      }))
  }

  it.effect("does not keep a login from being cancelled", () =>
    Effect.gen(function*() {
      const prompt = LoginPrompt.make({ show: () => Effect.never, progress: () => Effect.die("no screen") })
      const { login } = yield* setup(() => Effect.never, {}, prompt)
      const fiber = yield* Effect.fork(login.login)
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
    }))

  it.effect("does not stop the polling, nor keep back a failure", () =>
    Effect.gen(function*() {
      const denied = json({ error: "access_denied" }, { status: 400 })
      const { login } = yield* setup(inTurn(pending, denied), {}, hanging)
      const fiber = yield* Effect.fork(Effect.flip(login.login))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).reason, "AccessDenied")
    }))
})

describe("interruption", () => {
  for (const moment of ["0 seconds", "4 seconds", "5 seconds", "9 seconds"] as const) {
    it.effect(`after ${moment} ends it at once, and says so`, () =>
      Effect.gen(function*() {
        const { login, told } = yield* setup(() => Effect.never)
        const fiber = yield* Effect.fork(login.login)
        yield* TestClock.adjust(moment)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* told, ["Device", "Cancelled"])
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* told, [])
      }))
  }
})

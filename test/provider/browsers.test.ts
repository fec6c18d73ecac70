/** Each preset with a browser login, over the contract of the provider. */
import { assert, describe, it } from "@effect/vitest"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as CallbackListener from "effect-credentials/login/CallbackListener"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as Anthropic from "effect-credentials/provider/Anthropic"
import * as Entra from "effect-credentials/provider/Entra"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Google from "effect-credentials/provider/Google"
import * as OpenAI from "effect-credentials/provider/OpenAI"
import * as Provider from "effect-credentials/provider/Provider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { browse, logIn, redeemer, revoker, secret, setup, start, success } from "./kit.js"
import * as Replay from "./Replay.js"

const day = 24 * 3_600_000

interface Expected {
  readonly provider: Provider.WithBrowser
  readonly redirectUri: string
  readonly lifetime: number
  readonly rotates: boolean
  /** Whether there is an ID token, and it was verified. */
  readonly identified: boolean
}

const presets: Readonly<Record<string, Expected>> = {
  google: {
    provider: Google.provider,
    redirectUri: "http://127.0.0.1:49152/",
    lifetime: 3_920_000,
    rotates: false,
    identified: false
  },
  github: {
    provider: GitHub.provider,
    redirectUri: "http://127.0.0.1:49152/callback",
    lifetime: day / 3,
    rotates: true,
    identified: false
  },
  entra: {
    provider: Entra.make({ tenant: "11111111-2222-3333-4444-555555555555" }),
    redirectUri: "http://localhost:49152/",
    lifetime: 4_599_000,
    rotates: true,
    identified: true
  },
  openai: {
    provider: OpenAI.provider,
    redirectUri: "http://localhost:1455/auth/callback",
    lifetime: 10 * day,
    rotates: true,
    identified: true
  },
  anthropic: {
    provider: Anthropic.provider,
    redirectUri: Anthropic.provider.browser.pastePage,
    lifetime: day / 3,
    rotates: true,
    identified: false
  }
}

describe.each(Object.entries(presets))("%s", (name, expected) => {
  const { provider, redirectUri } = expected
  const contract = Replay.read(name)

  it("comes back to where clients register", () => {
    const { host, path, port } = provider.browser.redirect
    const { pastePage } = provider.browser
    assert.strictEqual(redirectUri, pastePage ?? `http://${host}:${port ?? 49152}${path}`)
  })

  it.effect("logs in, renews and ends as the contract has it", () =>
    Effect.gen(function*() {
      const scene = yield* setup(provider, contract, { revoke: ["success"] })
      const { attempt, grant } = yield* browse(provider, scene, redirectUri)
      assert.deepStrictEqual(scene.replay.complaints, [])
      assert.notInclude(attempt.url, "client_secret")
      assert.strictEqual(grant.token.expiresAt, start + expected.lifetime)
      assert.strictEqual(grant.idToken !== undefined, expected.identified)

      const redeem = yield* redeemer(provider, scene)
      const renewed = yield* redeem(grant)
      const again = yield* redeem(renewed)
      assert.strictEqual(secret(renewed.refreshToken) !== secret(grant.refreshToken), expected.rotates)
      assert.notStrictEqual(secret(again.token.value), secret(renewed.token.value))
      assert.deepStrictEqual(scene.replay.complaints, [])

      const revocation = yield* revoker(provider, scene)
      assert.strictEqual(yield* revocation.isOffered, contract.asks["revoke"] !== undefined)
      if (contract.asks["revoke"] !== undefined) yield* revocation.revoke(again)
      assert.deepStrictEqual(scene.replay.complaints, [])
    }))

  it.effect("never hears of the resource that a token is for, but remembers it", () =>
    Effect.gen(function*() {
      const scene = yield* setup(provider, contract)
      const { grant } = yield* browse(provider, scene, redirectUri, { resource: "https://api.test" })
      const renewed = yield* Effect.flatMap(redeemer(provider, scene), (redeem) => redeem(grant))
      assert.strictEqual(renewed.extra["resource"], "https://api.test")
      assert.deepStrictEqual(scene.replay.complaints, [])
    }))

  it.effect("knows a dead refresh token", () =>
    Effect.gen(function*() {
      for (const answer of ["dead", "expired", "invalidated", "interaction"]) {
        if (contract.asks["refresh"]?.answers[answer] === undefined) continue
        const scene = yield* setup(provider, contract, { refresh: [answer] })
        const { grant } = yield* browse(provider, scene, redirectUri)
        const redeem = yield* redeemer(provider, scene)
        const error = yield* Effect.flip(redeem(grant))
        assert.deepInclude({ ...error }, { _tag: "ReauthRequired", reason: "GrantRejected" })
      }
    }))

  it.effect("a code of somebody else's login is none of its business", () =>
    Effect.gen(function*() {
      const scene = yield* setup(provider, contract)
      const { attempt, callback, login } = yield* browse(provider, scene, redirectUri)
      callback.set("state", "another")
      const error = yield* Effect.flip(login.judge(attempt, callback))
      assert.instanceOf(error, AuthorizationCode.Unrelated)
    }))

  it.effect("the contract is strict: a field too many, a wrong verifier", () =>
    Effect.gen(function*() {
      const scene = yield* setup(provider, contract)
      const login = yield* AuthorizationCode.make(
        Provider.browser(provider, { ...scene.options, parameters: { surprise: "yes" } })
      ).pipe(Effect.provide(scene.replay.layer))
      const attempt = yield* login.begin({ redirectUri })
      const code = yield* login.judge(attempt, yield* scene.replay.browse(attempt.url))
      const other = { ...attempt, codeVerifier: Redacted.make("v".repeat(43)) }
      yield* Effect.flip(login.exchange(other, code))
      assert.deepStrictEqual(scene.replay.complaints, [
        "authorize: surprise is unknown or wrong",
        "code: code_verifier is wrong"
      ])
    }))
})

describe("Google", () => {
  it.effect("tells when a refresh token of a client that is being tested ends", () =>
    Effect.gen(function*() {
      const scene = yield* setup(Google.provider, Replay.read("google"), { code: ["limited"] })
      const { grant } = yield* browse(Google.provider, scene, "http://127.0.0.1:49152/")
      assert.strictEqual(grant.refreshExpiresAt, start + 604_799_000)
    }))
})

describe("Entra for any tenant", () => {
  it.effect("gives no ID token whose issuer it can't know, and logs in all the same", () =>
    Effect.gen(function*() {
      const tenant = Entra.make({ tenant: "11111111-2222-3333-4444-555555555555" })
      const { issuer } = Entra.provider.endpoints
      const provider = { ...Entra.provider, endpoints: { ...tenant.endpoints, issuer } }
      const scene = yield* setup(provider, Replay.read("entra"))
      const { grant } = yield* browse(provider, scene, "http://localhost:49152/")
      assert.isUndefined(grant.idToken)
      assert.isDefined(grant.refreshToken)
      const { exit } = yield* logIn(provider, scene)
      assert.isUndefined(success(exit).idToken)
      assert.isDefined(success(exit).refreshToken)
    }))
})

describe("Anthropic", () => {
  it.effect("takes what its page shows, once it belongs to this login", () =>
    Effect.gen(function*() {
      const { provider } = Anthropic
      const scene = yield* setup(provider, Replay.read("anthropic"))
      const pastes = yield* Queue.unbounded<Redacted.Redacted<string>>()
      const rejected: Array<string> = []
      const prompt = LoginPrompt.make({
        show: (prompt) =>
          Effect.gen(function*() {
            if (prompt._tag !== "Browser") return
            const callback = yield* scene.replay.browse(prompt.url)
            const code = callback.get("code") ?? ""
            yield* Queue.offer(pastes, Redacted.make(code))
            yield* Queue.offer(pastes, Redacted.make(`${code}#of-another-login`))
            yield* Queue.offer(pastes, Redacted.make(` ${code}#${callback.get("state") ?? ""}\n`))
          }),
        progress: (progress) =>
          Effect.sync(() => {
            if (progress._tag === "Rejected") rejected.push(progress.detail)
          }),
        pasted: () => Queue.take(pastes)
      })
      const login = yield* BrowserLogin.make({
        ...Provider.browser(provider, scene.options),
        redirect: { manual: provider.browser.pastePage ?? "" }
      }).pipe(
        Effect.provide([
          scene.replay.layer,
          BrowserLauncher.layerNone("there is none"),
          Layer.succeed(LoginPrompt.LoginPrompt, prompt),
          Layer.succeed(CallbackListener.CallbackListener, { listen: () => Effect.dieMessage("no listener") })
        ])
      )
      const fiber = yield* Effect.fork(login.login)
      // It waits between two pastes, and what is real in between takes its time too.
      while (fiber.unsafePoll() === null) {
        yield* TestClock.adjust("100 millis")
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5)))
      }
      const grant = yield* Fiber.join(fiber)
      assert.isDefined(grant.refreshToken)
      assert.deepStrictEqual(scene.replay.complaints, [])
      assert.strictEqual(rejected.length, 2)
    }))
})

/** A source made from a preset knows how its provider treats refresh tokens, and nobody else has to. */
import { assert, describe, expect, it } from "@effect/vitest"
import { Login } from "effect-credentials/login/Login"
import * as OAuthSource from "effect-credentials/manager/OAuthSource"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Anthropic from "effect-credentials/provider/Anthropic"
import * as Entra from "effect-credentials/provider/Entra"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Google from "effect-credentials/provider/Google"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import * as OpenAI from "effect-credentials/provider/OpenAI"
import * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import type * as TokenSource from "effect-credentials/TokenSource"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type { Setup } from "./kit.js"
import { browse, logIn, setup, start, success } from "./kit.js"
import * as Replay from "./Replay.js"

interface Preset {
  readonly name: string
  readonly provider: Provider.Provider
  /** Whether a refresh token that was sent may be sent again. */
  readonly repeats: boolean
  /** In how many days the grant is renewed though nobody asks. */
  readonly keptAlive: number | undefined
}

const presets: ReadonlyArray<Preset> = [
  { name: "google", provider: Google.provider, repeats: true, keptAlive: 90 },
  {
    name: "entra",
    provider: Entra.make({ tenant: "11111111-2222-3333-4444-555555555555" }),
    repeats: true,
    keptAlive: 45
  },
  { name: "github", provider: GitHub.provider, repeats: false, keptAlive: 90 },
  { name: "openai", provider: OpenAI.provider, repeats: false, keptAlive: undefined },
  { name: "anthropic", provider: Anthropic.provider, repeats: false, keptAlive: undefined },
  { name: "qwen", provider: Qwen.provider, repeats: false, keptAlive: undefined },
  { name: "minimax", provider: MiniMax.provider, repeats: false, keptAlive: undefined }
]

const hasBrowser = (provider: Provider.Provider): provider is Provider.WithBrowser =>
  provider.browser !== undefined
const hasDevice = (provider: Provider.Provider): provider is Provider.WithDevice =>
  provider.device !== undefined

/** Somebody has logged in as the contract has it. */
const grantOf = (provider: Provider.Provider, scene: Setup) =>
  Effect.gen(function*() {
    if (hasBrowser(provider)) {
      const { host, path, port } = provider.browser.redirect
      const redirectUri = provider.browser.pastePage ?? `http://${host}:${port ?? 49_152}${path}`
      return (yield* browse(provider, scene, redirectUri)).grant
    }
    return hasDevice(provider)
      ? success((yield* logIn(provider, scene, "1 minute")).exit)
      : yield* Effect.dieMessage("there is no way to log in")
  })

/** Programs that keep their grant in a vault, over the provider's contract. */
const stored = Effect.fnUntraced(
  function*(
    provider: Provider.Provider,
    name: string,
    refresh: ReadonlyArray<string>,
    options: Partial<Provider.SourceOptions> = {}
  ) {
    const scene = yield* setup(provider, Replay.read(name), { refresh })
    const made = Provider.source(provider, { ...scene.options, ...options })
    yield* Persisted.save(yield* OAuthSource.keyOf(made.refresh), yield* grantOf(provider, scene))
    const open = Effect.provide(OAuthSource.make(made), scene.replay.layer)
    const began = yield* TestClock.currentTimeMillis
    const sent = () => scene.replay.calls.filter(({ ask }) => ask === "refresh")
    /** Renews, and lets so much time pass. */
    const renewBy = (source: TokenSource.TokenSource) => (during: Duration.DurationInput) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(Effect.exit(source.request({ refresh: true })))
        yield* TestClock.adjust(during)
        return yield* Fiber.join(fiber)
      })
    return {
      replay: scene.replay,
      /** When refresh tokens were sent, in milliseconds from here, and how many different ones. */
      sentAt: () => sent().map(({ at }) => at - began),
      differing: () => new Set(sent().map(({ fields }) => fields["refresh_token"])).size,
      open: Effect.map(open, (source) => ({ renew: renewBy(source) }))
    }
  }
)

/** One of them, which stays open. */
const program = (...args: Parameters<typeof stored>) =>
  Effect.flatMap(
    stored(...args),
    ({ open, ...rest }) => Effect.map(open, (opened) => ({ ...rest, ...opened }))
  )

const layers = [MemoryVault.layer, RefreshScheduler.layer] as const

const ambiguous = { _tag: "Failure", cause: { error: { _tag: "ReauthRequired", reason: "Ambiguous" } } }

describe.each(presets)("a source of $name", ({ keptAlive, name, provider, repeats }) => {
  if (repeats) {
    it.scoped("repeats a renewal whose answer was lost, with the same refresh token", () =>
      Effect.gen(function*() {
        const { differing, renew, replay, sentAt } = yield* program(provider, name, ["dropped", "success"])
        success(yield* renew("2 seconds"))
        assert.deepStrictEqual(sentAt(), [0, 250])
        assert.strictEqual(differing(), 1)
        assert.deepStrictEqual(replay.complaints, [])
      }).pipe(Effect.provide(layers)))

    it.scoped("renews after an outage, however long, in whatever program, with the same refresh token", () =>
      Effect.gen(function*() {
        const lost = Array.from({ length: 4 }, () => "dropped")
        const { differing, open, sentAt } = yield* stored(provider, name, [...lost, "success"])
        const first = yield* Effect.scoped(Effect.flatMap(open, ({ renew }) => renew("10 seconds")))
        expect(first).toMatchObject({ cause: { error: { _tag: "TransientFailure", reason: "ReplyLost" } } })
        yield* TestClock.adjust("7 days")
        const second = yield* Effect.scoped(Effect.flatMap(open, ({ renew }) => renew("10 seconds")))
        success(second)
        assert.strictEqual(sentAt().length, 5)
        assert.strictEqual(differing(), 1)
      }).pipe(Effect.provide(layers)))
  } else {
    it.scoped("sends no refresh token again whose answer was lost: a second use may end the login", () =>
      Effect.gen(function*() {
        const { renew, sentAt } = yield* program(provider, name, ["dropped", "success"])
        expect(yield* renew("1 minute")).toMatchObject(ambiguous)
        yield* TestClock.adjust("1 day")
        expect(yield* renew("1 minute")).toMatchObject(ambiguous)
        assert.deepStrictEqual(sentAt(), [0])
      }).pipe(Effect.provide(layers)))
  }

  it.scoped("is renewed unasked only where that is wanted, halfway to the end of an unused login", () =>
    Effect.gen(function*() {
      for (const keepAlive of [undefined, false, true]) {
        const { sentAt } = yield* program(provider, name, ["success"], { keepAlive })
        const days = keptAlive ?? 90
        yield* TestClock.adjust(Duration.days(days - 1))
        assert.deepStrictEqual(sentAt(), [])
        yield* TestClock.adjust(Duration.days(2))
        assert.strictEqual(sentAt().length, keepAlive === true && keptAlive !== undefined ? 1 : 0)
      }
    }).pipe(Effect.provide(layers)))

  it.effect("tells OAuthSource and SignIn all that the preset says", () =>
    Effect.gen(function*() {
      const { options } = yield* setup(provider, Replay.read(name))
      const { defaultLifetime, dialect, keep, renewal } = provider
      const limits = { requestTimeLimit: "3 seconds", maxResponseBytes: 1000 } as const
      const made = Provider.source(provider, {
        ...options,
        ...limits,
        name: "mine",
        resource: "https://r.test"
      })
      expect(made).toEqual({
        name: "mine",
        refresh: {
          ...options,
          ...limits,
          name: "mine",
          resource: "https://r.test",
          defaultLifetime,
          keep,
          dialect
        },
        graceWindow: renewal.graceWindow,
        keepAlive: undefined
      })
    }))
})

describe("a grace window that ends", () => {
  const provider = {
    ...Qwen.provider,
    renewal: { ...Qwen.provider.renewal, graceWindow: "20 seconds" }
  } as const
  const lost = Array.from({ length: 4 }, () => "dropped")

  it.scoped("is handed on: within it a refresh token is sent again", () =>
    Effect.gen(function*() {
      const { differing, renew, sentAt } = yield* program(provider, "qwen", [...lost, "success"])
      expect(yield* renew("10 seconds")).toMatchObject({ cause: { error: { reason: "ReplyLost" } } })
      success(yield* renew("5 seconds"))
      assert.deepStrictEqual(sentAt().slice(0, 4), [0, 250, 750, 1750])
      assert.isBelow(sentAt().at(-1) ?? Infinity, 20_000)
      assert.strictEqual(differing(), 1)
    }).pipe(Effect.provide(layers)))

  it.scoped("and after it not", () =>
    Effect.gen(function*() {
      const { renew, sentAt } = yield* program(provider, "qwen", [...lost, "success"])
      yield* renew("30 seconds")
      expect(yield* renew("10 seconds")).toMatchObject(ambiguous)
      assert.strictEqual(sentAt().length, 4)
    }).pipe(Effect.provide(layers)))

  it("has no end where nothing is replaced, whatever else is said", () => {
    const renewal = { rotates: false, graceWindow: 0, idleLimit: undefined }
    const { graceWindow } = Provider.source({ ...Qwen.provider, renewal }, {} as Provider.SourceOptions)
    assert.strictEqual(Duration.toMillis(graceWindow), Infinity)
  })
})

describe("the grants of one provider", () => {
  it.effect("for different resources are kept apart", () =>
    Effect.gen(function*() {
      const { options } = yield* setup(Google.provider, Replay.read("google"))
      const keyFor = (resource: Provider.SourceOptions["resource"]) =>
        Effect.map(
          OAuthSource.keyOf(Provider.source(Google.provider, { ...options, resource }).refresh),
          ({ name }) => name
        )
      const keys = yield* Effect.forEach(
        [undefined, "https://a.test", "https://b.test", ["https://a.test", "https://b.test"]],
        keyFor
      )
      assert.strictEqual(new Set(keys).size, 4)
    }))
})

describe("an OAuth app of GitHub's", () => {
  it.scoped("can't renew what never ends, and goes on with it", () =>
    Effect.gen(function*() {
      const scene = yield* setup(GitHub.provider, Replay.read("github"), { poll: ["endless"] })
      const made = Provider.source(GitHub.provider, { ...scene.options, keepAlive: true })
      const { exit } = yield* logIn(GitHub.provider, scene, "1 minute")
      yield* Persisted.save(yield* OAuthSource.keyOf(made.refresh), success(exit))
      const source = yield* Effect.provide(OAuthSource.make(made), scene.replay.layer)
      const token = yield* source.get
      expect(yield* Effect.flip(source.request({ refresh: true }))).toMatchObject({ _tag: "ReauthRequired" })
      yield* TestClock.adjust("200 days")
      expect(yield* source.get).toEqual(token)
      assert.deepStrictEqual(scene.replay.calls.map(({ ask }) => ask), ["device", "poll"])
    }).pipe(Effect.provide(layers)))
})

/** The login of the program at Qwen. */
const atQwen = (script: Replay.Script) =>
  Effect.gen(function*() {
    const scene = yield* setup(Qwen.provider, Replay.read("qwen"), script)
    const device = yield* Effect.provide(
      DeviceCode.make(Provider.device(Qwen.provider, scene.options)),
      scene.replay.layer
    )
    const login = {
      name: device.name,
      timeLimit: Duration.minutes(15),
      login: device.login(() => Effect.void)
    }
    const signIn = yield* SignIn.make(Provider.source(Qwen.provider, scene.options)).pipe(
      Effect.provideService(Login, login),
      Effect.provide(scene.replay.layer)
    )
    const fiber = yield* Effect.fork(signIn.login)
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(fiber)
    return { signIn, replay: scene.replay }
  })

describe("a sign-in at Qwen", () => {
  it.scoped("offers the address of the API as the last answer that told one, made a URL", () =>
    Effect.gen(function*() {
      const { replay, signIn } = yield* atQwen({ refresh: ["kept", "success", "kept"] })
      const addresses = [yield* signIn.baseUrl]
      for (let renewal = 0; renewal < 3; renewal++) {
        yield* signIn.refresh
        addresses.push(yield* signIn.baseUrl)
      }
      assert.deepStrictEqual(addresses.map(Option.getOrNull), [
        "https://portal.qwen.ai",
        "https://portal.qwen.ai",
        "https://dashscope.example",
        "https://dashscope.example"
      ])
      assert.deepStrictEqual(replay.complaints, [])
      assert.isAbove((yield* signIn.token).issuedAt, start)
    }).pipe(Effect.provide(layers)))

  it.scoped("with an answer that is lost has to be repeated by a person", () =>
    Effect.gen(function*() {
      const { replay, signIn } = yield* atQwen({ refresh: ["dropped", "success"] })
      expect(yield* Effect.flip(signIn.refresh)).toMatchObject({ reason: "Ambiguous" })
      const fiber = yield* Effect.fork(signIn.login)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      yield* signIn.refresh
      assert.deepStrictEqual(replay.complaints, [])
    }).pipe(Effect.provide(layers)))
})

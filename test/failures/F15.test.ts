import * as NodeContext from "@effect/platform-node/NodeContext"
import * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import { Login } from "effect-credentials/login/Login"
import * as OAuthSource from "effect-credentials/manager/OAuthSource"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import { ReauthRequired } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import type * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStream from "effect-credentials/TokenStream"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as TokenFileVault from "effect-credentials/vault/TokenFileVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Kit from "../http/kit.js"
import * as OAuth from "../oauth/kit.js"

type Files = FileSystem.FileSystem | Path.Path

const denied = new ReauthRequired({ source: "person", reason: "AccessDenied", detail: "d", hint: "h" })

/** A person who takes a minute over each prompt, or so long, and then does as is written in `says`. */
const person = (takes: Duration.DurationInput = "1 minute") => {
  const seen = { prompts: 0, says: [] as Array<"allow" | "deny"> }
  const login = {
    name: "person",
    timeLimit: Duration.minutes(5),
    login: Effect.suspend(() => {
      const count = ++seen.prompts
      const answer = Effect.flatMap(
        Clock.currentTimeMillis,
        (now) =>
          (seen.says[count - 1] ?? "allow") === "deny" ? Effect.fail(denied) : Effect.succeed(Grant.make({
            token: Token.make({
              value: Redacted.make(`t${count}`),
              issuedAt: now,
              expiresAt: now + 3_600_000
            })
          }))
      )
      return Effect.delay(answer, takes)
    })
  }
  return { seen, login }
}

const refresh = Effect.map(
  AuthorizationServer.make({ issuer: "https://idp.test", tokenEndpoint: "https://idp.test/token" }),
  (server) => ({ server, client: { id: "app" } })
)

/** What a program is made of, over this vault. */
const program =
  (vault: Vault.Service, login: Login["Type"], options: Partial<OAuthSource.InteractiveOptions> = {}) =>
  <A, E, R>(
    made: (options: OAuthSource.InteractiveOptions) => Effect.Effect<A, E, R>
  ) =>
    Effect.flatMap(refresh, (refresh) => made({ refresh, key: "login", ...options })).pipe(
      Effect.provideService(Vault.Vault, vault),
      Effect.provideService(Login, login),
      Effect.provide([
        OAuth.serve(() => Effect.succeed(new Response(null, { status: 400 }))),
        RefreshScheduler.layer
      ])
    )

const outcomes = (fibers: ReadonlyArray<Fiber.Fiber<Either.Either<unknown, TokenError>>>) =>
  Effect.map(
    Fiber.joinAll(fibers),
    (all) => [...new Set(all.map((one) => Either.isRight(one) ? "token" : one.left.reason))]
  )

const many = <A>(count: number, one: Effect.Effect<A, TokenError>) =>
  Effect.forEach(Array.from({ length: count }), () => Effect.fork(Effect.either(one)))

const allowing = (source: TokenSource.TokenSource, answer: Parameters<typeof Kit.fake>[0]) => {
  const { client, requests } = Kit.fake(answer)
  const authed = HttpAuth.bearer(source, { origins: Kit.api, interactive: true })(client)
  return {
    requests,
    call: Effect.catchTags(authed.get(Kit.api), { RequestError: Effect.die, ResponseError: Effect.die })
  }
}

describe("F15 one prompt", () => {
  it.scoped("for 50 requests at once", () =>
    Effect.gen(function*() {
      const { login, seen } = person()
      const source = yield* program(yield* MemoryVault.make(), login)(OAuthSource.interactive)
      const { call } = allowing(source, () => new Response("ok"))
      const fibers = yield* many(50, call)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(fibers), ["token"])
      assert.strictEqual(seen.prompts, 1)
    }))

  it.scoped("for 20 requests whose token is refused, which nothing can renew", () =>
    Effect.gen(function*() {
      const { login, seen } = person()
      const source = yield* program(yield* MemoryVault.make(), login)(OAuthSource.interactive)
      const first = yield* Effect.fork(source.get)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(first)
      const { call, requests } = allowing(
        source,
        (request) => Effect.delay(Effect.sync(() => Kit.only("Bearer t2")(request)), "1 second")
      )
      const fibers = yield* many(20, call)
      yield* TestClock.adjust("62 seconds")
      assert.deepStrictEqual(yield* outcomes(fibers), ["token"])
      assert.strictEqual(requests.length, 40)
      assert.strictEqual(seen.prompts, 2)
    }))

  it.scoped("and after a denial none within the cool-down, however many requests come", () =>
    Effect.gen(function*() {
      const { login, seen } = person()
      seen.says = ["deny", "allow"]
      const source = yield* program(yield* MemoryVault.make(), login)(OAuthSource.interactive)
      const { call } = allowing(source, () => new Response("ok"))
      const first = yield* many(50, call)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(first), ["AccessDenied"])
      for (let second = 0; second < 59; second++) {
        const later = yield* many(5, call)
        yield* TestClock.adjust("1 second")
        const [one, ...others] = yield* outcomes(later)
        assert.include(["AccessDenied", "LoginRequired"], one)
        assert.deepStrictEqual(others, [])
      }
      assert.strictEqual(seen.prompts, 1)
      // What is remembered above the gate may last as long again.
      yield* TestClock.adjust("1 minute")
      const last = yield* many(5, call)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(last), ["token"])
      assert.strictEqual(seen.prompts, 2)
    }))

  it.scoped("for all sources of one grant, and after a denial none for any of them", () =>
    Effect.gen(function*() {
      const { login, seen } = person()
      seen.says = ["deny"]
      const make = program(yield* MemoryVault.make(), login)
      const sources = yield* Effect.all([make(OAuthSource.interactive), make(OAuthSource.interactive)])
      const fibers = (yield* Effect.forEach(sources, (source) => many(10, source.get))).flat()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(fibers), ["AccessDenied"])
      const third = yield* make(OAuthSource.interactive)
      assert.strictEqual((yield* Effect.flip(third.get)).reason, "LoginRequired")
      assert.strictEqual(seen.prompts, 1)
    }))
})

describe("F15 a stored source without a manager, with and without a memory,", () => {
  const make = (vault: Vault.Service, login: Login["Type"], coolDown?: Duration.DurationInput) =>
    Effect.gen(function*() {
      const stored = yield* Persisted.make({ key: "login", login, coolDown })
      return [stored, yield* TokenCache.make(stored)] as const
    }).pipe(Effect.provideService(Vault.Vault, vault), Effect.provide(RefreshScheduler.layer))

  it.scoped("opens no second prompt within the cool-down", () =>
    Effect.gen(function*() {
      const { login, seen } = person()
      seen.says = ["deny", "allow"]
      const sources = yield* make(yield* MemoryVault.make(), login)
      const ask = Effect.map(Effect.forEach(sources, (source) => many(10, source.get)), (all) => all.flat())
      const first = yield* ask
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(first), ["AccessDenied"])
      for (let second = 0; second < 59; second += 10) {
        const later = yield* ask
        yield* TestClock.adjust("10 seconds")
        assert.includeMembers(["AccessDenied", "LoginRequired"], yield* outcomes(later))
      }
      assert.strictEqual(seen.prompts, 1)
      yield* TestClock.adjust("1 minute")
      const last = yield* ask
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(last), ["token"])
      assert.strictEqual(seen.prompts, 2)
    }))

  it.scoped("asks again at once where the program wants no cool-down", () =>
    Effect.gen(function*() {
      const { login, seen } = person()
      seen.says = ["deny", "deny"]
      const [source] = yield* make(yield* MemoryVault.make(), login, 0)
      for (const prompts of [1, 2]) {
        const asked = yield* many(5, source.get)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* outcomes(asked), ["AccessDenied"])
        assert.strictEqual(seen.prompts, prompts)
      }
    }))

  it.scoped("is held back by what a manager's login came to, and the other way round", () =>
    Effect.gen(function*() {
      const { login, seen } = person()
      seen.says = ["deny"]
      const vault = yield* MemoryVault.make()
      const manager = yield* program(vault, login)(SignIn.make)
      const [source] = yield* make(vault, login)
      const first = yield* many(1, source.get)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(first), ["AccessDenied"])
      assert.strictEqual((yield* Effect.flip(manager.source.get)).reason, "LoginRequired")
      const asked = yield* many(1, manager.login)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(asked), ["token"])
      assert.deepStrictEqual(yield* outcomes(yield* many(1, source.get)), ["token"])
      assert.strictEqual(seen.prompts, 2)
    }))
})

it.scoped("F15 no request opens a prompt unless the program allows it", () =>
  Effect.gen(function*() {
    const { login, seen } = person()
    const source = yield* program(yield* MemoryVault.make(), login)(OAuthSource.interactive)
    const { client, requests } = Kit.fake(() => new Response("ok"))
    const authed = HttpAuth.bearer(source, { origins: Kit.api })(client)
    const error = yield* Effect.flip(authed.get(Kit.api))
    assert.deepInclude({ ...error }, { _tag: "TokenUnavailable", reason: "LoginRequired" })
    assert.deepStrictEqual([seen.prompts, requests.length], [0, 0])
  }))

it.scoped("F15 no stream opens a prompt unless the program allows it, not even when its token is refused", () =>
  Effect.gen(function*() {
    const { login, seen } = person()
    const source = yield* program(yield* MemoryVault.make(), login)(OAuthSource.interactive)
    const refusing = (options: TokenStream.ReopenOptions<"refused">) =>
      Stream.runDrain(
        TokenStream.reopening(source, () => Stream.fail("refused" as const), {
          isRejection: () => true,
          ...options
        })
      )
    assert.deepInclude({ ...(yield* Effect.flip(refusing({}))) as object }, { reason: "LoginRequired" })
    const first = yield* Effect.fork(source.get)
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(first)
    assert.deepInclude({ ...(yield* Effect.flip(refusing({}))) as object }, { reason: "NoRefreshToken" })
    assert.strictEqual(seen.prompts, 1)
    yield* Effect.fork(Effect.exit(refusing({ interactive: true })))
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(seen.prompts, 2)
  }))

it.scoped("F15 a denial holds back nobody else's login", () =>
  Effect.gen(function*() {
    const { login, seen } = person()
    seen.says = ["deny"]
    const vault = yield* MemoryVault.make()
    const mine = yield* program(vault, login)(OAuthSource.interactive)
    const first = yield* Effect.fork(Effect.either(mine.get))
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(first)
    const others = yield* Effect.all([
      program(vault, login, { key: "other" })(OAuthSource.interactive),
      program(yield* MemoryVault.make(), login)(OAuthSource.interactive)
    ])
    const fibers = yield* Effect.forEach(others, (source) => Effect.fork(Effect.either(source.get)))
    yield* TestClock.adjust("1 minute")
    assert.deepStrictEqual(yield* outcomes(fibers), ["token"])
    assert.strictEqual(seen.prompts, 3)
  }))

it.scoped("F15 a login that the person asks for is never held back, and opens the gate", () =>
  Effect.gen(function*() {
    const { login, seen } = person()
    seen.says = ["deny", "deny", "allow"]
    const manager = yield* program(yield* MemoryVault.make(), login)(SignIn.make)
    const automatic = yield* Effect.fork(Effect.either(manager.source.get))
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(automatic)
    for (const expected of ["AccessDenied", "token"]) {
      const asked = yield* many(1, manager.login)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(asked), [expected])
    }
    assert.strictEqual(seen.prompts, 3)
    yield* manager.logout()
    const again = yield* many(3, manager.source.get)
    yield* TestClock.adjust("1 minute")
    assert.deepStrictEqual(yield* outcomes(again), ["token"])
    assert.strictEqual(seen.prompts, 4)
  }))

/** The vault as another process sees it. */
const asProcess = (vault: Vault.Service, name: string): Vault.Service => ({
  ...vault,
  identity: { name },
  capabilities: { ...vault.capabilities, lease: "shared" }
})

describe("F15 among processes that share a vault, one prompt", () => {
  const sources = (says: ReadonlyArray<"allow" | "deny">) =>
    Effect.gen(function*() {
      const { login, seen } = person()
      seen.says = [...says]
      const vault = yield* MemoryVault.make()
      const made = yield* Effect.forEach(
        ["one", "two", "three", "four"],
        (name) => program(asProcess(vault, name), login)(OAuthSource.interactive)
      )
      const ask = Effect.forEach(made, (source) => many(5, source.get))
      return { ask: Effect.map(ask, (fibers) => fibers.flat()), seen, made }
    })

  it.scoped("whose grant all of them take", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* sources(["allow"])
      const fibers = yield* ask
      yield* TestClock.adjust("62 seconds")
      assert.deepStrictEqual(yield* outcomes(fibers), ["token"])
      assert.strictEqual(seen.prompts, 1)
    }))

  it.scoped("whose denial is not followed by a prompt of each of the others", () =>
    Effect.gen(function*() {
      const { ask, seen } = yield* sources(["deny"])
      const fibers = yield* ask
      yield* TestClock.adjust("70 seconds")
      assert.sameMembers(yield* outcomes(fibers), ["AccessDenied", "LoginRequired"])
      assert.strictEqual(seen.prompts, 1)
    }))

  it.scoped("that goes on for the others when whoever asked for it has left", () =>
    Effect.gen(function*() {
      const { ask, made: [first], seen } = yield* sources([])
      const gone = yield* many(1, first === undefined ? Effect.die("none") : first.get)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.interruptAll(gone)
      const fibers = yield* ask
      yield* TestClock.adjust("65 seconds")
      assert.deepStrictEqual(yield* outcomes(fibers), ["token"])
      assert.strictEqual(seen.prompts, 1)
    }))

  it.scoped("that ends with its process makes room for that of another one, by its next call", () =>
    Effect.gen(function*() {
      const { login, seen } = person()
      const vault = yield* MemoryVault.make()
      const make = (name: string) => program(asProcess(vault, name), login)(OAuthSource.interactive)
      const scope = yield* Scope.make()
      const first = yield* Scope.extend(make("one"), scope)
      const second = yield* make("two")
      yield* many(1, first.get)
      yield* TestClock.adjust("10 seconds")
      const waiting = yield* many(5, second.get)
      yield* TestClock.adjust("1 second")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* outcomes(waiting), ["LoginRequired"])
      assert.strictEqual(seen.prompts, 1)
      yield* TestClock.adjust("1 minute")
      const later = yield* many(5, second.get)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* outcomes(later), ["token"])
      assert.strictEqual(seen.prompts, 2)
    }))

  const onFiles: Readonly<
    Record<string, (directory: string) => Effect.Effect<Vault.Service, never, Files>>
  > = {
    "over files": (directory) => Effect.orDie(FileVault.make({ directory: `${directory}/vault` })),
    "over one token file": (directory) =>
      Effect.orDie(TokenFileVault.make({ path: `${directory}/token.json`, key: "login" }))
  }
  for (const [name, make] of Object.entries(onFiles)) {
    it.scopedLive(`${name}, whose leases are real`, () =>
      Effect.gen(function*() {
        const { login, seen } = person("1500 millis")
        const directory = yield* Effect.flatMap(FileSystem.FileSystem, (files) =>
          files.makeTempDirectoryScoped())
        const vault = yield* make(directory)
        const made = yield* Effect.forEach(
          ["one", "two", "three"],
          (name) =>
            program(asProcess(vault, name), login)(OAuthSource.interactive)
        )
        const tokens = yield* Effect.forEach(made, (source) => source.get, { concurrency: "unbounded" })
        assert.deepStrictEqual(new Set(tokens.map(Kit.secretOf)), new Set(["t1"]))
        assert.strictEqual(seen.prompts, 1)
      }).pipe(Effect.provide(NodeContext.layer)))
  }
})

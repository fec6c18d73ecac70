import { describe, expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as PathPatch from "effect/ConfigProviderPathPatch"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { secretOf } from "./internal/kit.js"

describe("staticToken", () => {
  it.effect.each(["", " ", "\t\r\n ", "\u00a0"])(
    "of %j is Misconfigured when it is made, so it is never sent",
    (text) =>
      Effect.gen(function*() {
        for (const made of [TokenSource.staticToken, TokenSource.apiKey]) {
          const error = yield* Effect.flip(made(Redacted.make(text)))
          expect(error).toMatchObject({ _tag: "Misconfigured", reason: "EmptySecret" })
          expect(error.hint.length).toBeGreaterThan(10)
        }
      })
  )

  it.effect("gives the same token to every request, without the white space around it", () =>
    Effect.gen(function*() {
      const source = yield* TokenSource.staticToken(Redacted.make(" key\n"), { type: "Custom" })
      const token = yield* source.get
      expect([secretOf(token), token.type, token.expiresAt]).toEqual(["key", "Custom", Infinity])
      yield* source.invalidate(token)
      for (const request of [{ refresh: true }, { supersede: token }, { minValidity: Duration.infinity }]) {
        expect(yield* source.request(request)).toBe(token)
      }
      expect(source.peek()).toEqual(Option.some(token))
      expect(yield* source.status).toMatchObject({
        health: "Healthy",
        source: "static token",
        token: { type: "Custom" }
      })
      expect(JSON.stringify(yield* source.status)).not.toContain("key")
    }))

  it.effect("and apiKey have names", () =>
    Effect.gen(function*() {
      const key = Redacted.make("key")
      const sources = yield* Effect.all([
        TokenSource.staticToken(key),
        TokenSource.staticToken(key, { name: "mine" }),
        TokenSource.apiKey(key),
        TokenSource.apiKey(key, { name: "OpenAI" })
      ])
      expect(sources.map((source) => source.name)).toEqual(["static token", "mine", "API key", "OpenAI"])
    }))
})

const environment = (entries: ReadonlyArray<readonly [string, string]>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(entries)))

describe("env", () => {
  const both = TokenSource.env(["FIRST_KEY", "SECOND_KEY"])

  it.effect.each<readonly [string, ReadonlyArray<readonly [string, string]>, string]>([
    ["the first", [["FIRST_KEY", "1"], ["SECOND_KEY", "2"]], "1"],
    ["the second where the first is not set", [["SECOND_KEY", "2"]], "2"],
    ["the second where the first is empty", [["FIRST_KEY", ""], ["SECOND_KEY", "2"]], "2"],
    ["the second where the first is blank", [["FIRST_KEY", " \t\n"], ["SECOND_KEY", "2"]], "2"],
    ["it without the white space around it", [["FIRST_KEY", " a b \n"]], "a b"]
  ])("gives %s", ([, entries, expected]) =>
    Effect.gen(function*() {
      const source = yield* both
      expect(secretOf(yield* source.get)).toBe(expected)
      expect(yield* source.status).toMatchObject({ health: "Available" })
    }).pipe(environment(entries)))

  it.effect.each<readonly [string, ReadonlyArray<readonly [string, string]>, string, string]>([
    ["none is set", [], "NotConfigured", "FIRST_KEY is not set, SECOND_KEY is not set"],
    ["one is blank", [["SECOND_KEY", "  "]], "Blank", "FIRST_KEY is not set, SECOND_KEY is blank"],
    [
      "all are blank",
      [["FIRST_KEY", ""], ["SECOND_KEY", "\n"]],
      "Blank",
      "FIRST_KEY is blank, SECOND_KEY is blank"
    ]
  ])("is unavailable and says why where %s", ([, entries, reason, detail]) =>
    Effect.gen(function*() {
      const source = yield* both
      const error = yield* Effect.flip(source.get)
      expect(error).toMatchObject({
        _tag: "TokenUnavailable",
        reason,
        detail,
        hint: "Set FIRST_KEY or SECOND_KEY to use it."
      })
      expect(yield* source.status).toMatchObject({ health: "Unavailable", failure: error })
    }).pipe(environment(entries)))

  it.effect("takes one name, and names itself after all of them", () =>
    Effect.gen(function*() {
      const [one, two, named] = yield* Effect.all([
        TokenSource.env("ONLY"),
        both,
        TokenSource.env("ONLY", { name: "the key" })
      ])
      expect(secretOf(yield* one.get)).toBe("x")
      expect([one.name, two.name, named.name]).toEqual([
        "environment ONLY",
        "environment FIRST_KEY, SECOND_KEY",
        "the key"
      ])
    }).pipe(environment([["ONLY", "x"]])))

  it.effect("reads anew on each call, from the provider in force when it was made", () =>
    Effect.gen(function*() {
      const name = "EFFECT_CREDENTIALS_TEST_KEY"
      const source = yield* Effect.withConfigProvider(TokenSource.env(name), ConfigProvider.fromEnv())
      const elsewhere = environment([[name, "wrong"]])(source.get)
      process.env[name] = "old"
      expect(secretOf(yield* elsewhere)).toBe("old")
      process.env[name] = "new"
      expect(secretOf(yield* elsewhere)).toBe("new")
      delete process.env[name]
      expect(yield* Effect.flip(elsewhere)).toMatchObject({ reason: "NotConfigured" })
    }))

  const broken = (unreadable: string) =>
    ConfigProvider.fromFlat(ConfigProvider.makeFlat({
      load: (path, config) =>
        path.includes(unreadable)
          ? Effect.fail(ConfigError.SourceUnavailable([...path], "the backend says s3cr3t", Cause.empty))
          : Effect.map(config.parse("value"), (value) => [value]),
      enumerateChildren: () => Effect.die("not asked"),
      patch: PathPatch.empty
    }))

  it.effect("of a provider that can't answer is Misconfigured, not unavailable, and repeats nothing of it", () =>
    Effect.gen(function*() {
      const source = yield* Effect.withConfigProvider(both, broken("FIRST_KEY"))
      const error = yield* Effect.flip(source.get)
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
      expect(error.message).not.toContain("s3cr3t")
    }))

  it.effect("reads no further than the first that is set", () =>
    Effect.gen(function*() {
      const source = yield* Effect.withConfigProvider(both, broken("SECOND_KEY"))
      expect(secretOf(yield* source.get)).toBe("value")
    }))
})

describe("fromEffect", () => {
  class Backend extends Context.Tag("test/Backend")<Backend, string>() {}

  it.effect("runs the fetch on each call, with what it needs captured when it was made", () =>
    Effect.gen(function*() {
      let n = 0
      const fetch = Effect.flatMap(Backend, (backend) => Kit.received(`${backend}${++n}`))
      const source = yield* Effect.provideService(TokenSource.fromEffect(fetch), Backend, "made")
      const asked: Effect.Effect<ReadonlyArray<string>> = Effect.map(
        Effect.all([source.get, source.get, source.request({ refresh: true })]),
        (tokens) => tokens.map(secretOf)
      )
      expect(yield* Effect.provideService(asked, Backend, "called")).toEqual(["made1", "made2", "made3"])
    }))

  it.effect("has a name and a time limit", () =>
    Effect.gen(function*() {
      const plain = yield* TokenSource.fromEffect(Kit.received("t"))
      const own = yield* TokenSource.fromEffect(Kit.received("t"), { name: "mine", timeLimit: "5 seconds" })
      expect([plain.name, Duration.toMillis(plain.timeLimit)]).toEqual(["fetch", 30_000])
      expect([own.name, Duration.toMillis(own.timeLimit)]).toEqual(["mine", 5_000])
    }))
})

describe("make", () => {
  it.effect("holds nothing, forgets nothing and never changes unless it is told how", () =>
    Effect.gen(function*() {
      const { source } = Kit.issuer(Kit.instantly(), { name: "mine" })
      const token = yield* source.get
      expect(source.peek()).toEqual(Option.none())
      yield* source.invalidate(token)
      source.onChange(() => expect.unreachable())()
      expect(yield* source.status).toMatchObject({ source: "mine", health: "Available", tiers: [] })
    }))

  it.effect("calls the function anew for each get", () =>
    Effect.gen(function*() {
      const { log, source } = Kit.issuer(Kit.instantly())
      expect(log.fetches).toBe(0)
      expect(secretOf(yield* source.get)).toBe("t1")
      expect(secretOf(yield* source.get)).toBe("t2")
    }))
})

it.effect("quiet asks nobody, whatever the caller says, and is the same source in all else", () =>
  Effect.gen(function*() {
    const requests: Array<TokenSource.TokenRequest> = []
    const token = Token.make({ value: Redacted.make("held") })
    const quiet = TokenSource.quiet(TokenSource.make({
      name: "mine",
      request: (request) => {
        requests.push(request)
        return Effect.succeed(token)
      },
      peek: () => Option.some(token)
    }))
    yield* quiet.get
    yield* quiet.request({ interactive: true, refresh: true })
    expect(requests).toEqual([{ interactive: false }, { interactive: false, refresh: true }])
    expect([quiet.name, quiet.peek()]).toEqual(["mine", Option.some(token)])
  }))

describe("named sources", () => {
  class GitHub extends TokenSource.Tag("test/GitHub")<GitHub>() {}
  class Slack extends TokenSource.Tag("test/Slack")<Slack>() {}
  const key = (text: string) => TokenSource.apiKey(Redacted.make(text))

  it.effect("live side by side, each with its Layer", () =>
    Effect.gen(function*() {
      expect(secretOf(yield* GitHub.get)).toBe("gh")
      expect(secretOf(yield* Slack.get)).toBe("sl")
      const source = yield* GitHub
      expect(secretOf(yield* source.get)).toBe("gh")
    }).pipe(Effect.provide([GitHub.layer(key("gh")), Slack.layer(key("sl"))])))

  it.effect("and the single one has a tag of its own", () =>
    Effect.gen(function*() {
      const source = yield* TokenSource.TokenSource
      expect(secretOf(yield* source.get)).toBe("only")
    }).pipe(Effect.provide(TokenSource.layer(TokenSource.TokenSource, key("only")))))

  it.effect("whose set-up is wrong fail when the Layer is built", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.provide(GitHub.get, GitHub.layer(key(" "))))
      expect(error).toMatchObject({ _tag: "Misconfigured" })
    }))

  it.effect("are renewed by one scheduler, while the Layer lives, and not after", () =>
    Effect.gen(function*() {
      const { log, source } = Kit.issuer(Kit.instantly())
      const cached = TokenCache.cached(Effect.succeed(source), { policy: Kit.exact })
      yield* Effect.gen(function*() {
        yield* GitHub.get
        yield* Slack.get
        yield* TestClock.adjust("2 hours")
        expect(log.fetches).toBe(6)
      }).pipe(Effect.provide(Layer.mergeAll(GitHub.layer(cached), Slack.layer(cached))))
      yield* TestClock.adjust("1 day")
      expect(log.fetches).toBe(6)
    }))

  it.effect("use the scheduler with options that the program provides", () =>
    Effect.gen(function*() {
      const { log, source } = Kit.issuer(Kit.numbered("1 hour", "10 seconds"))
      const cached = TokenCache.make(source, { policy: Kit.exact })
      const sources = yield* Effect.all(Array.from({ length: 5 }, () => cached))
      yield* Kit.within(
        Effect.all(sources.map((source) => source.get), { concurrency: "unbounded" }),
        "10 seconds"
      )
      log.most = 0
      yield* TestClock.adjust("57 minutes")
      expect(log).toMatchObject({ fetches: 10, most: 2 })
    }).pipe(Effect.provide(RefreshScheduler.layerWith({ concurrency: 2 })), Effect.scoped))
})

import type * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import type * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenChain from "effect-credentials/TokenChain"
import type {
  Misconfigured,
  ReauthRequired,
  RequestRejected,
  TokenError,
  TokenUnavailable,
  TransientFailure
} from "effect-credentials/TokenError"
import * as TokenFamily from "effect-credentials/TokenFamily"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStream from "effect-credentials/TokenStream"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { describe, expect, it } from "tstyche"

declare const secret: Redacted.Redacted<string>
declare const gone: Effect.Effect<TokenSource.TokenSource<ReauthRequired>, "unmade", "need">
declare const down: Effect.Effect<TokenSource.TokenSource<TransientFailure>>
declare const silent: Effect.Effect<TokenSource.TokenSource<never>>
class Api extends TokenSource.Tag("test/Api")<Api>() {}
class Narrow extends TokenSource.Tag("test/Narrow")<Narrow, ReauthRequired>() {}
class Backend extends Context.Tag("test/Backend")<Backend, string>() {}

type Needs = Scope.Scope | RefreshScheduler.RefreshScheduler

describe("constructors", () => {
  it("a static token never fails once it is made", () => {
    expect(TokenSource.staticToken(secret)).type.toBe<
      Effect.Effect<TokenSource.TokenSource<never>, Misconfigured>
    >()
    expect(TokenSource.apiKey(secret)).type.toBe<
      Effect.Effect<TokenSource.TokenSource<never>, Misconfigured>
    >()
  })

  it("the environment is read later, and what it gives then is typed", () => {
    expect(TokenSource.env(["A", "B"])).type.toBe<
      Effect.Effect<TokenSource.TokenSource<TokenUnavailable | Misconfigured>>
    >()
    expect(TokenSource.env).type.not.toBeCallableWith([])
  })

  it("a fetch keeps its errors, and its needs are those of the making", () => {
    const fetch = Effect.flatMap(Backend, () => Effect.fail(undefined as unknown as ReauthRequired))
    expect(TokenSource.fromEffect(fetch)).type.toBe<
      Effect.Effect<TokenSource.TokenSource<ReauthRequired>, never, Backend>
    >()
    expect(TokenSource.fromEffect).type.not.toBeCallableWith(Effect.fail("no token error"))
  })

  it("a source needs nothing when it is used", () => {
    const source = Effect.runSync(silent)
    expect(source.get).type.toBe<Effect.Effect<Token.Token>>()
    expect(TokenSource.refresh(source)).type.toBe<Effect.Effect<Token.Token>>()
  })

  it("a source with fewer errors stands where one with more is wanted, not the other way round", () => {
    expect<TokenSource.TokenSource>().type.toBeAssignableFrom<TokenSource.TokenSource<never>>()
    expect<TokenSource.TokenSource<ReauthRequired>>().type.not.toBeAssignableFrom<TokenSource.TokenSource>()
  })
})

describe("cached", () => {
  it("adds its own errors and needs, in both ways of calling it", () => {
    expect(gone.pipe(TokenCache.cached())).type.toBe<
      Effect.Effect<TokenSource.TokenSource<ReauthRequired | TokenCache.CacheError>, "unmade", "need" | Needs>
    >()
    expect(TokenCache.cached(silent, { schedule: "onUse" })).type.toBe<
      Effect.Effect<TokenSource.TokenSource<TokenCache.CacheError>, never, Needs>
    >()
    expect<TokenCache.CacheError>().type.toBe<TransientFailure | TokenUnavailable | RequestRejected>()
  })

  it("knows its options", () => {
    expect(TokenCache.cached).type.not.toBeCallableWith(silent, { schedule: "sometimes" })
  })
})

describe("chains", () => {
  it("firstOf infers the union of errors, set-up errors and needs", () => {
    expect(TokenChain.firstOf([gone, down, silent])).type.toBe<
      Effect.Effect<
        TokenSource.TokenSource<ReauthRequired | TransientFailure | TokenUnavailable>,
        "unmade",
        "need"
      >
    >()
    expect(TokenChain.firstOf([silent])).type.toBe<Effect.Effect<TokenSource.TokenSource<TokenUnavailable>>>()
    expect(TokenChain.firstOf).type.not.toBeCallableWith([])
  })

  it("orElse does too, in both ways of calling it", () => {
    expect(TokenChain.orElse(gone, down)).type.toBe<
      Effect.Effect<
        TokenSource.TokenSource<ReauthRequired | TransientFailure | TokenUnavailable>,
        "unmade",
        "need"
      >
    >()
    expect(down.pipe(TokenChain.orElse(gone))).type.toBe<
      Effect.Effect<
        TokenSource.TokenSource<ReauthRequired | TransientFailure | TokenUnavailable>,
        "unmade",
        "need"
      >
    >()
  })

  it("of a mix of real ones", () => {
    const chain = TokenChain.firstOf([
      TokenSource.env("KEY"),
      TokenSource.apiKey(secret),
      gone.pipe(TokenCache.cached())
    ])
    expect(chain).type.toBe<
      Effect.Effect<
        TokenSource.TokenSource<
          TokenUnavailable | Misconfigured | ReauthRequired | TransientFailure | RequestRejected
        >,
        Misconfigured | "unmade",
        "need" | Needs
      >
    >()
  })
})

describe("Layers and tags", () => {
  it("a Layer needs neither scope nor scheduler", () => {
    expect(TokenSource.layer(Api, TokenCache.cached(gone))).type.toBe<Layer.Layer<Api, "unmade", "need">>()
    expect(Api.layer(TokenCache.cached(silent))).type.toBe<Layer.Layer<Api>>()
    expect(Api.layer(TokenSource.staticToken(secret))).type.toBe<Layer.Layer<Api, Misconfigured>>()
  })

  it("a class made by Tag is a key of the context", () => {
    expect(Api.get).type.toBe<Effect.Effect<Token.Token, TokenError, Api>>()
    expect(Effect.flatMap(Api, (source) => source.get)).type.toBe<
      Effect.Effect<Token.Token, TokenError, Api>
    >()
    expect<Context.Tag.Service<typeof Api>>().type.toBe<TokenSource.TokenSource>()
    expect(Effect.provide(Api.get, Api.layer(silent))).type.toBe<Effect.Effect<Token.Token, TokenError>>()
  })

  it("two classes are two services", () => {
    expect(Effect.provide(Narrow.get, Api.layer(silent))).type.toBe<
      Effect.Effect<Token.Token, ReauthRequired, Narrow>
    >()
  })

  it("a class may narrow its errors, and then takes no source with others", () => {
    expect(Narrow.get).type.toBe<Effect.Effect<Token.Token, ReauthRequired, Narrow>>()
    expect(Narrow.layer(silent)).type.toBe<Layer.Layer<Narrow>>()
    expect(Narrow.layer).type.not.toBeCallableWith(down)
  })
})

describe("families and streams", () => {
  it("a family keeps errors and set-up errors apart until a token is asked for", () => {
    const family = TokenFamily.make({ lookup: (_key: number) => gone })
    expect(family).type.toBe<
      Effect.Effect<
        TokenFamily.TokenFamily<number, ReauthRequired, "unmade">,
        never,
        Scope.Scope | RefreshScheduler.RefreshScheduler | "need"
      >
    >()
    expect(Effect.flatMap(family, (family) => family.get(1))).type.toBe<
      Effect.Effect<
        Token.Token,
        ReauthRequired | TokenUnavailable | "unmade",
        Scope.Scope | RefreshScheduler.RefreshScheduler | "need"
      >
    >()
  })

  it("a stream that is reopened fails as the stream or as the source", () => {
    const source = undefined as unknown as TokenSource.TokenSource<ReauthRequired>
    const open = (_token: Token.Token): Stream.Stream<number, "broken", "net"> => Stream.empty
    expect(TokenStream.reopening(source, open)).type.toBe<
      Stream.Stream<number, "broken" | ReauthRequired | TransientFailure, "net">
    >()
    expect(TokenStream.reopening(open)(source)).type.toBe<
      Stream.Stream<number, "broken" | ReauthRequired | TransientFailure, "net">
    >()
  })
})

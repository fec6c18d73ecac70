import { describe, expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenChain from "effect-credentials/TokenChain"
import { Misconfigured, RequestRejected, TokenUnavailable } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStatus from "effect-credentials/TokenStatus"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { secretOf } from "./internal/kit.js"

const unavailable = (source: string, reason: TokenUnavailable["reason"] = "NotConfigured") =>
  new TokenUnavailable({
    source,
    reason,
    detail: `${source} has nothing`,
    hint: `Set up ${source}.`,
    tiers: []
  })

/** A tier that answers with a token of its own name. */
const good = (name: string) => Kit.issuer<never>(() => Kit.received(name, "1 hour"), { name })
const bad = <E extends TokenError>(name: string, error: E) =>
  Kit.issuer<E>(() => Effect.fail(error), { name })
const none = (name: string) => bad(name, unavailable(name))

const made = <E extends TokenError>(...tiers: ReadonlyArray<Kit.Issuer<E>>) =>
  tiers.map((tier) => tier.source)

const rejection = new RequestRejected({
  source: "x",
  reason: "InvalidScope",
  detail: "no",
  hint: "Ask less."
})
const stored = new Misconfigured({ source: "x", reason: "StoreDenied", detail: "denied", hint: "Allow it." })

describe("a chain", () => {
  it.effect("answers with the first tier that has a token, and asks no further", () =>
    Effect.gen(function*() {
      const [a, b, c] = [none("a"), good("b"), good("c")]
      const chain = yield* TokenChain.make(made<TokenUnavailable>(a, b, c))
      expect(secretOf(yield* chain.get)).toBe("b")
      expect([a, b, c].map(({ log }) => log.fetches)).toEqual([1, 1, 0])
    }))

  it.effect.each<TokenError>([Kit.transient(), Kit.reauth(), rejection, stored, Kit.misconfigured])(
    "stops at a tier that failed, with its own error (%s)",
    (error) =>
      Effect.gen(function*() {
        const [a, b] = [bad("a", error), good("b")]
        const chain = yield* TokenChain.make(made<TokenError>(a, b))
        expect(yield* Effect.flip(chain.get)).toBe(error)
        expect(b.log.fetches).toBe(0)
      })
  )

  // What the first tier of two says, and whether the second one is asked.
  it.effect.each<readonly [TokenUnavailable["reason"], boolean]>([
    ["NotConfigured", true],
    ["Blank", true],
    ["LoginRequired", true],
    ["AllTiers", true],
    ["Closed", false]
  ])(
    "F34 goes on after a tier that is not available here, not after one that was closed (%s)",
    ([reason, on]) =>
      Effect.gen(function*() {
        const [a, b] = [bad("a", unavailable("a", reason)), good("b")]
        const chain = yield* TokenChain.make(made<TokenUnavailable>(a, b))
        const answer = yield* Effect.either(chain.get)
        expect(b.log.fetches).toBe(on ? 1 : 0)
        if (!on) expect(answer).toMatchObject({ left: { source: "a", reason } })
      })
  )

  it.effect("goes on after a failure only where it was told to", () =>
    Effect.gen(function*() {
      const fallThrough = (error: TokenError) => error._tag === "TransientFailure"
      const chainOf = (error: TokenError) =>
        TokenChain.make(made<TokenError>(bad("a", error), good("b")), { fallThrough })
      expect(secretOf(yield* Effect.flatMap(chainOf(Kit.transient()), (chain) => chain.get))).toBe("b")
      expect(yield* Effect.flip(Effect.flatMap(chainOf(Kit.reauth()), (chain) => chain.get))).toMatchObject({
        _tag: "ReauthRequired"
      })
    }))

  it.effect("does not go on after a tier that dies or is interrupted", () =>
    Effect.gen(function*() {
      for (const end of [Effect.die("a bug"), Effect.interrupt]) {
        const b = good("b")
        const chain = yield* TokenChain.make(made(Kit.issuer<never>(() => end), b))
        const exit = yield* Effect.exit(chain.get)
        expect(exit._tag).toBe("Failure")
        expect(b.log.fetches).toBe(0)
      }
    }))

  it.effect("where no tier has a token lists each with its reason and what to do", () =>
    Effect.gen(function*() {
      const chain = yield* TokenChain.make(made(none("a"), none("b")))
      const error = yield* Effect.flip(chain.get)
      expect(error).toMatchObject({
        _tag: "TokenUnavailable",
        reason: "AllTiers",
        source: "first of a, b",
        tiers: [
          { source: "a", reason: "a has nothing", hint: "Set up a." },
          { source: "b", reason: "b has nothing", hint: "Set up b." }
        ]
      })
      expect(error.message).toContain("\n  1. a: a has nothing. Set up a.\n  2. b: b has nothing. Set up b.")
    }))

  it.effect("lists the tiers of chains below it one by one, and failures that it was told to pass over", () =>
    Effect.gen(function*() {
      const inner = TokenChain.make(made<TokenError>(none("a"), none("b")), { name: "inner" })
      const outer = yield* TokenChain.firstOf([inner, Effect.succeed(bad("c", Kit.transient()).source)], {
        name: "outer",
        fallThrough: () => true
      })
      const error = yield* Effect.flip(outer.get)
      expect(error).toMatchObject({
        source: "outer",
        tiers: [{ source: "a" }, { source: "b" }, { source: "c", reason: "it is down" }]
      })
    }))

  it.effect("without tiers says so", () =>
    Effect.gen(function*() {
      const chain = yield* TokenChain.make([], { name: "nothing" })
      expect(yield* Effect.flip(chain.get)).toMatchObject({
        reason: "AllTiers",
        detail: "it has no tiers",
        tiers: []
      })
      expect(yield* chain.status).toMatchObject({ health: "Unavailable", tiers: [] })
    }))

  it.effect("asks again from the start each time: a tier that came to life wins", () =>
    Effect.gen(function*() {
      let ready = false
      const a = Kit.issuer<TokenUnavailable>(() => ready ? Kit.received("a") : Effect.fail(unavailable("a")))
      const chain = yield* TokenChain.make(made<TokenUnavailable>(a, good("b")))
      expect(secretOf(yield* chain.get)).toBe("b")
      ready = true
      expect(secretOf(yield* chain.get)).toBe("a")
    }))

  it.effect("passes requests on, and refusals to every tier", () =>
    Effect.gen(function*() {
      const [a, b] = [none("a"), good("b")]
      const chain = yield* TokenChain.make(made<TokenUnavailable>(a, b))
      const token = yield* chain.get
      const request = {
        supersede: token,
        interactive: false,
        minValidity: "1 minute",
        refresh: true
      } as const
      yield* chain.request(request)
      expect([a.log.requests[1], b.log.requests[1]]).toEqual([request, request])
      yield* chain.invalidate(token)
      expect([a.log.invalidated, b.log.invalidated]).toEqual([["b"], ["b"]])
    }))

  it.effect("may take as long as its tiers together, and tells of their changes", () =>
    Effect.gen(function*() {
      const listeners = new Set<() => void>()
      const tier = (millis: number) =>
        TokenSource.make({
          name: "t",
          timeLimit: Duration.millis(millis),
          request: () => Kit.received("t"),
          onChange: (listener) => {
            listeners.add(listener)
            return () => listeners.delete(listener)
          }
        })
      const chain = yield* TokenChain.make([tier(1_000), tier(2_000)])
      expect(Duration.toMillis(chain.timeLimit)).toBe(3_000)
      let told = 0
      // Each tier gets the listener; a set holds the same one once.
      const stop = chain.onChange(() => void told++)
      listeners.forEach((listener) => listener())
      expect(told).toBe(1)
      stop()
      expect(listeners.size).toBe(0)
    }))
})

describe("the status of a chain", () => {
  const roles = (status: TokenStatus.TokenStatus) => status.tiers.map((tier) => tier.role)

  it.effect("F35 names the tier that answered and those in its shadow", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromMap(new Map([["API_KEY", "paid"]]))
      const env = TokenSource.env("API_KEY")
      const missing = TokenSource.env("OTHER_KEY")
      const login = TokenSource.apiKey(Redacted.make("login"), { name: "login" })
      const chain = yield* Effect.withConfigProvider(TokenChain.firstOf([missing, env, login]), provider)
      expect(yield* chain.status).toMatchObject({ health: "Idle" })
      expect(roles(yield* chain.status)).toEqual(["Unavailable", "Untried", "Untried"])
      yield* chain.get
      const status = yield* chain.status
      expect(roles(status)).toEqual(["Unavailable", "Answered", "Shadowed"])
      expect(status.health).toBe("Available")
      expect(TokenStatus.render(status).split("\n")).toEqual([
        "first of environment OTHER_KEY, environment API_KEY, login: Available",
        "  [Unavailable] environment OTHER_KEY: Unavailable",
        "    OTHER_KEY is not set. Set OTHER_KEY to use it.",
        "  [Answered] environment API_KEY: Available",
        "  [Shadowed] login: Healthy, never expires"
      ])
    }))

  it.effect("says which tier failed, and what the failure was", () =>
    Effect.gen(function*() {
      const chain = yield* TokenChain.make(made<TokenError>(none("a"), bad("b", Kit.transient()), good("c")))
      yield* Effect.exit(chain.get)
      const status = yield* chain.status
      expect(roles(status)).toEqual(["Unavailable", "Failed", "Untried"])
      expect(status).toMatchObject({ health: "Degraded", failure: { reason: "ServerError" } })
    }))

  it.effect("is unavailable where every tier is", () =>
    Effect.gen(function*() {
      const chain = yield* TokenChain.firstOf([TokenSource.env("NOT_SET_A"), TokenSource.env("NOT_SET_B")])
      yield* Effect.exit(chain.get)
      expect(yield* chain.status).toMatchObject({ health: "Unavailable", failure: undefined })
    }).pipe(Effect.withConfigProvider(ConfigProvider.fromMap(new Map()))))

  it.scoped("below a cache is that of the cache's tiers", () =>
    Effect.gen(function*() {
      const chain = yield* TokenChain.make(made<TokenUnavailable>(none("a"), good("b")))
      const cache = yield* Kit.cache(chain)
      yield* cache.get
      const status = yield* cache.status
      expect(roles(status)).toEqual(["Unavailable", "Answered"])
      expect(status).toMatchObject({ health: "Healthy", token: { generation: 1 } })
    }))
})

describe("firstOf and orElse", () => {
  it.effect("make their tiers in order and fail as the first that can't be made", () =>
    Effect.gen(function*() {
      const blank = TokenSource.apiKey(Redacted.make(" "))
      const later = Effect.dieMessage("it was made all the same")
      expect(yield* Effect.flip(TokenChain.firstOf([blank, later]))).toMatchObject({ reason: "EmptySecret" })
      expect(yield* Effect.flip(TokenChain.orElse(blank, later))).toMatchObject({ reason: "EmptySecret" })
    }))

  it.effect("orElse falls back in both ways of calling it, and nests", () =>
    Effect.gen(function*() {
      const [a, b, c] = [none("a"), none("b"), good("c")].map(({ source }) =>
        Effect.succeed(source as TokenSource.TokenSource)
      ) as [Source, Source, Source]
      const one = yield* TokenChain.orElse(TokenChain.orElse(a, b), c)
      const two = yield* a.pipe(TokenChain.orElse(b), TokenChain.orElse(c))
      expect([secretOf(yield* one.get), secretOf(yield* two.get)]).toEqual(["c", "c"])
      const neither = yield* TokenChain.orElse(a, b)
      expect(yield* Effect.flip(neither.get)).toMatchObject({ tiers: [{ source: "a" }, { source: "b" }] })
    }))

  it.effect("orElse does not replace a tier that failed by another identity", () =>
    Effect.gen(function*() {
      const b = good("b")
      const chain = yield* TokenChain.orElse(
        Effect.succeed(bad("a", stored).source),
        Effect.succeed(b.source)
      )
      expect(yield* Effect.flip(chain.get)).toBe(stored)
      expect(b.log.fetches).toBe(0)
    }))

  it.scoped("a cached tier keeps its token while a tier before it comes and goes", () =>
    Effect.gen(function*() {
      let env = false
      const a = Kit.issuer<TokenUnavailable>(() => env ? Kit.received("a") : Effect.fail(unavailable("a")))
      const b = Kit.issuer(Kit.instantly())
      const chain = yield* TokenChain.firstOf([
        Effect.succeed(a.source),
        TokenCache.cached(Effect.succeed(b.source), { policy: Kit.exact })
      ])
      const seen: Array<string> = []
      for (env of [false, true, false]) seen.push(secretOf(yield* chain.get))
      expect(seen).toEqual(["t1", "a", "t1"])
      expect(b.log.fetches).toBe(1)
    }).pipe(Effect.provide(RefreshScheduler.layer)))
})

type Source = Effect.Effect<TokenSource.TokenSource>

it.scoped("a chain below a cache survives the interruption of callers, and its time limit holds", () =>
  Effect.gen(function*() {
    const slow = Kit.issuer<TokenUnavailable>(() =>
      Effect.delay(Effect.fail(unavailable("slow")), "25 seconds")
    )
    const answer = Kit.issuer(Kit.numbered("1 hour", "25 seconds"))
    const cache = yield* Effect.flatMap(
      TokenChain.make(made<TokenUnavailable>(slow, answer)),
      (chain) => Kit.cache(chain)
    )
    const leaving = yield* Effect.fork(cache.get)
    const staying = yield* Effect.fork(cache.get)
    yield* Kit.settle
    yield* Fiber.interrupt(leaving)
    yield* TestClock.adjust("50 seconds")
    expect(secretOf(yield* Kit.ended(staying))).toBe("t1")
    expect([slow.log.fetches, answer.log.fetches]).toEqual([1, 1])
  }))

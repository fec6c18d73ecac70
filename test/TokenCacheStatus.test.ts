import { describe, expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStatus from "effect-credentials/TokenStatus"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { hour, minute, second, within } from "./internal/kit.js"

const below = (health: TokenStatus.Health, loginExpiresAt?: number) => ({
  below: { status: Effect.succeed(TokenStatus.make({ source: "issuer", health, loginExpiresAt })) }
})

/** Succeeds once and then fails with this. */
const thenFails = <E extends TokenError>(error: E): Kit.Script<E> => (nth) =>
  nth === 1 ? Kit.instantly()(nth, {}) : Effect.fail(error)

describe("status", () => {
  it.scoped("of each state of a cache", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const fetches = Kit.held()
      const { source } = yield* Scope.extend(Kit.cached(fetches.script), scope)
      const health = Effect.map(source.status, (status) => status.health)
      expect(yield* source.status).toMatchObject({ health: "Idle", token: undefined, source: "issuer" })

      yield* Effect.fork(source.get)
      yield* Kit.settle
      expect(yield* source.status).toMatchObject({ health: "Refreshing", token: undefined })

      yield* fetches.answer(1)
      yield* Kit.settle
      expect(yield* source.status).toMatchObject({
        health: "Healthy",
        token: { type: "Bearer", issuedAt: 0, expiresAt: hour, generation: 1 },
        failure: undefined,
        retryAt: undefined
      })

      yield* TestClock.adjust("55 minutes")
      expect(yield* source.status).toMatchObject({ health: "Refreshing", token: { generation: 1 } })

      yield* fetches.fail(2, Kit.transient())
      yield* Kit.settle
      expect(yield* source.status).toMatchObject({
        health: "Degraded",
        token: { generation: 1 },
        failure: { reason: "ServerError" },
        retryAt: 55 * minute + second
      })

      yield* TestClock.adjust("1 second")
      yield* fetches.answer(3, "t3")
      yield* Kit.settle
      yield* source.invalidate(yield* source.get)
      expect(yield* source.status).toMatchObject({ health: "Degraded", token: undefined })

      yield* Effect.fork(Effect.exit(source.get))
      yield* Kit.settle
      yield* fetches.fail(4, Kit.transient())
      yield* Kit.settle
      expect(yield* source.status).toMatchObject({ health: "Degraded", failure: { reason: "ServerError" } })

      yield* Scope.close(scope, Exit.void)
      expect(yield* health).toBe("Closed")
    }))

  it.scoped("of a token that expired while nobody used it", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly(), { schedule: "onUse" })
      yield* source.get
      yield* TestClock.adjust(hour - 1)
      expect(yield* source.status).toMatchObject({ health: "Healthy" })
      yield* TestClock.adjust(1)
      expect(yield* source.status).toMatchObject({ health: "Idle", token: undefined })
    }))

  it.scoped.each<readonly [TokenError, TokenStatus.Health]>([
    [Kit.reauth(), "ReauthRequired"],
    [Kit.reauth("Ambiguous"), "Ambiguous"],
    [Kit.loginRequired, "Unavailable"],
    [Kit.transient(), "Degraded"],
    [Kit.misconfigured, "Degraded"]
  ])("after %s: %s, with a token and without one", ([error, health]) =>
    Effect.gen(function*() {
      const { source: stale } = yield* Kit.cached(thenFails(error))
      yield* stale.get
      yield* TestClock.adjust("55 minutes")
      expect(yield* stale.status).toMatchObject({ health, token: { generation: 1 }, failure: error })
      const { source: failed } = yield* Kit.cached(() => Effect.fail(error))
      yield* Effect.exit(failed.get)
      expect(yield* failed.status).toMatchObject({ health, token: undefined, failure: error })
    }))

  it.scoped("after a defect shows no failure, but that it is not well", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(() => Effect.die("a bug"))
      yield* Effect.exit(source.get)
      expect(yield* source.status).toMatchObject({ health: "Degraded", failure: undefined, retryAt: second })
    }))

  it.scoped("tells what the source below knows of its login", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly(), below("LoginExpiring", 3 * hour))
      yield* source.get
      expect(yield* source.status).toMatchObject({
        health: "LoginExpiring",
        loginExpiresAt: 3 * hour
      })
      const { source: gone } = yield* Kit.cached(Kit.instantly(), below("ReauthRequired"))
      yield* gone.get
      expect(yield* gone.status).toMatchObject({ health: "ReauthRequired" })
    }))

  it.scoped("asks nobody", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.instantly())
      yield* source.status
      expect(log.fetches).toBe(0)
    }))
})

describe("render", () => {
  it.scoped("shows what there is to know in each state and never a secret", () =>
    Effect.gen(function*() {
      const secret = "s3cr3t-value"
      const { source } = yield* Kit.cached((nth) =>
        Effect.delay(
          nth === 1 ? Kit.received(secret, "1 hour") : Effect.fail(Kit.transient(2 * hour)),
          "1 second"
        )
      )
      const pages: Array<string> = []
      const take = Effect.map(source.status, (status) => void pages.push(TokenStatus.render(status)))
      yield* take
      yield* within(source.get)
      yield* take
      yield* TestClock.adjust("55 minutes")
      yield* take
      yield* TestClock.adjust("1 second")
      yield* take
      yield* TestClock.adjust("10 minutes")
      yield* Effect.exit(source.get)
      yield* take
      expect(pages.join("\n")).not.toContain(secret)
      expect(JSON.stringify(yield* source.status)).not.toContain(secret)
      expect(pages[0]).toBe("issuer: Idle")
      expect(pages[1]).toBe("issuer: Healthy, generation 1, expires 1970-01-01T01:00:01.000Z")
      expect(pages[2]).toMatch(/^issuer: Refreshing, generation 1/)
      expect(pages[3]).toMatch(/^issuer: Degraded, generation 1, .*tries again 1970-01-01T01:5\d/)
      expect(pages[3]).toContain("\n  it is down. Wait.")
      expect(pages[4]).toMatch(/^issuer: Degraded, tries again /)
    }))

  it("prints instants that are no dates", () => {
    const token = { type: "Bearer", issuedAt: 0, expiresAt: Infinity, scopes: [], generation: 3 }
    const status = TokenStatus.make({
      source: "s",
      health: "Healthy",
      token,
      retryAt: 1e300,
      loginExpiresAt: 0
    })
    expect(TokenStatus.render(status)).toBe(
      "s: Healthy, generation 3, never expires, tries again at an unknown time, login expires 1970-01-01T00:00:00.000Z"
    )
  })

  it("nests tiers below tiers", () => {
    const leaf = TokenStatus.make({ source: "leaf", health: "Unavailable", failure: Kit.loginRequired })
    const middle = TokenStatus.make({
      source: "middle",
      health: "Idle",
      tiers: [{ role: "Shadowed", status: leaf }]
    })
    const top = TokenStatus.make({
      source: "top",
      health: "Idle",
      tiers: [{ role: "Untried", status: middle }]
    })
    expect(TokenStatus.render(top).split("\n")).toEqual([
      "top: Idle",
      "  [Untried] middle: Idle",
      "    [Shadowed] leaf: Unavailable",
      "      nobody has logged in. Log in."
    ])
  })
})

describe("onChange", () => {
  it.scoped("is told of each change until it is stopped", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.numbered())
      let told = 0
      const stop = source.onChange(() => void told++)
      expect(told).toBe(0)
      const token = yield* within(source.get)
      expect(told).toBe(2)
      yield* source.get
      expect(told).toBe(2)
      yield* source.invalidate(token)
      yield* source.invalidate(token)
      expect(told).toBe(3)
      stop()
      stop()
      yield* within(source.get)
      expect(told).toBe(3)
    }))

  it.scoped("tells of the end, and of changes below", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const scheduler = yield* RefreshScheduler.make()
      const { source: inner } = yield* Kit.cached(Kit.instantly())
      const outer = yield* TokenCache.make(inner).pipe(
        Effect.provideService(RefreshScheduler.RefreshScheduler, scheduler),
        Scope.extend(scope)
      )
      let told = 0
      outer.onChange(() => void told++)
      yield* inner.get
      expect(told).toBe(2)
      yield* Scope.close(scope, Exit.void)
      expect(told).toBe(3)
    }))

  it.scoped("the same listener twice is two listeners, and one stop stops one", () =>
    Effect.gen(function*() {
      const { source } = yield* Kit.cached(Kit.instantly())
      let told = 0
      const listener = () => void told++
      const stop = source.onChange(listener)
      source.onChange(listener)
      yield* source.get
      expect(told).toBe(4)
      stop()
      yield* TokenSource.refresh(source)
      expect(told).toBe(6)
    }))

  it.scoped("a listener that throws, stops itself or asks back does not harm the cache", () =>
    Effect.gen(function*() {
      const { log, source } = yield* Kit.cached(Kit.numbered())
      source.onChange(() => {
        throw new Error("a bug")
      })
      const stop = source.onChange(() => stop())
      source.onChange(() => void source.peek())
      let told = 0
      source.onChange(() => void told++)
      expect(Kit.secretOf(yield* within(source.get))).toBe("t1")
      expect(told).toBe(2)
      yield* TestClock.adjust("56 minutes")
      expect(log.fetches).toBe(2)
      expect(Kit.secretOf(yield* source.get)).toBe("t2")
    }))
})

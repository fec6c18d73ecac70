import { describe, expect, it } from "@effect/vitest"
import * as ChildToken from "effect-credentials/ChildToken"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import { TransientFailure } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"

const minute = 60_000

/** Tokens `<name>1`, `<name>2` … that live for so many minutes each. */
const counting = (name: string, minutes: number) => {
  let count = 0
  return Effect.map(Clock.currentTimeMillis, (now) =>
    Token.make({
      value: Redacted.make(`${name}${++count}`),
      issuedAt: now,
      expiresAt: now + minutes * minute
    }))
}

const textOf = ({ value }: Token.Token) => Redacted.value(value)

const failed = new TransientFailure({
  source: "bank",
  reason: "ServerError",
  detail: "503",
  hint: "Wait.",
  retryAt: undefined
})

describe("F42 a child", () => {
  for (
    const [what, parent, child, minutes] of [
      ["that would live longer ends with its parent", 10, 60, 10],
      ["that would live as long ends with its parent", 10, 10, 10],
      ["that lives shorter ends by itself", 10, 5, 5]
    ] as const
  ) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const source = yield* ChildToken.from({
          parent: yield* TokenSource.fromEffect(counting("P", parent)),
          mint: () => counting("C", child)
        })
        expect((yield* source.get).expiresAt).toBe(minutes * minute)
      }))
  }

  it.scoped("is never served beyond its parent's end, and the next one is made of the next parent", () =>
    Effect.gen(function*() {
      const parents: Array<string> = []
      const children = counting("C", 60)
      const parent = yield* TokenCache.cached(TokenSource.fromEffect(counting("P", 10)))
      const source = yield* ChildToken.from({
        parent,
        mint: (parent) => {
          parents.push(textOf(parent))
          return children
        }
      }).pipe(TokenCache.cached())
      expect(textOf(yield* source.get)).toBe("C1")
      yield* TestClock.adjust(Duration.minutes(10))
      expect(textOf(yield* source.get)).not.toBe("C1")
      expect(parents.slice(0, 2)).toEqual(["P1", "P2"])
    }).pipe(Effect.provide(RefreshScheduler.layer)))
})

describe("F42 the children of a parent that was revoked and has not expired", () => {
  const setting = Effect.gen(function*() {
    const parents: Array<string> = []
    const children = counting("C", 5)
    const parent = yield* TokenCache.cached(TokenSource.fromEffect(counting("P", 600)))
    const source = yield* ChildToken.from({
      parent,
      mint: (parent) => {
        parents.push(textOf(parent))
        return children
      }
    }).pipe(TokenCache.cached({ schedule: "onUse" }))
    /** A child that a resource refuses. */
    const refused = Effect.zipRight(
      Effect.flatMap(source.get, source.invalidate),
      TestClock.adjust("1 minutes")
    )
    return { parents, refused, source }
  })

  it.scoped("are made of a new parent after two of them were refused in a row", () =>
    Effect.gen(function*() {
      const { parents, refused, source } = yield* setting
      yield* refused
      yield* refused
      yield* source.get
      expect(parents).toEqual(["P1", "P1", "P2"])
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  it.scoped("one refusal, told twice or between children that were good, says nothing of the parent", () =>
    Effect.gen(function*() {
      const { parents, refused, source } = yield* setting
      for (let round = 0; round < 3; round++) {
        const child = yield* source.get
        yield* source.invalidate(child)
        yield* source.invalidate(child)
        yield* TestClock.adjust("1 minutes")
        yield* source.get
        yield* TestClock.adjust("6 minutes")
      }
      expect(new Set(parents)).toEqual(new Set(["P1"]))
      yield* refused
      expect(new Set(parents)).toEqual(new Set(["P1"]))
    }).pipe(Effect.provide(RefreshScheduler.layer)))
})

describe("F42 what was handed out", () => {
  const setting = (revoke: (token: Token.Token) => Effect.Effect<void, TransientFailure>) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const source = yield* TokenSource.fromEffect(counting("C", 10)).pipe(
        ChildToken.revokedOnClose(revoke),
        Scope.extend(scope)
      )
      return { scope, source }
    })

  it.effect("and lives is revoked when the scope closes, the newest first; what has expired is not", () =>
    Effect.gen(function*() {
      const revoked: Array<string> = []
      const { scope, source } = yield* setting((token) => Effect.sync(() => void revoked.push(textOf(token))))
      yield* source.get
      yield* TestClock.adjust("6 minutes")
      yield* source.get
      yield* TestClock.adjust("5 minutes")
      yield* source.get
      expect(revoked).toEqual([])
      yield* Scope.close(scope, Exit.void)
      expect(revoked).toEqual(["C3", "C2"])
    }))

  it.effect("is revoked although one revocation fails, hangs or dies, and closing is bounded", () =>
    Effect.gen(function*() {
      const revoked: Array<string> = []
      const ends = [Effect.fail(failed), Effect.never, Effect.die("broken"), Effect.void]
      const { scope, source } = yield* setting((token) =>
        Effect.suspend(() => {
          revoked.push(textOf(token))
          return ends[revoked.length - 1] ?? Effect.void
        })
      )
      yield* Effect.replicateEffect(source.get, 4)
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      expect(revoked).toEqual(["C4", "C3", "C2", "C1"])
    }))
})

describe("F42 a lease of a vault", () => {
  it.effect("is given back when its scope closes, fails or is interrupted, a thousand times", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      const lease = vault.lease("k", { term: "1 minutes", wait: 0 })
      const ends = [Effect.void, Effect.fail("no"), Effect.die("no"), Effect.interrupt]
      for (let round = 0; round < 1000; round++) {
        const exit = yield* Effect.exit(Effect.scoped(Effect.zipRight(lease, ends[round % 4] ?? Effect.void)))
        expect(Exit.isSuccess(exit)).toBe(round % 4 === 0)
      }
      expect((yield* Effect.scoped(lease)).fence).toBe(1001)
    }))
})

import { describe, expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as Token from "effect-credentials/Token"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { inspect } from "node:util"

const value = Redacted.make("s3cr3t")
const token = (issuedAt: number, expiresAt: number): Token.Token => Token.make({ value, issuedAt, expiresAt })

describe("make", () => {
  it("fills in what is not known", () => {
    expect(Token.make({ value })).toEqual({
      value,
      type: "Bearer",
      issuedAt: 0,
      expiresAt: Infinity,
      scopes: [],
      generation: 0
    })
  })

  it.each<readonly [string, number | undefined, number]>([
    ["absent", undefined, Infinity],
    ["no number", Number.NaN, 0],
    ["for ever", Infinity, Infinity],
    ["long ago", -Infinity, -Infinity],
    ["zero", 0, 0],
    ["a date", 5, 5]
  ])("an expiry that is %s", (_, expiresAt, expected) => {
    expect(Token.make({ value, expiresAt }).expiresAt).toBe(expected)
  })

  it("a receipt that is no number is not known", () => {
    expect(Token.make({ value, issuedAt: Number.NaN }).issuedAt).toBe(0)
  })
})

describe("receive", () => {
  it.effect.each<readonly [string, Duration.DurationInput | undefined, number]>([
    ["absent", undefined, Infinity],
    ["an hour", "1 hour", 1_000 + 3_600_000],
    ["nothing", 0, 1_000],
    ["negative", -5, 1_000],
    ["no number", Number.NaN, 1_000],
    ["for ever", Duration.infinity, Infinity]
  ])("counts a lifetime that is %s from now on", ([, expiresIn, expected]) =>
    Effect.gen(function*() {
      yield* TestClock.adjust(1_000)
      const token = yield* Token.receive({ value, expiresIn })
      expect([token.issuedAt, token.expiresAt]).toEqual([1_000, expected])
    }))
})

describe("the boundaries of a token from 100 to 200", () => {
  const one = token(100, 200)
  it.each<readonly [number, number, boolean]>([
    [99, 101, false],
    [100, 100, false],
    [199, 1, false],
    [200, 0, true],
    [201, -1, true]
  ])("at %d: %d left, expired %s", (now, left, expired) => {
    expect(Token.remaining(one, now)).toBe(left)
    expect(Token.isExpired(one, now)).toBe(expired)
  })

  it.each<readonly [string, number, number, boolean]>([
    ["exactly what is left", 150, 50, true],
    ["one more than is left", 150, 51, false],
    ["nothing, at the last instant", 199, 0, true],
    ["nothing, when it has expired", 200, 0, false],
    ["less than nothing, when it has expired", 200, -1, false],
    ["no number", 150, Number.NaN, false]
  ])("valid for %s", (_, now, minValidity, expected) => {
    expect(Token.isValidFor(one, now, minValidity)).toBe(expected)
  })

  it("a token that never expires is valid for ever", () => {
    const forever = token(0, Infinity)
    expect(Token.isValidFor(forever, 1e300, Infinity)).toBe(true)
    expect(Token.isExpired(forever, Number.MAX_VALUE)).toBe(false)
    expect(Token.lifetime(forever)).toBe(Infinity)
  })

  it.each([[100, 200, 100], [200, 200, 0], [300, 200, 0]])(
    "lifetime from %d to %d is %d",
    (from, to, expected) => {
      expect(Token.lifetime(token(from, to))).toBe(expected)
    }
  )

  it("an instant that is no number finds every token expired", () => {
    expect(Token.isExpired(token(0, Infinity), Number.NaN)).toBe(true)
  })

  it("expired is the opposite of valid for nothing", () => {
    const number = FastCheck.double()
    FastCheck.assert(FastCheck.property(number, number, number, (issuedAt, expiresAt, now) => {
      const one = token(issuedAt, expiresAt)
      if (!Number.isNaN(now) && now !== Infinity && now !== -Infinity) {
        expect(Token.isValidFor(one, now, 0)).toBe(!Token.isExpired(one, now))
      }
    }))
  })
})

describe("identity", () => {
  it("is the secret", () => {
    const one = Token.make({ value: Redacted.make("a"), generation: 1 })
    expect(Token.isSame(one, one)).toBe(true)
    expect(Token.isSame(one, Token.make({ value: Redacted.make("a"), generation: 2, expiresAt: 5 }))).toBe(
      true
    )
    expect(Token.isSame(one, Token.make({ value: Redacted.make("b"), generation: 1 }))).toBe(false)
  })

  it("stays with another generation, and the same generation is the same object", () => {
    const one = Token.make({ value, generation: 1 })
    expect(Token.withGeneration(one, 1)).toBe(one)
    expect(Token.withGeneration(one, 2)).toEqual({ ...one, generation: 2 })
  })

  it("is never printed", () => {
    const one = Token.make({ value })
    for (const text of [JSON.stringify(one), inspect(one, { depth: 9 }), String(one.value)]) {
      expect(text).not.toContain("s3cr3t")
    }
  })
})

describe("Grant.renew", () => {
  const secret = FastCheck.option(FastCheck.string().map((text) => Redacted.make(text)), { nil: undefined })
  const grant = FastCheck.record({
    refreshToken: secret,
    refreshExpiresAt: FastCheck.option(FastCheck.nat(), { nil: undefined }),
    idToken: secret,
    extra: FastCheck.dictionary(FastCheck.constantFrom("a", "b", "resource_url"), FastCheck.string()),
    scopes: FastCheck.array(FastCheck.constantFrom("read", "write")),
    text: FastCheck.string()
  }).map(({ scopes, text, ...rest }) =>
    Grant.make({ ...rest, token: Token.make({ value: Redacted.make(text), scopes }) })
  )

  it("F11 keeps whatever the new grant omits and takes whatever it has", () => {
    FastCheck.assert(FastCheck.property(grant, grant, (old, renewed) => {
      const both = Grant.renew(old, renewed)
      expect(both.refreshToken).toBe(renewed.refreshToken ?? old.refreshToken)
      expect(both.idToken).toBe(renewed.idToken ?? old.idToken)
      expect(both.extra).toEqual({ ...old.extra, ...renewed.extra })
      expect(both.token.value).toBe(renewed.token.value)
      expect(both.token.scopes).toEqual(
        renewed.token.scopes.length > 0 ? renewed.token.scopes : old.token.scopes
      )
    }))
  })

  it("a refresh token never gets the expiry of another one", () => {
    FastCheck.assert(FastCheck.property(grant, grant, (old, renewed) => {
      const { refreshExpiresAt } = Grant.renew(old, renewed)
      const own = renewed.refreshToken === undefined ? old.refreshExpiresAt : undefined
      expect(refreshExpiresAt).toBe(renewed.refreshExpiresAt ?? own)
    }))
  })
})

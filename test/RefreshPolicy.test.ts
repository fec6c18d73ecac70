import { describe, expect, it } from "@effect/vitest"
import * as RefreshPolicy from "effect-credentials/RefreshPolicy"
import * as Token from "effect-credentials/Token"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import { hour, minute, second } from "./internal/kit.js"

const token = (issuedAt: number, expiresAt: number): Token.Token =>
  Token.make({ value: Redacted.make("t"), issuedAt, expiresAt })

const { noStatistics } = RefreshPolicy
const stats = (parts: Partial<RefreshPolicy.Statistics>): RefreshPolicy.Statistics => ({
  ...noStatistics,
  ...parts
})
const steady = RefreshPolicy.make({ jitter: 0 })

const unit = FastCheck.double({ min: 0, max: 1, noNaN: true })
const finite = FastCheck.double({ noNaN: true, noDefaultInfinity: true })
const span = FastCheck.oneof(
  FastCheck.integer({ min: 0, max: 400 * 24 * hour }),
  FastCheck.constantFrom(0, 1, 2, 99)
)
const instant = FastCheck.integer({ min: 0, max: 4e12 })
const policies: ReadonlyArray<readonly [string, RefreshPolicy.RefreshPolicy]> = [
  ["standard", RefreshPolicy.standard],
  ["conservative", RefreshPolicy.conservative],
  ["adaptive", RefreshPolicy.adaptive()],
  ["preemptive standard", RefreshPolicy.preemptive(RefreshPolicy.standard)],
  ["preemptive adaptive", RefreshPolicy.preemptive(RefreshPolicy.adaptive())],
  ["window for ever", RefreshPolicy.make({ window: Infinity, maxFraction: 1, jitter: 1 })],
  ["no window", RefreshPolicy.make({ window: 0, jitter: 0 })]
]
const policy = FastCheck.constantFrom(...policies.map(([, policy]) => policy))
const statistics: FastCheck.Arbitrary<RefreshPolicy.Statistics> = FastCheck.record({
  meanLatency: finite,
  successRate: finite,
  requestsPerHour: finite
})

describe("renewAt", () => {
  it.each([
    ["the window before the end of a long life", 0, hour, hour - 5 * minute],
    ["a life of exactly three windows", 0, 15 * minute, 10 * minute],
    ["a life just longer than that", 0, 15 * minute + 3, 10 * minute + 3],
    ["a life just shorter than that: a third of it", 0, 15 * minute - 3, 10 * minute - 2],
    ["a life of one window", 0, 5 * minute, 200_000],
    ["a life of a millisecond", 0, 1, 0],
    ["no life at all", 7, 7, 7],
    ["expiry before receipt", 9, 7, 7],
    ["another start", 1_000_000, 1_000_000 + hour, 1_000_000 + hour - 5 * minute]
  ])("without jitter: %s", (_, issuedAt, expiresAt, expected) => {
    expect(RefreshPolicy.renewAt(steady, token(issuedAt, expiresAt), noStatistics, 0.7)).toBe(expected)
  })

  it("never renews a token that never expires", () => {
    for (const [, policy] of policies) {
      expect(RefreshPolicy.renewAt(policy, token(5, Infinity), noStatistics, 1)).toBe(Infinity)
    }
  })

  it("moves earlier by the jitter, as a fraction of the lifetime", () => {
    const at = (random: number) =>
      RefreshPolicy.renewAt(RefreshPolicy.standard, token(0, hour), noStatistics, random)
    expect([at(0), at(0.5), at(1)]).toEqual([55 * minute, 52 * minute, 49 * minute])
  })

  it("lies between receipt and expiry for every token, policy and statistics", () => {
    FastCheck.assert(
      FastCheck.property(
        policy,
        instant,
        span,
        statistics,
        unit,
        (policy, issuedAt, life, statistics, random) => {
          const at = RefreshPolicy.renewAt(policy, token(issuedAt, issuedAt + life), statistics, random)
          expect(at).toBeGreaterThanOrEqual(issuedAt)
          expect(at).toBeLessThanOrEqual(issuedAt + life)
        }
      ),
      { numRuns: 500 }
    )
  })

  it("is never NaN for finite input", () => {
    FastCheck.assert(
      FastCheck.property(
        policy,
        finite,
        finite,
        statistics,
        unit,
        (policy, issuedAt, expiresAt, statistics, random) => {
          expect(RefreshPolicy.renewAt(policy, token(issuedAt, expiresAt), statistics, random)).not.toBeNaN()
        }
      ),
      { numRuns: 500 }
    )
  })

  it("a 5-minute token with a 10-minute window is used for two thirds of its life, less the jitter", () => {
    FastCheck.assert(
      FastCheck.property(unit, unit, instant, (jitter, random, issuedAt) => {
        const policy = RefreshPolicy.make({ window: "10 minutes", jitter })
        const used =
          RefreshPolicy.renewAt(policy, token(issuedAt, issuedAt + 5 * minute), noStatistics, random) -
          issuedAt
        expect(used).toBeGreaterThanOrEqual(Math.max(0, Math.floor((2 / 3 - jitter) * 5 * minute)))
        expect(used).toBeLessThanOrEqual(200 * second)
      })
    )
  })

  it("a token whose instants are no numbers is due, not NaN", () => {
    const broken = Token.make({ value: Redacted.make("t"), issuedAt: Number.NaN, expiresAt: hour })
    expect(RefreshPolicy.renewAt(steady, broken, noStatistics, 0)).not.toBeNaN()
    const expired = Token.make({ value: Redacted.make("t"), issuedAt: 5, expiresAt: Number.NaN })
    expect(RefreshPolicy.renewAt(steady, expired, noStatistics, 0)).toBe(0)
  })
})

describe("windows", () => {
  it.each<readonly [string, RefreshPolicy.Options | undefined, number]>([
    ["the default", undefined, 5 * minute],
    ["the smallest", { window: "1 second", min: "1 minute" }, minute],
    ["the largest", { window: "1 hour", max: "30 minutes" }, 30 * minute],
    ["exactly the smallest", { window: "1 minute", min: "1 minute" }, minute],
    [
      "bounds that cross: the largest wins",
      { window: "5 minutes", min: "9 minutes", max: "7 minutes" },
      7 * minute
    ],
    ["explicitly undefined", { window: undefined, min: undefined, max: undefined }, 5 * minute]
  ])("of a fixed policy: %s", (_, options, expected) => {
    expect(RefreshPolicy.make(options).window(noStatistics)).toBe(expected)
  })

  it("conservative: 15 minutes", () => {
    expect(RefreshPolicy.conservative.window(noStatistics)).toBe(15 * minute)
  })

  it.each<readonly [string, Partial<RefreshPolicy.Statistics>, number]>([
    ["nothing known", {}, 5 * minute],
    ["100 ms of latency: 30 s more", { meanLatency: 100 }, 5.5 * minute],
    ["10 requests an hour: nothing", { requestsPerHour: 10 }, 5 * minute],
    ["20 requests an hour: 30 s more", { requestsPerHour: 20 }, 5.5 * minute],
    ["95 % success: nothing", { successRate: 0.95 }, 5 * minute],
    ["45 % success: 5 minutes more", { successRate: 0.45 }, 10 * minute],
    ["all of it", { meanLatency: 100, requestsPerHour: 20, successRate: 0.45 }, 11 * minute],
    ["the bound", { meanLatency: 1e9 }, 30 * minute],
    ["a clock that moved back", { meanLatency: -1e9 }, 5 * minute],
    [
      "no numbers",
      { meanLatency: Number.NaN, successRate: Number.NaN, requestsPerHour: Number.NaN },
      5 * minute
    ]
  ])("adaptive: %s", (_, parts, expected) => {
    expect(RefreshPolicy.adaptive().window(stats(parts))).toBeCloseTo(expected, 3)
  })

  it("adaptive keeps its bounds when they are explicitly undefined", () => {
    const policy = RefreshPolicy.adaptive({ min: undefined, max: undefined })
    expect(policy.window(stats({ meanLatency: 1e9 }))).toBe(30 * minute)
    expect(RefreshPolicy.adaptive({ window: 0, min: undefined }).window(noStatistics)).toBe(minute)
  })

  it("adaptive grows with latency and use, and shrinks with success, within its bounds", () => {
    const bounded = RefreshPolicy.adaptive({ window: "2 minutes", min: "1 minute", max: "20 minutes" })
    FastCheck.assert(
      FastCheck.property(statistics, finite, finite, finite, (before, latency, success, requests) => {
        const now = bounded.window(before)
        expect(now).toBeGreaterThanOrEqual(minute)
        expect(now).toBeLessThanOrEqual(20 * minute)
        const slower = { ...before, meanLatency: Math.max(before.meanLatency, latency) }
        const busier = { ...before, requestsPerHour: Math.max(before.requestsPerHour, requests) }
        const worse = { ...before, successRate: Math.min(before.successRate, success) }
        for (const after of [slower, busier, worse]) expect(bounded.window(after)).toBeGreaterThanOrEqual(now)
      }),
      { numRuns: 500 }
    )
  })

  it.each([[99, 5], [100, 10], [101, 10]])(
    "preemptive at %d requests an hour: %d minutes",
    (requestsPerHour, minutes) => {
      const policy = RefreshPolicy.preemptive(RefreshPolicy.standard)
      expect(policy.window(stats({ requestsPerHour }))).toBe(minutes * minute)
      expect(policy.adaptive).toBe(true)
    }
  )

  it("preemptive at a rate of one's own, in both ways of calling it", () => {
    const busy = stats({ requestsPerHour: 7 })
    expect(RefreshPolicy.preemptive(steady, { requestsPerHour: 7 }).window(busy)).toBe(10 * minute)
    expect(RefreshPolicy.preemptive({ requestsPerHour: 8 })(steady).window(busy)).toBe(5 * minute)
    expect(RefreshPolicy.preemptive()(steady).window(busy)).toBe(5 * minute)
  })

  it.each([[-1, 0], [2, 1], [Number.NaN, 0], [Infinity, 1]])(
    "a fraction of %d counts as %d",
    (given, expected) => {
      const policy = RefreshPolicy.make({ jitter: given, maxFraction: given, backoff: { jitter: given } })
      expect([policy.jitter, policy.maxFraction, policy.backoff.jitter]).toEqual([
        expected,
        expected,
        expected
      ])
    }
  )
})

describe("retryAt", () => {
  const calm = RefreshPolicy.make({ backoff: { jitter: 0 } })
  const now = 1_000_000

  it.each([[1, 1], [2, 2], [3, 4], [6, 32], [7, 60], [8, 60], [2_000, 60]])(
    "after %d failures: %d s",
    (failures, wait) => {
      expect(RefreshPolicy.retryAt(calm, now, failures, 0.5, undefined)).toBe(now + wait * second)
    }
  )

  it.each<readonly [string, number | undefined, number, number]>([
    ["nothing", undefined, 0, now + second],
    ["a time that has passed", now - 1, 1, now + second],
    ["now", now, 1, now + second],
    ["less than the back-off", now + 500, 0, now + second],
    ["more than the back-off", now + 10 * second, 0, now + 10 * second],
    ["more, spread over one base", now + 10 * second, 1, now + 11 * second],
    ["an hour", now + hour, 0, now + hour],
    ["a day: at most an hour", now + 24 * hour, 0, now + hour],
    ["for ever: at most an hour", Infinity, 0, now + hour],
    ["no number", Number.NaN, 0, now + second]
  ])("a server that asks for %s", (_, asked, random, expected) => {
    expect(RefreshPolicy.retryAt(calm, now, 1, random, asked)).toBe(expected)
  })

  it("never shrinks with more failures, stays within the cap, and half of it is random", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.integer({ min: 1, max: 5_000 }), unit, (failures, random) => {
        const wait = (n: number) => RefreshPolicy.retryAt(RefreshPolicy.standard, 0, n, random, undefined)
        expect(wait(failures + 1)).toBeGreaterThanOrEqual(wait(failures))
        expect(wait(failures)).toBeLessThanOrEqual(minute)
        expect(wait(failures)).toBeGreaterThanOrEqual(500)
      }),
      { numRuns: 300 }
    )
  })

  it("is never NaN and never in the past for a back-off of any finite numbers", () => {
    const positive = FastCheck.double({ min: 0, noNaN: true, noDefaultInfinity: true })
    const backoff = FastCheck.record({
      base: positive,
      factor: positive,
      cap: positive,
      jitter: finite,
      maxRetryAfter: positive
    })
    FastCheck.assert(
      FastCheck.property(
        backoff,
        FastCheck.integer({ min: 1, max: 5_000 }),
        unit,
        FastCheck.option(finite, { nil: undefined }),
        (backoff, failures, random, asked) => {
          const at = RefreshPolicy.retryAt(RefreshPolicy.make({ backoff }), now, failures, random, asked)
          expect(at).not.toBeNaN()
          expect(at).toBeGreaterThanOrEqual(now)
        }
      ),
      {
        numRuns: 500,
        examples: [[{ base: 0, factor: 2, cap: 60_000, jitter: 0, maxRetryAfter: 0 }, 2_000, 0, undefined]]
      }
    )
  })
})

describe("record", () => {
  it("takes the first latency as it is and a fifth of each further one", () => {
    const one = RefreshPolicy.record(noStatistics, 100, true)
    expect(one).toEqual({ meanLatency: 100, successRate: 1, requestsPerHour: 0 })
    const two = RefreshPolicy.record(one, 200, false)
    expect(two).toEqual({ meanLatency: 120, successRate: 0.8, requestsPerHour: 0 })
  })

  it("keeps the success rate between 0 and 1 and the latency among those seen", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.tuple(FastCheck.nat(), FastCheck.boolean()), { minLength: 1 }),
        (seen) => {
          const last = seen.reduce(
            (now, [latency, ok]) => RefreshPolicy.record(now, latency, ok),
            noStatistics
          )
          const latencies = seen.map(([latency]) => latency)
          expect(last.successRate).toBeGreaterThanOrEqual(0)
          expect(last.successRate).toBeLessThanOrEqual(1)
          expect(last.meanLatency).toBeGreaterThanOrEqual(Math.min(...latencies) - 1e-6)
          expect(last.meanLatency).toBeLessThanOrEqual(Math.max(...latencies) + 1e-6)
        }
      )
    )
  })
})

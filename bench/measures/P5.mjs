// P5: the provider goes down while the token is valid, stays down past its expiry, and comes back.
//
// On the live clock with tokens of 3 seconds under 1,000 gets a second, and on a virtual clock with tokens of an hour
// and an outage of two.
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import {
  down,
  onVirtualClock,
  openScope,
  received,
  RefreshPolicy,
  sourceOf,
  TokenCache,
  TokenSource
} from "../support/library.mjs"
import { fiberCall, makeTally, promiseCall, pump } from "../support/load.mjs"
import { peers } from "../support/peers/index.mjs"
import { makeProvider } from "../support/provider.mjs"
import { check, figure, report } from "../support/report.mjs"
import { pause } from "../support/rounds.mjs"

const lifetime = 3
const delay = 50
const perSecond = 1_000
const policy = RefreshPolicy.standard

/** How many tries the back-off allows at most in that time: the first at once, each wait as short as it may be. */
const allowed = (ms) => {
  let tries = 0
  for (let at = 0; at <= ms; tries++) at = RefreshPolicy.retryAt(policy, at, tries + 1, 1, undefined)
  return tries
}

/** What was left of the token's lifetime when its renewal could begin at the earliest. */
const windowOf = (lifetimeMs) => {
  const token = { issuedAt: 0, expiresAt: lifetimeMs }
  return lifetimeMs - RefreshPolicy.renewAt(policy, token, RefreshPolicy.noStatistics, 1)
}

const live = async () => {
  const provider = makeProvider({ lifetime, delay })
  const scope = await openScope()
  const source = await scope.build(TokenCache.cached(sourceOf(provider)))
  const token = await Effect.runPromise(source.get)
  provider.requests = 0
  const during = async (ms, enough) => {
    const { tally, settled } = makeTally()
    const before = provider.requests
    const start = performance.now()
    await pump({
      perSecond,
      ms,
      enough: () => enough?.(tally) === true,
      call: fiberCall(source.get, provider, settled)
    })
    return { tally, requests: provider.requests - before, ms: performance.now() - start }
  }
  provider.down = true
  const valid = await during(token.expiresAt - Date.now() - 5)
  await pause(token.expiresAt - Date.now() + 5)
  const expired = await during(5_000)
  provider.down = false
  const recovery = await during(20_000, (tally) => tally.values.size > 0)
  await scope.close()
  return { provider, valid, expired, recovery, back: recovery.tally.values.size > 0 }
}

const hour = 3_600_000

/** A caller every 5 seconds for three hours; the provider is down from the first minute until the end of the second hour. */
const virtual = Effect.gen(function*() {
  const seen = {
    validGets: 0,
    valid: 0,
    validErrors: 0,
    expiredGets: 0,
    expired: 0,
    expiredErrors: 0,
    back: 0,
    stuck: 0
  }
  let minute = 0
  const fetch = Effect.suspend(() => {
    if (minute >= 1 && minute < 120) {
      seen[minute < 60 ? "valid" : "expired"]++
      return Effect.fail(down)
    }
    return received({ access_token: `token-${minute}`, expires_in: 3600 })
  })
  const source = yield* TokenCache.cached(TokenSource.fromEffect(fetch))
  yield* source.get
  for (let second = 5; second < 3 * 3600; second += 5) {
    minute = second / 60
    yield* TestClock.adjust("5 seconds")
    const fiber = yield* Effect.fork(Effect.either(source.get))
    yield* Effect.yieldNow()
    if (fiber.unsafePoll() === null) seen.stuck++
    const either = yield* Fiber.join(fiber)
    const phase = minute < 60 ? "valid" : "expired"
    if (minute < 120) seen[`${phase}Gets`]++
    if (minute < 120 && either._tag === "Left") seen[`${phase}Errors`]++
    if (either._tag === "Right" && minute >= 120 && seen.back === 0) seen.back = second - 7200
  }
  return seen
})

/** A peer that has a window is inside of it, one that has none is past the expiry; its provider is down for 4 seconds. */
const theirs = async (peer) => {
  const provider = makeProvider({ lifetime: 1 + peer.window, delay })
  const { get, close } = await peer.make(provider)
  await get()
  await pause(500)
  provider.down = true
  provider.requests = 0
  await pause(600)
  const { tally, settled } = makeTally()
  await pump({ perSecond: 100, ms: 4_000, call: promiseCall(get, delay, settled) })
  const { gets, errors, blocked } = { ...tally }
  const row = [
    peer.name,
    peer.window > 0 ? "valid" : "expired",
    gets,
    errors,
    blocked,
    provider.requests,
    provider.mostInFlight
  ]
  void close?.()
  return row
}

const own = await live()
const slow = await onVirtualClock(virtual)
const others = await Promise.all(peers.map(theirs))
const { valid, expired, recovery, provider } = own
const validBound = allowed(windowOf(lifetime * 1000))
const bound = allowed(windowOf(lifetime * 1000) + expired.ms)
const slowValidBound = allowed(windowOf(hour))
const slowBound = allowed(windowOf(hour) + hour)

report({
  id: "P5",
  title: "provider down",
  figures: [
    figure(valid.tally.errors + slow.validErrors, 0, { unit: "errors while valid" }),
    check(
      valid.requests <= validBound && slow.valid <= slowValidBound,
      "requests within the back-off while valid"
    ),
    check(
      valid.requests + expired.requests <= bound && slow.valid + slow.expired <= slowBound,
      "and past the expiry"
    ),
    figure(provider.mostInFlight, 1, { unit: "in flight" }),
    figure(valid.tally.blocked + expired.tally.stray + slow.stuck, 0, { unit: "waiting without need" }),
    check(own.back && slow.back > 0, "recovered")
  ],
  columns: [`a fetch takes ${delay} ms`, "token", "gets", "errors", "waited", "requests", "in flight"],
  rows: [
    [
      "ours, 3 s token",
      "valid",
      valid.tally.gets,
      valid.tally.errors,
      valid.tally.blocked,
      valid.requests,
      1
    ],
    [
      "ours",
      "expired",
      expired.tally.gets,
      expired.tally.errors,
      expired.tally.blocked,
      expired.requests,
      provider.mostInFlight
    ],
    ["ours, 1 h token (virtual)", "valid", slow.validGets, slow.validErrors, 0, slow.valid, 1],
    ["ours (virtual)", "expired", slow.expiredGets, slow.expiredErrors, slow.stuck, slow.expired, 1],
    ...others
  ],
  notes: [
    `at most, by the back-off: ${validBound} and ${bound - validBound} requests in seconds, ` +
    `${slowValidBound} and ${slowBound - slowValidBound} in hours`,
    `back ${Math.round(recovery.ms)} ms (virtual: ${slow.back} s) after the provider was`
  ]
})

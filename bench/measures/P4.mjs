// P4: tokens that live for 2 seconds, under 10,000 gets a second on the live clock, for several lifetimes.
import * as Effect from "effect/Effect"
import { openScope, sourceOf, TokenCache } from "../support/library.mjs"
import { fiberCall, makeTally, promiseCall, pump } from "../support/load.mjs"
import { peers } from "../support/peers/index.mjs"
import { makeProvider } from "../support/provider.mjs"
import { check, figure, report } from "../support/report.mjs"
import { pause } from "../support/rounds.mjs"

const lifetime = 2
const lifetimes = 4
const delay = 50
const perSecond = 10_000
/** MSAL takes 50 µs and more a get. */
const slowPerSecond = 500

const ours = async (schedule) => {
  const provider = makeProvider({ lifetime, delay })
  const scope = await openScope()
  const source = await scope.build(TokenCache.cached(sourceOf(provider), { schedule }))
  await Effect.runPromise(source.get)
  const { tally, settled } = makeTally()
  await pump({ perSecond, ms: lifetime * lifetimes * 1000, call: fiberCall(source.get, provider, settled) })
  await pause(2 * delay)
  const { requests } = provider
  await scope.close()
  return {
    name: `ours, renewing ${schedule === "onUse" ? "on use" : "by schedule"}`,
    provider,
    requests,
    tally
  }
}

/** A peer meets one expiry; its token is long enough that its own window leaves `lifetime`. */
const theirs = async (peer) => {
  const provider = makeProvider({ lifetime: lifetime + peer.window, delay })
  const { get, close } = await peer.make(provider)
  await get()
  const { tally, settled } = makeTally()
  const rate = peer.slow ? slowPerSecond : perSecond
  await pump({ perSecond: rate, ms: (lifetime + 0.5) * 1000, call: promiseCall(get, delay, settled) })
  await pause(2 * delay)
  await close?.()
  const name = peer.slow ? `${peer.name} (${slowPerSecond} gets/s)` : peer.name
  return { name, provider, requests: provider.requests, tally }
}

const own = [await ours("background"), await ours("onUse")]
const others = []
for (const peer of peers) others.push(await theirs(peer))

/**
 * One fetch a lifetime: each fetch gave a token that callers really got, so none was made twice for the same need (the
 * last may have come after the last caller), and the policy's renewal at two thirds of the lifetime, less a tenth of
 * jitter, bounds how many there are.
 */
const mostFetches = 1 + Math.ceil(lifetimes / (2 / 3 - 0.1))
const once = ({ requests, tally, provider }) =>
  requests - tally.values.size <= 1 && requests <= mostFetches && provider.mostInFlight === 1
const most = (key) => Math.max(...own.map(({ tally }) => tally[key]))

const row = (
  { name, requests, tally },
  expiries
) => [name, tally.gets, expiries, tally.blocked, tally.errors, requests]

report({
  id: "P4",
  title: "expiry under 10,000 gets/s",
  figures: [
    figure(most("blocked"), 0, { unit: "blocked" }),
    figure(most("errors"), 0, { unit: "errors" }),
    check(own.every(once), "1 fetch a lifetime")
  ],
  columns: [`a fetch takes ${delay} ms`, "gets", "expiries", "blocked", "errors", "fetches"],
  rows: [
    ...own.map((one) => row(one, one.tally.values.size - 1)),
    ...others.map((one) => row(one, 1))
  ]
})

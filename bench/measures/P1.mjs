// P1: `get` on a hot cache, inside of one fiber, against `Effect.succeed(token)` in the same loop.
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import {
  onVirtualClock,
  openScope,
  received,
  sourceOf,
  TokenCache,
  TokenSource
} from "../support/library.mjs"
import { effectBuiltIns } from "../support/peers/index.mjs"
import { makeProvider } from "../support/provider.mjs"
import { check, figure, report } from "../support/report.mjs"
import { interleave, median, nanosecondsEach, ratio } from "../support/rounds.mjs"

const rounds = 21
const reach = 3.5

/** `n` times the effect in one fiber, by a loop that costs as little as Effect allows. */
const inOneFiber = (effect) => (n) => {
  let i = 0
  return Effect.runPromise(Effect.whileLoop({
    while: () => i < n,
    body: () => effect,
    step: () => {
      i++
    }
  }))
}

const provider = makeProvider({ lifetime: 3600 })
const scope = await openScope()
const ours = await scope.build(TokenCache.cached(sourceOf(provider)))
const token = await Effect.runPromise(ours.get)

const contestants = [
  { name: "Effect.succeed(token)", n: 200_000, effect: Effect.succeed(token) },
  { name: "ours", n: 200_000, effect: ours.get }
]
for (const peer of effectBuiltIns) {
  const { effect } = await peer.make(provider)
  await Effect.runPromise(effect)
  contestants.push({ name: peer.name, n: peer.name.includes("Resource") ? 50_000 : 10_000, effect })
}

const values = await interleave(
  contestants.map(({ name, n, effect }) => ({ name, run: nanosecondsEach(n, inOneFiber(effect)) })),
  { rounds, warmUp: 3 }
)

/** The cache must ask the clock of the fiber: on a virtual clock a token runs out when that clock says so. */
const keepsVirtualTime = Effect.gen(function*() {
  let issued = 0
  const fetch = Effect.suspend(() => received({ access_token: `token-${++issued}`, expires_in: 3600 }))
  const source = yield* TokenCache.cached(TokenSource.fromEffect(fetch), { schedule: "onUse" })
  const first = yield* source.get
  yield* TestClock.adjust("2 hours")
  const held = source.peek()
  const second = yield* source.get
  return Option.isNone(held) && first !== second && issued === 2
})

const virtual = await onVirtualClock(keepsVirtualTime)

const ratioOf = (name) => ratio(values, name, "Effect.succeed(token)")
const builtIns = effectBuiltIns.map(({ name }) => ratioOf(name))

report({
  id: "P1",
  title: "hot get in a fiber",
  figures: [
    figure(ratioOf("ours"), reach),
    check(ratioOf("ours") < Math.min(...builtIns), "below every Effect built-in"),
    check(virtual, "on virtual time")
  ],
  columns: ["in one fiber", "ns", "× Effect.succeed"],
  rows: contestants.map(({ name }) => [name, median(values.get(name)), ratioOf(name)])
})

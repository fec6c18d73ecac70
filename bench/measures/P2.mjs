// P2: outside of fibers. `peek` and the Promise face against a hand-written single flight that is awaited.
import * as Effect from "effect/Effect"
import { openScope, sourceOf, TokenCache } from "../support/library.mjs"
import { handWritten, smithy, vendors } from "../support/peers/index.mjs"
import { makeProvider } from "../support/provider.mjs"
import { check, figure, report } from "../support/report.mjs"
import { interleave, median, nanosecondsEach, ratio } from "../support/rounds.mjs"

const rounds = 31
/** The same for all, so that garbage collection weighs the same; only MSAL, 500 times slower, does fewer. */
const n = 30_000
const reach = 1.3

const awaited = (get) => async (n) => {
  for (let i = 0; i < n; i++) await get()
}

const plain = (peek) => (n) => {
  for (let i = 0; i < n; i++) peek()
}

const provider = makeProvider({ lifetime: 3600 })
const scope = await openScope()
const ours = await scope.build(TokenCache.cached(sourceOf(provider)))
await Effect.runPromise(ours.get)
const promised = await scope.build(TokenCache.toPromise(ours))

const base = await handWritten.make(provider)
const limit = { expiresAt: Date.now() + 3_600_000 }
const fallback = { expiresAt: 0 }
let last
const contestants = [
  { name: handWritten.name, n, loop: awaited(base.get) },
  {
    name: "ours, peek",
    n,
    loop: plain(() => {
      last = ours.peek()
    })
  },
  { name: "ours, Promise face", n, loop: awaited(promised) },
  {
    name: "synchronous if (limit)",
    n,
    loop: plain(() => {
      last = limit.expiresAt > Date.now() ? limit : fallback
    })
  }
]
for (const peer of vendors) {
  const { get } = await peer.make(provider)
  contestants.push({ name: peer.name, n: peer.slow ? 100 : n, loop: awaited(get) })
}
await Promise.all([base.get(), promised()])

const values = await interleave(
  contestants.map(({ name, n, loop }) => ({ name, run: nanosecondsEach(n, loop) })),
  { rounds, warmUp: 3 }
)

const ratioOf = (name) => ratio(values, name, handWritten.name)
/** Bare `memoize` is a helper below the AWS SDK, and nearly the hand-written cache; it is in the table only. */
const sdks = vendors.filter((peer) => peer !== smithy)
const fastestSdk = Math.min(...sdks.map(({ name }) => ratioOf(name)))

report({
  id: "P2",
  title: "at the edge, × a hand-written single flight",
  figures: [
    figure(ratioOf("ours, peek"), reach, { label: "peek" }),
    figure(ratioOf("ours, Promise face"), reach, { label: "Promise face" }),
    check(ratioOf("ours, Promise face") < fastestSdk, "below google, AWS, Azure, MSAL")
  ],
  columns: ["outside of fibers", "ns", "× hand-written"],
  rows: contestants.map(({ name }) => [name, median(values.get(name)), ratioOf(name)]),
  notes: last === undefined ? ["nothing was measured"] : []
})

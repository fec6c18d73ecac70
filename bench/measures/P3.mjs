// P3: 10,000 callers at once on an empty cache, against 10,000 fibers that await one `Deferred`.
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { openScope, sourceOf, TokenCache } from "../support/library.mjs"
import { peers } from "../support/peers/index.mjs"
import { makeProvider } from "../support/provider.mjs"
import { check, figure, report } from "../support/report.mjs"
import { interleave, median, ratio } from "../support/rounds.mjs"

const callers = 10_000
const slowCallers = 200
const rounds = 25
const reach = 1.15
/** Long enough that the last caller arrives before the answer: everybody has to wait. */
const delay = 40

/** All callers, each in a fiber of its own; a parent that collects them would cost more than they do. */
const everybody = (effect) =>
  new Promise((resolve, reject) => {
    let left = callers
    const ended = (exit) => {
      if (Exit.isFailure(exit)) reject(new Error("a caller failed"))
      if (--left === 0) resolve()
    }
    for (let i = 0; i < callers; i++) Effect.runFork(effect).addObserver(ended)
  })

/** Wall and CPU milliseconds of one round. */
const timed = async (work) => {
  const cpu = process.cpuUsage()
  const start = performance.now()
  await work()
  const wall = performance.now() - start
  const { user, system } = process.cpuUsage(cpu)
  return { wall, cpu: (user + system) / 1000 }
}

const deferredRound = async () => {
  const provider = makeProvider({ lifetime: 3600, delay })
  const done = Effect.runSync(Deferred.make())
  return timed(() => {
    Effect.runFork(Deferred.complete(done, Effect.promise(() => provider.answer())))
    return everybody(Deferred.await(done))
  })
}

let mostFetches = 0
const oursRound = async () => {
  const provider = makeProvider({ lifetime: 3600, delay })
  const scope = await openScope()
  const source = await scope.build(TokenCache.cached(sourceOf(provider)))
  const time = await timed(() => everybody(source.get))
  await scope.close()
  mostFetches = Math.max(mostFetches, provider.requests)
  return time
}

const cpus = { ours: [], deferred: [] }
const wallOf = (name, round) => async () => {
  const { wall, cpu } = await round()
  cpus[name].push(cpu)
  return wall
}

const values = await interleave(
  [{ name: "deferred", run: wallOf("deferred", deferredRound) }, {
    name: "ours",
    run: wallOf("ours", oursRound)
  }],
  { rounds, warmUp: 2 }
)

/** One cold start of a peer; the slow ones meet fewer callers. */
const peerRow = async (peer) => {
  const provider = makeProvider({ lifetime: 3600, delay })
  const { effect, get, close } = await peer.make(provider)
  const n = peer.slow ? slowCallers : callers
  const { wall } = await timed(() =>
    effect === undefined ? Promise.allSettled(Array.from({ length: n }, get)) : everybody(effect)
  )
  await close?.()
  return [peer.name, n, provider.requests, wall]
}

const rows = [
  ["10,000 fibers awaiting one Deferred", callers, 1, median(values.get("deferred"))],
  ["ours", callers, mostFetches, median(values.get("ours"))]
]
for (const peer of peers) {
  if (!peer.name.includes("Resource")) rows.push(await peerRow(peer))
}

report({
  id: "P3",
  title: "10,000 callers on an empty cache, × awaiting one Deferred",
  figures: [check(mostFetches === 1, "1 fetch"), figure(ratio(values, "ours", "deferred"), reach)],
  columns: [`a fetch takes ${delay} ms`, "callers", "fetches", "ms"],
  rows,
  notes: [
    `CPU time alone: ${(median(cpus.ours) / median(cpus.deferred)).toFixed(2)} × (wall holds the fetch)`
  ]
})

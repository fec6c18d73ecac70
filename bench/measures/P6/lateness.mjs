// How late renewals start when 100,000 of them fall due within a short time, on the live clock.
// Arguments: the number of seconds over which they are spread; `fibers` for the naive way, a sleeping fiber a source.
import * as Effect from "effect/Effect"
import { answer } from "../../support/child.mjs"
import { openScope, received, RefreshPolicy, TokenCache, TokenSource } from "../../support/library.mjs"
import { pause, quantile } from "../../support/rounds.mjs"

const sources = 100_000
const [spread, way] = process.argv.slice(2)

/** Without jitter, with a third of the lifetime as the window: a token of 3k ms is renewed after 2k ms. */
const policy = RefreshPolicy.make({ window: "1 hour", maxFraction: 1 / 3, jitter: 0 })
const cached = TokenCache.cached({ policy, schedule: "background" })

const late = new Float64Array(sources).fill(-1)
let renewed = 0
let firstDue
const dueAt = (i) => firstDue + Math.floor((i * spread * 1000) / sources)

const started = (i, due) => {
  if (late[i] >= 0) return
  late[i] = Math.max(0, Date.now() - due)
  renewed++
}

/** The first fetch gives a token whose renewal falls due at the wanted instant; the second notes how late it is. */
const fetchOf = (i) => {
  let due
  return Effect.suspend(() => {
    if (due !== undefined) {
      started(i, due)
      return received({ access_token: "second", expires_in: 3600 })
    }
    const now = Date.now()
    const half = Math.round((dueAt(i) - now) / 2)
    due = now + 2 * half
    return received({ access_token: "first", expires_in: (3 * half) / 1000 })
  })
}

const scheduled = (i) =>
  Effect.flatMap(cached(TokenSource.fromEffect(fetchOf(i), { name: "bench" })), (source) => source.get)

const sleeping = (i) =>
  Effect.forkScoped(Effect.flatMap(
    Effect.suspend(() => Effect.sleep(dueAt(i) - Date.now())),
    () => Effect.sync(() => started(i, dueAt(i)))
  ))

const make = way === "fibers" ? sleeping : scheduled
const scope = await openScope()

/** Arms the first `n` sources and answers how many milliseconds that takes. */
const arm = async (n, scope) => {
  const start = performance.now()
  let i = 0
  await scope.build(Effect.whileLoop({
    while: () => i < n,
    body: () => make(i),
    step: () => {
      i++
    }
  }))
  return performance.now() - start
}

// A trial tells how long arming takes here and now, so that nothing falls due before all is armed.
firstDue = Date.now() + 3_600_000
const trial = await openScope()
const forAll = (await arm(5_000, trial)) * (sources / 5_000)
await trial.close()
firstDue = Math.ceil(Date.now() + 3_000 + 1.5 * forAll)

const armed = await arm(sources, scope)
const inTime = Date.now() < firstDue
globalThis.gc()

const end = firstDue + spread * 1000 + 5_000
while (Date.now() < end && renewed < sources) await pause(100)
const measured = late.filter((ms) => ms >= 0)
answer({
  renewed: inTime ? renewed : 0,
  armed,
  p50: quantile(measured, 0.5),
  p99: quantile(measured, 0.99),
  max: quantile(measured, 1)
})

// Bytes of heap a source, for 100,000 sources in one scope, each of which holds a token for the next hour.
// Argument: `background` or `onUse` (how they renew), `tokens` (no sources, only the tokens), `inner` (only the
// sources below the caches, without tokens), `fibers` (the naive way: a sleeping fiber a source, nothing else).
import * as Effect from "effect/Effect"
import { answer } from "../../support/child.mjs"
import { openScope, received, TokenCache, TokenSource } from "../../support/library.mjs"
import { pause } from "../../support/rounds.mjs"

const sources = 100_000
const [variant] = process.argv.slice(2)

let issued = 0
/** Each token has a secret of its own, of 32 characters in one piece, as it comes from the wire. */
const secret = () => Buffer.from(String(++issued).padStart(32, "x")).toString("latin1")
const fetch = Effect.suspend(() => received({ access_token: secret(), expires_in: 3600 }))

const cachedBy = (schedule) => {
  const cached = TokenCache.cached({ schedule })
  return Effect.tap(cached(TokenSource.fromEffect(fetch, { name: "bench" })), (source) => source.get)
}

const sleeping = Effect.forkScoped(Effect.sleep("1 hour"))

const make = {
  background: cachedBy("background"),
  onUse: cachedBy("onUse"),
  tokens: fetch,
  inner: TokenSource.fromEffect(fetch, { name: "bench" }),
  fibers: sleeping
}[variant]

const heap = async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc()
    await pause(20)
  }
  return process.memoryUsage().heapUsed
}

const scope = await openScope()
const made = new Array(sources).fill(undefined)
const fill = (from, to) =>
  scope.build(Effect.whileLoop({
    while: () => from < to,
    body: () => make,
    step: (value) => {
      made[from++] = value
    }
  }))

// A few beforehand, so that compiled code and the like are not counted; they stay.
await fill(0, 2_000)
const before = await heap()
await fill(2_000, sources)
const after = await heap()
answer({ bytes: (after - before) / (sources - 2_000), kept: made.length })

// How many renewals are in flight at once when 10,000 sources fall due at the same instant.
import * as Effect from "effect/Effect"
import { answer } from "../../support/child.mjs"
import { down, openScope, received, RefreshPolicy, TokenCache, TokenSource } from "../../support/library.mjs"
import { makeProvider } from "../../support/provider.mjs"
import { pause } from "../../support/rounds.mjs"

const sources = 10_000
const policy = RefreshPolicy.make({ window: "1 hour", maxFraction: 1 / 3, jitter: 0 })
const dueAt = Date.now() + 4_000
const provider = makeProvider({ lifetime: 3600, delay: 5 })

/** The first token comes at once and is due with all others; each later one takes 5 ms. */
const fetchOne = () => {
  let first = true
  const later = Effect.flatMap(
    Effect.tryPromise({ try: () => provider.answer(), catch: () => down }),
    received
  )
  return Effect.suspend(() => {
    if (!first) return later
    first = false
    return received({ access_token: "first", expires_in: ((dueAt - Date.now()) * 1.5) / 1000 })
  })
}

const scope = await openScope()
let i = 0
await scope.build(Effect.whileLoop({
  while: () => i < sources,
  body: () =>
    Effect.flatMap(
      TokenCache.cached(TokenSource.fromEffect(fetchOne(), { name: "bench" }), {
        policy,
        schedule: "background"
      }),
      (source) => source.get
    ),
  step: () => {
    i++
  }
}))
const early = provider.requests
while (provider.issued < sources && Date.now() < dueAt + 10_000) await pause(20)
const took = Date.now() - dueAt
await scope.close()
answer({ early, renewed: provider.issued, most: provider.mostInFlight, took })

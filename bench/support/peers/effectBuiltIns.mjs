// What Effect itself offers for keeping a token. Each gives `effect`, to be used in a fiber, and `get`, a promise.
import * as Cache from "effect/Cache"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Resource from "effect/Resource"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as SynchronizedRef from "effect/SynchronizedRef"

const fetch = (provider) => Effect.tryPromise(() => provider.answer())

const expiring = (provider) =>
  Effect.map(fetch(provider), (answer) => ({
    value: answer.access_token,
    expiresAt: Date.now() + answer.expires_in * 1000
  }))

const peer = (name, make) => ({
  name,
  window: 0,
  make: async (provider) => {
    const { effect, close } = await make(provider)
    return { effect, get: () => Effect.runPromise(effect), close }
  }
})

export const effectCache = peer("Effect Cache (one key)", async (provider) => {
  const make = Cache.makeWith({
    capacity: 1,
    lookup: () => fetch(provider),
    timeToLive: (exit) => (Exit.isSuccess(exit) ? exit.value.expires_in * 1000 : 0)
  })
  const cache = await Effect.runPromise(make)
  return { effect: cache.get("token") }
})

export const synchronizedRef = peer("Effect SynchronizedRef.modifyEffect", async (provider) => {
  const ref = Effect.runSync(SynchronizedRef.make(undefined))
  const effect = SynchronizedRef.modifyEffect(
    ref,
    (held) =>
      Effect.clockWith((clock) =>
        held !== undefined && clock.unsafeCurrentTimeMillis() < held.expiresAt
          ? Effect.succeed([held, held])
          : Effect.map(expiring(provider), (token) => [token, token])
      )
  )
  return { effect }
})

export const cachedWithTtl = peer("Effect cachedInvalidateWithTTL", async (provider) => {
  const make = Effect.cachedInvalidateWithTTL(fetch(provider), provider.lifetime * 1000)
  const [effect] = await Effect.runPromise(make)
  return { effect }
})

export const resourceAuto = peer("Effect Resource.auto", async (provider) => {
  const scope = Effect.runSync(Scope.make())
  const schedule = Schedule.spaced(Math.max(1, provider.lifetime * 1000 * 0.75))
  const resource = await Effect.runPromise(Scope.extend(Resource.auto(fetch(provider), schedule), scope))
  return { effect: Resource.get(resource), close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
})

export const effectBuiltIns = [effectCache, synchronizedRef, cachedWithTtl, resourceAuto]

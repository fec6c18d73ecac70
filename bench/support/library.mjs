// The library under test, as it was built, and the one `effect` that it runs on.
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestContext from "effect/TestContext"
import { dist } from "./dist.mjs"

/** The built module of that name. */
export const load = (name) => import(new URL(`${name}.js`, dist).href)

export const Token = await load("Token")
export const TokenError = await load("TokenError")
export const TokenSource = await load("TokenSource")
export const TokenCache = await load("TokenCache")
export const RefreshPolicy = await load("RefreshPolicy")
export const RefreshScheduler = await load("RefreshScheduler")

/** What the fake provider's answer becomes: a token received now. */
export const received = (answer) =>
  Token.receive({ value: Redacted.make(answer.access_token), expiresIn: answer.expires_in * 1000 })

/** The failure of a provider that is down. */
export const down = new TokenError.TransientFailure({
  source: "bench",
  reason: "ServerError",
  detail: "the provider is down",
  hint: "Wait until it is back.",
  retryAt: undefined
})

/** A source that asks this fake provider each time. */
export const sourceOf = (provider) =>
  TokenSource.fromEffect(
    Effect.flatMap(Effect.tryPromise({ try: () => provider.answer(), catch: () => down }), received),
    { name: "bench" }
  )

/** A scope with a scheduler in it: `build` makes a source there, `close` ends it. */
export const openScope = async () => {
  const scope = Effect.runSync(Scope.make())
  const context = await Effect.runPromise(Layer.buildWithScope(RefreshScheduler.layer, scope))
  return {
    build: (effect) => Effect.runPromise(effect.pipe(Effect.provide(context), Scope.extend(scope))),
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

/** Runs an effect on a virtual clock, with a scope and a scheduler that live on it too. */
export const onVirtualClock = (effect) =>
  Effect.runPromise(effect.pipe(
    Effect.provide(RefreshScheduler.layer),
    Effect.scoped,
    Effect.provide(TestContext.TestContext)
  ))

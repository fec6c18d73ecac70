import { expect, it } from "@effect/vitest"
import * as TokenChain from "effect-credentials/TokenChain"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Kit from "../internal/kit.js"
import { secretOf } from "../internal/kit.js"

const paidKey = TokenSource.apiKey(Redacted.make("paid"), { name: "paid key" })
const closed = { _tag: "TokenUnavailable", reason: "Closed", source: "login" }

/** A cached login in a scope that the test closes. */
const login = Effect.gen(function*() {
  const scope = yield* Scope.make()
  const { source } = Kit.issuer<never>(() => Kit.received("employee", "1 hour"), { name: "login" })
  const cached = yield* Scope.extend(Kit.cache(source), scope)
  return { cached, close: Scope.close(scope, Exit.void) }
})

it.effect("F34 a login whose scope has ended is not silently replaced by the paid key", () =>
  Effect.gen(function*() {
    const { cached, close } = yield* login
    const chain = yield* TokenChain.firstOf([Effect.succeed(cached), paidKey])
    expect(secretOf(yield* chain.get)).toBe("employee")
    yield* close
    expect(yield* Effect.flip(chain.get)).toMatchObject(closed)
    const { failure, health, tiers } = yield* chain.status
    expect([health, failure?.reason]).toEqual(["Degraded", "Closed"])
    expect(tiers.map(({ role }) => role)).toEqual(["Failed", "Untried"])
  }))

it.effect("F34 nor one inside of a chain, but a chain without a token is passed over as before", () =>
  Effect.gen(function*() {
    const { cached, close } = yield* login
    const chainOf = (...inner: ReadonlyArray<TokenSource.TokenSource>) =>
      TokenChain.firstOf([TokenChain.make(inner), paidKey])
    const none = yield* TokenSource.env("NOT_SET_ANYWHERE")
    yield* close
    expect(yield* Effect.flip(Effect.flatMap(chainOf(none, cached), (chain) => chain.get)))
      .toMatchObject(closed)
    expect(secretOf(yield* Effect.flatMap(chainOf(none, none), (chain) => chain.get))).toBe("paid")
  }))

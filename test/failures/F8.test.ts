import { expect, it } from "@effect/vitest"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Kit from "../internal/kit.js"
import { secretOf } from "../internal/kit.js"

/** Something with an end, as a connection has one: using it after that is a defect. */
class Connection
  extends Context.Tag("test/Connection")<Connection, { readonly of: string; open: boolean }>()
{}

const connection = (of: string) =>
  Effect.acquireRelease(
    Effect.sync(() => ({ of, open: true })),
    (connection) =>
      Effect.sync(() => {
        connection.open = false
      })
  )

class Api extends TokenSource.Tag("test/Api")<Api>() {}

const fetch = Effect.flatMap(
  Connection,
  (connection) =>
    connection.open ? Kit.received(connection.of, "1 hour") : Effect.die("the connection is closed")
)

const layer = Api.layer(TokenSource.fromEffect(fetch).pipe(TokenCache.cached({ policy: Kit.exact }))).pipe(
  Layer.provide(Layer.scoped(Connection, connection("layer")))
)

it.effect("F8 a refresh uses what the Layer was built with, however many requests have come and gone", () =>
  Effect.gen(function*() {
    const request = Effect.scoped(Effect.gen(function*() {
      const own = yield* connection("request")
      const token = yield* Effect.provideService(Api.get, Connection, own)
      return secretOf(token)
    }))
    for (let i = 0; i < 5; i++) {
      expect(yield* request).toBe("layer")
      yield* TestClock.adjust("56 minutes")
    }
  }).pipe(Effect.provide(layer)))

it.scoped("F8 a fetch that a request began goes on when the request's scope ends", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "10 seconds"))
    const scope = yield* Scope.make()
    yield* Effect.forkIn(source.get, scope)
    yield* Kit.settle
    yield* Scope.close(scope, Exit.void)
    yield* TestClock.adjust("10 seconds")
    expect(secretOf(yield* source.get)).toBe("t1")
    expect(log.fetches).toBe(1)
  }))

it.scoped("F8 a fetch that a request began goes on when the request's fiber has ended", () =>
  Effect.gen(function*() {
    const { log, source } = yield* Kit.cached(Kit.numbered("1 hour", "10 seconds"))
    yield* Kit.within(Effect.zipRight(Effect.fork(source.get), Effect.yieldNow()), 0)
    expect(log.inFlight).toBe(1)
    yield* TestClock.adjust("10 seconds")
    expect(secretOf(yield* source.get)).toBe("t1")
    expect(log.fetches).toBe(1)
  }))

import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import * as Kit from "../http/kit.js"
import * as CoreKit from "../internal/kit.js"

/** An issuer whose newest token alone is good, and a resource that asks it. */
const world = Effect.gen(function*() {
  const issued = yield* Ref.make(0)
  const refused = yield* Ref.make(0)
  const revoked = yield* Ref.make(0)
  const origin = yield* Kit.serve(Effect.gen(function*() {
    const bearer = yield* Kit.bearerOf
    // Answers come in an order of their own, so that some refusals are late.
    yield* Effect.sleep(Math.floor(Math.random() * 20))
    if (Number(bearer?.slice(1)) > (yield* Ref.get(revoked))) return HttpServerResponse.text(bearer ?? "")
    yield* Ref.update(refused, (count) => count + 1)
    return HttpServerResponse.text("no", {
      status: 401,
      headers: { "www-authenticate": "Bearer error=\"invalid_token\"" }
    })
  }))
  const source = yield* TokenSource.fromEffect(
    Effect.delay(
      Effect.map(Ref.updateAndGet(issued, (count) => count + 1), (count) => Kit.token(`t${count}`)),
      30
    )
  ).pipe(TokenCache.cached())
  return { issued, refused, revoked, origin, source }
})

describe.each(Kit.realClients)("F3 over %s", (_, layer) => {
  it.scopedLive("F3 a stampede of 401s in one process causes one renewal", () =>
    Effect.gen(function*() {
      const { issued, origin, refused, revoked, source } = yield* world
      const client = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
      const authed = client.pipe(HttpAuth.bearer(source, { origins: origin }))
      const call = Effect.flatMap(authed.get(`${origin}/x`), (response) => response.text)
      expect(yield* call).toBe("t1")
      yield* Ref.set(revoked, 1)
      const answers = yield* Effect.all(Array.from({ length: 100 }, () => call), { concurrency: "unbounded" })
      expect(new Set(answers)).toEqual(new Set(["t2"]))
      expect(yield* Ref.get(issued)).toBe(2)
      expect(yield* Ref.get(refused)).toBe(100)
    }).pipe(Effect.provide(RefreshScheduler.layer)))
})

it.effect("F3 a late 401 about a token that is no longer held does not touch the new one", () =>
  Effect.gen(function*() {
    const issued = yield* Ref.make(0)
    const source = yield* TokenSource.fromEffect(
      Effect.map(Ref.updateAndGet(issued, (count) => count + 1), (count) => Kit.token(`t${count}`))
    ).pipe(TokenCache.cached())
    const { client, sent } = Kit.fake((request) =>
      request.headers["authorization"] === "Bearer t1"
        ? Effect.as(Effect.ignore(renewed), new Response(null, { status: 401 }))
        : new Response("ok")
    )
    // While the request with t1 is under way, somebody else has its refusal and renews.
    const renewed = Effect.flatMap(
      source.get,
      (held) => Effect.zipRight(source.invalidate(held), source.request({ supersede: held }))
    )
    yield* source.get
    const response = yield* client.pipe(HttpAuth.bearer(source, { origins: Kit.api })).get(Kit.api)
    expect(response.status).toBe(200)
    expect(sent()).toEqual(["Bearer t1", "Bearer t2"])
    expect(yield* Ref.get(issued)).toBe(2)
  }).pipe(Effect.provide(RefreshScheduler.layer), Effect.scoped))

describe("F3 in the core", () => {
  it.scoped("F3 refusals of one token by a thousand callers at once cost one renewal", () =>
    Effect.gen(function*() {
      const { log, source } = yield* CoreKit.cached(CoreKit.numbered())
      const token = yield* CoreKit.within(source.get)
      const replace = Effect.zipRight(source.invalidate(token), source.request({ supersede: token }))
      const all = Effect.all(Array.from({ length: 1_000 }, () => replace), { concurrency: "unbounded" })
      const tokens = yield* CoreKit.within(all)
      expect(new Set(tokens.map(CoreKit.secretOf))).toEqual(new Set(["t2"]))
      expect(log).toMatchObject({ fetches: 2, most: 1 })
    }))

  it.scoped("F3 refusals that trickle in, before, while and after the renewal, cost one renewal", () =>
    Effect.gen(function*() {
      const { log, source } = yield* CoreKit.cached(CoreKit.numbered("1 hour", "5 seconds"))
      const token = yield* CoreKit.within(source.get, "5 seconds")
      for (let i = 0; i < 20; i++) {
        yield* Effect.fork(Effect.zipRight(source.invalidate(token), source.get))
        yield* TestClock.adjust("1 second")
      }
      expect(CoreKit.secretOf(yield* source.get)).toBe("t2")
      expect(log).toMatchObject({ fetches: 2, most: 1 })
    }))
})

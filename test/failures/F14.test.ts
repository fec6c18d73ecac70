import { expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Kit from "../http/kit.js"

const refusing = () => Kit.fake(() => new Response("never", { status: 401 }))

it.effect("F14 an API that always says 401 costs one renewal and two tries a request", () =>
  Effect.gen(function*() {
    const { client, sent } = refusing()
    const { log, source } = Kit.source(["a", "b", "c", "d", "e"])
    const authed = client.pipe(HttpAuth.bearer(source, { origins: Kit.api }))
    const response = yield* authed.get(Kit.api)
    expect([response.status, yield* response.text]).toEqual([401, "never"])
    expect(sent()).toEqual(["Bearer a", "Bearer b"])
    expect(log).toMatchObject({ renewals: 1, invalidated: ["a"] })
    yield* authed.get(Kit.api)
    expect(sent()).toEqual(["Bearer a", "Bearer b", "Bearer b", "Bearer c"])
    expect(log).toMatchObject({ renewals: 2, invalidated: ["a", "b"] })
  }))

it.effect("F14 over a cache, requests in a loop stop renewing", () =>
  Effect.gen(function*() {
    const issued = yield* Ref.make(0)
    const { client } = refusing()
    const source = yield* TokenSource.fromEffect(
      Effect.flatMap(Ref.updateAndGet(issued, (count) => count + 1), (count) =>
        Effect.map(
          Effect.clockWith((clock) => clock.currentTimeMillis),
          (now) => ({
            ...Kit.token(`t${count}`),
            issuedAt: now,
            expiresAt: now + 3_600_000
          })
        ))
    ).pipe(TokenCache.cached())
    const authed = client.pipe(HttpAuth.bearer(source, { origins: Kit.api }))
    const results = yield* Effect.forEach(
      Array.from({ length: 100 }),
      () => Effect.either(authed.get(Kit.api))
    )
    const kinds = results.map((result) => result._tag === "Right" ? result.right.status : result.left)
    for (const kind of kinds) {
      if (kind !== 401) expect(kind).toMatchObject({ _tag: "TransientFailure", reason: "RejectedWhileFresh" })
    }
    expect(kinds[0]).toBe(401)
    expect(yield* Ref.get(issued)).toBeLessThanOrEqual(4)
  }).pipe(Effect.provide(RefreshScheduler.layer), Effect.scoped))

import { expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenFamily from "effect-credentials/TokenFamily"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as Kit from "../internal/kit.js"
import { secretOf } from "../internal/kit.js"

it.scoped("F32 the failure, the back-off and the refusals of one key never touch another", () =>
  Effect.gen(function*() {
    const scheduler = yield* RefreshScheduler.make()
    const family = yield* TokenFamily.make({
      lookup: (key: string) =>
        TokenCache.make(
          Kit.issuer((nth) =>
            key === "broken"
              ? Effect.fail(Kit.transient(Infinity, "RateLimited"))
              : Kit.received(`${key}${nth}`, "1 hour")
          ).source,
          { policy: Kit.exact }
        )
    }).pipe(Effect.provideService(RefreshScheduler.RefreshScheduler, scheduler))
    expect(Kit.errorOf(yield* Effect.exit(family.get("broken")))).toMatchObject({ reason: "RateLimited" })
    expect(secretOf(yield* family.get("good"))).toBe("good1")
    // A storm of refusals of one key.
    for (let i = 0; i < 10; i++) {
      yield* Effect.scoped(Effect.gen(function*() {
        const refused = yield* family.source("refused")
        yield* Effect.ignore(Effect.flatMap(refused.get, refused.invalidate))
      }))
    }
    expect(Kit.errorOf(yield* Effect.exit(family.get("refused")))).toMatchObject({
      reason: "RejectedWhileFresh"
    })
    expect(secretOf(yield* family.get("other"))).toBe("other1")
    expect(secretOf(yield* family.get("good"))).toBe("good1")
  }))

it.scoped("F32 a fetch that hangs holds up no other source, not even when as many hang as may run at once", () =>
  Effect.gen(function*() {
    const scheduler = yield* RefreshScheduler.make({ concurrency: 2 })
    const cached = (script: Kit.Script<never>) => {
      const { source } = Kit.issuer(script)
      return Effect.provideService(
        TokenCache.make(source, { policy: Kit.exact, timeLimit: "10 seconds" }),
        RefreshScheduler.RefreshScheduler,
        scheduler
      )
    }
    const hanging = yield* Effect.all(
      Array.from({ length: 4 }, () => cached((nth) => nth === 1 ? Kit.instantly()(nth, {}) : Effect.never))
    )
    const well = yield* cached(Kit.instantly())
    yield* Effect.all([...hanging, well].map((source) => source.get))
    yield* TestClock.adjust("55 minutes")
    yield* TestClock.adjust("30 seconds")
    expect(secretOf(yield* well.get)).toBe("t2")
    for (const source of hanging) expect(secretOf(yield* source.get)).toBe("t1")
  }))

import { expect, it } from "@effect/vitest"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStream from "effect-credentials/TokenStream"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Kit from "../internal/kit.js"

it.scoped("F10 whoever wants to know of a rotation reads it from a stream, whoever or whatever caused it", () =>
  Effect.gen(function*() {
    const { source } = yield* Kit.cached(Kit.instantly())
    const generations: Array<number> = []
    const rotations = TokenStream.changes(source).pipe(
      Stream.filterMap((status) =>
        status.health === "Healthy" ? Option.fromNullable(status.token) : Option.none()
      ),
      Stream.map((token) => token.generation),
      Stream.changes
    )
    yield* Effect.fork(
      Stream.runForEach(rotations, (generation) => Effect.sync(() => generations.push(generation)))
    )
    yield* Kit.settle
    // By the first use, by the background, by force, and by a refusal.
    yield* source.get
    yield* Kit.settle
    yield* TestClock.adjust("55 minutes")
    yield* TokenSource.refresh(source)
    yield* Kit.settle
    yield* source.invalidate(yield* source.get)
    yield* source.get
    yield* Kit.settle
    expect(generations).toEqual([1, 2, 3, 4])
  }))

import { expect, it } from "@effect/vitest"
import * as CrashPoint from "effect-credentials/vault/CrashPoint"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scene from "../fleet/scene.js"
import { platform, temporary } from "../vault/temporary.js"

const term = 1_000

it.scopedLive(
  "F16 the lease of a real process that was killed is taken over after its term and not before",
  () =>
    Effect.gen(function*() {
      const { provider, worker } = yield* Scene.make({ graceWindow: 60_000, latency: 500 })
      const mortal = yield* worker({ leaseTerm: term, crash: { "redeem.journaled": 1 } })
      const heir = yield* worker({ leaseTerm: term })
      expect(yield* Scene.ask(mortal)).toBe(undefined)
      expect(yield* mortal.process.ended).toBe("SIGKILL")
      const asked = yield* Scene.ask(heir)
      expect(asked?.failure).toBe(undefined)
      expect(asked?.wait).toBeGreaterThan(term)
      expect(asked?.wait).toBeLessThan(term * 8)
      expect(yield* Scene.check(heir)).toBe(200)
      expect(yield* Scene.tally(provider)).toEqual({ redeemed: 1, repeated: 0, refused: 0 })
    }),
  60_000
)

const hour = 3_600_000

it.scopedLive.each([[hour, -hour], [-hour, hour]])(
  "F16 clocks that are off by %i and %i ms end nobody's lease early",
  ([ahead = 0, behind = 0]) =>
    Effect.gen(function*() {
      const { provider, worker } = yield* Scene.make({ latency: 2_000 })
      const owner = yield* worker({ clockOffset: ahead, leaseTerm: 500 })
      const other = yield* worker({ clockOffset: behind, leaseTerm: 500 })
      const first = yield* Effect.fork(Scene.ask(owner))
      yield* Effect.sleep("500 millis")
      const second = yield* Scene.ask(other)
      expect([(yield* Fiber.join(first))?.failure, second?.failure]).toEqual([undefined, undefined])
      expect(second?.wait).toBeGreaterThan(1_000)
      expect(yield* Scene.tally(provider)).toEqual({ redeemed: 1, repeated: 0, refused: 0 })
    }),
  60_000
)

it.scopedLive(
  "F16 a real process that stood still loses its turn, and nothing is redeemed twice",
  () =>
    Effect.gen(function*() {
      const { provider, worker } = yield* Scene.make({ graceWindow: 60_000, latency: 1_000 })
      const sleeper = yield* worker({ leaseTerm: 1_000 })
      const heir = yield* worker({ leaseTerm: 1_000 })
      const first = yield* Effect.fork(Scene.ask(sleeper))
      yield* Effect.sleep("500 millis")
      sleeper.process.signal("SIGSTOP")
      expect((yield* Scene.ask(heir))?.failure).toBe(undefined)
      sleeper.process.signal("SIGCONT")
      expect((yield* Fiber.join(first))?.failure).toBe(undefined)
      expect([yield* Scene.check(sleeper), yield* Scene.check(heir)]).toEqual([200, 200])
      expect(yield* Scene.tally(provider)).toMatchObject({ redeemed: 1, refused: 0 })
    }),
  60_000
)

/** A clock whose time of day can jump; time passes on it as it does. */
const jumping = () => {
  const right = Clock.make()
  const state = { offset: 0 }
  const millis = () => right.unsafeCurrentTimeMillis() + state.offset
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: () => right.unsafeCurrentTimeNanos(),
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: right.currentTimeNanos,
    sleep: (duration) => right.sleep(duration)
  }
  return { clock, state }
}

/** How long somebody waits for the lease of an owner that gives no sign of life from the beginning. */
const waitFor = (jump: number) =>
  Effect.gen(function*() {
    const { directory } = yield* temporary
    const open = FileVault.make({ directory })
    const owner = Effect.scoped(Effect.flatMap(open, (vault) => vault.lease("k", { term })))
    const taken = yield* Deferred.make<void>()
    yield* Effect.forkDaemon(CrashPoint.withCrashPoint(owner, (moment) =>
      moment === "lease.taken"
        ? Effect.zipRight(Deferred.succeed(taken, undefined), Effect.never)
        : Effect.never))
    yield* Deferred.await(taken)
    const { clock, state } = jumping()
    const heir = Effect.scoped(
      Effect.flatMap(open, (vault) => vault.lease("k", { term, wait: "15 seconds" }))
    )
    const waiting = yield* Effect.fork(Effect.timed(Effect.withClock(heir, clock)))
    yield* Effect.sleep(Duration.millis(term / 2))
    state.offset = jump
    const [wait] = yield* Fiber.join(waiting)
    return Duration.toMillis(wait)
  }).pipe(Effect.scoped, Effect.provide(platform))

it.live.each([0, hour, -hour])(
  "F16 who waits for a dead owner does so for its term, though the own clock jumps by %i ms",
  (jump) =>
    Effect.gen(function*() {
      const wait = yield* waitFor(jump)
      expect(wait).toBeGreaterThanOrEqual(term)
      expect(wait).toBeLessThan(term * 8)
    })
)

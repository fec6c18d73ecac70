import { describe, expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as SleepyClock from "effect-credentials/testing/SleepyClock"
import * as TokenCache from "effect-credentials/TokenCache"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { hour, minute, second } from "./internal/kit.js"

interface Recorder extends RefreshScheduler.Task {
  readonly calledAt: Array<number>
}

/** A task that notes when it was called and says whether it began work. */
const recorder = (begins: boolean | ((now: number) => boolean) = false): Recorder => ({
  dueAt: Infinity,
  place: -1,
  calledAt: [],
  onDue(now) {
    this.calledAt.push(now)
    return typeof begins === "function" ? begins(now) : begins
  }
})

const recorders = (count: number, begins: boolean): ReadonlyArray<Recorder> =>
  Array.from({ length: count }, () => recorder(begins))

const calls = (tasks: ReadonlyArray<Recorder>): number =>
  tasks.reduce((sum, task) => sum + task.calledAt.length, 0)

describe("a task", () => {
  it.scoped.each<readonly [string, "renewAt" | "giveUpAt"]>([["renewal", "renewAt"], [
    "deadline",
    "giveUpAt"
  ]])(
    "is called once, at its instant and not before (%s)",
    ([, method]) =>
      Effect.gen(function*() {
        const scheduler = yield* RefreshScheduler.make()
        const task = recorder()
        scheduler[method](task, 1_000)
        yield* TestClock.adjust(999)
        expect(task.calledAt).toEqual([])
        yield* TestClock.adjust(1)
        expect(task.calledAt).toEqual([1_000])
        yield* TestClock.adjust("1 day")
        expect(task.calledAt).toEqual([1_000])
      })
  )

  it.scoped.each<readonly [string, number]>([["now", 0], ["in the past", -5], ["long ago", -Infinity]])(
    "that is due %s is called at once",
    ([, at]) =>
      Effect.gen(function*() {
        const scheduler = yield* RefreshScheduler.make()
        const task = recorder()
        scheduler.renewAt(task, at)
        yield* Kit.settle
        yield* TestClock.adjust(1)
        expect(task.calledAt.length).toBe(1)
      })
  )

  it.scoped.each<readonly [string, number]>([["never", Infinity], ["at no number", Number.NaN]])(
    "that is due %s is never called, and was moved away from where it was",
    ([, at]) =>
      Effect.gen(function*() {
        const scheduler = yield* RefreshScheduler.make()
        const task = recorder()
        scheduler.renewAt(task, second)
        scheduler.renewAt(task, at)
        yield* TestClock.adjust("100 days")
        expect(task.calledAt).toEqual([])
      })
  )

  it.scoped("that is cancelled is not called, before and after it was moved", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make()
      const [a, b, c] = [recorder(), recorder(), recorder()]
      scheduler.cancel(a)
      scheduler.renewAt(a, second)
      scheduler.giveUpAt(b, second)
      scheduler.renewAt(c, second)
      scheduler.renewAt(c, 2 * second)
      for (const task of [a, b, c]) scheduler.cancel(task)
      scheduler.cancel(a)
      yield* TestClock.adjust("1 hour")
      expect(calls([a, b, c])).toBe(0)
    }))

  it.scoped("has one instant: a deadline replaces its renewal and the other way round", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make()
      const [a, b] = [recorder(), recorder()]
      scheduler.renewAt(a, second)
      scheduler.giveUpAt(a, 3 * second)
      scheduler.giveUpAt(b, second)
      scheduler.renewAt(b, 4 * second)
      yield* TestClock.adjust("1 hour")
      expect([a.calledAt, b.calledAt]).toEqual([[3 * second], [4 * second]])
    }))

  it.scoped("may be put earlier while the scheduler sleeps", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make()
      const [a, b] = [recorder(), recorder()]
      scheduler.renewAt(a, hour)
      yield* TestClock.adjust("1 minute")
      scheduler.renewAt(b, 2 * minute)
      yield* TestClock.adjust("1 minute")
      scheduler.renewAt(a, 3 * minute)
      yield* TestClock.adjust("1 minute")
      expect([b.calledAt, a.calledAt]).toEqual([[2 * minute], [3 * minute]])
    }))

  it.scoped("may put itself and others from within its call", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make()
      const other = recorder()
      const task: Recorder = recorder((now) => {
        if (task.calledAt.length < 5) scheduler.renewAt(task, now + second)
        else scheduler.giveUpAt(other, now)
        return false
      })
      scheduler.renewAt(task, second)
      yield* TestClock.adjust("1 minute")
      expect(task.calledAt).toEqual([1, 2, 3, 4, 5].map((n) => n * second))
      expect(other.calledAt).toEqual([5 * second])
    }))

  it.scoped("that is always due does not keep other fibers from running", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make()
      const task: Recorder = recorder(() => {
        if (task.calledAt.length < 10_000) scheduler.renewAt(task, 0)
        return false
      })
      scheduler.renewAt(task, 0)
      yield* Effect.repeatN(Effect.yieldNow(), 10)
      expect(task.calledAt.length).toBeGreaterThan(0)
      expect(task.calledAt.length).toBeLessThan(10_000)
      yield* Effect.repeatN(Effect.yieldNow(), 500)
      expect(task.calledAt.length).toBe(10_000)
    }))

  it.scoped("that throws does not stop the others", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make({ concurrency: 1 })
      const broken = recorder(() => {
        throw new Error("a bug")
      })
      const [late, next] = [recorder(), recorder()]
      scheduler.renewAt(broken, second)
      scheduler.giveUpAt(late, 2 * second)
      scheduler.renewAt(next, 2 * second)
      yield* TestClock.adjust("1 minute")
      expect([late.calledAt, next.calledAt]).toEqual([[2 * second], [2 * second]])
    }))
})

describe("the bound", () => {
  it.scoped("holds renewals back until others have ended, in the order of their instants", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make({ concurrency: 2 })
      const tasks = recorders(5, true)
      tasks.forEach((task, i) => scheduler.renewAt(task, second + i))
      yield* TestClock.adjust("1 minute")
      const called = () => tasks.map((task) => task.calledAt.length)
      expect(called()).toEqual([1, 1, 0, 0, 0])
      scheduler.finished()
      yield* Kit.settle
      expect(called()).toEqual([1, 1, 1, 0, 0])
      scheduler.finished()
      scheduler.finished()
      yield* Kit.settle
      expect(called()).toEqual([1, 1, 1, 1, 1])
    }))

  it.scoped("does not hold deadlines back", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make({ concurrency: 1 })
      const [busy, waiting, late] = [recorder(true), recorder(true), recorder()]
      scheduler.renewAt(busy, second)
      scheduler.renewAt(waiting, 2 * second)
      scheduler.giveUpAt(late, 3 * second)
      yield* TestClock.adjust("1 minute")
      expect([busy.calledAt, waiting.calledAt, late.calledAt]).toEqual([[second], [], [3 * second]])
    }))

  it.scoped("does not count tasks that began nothing", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make({ concurrency: 1 })
      const tasks = recorders(100, false)
      for (const task of tasks) scheduler.renewAt(task, second)
      yield* TestClock.adjust("1 second")
      expect(calls(tasks)).toBe(100)
    }))

  it.scoped.each([[0], [-3], [Number.NaN]])("of %d counts as one", ([concurrency]) =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make({ concurrency })
      const tasks = recorders(3, true)
      for (const task of tasks) scheduler.renewAt(task, second)
      yield* TestClock.adjust("1 second")
      expect(calls(tasks)).toBe(1)
    }))

  it.scoped("is kept by caches, and each of them is renewed in its turn", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make({ concurrency: 3 })
      const { log, source } = Kit.issuer(Kit.numbered("1 hour", "10 seconds"))
      const caches = yield* Effect.all(Array.from({ length: 10 }, () =>
        Effect.provideService(
          TokenCache.make(source, { policy: Kit.exact }),
          RefreshScheduler.RefreshScheduler,
          scheduler
        )))
      yield* Kit.within(
        Effect.all(caches.map((cache) => cache.get), { concurrency: "unbounded" }),
        "10 seconds"
      )
      expect(log).toMatchObject({ fetches: 10, most: 10 })
      log.most = 0
      yield* TestClock.adjust("55 minutes")
      yield* TestClock.adjust("35 seconds")
      expect(log).toMatchObject({ fetches: 20, most: 3 })
      yield* TestClock.adjust("5 seconds")
      expect(log.inFlight).toBe(0)
    }))

  it.scoped("is not eaten up by renewals that time out, fail, die or end at once", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make({ concurrency: 1 })
      const { log, source } = Kit.issuer((nth): ReturnType<Kit.Script<ReturnType<typeof Kit.transient>>> => {
        const hurdles = [Effect.never, Effect.fail(Kit.transient()), Effect.die("a bug"), Effect.interrupt]
        return nth > 1 && nth % 2 === 0
          ? hurdles[nth / 2 % 4] ?? Effect.never
          : Kit.instantly("10 minutes")(nth, {})
      })
      const cache = yield* TokenCache.make(source, { policy: Kit.exact, timeLimit: "5 seconds" }).pipe(
        Effect.provideService(RefreshScheduler.RefreshScheduler, scheduler)
      )
      yield* cache.get
      yield* TestClock.adjust("5 hours")
      // Twice in each 400 seconds: a hurdle and then a token.
      expect(log.fetches).toBeGreaterThan(60)
      expect(log.most).toBe(1)
      const task = recorder()
      scheduler.renewAt(task, 0)
      yield* TestClock.adjust(1)
      expect(task.calledAt.length).toBe(1)
    }))
})

describe("many sources", () => {
  it.scoped("ten thousand that are due in one second are all called then", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make()
      const tasks = recorders(10_000, false)
      tasks.forEach((task, i) => scheduler.renewAt(task, minute + i % 50))
      yield* TestClock.adjust(minute - 1)
      expect(calls(tasks)).toBe(0)
      yield* TestClock.adjust(1)
      // One clock reading serves a batch, and a turn may see the next batch: never early, never lost.
      yield* TestClock.adjust(49)
      yield* Effect.repeatN(Effect.yieldNow(), 200)
      expect(calls(tasks)).toBe(10_000)
      for (const task of tasks) expect(task.calledAt[0]).toBeGreaterThanOrEqual(task.dueAt)
    }))

  it.scoped("two thousand caches live for hours on one fiber", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.make()
      const logs = yield* Effect.forEach(Array.from({ length: 2_000 }), () =>
        Effect.gen(function*() {
          const { log, source } = Kit.issuer(Kit.instantly())
          const cache = yield* Effect.provideService(
            TokenCache.make(source, { policy: Kit.exact }),
            RefreshScheduler.RefreshScheduler,
            scheduler
          )
          yield* cache.get
          return log
        }))
      yield* TestClock.adjust("3 hours")
      yield* Effect.repeatN(Effect.yieldNow(), 100)
      expect(new Set(logs.map((log) => log.fetches))).toEqual(new Set([4]))
    }))
})

describe("the fiber", () => {
  it.effect("ends with the scope", () =>
    Effect.gen(function*() {
      const task = recorder()
      const scheduler = yield* Effect.scoped(RefreshScheduler.make())
      scheduler.renewAt(task, second)
      yield* TestClock.adjust("1 hour")
      expect(task.calledAt).toEqual([])
    }))

  it.effect("ends with the scope in an uninterruptible place too", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(Effect.scoped(Effect.uninterruptible(RefreshScheduler.make())))
      yield* TestClock.adjust("1 second")
      yield* Kit.ended(fiber)
    }))

  it.effect("is one for all Layers that are built together", () =>
    Effect.gen(function*() {
      const seen = new Set<RefreshScheduler.Service>()
      const note = (name: string) =>
        Layer.effectDiscard(Effect.map(RefreshScheduler.RefreshScheduler, (scheduler) => {
          seen.add(scheduler)
          return name
        })).pipe(Layer.provide(RefreshScheduler.layer))
      yield* Effect.provide(Effect.void, Layer.mergeAll(note("a"), note("b"), note("c")))
      expect(seen.size).toBe(1)
    }))

  it.effect("has the options of layerWith", () =>
    Effect.gen(function*() {
      const scheduler = yield* RefreshScheduler.RefreshScheduler
      const tasks = recorders(3, true)
      for (const task of tasks) scheduler.renewAt(task, 0)
      yield* Kit.settle
      expect(calls(tasks)).toBe(1)
    }).pipe(Effect.provide(RefreshScheduler.layerWith({ concurrency: 1 }))))
})

describe("recheck", () => {
  /** How often the clock was asked to sleep, and for how long at most. */
  const watched = (options: RefreshScheduler.Options, at: number, duration: Duration.DurationInput) =>
    Effect.gen(function*() {
      const sleeps: Array<number> = []
      const below = yield* Effect.clock
      const clock: Clock.Clock = Object.assign(Object.create(below), {
        sleep: (duration: Duration.Duration) => {
          sleeps.push(Duration.toMillis(duration))
          return below.sleep(duration)
        }
      })
      const scheduler = yield* Effect.withClock(RefreshScheduler.make(options), clock)
      const task = recorder()
      scheduler.renewAt(task, at)
      yield* TestClock.adjust(duration)
      return { sleeps, task }
    })

  it.scoped("bounds each sleep", () =>
    Effect.gen(function*() {
      const { sleeps, task } = yield* watched({ recheck: "1 minute" }, 5 * minute + second, "10 minutes")
      expect(Math.max(...sleeps)).toBe(minute)
      expect(sleeps.length).toBe(6)
      expect(task.calledAt).toEqual([5 * minute + second])
    }))

  it.scoped("is not there on a clock that does not sleep", () =>
    Effect.gen(function*() {
      const { sleeps } = yield* watched({}, 5 * hour, "6 hours")
      expect(sleeps).toEqual([5 * hour])
    }))

  it.scoped("no sleep is longer than a timer of the platform", () =>
    Effect.gen(function*() {
      const far = 100 * 24 * hour
      const { sleeps, task } = yield* watched({}, far, "101 days")
      expect(Math.max(...sleeps)).toBeLessThan(2 ** 31)
      expect(task.calledAt).toEqual([far])
    }))

  it.scoped("of nothing is no busy loop", () =>
    Effect.gen(function*() {
      const { sleeps, task } = yield* watched({ recheck: 0 }, 50, "1 second")
      expect(sleeps.length).toBeLessThanOrEqual(51)
      expect(task.calledAt).toEqual([50])
    }))

  it.scoped("part of a millisecond does not make it early or busy", () =>
    Effect.gen(function*() {
      const { sleeps, task } = yield* watched({}, 10.25, "1 second")
      expect(task.calledAt).toEqual([11])
      expect(sleeps.length).toBeLessThanOrEqual(2)
    }))

  it.scoped("finds a task that came due while the machine slept", () =>
    Effect.gen(function*() {
      const clock = yield* SleepyClock.SleepyClock
      const scheduler = yield* RefreshScheduler.make({ recheck: "1 minute" })
      const task = recorder()
      scheduler.renewAt(task, hour)
      yield* TestClock.adjust("30 seconds")
      yield* clock.suspend("2 hours")
      yield* TestClock.adjust("1 minute")
      expect(task.calledAt.length).toBe(1)
    }).pipe(Effect.provide(SleepyClock.layer)))
})

it.scoped("callers on many fibers may put tasks at once", () =>
  Effect.gen(function*() {
    const scheduler = yield* RefreshScheduler.make()
    const tasks = recorders(1_000, false)
    const fibers = yield* Effect.forEach(tasks, (task, i) =>
      Effect.fork(Effect.zipRight(
        Effect.yieldNow(),
        Effect.sync(() => scheduler.renewAt(task, second + (i * 7) % 50))
      )))
    yield* Fiber.joinAll(fibers)
    yield* TestClock.adjust("2 seconds")
    yield* Effect.repeatN(Effect.yieldNow(), 50)
    expect(calls(tasks)).toBe(1_000)
  }))

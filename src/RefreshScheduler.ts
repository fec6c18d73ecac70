/**
 * The one scheduler of a runtime: a heap of deadlines and one fiber, whatever the number of sources. It owns no token
 * and knows no protocol; it calls a task when the task is due.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as BackgroundTimer from "./internal/backgroundTimer.js"
import { DeadlineHeap } from "./internal/deadlineHeap.js"
import type { Entry } from "./internal/deadlineHeap.js"
import { unsafeMake as makeRunner } from "./internal/runner.js"
import type { Runner } from "./internal/runner.js"

/**
 * Something that wants to be called at an instant. `dueAt` and `place` belong to the scheduler: start them at
 * `Infinity` and -1.
 *
 * @since 0.1.0
 * @category models
 */
export interface Task extends Entry {
  /** Called when it is due; for a renewal, whether it began work whose end will be told by `finished`. */
  onDue(now: number): boolean
}

/**
 * What the scheduler does. The methods are synchronous, so that a cache can change its state and its deadline in one
 * step; call them from inside of an effect only.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Calls the task at this instant (Unix milliseconds), when fewer than `concurrency` renewals are in flight. */
  readonly renewAt: (task: Task, at: number) => void
  /** Calls the task at this instant (Unix milliseconds) in any case: its work has taken too long. */
  readonly giveUpAt: (task: Task, at: number) => void
  /** Forgets the task. */
  readonly cancel: (task: Task) => void
  /** Says that the work which a task began has ended. */
  readonly finished: () => void
  /** Unix milliseconds, on the clock that it was made with. */
  readonly now: () => number
  /** How a source made here runs its fetches: on fibers of their own, with the fiber-locals of where this is run. */
  readonly runner: Effect.Effect<Runner>
}

/**
 * What `make` and `layerWith` take.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The most renewals that the scheduler has in flight at once. Default 64. */
  readonly concurrency?: number | undefined
  /**
   * The longest that it sleeps before it looks at the clock again, which bounds how late it is after the machine slept.
   * Default: 1 minute on the live clock; on any other clock as long as there is nothing to do.
   */
  readonly recheck?: Duration.DurationInput | undefined
}

/**
 * The tag of the scheduler. `TokenSource.layer` provides it.
 *
 * @since 0.1.0
 * @category tags
 */
export class RefreshScheduler extends Context.Tag("effect-credentials/RefreshScheduler")<
  RefreshScheduler,
  Service
>() {}

/**
 * A scheduler whose fiber ends with the scope. It never keeps a process alive by waiting.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<Service, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scheduler = new Scheduler(yield* Effect.clock, options)
    const step = Effect.catchAllDefect(scheduler.step, reportDefect)
    yield* Effect.forkScoped(Effect.interruptible(Effect.forever(step)))
    return scheduler
  })

/** A task that throws is its own loss: the others are called all the same. */
const reportDefect = (defect: unknown): Effect.Effect<void> =>
  Effect.logError("a task of the scheduler threw", Cause.die(defect))

/**
 * The scheduler with its defaults. It is one value, so that all Layers of a program that are built together share it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<RefreshScheduler> = Layer.scoped(RefreshScheduler, make())

/**
 * The scheduler with options of your own: `TokenSource.layer` and `TokenFamily.layer` use it where it is provided to
 * them, instead of the one that they share otherwise.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<RefreshScheduler> =>
  Layer.scoped(RefreshScheduler, make(options))

/**
 * The Layer with the scheduler that it was given, or with the one that all share.
 *
 * @since 0.1.0
 * @category layers
 */
export const provide = <A, E, R>(
  self: Layer.Layer<A, E, R>
): Layer.Layer<A, E, Exclude<R, RefreshScheduler>> =>
  Layer.unwrapEffect(Effect.map(
    Effect.serviceOption(RefreshScheduler),
    (given) =>
      Layer.provide(
        self,
        Option.match(given, {
          onNone: () => layer,
          onSome: (scheduler) => Layer.succeed(RefreshScheduler, scheduler)
        })
      )
  ))

/** Tasks that one turn calls before other fibers get theirs. */
const batch = 128
/** The longest timer that a platform takes. */
const maxSleep = 2 ** 31 - 1

const liveClock: Clock.Clock = Context.get(DefaultServices.liveServices, Clock.Clock)

class Scheduler implements Service {
  private readonly renewals = new DeadlineHeap<Task>()
  private readonly deadlines = new DeadlineHeap<Task>()
  private readonly wake = Effect.unsafeMakeLatch(false)
  private readonly concurrency: number
  private readonly longest: number
  private inFlight = 0
  /** When the fiber wakes by itself; while it runs, -Infinity. */
  private wakesAt = -Infinity

  private readonly clock: Clock.Clock

  readonly runner: Effect.Effect<Runner> = makeRunner()

  constructor(clock: Clock.Clock, options?: Options) {
    this.clock = clock
    this.concurrency = Math.max(1, (options?.concurrency ?? 64) || 1)
    const recheck = options?.recheck ?? (clock === liveClock ? "1 minute" : Duration.infinity)
    this.longest = Math.min(maxSleep, Math.max(1, Duration.toMillis(recheck)))
  }

  readonly renewAt = (task: Task, at: number): void => this.put(this.renewals, this.deadlines, task, at)

  readonly giveUpAt = (task: Task, at: number): void => this.put(this.deadlines, this.renewals, task, at)

  readonly cancel = (task: Task): void => {
    this.renewals.remove(task)
    this.deadlines.remove(task)
  }

  readonly finished = (): void => {
    this.inFlight--
    this.wakeBefore(this.next)
  }

  readonly now = (): number => this.clock.unsafeCurrentTimeMillis()

  private put(into: DeadlineHeap<Task>, outOf: DeadlineHeap<Task>, task: Task, at: number): void {
    outOf.remove(task)
    if (at < Infinity) into.put(task, at)
    else into.remove(task)
    this.wakeBefore(this.next)
  }

  private wakeBefore(at: number): void {
    if (at < this.wakesAt) this.wake.unsafeOpen()
  }

  private get next(): number {
    return Math.min(this.deadlines.next, this.inFlight < this.concurrency ? this.renewals.next : Infinity)
  }

  /** One turn: call what is due, then sleep until something is. */
  readonly step: Effect.Effect<void> = Effect.suspend(() => {
    this.wakesAt = -Infinity
    const now = this.clock.unsafeCurrentTimeMillis()
    if (this.callDue(now) === batch) return Effect.yieldNow()
    this.wake.unsafeClose()
    this.wakesAt = this.next
    return this.sleepFor(this.wakesAt - now)
  })

  private callDue(now: number): number {
    for (let called = 0; called < batch; called++) {
      const late = this.deadlines.take(now)
      if (late !== undefined) late.onDue(now)
      else {
        const due = this.inFlight < this.concurrency ? this.renewals.take(now) : undefined
        if (due === undefined) return called
        this.begin(due, now)
      }
    }
    return batch
  }

  /** Counts the renewal before it starts: it may end before `onDue` returns. */
  private begin(task: Task, now: number): void {
    this.inFlight++
    let began = false
    try {
      began = task.onDue(now)
    } finally {
      if (!began) this.inFlight--
    }
  }

  private sleepFor(millis: number): Effect.Effect<void> {
    if (millis === Infinity) return this.wake.await
    return Effect.raceFirst(
      this.sleep(Math.max(1, Math.ceil(Math.min(millis, this.longest)))),
      this.wake.await
    )
  }

  private sleep(millis: number): Effect.Effect<void> {
    return this.clock === liveClock
      ? BackgroundTimer.sleep(millis)
      : this.clock.sleep(Duration.millis(millis))
  }
}

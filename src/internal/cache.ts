/**
 * The machine behind `TokenCache`: every transition is one synchronous step that writes the state, the cell that the
 * hot path reads, and the deadline of the scheduler.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as RefreshPolicy from "../RefreshPolicy.js"
import type * as RefreshScheduler from "../RefreshScheduler.js"
import * as Token from "../Token.js"
import type { TokenError } from "../TokenError.js"
import type { TokenRequest, TokenSource } from "../TokenSource.js"
import type * as TokenStatus from "../TokenStatus.js"
import * as Errors from "./cacheErrors.js"
import type { CacheError } from "./cacheErrors.js"
import * as Flight from "./cacheFlight.js"
import type { Settings } from "./cacheSettings.js"
import * as State from "./cacheState.js"
import { statusOf } from "./cacheStatus.js"
import * as Transition from "./cacheTransition.js"
import * as Usage from "./cacheUsage.js"
import { NamedSource } from "./inspectable.js"
import * as Listeners from "./listeners.js"
import type { Runner } from "./runner.js"

/** A clock that moved back by more than this makes every remembered instant doubtful, in milliseconds. */
const clockTolerance = 5_000
/** The least time until the scheduler renews a token that nobody asks for, in milliseconds. */
const minBackground = 1_000
/** How long a token counts as the newest that there is, in milliseconds. */
const newFor = 1_000
/** How soon the scheduler looks again whether an overdue fetch has ended, in milliseconds. */
const overdueRecheck = 60_000
/** The least that closing waits for a fetch that can't be interrupted; longer if its time limit is. */
const closeLimit = Duration.minutes(1)

const empty: State.Empty = { _tag: "Empty" }

export class Cache<E extends TokenError> extends NamedSource
  implements TokenSource<E | CacheError>, RefreshScheduler.Task
{
  dueAt: number = Infinity
  place = -1
  readonly get: Effect.Effect<Token.Token, E | CacheError>
  /** `close` for the scope. It and `get` are made together, so that they share what they close over. */
  readonly finalizer: () => Effect.Effect<void>

  private readonly inner: TokenSource<E>
  private readonly settings: Settings
  private readonly scheduler: RefreshScheduler.Service
  private readonly run: Runner
  private readonly usage: Usage.Usage | undefined
  private state: State.CacheState<E | CacheError> = empty
  private generation = 0
  /** A fetch that was given up and goes on, because it can't be interrupted. Until it ends there is no other. */
  private overdue: State.Flight<E | CacheError> | undefined = undefined
  private listeners: Set<() => void> | undefined = undefined
  /** The cell of the hot path: `ready` holds from `since` until `until`. */
  private ready: Effect.Effect<Token.Token, E | CacheError> | undefined = undefined
  private since = -Infinity
  private until = -Infinity

  constructor(
    inner: TokenSource<E>,
    scheduler: RefreshScheduler.Service,
    run: Runner,
    settings: Settings
  ) {
    super()
    this.run = run
    this.inner = inner
    this.scheduler = scheduler
    this.settings = settings
    this.usage = this.policy.adaptive || settings.idle !== undefined ? Usage.make() : undefined
    this.get = Effect.withFiberRuntime((fiber) => {
      const now = Context.unsafeGet(fiber.currentDefaultServices, Clock.Clock).unsafeCurrentTimeMillis()
      if (this.usage !== undefined) Usage.countUse(this.usage, now)
      return this.answer(now)
    })
    this.finalizer = () => this.close()
  }

  get name(): string {
    return this.inner.name
  }

  get timeLimit(): Duration.Duration {
    const { timeLimit } = this.settings
    return timeLimit === undefined ? this.inner.timeLimit : Duration.decode(timeLimit)
  }

  private get policy(): RefreshPolicy.RefreshPolicy {
    return this.settings.policy ?? RefreshPolicy.standard
  }

  private answer(now: number): Effect.Effect<Token.Token, E | CacheError> {
    return now < this.until && now >= this.since && this.ready !== undefined ? this.ready : this.slow(now)
  }

  /** A getter, as those below, so that it works apart from its source, and a source needs no room for it. */
  get peek(): () => Option.Option<Token.Token> {
    return () => this.peekAt(this.scheduler.now())
  }

  private peekAt(now: number): Option.Option<Token.Token> {
    const { ready } = this
    if (this.usage !== undefined) Usage.countUse(this.usage, now)
    return now < this.until && now >= this.since && State.isToken(ready)
      ? Option.some(ready.value)
      : Option.none()
  }

  /** Something has to happen: a renewal is due, or there is nothing to give. */
  private slow(now: number): Effect.Effect<Token.Token, E | CacheError> {
    const state = this.state
    if (state._tag === "Closed") return state.exit
    const token = State.served(state, now)
    if (token === undefined) {
      return this.gate(now, true) ?? this.wait(this.join(now, Flight.interactive), Flight.interactive)
    }
    if (state._tag !== "Refreshing" && this.overdue === undefined) this.begin(now, Flight.background)
    return Exit.succeed(token)
  }

  /** The failure that callers get without a new try, while it is remembered. */
  private gate(now: number, interactive: boolean): Exit.Exit<never, E | CacheError> | undefined {
    const failure = State.failureOf(this.state)
    if (failure === undefined) return undefined
    if (this.overdue !== undefined) return failure.exit
    return now >= this.since && now < (interactive ? failure.gateUntil : failure.retryAt)
      ? failure.exit
      : undefined
  }

  get request(): (request: TokenRequest) => Effect.Effect<Token.Token, E | CacheError> {
    return (request) =>
      Effect.clockWith((clock) => {
        const now = clock.unsafeCurrentTimeMillis()
        if (this.usage !== undefined) Usage.countUse(this.usage, now)
        return this.meet(request, now, 1)
      })
  }

  private meet(
    request: TokenRequest,
    now: number,
    tries: number
  ): Effect.Effect<Token.Token, E | CacheError> {
    if (this.state._tag === "Closed") return this.state.exit
    const start = { interactive: request.interactive !== false, scheduled: false, request }
    if (request.refresh === true) return this.renewed(now, start, tries)
    const token = State.served(this.state, now)
    const minValidity = request.minValidity === undefined ? 0 : Duration.toMillis(request.minValidity)
    const wanted = token !== undefined && !Flight.isSuperseded(token, request)
    if (wanted && Token.isValidFor(token, now, minValidity)) return this.answer(now)
    if (wanted && Token.lifetime(token) < minValidity) return Errors.shortLived(this.name, token, minValidity)
    const gated = this.gate(now, start.interactive)
    if (gated !== undefined) return gated
    if (tries < 0 || this.isPointless(now, wanted)) return Errors.unmet(this.name)
    return Effect.zipRight(this.wait(this.join(now, start), start), this.meetAgain(request, tries))
  }

  private meetAgain(request: TokenRequest, tries: number): Effect.Effect<Token.Token, E | CacheError> {
    return Effect.clockWith((clock) => this.meet(request, clock.unsafeCurrentTimeMillis(), tries - 1))
  }

  /** A new token: a fetch in flight counts if it was to replace the old one, else another one follows it. */
  private renewed(
    now: number,
    start: Flight.Start,
    tries: number
  ): Effect.Effect<Token.Token, E | CacheError> {
    const stuck = this.overdue === undefined ? undefined : this.gate(now, true)
    if (stuck !== undefined) return stuck
    const flight = this.join(now, start)
    const outcome = this.wait(flight, start)
    return flight.renews || tries < 0
      ? outcome
      : Effect.zipRight(Effect.exit(outcome), this.meetAgain(start.request, tries))
  }

  /** What came a moment ago, or came again, is the best that there is: asking again at once would be a storm. */
  private isPointless(now: number, wanted: boolean): boolean {
    return this.state._tag === "Fresh" && (wanted || this.state.repeated) && now >= this.since &&
      now < this.since + clockTolerance + newFor
  }

  /** The fetch that is in flight, or a new one. */
  private join(now: number, start: Flight.Start): State.Flight<E | CacheError> {
    return this.state._tag === "Refreshing" ? this.state.flight : this.begin(now, start)
  }

  /** Writes "in flight" and forks the fetch in one step, so that no interruption can come between. */
  private begin(now: number, start: Flight.Start): State.Flight<E | CacheError> {
    const before = this.state
    const held = State.served(before, now)
    const rejected = State.rejectedOf(before)
    const renews = start.request.refresh === true || (rejected ?? held) !== undefined
    const flight = Flight.make<E | CacheError>(start, renews, now, Duration.toMillis(this.timeLimit))
    const failures = State.failureOf(before)?.count ?? 0
    const rejections = State.rejectionsOf(before)
    this.become({ _tag: "Refreshing", held, rejected, rejections, failures, flight }, now)
    // A listener may have closed it.
    if (this.state._tag === "Closed") this.abandon(flight)
    else flight.fiber = this.run(this.fetch(flight, start, rejected ?? held))
    return flight
  }

  /** What a fetch comes to. Who joined one that may not ask a person, but may do so, tries again where that helps. */
  private wait(
    flight: State.Flight<E | CacheError>,
    start: Flight.Start
  ): Effect.Effect<Token.Token, E | CacheError> {
    const { outcome } = flight
    if (flight.interactive || !start.interactive) return outcome
    const again = Effect.clockWith((clock) => this.meet(start.request, clock.unsafeCurrentTimeMillis(), 1))
    return Effect.catchAll(outcome, (error) => error._tag === "TransientFailure" ? Effect.fail(error) : again)
  }

  private fetch(
    flight: State.Flight<E | CacheError>,
    start: Flight.Start,
    supersede: Token.Token | undefined
  ): Effect.Effect<void> {
    const { inner } = this
    const plain = supersede === undefined && start.interactive && start.request.refresh !== true
    const fetched = Effect.suspend(() =>
      plain
        ? inner.get
        : inner.request({ supersede, interactive: start.interactive, refresh: start.request.refresh })
    )
    // The place where the cache was made may be uninterruptible; a fetch needs its deadline all the same.
    return Effect.ignore(Effect.onExit(Effect.interruptible(fetched), (exit) => this.conclude(flight, exit)))
  }

  /** Settles in any case: a policy or statistics that die make the fetch one that died. */
  private conclude(
    flight: State.Flight<E | CacheError>,
    exit: Exit.Exit<Token.Token, E>
  ): Effect.Effect<void> {
    flight.answer = exit
    if (this.overdue === flight) this.overdue = undefined
    if (this.usage !== undefined) {
      Usage.countRenewal(this.usage, this.scheduler.now() - flight.startedAt, Exit.isSuccess(exit))
    }
    return Effect.zipWith(
      this.statistics,
      Random.next,
      (statistics, random) => this.settle(flight, exit, statistics, random)
    ).pipe(
      Effect.catchAllCause((cause) =>
        Effect.sync(() => this.settle(flight, Exit.failCause(cause), RefreshPolicy.noStatistics, 0))
      )
    )
  }

  private get statistics(): Effect.Effect<RefreshPolicy.Statistics> {
    return this.settings.statistics ?? Effect.sync(() => Usage.statistics(this.usage))
  }

  /** The fetch has ended: everyone who waits gets the outcome, and the state follows from it. */
  private settle(
    flight: State.Flight<E | CacheError>,
    exit: Exit.Exit<Token.Token, E | CacheError>,
    statistics: RefreshPolicy.Statistics,
    random: number
  ): void {
    if (flight.ended) return
    const now = this.scheduler.now()
    const state = this.state
    if (state._tag === "Refreshing" && state.flight === flight) {
      const { generation, name, policy } = this
      const settled = Transition.settle(state, exit, { name, policy, generation, now, statistics, random })
      flight.ended = true
      this.generation = settled.generation
      this.become(settled.next, now)
      Deferred.unsafeDone(flight.done, settled.outcome)
    } else Deferred.unsafeDone(flight.done, Errors.closed(this.name))
    flight.ended = true
    if (flight.scheduled) this.scheduler.finished()
  }

  private abandon(flight: State.Flight<E | CacheError>): void {
    this.settle(flight, Exit.interrupt(FiberId.none), RefreshPolicy.noStatistics, 0)
  }

  get invalidate(): (token: Token.Token) => Effect.Effect<void> {
    return (token) => {
      const drop = Effect.zipWith(
        Clock.currentTimeMillis,
        Random.next,
        (now, random) => this.drop(token, now, random)
      )
      return Effect.zipRight(drop, this.inner.invalidate(token))
    }
  }

  private drop(token: Token.Token, now: number, random: number): void {
    const { name, policy, state } = this
    const receivedAt = this.since + clockTolerance
    const next = Transition.reject(state, token, { name, policy, now, random, receivedAt })
    if (next !== state) this.become(next, now)
  }

  onDue(now: number): boolean {
    const state = this.state
    if (state._tag === "Refreshing") return this.giveUp(state.flight)
    if (this.isIdle(now) || this.waitsForOverdue(now)) return false
    this.begin(now, Flight.scheduled)
    return true
  }

  /** Callers wait no longer, even for a fetch that can't be interrupted; what that still brings is dropped. */
  private giveUp(flight: State.Flight<E | CacheError>): boolean {
    const exit = flight.answer ?? Exit.interrupt(FiberId.none)
    if (flight.answer === undefined) this.overdue = flight
    flight.fiber?.unsafeInterruptAsFork(FiberId.none)
    this.run(
      Effect.map(Random.next, (random) => this.settle(flight, exit, RefreshPolicy.noStatistics, random))
    )
    return false
  }

  private waitsForOverdue(now: number): boolean {
    if (this.overdue !== undefined) this.scheduler.renewAt(this, now + overdueRecheck)
    return this.overdue !== undefined
  }

  private isIdle(now: number): boolean {
    const { idle } = this.settings
    return this.usage !== undefined && idle !== undefined &&
      now - this.usage.lastUsedAt >= Duration.toMillis(idle)
  }

  /** The one place that changes the state. */
  private become(next: State.CacheState<E | CacheError>, now: number): void {
    this.state = next
    this.ready = State.readyOf(next)
    this.until = State.untilOf(next)
    this.since = next._tag === "Closed" ? -Infinity : now - clockTolerance
    this.schedule(next, now)
    Listeners.notify(this.listeners)
  }

  private schedule(next: State.CacheState<E | CacheError>, now: number): void {
    const { scheduler } = this
    if (next._tag === "Refreshing") scheduler.giveUpAt(this, next.flight.deadline)
    else if (this.settings.schedule === "onUse") scheduler.cancel(this)
    else if (next._tag === "Fresh") scheduler.renewAt(this, Math.max(next.renewAt, now + minBackground))
    else if (next._tag === "Stale" || next._tag === "Failed") {
      scheduler.renewAt(this, Errors.isTransient(next.failure.exit) ? next.failure.retryAt : Infinity)
    } else scheduler.cancel(this)
  }

  get onChange(): (listener: () => void) => () => void {
    return (listener) => {
      this.listeners ??= new Set()
      const { entry, stop } = Listeners.add(this.listeners, this.run, listener)
      const below = this.inner.onChange(entry)
      return () => {
        stop()
        below()
      }
    }
  }

  get status(): Effect.Effect<TokenStatus.TokenStatus> {
    return Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => Effect.map(this.inner.status, (inner) => statusOf(this.name, this.state, inner, now))
    )
  }

  /** Ends it: callers that wait get `TokenUnavailable`. */
  close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const state = this.state
      this.become({ _tag: "Closed", exit: Errors.closed(this.name) }, 0)
      const flight = state._tag === "Refreshing" ? state.flight : this.overdue
      if (flight?.fiber === undefined) return Effect.void
      const { fiber } = flight
      const limit = Duration.max(closeLimit, this.timeLimit)
      return Fiber.interruptFork(fiber).pipe(
        Effect.zipRight(Effect.timeoutOption(Effect.interruptible(Fiber.await(fiber)), limit)),
        Effect.zipRight(Effect.sync(() => this.abandon(flight)))
      )
    })
  }
}

/** A terminal with one line at the end that changes in place. */
import type * as Terminal from "@effect/platform/Terminal"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as Telling from "./telling.js"

/** The line at the end. */
export interface Live {
  /** Whose it is. */
  readonly source: string
  /** What is waited for. */
  readonly what: string
  /** Unix milliseconds. */
  readonly expiresAt: number
  /** What else there is to say now. */
  readonly note: string
  /** How many characters were pasted so far. */
  readonly typed: number
}

/** Everything is written whole, one after the other. What the terminal does not take is lost. */
export interface Screen {
  /** Lines that stay, above the one that changes. */
  readonly print: (text: string) => Effect.Effect<void>
  /** Shows the line until `end`, or until it expires, in place of any other one. */
  readonly begin: (live: Live) => Effect.Effect<void>
  /** Whether no line is shown. */
  readonly isFree: Effect.Effect<boolean>
  /** Changes the line of this name. */
  readonly change: (source: string, change: Partial<Live>) => Effect.Effect<void>
  /** Leaves nothing of the line of this name. */
  readonly end: (source: string) => Effect.Effect<void>
}

interface Self {
  readonly terminal: Terminal.Terminal
  readonly live: Ref.Ref<Option.Option<Live>>
  readonly ticking: Ref.Ref<Option.Option<Fiber.RuntimeFiber<void>>>
  readonly alone: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** What is left of the line ends with the scope, which does not wait for a terminal that hangs. */
export const make = (terminal: Terminal.Terminal): Effect.Effect<Screen, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const lock = yield* Effect.makeSemaphore(1)
    const self: Self = {
      terminal,
      live: yield* Ref.make(Option.none<Live>()),
      ticking: yield* Ref.make(Option.none<Fiber.RuntimeFiber<void>>()),
      alone: lock.withPermits(1)
    }
    yield* Effect.addFinalizer(() => Telling.quickly(stop(self)))
    return {
      print: (text) => print(self, text),
      begin: (live) => begin(self, live, scope),
      change: (source, change) => Effect.zipRight(Ref.update(self.live, changed(source, change)), draw(self)),
      isFree: Effect.map(Ref.get(self.live), Option.isNone),
      end: (source) =>
        Effect.flatMap(
          Ref.get(self.live),
          (live) => Option.exists(live, (live) => live.source === source) ? stop(self) : Effect.void
        )
    }
  })

/** Back to the start of the line, and empty it. */
const clear = "\r\u001b[2K"

const write = ({ terminal }: Self, text: string): Effect.Effect<void> => Effect.ignore(terminal.display(text))

const print = (self: Self, text: string): Effect.Effect<void> =>
  self.alone(Effect.flatMap(
    Ref.get(self.live),
    (live) => write(self, `${Option.isSome(live) ? clear : ""}${text}\n`)
  ))

const begin = (self: Self, live: Live, scope: Scope.Scope): Effect.Effect<void> =>
  stop(self).pipe(
    Effect.zipRight(Ref.set(self.live, Option.some(live))),
    Effect.zipRight(Effect.forkIn(Effect.interruptible(tick(self)), scope)),
    Effect.flatMap((fiber) => Ref.set(self.ticking, Option.some(fiber)))
  )

const changed = (source: string, change: Partial<Live>) =>
  Option.map((live: Live) => live.source === source ? { ...live, ...change } : live)

const tick = (self: Self): Effect.Effect<void> =>
  Effect.zipRight(draw(self), Effect.sleep("1 second")).pipe(
    Effect.repeat({ until: () => isOver(self) }),
    Effect.zipRight(wipe(self))
  )

const isOver = (self: Self): Effect.Effect<boolean> =>
  Effect.zipWith(
    Ref.get(self.live),
    Clock.currentTimeMillis,
    (live, now) => Option.match(live, { onNone: () => true, onSome: ({ expiresAt }) => now >= expiresAt })
  )

const draw = (self: Self): Effect.Effect<void> =>
  self.alone(Effect.flatMap(
    Ref.get(self.live),
    Option.match({
      onNone: () => Effect.void,
      onSome: (live) =>
        Effect.flatMap(
          Effect.zip(self.terminal.columns, Clock.currentTimeMillis),
          ([columns, now]) => write(self, clear + lineOf(live, now, columns))
        )
    })
  ))

const wipe = (self: Self): Effect.Effect<void> =>
  self.alone(Effect.flatMap(
    Ref.getAndSet(self.live, Option.none()),
    (live) => Option.isSome(live) ? write(self, clear) : Effect.void
  ))

const stop = (self: Self): Effect.Effect<void> =>
  Effect.flatMap(
    Ref.getAndSet(self.ticking, Option.none()),
    (fiber) =>
      Effect.zipRight(Effect.forEach(Option.toArray(fiber), Fiber.interrupt, { discard: true }), wipe(self))
  )

/** One that is broken into two lines could not be taken back. */
const lineOf = ({ expiresAt, note, typed, what }: Live, now: number, columns: number): string => {
  const left = Number.isFinite(expiresAt) ? [`${clockFace(expiresAt - now)} left`] : []
  const pasted = typed > 0 ? [`${typed} characters pasted`] : []
  const line = [`Waiting for ${what}`, ...left, ...(note === "" ? [] : [note]), ...pasted].join(", ")
  return columns > 0 && line.length >= columns ? line.slice(0, Math.max(0, columns - 1)) : line
}

const clockFace = (millis: number): string => {
  const seconds = Math.max(0, Math.ceil(millis / 1000))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`
}

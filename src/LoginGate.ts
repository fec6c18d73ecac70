/**
 * What keeps a program from asking the person again and again: after a login that came to nothing, none opens by
 * itself for a while.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import { TokenUnavailable } from "./TokenError.js"
import type { TokenError } from "./TokenError.js"

/**
 * How long a gate stays shut.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The name that errors show. */
  readonly source: string
  /**
   * How long after a login that came to nothing no other one opens by itself; twice as long after each further
   * one, up to 15 minutes or to this, if it is longer. A login that an outage has ended does not count for that: the
   * next one waits for this long. Default 1 minute; 0 says that logins are never held back.
   */
  readonly coolDown?: Duration.DurationInput | undefined
}

/**
 * The gate of one identity. It counts what the logins that pass it come to: one that was refused, cancelled, broken
 * off or not finished in time shuts it, one that succeeds opens it. One that could not ask anybody
 * (`TokenUnavailable`) changes nothing. What it knows ends with the process and is in no vault: whoever starts a
 * program anew wants to be asked, and processes that wait for the same login fail with it anyhow.
 *
 * @since 0.1.0
 * @category models
 */
export interface LoginGate {
  /**
   * A login that nobody has asked for by name. While the gate is shut it is not begun and fails at once with
   * `TokenUnavailable` (`LoginRequired`), whose hint tells when the gate opens.
   */
  readonly automatic: (
    options: Options
  ) => <A, R>(login: Effect.Effect<A, TokenError, R>) => Effect.Effect<A, TokenError, R>
  /** A login that the person has asked for: never held back, and it opens the gate when it begins. */
  readonly explicit: (
    options: Options
  ) => <A, R>(login: Effect.Effect<A, TokenError, R>) => Effect.Effect<A, TokenError, R>
}

/** `length` is what is doubled: that of the last time in which no outage had a part. */
type State =
  | { readonly _tag: "Open" }
  | { readonly _tag: "Shut"; readonly until: number; readonly length: number; readonly why: string }

/**
 * A gate that is open.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<LoginGate> = Effect.sync(() => unsafeMake())

const all = globalValue(
  "effect-credentials/LoginGate",
  () => new WeakMap<object, Map<string, LoginGate>>()
)

/**
 * The one gate of this name that all in this process share who ask for it by the same owner, such as the identity of a
 * vault. It is made when it is first asked for, and lives as long as the owner.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeOf = (owner: object, name: string): LoginGate => {
  const gates = all.get(owner) ?? new Map<string, LoginGate>()
  const gate = gates.get(name) ?? unsafeMake()
  all.set(owner, gates.set(name, gate))
  return gate
}

const unsafeMake = (): LoginGate => {
  let state: State = open
  const counted = <A, R>(
    login: Effect.Effect<A, TokenError, R>,
    first: number
  ): Effect.Effect<A, TokenError, R> =>
    Effect.onExit(login, (exit) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        state = next(state, exit, { now, first })
      }))
  return {
    automatic: ({ coolDown = defaultCoolDown, source }) => (login) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const first = Duration.toMillis(coolDown)
        return first > 0 && isShut(state, now)
          ? Effect.fail(shut(source, state, now))
          : counted(login, first)
      }),
    explicit: ({ coolDown = defaultCoolDown }) => (login) =>
      Effect.suspend(() => {
        state = open
        return counted(login, Duration.toMillis(coolDown))
      })
  }
}

const open: State = { _tag: "Open" }

/**
 * The default of `coolDown`.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultCoolDown: Duration.Duration = Duration.minutes(1)

/** Milliseconds. */
const longest = 15 * 60_000

/** A clock that was set back does not keep it shut for longer than it was meant to be. */
const isShut = (state: State, now: number): state is State & { readonly _tag: "Shut" } =>
  state._tag === "Shut" && now < state.until && state.until - now <= state.length

/** What follows from the end of a login. One that comes long after the last one is a first one again. */
const next = (
  state: State,
  exit: Exit.Exit<unknown, TokenError>,
  { first, now }: { readonly now: number; readonly first: number }
): State => {
  if (Exit.isSuccess(exit)) return open
  const why = reasonOf(exit.cause)
  if (why === undefined) return state
  const before = state._tag === "Shut" && now - state.until < longest ? state.length : 0
  const length = Math.max(first, isOutage(exit.cause) ? before : Math.min(2 * before, longest))
  const until = now + (isOutage(exit.cause) ? first : length)
  return length > 0 ? { _tag: "Shut", until, length, why } : open
}

/** Nothing where nobody was asked. */
const reasonOf = (cause: Cause.Cause<TokenError>): string | undefined => {
  const error = Option.getOrUndefined(Cause.failureOption(cause))
  if (error === undefined) return Cause.isInterrupted(cause) ? "Cancelled" : "Defect"
  return error._tag === "TokenUnavailable" ? undefined : error.reason
}

/** Then it is nobody's will, and mostly nobody was asked. */
const isOutage = (cause: Cause.Cause<TokenError>): boolean =>
  Option.exists(Cause.failureOption(cause), ({ _tag }) => _tag === "TransientFailure")

const shut = (source: string, state: State & { readonly _tag: "Shut" }, now: number): TokenUnavailable =>
  new TokenUnavailable({
    source,
    reason: "LoginRequired",
    detail: `a login is needed, and the last one came to nothing (${state.why})`,
    hint: `Log in by the program's login command; by itself a login opens again in ${
      Duration.format(Duration.seconds(Math.ceil((state.until - now) / 1000)))
    } at the earliest.`,
    tiers: []
  })

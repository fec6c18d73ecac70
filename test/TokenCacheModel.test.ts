import { expect, it } from "@effect/vitest"
import * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Kit from "./internal/kit.js"
import { minute, second, secretOf, settle } from "./internal/kit.js"

/** What may happen to a cache. `outcome` commands decide the oldest fetch that is in flight. */
const command = FastCheck.oneof(
  { weight: 4, arbitrary: FastCheck.record({ kind: FastCheck.constant("get" as const) }) },
  { weight: 1, arbitrary: FastCheck.record({ kind: FastCheck.constant("refresh" as const) }) },
  { weight: 1, arbitrary: FastCheck.record({ kind: FastCheck.constant("silent" as const) }) },
  { weight: 1, arbitrary: FastCheck.record({ kind: FastCheck.constant("supersede" as const) }) },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      kind: FastCheck.constant("validFor" as const),
      millis: FastCheck.constantFrom(1, 30 * second, 5 * minute, 20 * minute)
    })
  },
  { weight: 3, arbitrary: FastCheck.record({ kind: FastCheck.constant("invalidate" as const) }) },
  { weight: 1, arbitrary: FastCheck.record({ kind: FastCheck.constant("leave" as const) }) },
  {
    weight: 4,
    arbitrary: FastCheck.record({
      kind: FastCheck.constant("advance" as const),
      millis: FastCheck.constantFrom(1, 60, 100, second, 31 * second, minute, 10 * minute)
    })
  },
  {
    weight: 6,
    arbitrary: FastCheck.record({
      kind: FastCheck.constant("outcome" as const),
      how: FastCheck.constantFrom(
        "new" as const,
        "same" as const,
        "short" as const,
        "expired" as const,
        "transient" as const,
        "reauth" as const,
        "die" as const,
        "interrupt" as const
      )
    })
  }
)

type Command = typeof command extends FastCheck.Arbitrary<infer A> ? A : never

const lifetime = 10 * minute

/** The world around the cache under test, and what has been seen of it. */
const world = (schedule: "background" | "onUse") =>
  Effect.gen(function*() {
    const waiting: Array<Deferred.Deferred<Token.Token, TokenError>> = []
    const rejected = new Set<string>()
    const callers: Array<Fiber.RuntimeFiber<Exit.Exit<Token.Token, TokenError>>> = []
    let made = 0
    let last: Token.Token | undefined
    const { log, source } = yield* Kit.cached<TokenError>(
      () =>
        Effect.acquireUseRelease(
          Effect.tap(Deferred.make<Token.Token, TokenError>(), (gate) => {
            waiting.push(gate)
          }),
          Deferred.await,
          (gate) => Effect.sync(() => void waiting.splice(waiting.indexOf(gate), 1))
        ),
      { schedule }
    )

    /** Runs a request; its answer, now or later, must be one that may be given at that instant. */
    const call = (ask: Effect.Effect<Token.Token, TokenError>) =>
      Effect.gen(function*() {
        const refusedBefore = new Set(rejected)
        const checked = Effect.flatMap(Effect.exit(ask), (exit) =>
          Effect.clockWith((clock) => {
            if (Exit.isSuccess(exit)) {
              expect(Token.isExpired(exit.value, clock.unsafeCurrentTimeMillis())).toBe(false)
              expect(refusedBefore).not.toContain(secretOf(exit.value))
            } else expect(Kit.isInterrupted(exit)).toBe(false)
            return Effect.succeed(exit)
          }))
        callers.push(yield* Effect.fork(checked))
        yield* settle
      })

    const decide = (how: string) =>
      Effect.suspend((): Effect.Effect<unknown> => {
        const gate = waiting[0]
        if (gate === undefined) return Effect.void
        const give = (text: string, life: number) =>
          Effect.flatMap(Kit.received(text, life), (token) => Deferred.succeed(gate, last = token))
        switch (how) {
          case "new":
            return give(`t${++made}`, lifetime)
          case "short":
            return give(`t${++made}`, 50)
          case "expired":
            return Effect.flatMap(Kit.received("expired", 0), (token) => Deferred.succeed(gate, token))
          case "same":
            return last === undefined ? Effect.void : Deferred.succeed(gate, last)
          case "transient":
            return Deferred.fail(gate, Kit.transient())
          case "reauth":
            return Deferred.fail(gate, Kit.reauth())
          case "die":
            return Deferred.die(gate, "a bug")
          default:
            return Deferred.interrupt(gate)
        }
      })

    const run = (command: Command): Effect.Effect<unknown> => {
      switch (command.kind) {
        case "get":
          return call(source.get)
        case "refresh":
          return call(TokenSource.refresh(source))
        case "silent":
          return call(source.request({ interactive: false }))
        case "supersede":
          return call(source.request({ supersede: last }))
        case "validFor":
          return call(source.request({ minValidity: command.millis }))
        case "invalidate":
          return Effect.suspend(() => {
            const held = Option.getOrUndefined(source.peek())
            if (held === undefined) return Effect.void
            rejected.add(secretOf(held))
            return source.invalidate(held)
          })
        case "leave":
          return Effect.suspend(() => {
            const caller = callers.pop()
            return caller === undefined ? Effect.void : Fiber.interrupt(caller)
          })
        case "advance":
          return TestClock.adjust(command.millis)
        case "outcome":
          return Effect.zipRight(decide(command.how), settle)
      }
    }

    const check = Effect.clockWith((clock) => {
      const held = Option.getOrUndefined(source.peek())
      if (held !== undefined) {
        expect(Token.isExpired(held, clock.unsafeCurrentTimeMillis())).toBe(false)
        expect(rejected).not.toContain(secretOf(held))
      }
      expect(log.most).toBeLessThanOrEqual(1)
      return Effect.void
    })
    return { log, source, run, check, callers }
  })

/** Every caller gets an answer when the world goes on, and the cache works again once its issuer does. */
const conclude = (made: Effect.Effect.Success<ReturnType<typeof world>>) =>
  Effect.gen(function*() {
    // Fetches in flight reach their deadline; people who joined them may start others of their own.
    for (let i = 0; i < 4; i++) {
      yield* TestClock.adjust("31 seconds")
      yield* settle
    }
    for (const caller of made.callers) {
      const exit = yield* Kit.ended(caller)
      if (Exit.isFailure(exit)) expect(Kit.isInterrupted(exit)).toBe(false)
    }
    expect(made.log.inFlight).toBeLessThanOrEqual(1)
  })

const trial = (commands: ReadonlyArray<Command>, schedule: "background" | "onUse") =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const made = yield* Scope.extend(world(schedule), scope)
    for (const command of commands) {
      yield* made.run(command)
      yield* made.check
    }
    // A call starts at most two fetches and may be followed by one that may ask a person; time starts some more.
    const calls = commands.filter(({ kind }) =>
      kind !== "advance" && kind !== "outcome" && kind !== "leave"
    ).length
    const elapsed = commands.reduce(
      (sum, command) => sum + (command.kind === "advance" ? command.millis : 0),
      0
    )
    expect(made.log.fetches).toBeLessThanOrEqual(4 * calls + elapsed / 100 + 1)
    yield* conclude(made)
    const waiting = yield* Effect.fork(Effect.exit(made.source.get))
    yield* settle
    yield* Scope.close(scope, Exit.void)
    yield* Kit.ended(waiting)
    expect(made.log.inFlight).toBe(0)
  })

it.effect.prop(
  "whatever happens in the background: no expired token, no refused one, one fetch at a time, nobody hangs",
  [FastCheck.array(command, { minLength: 1, maxLength: 40 })],
  ([commands]) => trial(commands, "background"),
  { fastCheck: { numRuns: 50 } }
)

it.effect.prop(
  "whatever happens on use: no expired token, no refused one, one fetch at a time, nobody hangs",
  [FastCheck.array(command, { minLength: 1, maxLength: 40 })],
  ([commands]) => trial(commands, "onUse"),
  { fastCheck: { numRuns: 50 } }
)

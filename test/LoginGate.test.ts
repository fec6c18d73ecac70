import { assert, describe, it } from "@effect/vitest"
import * as LoginGate from "effect-credentials/LoginGate"
import {
  Misconfigured,
  ReauthRequired,
  TokenUnavailable,
  TransientFailure
} from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"

const fields = { source: "acme", detail: "d", hint: "h" }
const denied = new ReauthRequired({ ...fields, reason: "AccessDenied" })
const options: LoginGate.Options = { source: "acme" }

const broken: Readonly<Record<string, Effect.Effect<never, TokenError>>> = {
  "was refused": Effect.fail(denied),
  "expired": Effect.fail(new ReauthRequired({ ...fields, reason: "LoginExpired" })),
  "met a network that failed": Effect.fail(new TransientFailure({ ...fields, reason: "Network" })),
  "met another issuer": Effect.fail(new Misconfigured({ ...fields, reason: "IssuerMismatch" })),
  "died": Effect.die(new Error("broken")),
  "was interrupted from inside": Effect.interrupt
}

const setup = (given: LoginGate.Options = options) =>
  Effect.map(LoginGate.make, (gate) => {
    const log = { logins: 0 }
    const counted = <A>(login: Effect.Effect<A, TokenError>) =>
      Effect.zipRight(Effect.sync(() => log.logins++), login)
    const automatic = <A>(login: Effect.Effect<A, TokenError>) => gate.automatic(given)(counted(login))
    const explicit = <A>(login: Effect.Effect<A, TokenError>) => gate.explicit(given)(counted(login))
    return { log, automatic, explicit }
  })

describe("after a login that", () => {
  for (const [name, login] of Object.entries(broken)) {
    it.effect(`${name}, none opens by itself for a minute`, () =>
      Effect.gen(function*() {
        const { automatic, log } = yield* setup()
        const first = yield* Effect.exit(automatic(login))
        assert.isTrue(Exit.isFailure(first))
        yield* TestClock.adjust("20 seconds")
        const error = yield* Effect.flip(automatic(Effect.succeed("grant")))
        assert.deepInclude({ ...error }, {
          _tag: "TokenUnavailable",
          reason: "LoginRequired",
          source: "acme"
        })
        assert.include(error.hint, "in 40s at the earliest")
        assert.strictEqual(log.logins, 1)
        yield* TestClock.adjust("40 seconds")
        assert.strictEqual(yield* automatic(Effect.succeed("grant")), "grant")
        assert.strictEqual(log.logins, 2)
      }))
  }

  it.effect("gives what it failed with to whoever it was opened for", () =>
    Effect.gen(function*() {
      const { automatic } = yield* setup()
      assert.deepInclude({ ...yield* Effect.flip(automatic(Effect.fail(denied))) }, {
        reason: "AccessDenied"
      })
    }))

  it.effect("was cancelled, none opens by itself for a minute", () =>
    Effect.gen(function*() {
      const { automatic, log } = yield* setup()
      const fiber = yield* Effect.fork(automatic(Effect.never))
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.interrupt(fiber)
      const error = yield* Effect.flip(automatic(Effect.void))
      assert.include(error.message, "the last one came to nothing (Cancelled)")
      assert.strictEqual(log.logins, 1)
    }))

  it.effect("could not ask anybody, the next one is not held back", () =>
    Effect.gen(function*() {
      const { automatic, log } = yield* setup()
      const nobody = new TokenUnavailable({ ...fields, reason: "LoginRequired", tiers: [] })
      yield* Effect.flip(automatic(Effect.fail(nobody)))
      yield* Effect.flip(automatic(Effect.fail(nobody)))
      assert.strictEqual(log.logins, 2)
    }))

  it.effect("succeeded, the next one is not held back, and counts anew", () =>
    Effect.gen(function*() {
      const { automatic, log } = yield* setup()
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* TestClock.adjust("1 minute")
      yield* automatic(Effect.void)
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* TestClock.adjust("1 minute")
      yield* automatic(Effect.void)
      assert.strictEqual(log.logins, 4)
    }))
})

describe("the time", () => {
  const lengths = (given?: LoginGate.Options) =>
    Effect.gen(function*() {
      const { automatic, log } = yield* setup(given)
      const minutes: Array<number> = []
      for (let round = 1; round <= 7; round++) {
        yield* Effect.flip(automatic(Effect.fail(denied)))
        let waited = 0
        for (; waited < 100 && log.logins === round; waited++) {
          yield* TestClock.adjust("59999 millis")
          yield* Effect.flip(automatic(Effect.fail(denied)))
          assert.strictEqual(log.logins, round)
          yield* TestClock.adjust("1 millis")
          const probe = new TokenUnavailable({ ...fields, reason: "Closed", tiers: [] })
          yield* Effect.flip(automatic(Effect.fail(probe)))
        }
        log.logins = round
        minutes.push(waited)
      }
      return minutes
    })

  it.effect("doubles up to 15 minutes", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* lengths(), [1, 2, 4, 8, 15, 15, 15])
    }))

  it.effect("is what the program says, even if that is longer", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* lengths({ source: "acme", coolDown: "10 minutes" }), [
        10,
        15,
        15,
        15,
        15,
        15,
        15
      ])
      assert.deepStrictEqual(
        yield* lengths({ source: "acme", coolDown: "20 minutes" }),
        [20, 20, 20, 20, 20, 20, 20]
      )
    }))

  it.effect("does not grow with an outage, however often it ends a login", () =>
    Effect.gen(function*() {
      const { automatic, log } = yield* setup()
      const outage = Effect.fail(new TransientFailure({ ...fields, reason: "Network" }))
      yield* Effect.flip(automatic(Effect.fail(denied)))
      for (let round = 2; round <= 6; round++) {
        yield* TestClock.adjust("1 minute")
        yield* Effect.flip(automatic(outage))
        assert.strictEqual(log.logins, round)
      }
      yield* TestClock.adjust("1 minute")
      yield* automatic(Effect.void)
      assert.strictEqual(log.logins, 7)
    }))

  it.effect("is not forgotten over an outage, which waits for no longer than a first login", () =>
    Effect.gen(function*() {
      const { automatic, log } = yield* setup()
      const outage = Effect.fail(new TransientFailure({ ...fields, reason: "Network" }))
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* TestClock.adjust("1 minute")
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* TestClock.adjust("2 minutes")
      yield* Effect.flip(automatic(outage))
      yield* TestClock.adjust("1 minute")
      yield* Effect.flip(automatic(Effect.fail(denied)))
      assert.strictEqual(log.logins, 4)
      const error = yield* Effect.flip(automatic(Effect.void))
      assert.include(error.hint, "in 4m at the earliest")
    }))

  it.effect("can be none", () =>
    Effect.gen(function*() {
      const { automatic, log } = yield* setup({ source: "acme", coolDown: 0 })
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* Effect.flip(automatic(Effect.fail(denied)))
      assert.strictEqual(log.logins, 2)
    }))

  it.effect("is none for whoever wants none, whatever others have waited for", () =>
    Effect.gen(function*() {
      const gate = yield* LoginGate.make
      yield* Effect.flip(gate.automatic(options)(Effect.fail(denied)))
      assert.strictEqual(
        yield* gate.automatic({ source: "acme", coolDown: 0 })(Effect.succeed("grant")),
        "grant"
      )
    }))

  it.effect("begins anew after a long time without a login", () =>
    Effect.gen(function*() {
      const { automatic, log } = yield* setup()
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* TestClock.adjust("16 minutes")
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* TestClock.adjust("1 minute")
      yield* Effect.flip(automatic(Effect.fail(denied)))
      assert.strictEqual(log.logins, 3)
    }))

  it.effect("is not made longer by a clock that is set back", () =>
    Effect.gen(function*() {
      const { automatic, log } = yield* setup()
      yield* TestClock.setTime(1e9)
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* TestClock.setTime(0)
      yield* automatic(Effect.void)
      assert.strictEqual(log.logins, 2)
    }))
})

describe("a login that the person asks for", () => {
  it.effect("is not held back, and opens the gate when it succeeds", () =>
    Effect.gen(function*() {
      const { automatic, explicit, log } = yield* setup()
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* explicit(Effect.void)
      yield* automatic(Effect.void)
      assert.strictEqual(log.logins, 3)
    }))

  it.effect("counts as the first one when it fails", () =>
    Effect.gen(function*() {
      const { automatic, explicit } = yield* setup()
      yield* Effect.flip(automatic(Effect.fail(denied)))
      yield* Effect.flip(explicit(Effect.fail(denied)))
      const error = yield* Effect.flip(automatic(Effect.void))
      assert.include(error.hint, "in 1m at the earliest")
    }))
})

it.effect("each gate is by itself", () =>
  Effect.gen(function*() {
    const [one, other] = [yield* setup(), yield* setup()]
    yield* Effect.flip(one.automatic(Effect.fail(denied)))
    assert.strictEqual(yield* other.automatic(Effect.succeed("grant")), "grant")
  }))

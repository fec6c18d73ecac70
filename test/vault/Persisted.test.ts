import { describe, expect, it } from "@effect/vitest"
import type * as Grant from "effect-credentials/Grant"
import { ReauthRequired, TransientFailure } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as Pending from "effect-credentials/vault/internal/pending"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { accessOf, down, grant, hour, key, makeIssuer, makeStore, refreshOf } from "./issuer.js"

type Extra = Partial<Persisted.Options<never>>

const setting = (extra: Extra = {}) =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    const vault = store.open()
    const open = (vault: Vault.Service, more: Extra = extra) =>
      Effect.provideService(Persisted.make({ key, redeem: issuer.redeem, ...more }), Vault.Vault, vault)
    return { store, issuer, vault, open, source: yield* open(vault) }
  })

/** A login that counts, takes ten seconds, and gives the grants `A100`, `A101` … */
const person = () => {
  const state = { logins: 0, answer: Effect.void as Effect.Effect<void, TokenError> }
  const login: Effect.Effect<Grant.Grant, TokenError> = Effect.suspend(() => {
    const n = 100 + state.logins++
    return Effect.sleep("10 seconds").pipe(Effect.zipRight(state.answer), Effect.zipRight(grant(n)))
  })
  return { state, login: { login, timeLimit: "5 minutes" } as const }
}

const loggingIn = <A, E>(self: Effect.Effect<A, E>, time: "10 seconds" | "10 minutes" = "10 seconds") =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust(time)
    // A mark is hashed by the platform, in real time, before the login begins.
    while (fiber.unsafePoll() === null) yield* TestClock.adjust("1 seconds")
    return yield* Fiber.await(fiber)
  })

const denied = new ReauthRequired({
  source: "person",
  reason: "AccessDenied",
  detail: "no",
  hint: "Say yes."
})

describe("a stored token", () => {
  it.effect("is given without a renewal, and without its generation being lost", () =>
    Effect.gen(function*() {
      const { issuer, source, store } = yield* setting()
      yield* store.put(yield* grant(0))
      const token = yield* source.get
      expect([accessOf(token), token.generation, issuer.calls]).toEqual(["A0", 1, 0])
    }))

  for (
    const [left, calls] of [[1, 0], [0, 1], [-1, 1]] as const
  ) {
    it.effect(`with ${left} ms left is ${calls === 0 ? "given" : "renewed"}`, () =>
      Effect.gen(function*() {
        const { issuer, source, store } = yield* setting()
        yield* store.put(yield* grant(0))
        yield* TestClock.adjust(hour - left)
        yield* source.get
        expect(issuer.calls).toBe(calls)
      }))
  }

  for (
    const [minUsable, lived, calls] of [
      ["1 minutes", hour - 60_001, 0],
      ["1 minutes", hour - 60_000, 0],
      ["1 minutes", hour - 59_999, 1],
      ["2 hours", hour / 2, 0],
      ["2 hours", hour / 2 + 1, 1]
    ] as const
  ) {
    it.effect(`after ${lived} ms of an hour, where ${minUsable} must be usable, costs ${calls} renewals`, () =>
      Effect.gen(function*() {
        const { issuer, source, store } = yield* setting({ minUsable })
        yield* store.put(yield* grant(0))
        yield* TestClock.adjust(lived)
        yield* source.get
        expect(issuer.calls).toBe(calls)
      }))
  }

  for (
    const [minValidity, expected] of [
      ["30 minutes", "A0"],
      ["31 minutes", "A1"],
      ["60 minutes", "A1"],
      ["61 minutes", "MinValidity"]
    ] as const
  ) {
    it.effect(`with half an hour left gives ${expected} to who wants ${minValidity}`, () =>
      Effect.gen(function*() {
        const { issuer, source, store } = yield* setting()
        yield* store.put(yield* grant(0))
        yield* TestClock.adjust(hour / 2)
        const result = yield* Effect.either(source.request({ minValidity }))
        expect(result._tag === "Right" ? accessOf(result.right) : result.left.reason).toBe(expected)
        expect(issuer.calls).toBe(expected === "A1" ? 1 : 0)
        expect((yield* source.status).health).toBe("Healthy")
      }))
  }

  it.effect("is replaced when it is superseded, once for all who hold it", () =>
    Effect.gen(function*() {
      const { issuer, source, store } = yield* setting()
      issuer.before = Effect.yieldNow()
      yield* store.put(yield* grant(0))
      const old = yield* source.get
      const all = Effect.replicate(source.request({ supersede: old }), 50)
      const tokens = yield* Effect.all(all, { concurrency: "unbounded" })
      expect(new Set(tokens.map(accessOf))).toEqual(new Set(["A1"]))
      expect(accessOf(yield* source.request({ supersede: old }))).toBe("A1")
      expect(issuer.calls).toBe(1)
    }))

  it.effect("is replaced by those who ask for a new one, together", () =>
    Effect.gen(function*() {
      const { issuer, source, store } = yield* setting()
      issuer.before = Effect.sleep("1 seconds")
      yield* store.put(yield* grant(0))
      const refresh = source.request({ refresh: true })
      const fiber = yield* Effect.fork(Effect.all([refresh, refresh, refresh], { concurrency: "unbounded" }))
      yield* TestClock.adjust("1 seconds")
      expect((yield* Fiber.join(fiber)).map(accessOf)).toEqual(["A1", "A1", "A1"])
      const later = yield* Effect.fork(refresh)
      yield* TestClock.adjust("1 seconds")
      expect(accessOf(yield* Fiber.join(later))).toBe("A2")
      expect(issuer.calls).toBe(2)
    }))

  it.effect("that a resource refused is not given again, and a late refusal of an older one changes nothing", () =>
    Effect.gen(function*() {
      const { issuer, source, store } = yield* setting()
      yield* store.put(yield* grant(0))
      const old = yield* source.get
      yield* source.invalidate(old)
      const present = yield* source.get
      expect(accessOf(present)).toBe("A1")
      yield* source.invalidate(old)
      expect(accessOf(yield* source.get)).toBe("A1")
      yield* source.invalidate(present)
      yield* source.invalidate(old)
      expect(accessOf(yield* source.get)).toBe("A2")
      expect(issuer.calls).toBe(2)
    }))

  it.effect("that the issuer gives once more is an error, not a spin", () =>
    Effect.gen(function*() {
      const { source, store } = yield* setting({ redeem: () => grant(0) })
      yield* store.put(yield* grant(0))
      const old = yield* source.get
      expect(yield* Effect.flip(source.request({ supersede: old }))).toMatchObject({
        reason: "RejectedWhileFresh"
      })
    }))

  it.effect("that is expired on arrival is stored, for its refresh token, and not given", () =>
    Effect.gen(function*() {
      const { source, store } = yield* setting({ redeem: () => grant(1, { expiresIn: 0 }) })
      yield* store.put(yield* grant(0))
      expect(yield* Effect.flip(source.request({ refresh: true }))).toMatchObject({
        reason: "MalformedAnswer"
      })
      expect(refreshOf(yield* store.record)).toBe("R1")
    }))
})

describe("no grant", () => {
  it.effect("without a login is LoginRequired, an unavailable tier", () =>
    Effect.gen(function*() {
      const { source } = yield* setting()
      expect(yield* Effect.flip(source.get)).toMatchObject({
        _tag: "TokenUnavailable",
        reason: "LoginRequired"
      })
      expect((yield* source.status).health).toBe("Unavailable")
    }))

  it.effect("a grant without a refresh token, or a source that can't redeem, is NoRefreshToken once expired", () =>
    Effect.gen(function*() {
      const { issuer, open, source, store, vault } = yield* setting()
      yield* store.put(yield* grant(0, { refreshToken: undefined }))
      expect(accessOf(yield* source.get)).toBe("A0")
      yield* TestClock.adjust(hour)
      expect(yield* Effect.flip(source.get)).toMatchObject({
        _tag: "ReauthRequired",
        reason: "NoRefreshToken"
      })
      yield* store.put(yield* grant(0))
      yield* TestClock.adjust(hour)
      const bare = yield* open(vault, { redeem: undefined })
      expect(yield* Effect.flip(bare.get)).toMatchObject({ _tag: "ReauthRequired", reason: "NoRefreshToken" })
      expect(issuer.calls).toBe(0)
    }))

  it.effect("lets a person log in, once for all callers, and stores the grant before it is seen", () =>
    Effect.gen(function*() {
      const { login, state } = person()
      const { source, store } = yield* setting({ login })
      const all = Effect.all(Effect.replicate(source.get, 20), { concurrency: "unbounded" })
      const exit = yield* loggingIn(all)
      expect(Exit.map(exit, (tokens) => new Set(tokens.map(accessOf)))).toEqual(
        Exit.succeed(new Set(["A100"]))
      )
      expect([state.logins, refreshOf(yield* store.record)]).toEqual([1, "R100"])
    }))

  it.effect("asks nobody where the request says so", () =>
    Effect.gen(function*() {
      const { login, state } = person()
      const { source } = yield* setting({ login })
      expect(yield* Effect.flip(source.request({ interactive: false }))).toMatchObject({
        reason: "LoginRequired"
      })
      expect(state.logins).toBe(0)
    }))

  it.effect("a login that is refused fails all who waited for it, and asks again only for the next, after a while", () =>
    Effect.gen(function*() {
      const { login, state } = person()
      const { source } = yield* setting({ login })
      state.answer = Effect.fail(denied)
      const all = Effect.all(Effect.replicate(Effect.flip(source.get), 20), { concurrency: "unbounded" })
      const exit = yield* loggingIn(all)
      expect(Exit.map(exit, (errors) => new Set(errors))).toEqual(Exit.succeed(new Set([denied])))
      yield* loggingIn(Effect.flip(source.get))
      expect(state.logins).toBe(1)
      yield* TestClock.adjust("1 minute")
      yield* loggingIn(source.get)
      expect(state.logins).toBe(2)
    }))

  it.effect("a login that nobody finishes ends", () =>
    Effect.gen(function*() {
      const { login, state } = person()
      const { source } = yield* setting({ login })
      state.answer = Effect.never
      const exit = yield* loggingIn(Effect.flip(source.get), "10 minutes")
      expect(exit).toMatchObject({ _tag: "Success", value: { reason: "LoginExpired" } })
    }))

  it.effect("an interrupted login is cancelled, and the next caller can log in after a while", () =>
    Effect.gen(function*() {
      const { login, state } = person()
      const { source } = yield* setting({ login })
      const first = yield* Effect.fork(source.get)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 minute")
      const exit = yield* loggingIn(source.get)
      expect([Exit.isSuccess(exit), state.logins]).toEqual([true, 2])
    }))

  it.effect("nobody else waits for a person who logs in, if they need not", () =>
    Effect.gen(function*() {
      const { login } = person()
      const { source } = yield* setting({ login })
      yield* Effect.fork(source.get)
      yield* TestClock.adjust("1 seconds")
      expect(yield* Effect.flip(source.request({ interactive: false }))).toMatchObject({
        reason: "LoginRequired"
      })
    }))
})

describe("a login is opened", () => {
  const expired = Effect.gen(function*() {
    const { login, state } = person()
    const made = yield* setting({ login })
    yield* made.store.put(yield* grant(0))
    yield* TestClock.adjust(hour)
    return { ...made, state }
  })

  it.effect("when the issuer refuses the grant", () =>
    Effect.gen(function*() {
      const { issuer, source, state } = yield* expired
      issuer.revoked = true
      const exit = yield* loggingIn(source.get)
      expect(Exit.map(exit, accessOf)).toEqual(Exit.succeed("A100"))
      expect(state.logins).toBe(1)
    }))

  const passing: ReadonlyArray<
    readonly [what: string, break_: (setting: Effect.Effect.Success<typeof expired>) => void, reason: string]
  > = [
    ["the issuer is down", ({ issuer }) => void (issuer.before = Effect.fail(down)), "ServerError"],
    ["the vault can't be read", ({ store }) => void (store.unreadable = true), "StoreUnreachable"],
    ["the vault can't be written", ({ store }) => void (store.broken = true), "StoreUnreachable"]
  ]
  for (const [what, break_, reason] of passing) {
    it.effect(`never because ${what}`, () =>
      Effect.gen(function*() {
        const made = yield* expired
        break_(made)
        expect(yield* Effect.flip(made.source.get)).toMatchObject({ _tag: "TransientFailure", reason })
        expect(made.state.logins).toBe(0)
      }))
  }

  it.effect("never because what is stored is no grant", () =>
    Effect.gen(function*() {
      const { source, state, store } = yield* expired
      yield* store.inner.set(key, Redacted.make("{\"accessToken\":\"sesame\"}"))
      const error = yield* Effect.flip(source.get)
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "StoreCorrupt" })
      expect(JSON.stringify(error) + error.message).not.toContain("sesame")
      expect(state.logins).toBe(0)
    }))
})

describe("others who use the same vault", () => {
  it.effect("are adopted when they renewed first", () =>
    Effect.gen(function*() {
      const { issuer, open, source, store } = yield* setting()
      const other = yield* open(store.open())
      yield* store.put(yield* grant(0))
      yield* TestClock.adjust(hour)
      const first = yield* other.get
      expect([accessOf(first), accessOf(yield* source.get), issuer.calls]).toEqual(["A1", "A1", 1])
    }))

  it.effect("keep what they stored while this one renewed: a newer login wins", () =>
    Effect.gen(function*() {
      const { issuer, source, store } = yield* setting()
      yield* store.put(yield* grant(0))
      yield* TestClock.adjust(hour)
      issuer.after = Effect.flatMap(grant(50), (held) => Effect.orDie(store.put(held)))
      expect(accessOf(yield* source.get)).toBe("A50")
      expect(refreshOf(yield* store.record)).toBe("R50")
    }))

  it.effect("who log out while this one renews stay logged out", () =>
    Effect.gen(function*() {
      const { issuer, source, store } = yield* setting()
      yield* store.put(yield* grant(0))
      yield* TestClock.adjust(hour)
      issuer.after = Effect.orDie(store.inner.remove(key))
      expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "LoginRequired" })
      expect(yield* store.record).toBe(undefined)
    }))

  it.effect("F2 who lost the race and marked the grant as refused do not stop the winner's from being stored", () =>
    Effect.gen(function*() {
      const { issuer, open, source, store } = yield* setting()
      yield* store.put(yield* grant(0))
      yield* TestClock.adjust(hour)
      const vault = store.open()
      const loser = yield* open({ ...vault, capabilities: { ...vault.capabilities, lease: "none" } }, {
        graceWindow: "1 hours",
        redeem: () => Effect.fail(new ReauthRequired({ ...denied, reason: "GrantRejected" }))
      })
      issuer.after = Effect.ignore(loser.get)
      expect(accessOf(yield* source.get)).toBe("A1")
      expect((yield* store.record)?.status).toEqual({ _tag: "Active" })
      expect(accessOf(yield* loser.get)).toBe("A1")
    }))
})

describe("a failing issuer", () => {
  it.effect("is asked once for all who wait, and again by the next", () =>
    Effect.gen(function*() {
      const { issuer, source, store } = yield* setting()
      yield* store.put(yield* grant(0))
      yield* TestClock.adjust(hour)
      issuer.before = Effect.zipRight(Effect.sleep("1 seconds"), Effect.fail(down))
      const all = Effect.all(Effect.replicate(Effect.flip(source.get), 100), { concurrency: "unbounded" })
      const fiber = yield* Effect.fork(all)
      yield* TestClock.adjust("1 seconds")
      expect(new Set(yield* Fiber.join(fiber))).toEqual(new Set([down]))
      expect(issuer.calls).toBe(1)
      issuer.before = Effect.void
      expect(accessOf(yield* source.get)).toBe("A1")
    }))
})

describe("status", () => {
  it.effect("tells what the source knows, as it goes", () =>
    Effect.gen(function*() {
      const { issuer, source, store } = yield* setting()
      const health = Effect.map(source.status, ({ health }) => health)
      expect(yield* health).toBe("Idle")
      yield* store.put(yield* grant(0))
      yield* source.get
      expect(yield* health).toBe("Healthy")
      yield* TestClock.adjust(hour)
      expect(yield* health).toBe("Available")
      issuer.before = Effect.sleep("1 seconds")
      const fiber = yield* Effect.fork(source.get)
      yield* TestClock.adjust("500 millis")
      expect(yield* health).toBe("Refreshing")
      yield* TestClock.adjust("500 millis")
      yield* Fiber.join(fiber)
      expect(yield* health).toBe("Healthy")
      issuer.before = Effect.fail(down)
      yield* Effect.flip(source.request({ refresh: true }))
      yield* source.get
      expect(yield* source.status).toMatchObject({ health: "Degraded", failure: down })
    }))

  for (
    const [lifetime, lived, health] of [
      [30 * 24 * hour, 29 * 24 * hour - 1, "Available"],
      [30 * 24 * hour, 29 * 24 * hour, "LoginExpiring"],
      [10 * hour, 9 * hour - 1, "Available"],
      [10 * hour, 9 * hour, "LoginExpiring"]
    ] as const
  ) {
    it.effect(`of a login of ${lifetime / hour} hours after ${lived} ms is ${health}`, () =>
      Effect.gen(function*() {
        const { source, store } = yield* setting()
        yield* store.put(yield* grant(0, { refreshExpiresAt: lifetime }))
        yield* source.get
        yield* TestClock.adjust(lived)
        expect(yield* source.status).toMatchObject({ health, loginExpiresAt: lifetime })
      }))
  }

  it.effect("holds no secret", () =>
    Effect.gen(function*() {
      const { source, store } = yield* setting()
      yield* store.put(yield* grant(0))
      yield* source.get
      expect(JSON.stringify(yield* source.status)).not.toMatch(/A0|R0/)
    }))
})

describe("the commands", () => {
  it.effect("save counts on, load tells, forget removes, and a source follows", () =>
    Effect.gen(function*() {
      const { source, vault } = yield* setting()
      const inVault = Effect.provideService(Vault.Vault, vault)
      yield* inVault(Persisted.save(key, yield* grant(0)))
      expect((yield* source.get).generation).toBe(1)
      yield* inVault(Persisted.save(key, yield* grant(1)))
      expect((yield* source.get).generation).toBe(2)
      expect(refreshOf(Option.getOrThrow(yield* inVault(Persisted.load(key))))).toBe("R1")
      yield* inVault(Persisted.forget(key))
      expect(yield* inVault(Persisted.load(key))).toEqual(Option.none())
      expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "LoginRequired" })
    }))

  it.effect("and sources leave nothing in the process for keys under which nobody logs in", () =>
    Effect.gen(function*() {
      const { open, vault } = yield* setting()
      yield* Effect.forEach(["a", "b", "c"], (key) =>
        Effect.gen(function*() {
          yield* Persisted.save(key, yield* grant(0))
          yield* Persisted.load(key)
          yield* (yield* open(vault, { key, login: person().login })).get
          yield* Persisted.forget(key)
        }).pipe(Effect.provideService(Vault.Vault, vault)))
      const kept = Object.entries(Pending.of(vault)).flatMap(([name, held]) =>
        held instanceof Map && held.size > 0 ? [name] : []
      )
      expect(kept).toEqual([])
    }))

  it.effect("forget also drops what could not be stored", () =>
    Effect.gen(function*() {
      const { source, store, vault } = yield* setting()
      yield* store.put(yield* grant(0))
      yield* TestClock.adjust(hour)
      store.broken = true
      yield* Effect.flip(source.get)
      store.broken = false
      yield* Effect.provideService(Persisted.forget(key), Vault.Vault, vault)
      expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "LoginRequired" })
      expect(yield* store.record).toBe(undefined)
    }))
})

describe("the persister", () => {
  const broken = new TransientFailure({
    source: "settings",
    reason: "StoreUnreachable",
    detail: "the disk is full",
    hint: "Make room.",
    retryAt: undefined
  })

  /** A source whose token has expired, and a persister that does what it is made to do. */
  const expired = Effect.gen(function*() {
    const tellings = {
      calls: 0,
      told: [] as Array<string>,
      answer: Effect.void as Effect.Effect<void, TokenError>
    }
    const persister = ({ refreshToken }: Grant.Grant) =>
      Effect.suspend(() => {
        tellings.calls++
        return Effect.zipRight(
          tellings.answer,
          Effect.sync(() => {
            tellings.told.push(refreshToken === undefined ? "" : Redacted.value(refreshToken))
          })
        )
      })
    const made = yield* setting({ persister })
    yield* made.store.put(yield* grant(0))
    yield* TestClock.adjust(hour)
    return { ...made, renew: made.source.request({ refresh: true }), tellings }
  })

  const hangs: ReadonlyArray<readonly [what: string, never: Effect.Effect<void>]> = [
    ["hangs", Effect.never],
    ["hangs and can't be interrupted", Effect.uninterruptible(Effect.never)]
  ]
  for (const [what, never] of hangs) {
    it.effect(`that ${what} withholds no token, shows, and is told again after 30 seconds`, () =>
      Effect.gen(function*() {
        const { source, tellings } = yield* expired
        tellings.answer = never
        const tokens = yield* Effect.all(Effect.replicate(source.get, 6), { concurrency: "unbounded" })
        expect(tokens.map(accessOf)).toEqual(Array.from(tokens, () => "A1"))
        yield* TestClock.adjust("10 seconds")
        expect(yield* source.status).toMatchObject({ health: "Degraded", failure: { reason: "Timeout" } })
        tellings.answer = Effect.void
        yield* TestClock.adjust(29_999)
        yield* source.get
        yield* TestClock.adjust(0)
        expect([tellings.calls, tellings.told]).toEqual([1, []])
        yield* TestClock.adjust(1)
        yield* Effect.all(Effect.replicate(source.get, 6), { concurrency: "unbounded" })
        yield* TestClock.adjust(0)
        expect([tellings.calls, tellings.told]).toEqual([2, ["R1"]])
        expect((yield* source.status).failure).toBe(undefined)
        yield* TestClock.adjust("10 minutes")
        yield* source.get
        expect(tellings.calls).toBe(2)
      }))
  }

  const endings: ReadonlyArray<readonly [what: string, answer: () => Effect.Effect<void, TokenError>]> = [
    ["fails", () => Effect.fail(broken)],
    ["dies", () => Effect.dieMessage("boom")],
    ["stops itself", () => Effect.interrupt],
    ["throws", () => {
      throw new Error("boom")
    }]
  ]
  for (const [what, answer] of endings) {
    it.effect(`that ${what} is told of the newest grant only`, () =>
      Effect.gen(function*() {
        const { renew, source, tellings } = yield* expired
        tellings.answer = Effect.suspend(answer)
        yield* renew
        yield* TestClock.adjust(0)
        expect((yield* source.status).health).toBe("Degraded")
        tellings.answer = Effect.void
        yield* renew
        yield* TestClock.adjust(0)
        yield* TestClock.adjust("1 minutes")
        yield* source.get
        yield* TestClock.adjust(0)
        expect(tellings.told).toEqual(["R2"])
      }))
  }

  it.effect("is told one grant at a time, and of none that is old by then", () =>
    Effect.gen(function*() {
      const { renew, tellings } = yield* expired
      tellings.answer = Effect.sleep("5 seconds")
      yield* renew
      yield* TestClock.adjust("1 seconds")
      yield* renew
      yield* renew
      yield* TestClock.adjust("3 seconds")
      expect([tellings.calls, tellings.told]).toEqual([1, []])
      yield* TestClock.adjust("6 seconds")
      expect([tellings.calls, tellings.told]).toEqual([2, ["R1", "R3"]])
    }))

  it.effect("is told of a renewal whose first write failed, once another one has stored it", () =>
    Effect.gen(function*() {
      const { issuer, source, store, tellings } = yield* expired
      issuer.after = Effect.sync(() => void (store.broken = true))
      expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "StoreUnreachable" })
      yield* TestClock.adjust(0)
      expect(tellings.told).toEqual([])
      store.broken = false
      expect(accessOf(yield* source.get)).toBe("A1")
      yield* TestClock.adjust(0)
      expect([issuer.calls, tellings.told]).toEqual([1, ["R1"]])
    }))

  it.effect("is told of a renewal whose caller has left", () =>
    Effect.gen(function*() {
      const { issuer, source, store, tellings } = yield* expired
      issuer.after = Effect.sync(() => void (store.pause = Effect.sleep("1 seconds")))
      const caller = yield* Effect.fork(source.get)
      while (issuer.calls === 0) yield* TestClock.adjust(0)
      const leaving = yield* Effect.fork(Fiber.interrupt(caller))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(leaving)
      yield* TestClock.adjust(0)
      expect(Exit.isInterrupted(yield* Fiber.await(caller))).toBe(true)
      expect([refreshOf(yield* store.record), tellings.told]).toEqual(["R1", ["R1"]])
    }))

  it.effect("is not told of what another process has stored", () =>
    Effect.gen(function*() {
      const { open, source, store, tellings } = yield* expired
      const other = yield* open(store.open(), {})
      yield* other.get
      expect(accessOf(yield* source.get)).toBe("A1")
      yield* TestClock.adjust(0)
      expect(tellings.calls).toBe(0)
    }))
})

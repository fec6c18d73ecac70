import { describe, expect, it } from "@effect/vitest"
import { TransientFailure } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as CrashPoint from "effect-credentials/vault/CrashPoint"
import * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Redemption from "effect-credentials/vault/Redemption"
import * as Vault from "effect-credentials/vault/Vault"
import { Locked, Unreachable, Unsupported } from "effect-credentials/vault/VaultError"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { accessOf, down, grant, hour, key, makeIssuer, makeStore, refreshOf } from "./issuer.js"

/** An expired grant in a store that several processes share, and the redemption as one of them has it. */
const setting = Effect.gen(function*() {
  const store = yield* makeStore
  const issuer = makeIssuer()
  yield* store.put(yield* grant(0))
  yield* TestClock.adjust(hour)
  const asProcess = (
    name: string,
    options: Partial<Redemption.Options> = {},
    change: Partial<Vault.Service> = {}
  ): Redemption.Redemption =>
    Redemption.make({
      key,
      source: name,
      redeem: issuer.redeem,
      ...options,
      vault: { ...store.open(), ...change, identity: { name } }
    })
  return { asProcess, issuer, store }
})

const valid = (record: GrantRecord.GrantRecord) =>
  Effect.map(Clock.currentTimeMillis, (now) => record.grant.token.expiresAt > now)

const accessIn = (outcome: Redemption.Outcome) =>
  outcome._tag === "Missing" ? undefined : accessOf(outcome.record.grant.token)

const lost = new TransientFailure({
  source: "issuer",
  reason: "ReplyLost",
  detail: "the connection broke",
  hint: "Try again.",
  retryAt: undefined
})

/** Fails so often before it lets through. */
const times = (count: number, failure: TokenError) => {
  let left = count
  return Effect.suspend(() => left-- > 0 ? Effect.fail(failure) : Effect.void)
}

/** Runs it while the clock goes on for so long. */
const during = <A, E>(self: Effect.Effect<A, E>, time: Parameters<typeof TestClock.adjust>[0]) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

const ambiguous = { _tag: "ReauthRequired", reason: "Ambiguous" }

describe("a lost answer", () => {
  it.effect("without a grace window makes the grant ambiguous, and it is never sent again", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      issuer.after = Effect.fail(lost)
      const one = asProcess("one")
      for (const process of [one, one, asProcess("two"), asProcess("three")]) {
        expect(yield* Effect.flip(process.renew(valid))).toMatchObject(ambiguous)
      }
      expect([issuer.calls, issuer.revoked]).toEqual([1, false])
      expect(yield* store.record).toMatchObject({ generation: 1, status: { _tag: "Ambiguous" } })
      expect(refreshOf(yield* store.record)).toBe("R0")
    }))

  it.effect("inside the grace window is asked for again, and the journal is closed by the new grant", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      issuer.before = times(2, lost)
      const outcome = yield* during(
        asProcess("one", { graceWindow: "1 minutes" }).renew(valid),
        "10 seconds"
      )
      expect([accessIn(outcome), issuer.calls]).toEqual(["A1", 3])
      expect(yield* store.record).toMatchObject({ generation: 2, status: { _tag: "Active" }, rotates: true })
    }))

  it.effect("is asked for again by a later call and by another process, until the window ends", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      issuer.before = Effect.fail(lost)
      const options = { graceWindow: "1 minutes", deadline: "5 seconds" } as const
      expect(yield* during(Effect.flip(asProcess("one", options).renew(valid)), "10 seconds")).toMatchObject({
        reason: "ReplyLost"
      })
      const since = yield* store.record
      const calls = issuer.calls
      expect(yield* during(Effect.flip(asProcess("two", options).renew(valid)), "10 seconds")).toMatchObject({
        reason: "ReplyLost"
      })
      expect(issuer.calls).toBeGreaterThan(calls)
      expect((yield* store.record)?.status).toMatchObject({
        _tag: "Redeeming",
        since: since?.status._tag === "Redeeming" ? since.status.since : undefined
      })
      yield* TestClock.adjust("1 minutes")
      const before = issuer.calls
      expect(yield* Effect.flip(asProcess("three", options).renew(valid))).toMatchObject(ambiguous)
      expect(issuer.calls).toBe(before)
    }))

  it.effect("followed by a 503 is still a lost answer", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      let calls = 0
      issuer.before = Effect.suspend(() => Effect.fail(calls++ === 0 ? lost : down))
      const process = asProcess("one", { graceWindow: "1 minutes" })
      expect(yield* during(Effect.flip(process.renew(valid)), "10 seconds")).toMatchObject({
        reason: "ServerError"
      })
      expect((yield* store.record)?.status._tag).toBe("Redeeming")
      yield* TestClock.adjust("1 minutes")
      expect(yield* Effect.flip(process.renew(valid))).toMatchObject(ambiguous)
      expect(issuer.calls).toBe(2)
    }))

  it.effect("of an issuer that was seen to keep the refresh token is asked for again at any time", () =>
    Effect.gen(function*() {
      const { asProcess, store } = yield* setting
      let calls = 0
      let fails = false
      const redeem = () =>
        Effect.suspend(() => {
          calls++
          return fails ? Effect.fail(lost) : grant(calls, { refreshToken: undefined })
        })
      const process = asProcess("one", { redeem })
      yield* process.renew(valid)
      expect(yield* store.record).toMatchObject({ rotates: false })
      yield* TestClock.adjust(hour)
      fails = true
      yield* during(Effect.flip(process.renew(valid)), "10 seconds")
      fails = false
      yield* TestClock.adjust(24 * hour)
      expect(accessIn(yield* asProcess("two", { redeem }).renew(valid))).toBe(`A${calls}`)
      expect((yield* store.record)?.status._tag).toBe("Active")
    }))

  it.effect("is over with the next login", () =>
    Effect.gen(function*() {
      const { asProcess, issuer } = yield* setting
      issuer.after = Effect.fail(lost)
      const process = asProcess("one")
      yield* Effect.flip(process.renew(valid))
      issuer.after = Effect.void
      issuer.next = 7
      yield* process.save(yield* grant(7))
      yield* TestClock.adjust(hour)
      expect(accessIn(yield* process.renew(valid))).toBe("A8")
    }))
})

describe("an answer that is none", () => {
  const network = new TransientFailure({ ...fieldsOf(lost), reason: "Network" })
  for (const failure of [down, network]) {
    it.effect(`(${failure.reason}) leaves the grant as it was`, () =>
      Effect.gen(function*() {
        const { asProcess, issuer, store } = yield* setting
        const before = yield* store.record
        issuer.before = times(3, failure)
        for (let call = 0; call < 3; call++) {
          expect(yield* Effect.flip(asProcess(`process ${call}`).renew(valid))).toMatchObject({
            reason: failure.reason
          })
          expect(yield* store.record).toEqual(before)
        }
        expect(accessIn(yield* asProcess("last").renew(valid))).toBe("A1")
      }))

    it.effect(`(${failure.reason}) is remembered where the vault could not be told`, () =>
      Effect.gen(function*() {
        const { asProcess, issuer, store } = yield* setting
        issuer.before = Effect.zipRight(Effect.sync(() => (store.broken = true)), times(1, failure))
        const process = asProcess("one")
        expect(yield* Effect.flip(process.renew(valid))).toMatchObject({ reason: failure.reason })
        store.broken = false
        expect((yield* store.record)?.status._tag).toBe("Redeeming")
        issuer.before = Effect.void
        expect(accessIn(yield* process.renew(valid))).toBe("A1")
      }))
  }
})

describe("an issuer that fails after it has acted", () => {
  it.effect("is asked again inside the window that began with the first request, and at any time after it", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      issuer.before = Effect.fail(down)
      const options = { graceWindow: "1 minutes" } as const
      const since = yield* Clock.currentTimeMillis
      yield* Effect.flip(asProcess("one", options).renew(valid))
      expect((yield* store.record)?.status).toMatchObject({ _tag: "Redeeming", since, failed: true })
      yield* TestClock.adjust("30 seconds")
      issuer.before = Effect.fail(lost)
      yield* during(Effect.flip(asProcess("two", options).renew(valid)), "10 seconds")
      expect((yield* store.record)?.status).toMatchObject({
        _tag: "Redeeming",
        since,
        owner: expect.any(String)
      })
      const { calls } = issuer
      yield* TestClock.adjust("25 seconds")
      expect(yield* Effect.flip(asProcess("three", options).renew(valid))).toMatchObject(ambiguous)
      expect(issuer.calls).toBe(calls)
    }))

  it.effect("ends no login, however long it fails", () =>
    Effect.gen(function*() {
      const { asProcess, issuer } = yield* setting
      issuer.before = Effect.fail(down)
      const process = asProcess("one", { graceWindow: "1 minutes" })
      for (let call = 0; call < 5; call++) {
        expect(yield* Effect.flip(process.renew(valid))).toMatchObject({ reason: "ServerError" })
        yield* TestClock.adjust("50 seconds")
      }
      issuer.before = Effect.void
      expect(accessIn(yield* process.renew(valid))).toBe("A1")
    }))
})

describe("a login that could not be stored", () => {
  const unstored = Effect.gen(function*() {
    const all = yield* setting
    const one = all.asProcess("one")
    all.store.broken = true
    expect(yield* Effect.flip(one.save(yield* grant(5)))).toMatchObject({ _tag: "Unreachable" })
    all.store.broken = false
    all.issuer.next = 7
    return { ...all, one }
  })

  it.effect("is stored by the next call", () =>
    Effect.gen(function*() {
      const { one, store } = yield* unstored
      expect(accessIn(yield* one.renew(valid))).toBe("A5")
      expect(refreshOf(yield* store.record)).toBe("R5")
    }))

  it.effect("yields to a login of another process", () =>
    Effect.gen(function*() {
      const { asProcess, one, store } = yield* unstored
      yield* asProcess("two").save(yield* grant(7))
      expect(accessIn(yield* one.renew(valid))).toBe("A7")
      expect(refreshOf(yield* store.record)).toBe("R7")
    }))

  it.effect("yields to a logout of another process", () =>
    Effect.gen(function*() {
      const { asProcess, one, store } = yield* unstored
      yield* asProcess("two").forget()
      expect(yield* one.renew(valid)).toEqual({ _tag: "Missing" })
      expect(yield* store.record).toBe(undefined)
    }))

  it.effect("is what a logout of this process knows and removes", () =>
    Effect.gen(function*() {
      const { one, store } = yield* unstored
      const known = Option.getOrThrow(yield* one.load)
      expect(refreshOf(known)).toBe("R5")
      yield* one.forget(known)
      expect([yield* store.record, Option.isNone(yield* one.load)]).toEqual([undefined, true])
    }))
})

describe("what is told as stored", () => {
  it.effect("is each renewal and login of this process, also one that is stored later", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      const told: Array<string> = []
      const process = asProcess("one", {
        stored: (record, kind) => Effect.sync(() => void told.push(`${kind} ${refreshOf(record)}`))
      })
      issuer.after = Effect.sync(() => void (store.broken = true))
      yield* Effect.flip(process.renew(valid))
      expect(told).toEqual([])
      store.broken = false
      issuer.after = Effect.void
      expect(yield* process.renew(valid)).toMatchObject({ _tag: "Adopted" })
      yield* process.save(yield* grant(9))
      expect(told).toEqual(["Renewal R1", "Login R9"])
    }))
})

describe("two sources of one process", () => {
  it.effect("do not share a failure that only one of them has", () =>
    Effect.gen(function*() {
      const { issuer, store } = yield* setting
      const vault = store.open()
      const reader = Redemption.make({ key, source: "reader", vault, redeem: undefined })
      const writer = Redemption.make({ key, source: "writer", vault, redeem: issuer.redeem })
      const [first, second] = yield* Effect.all([Effect.flip(reader.renew(valid)), writer.renew(valid)], {
        concurrency: 2
      })
      expect([first.reason, accessIn(second)]).toEqual(["NoRefreshToken", "A1"])
    }))
})

describe("a grant that just fits", () => {
  it.effect("is sent whole and stays whole, though its mark leaves less room", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      const held = yield* grant(0, { extra: { resource: "r".repeat(200) } })
      yield* store.put(held)
      const { value } = Option.getOrThrow(yield* store.inner.get(key))
      const room = Redacted.value(value).length
      const tooLong = new Unsupported({ vault: "v", action: "set", detail: "too long", hint: "Less." })
      const vault = store.open()
      const tight = {
        compareAndSet: (...[name, expected, text]: Parameters<Vault.Service["compareAndSet"]>) =>
          Redacted.value(text).length > room
            ? Effect.fail(tooLong)
            : vault.compareAndSet(name, expected, text)
      }
      const sent: Array<string | undefined> = []
      const redeem = (grant: typeof held) => {
        sent.push(grant.extra["resource"])
        return issuer.redeem(grant)
      }
      issuer.before = times(1, down)
      yield* TestClock.adjust(hour)
      const process = asProcess("one", { redeem }, tight)
      yield* Effect.flip(process.renew(valid))
      expect((yield* store.record)?.grant.extra).toEqual(held.extra)
      expect(sent).toEqual([held.extra["resource"]])
    }))
})

describe("a process that dies", () => {
  const dieAt = (moment: CrashPoint.Moment) => (now: CrashPoint.Moment) =>
    now === moment ? Effect.async<void>(() => {}) : Effect.void

  const cases = [
    ["before the journal", "redeem.read", 0, "A1"],
    ["with the journal written", "redeem.journaled", 0, "A1"],
    ["with the answer in hand", "redeem.answered", 1, "A1"],
    ["with the answer stored", "redeem.stored", 1, "A1"]
  ] as const

  /** An issuer with a grace window gives the same answer again. */
  const graceful = (issuer: ReturnType<typeof makeIssuer>) => {
    const answers = new Map<string, Effect.Effect.Success<ReturnType<typeof issuer.redeem>>>()
    return (held: Parameters<typeof issuer.redeem>[0]) =>
      Effect.suspend(() => {
        const sent = refreshOf({ grant: held } as GrantRecord.GrantRecord) ?? ""
        const known = answers.get(sent)
        return known === undefined
          ? Effect.tap(issuer.redeem(held), (answer) => Effect.sync(() => answers.set(sent, answer)))
          : Effect.succeed(known)
      })
  }

  for (const [what, moment, calls, access] of cases) {
    it.effect(`${what} loses nothing inside the grace window`, () =>
      Effect.gen(function*() {
        const { asProcess, issuer } = yield* setting
        // A lease that nobody can take while a fiber holds it is not what is tested here.
        const free = { capabilities: { ...(yield* makeStore).inner.capabilities, lease: "none" } } as const
        const options = {
          graceWindow: "5 minutes",
          redeem: graceful(issuer),
          deadline: "10 seconds"
        } as const
        const dead = asProcess("dead", options, free)
        yield* Effect.forkDaemon(CrashPoint.withCrashPoint(dead.renew(valid), dieAt(moment)))
        yield* TestClock.adjust("1 seconds")
        expect(issuer.calls).toBe(calls)
        const next = asProcess("next", options, free)
        expect(accessIn(yield* during(next.renew(valid), "1 minutes"))).toBe(access)
        expect([issuer.calls, issuer.revoked]).toEqual([1, false])
      }))
  }
})

describe("a lease", () => {
  const leaseOf = (check: Vault.Lease["check"]): Vault.Service["lease"] => (key) =>
    Effect.map(Clock.currentTimeMillis, (acquiredAt) => ({ key, fence: 1, acquiredAt, check }))
  const gone = new Locked({ vault: "v", action: "lease", detail: "the lease was lost", hint: "Again." })

  it.effect("that was lost before the refresh token is sent stops the sending, and marks nothing", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      const before = yield* store.record
      const process = asProcess("one", {}, { lease: leaseOf(Effect.fail(gone)) })
      expect(yield* Effect.flip(process.renew(valid))).toMatchObject({ reason: "StoreLocked" })
      expect(issuer.calls).toBe(0)
      expect(yield* store.record).toEqual(before)
    }))

  it.effect("that can't be asked for stops the sending", () =>
    Effect.gen(function*() {
      const { asProcess, issuer } = yield* setting
      const failure = new Unreachable({ vault: "v", action: "lease", detail: "no answer", hint: "Wait." })
      const process = asProcess("one", {}, { lease: () => Effect.fail(failure) })
      expect(yield* Effect.flip(process.renew(valid))).toMatchObject({ reason: "StoreUnreachable" })
      expect(issuer.calls).toBe(0)
    }))

  it.effect("tells the time of the journal, whatever this machine's clock says", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      const hourAhead: Vault.Service["lease"] = (key) =>
        Effect.map(Clock.currentTimeMillis, (now) => ({
          key,
          fence: 9,
          acquiredAt: now + hour,
          check: Effect.void
        }))
      issuer.before = Effect.fail(lost)
      yield* Effect.flip(asProcess("one", {}, { lease: hourAhead }).renew(valid))
      const now = yield* Clock.currentTimeMillis
      expect((yield* store.record)?.status).toMatchObject({ _tag: "Ambiguous", since: now + hour })
    }))

  it.effect("of another one is waited for, and what it stores is adopted as soon as it is stored", () =>
    Effect.gen(function*() {
      const { asProcess, issuer } = yield* setting
      issuer.after = Effect.sleep("10 seconds")
      const first = yield* Effect.fork(asProcess("one").renew(valid))
      yield* TestClock.adjust("1 seconds")
      const others = yield* Effect.forEach(
        Array.from({ length: 8 }, (_, index) => asProcess(`other ${index}`)),
        (process) => Effect.fork(process.renew(valid))
      )
      yield* TestClock.adjust("9 seconds")
      expect(accessIn(yield* Fiber.join(first))).toBe("A1")
      for (const other of others) {
        expect(yield* Fiber.join(other)).toMatchObject({ _tag: "Adopted", record: { generation: 2 } })
      }
      expect(issuer.calls).toBe(1)
    }))

  it.effect("of another one that comes to nothing is taken by one after the other", () =>
    Effect.gen(function*() {
      const { asProcess, issuer } = yield* setting
      issuer.before = Effect.zipRight(Effect.sleep("1 seconds"), times(1, down))
      const both = yield* Effect.forEach(
        ["one", "two"],
        (name) => Effect.fork(Effect.exit(asProcess(name).renew(valid)))
      )
      yield* TestClock.adjust("10 seconds")
      const exits = yield* Effect.forEach(both, Fiber.join)
      expect(exits.filter(Exit.isSuccess).length).toBe(1)
      expect(issuer.calls).toBe(2)
    }))

  it.effect("that is never given back is waited for no longer than was said", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      const held = yield* Deferred.make<void>()
      yield* Effect.fork(Effect.scoped(Effect.zipRight(
        store.inner.lease(key, { term: "1 minutes" }),
        Effect.zipRight(Deferred.succeed(held, undefined), Effect.never)
      )))
      yield* Deferred.await(held)
      const caller = yield* Effect.fork(
        Effect.flip(asProcess("one", { leaseWait: "5 seconds" }).renew(valid))
      )
      yield* TestClock.adjust("4 seconds")
      expect(caller.unsafePoll()).toBe(null)
      yield* TestClock.adjust("2 seconds")
      expect(yield* Fiber.join(caller)).toMatchObject({ _tag: "TransientFailure", reason: "StoreLocked" })
      expect(issuer.calls).toBe(0)
    }))
})

describe("a vault without leases", () => {
  const none = {
    capabilities: { announce: "none", compareAndSet: "process", lease: "none", list: true }
  } as const
  const open = (store: Effect.Effect.Success<typeof makeStore>) => ({
    capabilities: { ...store.inner.capabilities, ...none.capabilities }
  })

  it.effect("makes the second process wait for the young journal of the first, and adopt", () =>
    Effect.gen(function*() {
      const { asProcess, issuer, store } = yield* setting
      const before = yield* store.inner.get(key)
      const record = yield* GrantRecord.decode(Option.getOrThrow(before).value, "test")
      const since = yield* Clock.currentTimeMillis
      const journal = yield* GrantRecord.redeeming(record, { since, owner: "elsewhere", fence: 0 })
      yield* store.inner.set(key, yield* GrantRecord.encode(journal, "test"))
      const waiting = yield* Effect.fork(asProcess("two", {}, open(store)).renew(valid))
      yield* TestClock.adjust("10 seconds")
      expect([waiting.unsafePoll(), issuer.calls]).toEqual([null, 0])
      const renewed = GrantRecord.renew(journal, yield* grant(1))
      yield* store.inner.set(key, yield* GrantRecord.encode(renewed, "test"))
      yield* TestClock.adjust("1 seconds")
      expect(accessIn(yield* Fiber.join(waiting))).toBe("A1")
      expect(issuer.calls).toBe(0)
    }))

  it.effect("is warned of, once a vault, and only where something is renewed", () =>
    Effect.gen(function*() {
      const { issuer, store } = yield* setting
      const vault = { ...store.open(), ...open(store), identity: { name: "warned" } }
      const logged: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) =>
        void logged.push(`${logLevel.label} ${String(message)}`)
      )
      const make = (options: Partial<Persisted.Options<never>>) =>
        Effect.provideService(Persisted.make({ key, ...options }), Vault.Vault, vault)
      yield* Effect.gen(function*() {
        yield* make({})
        expect(logged).toEqual([])
        yield* make({ redeem: issuer.redeem })
        yield* make({ redeem: issuer.redeem })
      }).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
      expect(logged.length).toBe(1)
      expect(logged[0]).toMatch(/^WARN .*no leases/)
    }))
})

describe("removing", () => {
  it.effect("a grant that another process has renewed meanwhile is a conflict, and it stays", () =>
    Effect.gen(function*() {
      const { asProcess, store } = yield* setting
      const old = Option.getOrThrow(yield* asProcess("one").load)
      yield* asProcess("two").renew(valid)
      expect(yield* Effect.flip(asProcess("one").forget(old))).toMatchObject({ _tag: "Conflict" })
      expect(refreshOf(yield* store.record)).toBe("R1")
      yield* asProcess("one").forget(Option.getOrThrow(yield* asProcess("one").load))
      expect(yield* store.record).toBe(undefined)
    }))
})

function fieldsOf({ detail, hint, source }: TransientFailure) {
  return { detail, hint, source }
}

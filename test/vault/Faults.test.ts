import { describe, expect, it } from "@effect/vitest"
import type * as Grant from "effect-credentials/Grant"
import * as Token from "effect-credentials/Token"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import { Unsupported } from "effect-credentials/vault/VaultError"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { recording } from "../support/spans.js"
import { accessOf, down, grant, hour, key, makeIssuer, makeStore, refreshOf } from "./issuer.js"

type Options = Omit<Persisted.Options<never>, "key">

const open = (vault: Vault.Service, options: Options) =>
  Effect.provideService(Persisted.make({ key, ...options }), Vault.Vault, vault)

/** An expired grant in a store, seen through a vault that may be changed, and a source over it. */
const setting = (
  change: (vault: Vault.Service) => Partial<Vault.Service> = () => ({}),
  options: Options = {}
) =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    const inner = store.open()
    const vault = { ...inner, ...change(inner) }
    yield* store.put(yield* grant(0))
    yield* TestClock.adjust(hour)
    return { store, issuer, vault, source: yield* open(vault, { redeem: issuer.redeem, ...options }) }
  })

const settle = <A, E>(self: Effect.Effect<A, E>, time: Duration.DurationInput) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

const long = (count: number) => "x".repeat(count)

describe("a rotated grant is stored though", () => {
  const token = (parts: Partial<Token.Options>) => (held: Grant.Grant): Grant.Grant => ({
    ...held,
    token: Token.make({ ...held.token, ...parts })
  })
  const scopes = Array.from({ length: 1001 }, (_, index) => `scope ${index}`)
  const cases: ReadonlyArray<
    readonly [what: string, change: (held: Grant.Grant) => Grant.Grant, gives: string]
  > = [
    ["its ID token is too long", (held) => ({ ...held, idToken: Redacted.make(long(300_000)) }), "A1"],
    ["a field beside is too long", (held) => ({ ...held, extra: { resource: "r", info: long(9000) } }), "A1"],
    ["it has too many fields beside", (held) => ({
      ...held,
      extra: Object.fromEntries(scopes.map((name) => [name, ""]))
    }), "A1"],
    ["it has too many scopes", token({ scopes }), "A1"],
    ["one scope is too long", token({ scopes: [long(9000), "read"] }), "A1"],
    ["its type is too long", token({ type: long(300) }), "MalformedAnswer"],
    ["its access token is too long", token({ value: Redacted.make(long(300_000)) }), "MalformedAnswer"],
    ["a field beside has a name that no object can have", (held) => ({
      ...held,
      extra: JSON.parse("{\"__proto__\":\"x\",\"resource\":\"r\"}") as Record<string, string>
    }), "A1"]
  ]
  for (const [what, change, gives] of cases) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const { issuer, store, vault } = yield* setting()
        const source = yield* open(vault, { redeem: (held) => Effect.map(issuer.redeem(held), change) })
        const result = yield* Effect.either(source.get)
        expect(result._tag === "Right" ? accessOf(result.right) : result.left.reason).toBe(gives)
        const record = yield* store.record
        expect([refreshOf(record), issuer.calls, issuer.revoked]).toEqual(["R1", 1, false])
        if (what.includes("beside") && !what.includes("many")) {
          expect(record?.grant.extra).toEqual({ resource: "r" })
        }
        if (what === "one scope is too long") expect(record?.grant.token.scopes).toEqual(["read"])
      }))
  }

  for (const max of [2000, 500, 330]) {
    it.effect(`the backend takes no more than ${max} bytes`, () =>
      Effect.gen(function*() {
        const tooLong = new Unsupported({ vault: "v", action: "set", detail: "too long", hint: "Less." })
        const { issuer, store, vault } = yield* setting((vault) => ({
          compareAndSet: (name, expected, value) =>
            Redacted.value(value).length > max
              ? Effect.fail(tooLong)
              : vault.compareAndSet(name, expected, value)
        }))
        const bulky = (held: Grant.Grant): Grant.Grant => ({
          ...token({ scopes: [long(200)], value: Redacted.make(long(max - 300)) })(held),
          idToken: Redacted.make(long(max)),
          extra: { resource: long(100) }
        })
        const source = yield* open(vault, { redeem: (held) => Effect.map(issuer.redeem(held), bulky) })
        yield* Effect.exit(source.get)
        expect([refreshOf(yield* store.record), issuer.calls]).toEqual(["R1", 1])
      }))
  }

  it.effect("the record counts as far as numbers go", () =>
    Effect.gen(function*() {
      const { source, store } = yield* setting()
      const { value } = Option.getOrThrow(yield* store.inner.get(key))
      const text = Redacted.value(value).replace(
        "\"generation\":1",
        `"generation":${Number.MAX_SAFE_INTEGER}`
      )
      yield* store.inner.set(key, Redacted.make(text))
      expect(accessOf(yield* source.get)).toBe("A1")
      expect(refreshOf(yield* store.record)).toBe("R1")
    }))

  it.effect("F11 it has no access token: the refresh token is kept, and the next call sends it", () =>
    Effect.gen(function*() {
      const { issuer, store, vault } = yield* setting()
      const empty = (now: number) => Token.make({ value: Redacted.make(""), issuedAt: now, expiresAt: now })
      let isMalformed = true
      const redeem = (held: Grant.Grant) =>
        Effect.zipWith(
          issuer.redeem(held),
          Clock.currentTimeMillis,
          (given, now) => isMalformed ? { ...given, token: empty(now) } : given
        )
      const source = yield* open(vault, { redeem })
      for (const n of [1, 2]) {
        expect(yield* Effect.flip(source.get)).toMatchObject({
          _tag: "TransientFailure",
          reason: "MalformedAnswer"
        })
        expect([refreshOf(yield* store.record), issuer.calls]).toEqual([`R${n}`, n])
      }
      isMalformed = false
      expect(accessOf(yield* source.get)).toBe("A3")
      expect([issuer.calls, issuer.revoked]).toEqual([3, false])
    }))
})

describe("an access token that is empty", () => {
  it.effect("is never given, whatever its record says of its life", () =>
    Effect.gen(function*() {
      const { source, store } = yield* setting(undefined, { redeem: undefined })
      const held = yield* grant(0)
      yield* store.put({ ...held, token: { ...held.token, value: Redacted.make(""), expiresAt: Infinity } })
      expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "NoRefreshToken" })
      const { value } = Option.getOrThrow(yield* store.inner.get(key))
      const text = Redacted.value(value).replace("\"expiresAt\":0", "\"expiresAt\":null")
      expect(text).toContain("\"expiresAt\":null")
      yield* store.inner.set(key, Redacted.make(text))
      expect(yield* Effect.flip(source.get)).toMatchObject({ reason: "NoRefreshToken" })
    }))
})

/** The first write stalls for so long and can't be stopped; all others are as they were. */
const stalling = (method: "set" | "compareAndSet", time: Duration.DurationInput) => {
  const state = { stall: true, landed: 0, writes: 0 }
  const late = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      state.writes++
      if (!state.stall) return self
      state.stall = false
      return Effect.uninterruptible(
        Effect.zipRight(Effect.sleep(time), Effect.ensuring(self, Effect.sync(() => state.landed++)))
      )
    })
  const change = (vault: Vault.Service): Partial<Vault.Service> =>
    method === "set"
      ? {
        capabilities: { ...vault.capabilities, compareAndSet: "none" },
        set: (name, value) => late(vault.set(name, value))
      }
      : { compareAndSet: (name, expected, value) => late(vault.compareAndSet(name, expected, value)) }
  return { state, change }
}

describe("a write that stalls and lands at last", () => {
  for (const method of ["set", "compareAndSet"] as const) {
    it.effect(`(${method}) is waited for, not overtaken: a login`, () =>
      Effect.gen(function*() {
        const { change, state } = stalling(method, "150 seconds")
        const { issuer, source, store, vault } = yield* setting(change)
        const login = Effect.provideService(Persisted.save(key, yield* grant(7)), Vault.Vault, vault)
        expect(yield* settle(Effect.flip(login), "60 seconds")).toMatchObject({ _tag: "Unreachable" })
        expect(yield* settle(Effect.flip(source.get), "60 seconds")).toMatchObject({
          reason: "StoreUnreachable"
        })
        expect([issuer.calls, state.landed, state.writes]).toEqual([0, 0, 1])
        expect(accessOf(yield* settle(source.get, "60 seconds"))).toBe("A7")
        expect([state.landed, issuer.calls, refreshOf(yield* store.record)]).toEqual([1, 0, "R7"])
        yield* TestClock.adjust("2 hours")
        expect([refreshOf(yield* store.record), state.landed]).toEqual(["R7", 1])
      }))

    it.effect(`(${method}) does not bring back what was forgotten`, () =>
      Effect.gen(function*() {
        const { change } = stalling(method, "90 seconds")
        const { store, vault } = yield* setting(change)
        const inVault = Effect.provideService(Vault.Vault, vault)
        yield* settle(Effect.flip(inVault(Persisted.save(key, yield* grant(7)))), "60 seconds")
        yield* settle(inVault(Persisted.forget(key)), "60 seconds")
        yield* TestClock.adjust("10 minutes")
        expect(yield* store.record).toBe(undefined)
      }))

    it.effect(`(${method}) is waited for, not overtaken: a renewal`, () =>
      Effect.gen(function*() {
        const { change, state } = stalling(method, "90 seconds")
        const { issuer, source, store } = yield* setting(change)
        expect(yield* settle(Effect.flip(source.get), "60 seconds")).toMatchObject({
          reason: "StoreUnreachable"
        })
        expect(accessOf(yield* settle(source.get, "60 seconds"))).toBe("A1")
        yield* TestClock.adjust("2 hours")
        expect(accessOf(yield* source.get)).toBe("A2")
        yield* TestClock.adjust("2 hours")
        expect([refreshOf(yield* store.record), issuer.calls, issuer.revoked]).toEqual(["R2", 2, false])
        expect(state.landed).toBe(1)
      }))
  }

  it.effect("that is a logout is waited for before anything is sent", () =>
    Effect.gen(function*() {
      const { issuer, source, store, vault } = yield* setting((vault) => ({
        remove: (name) =>
          Effect.uninterruptible(Effect.zipRight(Effect.sleep("90 seconds"), vault.remove(name)))
      }))
      const forget = Effect.provideService(Persisted.forget(key), Vault.Vault, vault)
      expect(yield* settle(Effect.flip(forget), "60 seconds")).toMatchObject({
        _tag: "Unreachable",
        action: "remove"
      })
      expect(yield* settle(Effect.flip(source.get), "60 seconds")).toMatchObject({ reason: "LoginRequired" })
      expect([issuer.calls, yield* store.record]).toEqual([0, undefined])
    }))

  it.effect("from another process's login is a conflict, and the login goes over it", () =>
    Effect.gen(function*() {
      const { store, vault } = yield* setting()
      let first = true
      const racing: Vault.Service = {
        ...vault,
        compareAndSet: (name, expected, value) =>
          Effect.suspend(() => {
            const race = first ? Effect.orDie(Effect.flatMap(grant(50), store.put)) : Effect.void
            first = false
            return Effect.zipRight(race, vault.compareAndSet(name, expected, value))
          })
      }
      yield* Effect.provideService(Persisted.save(key, yield* grant(7)), Vault.Vault, racing)
      expect([refreshOf(yield* store.record), first]).toEqual(["R7", false])
    }))
})

describe("a vault that does not answer", () => {
  it.effect("is Unreachable after the deadline, wherever it is read", () =>
    Effect.gen(function*() {
      const { source, vault } = yield* setting(() => ({ get: () => Effect.never }), {
        deadline: "20 seconds"
      })
      const hung = {
        ...vault,
        get: () => Effect.uninterruptible(Effect.sleep("10 hours")) as Effect.Effect<never>
      }
      for (const each of [source, yield* open(hung, { deadline: "20 seconds" })]) {
        const fiber = yield* Effect.fork(Effect.flip(each.get))
        yield* TestClock.adjust("19 seconds")
        expect(fiber.unsafePoll()).toBe(null)
        yield* TestClock.adjust("1 seconds")
        expect(yield* Fiber.join(fiber)).toMatchObject({ reason: "StoreUnreachable" })
      }
      const load = Effect.provideService(Persisted.load(key), Vault.Vault, vault)
      expect(yield* settle(Effect.flip(load), "1 minutes")).toMatchObject({
        _tag: "Unreachable",
        action: "get"
      })
    }))

  it.effect("lets go at once of a caller who leaves", () =>
    Effect.gen(function*() {
      const { source } = yield* setting(() => ({ get: () => Effect.uninterruptible(Effect.never) }))
      const fiber = yield* Effect.fork(source.get)
      yield* TestClock.adjust("1 seconds")
      expect(Exit.isFailure(yield* Fiber.interrupt(fiber))).toBe(true)
    }))

  it.effect("once and then does leaves no trace in the status", () =>
    Effect.gen(function*() {
      const { source, store } = yield* setting()
      yield* store.put(yield* grant(0))
      const health = Effect.map(source.status, ({ health, failure }) => [health, failure?.reason])
      yield* source.get
      store.unreadable = true
      yield* Effect.flip(source.get)
      expect(yield* health).toEqual(["Degraded", "StoreUnreachable"])
      store.unreadable = false
      yield* source.get
      expect(yield* health).toEqual(["Healthy", undefined])
    }))

  it.effect("while a renewal has failed does not hide that failure for good", () =>
    Effect.gen(function*() {
      const { issuer, source, store } = yield* setting()
      yield* store.put(yield* grant(0))
      yield* source.get
      issuer.before = Effect.fail(down)
      yield* Effect.flip(source.request({ refresh: true }))
      store.unreadable = true
      yield* Effect.flip(source.get)
      store.unreadable = false
      yield* source.get
      expect(yield* source.status).toMatchObject({ health: "Degraded", failure: down })
    }))
})

describe("a defect of the renewal", () => {
  it.effect("is shared by all who waited, so that one grant is sent once", () =>
    Effect.gen(function*() {
      let sent = 0
      const { source } = yield* setting(undefined, {
        redeem: () =>
          Effect.zipRight(
            Effect.sleep("1 seconds"),
            Effect.dieSync(() => {
              sent++
              return new Error("defect")
            })
          )
      })
      const all = Effect.all(Effect.replicate(Effect.exit(source.get), 3), { concurrency: "unbounded" })
      const exits = yield* settle(all, "10 seconds")
      expect(exits.map(Exit.isFailure)).toEqual([true, true, true])
      expect(exits.every((exit) => String(exit).includes("defect"))).toBe(true)
      expect(sent).toBe(1)
      expect(yield* settle(Effect.flip(source.get), "10 seconds")).toMatchObject({ reason: "Ambiguous" })
      expect(sent).toBe(1)
    }))
})

describe("listeners", () => {
  it.effect("that throw, leave or join while they are told harm nobody", () =>
    Effect.gen(function*() {
      const { source } = yield* setting()
      const heard: Array<string> = []
      source.onChange(() => {
        heard.push("thrower")
        throw new Error("listener")
      })
      const stop = source.onChange(() => {
        heard.push("leaver")
        stop()
        if (heard.length < 1000) source.onChange(() => void heard.push("joiner"))
      })
      source.onChange(() => void heard.push("last"))
      expect(accessOf(yield* source.get)).toBe("A1")
      expect(heard.slice(0, 3)).toEqual(["thrower", "leaver", "last"])
      expect(heard.length).toBeLessThan(50)
    }))
})

describe("the time limit", () => {
  for (
    const [what, options, seconds] of [
      ["without a login is for waiting, one redemption and one write", {}, 180],
      [
        "with a login is for the person and for these",
        { login: { login: grant(1), timeLimit: "5 minutes" } },
        480
      ],
      [
        "follows the deadline",
        { deadline: "10 seconds", login: { login: grant(1), timeLimit: "1 minutes" } },
        90
      ]
    ] as const
  ) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const source = yield* open(yield* MemoryVault.make(), options)
        expect(Duration.toSeconds(source.timeLimit)).toBe(seconds)
      }))
  }
})

describe("spans", () => {
  it.effect("stand around the work on the vault and the renewal, and hold no key and no secret", () =>
    Effect.gen(function*() {
      const { source } = yield* setting()
      const { spans, tracer } = yield* recording
      yield* Effect.provide(source.get, Layer.setTracer(tracer))
      expect(spans.map(({ name }) => name)).toEqual([
        "vault.get",
        "vault.get",
        "vault.compareAndSet",
        "vault.redeem",
        "vault.compareAndSet"
      ])
      expect(spans[3]?.attributes.get("outcome")).toBe("Renewed")
      expect(JSON.stringify(spans.map(({ attributes, name }) => [name, ...attributes]))).not.toMatch(
        /A\d|R\d|"login"/
      )
    }))
})

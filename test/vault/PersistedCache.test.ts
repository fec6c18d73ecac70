import { expect, it } from "@effect/vitest"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as PersistedCache from "effect-credentials/vault/PersistedCache"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { accessOf, down, grant, key, makeIssuer, makeStore } from "./issuer.js"

/** Two processes with a memory over one vault, which tells of writes or not. */
const setting = (announce: Vault.Reach = "shared") =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    const reads = { count: 0 }
    const vaultOf = (name: string): Vault.Service => {
      const vault = store.open()
      return {
        ...vault,
        identity: { name },
        capabilities: { ...vault.capabilities, announce },
        get: (key) =>
          Effect.suspend(() => {
            reads.count++
            return vault.get(key)
          })
      }
    }
    const open = (name: string) =>
      Effect.provideService(
        PersistedCache.make({ key, redeem: issuer.redeem }),
        Vault.Vault,
        vaultOf(name)
      )
    const within = Effect.provideService(Vault.Vault, vaultOf("command"))
    return { issuer, open, reads, store, within }
  })

const settle = TestClock.adjust("10 millis")

it.scoped("a token that another process has renewed is held at once, without a redemption", () =>
  Effect.gen(function*() {
    const { issuer, open, store } = yield* setting()
    yield* store.put(yield* grant(0))
    const [one, two] = [yield* open("one"), yield* open("two")]
    expect([accessOf(yield* one.get), accessOf(yield* two.get)]).toEqual(["A0", "A0"])
    expect(accessOf(yield* TokenSource.refresh(one))).toBe("A1")
    yield* settle
    expect(accessOf(yield* two.get)).toBe("A1")
    expect(issuer.calls).toBe(1)
  }).pipe(Effect.provide(RefreshScheduler.layer)))

it.scoped("where the vault tells nothing the old token is held until it is due", () =>
  Effect.gen(function*() {
    const { open, store } = yield* setting("none")
    yield* store.put(yield* grant(0))
    const [one, two] = [yield* open("one"), yield* open("two")]
    yield* two.get
    yield* one.get
    yield* TokenSource.refresh(one)
    yield* settle
    expect(accessOf(yield* two.get)).toBe("A0")
  }).pipe(Effect.provide(RefreshScheduler.layer)))

it.scoped("a login elsewhere ends a failure that was remembered", () =>
  Effect.gen(function*() {
    const { issuer, open, within } = yield* setting()
    const one = yield* open("one")
    expect(yield* Effect.flip(one.get)).toMatchObject({ reason: "LoginRequired" })
    issuer.next = 7
    yield* within(Persisted.save(key, yield* grant(7)))
    yield* settle
    expect(accessOf(yield* one.get)).toBe("A7")
    expect(issuer.calls).toBe(0)
  }).pipe(Effect.provide(RefreshScheduler.layer)))

it.scoped("a logout elsewhere empties the memory", () =>
  Effect.gen(function*() {
    const { open, store, within } = yield* setting()
    yield* store.put(yield* grant(0))
    const one = yield* open("one")
    yield* one.get
    yield* within(Persisted.forget(key))
    yield* settle
    expect(yield* Effect.flip(one.get)).toMatchObject({ reason: "LoginRequired" })
  }).pipe(Effect.provide(RefreshScheduler.layer)))

it.scoped("nothing is read before somebody asks for a token", () =>
  Effect.gen(function*() {
    const { open, reads, store } = yield* setting()
    yield* store.put(yield* grant(0))
    yield* open("one")
    yield* settle
    yield* store.put(yield* grant(1))
    yield* settle
    expect(reads.count).toBe(0)
  }).pipe(Effect.provide(RefreshScheduler.layer)))

it.scoped("a token that was refused is renewed by the back-off, not by the announcements of that", () =>
  Effect.gen(function*() {
    const { issuer, open, store } = yield* setting()
    yield* store.put(yield* grant(0))
    const one = yield* open("one")
    const token = yield* one.get
    issuer.before = Effect.fail(down)
    yield* one.invalidate(token)
    yield* Effect.flip(one.get)
    for (let step = 0; step < 20; step++) yield* settle
    expect(issuer.calls).toBe(1)
  }).pipe(Effect.provide(RefreshScheduler.layer)))

it.scoped("news that can't be read at first is not lost", () =>
  Effect.gen(function*() {
    const { open, store, within } = yield* setting()
    yield* store.put(yield* grant(0))
    const one = yield* open("one")
    yield* one.get
    yield* settle
    yield* within(Persisted.forget(key))
    store.unreadable = true
    yield* settle
    store.unreadable = false
    yield* TestClock.adjust("1 minutes")
    expect(yield* Effect.flip(one.get)).toMatchObject({ reason: "LoginRequired" })
  }).pipe(Effect.provide(RefreshScheduler.layer)))

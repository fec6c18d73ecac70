import { expect, it } from "@effect/vitest"
import { RequestRejected } from "effect-credentials/TokenError"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { accessOf, down, grant, hour, key, makeIssuer, makeStore, refreshOf } from "../vault/issuer.js"

/** An expired grant whose refresh token the issuer has revoked. */
const setting = Effect.gen(function*() {
  const store = yield* makeStore
  const issuer = makeIssuer()
  issuer.revoked = true
  yield* store.put(yield* grant(0))
  yield* TestClock.adjust(hour)
  const vault = store.open()
  const make = (vault: Vault.Service) =>
    Effect.provideService(Persisted.make({ key, redeem: issuer.redeem }), Vault.Vault, vault)
  return { store, issuer, make, vault, source: yield* make(vault) }
})

const dead = { _tag: "ReauthRequired", reason: "GrantRejected", hint: expect.stringContaining("Log in") }

it.effect("F13 a dead refresh token is sent once, however often a token is asked for", () =>
  Effect.gen(function*() {
    const { issuer, source } = yield* setting
    for (let call = 0; call < 58; call++) {
      expect(yield* Effect.flip(call % 2 === 0 ? source.get : source.request({ refresh: true })))
        .toMatchObject(dead)
      yield* TestClock.adjust("1 minutes")
    }
    expect(issuer.calls).toBe(1)
    expect(yield* source.status).toMatchObject({ health: "ReauthRequired" })
  }))

it.effect("F13 a hundred concurrent callers send it once", () =>
  Effect.gen(function*() {
    const { issuer, source } = yield* setting
    issuer.before = Effect.yieldNow()
    const all = Effect.replicate(Effect.flip(source.get), 100)
    for (const error of yield* Effect.all(all, { concurrency: "unbounded" })) {
      expect(error).toMatchObject(dead)
    }
    expect(issuer.calls).toBe(1)
  }))

it.effect("F13 a later process does not send it either", () =>
  Effect.gen(function*() {
    const { issuer, make, source, store } = yield* setting
    yield* Effect.flip(source.get)
    expect(yield* Effect.flip((yield* make(store.open())).get)).toMatchObject(dead)
    expect(issuer.calls).toBe(1)
  }))

it.effect("F13 the quarantined grant is kept, and its mark tells no secret", () =>
  Effect.gen(function*() {
    const { source, store } = yield* setting
    yield* Effect.flip(source.get)
    const record = yield* store.record
    expect(refreshOf(record)).toBe("R0")
    expect(record?.status).toMatchObject({ _tag: "Quarantined", reason: "GrantRejected", at: hour })
    expect(JSON.stringify(record?.status)).not.toContain("R0")
  }))

it.effect("F13 it is not sent again even if the vault can't be written", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.before = Effect.sync(() => {
      store.broken = true
    })
    for (let call = 0; call < 5; call++) expect(yield* Effect.flip(source.get)).toMatchObject(dead)
    expect(issuer.calls).toBe(1)
  }))

it.effect("F13 it is not sent again if the vault can't be read after the refusal", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.before = Effect.sync(() => {
      store.unreadable = true
    })
    expect(yield* Effect.flip(source.get)).toMatchObject({
      _tag: "TransientFailure",
      reason: "StoreUnreachable"
    })
    store.unreadable = false
    expect(yield* Effect.flip(source.get)).toMatchObject(dead)
    expect(issuer.calls).toBe(1)
  }))

it.effect("F13 a new login is used at once", () =>
  Effect.gen(function*() {
    const { issuer, source, store, vault } = yield* setting
    yield* Effect.flip(source.get)
    yield* Effect.provideService(Persisted.save(key, yield* grant(5)), Vault.Vault, vault)
    expect(accessOf(yield* source.get)).toBe("A5")
    expect((yield* store.record)?.status).toEqual({ _tag: "Active" })
    issuer.revoked = false
    issuer.next = 5
    yield* TestClock.adjust(hour)
    expect(accessOf(yield* source.get)).toBe("A6")
  }))

it.effect("F13 a refusal of what another process has renewed meanwhile marks nothing", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.before = Effect.flatMap(grant(9), (held) => Effect.orDie(store.put(held)))
    expect(accessOf(yield* source.get)).toBe("A9")
    expect((yield* store.record)?.status).toEqual({ _tag: "Active" })
    expect(issuer.calls).toBe(1)
  }))

it.effect("F13 a failure that may pass marks nothing and leaves the record alone", () =>
  Effect.gen(function*() {
    const { issuer, source, store } = yield* setting
    issuer.before = Effect.fail(down)
    issuer.revoked = false
    const before = yield* store.record
    for (let call = 0; call < 3; call++) {
      expect(yield* Effect.flip(source.get)).toMatchObject({
        _tag: "TransientFailure",
        reason: "ServerError"
      })
    }
    expect(yield* store.record).toEqual(before)
    expect(yield* source.status).toMatchObject({ health: "Degraded" })
    issuer.before = Effect.void
    expect(accessOf(yield* source.get)).toBe("A1")
  }))

it.effect("F13 the refused token, still valid, is served to those who want no other", () =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer()
    issuer.revoked = true
    const held = yield* grant(0)
    yield* store.put(held)
    const source = yield* Effect.provideService(
      Persisted.make({ key, redeem: issuer.redeem }),
      Vault.Vault,
      store.open()
    )
    expect(yield* Effect.flip(source.request({ supersede: held.token }))).toMatchObject(dead)
    expect(Redacted.value((yield* source.get).value)).toBe("A0")
    expect(yield* source.status).toMatchObject({ health: "ReauthRequired" })
  }))

it.effect("F13 a dead refresh token that the issuer calls an invalid request is sent twice at most, and kept", () =>
  Effect.gen(function*() {
    const { issuer, store, vault } = yield* setting
    let sent = 0
    const invalid = new RequestRejected({
      source: "issuer",
      reason: "InvalidRequest",
      detail: "the authorization server refused with invalid_request",
      hint: "Check the request."
    })
    const redeem = () =>
      Effect.suspend(() => {
        sent++
        return Effect.fail(invalid)
      })
    const source = yield* Effect.provideService(Persisted.make({ key, redeem }), Vault.Vault, vault)
    const tags: Array<string> = []
    for (let call = 0; call < 47; call++) {
      tags.push((yield* Effect.flip(source.get))._tag)
      yield* TestClock.adjust("1 minutes")
    }
    expect(sent).toBe(2)
    expect(tags.slice(0, 3)).toEqual(["RequestRejected", "RequestRejected", "ReauthRequired"])
    expect(issuer.calls).toBe(0)
    const record = yield* store.record
    expect(refreshOf(record)).toBe("R0")
    expect(record?.status._tag).toBe("Active")
  }))

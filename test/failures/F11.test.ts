import { expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as Token from "effect-credentials/Token"
import * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { accessOf, grant, hour, key, makeStore, refreshOf } from "../vault/issuer.js"

const text = FastCheck.string({ unit: "binary", minLength: 1, maxLength: 40 })
const secret = text.map(Redacted.make)
const instant = FastCheck.integer({ min: 0, max: 8_640_000_000_000_000 })
const optional = <A>(arbitrary: FastCheck.Arbitrary<A>) => FastCheck.option(arbitrary, { nil: undefined })

/** Any grant that an issuer might give. */
const anyGrant: FastCheck.Arbitrary<Grant.Grant> = FastCheck.record({
  token: FastCheck.record({
    value: secret,
    type: text,
    issuedAt: instant,
    expiresAt: FastCheck.oneof(instant, FastCheck.constant(Infinity)),
    scopes: FastCheck.array(text, { maxLength: 4 })
  }).map(Token.make),
  refreshToken: optional(secret),
  refreshExpiresAt: optional(instant),
  idToken: optional(secret),
  extra: FastCheck.dictionary(text.filter((name) => name !== "__proto__"), text, { maxKeys: 4 })
}).map(Grant.make)

/** The grant with its secrets in the open, to be compared. */
const plain = (held: Grant.Grant, generation: number) => ({
  ...held,
  token: { ...held.token, value: Redacted.value(held.token.value), generation },
  refreshToken: held.refreshToken && Redacted.value(held.refreshToken),
  idToken: held.idToken && Redacted.value(held.idToken)
})

it.effect.prop(
  "F11 what is stored after a login is the grant, whole",
  { held: anyGrant },
  ({ held }) =>
    Effect.gen(function*() {
      yield* Persisted.save(key, held)
      const record = Option.getOrThrow(yield* Persisted.load(key))
      expect(plain(record.grant, record.generation)).toEqual(plain(held, 1))
    }).pipe(Effect.provide(MemoryVault.layer))
)

it.effect.prop(
  "F11 what is stored after a renewal is the new grant, and from the old one what the answer omits",
  { held: anyGrant, answer: anyGrant },
  ({ answer, held }) =>
    Effect.gen(function*() {
      const renewable = { ...held, refreshToken: held.refreshToken ?? Redacted.make("R") }
      yield* Persisted.save(key, renewable)
      const source = yield* Persisted.make({ key, redeem: () => Effect.succeed(answer) })
      yield* Effect.exit(source.request({ refresh: true }))

      const { grant: stored, generation } = Option.getOrThrow(yield* Persisted.load(key))
      expect(generation).toBe(2)
      expect(Redacted.value(stored.token.value)).toBe(Redacted.value(answer.token.value))
      expect(stored.refreshToken).toEqual(answer.refreshToken ?? renewable.refreshToken)
      expect(stored.idToken).toEqual(answer.idToken ?? held.idToken)
      expect(stored.token.scopes).toEqual(
        answer.token.scopes.length > 0 ? answer.token.scopes : held.token.scopes
      )
      expect(stored.extra).toEqual({ ...held.extra, ...answer.extra })
    }).pipe(Effect.provide(MemoryVault.layer))
)

it.effect("F11 a refresh token that answers omit is redeemed again and again", () =>
  Effect.gen(function*() {
    const store = yield* makeStore
    yield* store.put(yield* grant(0))
    const sent: Array<string> = []
    const redeem = (held: Grant.Grant) => {
      sent.push(held.refreshToken === undefined ? "none" : Redacted.value(held.refreshToken))
      return grant(sent.length, { refreshToken: undefined })
    }
    const source = yield* Effect.provideService(Persisted.make({ key, redeem }), Vault.Vault, store.open())
    for (const n of [1, 2, 3]) {
      yield* TestClock.adjust(hour)
      expect(accessOf(yield* source.get)).toBe(`A${n}`)
      expect(refreshOf(yield* store.record)).toBe("R0")
    }
    expect(sent).toEqual(["R0", "R0", "R0"])
  }))

it.effect("F11 a refresh token that was replaced is nowhere in the record", () =>
  Effect.gen(function*() {
    const store = yield* makeStore
    yield* store.put(yield* grant(0))
    yield* TestClock.adjust(hour)
    const source = yield* Effect.provideService(
      Persisted.make({ key, redeem: () => grant(1) }),
      Vault.Vault,
      store.open()
    )
    yield* source.get
    const stored = Redacted.value(Option.getOrThrow(yield* store.inner.get(key)).value)
    expect(stored).toContain("R1")
    expect(stored).not.toMatch(/R0|A0/)
  }))

it.effect.prop(
  "F11 fields that this release does not know outlive a renewal",
  { name: text.filter((name) => name !== "__proto__"), value: FastCheck.jsonValue() },
  ({ name, value }) =>
    Effect.gen(function*() {
      const record = GrantRecord.make(yield* grant(0), 0)
      const known = JSON.parse(Redacted.value(yield* GrantRecord.encode(record, "test"))) as Record<
        string,
        unknown
      >
      if (Object.hasOwn(known, name) || ["idToken", "refreshExpiresAt", "rotates"].includes(name)) return
      const later = Redacted.make(JSON.stringify({ ...known, [name]: value }))
      const renewed = GrantRecord.renew(yield* GrantRecord.decode(later, "test"), yield* grant(1))
      const stored = JSON.parse(Redacted.value(yield* GrantRecord.encode(renewed, "test"))) as Record<
        string,
        unknown
      >
      expect(stored[name]).toEqual(JSON.parse(JSON.stringify(value)))
      expect(stored["refreshToken"]).toBe("R1")
    })
)

/** A grant that is bound to a key is worth nothing without it, so that the key stays with the refresh token. */
import { describe, expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as Token from "effect-credentials/Token"
import * as TokenStatus from "effect-credentials/TokenStatus"
import * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import { Unsupported } from "effect-credentials/vault/VaultError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { platform } from "./temporary.js"
import { seeded, stored, temporary, value } from "./tokenFiles.js"

const bound = Effect.map(
  Dpop.generate(),
  (proofKey) => Token.make({ value: Redacted.make("at-own"), type: "DPoP", expiresAt: 2_000, proofKey })
)

const rewritten = (grant: Grant.Grant) =>
  Effect.flatMap(
    GrantRecord.encode(GrantRecord.make(grant, 0), "test"),
    (text) => Effect.zip(GrantRecord.decode(text, "test"), Effect.succeed(JSON.parse(Redacted.value(text))))
  )

describe("a record", () => {
  it.effect("holds the key, also while there is no access token", () =>
    Effect.gen(function*() {
      const token = yield* bound
      for (const own of [token, { ...token, value: Redacted.make("") }]) {
        const [record, json] = yield* rewritten(Grant.make({ token: own, refreshToken: Redacted.make("rt") }))
        expect(record.grant.token.proofKey).toEqual(token.proofKey)
        expect(json.proofKey).toBe(Redacted.value(token.proofKey ?? Redacted.make("")))
      }
    }))

  it.effect("without a key is what it was before there were keys", () =>
    Effect.gen(function*() {
      const [record, json] = yield* rewritten(
        Grant.make({ token: Token.make({ value: Redacted.make("at") }) })
      )
      expect(json).not.toHaveProperty("proofKey")
      expect(record.grant.token.proofKey).toBeUndefined()
    }))

  it.effect("keeps the key where a vault takes only the least of it", () =>
    Effect.gen(function*() {
      const token = yield* bound
      const inner = yield* MemoryVault.make()
      const refused = new Unsupported({
        vault: "small",
        action: "set",
        detail: "too long",
        hint: "Shorten it."
      })
      const small: Vault.Service = {
        ...inner,
        set: (key, text) => Redacted.value(text).length > 700 ? Effect.fail(refused) : inner.set(key, text),
        compareAndSet: (key, expected, text) =>
          Redacted.value(text).length > 700 ? Effect.fail(refused) : inner.compareAndSet(key, expected, text)
      }
      const long = { ...token, value: Redacted.make("a".repeat(2_000)) }
      const record = yield* Persisted.save(
        "login",
        Grant.make({ token: long, refreshToken: Redacted.make("rt") })
      )
        .pipe(Effect.zipRight(Persisted.load("login")), Effect.provideService(Vault.Vault, small))
      const { grant } = Option.getOrThrow(record)
      expect(Redacted.value(grant.token.value)).toBe("")
      expect([grant.refreshToken, grant.token.proofKey]).toEqual([Redacted.make("rt"), token.proofKey])
    }))
})

describe("a token file", () => {
  const inHome = <E>(name: string, test: Effect.Effect<void, E, Effect.Effect.Context<typeof temporary>>) =>
    it.live(name, () => Effect.scoped(test).pipe(Effect.provide(platform)))

  inHome(
    "holds the key, also after another program has renewed with the same refresh token",
    Effect.gen(function*() {
      const { json, vault, write } = yield* temporary
      const token = yield* bound
      yield* vault.set("login", yield* value("own", { token }))
      expect((yield* stored(vault)).grant.token).toMatchObject({ type: "DPoP", proofKey: token.proofKey })
      yield* write({ ...yield* json, access: "at-theirs", expires: 9_000 })
      const renewed = (yield* stored(vault)).grant.token
      expect([renewed.value, renewed.proofKey]).toEqual([Redacted.make("at-theirs"), token.proofKey])
    })
  )

  inHome(
    "forgets it with the login that it was for",
    Effect.gen(function*() {
      const { json, vault, write } = yield* temporary
      yield* vault.set("login", yield* value("own", { token: yield* bound }))
      yield* write({ ...yield* json, ...seeded })
      const { token } = (yield* stored(vault)).grant
      expect([token.type, token.proofKey]).toEqual(["Bearer", undefined])
    })
  )
})

describe("a token", () => {
  it.effect("keeps its key through what is done with tokens, and nothing shows it", () =>
    Effect.gen(function*() {
      const { proofKey } = yield* bound
      const token = yield* Token.receive({ value: Redacted.make("at"), proofKey })
      expect(Token.withGeneration(token, 7).proofKey).toBe(proofKey)
      expect(TokenStatus.describe(token)).not.toHaveProperty("proofKey")
      const shown = JSON.stringify(token) + inspect(token, { depth: 9 }) + String(proofKey)
      expect(shown).not.toContain("P-256")
    }))
})

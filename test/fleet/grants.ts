/** Grants as the harness puts them into a vault and looks at them. */
import * as Grant from "effect-credentials/Grant"
import * as Token from "effect-credentials/Token"
import type * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createHash } from "node:crypto"
import type { Login } from "./protocol.js"

/** Longer ago than any clock in the fleet is off. */
const day = 48 * 3_600_000

export const ofLogin = (login: Login, expired = false): Effect.Effect<Grant.Grant> =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    Grant.make({
      token: Token.make({
        value: Redacted.make(login.access_token),
        issuedAt: expired ? now - 2 * day : now,
        expiresAt: expired ? now - day : now + login.expires_in * 1000
      }),
      refreshToken: Redacted.make(login.refresh_token)
    }))

/** Stores it as a login command does. */
export const save = (vault: Vault.Service, key: string, grant: Grant.Grant) =>
  Effect.provideService(Persisted.save(key, grant), Vault.Vault, vault)

export const load = (vault: Vault.Service, key: string) =>
  Effect.provideService(Persisted.load(key), Vault.Vault, vault)

export const hashOf = (record: GrantRecord.GrantRecord): string =>
  record.grant.refreshToken === undefined
    ? ""
    : createHash("sha256").update(Redacted.value(record.grant.refreshToken)).digest("hex")

/** Token files in directories of their own, and logins to keep in them. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Grant from "effect-credentials/Grant"
import * as Token from "effect-credentials/Token"
import * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as TokenFileVault from "effect-credentials/vault/TokenFileVault"
import type * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

/** A home with a token file that does not exist yet. */
export const temporary = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const home = yield* fs.makeTempDirectoryScoped()
  const file = path.join(home, "token.json")
  const vault = yield* TokenFileVault.make({ path: file })
  return {
    fs,
    path,
    home,
    file,
    vault,
    /** As another program leaves it. */
    write: (fields: unknown) => fs.writeFileString(file, JSON.stringify(fields, undefined, 2)),
    json: Effect.map(fs.readFileString(file), (text): Record<string, unknown> => JSON.parse(text)),
    names: Effect.map(fs.readDirectory(home), (names) => names.sort())
  }
})

export type Setting = Effect.Effect.Success<typeof temporary>

/** A token file as the seed writes it. */
export const seeded = {
  access: "at-seed",
  refresh: "rt-seed",
  expires: 1_900_000_000_000,
  resourceUrl: "portal.example.com"
}

/** The value of a login with these tokens. */
export const value = (
  name: string,
  grant: Partial<Grant.Grant> = {},
  change: (record: GrantRecord.GrantRecord) => GrantRecord.GrantRecord = (record) => record
): Effect.Effect<Redacted.Redacted<string>> => {
  const token = Token.make({
    value: Redacted.make(`at-${name}`),
    issuedAt: 1_000,
    expiresAt: 2_000,
    scopes: ["read"]
  })
  const whole = Grant.make({ token, refreshToken: Redacted.make(`rt-${name}`), ...grant })
  return Effect.orDie(GrantRecord.encode(change(GrantRecord.make(whole, 0)), "test"))
}

/** The record that is there. */
export const stored = (vault: Vault.Service, key = "login") =>
  Effect.flatMap(vault.get(key), (entry) => GrantRecord.decode(Option.getOrThrow(entry).value, "test"))

export const secretsOf = ({ grant }: GrantRecord.GrantRecord) => ({
  access: Redacted.value(grant.token.value),
  refresh: grant.refreshToken === undefined ? undefined : Redacted.value(grant.refreshToken)
})

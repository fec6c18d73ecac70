/** Opens the vault that is meant. Only what that one needs is loaded. */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import type { Misconfigured } from "effect-credentials/TokenError"
import type * as Vault from "effect-credentials/vault/Vault"
import type { VaultError } from "effect-credentials/vault/VaultError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Place } from "./protocol.js"

export const open = (
  place: Place
): Effect.Effect<
  Vault.Service,
  Misconfigured | VaultError,
  Scope.Scope | FileSystem.FileSystem | Path.Path
> => {
  switch (place._tag) {
    case "File":
      return Effect.flatMap(
        Effect.promise(() => import("effect-credentials/vault/FileVault")),
        (FileVault) => FileVault.make(place)
      )
    case "Postgres":
      return Effect.flatMap(
        Effect.promise(() => import("effect-credentials/vault/PostgresVault")),
        (PostgresVault) =>
          PostgresVault.make({ url: Redacted.make(place.url), connections: 1, timeLimit: "2 seconds" })
      )
    case "Redis":
      return Effect.flatMap(
        Effect.promise(() => import("effect-credentials/vault/RedisVault")),
        (RedisVault) => RedisVault.make({ url: Redacted.make(place.url), timeLimit: "2 seconds" })
      )
    case "Libsql":
      return Effect.flatMap(
        Effect.promise(() => import("effect-credentials/vault/LibsqlVault")),
        (LibsqlVault) => LibsqlVault.make({ path: place.path, timeLimit: "2 seconds" })
      )
  }
}

/**
 * The schemes of this library's own vaults, for a `VaultRegistry`. Each loads its vault when it is first
 * opened, so that knowing a scheme costs nothing and needs no package; opening one whose package is missing
 * is `Misconfigured`.
 *
 * @since 0.1.0
 */
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Misconfigured } from "../TokenError.js"
import type { VaultUri } from "./internal/uri.js"
import * as Grammars from "./internal/uriGrammars.js"
import type { Scheme, VaultRegistry } from "./VaultRegistry.js"
import * as Registry from "./VaultRegistry.js"

/**
 * `memory:` is a `MemoryVault`, an empty one each time it is opened.
 *
 * @since 0.1.0
 * @category schemes
 */
export const memory: Scheme = {
  ...Grammars.memory,
  open: () => Effect.flatMap(load("memory", () => import("./MemoryVault.js")), (module) => module.make())
}

/**
 * `file:///dir` is a `FileVault` in that directory, or in `C:/dir` for `file:///C:/dir` on Windows.
 *
 * @since 0.1.0
 * @category schemes
 */
export const file: Scheme<FileSystem.FileSystem | Path.Path> = {
  ...Grammars.file,
  open: (uri) =>
    Effect.flatMap(
      Effect.zip(pathOf(uri), load("file", () => import("./FileVault.js"))),
      ([directory, module]) => module.make({ directory })
    )
}

/**
 * `env://PREFIX_` is an `EnvironmentVault` of the variables with this prefix.
 *
 * @since 0.1.0
 * @category schemes
 */
export const environment: Scheme = {
  ...Grammars.environment,
  open: ({ path }) =>
    Effect.flatMap(
      load("env", () => import("./EnvironmentVault.js")),
      (module) => module.make({ prefix: path })
    )
}

/**
 * `keychain://service` is a `KeychainVault` of that service.
 *
 * @since 0.1.0
 * @category schemes
 */
export const keychain: Scheme = {
  ...Grammars.keychain,
  open: ({ path }) =>
    Effect.flatMap(
      load("keychain", () => import("./KeychainVault.js"), "@napi-rs/keyring"),
      (module) => module.make({ service: path })
    )
}

/**
 * `redis://user:password@host:6379/0?prefix=app:` is a `RedisVault`, and `rediss:` one over TLS.
 *
 * @since 0.1.0
 * @category schemes
 */
export const redis: Scheme<Scope.Scope> = {
  ...Grammars.redis,
  open: (uri) =>
    Effect.flatMap(
      load("redis", () => import("./RedisVault.js"), "ioredis"),
      (module) => module.make({ url: uri.toUrl(), prefix: uri.parameters["prefix"] })
    )
}

/**
 * `sqlite:///path?prefix=app_` is a `LibsqlVault` in that file, and `prefix` what its tables' names start
 * with.
 *
 * @since 0.1.0
 * @category schemes
 */
export const sqlite: Scheme<FileSystem.FileSystem | Path.Path | Scope.Scope> = {
  ...Grammars.sqlite,
  open: (uri) =>
    Effect.flatMap(
      Effect.zip(
        pathOf(uri),
        load("sqlite", () => import("./LibsqlVault.js"), "@effect/sql and @effect/sql-libsql")
      ),
      ([path, module]) => module.make({ path, prefix: uri.parameters["prefix"] })
    )
}

/**
 * `postgres://user:password@host:5432/database?sslmode=verify-full&prefix=app_` is a `PostgresVault`.
 *
 * @since 0.1.0
 * @category schemes
 */
export const postgres: Scheme<Scope.Scope> = {
  ...Grammars.postgres,
  open: (uri) =>
    Effect.flatMap(
      load("postgres", () => import("./PostgresVault.js"), "@effect/sql and @effect/sql-pg"),
      (module) => module.make({ url: uri.toUrl("sslmode"), prefix: uri.parameters["prefix"] })
    )
}

/**
 * `pass://folder/subfolder` is a `PassVault` in that folder of the password store.
 *
 * @since 0.1.0
 * @category schemes
 */
export const pass: Scheme<CommandExecutor.CommandExecutor | FileSystem.FileSystem | Path.Path> = {
  ...Grammars.pass,
  open: ({ path }) =>
    Effect.flatMap(
      load("pass", () => import("./PassVault.js")),
      (module) => module.make({ folder: path })
    )
}

const load = <Module>(
  scheme: string,
  module: () => Promise<Module>,
  packages?: string
): Effect.Effect<Module, Misconfigured> =>
  Effect.tryPromise({ try: module, catch: () => missing(scheme, packages) })

const missing = (scheme: string, packages: string | undefined): Misconfigured =>
  new Misconfigured({
    source: "vault URI",
    reason: "StoreUnsupported",
    detail: `${scheme}: its vault could not be loaded`,
    hint: packages === undefined ? "Install this package anew." : `Install ${packages}.`
  })

/** A path that is absolute on another system only would be taken as relative here. */
const pathOf = ({ path, scheme }: VaultUri): Effect.Effect<string, Misconfigured, Path.Path> =>
  Effect.flatMap(Path.Path, ({ isAbsolute }) =>
    isAbsolute(path) ? Effect.succeed(path) : Effect.fail(
      new Misconfigured({
        source: "vault URI",
        reason: "InvalidOption",
        detail: `${scheme}: the path is not absolute on this system`,
        hint: "Write the path as this system does, without a drive where there are none."
      })
    ))

/**
 * A registry of them all.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  VaultRegistry,
  Misconfigured,
  CommandExecutor.CommandExecutor | FileSystem.FileSystem | Path.Path
> = Registry.layer(memory, file, environment, keychain, pass, redis, sqlite, postgres)

/**
 * A vault of environment variables, for secrets that somebody else puts there. It reads and does nothing else.
 *
 * A key has one variable, and a variable one key: the prefix, then `a` to `z` as capitals, digits as they are,
 * and every other UTF-16 code unit as `_` with two hex digits, or `_U` with four where two don't do. So with
 * the prefix `APP_` the variable of `github/token` is `APP_GITHUB_2FTOKEN`, and that of `github_token` is
 * `APP_GITHUB_5FTOKEN`. Names stay apart where case is ignored, too.
 *
 * The value is the variable's text as it is. A variable that is unset is missing, and so is one that is empty:
 * shells, containers and build services set an empty text where a secret was not given.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { Misconfigured } from "../TokenError.js"
import { unsupported } from "./internal/contract.js"
import { sha256Hex } from "./internal/digest.js"
import * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"
import { Corrupt, Unreachable } from "./VaultError.js"
import * as VaultKey from "./VaultKey.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the names of the variables start with: a letter or `_`, then letters, digits and `_`. */
  readonly prefix: string
  /** The name that errors show. Default `environment`. */
  readonly name?: string | undefined
}

/**
 * A vault of the variables that the present `ConfigProvider` gives, which by default are those of the process.
 * Its version of a value is a digest of it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Vault.Service, Misconfigured> =>
  Effect.configProviderWith((provider) =>
    /^[A-Za-z_][A-Za-z0-9_]{0,99}$/.test(options.prefix)
      ? Effect.succeed(service(options.name ?? "environment", options.prefix, provider))
      : Effect.fail(wrongPrefix(options.name ?? "environment"))
  )

const wrongPrefix = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the prefix is not the beginning of a variable's name",
    hint: "Give 1 to 100 letters, digits and _, and no digit first."
  })

const capabilities: Vault.Capabilities = {
  writable: false,
  list: false,
  compareAndSet: "none",
  lease: "none",
  announce: "none",
  maxValueBytes: 1024 * 1024
}

const service = (
  vault: string,
  prefix: string,
  provider: ConfigProvider.ConfigProvider
): Vault.Service => {
  const readOnly = (action: "set" | "compareAndSet" | "remove") =>
    Effect.fail(unsupported(vault, action, "environment variables are only read"))
  return {
    name: vault,
    identity: identityOf(prefix, provider),
    capabilities,
    get: (key) =>
      Effect.flatMap(VaultKey.check(vault, "get", key), () => read(vault, variableOf(prefix, key), provider)),
    set: () => readOnly("set"),
    compareAndSet: () => readOnly("compareAndSet"),
    remove: () => readOnly("remove"),
    list: () => Effect.fail(unsupported(vault, "list", "a source of configuration can't be listed")),
    lease: () => Effect.fail(unsupported(vault, "lease", "environment variables have no leases")),
    changes: () => Stream.fail(unsupported(vault, "changes", "the environment tells nobody of a change"))
  }
}

/** The same for all vaults of one provider and prefix. */
const identityOf = (prefix: string, provider: ConfigProvider.ConfigProvider): Vault.Identity => {
  const known = identities.get(provider) ?? new Map<string, Vault.Identity>()
  const identity = known.get(prefix) ?? { name: `environment:${prefix}` }
  identities.set(provider, known.set(prefix, identity))
  return identity
}

const identities = globalValue(
  "effect-credentials/EnvironmentVault/identities",
  () => new WeakMap<ConfigProvider.ConfigProvider, Map<string, Vault.Identity>>()
)

const read = Effect.fnUntraced(function*(
  vault: string,
  variable: string,
  provider: ConfigProvider.ConfigProvider
) {
  const text = yield* provider.load(Config.string(variable)).pipe(
    Effect.map(Option.liftPredicate((text) => text !== "")),
    Effect.catchAll((error) =>
      ConfigError.isMissingDataOnly(error) ? Effect.succeedNone : failed(vault, error)
    )
  )
  if (Option.isNone(text)) return Option.none<Vault.Entry>()
  if (text.value.length > capabilities.maxValueBytes) return yield* tooLong(vault, variable)
  const version = yield* sha256Hex(JSON.stringify([variable, text.value]))
  return Option.some<Vault.Entry>({ value: Redacted.make(text.value), version: version.slice(0, 16) })
})

const failed = (vault: string, error: ConfigError.ConfigError): Effect.Effect<never, VaultError> =>
  Effect.fail(
    new Unreachable({
      vault,
      action: "get",
      detail: `the source of configuration failed with ${error._op}`,
      hint: "See that it can be read."
    })
  )

const tooLong = (vault: string, variable: string): Corrupt =>
  new Corrupt({
    vault,
    action: "get",
    detail: `the variable ${variable.slice(0, 200)} is too long for a secret`,
    hint: `Set it to at most ${capabilities.maxValueBytes} bytes.`
  })

/**
 * The variable that holds the key's value, so that people can set it.
 *
 * @since 0.1.0
 * @category encoding
 */
export const variableOf = (prefix: string, key: string): string =>
  prefix + key.replace(/[^0-9]/g, (unit) => /[a-z]/.test(unit) ? unit.toUpperCase() : escapeUnit(unit))

const escapeUnit = (text: string): string => {
  const unit = text.charCodeAt(0).toString(16).toUpperCase()
  return unit.length <= 2 ? `_${unit.padStart(2, "0")}` : `_U${unit.padStart(4, "0")}`
}

/**
 * Environment variables as the program's vault.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Vault.Vault, Misconfigured> =>
  Layer.effect(Vault.Vault, make(options))

/**
 * Environment variables as the program's vault, with a prefix that configuration names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Vault.Vault, Misconfigured | ConfigError.ConfigError> =>
  Layer.effect(Vault.Vault, Effect.flatMap(Config.unwrap(options), make))

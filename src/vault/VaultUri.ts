/**
 * Vaults named by a URI, such as `file:///var/lib/app/vault` or `rediss://user:password@host/0?prefix=app`.
 *
 * The grammar is that of RFC 3986, cut down: `scheme:`, and by scheme nothing more, `///` and an absolute
 * path, `//` and a name, or `//[user:password@]host[:port]/database`; then query parameters that the scheme
 * knows. What is special in a part is percent-encoded. Dots as path parts, fragments, control characters,
 * unknown, repeated and empty parts are refused, never repaired. No error and no rendering shows a secret.
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Misconfigured } from "../TokenError.js"
import type * as Uri from "./internal/uri.js"
import * as Grammars from "./internal/uriGrammars.js"
import { parse as parseWith } from "./internal/uriParse.js"
import * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"
import { VaultRegistry } from "./VaultRegistry.js"

export type { Database, Form, Grammar, Parameter } from "./internal/uri.js"

/**
 * A vault URI that keeps to its grammar; `parse` makes it.
 *
 * @since 0.1.0
 * @category models
 */
export type VaultUri = Uri.VaultUri

/**
 * The grammars of this library's own vaults.
 *
 * @since 0.1.0
 * @category constants
 */
export const grammars: ReadonlyArray<Uri.Grammar> = Grammars.all

/**
 * What the text says, with blanks around it cut off. It is read by this library's own grammars unless others
 * are given.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (
  text: string | Redacted.Redacted<string>,
  options?: { readonly grammars?: ReadonlyArray<Uri.Grammar> | undefined }
): Either.Either<VaultUri, Misconfigured> => parseWith(text, options?.grammars ?? grammars)

/**
 * The vault that the URI names, by the schemes of the registry; it lives as long as the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = (
  uri: string | Redacted.Redacted<string> | VaultUri
): Effect.Effect<Vault.Service, Misconfigured | VaultError, VaultRegistry | Scope.Scope> =>
  Effect.flatMap(VaultRegistry, (registry) => registry.open(uri))

/**
 * The program's vault by its URI.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  uri: string | Redacted.Redacted<string> | VaultUri
): Layer.Layer<Vault.Vault, Misconfigured | VaultError, VaultRegistry> => Layer.scoped(Vault.Vault, open(uri))

/**
 * The program's vault by a URI from configuration, such as `Config.redacted("VAULT_URI")`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  uri: Config.Config<string> | Config.Config<Redacted.Redacted<string>>
): Layer.Layer<Vault.Vault, Misconfigured | VaultError | ConfigError.ConfigError, VaultRegistry> =>
  Layer.scoped(
    Vault.Vault,
    Effect.flatMap(uri as Config.Config<string | Redacted.Redacted<string>>, open)
  )

/**
 * Names under which secrets are stored: how a key is derived from what it is for, and how any key becomes a
 * file name.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { sha256Hex } from "./internal/digest.js"
import type { Action } from "./VaultError.js"
import { Unsupported } from "./VaultError.js"

/**
 * The longest key, in UTF-16 code units.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxLength = 512

/**
 * What a derived key is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the secret is for, such as `OAUTH_REFRESH_TOKEN_`. */
  readonly prefix: string
  /** The resource that the token opens. */
  readonly resource: string
  /** The issuer that gave it. */
  readonly issuer: string
}

/**
 * A derived key. Its name is short, so that two of them can meet under one name; the binding, which is stored
 * with the grant, tells them apart.
 *
 * @since 0.1.0
 * @category models
 */
export interface VaultKey {
  /** The key in the vault. */
  readonly name: string
  /** What the grant is bound to: the whole SHA-256 of resource, NUL and issuer, as 64 hex digits. */
  readonly binding: string
}

/**
 * Where a grant is kept: a derived key, or plain text for a grant that is bound to nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type Input = string | VaultKey

/**
 * The key whose name is the prefix followed by the first 8 hex digits of the SHA-256 of resource, NUL and
 * issuer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<VaultKey> =>
  Effect.map(sha256Hex(`${options.resource}\0${options.issuer}`), (binding) => ({
    name: options.prefix + binding.slice(0, 8),
    binding
  }))

/**
 * The key in the vault.
 *
 * @since 0.1.0
 * @category getters
 */
export const nameOf = (self: Input): string => typeof self === "string" ? self : self.name

/**
 * What the grant under it must be bound to, if anything.
 *
 * @since 0.1.0
 * @category getters
 */
export const bindingOf = (self: Input): string | undefined =>
  typeof self === "string" ? undefined : self.binding

/**
 * The key if a vault can take it; an empty or too long one is `Unsupported`.
 *
 * @since 0.1.0
 * @category guards
 */
export const check = (vault: string, action: Action, key: string): Effect.Effect<string, Unsupported> =>
  key.length > 0 && key.length <= maxLength
    ? Effect.succeed(key)
    : Effect.fail(
      new Unsupported({
        vault,
        action,
        detail: key.length === 0 ? "the key is empty" : `the key has ${key.length} characters`,
        hint: `Use a key of 1 to ${maxLength} characters.`
      })
    )

/**
 * A file name for the key: lower-case letters, digits, `-`, `_` and `%` only, at most 100 characters, never a
 * reserved device name, and different for different keys even where case is ignored. Escapes are `%` with two
 * hex digits for a code unit below 256, `%u` with four for others. A key whose name would be longer gets `%h`
 * with the SHA-256 of that name; what is stored must then tell the key.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (key: string): Effect.Effect<string> => {
  const name = escape(key)
  return name.length <= maxNameLength
    ? Effect.succeed(name)
    : Effect.map(sha256Hex(name), (digest) => `%h${digest}`)
}

const maxNameLength = 100

const escape = (key: string): string =>
  reserved.test(key) ? escapeUnit(key) + key.slice(1) : key.replace(/[^a-z0-9_-]/g, escapeUnit)

/** The device names that Windows keeps to itself in every directory. */
const reserved = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])$/

const escapeUnit = (text: string): string => {
  const unit = text.charCodeAt(0).toString(16)
  return unit.length <= 2 ? `%${unit.padStart(2, "0")}` : `%u${unit.padStart(4, "0")}`
}

/**
 * The key that `encode` made this name of; `None` for a name that it makes of no key, and for a hashed one.
 *
 * @since 0.1.0
 * @category encoding
 */
export const decode = (name: string): Option.Option<string> => {
  const key = name.replace(
    /%u([0-9a-f]{4})|%([0-9a-f]{2})/g,
    (_, wide: string | undefined, narrow: string) => String.fromCharCode(parseInt(wide ?? narrow, 16))
  )
  return key !== "" && name.length <= maxNameLength && escape(key) === name ? Option.some(key) : Option.none()
}

/**
 * Whether the name is a hashed one, so that only the stored record tells its key.
 *
 * @since 0.1.0
 * @category encoding
 */
export const isHashed = (name: string): boolean => /^%h[0-9a-f]{64}$/.test(name)

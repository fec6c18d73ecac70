/** A vault URI that was understood, and the grammars of those that can be. */
import * as Inspectable from "effect/Inspectable"
import * as Redacted from "effect/Redacted"

/**
 * What may stand after the scheme. `Nothing`: `memory:`; `Path`: three slashes and an absolute path; `Name`:
 * two slashes and a name, with further names behind slashes where it is nested; `Server`: a host, with a user
 * and a password, a port and a database.
 *
 * @since 0.1.0
 * @category models
 */
export type Form =
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Path" }
  | { readonly _tag: "Name"; readonly nested: boolean }
  | { readonly _tag: "Server"; readonly database: Database }

/**
 * What the one part of a server's path may be.
 *
 * @since 0.1.0
 * @category models
 */
export type Database = "OptionalNumber" | "RequiredName"

/**
 * What the value of a query parameter may be: any text, a secret, or one of these.
 *
 * @since 0.1.0
 * @category models
 */
export type Parameter = "Plain" | "Secret" | ReadonlyArray<string>

/**
 * The grammar of the URIs of one kind of vault.
 *
 * @since 0.1.0
 * @category models
 */
export interface Grammar {
  /** The schemes, in lower case; a URI keeps the one that it has. */
  readonly schemes: readonly [string, ...ReadonlyArray<string>]
  readonly form: Form
  /** The query parameters that may be given, each at most once. */
  readonly parameters: Readonly<Record<string, Parameter>>
  /** How such a URI looks, for hints. */
  readonly example: string
}

/** The parts of a URI, decoded. */
export interface Parts {
  readonly scheme: string
  readonly user: Redacted.Redacted<string> | undefined
  readonly password: Redacted.Redacted<string> | undefined
  readonly host: string | undefined
  readonly port: number | undefined
  readonly path: string
  readonly parameters: Readonly<Record<string, string>>
  readonly secrets: Readonly<Record<string, Redacted.Redacted<string>>>
}

/**
 * A vault URI that keeps to its grammar, with its parts decoded. As text, in JSON and when inspected it shows
 * neither user, password nor secret parameter.
 *
 * @since 0.1.0
 * @category models
 */
export class VaultUri extends Inspectable.Class implements Parts {
  /** In lower case. */
  readonly scheme: string
  readonly user: Redacted.Redacted<string> | undefined
  readonly password: Redacted.Redacted<string> | undefined
  /** In lower case; an IPv6 address is in brackets. */
  readonly host: string | undefined
  readonly port: number | undefined
  /** The absolute path, the name, or the database; empty where there is none. */
  readonly path: string
  /** The query parameters that are no secrets. */
  readonly parameters: Readonly<Record<string, string>>
  /** The query parameters that are secrets. */
  readonly secrets: Readonly<Record<string, Redacted.Redacted<string>>>
  private readonly form: Form["_tag"]

  constructor(form: Form["_tag"], parts: Parts) {
    super()
    this.form = form
    this.scheme = parts.scheme
    this.user = parts.user
    this.password = parts.password
    this.host = parts.host
    this.port = parts.port
    this.path = parts.path
    this.parameters = parts.parameters
    this.secrets = parts.secrets
  }

  override toString(): string {
    const isAnonymous = this.user === undefined && this.password === undefined
    return this.render(isAnonymous ? "" : "<redacted>@") + query([
      ...Object.entries(this.parameters),
      ...Object.keys(this.secrets).map((name) => [name, undefined] as const)
    ])
  }

  override toJSON(): unknown {
    return { _id: "effect-credentials/VaultUri", uri: this.toString() }
  }

  /** The URI for a driver that takes one, with these of the parameters that are no secrets, and no others. */
  toUrl(...parameters: ReadonlyArray<string>): Redacted.Redacted<string> {
    const password = this.password === undefined ? "" : `:${encode(Redacted.value(this.password))}`
    const user = this.user === undefined ? "" : encode(Redacted.value(this.user))
    const kept = Object.entries(this.parameters).filter(([name]) => parameters.includes(name))
    return Redacted.make(this.render(user + password === "" ? "" : `${user}${password}@`) + query(kept))
  }

  private render(userInfo: string): string {
    const path = this.path.split("/").map(encode).join("/")
    switch (this.form) {
      case "Nothing":
        return `${this.scheme}:`
      case "Path":
        return `${this.scheme}://${isDrive(this.path) ? `/${this.path[0]}:${path.slice(4)}` : path}`
      case "Name":
        return `${this.scheme}://${path}`
      case "Server": {
        const port = this.port === undefined ? "" : `:${this.port}`
        return `${this.scheme}://${userInfo}${this.host}${port}${path === "" ? "" : `/${path}`}`
      }
    }
  }
}

/** Whether a path starts with a drive of Windows. */
export const isDrive = (path: string): boolean => /^[A-Za-z]:\//.test(path)

const encode = (text: string): string => encodeURIComponent(text)

const query = (parameters: ReadonlyArray<readonly [name: string, value: string | undefined]>): string =>
  parameters.map(([name, value], index) =>
    `${index === 0 ? "?" : "&"}${name}=${value === undefined ? "<redacted>" : encode(value)}`
  ).join("")

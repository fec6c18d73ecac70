/**
 * The schemes of vault URIs that a program knows. Schemes are plain data: `VaultSchemes` has this library's
 * own, and a program adds others the same way.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Misconfigured } from "../TokenError.js"
import type * as Uri from "./internal/uri.js"
import { VaultUri } from "./internal/uri.js"
import { grammarOf, parse, reread } from "./internal/uriParse.js"
import type * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"

/**
 * A kind of vault that URIs can name: the grammar of its URIs, and how it is opened by one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Scheme<R = never> extends Uri.Grammar {
  /** Gets only URIs that keep to the grammar. */
  readonly open: (uri: Uri.VaultUri) => Effect.Effect<Vault.Service, Misconfigured | VaultError, R>
}

/**
 * What schemes need besides a scope.
 *
 * @since 0.1.0
 * @category models
 */
export type Requirements<Schemes extends ReadonlyArray<Scheme<unknown>>> = Exclude<
  Effect.Effect.Context<ReturnType<Schemes[number]["open"]>>,
  Scope.Scope
>

/**
 * The schemes that a program knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly schemes: ReadonlyArray<Scheme<Scope.Scope>>
  /**
   * The vault that the URI names; it lives as long as the scope. A scheme that isn't here is `Misconfigured`,
   * and so is a URI that does not keep to its grammar here, whatever grammar it was parsed by.
   */
  readonly open: (
    uri: string | Redacted.Redacted<string> | Uri.VaultUri
  ) => Effect.Effect<Vault.Service, Misconfigured | VaultError, Scope.Scope>
}

/**
 * The registry of the program.
 *
 * @since 0.1.0
 * @category tags
 */
export class VaultRegistry
  extends Context.Tag("effect-credentials/VaultRegistry")<VaultRegistry, Service>()
{}

/**
 * A registry of these schemes; two that go by one name are `Misconfigured`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <const Schemes extends ReadonlyArray<Scheme<unknown>>>(
  ...schemes: Schemes
): Effect.Effect<Service, Misconfigured, Requirements<Schemes>> =>
  Effect.flatMap(
    Effect.context<Requirements<Schemes>>(),
    (context) => fromSchemes(schemes.map((scheme) => closed(scheme, context)))
  )

/** The scheme with all that it needs but a scope. */
const closed = <R>(scheme: Scheme<unknown>, context: Context.Context<R>): Scheme<Scope.Scope> => {
  const { open } = scheme as Scheme<R | Scope.Scope>
  return { ...scheme, open: (uri) => Effect.mapInputContext(open(uri), merged(context)) }
}

const merged =
  <R>(context: Context.Context<R>) =>
  (scope: Context.Context<Scope.Scope>): Context.Context<R | Scope.Scope> => Context.merge(context, scope)

const fromSchemes = (schemes: ReadonlyArray<Scheme<Scope.Scope>>): Effect.Effect<Service, Misconfigured> => {
  const names = schemes.flatMap((scheme) => scheme.schemes)
  const odd = names.find((name, index) => !/^[a-z][a-z0-9+.-]*$/.test(name) || names.indexOf(name) !== index)
  return odd === undefined
    ? Effect.succeed({ schemes, open: (uri) => openWith(schemes, uri) })
    : Effect.fail(unusable(odd))
}

const openWith = (
  schemes: ReadonlyArray<Scheme<Scope.Scope>>,
  input: string | Redacted.Redacted<string> | Uri.VaultUri
): Effect.Effect<Vault.Service, Misconfigured | VaultError, Scope.Scope> =>
  Effect.gen(function*() {
    const uri = yield* input instanceof VaultUri ? reread(input, schemes) : parse(input, schemes)
    const scheme = yield* grammarOf(uri.scheme, schemes)
    return yield* scheme.open(uri)
  })

const unusable = (name: string): Misconfigured =>
  new Misconfigured({
    source: "vault registry",
    reason: "InvalidOption",
    detail: `the scheme ${JSON.stringify(name.slice(0, 40))} is there twice, or is no name of a scheme`,
    hint: "Give each scheme another name: a letter, then letters, digits, `+`, `-` and `.`, in lower case."
  })

/**
 * A registry of these schemes, and of no others.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <const Schemes extends ReadonlyArray<Scheme<unknown>>>(
  ...schemes: Schemes
): Layer.Layer<VaultRegistry, Misconfigured, Requirements<Schemes>> =>
  Layer.effect(VaultRegistry, make(...schemes))

/**
 * The registry of the context with these schemes added.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAdd = <const Schemes extends ReadonlyArray<Scheme<unknown>>>(
  ...schemes: Schemes
): Layer.Layer<VaultRegistry, Misconfigured, VaultRegistry | Requirements<Schemes>> =>
  Layer.effect(
    VaultRegistry,
    Effect.flatMap(Effect.zip(VaultRegistry, make(...schemes)), ([before, added]) =>
      fromSchemes([...before.schemes, ...added.schemes]))
  )

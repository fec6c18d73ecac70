/**
 * A token source is an effect that yields a valid token. Sources are made by constructors, wrapped by small
 * combinators, and provided as Layers.
 *
 * Every constructor is an `Effect` of a source: what a source needs is captured when it is made, so that the source
 * itself needs nothing. Combinators take and give such effects.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Environment from "./internal/environment.js"
import { NamedSource } from "./internal/inspectable.js"
import * as RefreshScheduler from "./RefreshScheduler.js"
import * as Token from "./Token.js"
import { Misconfigured } from "./TokenError.js"
import type { TokenError, TokenUnavailable } from "./TokenError.js"
import * as TokenStatus from "./TokenStatus.js"

/**
 * What a caller asks for beyond "a valid token".
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenRequest {
  /** At least this much must be left of its lifetime. Default 0. */
  readonly minValidity?: Duration.DurationInput | undefined
  /** Any token but this one. */
  readonly supersede?: Token.Token | undefined
  /** Get a new one, whatever is held and whatever failed before. Default false. */
  readonly refresh?: boolean | undefined
  /** Whether a person may be asked to log in. Default true; background renewals say false. */
  readonly interactive?: boolean | undefined
}

/**
 * A source of tokens that fails with `E`. Safe for any number of concurrent callers. To wrap one, give what it has to
 * `make`; a spread (`{ ...source }`) loses what a class keeps on its prototype.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenSource<out E extends TokenError = TokenError> {
  /** The name that errors and status show. */
  readonly name: string
  /** How long one answer may rightly take; a cache on top gives up after it. */
  readonly timeLimit: Duration.Duration
  /** A valid token. */
  readonly get: Effect.Effect<Token.Token, E>
  /** A token that meets the request. */
  readonly request: (request: TokenRequest) => Effect.Effect<Token.Token, E>
  /** Says that a resource refused this token. Does nothing where another token is held by now. */
  readonly invalidate: (token: Token.Token) => Effect.Effect<void>
  /** The valid token that is held now, without waiting and without a fiber; none from sources that hold none. */
  readonly peek: () => Option.Option<Token.Token>
  /** What it knows about itself; asks nobody outside. */
  readonly status: Effect.Effect<TokenStatus.TokenStatus>
  /** Calls the listener after each change of status until the returned function is called. `TokenStream.changes` reads better. */
  readonly onChange: (listener: () => void) => () => void
}

/**
 * The tag for an app that has a single source. For several, see `Tag`.
 *
 * @since 0.1.0
 * @category tags
 */
export const TokenSource: Context.Tag<TokenSource, TokenSource> = Context.GenericTag<TokenSource>(
  "effect-credentials/TokenSource"
)

/**
 * A class for a named source: `class GitHub extends TokenSource.Tag("app/GitHub")<GitHub>() {}`. Its static `layer`
 * provides it, and its static `get` is a token from it. A second type argument narrows the errors that it can give.
 *
 * @since 0.1.0
 * @category tags
 */
export const Tag =
  <const Id extends string>(id: Id) => <Self, E extends TokenError = TokenError>(): TagClass<Self, Id, E> =>
    class extends Context.Tag(id)<Self, TokenSource<E>>() {
      static readonly get: Effect.Effect<Token.Token, E, Self> = Effect.flatMap(
        this as unknown as Context.Tag<Self, TokenSource<E>>,
        (source) => source.get
      )
      static readonly layer = <E2, R>(source: Effect.Effect<TokenSource<E>, E2, R>): LayerOf<Self, E2, R> =>
        layer(this as unknown as Context.Tag<Self, TokenSource<E>>, source)
    } as unknown as TagClass<Self, Id, E>

/**
 * The type of a class made by `Tag`.
 *
 * @since 0.1.0
 * @category tags
 */
export interface TagClass<Self, Id extends string, E extends TokenError>
  extends Context.TagClass<Self, Id, TokenSource<E>>
{
  /** A valid token from the source in the context. */
  readonly get: Effect.Effect<Token.Token, E, Self>
  /** The Layer that provides it. */
  readonly layer: <E2, R>(source: Effect.Effect<TokenSource<E>, E2, R>) => LayerOf<Self, E2, R>
}

/**
 * The Layer of a source: its scope and its scheduler come with it.
 *
 * @since 0.1.0
 * @category layers
 */
export type LayerOf<Self, E, R> = Layer.Layer<
  Self,
  E,
  Exclude<Exclude<R, Scope.Scope>, RefreshScheduler.RefreshScheduler>
>

/**
 * What `make` takes: the two things that every source has, and what differs from a source without memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E extends TokenError> extends Partial<Omit<TokenSource<E>, "get" | "name">> {
  readonly name: string
  readonly request: (request: TokenRequest) => Effect.Effect<Token.Token, E>
}

/**
 * A source from a function. Without more, it holds nothing: it has no `peek`, nothing to invalidate, never changes,
 * and its time limit is 30 seconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E extends TokenError>(options: Options<E>): TokenSource<E> => new Made(options)

/**
 * The same source with other answers: `request` gets each request, and whatever else the source does stays as it is.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withRequest = <E extends TokenError, E2 extends TokenError>(
  self: TokenSource<E>,
  request: (request: TokenRequest) => Effect.Effect<Token.Token, E2>
): TokenSource<E2> =>
  make({
    name: self.name,
    request,
    timeLimit: self.timeLimit,
    invalidate: (token) => self.invalidate(token),
    peek: () => self.peek(),
    status: self.status,
    onChange: (listener) => self.onChange(listener)
  })

/**
 * The same source that asks no person: what needs a login fails as if there were nobody to log in. For work that nobody
 * is watching, such as a request of a server or a background renewal. It may wait for a login that somebody else has
 * opened.
 *
 * @since 0.1.0
 * @category combinators
 */
export const quiet = <E extends TokenError>(self: TokenSource<E>): TokenSource<E> =>
  withRequest(self, (request) => self.request({ ...request, interactive: false }))

class Made<E extends TokenError> extends NamedSource implements TokenSource<E> {
  readonly name: string
  readonly timeLimit: Duration.Duration
  readonly get: Effect.Effect<Token.Token, E>
  readonly request: TokenSource<E>["request"]
  readonly invalidate: TokenSource<E>["invalidate"]
  readonly peek: TokenSource<E>["peek"]
  readonly status: TokenSource<E>["status"]
  readonly onChange: TokenSource<E>["onChange"]

  constructor(options: Options<E>) {
    super()
    this.name = options.name
    this.timeLimit = options.timeLimit ?? defaultTimeLimit
    this.request = options.request
    this.get = Effect.suspend(() => options.request({}))
    this.invalidate = options.invalidate ?? (() => Effect.void)
    this.peek = options.peek ?? Option.none
    this.status = options.status ??
      Effect.succeed(TokenStatus.make({ source: options.name, health: "Available" }))
    this.onChange = options.onChange ?? (() => () => {})
  }
}

const defaultTimeLimit = Duration.seconds(30)

/**
 * A source that always gives the same token. An empty or blank one is `Misconfigured` when the source is made, so it
 * is never sent.
 *
 * @since 0.1.0
 * @category constructors
 */
export const staticToken = (
  value: Redacted.Redacted<string>,
  options?: { readonly name?: string | undefined; readonly type?: string | undefined }
): Effect.Effect<TokenSource<never>, Misconfigured> => {
  const name = options?.name ?? "static token"
  const trimmed = textOf(Redacted.value(value)).trim()
  if (trimmed === "") return Effect.fail(emptySecret(name))
  const token = Token.make({ value: Redacted.make(trimmed), type: options?.type })
  return Effect.succeed(make({
    name,
    request: () => Effect.succeed(token),
    peek: () => Option.some(token),
    status: Effect.succeed(
      TokenStatus.make({ source: name, health: "Healthy", token: TokenStatus.describe(token) })
    )
  }))
}

/** Nothing at all comes from untyped code, such as an unset variable behind a `!`. */
const textOf = (value: unknown): string => (typeof value === "string" ? value : "")

const emptySecret = (name: string): Misconfigured =>
  new Misconfigured({
    source: name,
    reason: "EmptySecret",
    detail: "the secret is empty or blank",
    hint: "Give the key itself, or leave this source out."
  })

/**
 * An API key: a static token under the name that people use for it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const apiKey = (
  key: Redacted.Redacted<string>,
  options?: { readonly name?: string | undefined }
): Effect.Effect<TokenSource<never>, Misconfigured> => staticToken(key, { name: options?.name ?? "API key" })

/**
 * A source that reads the first of these configuration names that is set and not blank, anew on each call, through the
 * `ConfigProvider` in force when the source is made. Unset and blank are both `TokenUnavailable`; a provider that
 * can't answer is `Misconfigured`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const env = (
  names: string | readonly [string, ...ReadonlyArray<string>],
  options?: { readonly name?: string | undefined }
): Effect.Effect<TokenSource<TokenUnavailable | Misconfigured>> => {
  const all = typeof names === "string" ? [names] : names
  const name = options?.name ?? `environment ${all.join(", ")}`
  return Effect.configProviderWith((provider) => {
    const read = Effect.withConfigProvider(Environment.readFirst(all, name), provider)
    return Effect.succeed(make({ name, request: () => read, status: statusOf(name, read) }))
  })
}

const statusOf = (
  source: string,
  read: Effect.Effect<Token.Token, TokenError>
): Effect.Effect<TokenStatus.TokenStatus> =>
  Effect.match(read, {
    onFailure: (failure) => TokenStatus.make({ source, health: "Unavailable", failure }),
    onSuccess: () => TokenStatus.make({ source, health: "Available" })
  })

/**
 * What `fromEffect` takes beside the fetch.
 *
 * @since 0.1.0
 * @category models
 */
export interface FetchOptions {
  /** The name that errors and status show. Default `fetch`. */
  readonly name?: string | undefined
  /** How long one fetch may rightly take. Default 30 seconds. A cache on top enforces it. */
  readonly timeLimit?: Duration.DurationInput | undefined
}

/**
 * A source over any effect that fetches a token; each call runs it. `TokenCache.cached` makes it remember.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromEffect = <E extends TokenError, R = never>(
  fetch: Effect.Effect<Token.Token, E, R>,
  options?: FetchOptions
): Effect.Effect<TokenSource<E>, never, R> =>
  Effect.contextWith((context: Context.Context<R>) => new Fetch(fetch, context, options ?? {}))

/** A class, so that the hundred thousandth source costs little. */
class Fetch<E extends TokenError, R> extends NamedSource implements TokenSource<E> {
  private readonly fetch: Effect.Effect<Token.Token, E, R>
  private readonly context: Context.Context<R>
  private readonly options: FetchOptions

  constructor(fetch: Effect.Effect<Token.Token, E, R>, context: Context.Context<R>, options: FetchOptions) {
    super()
    this.fetch = fetch
    this.context = context
    this.options = options
  }

  get name(): string {
    return this.options.name ?? "fetch"
  }

  get timeLimit(): Duration.Duration {
    const { timeLimit } = this.options
    return timeLimit === undefined ? defaultTimeLimit : Duration.decode(timeLimit)
  }

  get get(): Effect.Effect<Token.Token, E> {
    return Effect.provide(this.fetch, this.context)
  }

  get request(): () => Effect.Effect<Token.Token, E> {
    return () => this.get
  }

  get status(): Effect.Effect<TokenStatus.TokenStatus> {
    return Effect.succeed(TokenStatus.make({ source: this.name, health: "Available" }))
  }

  get invalidate(): () => Effect.Effect<void> {
    return () => Effect.void
  }

  get peek(): () => Option.Option<Token.Token> {
    return Option.none
  }

  get onChange(): () => () => void {
    return () => () => {}
  }
}

/**
 * A new token whatever is held and whatever failed before, joined with a renewal that is already in flight.
 *
 * @since 0.1.0
 * @category combinators
 */
export const refresh = <E extends TokenError>(self: TokenSource<E>): Effect.Effect<Token.Token, E> =>
  self.request({ refresh: true })

/**
 * The Layer that provides a source under a tag, with the scope and the scheduler that it needs. All such Layers of one
 * program share one scheduler.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, E extends TokenError, E2, R>(
  tag: Context.Tag<Self, TokenSource<E>>,
  source: Effect.Effect<TokenSource<E>, E2, R>
): LayerOf<Self, E2, R> => RefreshScheduler.provide(Layer.scoped(tag, source))

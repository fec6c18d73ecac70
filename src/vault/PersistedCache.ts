/**
 * A memory over a persisted source that hears of what other processes do to the grant, where the vault can tell.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { RefreshScheduler } from "../RefreshScheduler.js"
import * as Token from "../Token.js"
import * as TokenCache from "../TokenCache.js"
import * as TokenSource from "../TokenSource.js"
import type { GrantRecord } from "./GrantRecord.js"
import * as Persisted from "./Persisted.js"
import * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"
import * as VaultKey from "./VaultKey.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<R> extends Persisted.Options<R> {
  /** When the memory renews, and how; see `TokenCache`. */
  readonly cache?: TokenCache.Options | undefined
  /** Put between the persisted source and the memory. Default nothing. */
  readonly wrap?: ((source: TokenSource.TokenSource) => TokenSource.TokenSource) | undefined
}

/**
 * `Persisted.make` under `TokenCache.make`. Where the vault announces writes, a token that another process has stored
 * is taken over at once, a login ends a failure that was remembered, and a logout empties the memory; elsewhere that is
 * found out at the next renewal. It listens until the scope closes, and again after a lost connection.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <R = never>(
  options: Options<R>
): Effect.Effect<TokenSource.TokenSource, never, Vault.Vault | RefreshScheduler | Scope.Scope | R> =>
  Effect.gen(function*() {
    const vault = yield* Vault.Vault
    const persisted = yield* Persisted.make(options)
    const state: State = { isNews: false, known: undefined }
    const below = (options.wrap ?? ((source) => source))(adopting(persisted, state))
    const cache = yield* TokenCache.make(below, options.cache)
    if (vault.capabilities.announce !== "none") {
      const load = Effect.provideService(Persisted.load(options.key), Vault.Vault, vault)
      const news = Effect.ignore(Effect.retry(follow(cache, state, load), patience))
      yield* Effect.forkScoped(Effect.interruptible(
        Stream.runForEach(vault.changes(VaultKey.nameOf(options.key)), () => news).pipe(
          Effect.retry(Schedule.spaced("5 seconds")),
          Effect.ignore
        )
      ))
    }
    return cache
  })

/** A vault that tells of a write can mostly be read; about half an hour is enough for the rest. */
const patience = Schedule.intersect(
  Schedule.union(Schedule.exponential("200 millis"), Schedule.spaced("30 seconds")),
  Schedule.recurs(60)
)

interface State {
  /** Whether the memory asks because of news. */
  isNews: boolean
  /** The token that the memory has got or was offered last: it is offered none twice. */
  known: Token.Token | undefined
}

/** While there is news, a new token is one that is stored. */
const adopting = (source: TokenSource.TokenSource, state: State): TokenSource.TokenSource =>
  TokenSource.withRequest(source, (request) =>
    Effect.tap(
      Effect.suspend(() => source.request(state.isNews ? { ...request, refresh: false } : request)),
      (token) =>
        Effect.sync(() => {
          state.known = token
        })
    ))

/**
 * Takes over what is stored, unless nobody has asked for a token yet. A token that the memory knows is no news,
 * even where it was refused: most writes only mark a grant, this process's own among them.
 */
const follow = Effect.fnUntraced(function*(
  cache: TokenSource.TokenSource,
  state: State,
  load: Effect.Effect<Option.Option<GrantRecord>, VaultError>
) {
  if ((yield* cache.status).health === "Idle") return
  const stored = Option.map(yield* load, ({ grant }) => grant.token)
  const held = cache.peek()
  const now = yield* Clock.currentTimeMillis
  if (Option.isNone(stored)) {
    if (Option.isSome(held)) yield* cache.invalidate(held.value)
  } else if (!Token.isExpired(stored.value, now) && !isKnown(held, state, stored.value)) {
    state.known = stored.value
    yield* adopt(cache, state)
  }
})

const isKnown = (held: Option.Option<Token.Token>, { known }: State, stored: Token.Token): boolean =>
  (known !== undefined && Token.isSame(known, stored)) ||
  Option.exists(held, (token) => Token.isSame(token, stored))

const adopt = (cache: TokenSource.TokenSource, state: State): Effect.Effect<void> =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      state.isNews = true
    }),
    () => Effect.ignore(cache.request({ refresh: true, interactive: false })),
    () =>
      Effect.sync(() => {
        state.isNews = false
      })
  )

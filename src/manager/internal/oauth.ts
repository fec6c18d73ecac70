/** What `OAuthSource` and `SignIn` are made of. */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as RefreshToken from "../../oauth/RefreshToken.js"
import type { RefreshScheduler } from "../../RefreshScheduler.js"
import type { Misconfigured } from "../../TokenError.js"
import * as TokenSource from "../../TokenSource.js"
import * as KeepAlive from "../../vault/KeepAlive.js"
import * as PersistedCache from "../../vault/PersistedCache.js"
import * as Persister from "../../vault/Persister.js"
import * as Redemption from "../../vault/Redemption.js"
import type * as Vault from "../../vault/Vault.js"
import * as VaultKey from "../../vault/VaultKey.js"

type Below = PersistedCache.Options<never>

/** What is said about the grant, and how it is kept; as `OAuthSource.Options` documents it. */
export interface Settings
  extends Pick<Below, "coolDown" | "deadline" | "graceWindow" | "leaseTerm" | "name">
{
  readonly refresh: RefreshToken.Options
  readonly key?: VaultKey.Input | undefined
  readonly persister?: Persister.Callback | undefined
  readonly keepAlive?: Duration.DurationInput | undefined
}

/** What all that works on the grant is given. */
export interface Shared extends Pick<Below, "coolDown" | "graceWindow" | "key" | "leaseTerm"> {
  readonly name: string
  readonly deadline: Duration.Duration
  readonly redeem: NonNullable<Below["redeem"]>
  /** Absent where nobody is to be told, so that a call for what is held costs no more than the memory. */
  readonly persister: Persister.Persister | undefined
}

/** Begins to keep the grant alive, if that is wanted. The scope waits for the persister: a command may end at once. */
export const prepare: (
  options: Settings
) => Effect.Effect<
  Shared,
  Misconfigured,
  Vault.Vault | HttpClient.HttpClient | RefreshScheduler | Scope.Scope
> = Effect.fnUntraced(function*(options) {
  const { coolDown, graceWindow, keepAlive, leaseTerm, refresh } = options
  const redeem = yield* RefreshToken.make(refresh)
  const deadline = Duration.decode(options.deadline ?? defaultDeadline(refresh))
  const key = options.key ?? (yield* keyOf(refresh))
  const name = options.name ?? `login at ${refresh.server.issuer}`
  const persister = options.persister && Persister.unsafeMake(name, options.persister)
  if (persister !== undefined) yield* Effect.addFinalizer(() => persister.settled)
  const shared: Shared = { key, name, redeem, coolDown, deadline, graceWindow, leaseTerm, persister }
  if (keepAlive !== undefined) yield* KeepAlive.make({ ...shared, every: keepAlive })
  return shared
})

/** What is cut off before its time may be a login that is lost, of a grant that is bound to a key too. */
const defaultDeadline = (refresh: RefreshToken.Options): Duration.Duration =>
  Duration.max(Redemption.defaultDeadline, RefreshToken.timeLimit(refresh))

export const keyOf = (refresh: RefreshToken.Options): Effect.Effect<VaultKey.VaultKey> =>
  VaultKey.make({
    prefix: "OAUTH_REFRESH_TOKEN_",
    resource: [refresh.resource ?? []].flat().join(" "),
    issuer: refresh.server.issuer
  })

/** The memory over what is stored. Where there is a persister, calls that need no vault tell it again too. */
export const remembered = (
  shared: Shared,
  options: Pick<Below, "cache" | "login" | "minUsable" | "wrap">
): Effect.Effect<TokenSource.TokenSource, never, Vault.Vault | RefreshScheduler | Scope.Scope> => {
  const memory = PersistedCache.make({ ...shared, ...options })
  const { persister } = shared
  return persister === undefined ?
    memory :
    Effect.map(
      memory,
      (memory) =>
        TokenSource.withRequest(
          memory,
          (request) => Effect.zipRight(persister.retry, memory.request(request))
        )
    )
}

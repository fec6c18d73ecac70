/** The logout from a resource: it ends the logins that there were, wherever the resource is now. */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Login from "../../login/Login.js"
import * as AuthorizationServer from "../../oauth/AuthorizationServer.js"
import type { RefreshScheduler } from "../../RefreshScheduler.js"
import { Misconfigured } from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"
import * as Persisted from "../../vault/Persisted.js"
import * as Vault from "../../vault/Vault.js"
import { toTokenError } from "../../vault/VaultError.js"
import type * as VaultKey from "../../vault/VaultKey.js"
import type { ClientRegistry } from "../ClientRegistry.js"
import type { Options } from "../ResourceSettings.js"
import * as SignIn from "../SignIn.js"
import * as Finding from "./resourceFinding.js"
import type { Keeper } from "./resourceKeeper.js"
import * as Logins from "./resourceLogin.js"
import * as Trace from "./resourceTrace.js"

type Needs = Vault.Vault | HttpClient.HttpClient | RefreshScheduler

type Logout = SignIn.Service["logout"]

export const make = <R>(
  options: Options<R>,
  name: string,
  parts: { readonly keeper: Keeper; readonly registry: ClientRegistry }
): Effect.Effect<Logout, never, Needs> =>
  Effect.contextWith((context) => {
    const { keeper, registry } = parts
    const pastOf = (party: Trace.Party) =>
      Effect.map(Trace.keyOf(party), (key): Past => {
        const self: Self<R> = { options, name, registry, party, key }
        return {
          isStored: Effect.provide(isStored(self), context),
          end: (how) => Effect.provide(Effect.scoped(end(self, how)), context),
          forget: Effect.provide(forget(self), context)
        }
      })
    return (how) => logOut(keeper, pastOf, how)
  })

/** A login that there was. */
interface Past {
  readonly isStored: Effect.Effect<boolean>
  /** Revokes its grant as `how` says, and removes it. */
  readonly end: Logout
  /** Removes the grant in any case; nobody outside is asked. */
  readonly forget: Effect.Effect<void, TokenError>
}

/**
 * The login that is held ends as such. Of the others each has its turn, whatever becomes of the one before and whoever
 * leaves meanwhile; then the first failure is given.
 */
const logOut = (
  keeper: Keeper,
  pastOf: (party: Trace.Party) => Effect.Effect<Past>,
  how: SignIn.LogoutOptions | undefined
): Effect.Effect<void, TokenError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const noted = yield* restore(keeper.traced)
      const past = yield* Effect.forEach(Option.getOrElse(noted, () => []), pastOf)
      const stored = yield* restore(Effect.filter(past, ({ isStored }) => isStored))
      const held = keeper.peek()
      // Where none is held and nothing was written down, it has to be found out whom there may be one with.
      const current = held === undefined ? keeper.current : Effect.succeed(held)
      const first = held === undefined && Option.isSome(noted)
        ? Exit.void
        : yield* Effect.exit(restore(Effect.flatMap(current, ({ signIn }) => signIn.logout(how))))
      const others = yield* Effect.forEach(stored, ({ end, forget }) =>
        Effect.flatMap(Effect.exit(restore(end(how))), (exit) => Effect.exit(Effect.zipRight(forget, exit))))
      yield* Effect.forEach([first, ...others], identity, { discard: true })
    })
  )

interface Self<R> {
  readonly options: Options<R>
  readonly name: string
  readonly registry: ClientRegistry
  readonly party: Trace.Party
  readonly key: VaultKey.VaultKey
}

/** One that can't be read is taken for one that is there. */
const isStored = <R>({ key }: Self<R>): Effect.Effect<boolean, never, Vault.Vault> =>
  Effect.flatMap(
    Vault.Vault,
    (vault) => Effect.orElseSucceed(Effect.map(vault.get(key.name), Option.isSome), () => true)
  )

const forget = <R>({ key, name }: Self<R>): Effect.Effect<void, TokenError, Vault.Vault> =>
  Effect.mapError(Persisted.forget(key), (error) => toTokenError(error, name))

/** As a `SignIn` does it, which asks the server nothing before there is something to ask. */
const end = Effect.fnUntraced(function*<R>(self: Self<R>, how: SignIn.LogoutOptions | undefined) {
  const { key, name, options, party, registry } = self
  if (options.trust?.(party.issuer) === false) {
    return how?.revoke === false
      ? undefined
      : yield* untrusted(name)
  }
  const { deadline, leaseTerm, maxResponseBytes, requestTimeLimit } = options
  const limits = { maxResponseBytes, requestTimeLimit }
  const client = yield* registry.known(party.issuer, party.client)
  const refresh = {
    ...limits,
    server: yield* serverAt(party.issuer, { ...limits, legacy: options.legacy }),
    client: Option.getOrElse(client, () => ({ id: party.client }))
  }
  const signIn = yield* Effect.provideService(
    SignIn.make({ name, key, deadline, leaseTerm, refresh }),
    Login.Login,
    Logins.nobody(name)
  )
  // A server that has forgotten the client of before has forgotten its grants too.
  const isGone = (error: TokenError) => Option.isNone(client) && Logins.isInvalidClient(error)
  yield* Effect.catchIf(signIn.logout(how), isGone, () => Effect.void)
})

const serverAt = (
  issuer: string,
  { legacy, ...limits }: Pick<Options, "legacy" | "maxResponseBytes" | "requestTimeLimit">
): Effect.Effect<AuthorizationServer.AuthorizationServer, Misconfigured, HttpClient.HttpClient> =>
  Effect.map(AuthorizationServer.discover({ issuer, document: "mcp", ...limits }), (server) => ({
    ...server,
    metadata: Effect.catchIf(
      server.metadata,
      ({ reason }) => reason === "InvalidMetadata" && legacy === true,
      () => Effect.flatMap(Finding.conventional(issuer), ({ metadata }) => metadata)
    )
  }))

const untrusted = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "IssuerMismatch",
    detail: "the grant of an issuer that is not trusted any more was removed here, but not revoked there",
    hint: "Revoke it at the issuer, where its sessions are listed."
  })

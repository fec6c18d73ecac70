/** A provider, a token file in a directory of its own, and what a process with a manager is made of. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpClient from "@effect/platform/HttpClient"
import * as Path from "@effect/platform/Path"
import type * as Grant from "effect-credentials/Grant"
import { Login } from "effect-credentials/login/Login"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import type * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenFileVault from "effect-credentials/vault/TokenFileVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"

export const textOf = ({ value }: Token.Token) => Redacted.value(value)

/** Files take real time, which a renewal on the virtual clock can't have: so none begins by itself. */
const onUse = { schedule: "onUse" } as const

export const setting = (options?: VirtualIdentityProvider.Options) =>
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const file = path.join(yield* fs.makeTempDirectoryScoped(), "token.json")
    const idp = yield* VirtualIdentityProvider.make(options)
    const server = yield* Effect.provideService(
      AuthorizationServer.discover({ issuer: idp.issuer }),
      HttpClient.HttpClient,
      idp.client
    )
    const refresh = { server, client: { id: "app" } }
    const vault = yield* TokenFileVault.make({ path: file })
    const logins = {
      count: 0,
      failure: undefined as TokenError | undefined,
      takes: Effect.void,
      scopes: undefined as ReadonlyArray<string> | undefined,
      change: (grant: Grant.Grant): Grant.Grant => grant
    }
    const login = {
      name: "test login",
      timeLimit: Duration.minutes(5),
      login: Effect.suspend((): Effect.Effect<Grant.Grant, TokenError> => {
        logins.count++
        const { change, failure, scopes, takes } = logins
        return Effect.zipRight(
          takes,
          failure === undefined ? Effect.map(idp.issue("app", scopes), change) : Effect.fail(failure)
        )
      })
    }
    /** The vault as another process sees it. */
    const asProcess = (name: string, change: Partial<Vault.Service> = {}): Vault.Service => ({
      ...vault,
      identity: { name },
      ...change
    })
    /** A manager in a process of its own. */
    const manager = (
      name: string,
      change: { readonly vault?: Partial<Vault.Service>; readonly options?: Partial<SignIn.Options> } = {}
    ) =>
      SignIn.make({ refresh, key: "login", cache: onUse, ...change.options }).pipe(
        Effect.provideService(Vault.Vault, asProcess(name, change.vault)),
        Effect.provideService(HttpClient.HttpClient, idp.client),
        Effect.provideService(Login, login)
      )
    const redemptions = Effect.map(idp.journal, (entries) =>
      entries.filter(({ grantType, status }) =>
        grantType === "refresh_token" && status === 200
      ).length)
    const json = Effect.map(fs.readFileString(file), (text): Record<string, unknown> => JSON.parse(text))
    const write = (fields: unknown) => fs.writeFileString(file, JSON.stringify(fields, undefined, 2))
    /** As the seed's program stores a login of its own. */
    const seed = (others: Readonly<Record<string, unknown>> = {}) =>
      Effect.gen(function*() {
        const { refreshToken, token } = yield* idp.issue("app")
        const shared = {
          access: textOf(token),
          refresh: Redacted.value(refreshToken ?? Redacted.make("")),
          expires: token.expiresAt
        }
        yield* write({ ...shared, ...others })
        return shared
      })
    return {
      asProcess,
      file,
      fs,
      idp,
      json,
      login,
      logins,
      manager,
      redemptions,
      refresh,
      seed,
      vault,
      write
    }
  })

export const now = Clock.currentTimeMillis

export const scheduler = RefreshScheduler.layer

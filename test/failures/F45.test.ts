/** Logout: revoke, then delete, always both, in that order. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import { Login } from "effect-credentials/login/Login"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as Password from "effect-credentials/oauth/Password"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import { TransientFailure } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import { Denied } from "effect-credentials/vault/VaultError"
import type { VaultError } from "effect-credentials/vault/VaultError"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { json, serve, text } from "../oauth/kit.js"
import type { Call, Handler } from "../oauth/kit.js"
import * as OidcProvider from "../support/OidcProvider.js"
import * as ProviderGrants from "../support/ProviderGrants.js"

const onUse = { schedule: "onUse" } as const

describe("F45 after a logout from a real provider", () => {
  const clients: ReadonlyArray<readonly [what: string, client: Client.Client]> = [
    ["confidential", { id: "machine", auth: Client.basic(Redacted.make(ProviderGrants.clientSecret)) }],
    ["public", { id: "public" }]
  ]

  /** Somebody who is logged in, and what is known of that. */
  const real = (client: Client.Client) =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make({ clients: ProviderGrants.clients })
      ProviderGrants.register(idp.provider)
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const password = Redacted.make(ProviderGrants.password)
      const login = yield* Password.makeLogin({ server, client, username: "alice", password })
      let grant: Grant.Grant | undefined
      const noted = {
        ...login,
        login: Effect.tap(login.login, (given) => Effect.sync(() => void (grant = given)))
      }
      const signIn = yield* SignIn.make({ refresh: { server, client }, key: "login", cache: onUse }).pipe(
        Effect.provideService(Login, noted)
      )
      yield* signIn.login
      const held = grant ?? (yield* Effect.dieMessage("nobody logged in"))
      const redeem = yield* RefreshToken.make({ server, client })
      const find = Effect.promise(() => idp.provider.AccessToken.find(Redacted.value(held.token.value)))
      return { find, held, redeem, signIn }
    })

  const Parts = [MemoryVault.layer, RefreshScheduler.layer, NodeHttpClient.layerUndici] as const

  for (const [what, client] of clients) {
    it.scopedLive(`the refresh token of a ${what} client is dead, and so is the access token`, () =>
      Effect.gen(function*() {
        const { find, held, redeem, signIn } = yield* real(client)
        expect(yield* find).toBeDefined()
        yield* signIn.logout()
        expect(yield* find).toBe(undefined)
        expect(yield* Effect.flip(redeem(held))).toMatchObject({ reason: "GrantRejected" })
        expect(yield* Effect.flip(signIn.token)).toMatchObject({ reason: "LoginRequired" })
      }).pipe(Effect.provide(Parts)))
  }

  it.scopedLive("that asks nobody, only what is here is gone", () =>
    Effect.gen(function*() {
      const { find, held, redeem, signIn } = yield* real({ id: "public" })
      yield* signIn.logout({ revoke: false })
      expect(yield* find).toBeDefined()
      expect((yield* redeem(held)).refreshToken).toBeDefined()
      expect(yield* Effect.flip(signIn.token)).toMatchObject({ reason: "LoginRequired" })
    }).pipe(Effect.provide(Parts)))
})

const held = Grant.make({
  token: Token.make({ value: Redacted.make("access"), expiresAt: 3_600_000 }),
  refreshToken: Redacted.make("refresh")
})

interface Setting {
  readonly handler: Handler
  readonly endpoint?: boolean
  readonly vault?: Partial<Vault.Service>
  readonly metadata?: TransientFailure
}

/** Somebody who is logged in at a server made of one function, and the order of what happens. */
const setting = ({ endpoint = true, handler, metadata, vault = {} }: Setting) =>
  Effect.gen(function*() {
    const events: Array<string> = []
    const calls: Array<Call> = []
    const memory = yield* MemoryVault.make()
    const noting: Vault.Service = {
      ...memory,
      remove: (key, generation) =>
        Effect.zipRight(
          Effect.sync(() => void events.push("removed")),
          memory.remove(key, generation)
        ),
      ...vault
    }
    const known = yield* AuthorizationServer.make({
      tokenEndpoint: "https://idp.test/token",
      ...(endpoint ? { revocationEndpoint: "https://idp.test/revoke" } : {})
    })
    const server = metadata === undefined ? known : { ...known, metadata: Effect.fail(metadata) }
    const seen: Handler = (call) =>
      Effect.suspend(() => {
        events.push(`revoke ${call.form.get("token") ?? ""}`)
        return handler(call)
      })
    const signIn = yield* SignIn.make({
      refresh: { server, client: { id: "app" } },
      key: "login",
      cache: onUse
    }).pipe(
      Effect.provideService(Vault.Vault, noting),
      Effect.provideService(Login, {
        name: "login",
        login: Effect.succeed(held),
        timeLimit: Duration.minutes(1)
      }),
      Effect.provide(serve(seen, calls))
    )
    yield* signIn.login
    events.length = 0
    const isThere = Effect.map(memory.get("login"), Option.isSome)
    return { calls, events, isThere, signIn }
  })

/** Lets time pass until it is done. */
const passing = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    for (let step = 0; fiber.unsafePoll() === null && step < 200; step++) {
      yield* TestClock.adjust("1 second")
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    return yield* Fiber.join(fiber)
  })

const always = (answer: () => Response): Handler => () => Effect.sync(answer)

const lookedUp = "https://idp.test/revoke"

describe("F45 a logout", () => {
  const virtual = (
    what: string,
    options: Setting,
    test: (
      all: Effect.Effect.Success<ReturnType<typeof setting>>
    ) => Effect.Effect<void, void | Token.Token | TokenError | VaultError>
  ) =>
    it.scoped(what, () => Effect.flatMap(setting(options), test).pipe(Effect.provide(RefreshScheduler.layer)))

  virtual(
    "revokes the refresh token, the access token, and then removes",
    { handler: always(text("")) },
    (all) =>
      Effect.gen(function*() {
        expect(yield* passing(all.signIn.logout())).toEqual(Exit.void)
        expect(all.events).toEqual(["revoke refresh", "revoke access", "removed"])
        expect(all.calls.map(({ url }) => url)).toEqual([lookedUp, lookedUp])
        expect(yield* all.isThere).toBe(false)
      })
  )

  virtual("asks nobody where the server has no such endpoint, and removes", {
    handler: always(text("")),
    endpoint: false
  }, (all) =>
    Effect.gen(function*() {
      expect(yield* passing(all.signIn.logout())).toEqual(Exit.void)
      expect(all.events).toEqual(["removed"])
    }))

  virtual("that has to revoke says after the removal that it can't", {
    handler: always(text("")),
    endpoint: false
  }, (all) =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(Effect.flatten(passing(all.signIn.logout({ revoke: true }))))).toMatchObject({
        _tag: "Misconfigured",
        reason: "UnsupportedGrant"
      })
      expect(all.events).toEqual(["removed"])
      expect(yield* all.isThere).toBe(false)
    }))

  virtual(
    "that is not to revoke asks nobody",
    { handler: always(text("")) },
    (all) =>
      Effect.gen(function*() {
        expect(yield* passing(all.signIn.logout({ revoke: false }))).toEqual(Exit.void)
        expect(all.events).toEqual(["removed"])
      })
  )

  virtual("can revoke in a way of its own", { handler: always(text("")) }, (all) =>
    Effect.gen(function*() {
      const revoke = () => Effect.sync(() => void all.events.push("own"))
      expect(yield* passing(all.signIn.logout({ revoke }))).toEqual(Exit.void)
      expect(all.events).toEqual(["own", "removed"])
    }))

  const failures: ReadonlyArray<readonly [what: string, options: Setting, error: object]> = [
    ["the server is down", { handler: always(text("", { status: 503 })) }, { reason: "ServerError" }],
    ["the connection breaks", { handler: () => Effect.fail("dropped") }, { reason: "ReplyLost" }],
    ["the server hangs", { handler: () => Effect.never }, { reason: "Timeout" }],
    ["the client is refused", { handler: always(json({ error: "invalid_client" }, { status: 401 })) }, {
      reason: "InvalidClient"
    }],
    ["the server revokes no such tokens", {
      handler: always(json({ error: "unsupported_token_type" }, { status: 400 }))
    }, { _tag: "RequestRejected" }],
    ["nobody knows where to revoke", {
      handler: always(text("")),
      metadata: new TransientFailure({
        source: "discovery",
        reason: "Network",
        detail: "down",
        hint: "Wait."
      })
    }, { source: "discovery" }]
  ]
  for (const [what, options, error] of failures) {
    virtual(`removes where ${what}, and then says so`, options, (all) =>
      Effect.gen(function*() {
        expect(yield* Effect.flip(Effect.flatten(passing(all.signIn.logout())))).toMatchObject(error)
        expect(all.events.at(-1)).toBe("removed")
        expect(yield* all.isThere).toBe(false)
        expect(yield* Effect.flip(all.signIn.token)).toMatchObject({ reason: "LoginRequired" })
      }))
  }

  it.scoped("that is interrupted while it revokes removes all the same", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const handler: Handler = () => Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never)
      const { events, isThere, signIn } = yield* setting({ handler })
      const fiber = yield* Effect.fork(signIn.logout())
      yield* Deferred.await(asked)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(events).toEqual(["revoke refresh", "removed"])
      expect(yield* isThere).toBe(false)
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  virtual(
    "takes no longer than its deadline",
    { handler: () => Effect.never },
    (all) =>
      Effect.gen(function*() {
        yield* passing(all.signIn.logout())
        expect(yield* Clock.currentTimeMillis).toBeLessThanOrEqual(66_000)
      })
  )

  const denied = new Denied({ vault: "v", action: "remove", detail: "read-only", hint: "Ask." })
  virtual("from a vault that keeps everything has revoked, and says what is left", {
    handler: always(text("")),
    vault: { remove: () => Effect.fail(denied) }
  }, (all) =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(Effect.flatten(passing(all.signIn.logout())))).toMatchObject({
        reason: "StoreDenied"
      })
      expect(all.events).toEqual(["revoke refresh", "revoke access"])
    }))

  virtual("of nobody asks nobody", { handler: always(text("")) }, (all) =>
    Effect.gen(function*() {
      yield* passing(all.signIn.logout())
      all.events.length = 0
      expect(yield* passing(all.signIn.logout())).toEqual(Exit.void)
      expect(all.events.filter((event) => event.startsWith("revoke"))).toEqual([])
    }))
})

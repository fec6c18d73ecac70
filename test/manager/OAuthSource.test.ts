import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import type * as Grant from "effect-credentials/Grant"
import { Login } from "effect-credentials/login/Login"
import * as OAuthSource from "effect-credentials/manager/OAuthSource"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Fault from "effect-credentials/testing/Fault"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import type * as Token from "effect-credentials/Token"
import { ReauthRequired, TransientFailure } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import { Locked } from "effect-credentials/vault/VaultError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"

const textOf = ({ value }: Token.Token) => Redacted.value(value)

/** A provider, a vault that all processes share, and what a process is made of. */
const setting = (options?: VirtualIdentityProvider.Options) =>
  Effect.gen(function*() {
    const idp = yield* VirtualIdentityProvider.make(options)
    const vault = yield* MemoryVault.make()
    const server = yield* Effect.provideService(
      AuthorizationServer.discover({ issuer: idp.issuer }),
      HttpClient.HttpClient,
      idp.client
    )
    const refresh = { server, client: { id: "app" } }
    const key = yield* OAuthSource.keyOf(refresh)
    const logins = { count: 0, failure: undefined as TokenError | undefined }
    const login = {
      name: "test login",
      timeLimit: Duration.minutes(5),
      login: Effect.suspend((): Effect.Effect<Grant.Grant, TokenError> => {
        logins.count++
        return logins.failure === undefined ? idp.issue("app") : Effect.fail(logins.failure)
      })
    }
    /** As another process sees the vault. */
    const asProcess = (name: string, change: Partial<Vault.Service> = {}): Vault.Service => ({
      ...vault,
      identity: { name },
      ...change
    })
    const within = (store: Vault.Service) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
      self.pipe(
        Effect.provideService(Vault.Vault, store),
        Effect.provideService(HttpClient.HttpClient, idp.client),
        Effect.provideService(Login, login)
      )
    const redemptions = Effect.map(idp.journal, (entries) =>
      entries.filter(({ grantType, status }) =>
        grantType === "refresh_token" && status === 200
      ).length)
    const logIn = Effect.flatMap(idp.issue("app"), (grant) => within(vault)(Persisted.save(key, grant)))
    return { asProcess, idp, key, logIn, login, logins, redemptions, refresh, vault, within }
  })

const scoped = it.scoped

describe("the tiers", () => {
  scoped(
    "memory, the stored token, the stored refresh token, a login: each warms those above it",
    () =>
      Effect.gen(function*() {
        const { asProcess, logins, redemptions, refresh, within } = yield* setting()
        const first = yield* within(asProcess("1"))(OAuthSource.interactive({ refresh }))
        const token = yield* first.get
        expect([logins.count, yield* redemptions]).toEqual([1, 0])

        const second = yield* within(asProcess("2"))(OAuthSource.interactive({ refresh }))
        expect(textOf(yield* second.get)).toBe(textOf(token))
        expect([logins.count, yield* redemptions]).toEqual([1, 0])

        yield* TestClock.adjust("61 minutes")
        const third = yield* within(asProcess("3"))(OAuthSource.interactive({ refresh }))
        const renewed = textOf(yield* third.get)
        expect(renewed).not.toBe(textOf(token))
        expect([textOf(yield* first.get), textOf(yield* second.get)]).toEqual([renewed, renewed])
        expect([logins.count, yield* redemptions]).toEqual([1, 1])
      }).pipe(Effect.provide(RefreshScheduler.layer))
  )

  scoped("what memory holds costs no look into the vault", () =>
    Effect.gen(function*() {
      const { asProcess, logIn, refresh, vault, within } = yield* setting()
      yield* logIn
      let reads = 0
      const counted = asProcess("1", {
        get: (key) =>
          Effect.suspend(() => {
            reads++
            return vault.get(key)
          })
      })
      const source = yield* within(counted)(OAuthSource.make({ refresh }))
      yield* Effect.replicateEffect(source.get, 100)
      expect(reads).toBeLessThanOrEqual(2)
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  scoped(
    "a grant of another issuer or resource is not found under the derived key",
    () =>
      Effect.gen(function*() {
        const { asProcess, logIn, refresh, within } = yield* setting()
        yield* logIn
        const other = yield* within(asProcess("1"))(
          OAuthSource.make({ refresh: { ...refresh, resource: "https://other.test" } })
        )
        expect(yield* Effect.flip(other.get)).toMatchObject({ reason: "LoginRequired" })
      }).pipe(Effect.provide(RefreshScheduler.layer))
  )
})

describe("without a login", () => {
  const fallback = new ReauthRequired({
    source: "my app",
    reason: "LoginExpired",
    detail: "nobody has run `my-app login` yet",
    hint: "Run `my-app login`."
  })

  scoped("the fallback says that nobody is logged in", () =>
    Effect.gen(function*() {
      const { asProcess, refresh, within } = yield* setting()
      const source = yield* within(asProcess("1"))(OAuthSource.make({ refresh, fallback }))
      expect(yield* Effect.flip(source.get)).toBe(fallback)
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  scoped(
    "what really failed goes before the fallback: a locked vault, the network, a refused grant",
    () =>
      Effect.gen(function*() {
        const { asProcess, idp, logIn, refresh, within } = yield* setting()
        const locked = new Locked({
          vault: "keychain",
          action: "get",
          detail: "it is locked",
          hint: "Unlock it."
        })
        const blocked = asProcess("1", { get: () => Effect.fail(locked) })
        const first = yield* within(blocked)(OAuthSource.make({ refresh, fallback }))
        expect(yield* Effect.flip(first.get)).toMatchObject({ reason: "StoreLocked" })

        yield* logIn
        yield* TestClock.adjust("2 hours")
        const outage = yield* idp.inject(Fault.outage)
        const second = yield* within(asProcess("2"))(OAuthSource.make({ refresh, fallback }))
        expect(yield* Effect.flip(second.get)).toMatchObject({ reason: "Network" })
        yield* outage.clear

        const invalid = Fault.status(400, { body: `{"error":"invalid_grant"}` })
        yield* idp.inject(invalid, { grantType: "refresh_token" })
        const third = yield* within(asProcess("3"))(OAuthSource.make({ refresh, fallback }))
        expect(yield* Effect.flip(third.get)).toMatchObject({ reason: "GrantRejected" })
      }).pipe(Effect.provide(RefreshScheduler.layer))
  )
})

describe("a login is not opened", () => {
  const cases: ReadonlyArray<readonly [what: string, fault: Fault.Fault]> = [
    ["by an outage", Fault.outage],
    ["by a 503", Fault.status(503)],
    ["by a 429", Fault.status(429)],
    ["by a lost answer", Fault.droppedReply]
  ]
  for (const [what, fault] of cases) {
    scoped(what, () =>
      Effect.gen(function*() {
        const { asProcess, idp, logIn, logins, refresh, within } = yield* setting()
        yield* logIn
        yield* TestClock.adjust("2 hours")
        yield* idp.inject(fault, { grantType: "refresh_token" })
        const source = yield* within(asProcess("1"))(OAuthSource.interactive({ refresh }))
        const caller = yield* Effect.fork(Effect.flip(source.get))
        yield* TestClock.adjust("2 minutes")
        yield* Fiber.join(caller)
        expect(logins.count).toBe(0)
      }).pipe(Effect.provide(RefreshScheduler.layer)))
  }

  scoped("by a locked vault, nor for who asks not to be asked", () =>
    Effect.gen(function*() {
      const { asProcess, logins, refresh, within } = yield* setting()
      const locked = new Locked({
        vault: "keychain",
        action: "get",
        detail: "it is locked",
        hint: "Unlock it."
      })
      const first = yield* within(asProcess("1", { get: () => Effect.fail(locked) }))(
        OAuthSource.interactive({ refresh })
      )
      yield* Effect.flip(first.get)
      const second = yield* within(asProcess("2"))(OAuthSource.interactive({ refresh }))
      expect(yield* Effect.flip(second.request({ interactive: false }))).toMatchObject({
        reason: "LoginRequired"
      })
      expect(logins.count).toBe(0)
    }).pipe(Effect.provide(RefreshScheduler.layer)))
})

describe("a login is opened", () => {
  scoped("once for all callers, where the issuer has refused what is stored", () =>
    Effect.gen(function*() {
      const { asProcess, idp, logIn, logins, refresh, within } = yield* setting()
      yield* logIn
      yield* TestClock.adjust("2 hours")
      const invalid = Fault.status(400, { body: `{"error":"invalid_grant"}` })
      yield* idp.inject(invalid, { grantType: "refresh_token" })
      const source = yield* within(asProcess("1"))(OAuthSource.interactive({ refresh }))
      yield* Effect.all(Effect.replicate(source.get, 50), { concurrency: "unbounded" })
      expect(logins.count).toBe(1)
    }).pipe(Effect.provide(RefreshScheduler.layer)))
})

describe("the persister", () => {
  const persisting = Effect.gen(function*() {
    const all = yield* setting()
    const told: Array<string> = []
    const fails = { now: false }
    const persister = (grant: Grant.Grant) =>
      Effect.suspend(() => {
        if (fails.now) return Effect.fail(broken)
        told.push(Redacted.value(grant.refreshToken ?? Redacted.make("")))
        return Effect.void
      })
    return { ...all, fails, persister, told }
  })
  const broken = new TransientFailure({
    source: "my settings",
    reason: "StoreUnreachable",
    detail: "the disk is full",
    hint: "Make room.",
    retryAt: undefined
  })

  scoped(
    "is told of a login and of each rotation, once, in the process where they happen",
    () =>
      Effect.gen(function*() {
        const { asProcess, persister, redemptions, refresh, told, within } = yield* persisting
        const first = yield* within(asProcess("1"))(OAuthSource.interactive({ refresh, persister }))
        const others: Array<string> = []
        const second = yield* within(asProcess("2"))(OAuthSource.make({
          refresh,
          persister: () => Effect.sync(() => void others.push("told"))
        }))
        yield* first.get
        yield* second.get
        expect([told.length, others.length]).toEqual([1, 0])
        yield* TestClock.adjust("2 hours")
        yield* first.get
        yield* second.get
        expect(told.length + others.length).toBe(1 + (yield* redemptions))
        expect(new Set(told).size).toBe(told.length)
      }).pipe(Effect.provide(RefreshScheduler.layer))
  )

  scoped("is not told of a renewal that kept the refresh token", () =>
    Effect.gen(function*() {
      const { asProcess, idp, key, refresh, vault, within } = yield* setting({ rotation: "Omit" })
      yield* within(vault)(Persisted.save(key, yield* idp.issue("app")))
      let told = 0
      const source = yield* within(asProcess("1"))(OAuthSource.make({
        refresh,
        persister: () => Effect.sync(() => void told++)
      }))
      yield* TestClock.adjust("3 hours")
      yield* source.get
      expect(told).toBe(0)
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  scoped(
    "that fails withholds no token, shows in the status, and is told again",
    () =>
      Effect.gen(function*() {
        const { asProcess, fails, persister, refresh, told, within } = yield* persisting
        fails.now = true
        const source = yield* within(asProcess("1"))(OAuthSource.interactive({ refresh, persister }))
        yield* source.get
        yield* TestClock.adjust("29 seconds")
        const status = yield* source.status
        expect(JSON.stringify(status)).toContain("the disk is full")
        fails.now = false
        yield* source.get
        yield* TestClock.adjust("1 seconds")
        expect(told).toEqual([])
        yield* source.get
        yield* TestClock.adjust("1 seconds")
        expect(told.length).toBe(1)
        yield* TestClock.adjust("2 hours")
        yield* source.get
        yield* TestClock.adjust("1 seconds")
        expect(told.length).toBeGreaterThan(1)
        expect(JSON.stringify(yield* source.status)).not.toContain("the disk is full")
      }).pipe(Effect.provide(RefreshScheduler.layer))
  )

  scoped("is told by the renewal that keeps the grant alive, too", () =>
    Effect.gen(function*() {
      const { asProcess, logIn, persister, redemptions, refresh, told, within } = yield* persisting
      yield* logIn
      yield* within(asProcess("1"))(OAuthSource.make({ refresh, persister, keepAlive: "10 days" }))
      yield* TestClock.adjust("241 hours")
      expect([told.length, yield* redemptions]).toEqual([1, 1])
    }).pipe(Effect.provide(RefreshScheduler.layer)))

  it.effect("that is at work when the scope closes is waited for", () =>
    Effect.gen(function*() {
      const { asProcess, persister, refresh, told, within } = yield* persisting
      const using = Effect.flatMap(
        OAuthSource.interactive({
          refresh,
          persister: (grant) => Effect.delay(persister(grant), "5 seconds")
        }),
        (source) => source.get
      )
      const program = yield* Effect.fork(Effect.scoped(within(asProcess("1"))(using)))
      while (told.length === 0 && program.unsafePoll() === null) yield* TestClock.adjust("1 seconds")
      yield* Fiber.join(program)
      expect(told.length).toBe(1)
    }).pipe(Effect.provide(RefreshScheduler.layer)))
})

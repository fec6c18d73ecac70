import * as NodeContext from "@effect/platform-node/NodeContext"
import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import type * as Grant from "effect-credentials/Grant"
import { Login } from "effect-credentials/login/Login"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as Fault from "effect-credentials/testing/Fault"
import { ReauthRequired, TransientFailure } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import type * as Vault from "effect-credentials/vault/Vault"
import { Denied, Unreachable } from "effect-credentials/vault/VaultError"
import type { VaultError } from "effect-credentials/vault/VaultError"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { now, scheduler, setting, textOf } from "./signIns.js"

type Setting = Effect.Effect.Success<ReturnType<typeof setting>>

const layer = Layer.merge(scheduler, NodeContext.layer)

const virtual = <A, E>(
  name: string,
  test: (
    all: Setting
  ) => Effect.Effect<A, E, Layer.Layer.Success<typeof layer> | Scope.Scope>
) => it.scoped(name, () => Effect.flatMap(setting(), test).pipe(Effect.provide(layer)))

describe("a token file of the seed's program", () => {
  virtual(
    "is read, without a login and without a renewal",
    ({ logins, manager, redemptions, seed }) =>
      Effect.gen(function*() {
        const { access } = yield* seed({ resourceUrl: "portal.example.com" })
        const { baseUrl, token } = yield* manager("1")
        expect(textOf(yield* token)).toBe(access)
        expect(yield* baseUrl).toEqual(Option.some("https://portal.example.com"))
        expect([logins.count, yield* redemptions]).toEqual([0, 0])
      })
  )

  virtual(
    "is renewed, with all four fields right and the others kept",
    ({ json, manager, redemptions, seed }) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_900_000_000_000)
        const before = yield* seed({ resourceUrl: "portal.example.com", notification_message: "hi" })
        yield* TestClock.adjust("3570 seconds")
        const { baseUrl, token } = yield* manager("1")
        const renewed = yield* token
        const after = yield* json
        expect(yield* redemptions).toBe(1)
        expect(after).toMatchObject({
          access: textOf(renewed),
          expires: (yield* now) + 3_600_000,
          resourceUrl: "portal.example.com",
          notification_message: "hi"
        })
        expect(after["access"]).not.toBe(before.access)
        expect(after["refresh"]).toMatch(/^rt_/)
        expect(after["refresh"]).not.toBe(before.refresh)
        expect(yield* baseUrl).toEqual(Option.some("https://portal.example.com"))
      })
  )

  for (const [left, renewals] of [[61, 0], [60, 0], [59, 1]] as const) {
    virtual(
      `with ${left} seconds left it is ${renewals === 0 ? "given" : "renewed"}`,
      (all) =>
        Effect.gen(function*() {
          yield* all.seed()
          yield* TestClock.adjust(`${3600 - left} seconds`)
          const { token } = yield* all.manager("1")
          yield* token
          expect(yield* all.redemptions).toBe(renewals)
        })
    )
  }

  for (const expires of [undefined, "soon", 3_600]) {
    virtual(`with expires ${JSON.stringify(expires)} it is renewed`, (all) =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_900_000_000_000)
        yield* all.seed({ expires })
        const { token } = yield* all.manager("1")
        expect((yield* token).expiresAt).toBe((yield* now) + 3_600_000)
        expect(yield* all.redemptions).toBe(1)
      }))
  }

  virtual(
    "that was replaced by another program is read again when the token is due",
    (all) =>
      Effect.gen(function*() {
        yield* all.seed()
        const { token } = yield* all.manager("1")
        const first = yield* token
        yield* TestClock.adjust("30 minutes")
        const { access } = yield* all.seed()
        yield* TestClock.adjust("31 minutes")
        expect(textOf(yield* token)).toBe(access)
        expect(access).not.toBe(textOf(first))
        expect(yield* all.redemptions).toBe(0)
      })
  )

  virtual(
    "that was replaced by a program that keeps our field is a login of the next generation",
    (all) =>
      Effect.gen(function*() {
        yield* all.seed()
        const { refresh, token } = yield* all.manager("1")
        yield* refresh
        const { effectCredentials } = yield* all.json
        yield* TestClock.adjust("30 minutes")
        const { access } = yield* all.seed({ effectCredentials })
        yield* TestClock.adjust("31 minutes")
        const given = yield* token
        expect([textOf(given), given.generation]).toEqual([access, 3])
        expect(yield* all.redemptions).toBe(1)
        yield* TestClock.adjust("30 minutes")
        yield* token
        expect(yield* all.redemptions).toBe(2)
      })
  )
})

describe("token", () => {
  virtual(
    "never logs in: not without a file, not after a refusal",
    ({ idp, logins, manager, seed }) =>
      Effect.gen(function*() {
        const first = yield* manager("1")
        expect(yield* Effect.flip(first.token)).toMatchObject({ reason: "LoginRequired" })
        expect(yield* Effect.flip(first.refresh)).toMatchObject({ reason: "LoginRequired" })
        yield* seed()
        yield* TestClock.adjust("2 hours")
        yield* idp.inject(Fault.status(400, { body: `{"error":"invalid_grant"}` }), {
          grantType: "refresh_token"
        })
        const second = yield* manager("2")
        expect(yield* Effect.flip(second.token)).toMatchObject({ reason: "GrantRejected" })
        expect(yield* Effect.flip(second.refresh)).toMatchObject({ reason: "GrantRejected" })
        expect(logins.count).toBe(0)
      })
  )

  virtual("while the source may", ({ logins, manager }) =>
    Effect.gen(function*() {
      const { source, token } = yield* manager("1")
      const given = yield* source.get
      expect(textOf(yield* token)).toBe(textOf(given))
      expect(logins.count).toBe(1)
    }))
})

describe("refresh", () => {
  virtual(
    "forces a new token, once for all who ask together",
    ({ manager, redemptions, seed }) =>
      Effect.gen(function*() {
        const { access } = yield* seed()
        const { refresh, token } = yield* manager("1")
        yield* token
        const renewed = yield* Effect.all(Effect.replicate(refresh, 20), { concurrency: "unbounded" })
        expect(new Set(renewed.map(textOf)).size).toBe(1)
        expect(textOf(yield* token)).not.toBe(access)
        expect(yield* redemptions).toBe(1)
        yield* refresh
        expect(yield* redemptions).toBe(2)
      })
  )

  virtual("is the first thing that may be asked", ({ manager, redemptions, seed }) =>
    Effect.gen(function*() {
      const { access } = yield* seed()
      const { refresh } = yield* manager("1")
      expect(textOf(yield* refresh)).not.toBe(access)
      expect(yield* redemptions).toBe(1)
    }))
})

describe("login", () => {
  virtual(
    "asks although a token is there, and from then on nobody gets the old one",
    (all) =>
      Effect.gen(function*() {
        const { access } = yield* all.seed()
        const { login, refresh, source, status, token } = yield* all.manager("1")
        yield* token
        const given = textOf(yield* login)
        expect(given).not.toBe(access)
        expect(Option.map(source.peek(), textOf)).toEqual(Option.some(given))
        expect([textOf(yield* token), textOf(yield* source.get), (yield* all.json)["access"]])
          .toEqual([given, given, given])
        expect([all.logins.count, yield* all.redemptions]).toEqual([1, 0])
        expect((yield* status).health).toBe("Healthy")
        yield* refresh
        expect(yield* all.redemptions).toBe(1)
      })
  )

  virtual("mends what token failed with, at once", ({ login, logins, manager }) =>
    Effect.gen(function*() {
      const signIn = yield* manager("1")
      yield* Effect.flip(signIn.token)
      const given = yield* signIn.login
      expect(textOf(yield* signIn.token)).toBe(textOf(given))
      expect([logins.count, login.name]).toEqual([1, "test login"])
    }))

  for (const refused of [false, true]) {
    virtual(
      `does not serve what a fetch ${refused ? "after a refusal " : ""}brings that began before it`,
      (all) =>
        Effect.gen(function*() {
          yield* all.seed()
          const { early, open, signIn } = yield* reading(all, refused)
          const { access } = yield* all.json
          const late = yield* Effect.fork(signIn.login)
          yield* reached(Effect.map(all.json, (fields) => fields["access"] !== access))
          yield* settle
          yield* open
          expect(Either.map(yield* Fiber.join(early), textOf)).toEqual(Either.right(access))
          const given = textOf(yield* Fiber.join(late))
          expect([given === access, textOf(yield* signIn.token), Option.map(signIn.source.peek(), textOf)])
            .toEqual([false, given, Option.some(given)])
        })
    )
  }

  virtual("of many callers is one login", ({ logins, manager }) =>
    Effect.gen(function*() {
      logins.takes = Effect.sleep("1 minute")
      const { login } = yield* manager("1")
      const callers = yield* Effect.fork(
        Effect.all(Effect.replicate(login, 10), { concurrency: "unbounded" })
      )
      yield* passing(callers)
      expect(new Set((yield* Fiber.join(callers)).map(textOf)).size).toBe(1)
      expect(logins.count).toBe(1)
    }))

  virtual(
    "that is cancelled changes nothing, and the next one asks",
    ({ json, logins, manager, seed }) =>
      Effect.gen(function*() {
        const before = yield* seed()
        const { login, token } = yield* manager("1")
        logins.takes = Effect.never
        const fiber = yield* Effect.fork(login)
        yield* eventually(() => logins.count === 1)
        yield* Fiber.interrupt(fiber)
        expect(yield* json).toEqual(before)
        expect(textOf(yield* token)).toBe(before.access)
        logins.takes = Effect.void
        expect(textOf(yield* login)).not.toBe(before.access)
      })
  )

  virtual(
    "that the person does not finish ends by itself, and one that fails says why",
    (all) =>
      Effect.gen(function*() {
        const { logins, manager } = all
        const { login } = yield* manager("1")
        logins.takes = Effect.never
        const fiber = yield* Effect.fork(Effect.flip(login))
        yield* eventually(() => logins.count === 1)
        yield* TestClock.adjust("5 minutes")
        expect(yield* Fiber.join(fiber)).toMatchObject({ reason: "LoginExpired" })
        logins.takes = Effect.void
        logins.failure = new ReauthRequired({
          source: "x",
          reason: "AccessDenied",
          detail: "no",
          hint: "Ask again."
        })
        expect(yield* Effect.flip(login)).toBe(logins.failure)
      })
  )

  virtual(
    "replaces a damaged file and asks nobody where the vault can't be read",
    (all) =>
      Effect.gen(function*() {
        yield* all.fs.writeFileString(all.file, `{"access": "at_secret`)
        const first = yield* all.manager("1")
        const broken = yield* Effect.flip(first.token)
        expect(broken).toMatchObject({ reason: "StoreCorrupt" })
        expect(JSON.stringify(broken) + broken.message).not.toContain("at_secret")
        const given = yield* first.login
        expect(textOf(yield* first.token)).toBe(textOf(given))

        const down = new Unreachable({ vault: "v", action: "get", detail: "down", hint: "Wait." })
        const second = yield* all.manager("2", { vault: { get: () => Effect.fail(down) } })
        expect(yield* Effect.flip(second.login)).toMatchObject({ reason: "StoreUnreachable" })
        expect(all.logins.count).toBe(1)
      })
  )

  virtual("is told to the persister, again if that fails", (all) =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const failure = new TransientFailure({
        source: "p",
        reason: "StoreLocked",
        detail: "shut",
        hint: "Open."
      })
      let fails = true
      const persister = (grant: Grant.Grant): Effect.Effect<void, TokenError> =>
        Effect.suspend(() =>
          fails ? Effect.fail(failure) : Effect.sync(() => void told.push(textOf(grant.token)))
        )
      const { login, refresh, status, token } = yield* all.manager("1", { options: { persister } })
      const given = textOf(yield* login)
      yield* realTurn
      expect((yield* status).failure).toBe(failure)
      expect((yield* status).health).toBe("Degraded")
      fails = false
      yield* token
      yield* realTurn
      expect(told).toEqual([])
      yield* TestClock.adjust("30 seconds")
      yield* token
      yield* realTurn
      expect(told).toEqual([given])
      expect((yield* status).failure).toBe(undefined)
      const renewed = textOf(yield* refresh)
      yield* token
      yield* realTurn
      expect(told).toEqual([given, renewed])
    }))

  virtual("withholds no token while the persister hangs", (all) =>
    Effect.gen(function*() {
      let calls = 0
      const persister = () =>
        Effect.suspend(() => {
          calls++
          return Effect.never
        })
      const { login, refresh, status, token } = yield* all.manager("1", { options: { persister } })
      const given = textOf(yield* login)
      const tokens = yield* Effect.all(Effect.replicate(token, 6), { concurrency: "unbounded" })
      expect(tokens.map(textOf)).toEqual(Array.from(tokens, () => given))
      yield* realTurn
      yield* TestClock.adjust("10 seconds")
      yield* Effect.all(Effect.replicate(token, 6), { concurrency: "unbounded" })
      expect([calls, (yield* status).failure?.reason]).toEqual([1, "Timeout"])
      yield* TestClock.adjust("30 seconds")
      expect((yield* Effect.all([token, token, token])).map(textOf)).toEqual([given, given, given])
      expect(textOf(yield* refresh)).not.toBe(given)
      yield* realTurn
      expect(calls).toBe(2)
      yield* TestClock.adjust("10 seconds")
      yield* realTurn
      expect(calls).toBe(3)
      yield* TestClock.adjust("10 seconds")
    }))
})

describe("logout", () => {
  const failure = new TransientFailure({
    source: "revocation",
    reason: "Network",
    detail: "down",
    hint: "Wait."
  })

  virtual(
    "revokes and removes, with all copies, and nobody gets the token any more",
    (all) =>
      Effect.gen(function*() {
        const { access, refresh } = yield* all.seed()
        const signIn = yield* all.manager("1")
        yield* signIn.token
        yield* signIn.refresh
        const revoked: Array<string> = []
        yield* signIn.logout({
          revoke: (grant) =>
            Effect.sync(() => {
              revoked.push(Redacted.value(grant.refreshToken ?? Redacted.make("")))
            })
        })
        expect(revoked.length).toBe(1)
        expect([access, refresh]).not.toContain(revoked[0])
        const names = yield* all.fs.readDirectory(all.file.replace(/token\.json$/, ""))
        expect(names).toEqual(["token.json.fence"])
        expect(signIn.source.peek()).toEqual(Option.none())
        expect(yield* Effect.flip(signIn.token)).toMatchObject({ reason: "LoginRequired" })
        expect((yield* signIn.status).health).toBe("Unavailable")
        expect(yield* signIn.baseUrl).toEqual(Option.none())
        yield* signIn.logout()
      })
  )

  const failures: ReadonlyArray<readonly [what: string, revoke: () => Effect.Effect<void, TokenError>]> = [
    ["fails", () => Effect.fail(failure)],
    ["dies", () => Effect.dieMessage("boom")],
    ["throws", () => {
      throw new Error("boom")
    }]
  ]
  for (const [what, revoke] of failures) {
    virtual(`removes although revoking ${what}, and then says so`, (all) =>
      Effect.gen(function*() {
        yield* all.seed()
        const { logout, token } = yield* all.manager("1")
        yield* token
        const exit = yield* Effect.exit(logout({ revoke }))
        expect(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "").toMatch(/down|boom/)
        expect(yield* all.fs.exists(all.file)).toBe(false)
        expect(yield* Effect.flip(token)).toMatchObject({ reason: "LoginRequired" })
      }))
  }

  virtual("gives revoking a time limit, and removes", (all) =>
    Effect.gen(function*() {
      yield* all.seed()
      const { logout } = yield* all.manager("1", { options: { deadline: "20 seconds" } })
      const fiber = yield* Effect.fork(
        Effect.flip(logout({ revoke: () => Effect.uninterruptible(Effect.never) }))
      )
      yield* passing(fiber)
      expect(yield* Fiber.join(fiber)).toMatchObject({ reason: "Timeout" })
      expect(yield* all.fs.exists(all.file)).toBe(false)
    }))

  virtual("that is interrupted while it revokes removes all the same", (all) =>
    Effect.gen(function*() {
      yield* all.seed()
      const { logout } = yield* all.manager("1")
      const isRevoking = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(logout({
        revoke: () => Effect.zipRight(Deferred.succeed(isRevoking, undefined), Effect.never)
      }))
      yield* Deferred.await(isRevoking)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(yield* all.fs.exists(all.file)).toBe(false)
    }))

  virtual("revokes and removes what another process has renewed meanwhile", (all) =>
    Effect.gen(function*() {
      yield* all.seed()
      const first = yield* all.manager("1")
      const second = yield* all.manager("2")
      yield* first.token
      const revoked: Array<string> = []
      yield* first.logout({
        revoke: (grant) =>
          Effect.suspend(() =>
            revoked.push(textOf(grant.token)) > 1
              ? Effect.void
              : Effect.zipRight(second.refresh, Effect.fail(failure))
          )
      })
      expect(revoked.length).toBe(2)
      expect(new Set(revoked).size).toBe(2)
      expect(yield* all.fs.exists(all.file)).toBe(false)
      expect(yield* Effect.flip(first.token)).toMatchObject({ reason: "LoginRequired" })
    }))

  virtual(
    "F45 revokes and removes a renewal that could not be stored, not what it has spent",
    (all) =>
      Effect.gen(function*() {
        const { refresh } = yield* all.seed()
        const { broken, vault } = breaking(all)
        const { logout, source, token, ...signIn } = yield* all.manager("1", { vault })
        yield* token
        broken.from = 2
        expect(yield* Effect.flip(signIn.refresh)).toMatchObject({ reason: "StoreUnreachable" })
        broken.from = Infinity
        const revoked: Array<string> = []
        yield* logout({
          revoke: (grant) =>
            Effect.sync(() => {
              revoked.push(Redacted.value(grant.refreshToken ?? Redacted.make("")))
            })
        })
        expect(yield* all.redemptions).toBe(1)
        expect([revoked.length, revoked[0] === refresh]).toEqual([1, false])
        expect(yield* all.fs.exists(all.file)).toBe(false)
        expect(source.peek()).toEqual(Option.none())
        expect(yield* Effect.flip(token)).toMatchObject({ reason: "LoginRequired" })
      })
  )

  virtual("and what stays says so, if the vault keeps refusing", (all) =>
    Effect.gen(function*() {
      const { access } = yield* all.seed()
      const denied = new Denied({ vault: "v", action: "remove", detail: "read-only", hint: "Ask." })
      const { logout, token } = yield* all.manager("1", { vault: { remove: () => Effect.fail(denied) } })
      let revocations = 0
      expect(
        yield* Effect.flip(logout({ revoke: () => Effect.sync(() => void revocations++) }))
      ).toMatchObject({ reason: "StoreDenied" })
      expect(revocations).toBe(1)
      expect(textOf(yield* token)).toBe(access)
    }))

  virtual("removes a damaged file, and succeeds where there is none", (all) =>
    Effect.gen(function*() {
      const { logout } = yield* all.manager("1")
      yield* logout()
      yield* all.write("{")
      yield* logout({ revoke: () => Effect.die("there is no grant to revoke") })
      expect(yield* all.fs.exists(all.file)).toBe(false)
    }))

  virtual("and login again and again, in the same minute", ({ logins, manager }) =>
    Effect.gen(function*() {
      const { login, logout, token } = yield* manager("1")
      const all = new Set<string>()
      for (let round = 0; round < 5; round++) {
        const given = textOf(yield* login)
        expect(textOf(yield* token)).toBe(given)
        all.add(given)
        yield* logout()
        expect(yield* Effect.flip(token)).toMatchObject({ reason: "LoginRequired" })
      }
      expect([all.size, logins.count]).toEqual([5, 5])
    }))

  virtual("waits for no login that somebody has opened", (all) =>
    Effect.gen(function*() {
      all.logins.takes = Effect.never
      const { logout, source } = yield* all.manager("1")
      const asked = yield* Effect.fork(source.get)
      yield* eventually(() => all.logins.count === 1)
      const fiber = yield* Effect.fork(logout())
      yield* passing(fiber)
      yield* Fiber.join(fiber)
      yield* Fiber.interrupt(asked)
    }))

  virtual("after which a fetch that began before it gives nothing", (all) =>
    Effect.gen(function*() {
      yield* all.seed()
      const { early, open, signIn } = yield* reading(all, false)
      const leaving = yield* Effect.fork(signIn.logout())
      yield* reached(Effect.map(all.fs.exists(all.file), (isThere) => !isThere))
      yield* settle
      yield* open
      yield* Fiber.join(leaving)
      expect(yield* Fiber.join(early)).toMatchObject({ _tag: "Left", left: { reason: "LoginRequired" } })
      expect(signIn.source.peek()).toEqual(Option.none())
      expect(yield* Effect.flip(signIn.token)).toMatchObject({ reason: "LoginRequired" })
    }))
})

describe("two managers", () => {
  virtual(
    "over a vault that tells of writes hear each other's logins and logouts",
    (all) =>
      Effect.gen(function*() {
        const memory = yield* MemoryVault.make()
        const first = yield* all.manager("1", { vault: { ...memory, identity: { name: "1" } } })
        const second = yield* all.manager("2", { vault: { ...memory, identity: { name: "2" } } })
        const given = textOf(yield* first.login)
        expect(textOf(yield* second.token)).toBe(given)
        yield* eventually(() => Option.isSome(second.source.peek()))
        yield* first.logout()
        yield* eventually(() => Option.isNone(second.source.peek()))
        expect(yield* Effect.flip(second.token)).toMatchObject({ reason: "LoginRequired" })
        const next = textOf(yield* first.login)
        yield* eventually(() => Option.exists(second.source.peek(), (token) => textOf(token) === next))
        expect(textOf(yield* second.token)).toBe(next)
      })
  )

  it.scopedLive("of which one logs out while the other renews: the logout stays", () =>
    Effect.gen(function*() {
      const all = yield* setting()
      yield* all.seed({ expires: 1 })
      const slow = yield* all.idp.inject(Fault.slow("300 millis"), { grantType: "refresh_token" })
      const first = yield* all.manager("1")
      const second = yield* all.manager("2")
      const renewing = yield* Effect.fork(Effect.either(second.token))
      yield* slow.reached
      yield* first.logout({ revoke: () => Effect.void })
      yield* Fiber.join(renewing)
      expect(yield* all.fs.exists(all.file)).toBe(false)
      expect(yield* Effect.flip(first.token)).toMatchObject({ reason: "LoginRequired" })
      expect(yield* Effect.flip(second.refresh)).toMatchObject({ reason: "LoginRequired" })
      expect(yield* all.redemptions).toBe(1)
    }).pipe(Effect.provide(layer)))

  it.scopedLive("over one file redeem once", () =>
    Effect.gen(function*() {
      const { manager, redemptions, seed } = yield* setting()
      yield* seed({ expires: 1 })
      const managers = yield* Effect.forEach(["1", "2", "3", "4"], (name) => manager(name))
      const tokens = yield* Effect.all(
        managers.flatMap(({ token }) => Effect.replicate(token, 5)),
        { concurrency: "unbounded" }
      )
      expect(new Set(tokens.map(textOf)).size).toBe(1)
      expect(yield* redemptions).toBe(1)
    }).pipe(Effect.provide(layer)))
})

describe("the address of the API", () => {
  const cases: ReadonlyArray<readonly [told: string, url: string | undefined]> = [
    ["portal.example.com", "https://portal.example.com"],
    ["https://portal.example.com/", "https://portal.example.com"],
    ["https://api.example.com/compatible/v1/", "https://api.example.com/compatible/v1"],
    ["portal.example.com:8443/v1", "https://portal.example.com:8443/v1"],
    ["[::1]:8443", "https://[::1]:8443"],
    ["http://portal.example.com", undefined],
    ["ftp://portal.example.com", undefined],
    ["javascript:alert(1)", undefined],
    ["https://user:pass@portal.example.com", undefined],
    ["user@portal.example.com", undefined],
    ["https://portal.example.com/?key=1", undefined],
    ["https://portal.example.com/#x", undefined],
    ["//portal.example.com", undefined],
    ["https:\\\\portal.example.com", undefined],
    ["portal.example.com\nevil", undefined],
    [" portal.example.com", undefined],
    ["a".repeat(3_000), undefined],
    ["", undefined]
  ]
  for (const [told, url] of cases) {
    virtual(
      `${JSON.stringify(told.slice(0, 50))} is ${url ?? "none"}`,
      ({ manager, seed }) =>
        Effect.gen(function*() {
          yield* seed({ resourceUrl: told })
          const { baseUrl } = yield* manager("1")
          expect(yield* baseUrl).toEqual(Option.fromNullable(url))
        })
    )
  }

  virtual("fails where the vault can't be read", ({ manager }) =>
    Effect.gen(function*() {
      const down = new Unreachable({ vault: "v", action: "get", detail: "down", hint: "Wait." })
      const { baseUrl } = yield* manager("1", { vault: { get: () => Effect.fail(down) } })
      expect(yield* Effect.flip(baseUrl)).toMatchObject({ reason: "StoreUnreachable" })
    }))
})

describe("set-up", () => {
  virtual(
    "layerTokenFile makes the vault, under a key that binds what is in the file",
    (all) =>
      Effect.gen(function*() {
        const { file, idp, json, login, refresh, seed } = all
        const { access } = yield* seed()
        const made = SignIn.layerTokenFile({ path: file, refresh }).pipe(
          Layer.provide([
            NodeContext.layer,
            Layer.succeed(HttpClient.HttpClient, idp.client),
            Layer.succeed(Login, login)
          ])
        )
        yield* Effect.gen(function*() {
          const { token, refresh } = yield* SignIn.SignIn
          expect(textOf(yield* token)).toBe(access)
          yield* refresh
        }).pipe(Effect.provide(made))
        expect(JSON.stringify(yield* json)).toMatch(/"binding":"[0-9a-f]{64}"/)
      })
  )

  virtual(
    "a key that the file's vault does not know is said before anything is lost",
    (all) =>
      Effect.gen(function*() {
        const { token } = yield* all.manager("1", { options: { key: "other" } })
        expect(yield* Effect.flip(token)).toMatchObject({
          reason: "StoreUnsupported",
          hint: expect.stringContaining("key")
        })
      })
  )
})

/**
 * A caller of `token` who has read the file, and goes on with what was there when it is let; with nothing in
 * memory, or after a resource has refused what was there.
 */
const reading = (all: Setting, refused: boolean) =>
  Effect.gen(function*() {
    const isOpen = yield* Deferred.make<void>()
    const isReading = yield* Deferred.make<void>()
    const { get } = all.asProcess("")
    const stops = { next: false }
    const stop = Effect.suspend(() => {
      if (!stops.next) return Effect.void
      stops.next = false
      return Effect.zipRight(Deferred.succeed(isReading, undefined), Deferred.await(isOpen))
    })
    const signIn = yield* all.manager("1", { vault: { get: (key) => Effect.zipLeft(get(key), stop) } })
    const refusal = refused ? signIn.source.invalidate(yield* signIn.token) : Effect.void
    if (refused) yield* all.seed()
    stops.next = true
    yield* refusal
    const early = yield* Effect.fork(Effect.either(signIn.token))
    yield* Deferred.await(isReading)
    return { early, open: Deferred.succeed(isOpen, undefined), signIn }
  })

/** The vault of a process whose writes fail from a certain one on. */
const breaking = (all: Setting) => {
  const broken = { from: Infinity }
  const down = new Unreachable({ vault: "v", action: "set", detail: "down", hint: "Wait." })
  const { compareAndSet, set } = all.asProcess("")
  const orBreak = <A>(write: Effect.Effect<A, VaultError>) =>
    Effect.suspend(() => --broken.from > 0 ? write : Effect.fail(down))
  const vault: Partial<Vault.Service> = {
    set: (key, value) => orBreak(set(key, value)),
    compareAndSet: (key, over, value) => orBreak(compareAndSet(key, over, value))
  }
  return { broken, vault }
}

/** Lets the real file system get on while the virtual clock stands still. */
const realTurn = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
const settle = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 50)))
const reached = <E, R>(holds: Effect.Effect<boolean, E, R>) =>
  Effect.tap(
    Effect.repeat(Effect.zipRight(realTurn, holds), { times: 2_000, until: (holds) => holds }),
    (holds) => expect(holds).toBe(true)
  )
const eventually = (holds: () => boolean) =>
  Effect.tap(Effect.repeat(realTurn, { times: 5_000, until: holds }), () => expect(holds()).toBe(true))
/** Lets time pass until the fiber has ended. */
const passing = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) =>
  Effect.repeat(Effect.zipRight(settle, TestClock.adjust("5 seconds")), {
    times: 200,
    until: () => fiber.unsafePoll() !== null
  })

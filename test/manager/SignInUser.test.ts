/** Who is logged in, and a logout that ends the person's session at the server too. */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { describe, expect, it } from "@effect/vitest"
import type * as Grant from "effect-credentials/Grant"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import type { Claims } from "effect-credentials/oauth/Claims"
import * as UserInfo from "effect-credentials/oauth/UserInfo"
import * as Fault from "effect-credentials/testing/Fault"
import { TransientFailure } from "effect-credentials/TokenError"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import { Unreachable } from "effect-credentials/vault/VaultError"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Identity from "../oauth/identity.js"
import * as OidcProvider from "../support/OidcProvider.js"
import { scheduler, setting } from "./signIns.js"

type Setting = Effect.Effect.Success<ReturnType<typeof setting>>

const layer = Layer.merge(scheduler, NodeContext.layer)

const virtual = <A, E>(
  name: string,
  test: (all: Setting) => Effect.Effect<A, E, Layer.Layer.Success<typeof layer> | Scope.Scope>
) =>
  it.scoped(name, () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_900_000_000_000)
      const all = yield* setting()
      all.logins.scopes = ["openid"]
      return yield* test(all)
    }).pipe(Effect.provide(layer)))

const withIdToken = (text: string | undefined) => (grant: Grant.Grant): Grant.Grant => ({
  ...grant,
  idToken: text === undefined ? undefined : Redacted.make(text)
})

/** What somebody else's ID token, or one that was tampered with, may look like. */
const idToken = (all: Setting, fields: Record<string, unknown>): string =>
  Identity.unsigned(
    Identity.claims({ iss: all.idp.issuer, sub: "mallory", ...fields }),
    { alg: "ES256" },
    "AA"
  )

/** The same in the answer to a renewal. */
const renewed = (all: Setting, fields: Record<string, unknown>): string =>
  idToken(all, { iat: 1_900_000_000, exp: 1_900_000_600, name: "Renewed", ...fields })

describe("the user", () => {
  virtual(
    "is nobody before the login, is known after it, and is nobody after the logout",
    ({ idp, manager }) =>
      Effect.gen(function*() {
        const { login, logout, user } = yield* manager("1")
        expect(yield* user).toEqual(Option.none())
        yield* login
        const known: Claims = Option.getOrThrow(yield* user)
        expect([known.iss, known.aud]).toEqual([idp.issuer, ["app"]])
        expect(known.sub).not.toBe("")
        yield* logout()
        expect(yield* user).toEqual(Option.none())
      })
  )

  virtual(
    "stays known when the ID token has expired, over renewals, and in the next process",
    (all) =>
      Effect.gen(function*() {
        const first = yield* all.manager("1")
        yield* first.login
        const before = Option.getOrThrow(yield* first.user)
        yield* TestClock.adjust("3 hours")
        yield* first.refresh
        const second = yield* all.manager("2")
        const after = Option.getOrThrow(yield* second.user)
        expect(after.exp * 1000).not.toBe(Infinity)
        expect(after.sub).toBe(before.sub)
        expect(all.logins.count).toBe(1)
      })
  )

  const renewals: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
    ["for another client", { aud: "other" }],
    ["of another issuer", { iss: "https://evil.test" }],
    ["that has expired", { exp: 1_900_000_000 - 600 }]
  ]
  for (const [what, fields] of renewals) {
    virtual(
      `is the one of the login after a renewal with an ID token ${what}`,
      (all) =>
        Effect.gen(function*() {
          const { login, refresh, user } = yield* all.manager("1")
          yield* login
          const before = yield* user
          yield* all.idp.inject(Fault.withField("id_token", renewed(all, fields)), {
            grantType: "refresh_token"
          })
          yield* refresh
          expect(yield* user).toEqual(before)
        })
    )
  }

  virtual("is not replaced by somebody else in a renewal, which fails", (all) =>
    Effect.gen(function*() {
      const { login, refresh, user } = yield* all.manager("1")
      yield* login
      const { sub } = Option.getOrThrow(yield* user)
      yield* all.idp.inject(Fault.withField("id_token", renewed(all, { sub })), {
        grantType: "refresh_token",
        times: 1
      })
      yield* refresh
      expect(Option.getOrThrow(yield* user)).toMatchObject({ sub, name: "Renewed" })
      yield* all.idp.inject(Fault.withField("id_token", renewed(all, {})), { grantType: "refresh_token" })
      expect(yield* Effect.flip(refresh)).toMatchObject({ reason: "GrantRejected" })
      expect(Option.getOrThrow(yield* user).sub).toBe(sub)
    }))

  virtual("of a login that told no one is nobody", ({ logins, manager }) =>
    Effect.gen(function*() {
      logins.scopes = ["read"]
      const { login, user } = yield* manager("1")
      yield* login
      expect(yield* user).toEqual(Option.none())
    }))

  const hostile: ReadonlyArray<readonly [string, (all: Setting) => string, string, string]> = [
    [
      "another issuer",
      (all) => idToken(all, { iss: "https://evil.test" }),
      "Misconfigured",
      "IssuerMismatch"
    ],
    [
      "the issuer's name and more",
      (all) => idToken(all, { iss: `${all.idp.issuer}/` }),
      "Misconfigured",
      "IssuerMismatch"
    ],
    ["nobody", (all) => idToken(all, { sub: "" }), "ReauthRequired", "GrantRejected"],
    ["no audience", (all) => idToken(all, { aud: [] }), "ReauthRequired", "GrantRejected"],
    ["garbage", () => "mallory.garbage", "ReauthRequired", "GrantRejected"],
    ["five parts, as encrypted ones have", () => "a.mallory.c.d.e", "ReauthRequired", "GrantRejected"],
    ["far too much", () => `${"mallory".repeat(20_000)}.b.c`, "ReauthRequired", "GrantRejected"]
  ]
  for (const [what, text, tag, reason] of hostile) {
    virtual(`is not believed by an ID token of ${what}`, (all) =>
      Effect.gen(function*() {
        all.logins.change = withIdToken(text(all))
        const { login, user } = yield* all.manager("1")
        yield* login
        const error = yield* Effect.flip(user)
        expect([error._tag, error.reason]).toEqual([tag, reason])
        expect(`${error.message} ${JSON.stringify(error)}`).not.toMatch(/mallory|evil/)
      }))
  }

  for (
    const fields of [
      { aud: "other" },
      { aud: ["app", "other"] },
      { aud: ["app", "other"], azp: "other" },
      { azp: "other" }
    ]
  ) {
    virtual(
      `is not believed by an ID token for another client: ${JSON.stringify(fields)}`,
      (all) =>
        Effect.gen(function*() {
          all.logins.change = withIdToken(idToken(all, fields))
          const { login, user } = yield* all.manager("1")
          yield* login
          const error = yield* Effect.flip(user)
          expect([error._tag, /another client/.test(error.message)]).toEqual(["Misconfigured", true])
        })
    )
  }

  virtual("can't be told where the record is damaged or the vault is down", (all) =>
    Effect.gen(function*() {
      yield* all.fs.writeFileString(all.file, `{"access": "at_secret`)
      const damaged = yield* Effect.flip((yield* all.manager("1")).user)
      expect(damaged.reason).toBe("StoreCorrupt")
      expect(`${damaged.message} ${JSON.stringify(damaged)}`).not.toContain("at_secret")
      const down = new Unreachable({ vault: "v", action: "get", detail: "down", hint: "Wait." })
      const { user } = yield* all.manager("2", { vault: { get: () => Effect.fail(down) } })
      expect((yield* Effect.flip(user)).reason).toBe("StoreUnreachable")
    }))
})

/** A browser that keeps where it was sent, and what was there to be seen then. */
const browsing = (all: Setting, then: Effect.Effect<void> = Effect.void) => {
  const visits: Array<URL> = []
  const browser = (address: Redacted.Redacted<string>) =>
    Effect.gen(function*() {
      visits.push(new URL(Redacted.value(address)))
      expect(yield* Effect.orDie(all.fs.exists(all.file))).toBe(false)
      yield* then
    })
  return { visits, browser }
}

describe("a logout in the browser too", () => {
  const down = new TransientFailure({ source: "r", reason: "Network", detail: "down", hint: "Wait." })

  virtual("sends it to the server when the grant is revoked and removed", (all) =>
    Effect.gen(function*() {
      const { browser, visits } = browsing(all)
      const { login, logout, source } = yield* all.manager("1")
      yield* login
      const { idToken } = yield* all.json.pipe(
        Effect.map(({ effectCredentials }) => (effectCredentials as { record: { idToken: string } }).record)
      )
      let revoked = 0
      yield* logout({ browser, revoke: () => Effect.sync(() => void revoked++) })
      expect(revoked).toBe(1)
      expect(source.peek()).toEqual(Option.none())
      expect(visits.map(({ origin, pathname }) => origin + pathname)).toEqual([
        `${all.idp.issuer}/end_session`
      ])
      expect(Object.fromEntries(visits[0]?.searchParams ?? [])).toEqual({
        client_id: "app",
        id_token_hint: idToken
      })
      yield* logout({ browser })
      expect(visits.length).toBe(1)
    }))

  virtual("shows no address that can be printed", (all) =>
    Effect.gen(function*() {
      const { login, logout } = yield* all.manager("1")
      yield* login
      let shown = ""
      yield* logout({
        browser: (address) => Effect.sync(() => void (shown = `${address}${JSON.stringify(address)}`))
      })
      expect(shown).toBe(`<redacted>"<redacted>"`)
    }))

  const without: ReadonlyArray<readonly [string, (all: Setting) => string | undefined]> = [
    ["none", () => undefined],
    ["one of another client", (all) => idToken(all, { aud: "other" })],
    ["one of another issuer", (all) => idToken(all, { iss: "https://evil.test" })],
    ["garbage", () => "garbage"]
  ]
  for (const [what, text] of without) {
    virtual(`gives the server no ID token where there is ${what}`, (all) =>
      Effect.gen(function*() {
        all.logins.change = withIdToken(text(all))
        const { browser, visits } = browsing(all)
        const { login, logout } = yield* all.manager("1")
        yield* login
        yield* logout({ browser })
        expect(visits.map((url) => url.search)).toEqual(["?client_id=app"])
      }))
  }

  virtual(
    "sends it nowhere for a record that can't be read, which is removed",
    (all) =>
      Effect.gen(function*() {
        yield* all.fs.writeFileString(all.file, `{"access": "at_secret`)
        const { browser, visits } = browsing(all)
        yield* (yield* all.manager("1")).logout({ browser })
        expect([visits.length, yield* all.fs.exists(all.file)]).toEqual([0, false])
      })
  )

  const endpoints: ReadonlyArray<readonly [string | undefined, string | undefined]> = [
    [undefined, undefined],
    ["https://elsewhere.test/end", undefined],
    ["http://elsewhere.test/end", "InsecureUrl"],
    ["javascript:alert(1)", "InsecureUrl"],
    ["file:///etc/passwd", "InsecureUrl"],
    ["https://user:pass@elsewhere.test/end", "InvalidOption"],
    ["end", "InvalidOption"]
  ]
  for (const [endpoint, reason] of endpoints) {
    virtual(
      `of a server that ends sessions at ${endpoint} ${
        reason === undefined ? "works" : "is refused, and removes"
      }`,
      (all) =>
        Effect.gen(function*() {
          const metadata = Effect.map(
            all.refresh.server.metadata,
            (
              { end_session_endpoint: _, ...rest }
            ) => (endpoint === undefined ? rest : { ...rest, end_session_endpoint: endpoint })
          )
          const { browser, visits } = browsing(all)
          const { login, logout } = yield* all.manager("1", {
            options: { refresh: { ...all.refresh, server: { ...all.refresh.server, metadata } } }
          })
          yield* login
          const ended = yield* Effect.either(logout({ browser, revoke: false }))
          expect(ended._tag === "Left" ? ended.left : undefined).toEqual(
            reason === undefined ? undefined : expect.objectContaining({ reason })
          )
          const isOpened = endpoint !== undefined && reason === undefined
          expect(visits.map(({ host }) => host)).toEqual(isOpened ? ["elsewhere.test"] : [])
          expect(yield* all.fs.exists(all.file)).toBe(false)
        })
    )
  }

  virtual("happens although revoking fails, and then says that that failed", (all) =>
    Effect.gen(function*() {
      const { browser, visits } = browsing(all)
      const { login, logout } = yield* all.manager("1")
      yield* login
      expect(yield* Effect.flip(logout({ browser, revoke: () => Effect.fail(down) }))).toMatchObject({
        reason: "Network"
      })
      expect(visits.length).toBe(1)
    }))

  virtual("that breaks has removed the grant all the same", (all) =>
    Effect.gen(function*() {
      const { browser } = browsing(all, Effect.die("boom"))
      const { login, logout, user } = yield* all.manager("1")
      yield* login
      const exit = yield* Effect.exit(logout({ browser }))
      expect(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "").toMatch(/boom/)
      expect(yield* user).toEqual(Option.none())
    }))

  virtual("has a time limit, and can be cancelled", (all) =>
    Effect.gen(function*() {
      const { login, logout } = yield* all.manager("1", { options: { deadline: "20 seconds" } })
      yield* login
      const reached = yield* Deferred.make<void>()
      const hangs = () => Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
      const limited = yield* Effect.fork(
        Effect.flip(logout({ browser: () => Effect.uninterruptible(hangs()) }))
      )
      yield* Deferred.await(reached)
      yield* TestClock.adjust("20 seconds")
      expect(yield* Fiber.join(limited)).toMatchObject({ reason: "Timeout" })
      yield* login
      const again = yield* Deferred.make<void>()
      const cancelled = yield* Effect.fork(
        logout({ browser: () => Effect.zipRight(Deferred.succeed(again, undefined), Effect.never) })
      )
      yield* Deferred.await(again)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(cancelled))).toBe(true)
      expect(yield* all.fs.exists(all.file)).toBe(false)
    }))
})

describe("with a real provider", () => {
  it.scopedLive("the user is verified, told more about, and gone from the vault, the provider and the browser", () =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make({
        configuration: {
          scopes: ["openid", "email"],
          claims: { openid: ["sub"], email: ["email"] },
          findAccount: (_context, id) => ({
            accountId: id,
            claims: () => ({ sub: id, email: `${id}@idp.test` })
          })
        }
      })
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const client = { id: "native" }
      const { authorize } = idp.browser()
      const visit = (url: string) => Effect.flatMap(authorize(url), (end) => Effect.promise(() => fetch(end)))
      const launcher = BrowserLauncher.layerTest((url) => Effect.asVoid(Effect.forkDaemon(visit(url))))
      const signIn = yield* SignIn.make({ refresh: { server, client } }).pipe(
        Effect.provide(BrowserLogin.layer({ server, client, scopes: ["openid", "email"] })),
        Effect.provide([launcher, NodeCallbackListener.layer, LoginPrompt.layerSilent, MemoryVault.layer])
      )
      const token = yield* signIn.login
      const { sub } = Option.getOrThrow(yield* signIn.user)
      expect(sub).toBe("alice")
      const users = yield* UserInfo.make({ server, client })
      expect((yield* users.fetch(token, sub)).email).toBe("alice@idp.test")
      yield* signIn.refresh
      expect(Option.getOrThrow(yield* signIn.user).sub).toBe("alice")

      const silently = Effect.map(
        authorize(
          `${idp.issuer}/auth?client_id=native&response_type=code&scope=openid&prompt=none&code_challenge_method=S256` +
            `&code_challenge=${"x".repeat(43)}&redirect_uri=http%3A%2F%2F127.0.0.1%2Fcallback`
        ),
        (end) => new URL(end).searchParams
      )
      // A native client has to ask for consent each time; whether the person is known is said before that.
      expect((yield* silently).get("error")).toBe("interaction_required")
      const ended: Array<unknown> = []
      idp.provider.on("end_session.success", (context) => void ended.push(context.oidc.client?.clientId))
      const { token: last } = signIn
      const given = yield* last
      yield* signIn.logout({
        browser: (address) =>
          Effect.asVoid(
            authorize(
              `${Redacted.value(address)}&post_logout_redirect_uri=http%3A%2F%2F127.0.0.1%2Flogged-out`
            )
          )
      })
      expect(ended).toEqual(["native"])
      expect((yield* silently).get("error")).toBe("login_required")
      expect(yield* Effect.promise(() => idp.provider.AccessToken.find(Redacted.value(given.value)))).toBe(
        undefined
      )
      expect(yield* signIn.user).toEqual(Option.none())
      expect(yield* Effect.flip(signIn.token)).toMatchObject({ reason: "LoginRequired" })
    }).pipe(Effect.provide(Layer.merge(scheduler, NodeHttpClient.layerUndici))))
})

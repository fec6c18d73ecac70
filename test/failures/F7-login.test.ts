/** A login that is cancelled when its grant is there already: the grant is stored all the same. */
import { describe, expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as DeviceLogin from "effect-credentials/login/DeviceLogin"
import { Login } from "effect-credentials/login/Login"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as OAuthSource from "effect-credentials/manager/OAuthSource"
import * as SignIn from "effect-credentials/manager/SignIn"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as IdToken from "effect-credentials/oauth/IdToken"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Kit from "../login/browserKit.js"
import * as Identity from "../oauth/identity.js"
import { inTurn, json, serve } from "../oauth/kit.js"
import type { Handler } from "../oauth/kit.js"

type Service = Login["Type"]

/** Somebody who asks for a login over a vault, and can be told to leave. */
interface Caller {
  readonly leave: Effect.Effect<unknown>
}

/** The ways in which a login comes to a vault. */
const callers: Readonly<
  Record<string, (login: Service, vault: Vault.Service) => Effect.Effect<Caller, never, Scope.Scope>>
> = {
  "SignIn.login": (login, vault) =>
    Effect.gen(function*() {
      const signIn = yield* SignIn.make(yield* options).pipe(provided(login, vault))
      const fiber = yield* Effect.fork(signIn.login)
      return { leave: Fiber.interrupt(fiber) }
    }).pipe(Effect.orDie),
  "a source whose scope closes": (login, vault) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const source = yield* OAuthSource.interactive(yield* options).pipe(
        provided(login, vault),
        Scope.extend(scope)
      )
      yield* Effect.fork(source.get)
      return { leave: Scope.close(scope, Exit.void) }
    }).pipe(Effect.orDie),
  "a stored source without a memory": (login, vault) =>
    Effect.gen(function*() {
      const source = yield* Effect.provideService(
        Persisted.make({ key: "login", login }),
        Vault.Vault,
        vault
      )
      const fiber = yield* Effect.fork(source.get)
      return { leave: Fiber.interrupt(fiber) }
    })
}

const options = Effect.map(
  AuthorizationServer.make({ issuer: "https://idp.test", tokenEndpoint: "https://idp.test/token" }),
  (server) => ({
    refresh: { server, client: { id: "app" } },
    key: "login",
    cache: { schedule: "onUse" } as const
  })
)

const provided = (login: Service, vault: Vault.Service) => <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(
    Effect.provideService(Vault.Vault, vault),
    Effect.provideService(Login, login),
    Effect.provide([serve(() => Effect.succeed(new Response(null, { status: 400 }))), RefreshScheduler.layer])
  )

/** Real time, in which promises come to their ends. */
const soon = Effect.promise(() => new Promise((done) => setTimeout(done, 30)))

const storedIn = (vault: Vault.Service) =>
  Effect.map(
    Effect.provideService(Persisted.load("login"), Vault.Vault, vault),
    Option.map(({ grant }) => Redacted.value(grant.token.value))
  )

/** Time passes until it is done. */
const passing = (work: Effect.Effect<unknown>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(work)
    for (let step = 0; fiber.unsafePoll() === null && step < 100; step++) {
      yield* TestClock.adjust("1 second")
      yield* Effect.promise(() => new Promise((done) => setImmediate(done)))
    }
    expect(fiber.unsafePoll()).not.toBe(null)
  })

for (const [name, make] of Object.entries(callers)) {
  describe(`F7 ${name} is left`, () => {
    it.scoped("while the browser has not asked for its last page: the grant is stored", () =>
      Effect.gen(function*() {
        const vault = yield* MemoryVault.make()
        const { login, prompt, visit } = yield* Kit.setup()
        const { leave } = yield* make(login, vault)
        yield* Fiber.join(yield* visit(Kit.belonging((yield* prompt).url)))
        yield* soon
        yield* passing(leave)
        expect(yield* storedIn(vault)).toEqual(Option.some("t"))
      }))

    it.scoped("while the ID token is verified: the grant is stored", () =>
      Effect.gen(function*() {
        const vault = yield* MemoryVault.make()
        const isAsked = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        // The keys at hand are not the newest, so that they are asked for once the answer is there.
        const { layer, server } = yield* Identity.make({ keys: Identity.keySet(Identity.rsa.jwk) })
        const warm = Effect.provide(IdToken.make({ server, client: { id: Identity.clientId } }), layer)
        yield* Effect.flatMap(warm, ({ ready }) => ready)
        yield* TestClock.adjust("40 seconds")
        let nonce = ""
        const token: Handler = ({ url }) =>
          url.endsWith("/keys")
            ? Deferred.succeed(isAsked, undefined).pipe(
              Effect.zipRight(Deferred.await(goOn)),
              Effect.as(Identity.keySet(Identity.own.jwk)())
            )
            : Effect.map(
              Effect.promise(() => Identity.sign(Identity.claims({ nonce }))),
              (idToken) => Response.json({ access_token: "t", id_token: idToken })
            )
        const { login, prompt, visit } = yield* Kit.setup({ server, token, scopes: ["openid"] })
        const { leave } = yield* make(login, vault)
        const { url } = yield* prompt
        nonce = new URL(url).searchParams.get("nonce") ?? ""
        yield* Fiber.join(yield* visit(Kit.belonging(url)))
        yield* Deferred.await(isAsked)
        const leaving = yield* Effect.fork(leave)
        yield* soon
        yield* Deferred.succeed(goOn, undefined)
        yield* soon
        yield* passing(Fiber.join(leaving))
        expect(yield* storedIn(vault)).toEqual(Option.some("t"))
      }))

    it.scoped("as the answer arrives: the grant is stored, or the answer was not read", () =>
      Effect.gen(function*() {
        const outcomes = new Set<string>()
        // Some end before the answer, and some after it.
        for (let ticks = 0; ticks < 60; ticks += 3) {
          const vault = yield* MemoryVault.make()
          const { login, prompt, told, visit } = yield* Kit.setup()
          const { leave } = yield* make(login, vault)
          const later = (left: number): Promise<void> =>
            left === 0 ? Promise.resolve() : Promise.resolve().then(() => later(left - 1))
          yield* visit(Kit.belonging((yield* prompt).url))
          yield* Effect.promise(() => later(ticks))
          yield* passing(leave)
          const isStored = Option.isSome(yield* storedIn(vault))
          outcomes.add(`${(yield* told).join(" and ")}, ${isStored ? "stored" : "not stored"}`)
        }
        expect(outcomes).toEqual(new Set(["Cancelled, not stored", "Succeeded, stored"]))
      }))

    it.scoped("while the person has not decided: the login ends at once, and nothing is stored", () =>
      Effect.gen(function*() {
        const vault = yield* MemoryVault.make()
        const { calls, login } = yield* device(
          inTurn(json({ error: "authorization_pending" }, { status: 400 }))
        )
        const { leave } = yield* make(login, vault)
        yield* TestClock.adjust("11 seconds")
        yield* soon
        yield* leave
        const count = calls()
        yield* TestClock.adjust("1 minute")
        expect([calls(), yield* storedIn(vault)]).toEqual([count, Option.none()])
      }))
  })
}

/** A grant that ends at this instant. */
const grantOf = (name: string, expiresAt: number) =>
  Grant.make({
    token: Token.make({ value: Redacted.make(`token-${name}`), expiresAt }),
    refreshToken: Redacted.make(`refresh-${name}`)
  })

describe("F7 a login that needs another grant first", () => {
  it.scoped("is cancelled while that is renewed: the renewal is stored, and nobody waits", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      yield* Effect.gen(function*() {
        yield* TestClock.setTime(1e12)
        yield* Persisted.save("inner", grantOf("1", 1e12 - 1))
        const answer = Grant.arriving(Effect.succeed(grantOf("2", 2e12)))
        const inner = yield* Persisted.make({
          key: "inner",
          redeem: () =>
            Effect.uninterruptible(Effect.zipRight(Effect.interruptible(Effect.sleep(100)), answer))
        })
        const outer = yield* Persisted.make({
          key: "outer",
          login: { timeLimit: "5 minutes", login: Effect.zipRight(inner.get, Effect.never) }
        })
        const caller = yield* Effect.fork(outer.get)
        yield* TestClock.adjust(50)
        const leaving = yield* Effect.fork(Fiber.interrupt(caller))
        yield* TestClock.adjust(1_000)
        expect(Option.isSome(yield* Fiber.poll(leaving))).toBe(true)
        const stored = Option.getOrThrow(yield* Persisted.load("inner"))
        expect(stored.grant.refreshToken).toEqual(Redacted.make("refresh-2"))
        expect(stored.status).toEqual({ _tag: "Active" })
      }).pipe(Effect.provideService(Vault.Vault, vault))
    }))
})

/** A device login whose polls are answered by this. */
const device = (poll: Handler) =>
  Effect.gen(function*() {
    let count = 0
    const server = yield* AuthorizationServer.make({
      tokenEndpoint: "https://idp.test/token",
      deviceAuthorizationEndpoint: "https://idp.test/device"
    })
    const start = json({
      device_code: "d",
      user_code: "CODE",
      verification_uri: "https://idp.test/go",
      expires_in: 600
    })
    const login = yield* DeviceLogin.make({ server, client: { id: "app" } }).pipe(
      Effect.provide(Layer.merge(
        serve((call) => {
          count++
          return call.url.endsWith("/device") ? Effect.sync(start) : poll(call)
        }),
        LoginPrompt.layerSilent
      ))
    )
    return { login, calls: () => count }
  })

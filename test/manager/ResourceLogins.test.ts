import { describe, expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import type * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as IdToken from "effect-credentials/oauth/IdToken"
import type { TokenError } from "effect-credentials/TokenError"
import { Misconfigured, ReauthRequired } from "effect-credentials/TokenError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { access, call, challenge, issuer, knownAt, makeWorld, metadata, person, url } from "./resourceKit.js"
import type { World } from "./resourceKit.js"

type Login = ResourceAccess.Options["login"]

/** A person whose grant arrives at once, and whose browser shows a last page for a time. */
const withFarewell = (world: World): Login => (options) =>
  Effect.map(person(world)(options), (service) => ({
    ...service,
    login: Effect.zipLeft(Effect.uninterruptible(Grant.arriving(service.login)), Effect.sleep("5 seconds"))
  }))

/** A person who takes two minutes, to say no too. */
const slow = (world: World): Login => (options) =>
  Effect.map(person(world)(options), (service) => ({
    ...service,
    login: Effect.flatMap(Effect.exit(service.login), (exit) => Effect.delay(exit, "2 minutes"))
  }))

/** Access whose person has logged in to read. */
const reading = (login: (world: World) => Login, options: Partial<ResourceAccess.Options> = {}) =>
  Effect.gen(function*() {
    const world = yield* makeWorld
    world.set.challenge = challenge({ scope: "read" })
    const api = yield* access(world, { interactive: true, login: login(world), ...options })
    yield* during(api.login, "3 minutes")
    return { api, world }
  })

/** Lets this much time pass while it runs. */
const during = <A, E>(self: Effect.Effect<A, E>, time: "10 seconds" | "3 minutes") =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

/** Leaves it when the person has been asked. */
const leaving = <A, E>(world: World, self: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const before = world.logins.length
    const fiber = yield* Effect.fork(self)
    yield* Effect.repeat(TestClock.adjust("1 millis"), { until: () => world.logins.length > before })
    const left = yield* Effect.fork(Fiber.interrupt(fiber))
    yield* TestClock.adjust("10 seconds")
    return yield* Fiber.join(left)
  })

const scopesOf = ({ logins }: World) => logins.map(({ scopes }) => scopes)

describe("a login that is cancelled after its grant has arrived", () => {
  it.scoped("has succeeded: the next one is not held back", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(withFarewell)
      world.set.needs = ["write"]
      expect(Exit.isInterrupted(yield* leaving(world, call(world, api)))).toBe(true)
      expect(scopesOf(world)).toEqual([["read"], ["read", "write"]])
      expect(yield* call(world, api)).toBe(200)
      world.set.needs = ["write", "more"]
      expect(yield* during(call(world, api), "10 seconds")).toBe(200)
      expect(scopesOf(world)[2]).toEqual(["read", "write", "more"])
    }))

  it.scoped("has got its scopes: later ones ask for them too", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(withFarewell)
      expect(Exit.isInterrupted(yield* leaving(world, api.stepUp(["write"])))).toBe(true)
      yield* during(api.login, "10 seconds")
      expect(scopesOf(world)).toEqual([["read"], ["read", "write"], ["read", "write"]])
    }))

  it.scoped("has asked for its scopes: one that doesn't say what it has got counts as having them", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(withFarewell)
      world.set.grants = () => []
      world.set.needs = ["write"]
      yield* leaving(world, call(world, api))
      expect(yield* Effect.flip(call(world, api))).toMatchObject({
        reason: "InvalidScope",
        detail: expect.stringContaining("a login for them did not bring them")
      })
      expect(world.logins.length).toBe(2)
    }))
})

describe("a login that is cancelled before that", () => {
  it.scoped("has come to nothing: none opens by itself for a while, and later ones ask for less", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(slow)
      world.set.needs = ["write"]
      expect(Exit.isInterrupted(yield* leaving(world, call(world, api)))).toBe(true)
      expect(yield* Effect.flip(call(world, api))).toMatchObject({
        _tag: "TokenUnavailable",
        detail: expect.stringContaining("Cancelled")
      })
      yield* during(api.login, "3 minutes")
      expect(scopesOf(world)).toEqual([["read"], ["read", "write"], ["read"]])
    }))
})

describe("a login for more scopes", () => {
  const denial = new ReauthRequired({
    source: "test login",
    reason: "AccessDenied",
    detail: "the person said no",
    hint: "Ask again."
  })

  it.scoped("that comes to nothing takes away nothing that was found out meanwhile", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(slow, { cacheFor: "1 minute" })
      world.set.denies = denial
      const asking = yield* Effect.fork(Effect.exit(api.stepUp(["write"])))
      yield* TestClock.adjust("90 seconds")
      world.set.challenge = challenge({ scope: "read new" })
      yield* api.source.request({ interactive: false })
      yield* TestClock.adjust("40 seconds")
      expect(Exit.isFailure(yield* Fiber.join(asking))).toBe(true)
      world.set.denies = undefined
      yield* during(api.login, "3 minutes")
      expect(scopesOf(world).at(-1)).toEqual(["read", "new"])
    }))

  it.scoped("that had to wait for one that asked for less is opened after it", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(slow)
      const both = yield* Effect.fork(
        Effect.all([api.login, Effect.zipRight(Effect.sleep("1 second"), api.stepUp(["write"]))], {
          concurrency: "unbounded"
        })
      )
      yield* TestClock.adjust("5 minutes")
      const [, token] = yield* Fiber.join(both)
      expect(token.scopes).toEqual(["read", "write"])
      expect(scopesOf(world)).toEqual([["read"], ["read"], ["read", "write"]])
    }))

  it.scoped("is forgotten with a logout: who logs in next is asked for what anybody is", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(person)
      yield* api.stepUp(["write"])
      yield* api.logout()
      yield* api.login
      expect(scopesOf(world).slice(1)).toEqual([["read", "write"], ["read"]])
    }))

  it.scoped("is not forgotten with a client that the server has forgotten", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(person)
      yield* api.stepUp(["write"])
      yield* TestClock.adjust("2 hours")
      knownAt(world, issuer).clear()
      yield* api.source.get
      expect(world.registrations()).toBe(2)
      expect(scopesOf(world).at(-1)).toEqual(["read", "write"])
    }))
})

describe("a login that opens by itself", () => {
  const fail = (error: TokenError | undefined): Effect.Effect<void, TokenError> =>
    error === undefined ? Effect.void : Effect.fail(error)

  /** A person whose logins fail with these, one after the other, and then succeed. */
  const failing = (...errors: ReadonlyArray<TokenError>) => (world: World): Login => {
    const left = [...errors]
    return (options) =>
      Effect.map(person(world)(options), (service) => ({
        ...service,
        login: Effect.zipLeft(service.login, Effect.suspend(() => fail(left.shift())))
      }))
  }

  const invalidClient = new Misconfigured({
    source: "test login",
    reason: "InvalidClient",
    detail: "the authorization server refused with invalid_client",
    hint: "Check it."
  })

  const wrongAudience = IdToken.toGrantError(
    new IdToken.IdTokenRejected({
      source: "test login",
      reason: "Audience",
      detail: "the ID token is made for another client",
      hint: "Check the client id."
    })
  )

  /** Somebody asks for a token whose client was registered this long ago. */
  const fails = (error: TokenError, ways: "source" | "login" | "request") =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, { interactive: true, login: failing(error)(world) })
      yield* api.found
      yield* TestClock.adjust("3 minutes")
      const all = {
        source: Effect.asVoid(api.source.get),
        login: Effect.asVoid(api.login),
        request: Effect.asVoid(call(world, api))
      }
      const exit = yield* Effect.exit(all[ways])
      return { exit, api, world }
    })

  for (const way of ["source", "login", "request"] as const) {
    it.scoped(`whose ID token is for somebody else leads to no other client and no other login (${way})`, () =>
      Effect.gen(function*() {
        const { exit, world } = yield* fails(wrongAudience, way)
        expect(exit).toMatchObject({ cause: { error: { _tag: "Misconfigured", reason: "InvalidOption" } } })
        expect([world.registrations(), world.logins.length]).toEqual([1, 1])
      }))

    it.scoped(`as a client that the server has forgotten is followed by one as another (${way})`, () =>
      Effect.gen(function*() {
        const { exit, world } = yield* fails(invalidClient, way)
        expect(Exit.isSuccess(exit)).toBe(true)
        expect([world.registrations(), world.logins.length]).toEqual([2, 2])
      }))
  }

  it.scoped("is held back after a no also where the resource has moved on", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const no = new ReauthRequired({ source: "t", reason: "AccessDenied", detail: "no", hint: "" })
      const login = failing(no)(world)
      const api = yield* access(world, { interactive: true, cacheFor: "10 seconds", login })
      expect(yield* Effect.flip(api.source.get)).toMatchObject({ reason: "AccessDenied" })
      world.set.metadata = { resource: url, authorization_servers: ["https://other.test"] }
      yield* TestClock.adjust("20 seconds")
      expect(yield* Effect.flip(api.source.get)).toMatchObject({
        _tag: "TokenUnavailable",
        detail: expect.stringContaining("AccessDenied")
      })
      expect(world.logins.length).toBe(1)
      // Whoever asks for it is asked.
      yield* api.login
      expect(world.logins.map((login) => login.issuer)).toEqual([issuer, "https://other.test"])
    }))

  it.scoped("is not held back because the one before could not be begun", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, { interactive: true, client: { metadata } })
      yield* api.found
      yield* TestClock.adjust("10 minutes")
      // The server forgets its clients, and registers nobody for now.
      knownAt(world, issuer).clear()
      world.set.before = (request) => request.url.endsWith("/register") ? "dropped" : undefined
      expect(yield* Effect.flip(api.source.get)).toMatchObject({ reason: "ReplyLost" })
      expect(world.logins).toEqual([])
      world.set.before = () => undefined
      yield* api.source.get
      expect([world.registrations(), world.logins.length]).toEqual([3, 1])
    }))

  it.scoped("is held back after a no whichever access to the resource has asked, one for more scopes too", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(person)
      const beside = yield* access(world, { interactive: true })
      yield* beside.source.get
      world.set.needs = ["write"]
      world.set.denies = new ReauthRequired({ source: "t", reason: "AccessDenied", detail: "no", hint: "" })
      expect(yield* Effect.flip(call(world, api))).toMatchObject({ reason: "AccessDenied" })
      for (const access of [beside, api, beside]) {
        expect(yield* Effect.flip(call(world, access))).toMatchObject({ _tag: "TokenUnavailable" })
      }
      expect(world.logins.length).toBe(2)
      world.set.denies = undefined
      yield* beside.stepUp(["write"])
      expect(yield* call(world, api)).toBe(200)
      expect(world.logins.length).toBe(3)
    }))

  it.scoped("is as the client that there is where that may not renew tokens (RFC 6749 §5.2)", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, { interactive: true })
      world.set.before = ({ url }) =>
        url.endsWith("/token") ? Response.json({ error: "unauthorized_client" }, { status: 400 }) : undefined
      yield* api.found
      yield* TestClock.adjust("10 minutes")
      yield* api.source.get
      expect([world.registrations(), world.logins.length]).toEqual([1, 1])
    }))

  it.scoped("is held back after a no also where the server has forgotten the client meanwhile", () =>
    Effect.gen(function*() {
      const { api, world } = yield* reading(person)
      yield* TestClock.adjust("10 minutes")
      world.set.needs = ["write"]
      world.set.denies = new ReauthRequired({ source: "t", reason: "AccessDenied", detail: "no", hint: "" })
      expect(yield* Effect.flip(call(world, api))).toMatchObject({ reason: "AccessDenied" })
      knownAt(world, issuer).clear()
      expect(yield* Effect.flip(api.source.request({ refresh: true }))).toMatchObject({
        _tag: "TokenUnavailable",
        detail: expect.stringContaining("AccessDenied")
      })
      expect([world.registrations(), world.logins.length]).toEqual([2, 2])
    }))
})

import { describe, expect, it } from "@effect/vitest"
import { Unreachable } from "effect-credentials/vault/VaultError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { access, asProcess, issuer, knownAt, makeWorld, metadata } from "../manager/resourceKit.js"

/** Access by somebody who has logged in so long ago that the token has expired. */
const loggedIn = Effect.gen(function*() {
  const world = yield* makeWorld
  const api = yield* access(world)
  yield* api.source.get
  yield* TestClock.adjust("2 hours")
  return { api, world }
})

/** The same of two processes over one vault. */
const twoLoggedIn = Effect.gen(function*() {
  const world = yield* makeWorld
  const one = yield* access(world, {}, asProcess(world, "1"))
  const two = yield* access(world, {}, asProcess(world, "2"))
  yield* one.source.get
  yield* two.source.get
  yield* TestClock.adjust("2 hours")
  return { one, two, world }
})

describe("F39 a client that registered itself", () => {
  it.scoped("is another one at another issuer, and for another redirect URI", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const at = (redirectUri: string) =>
        Effect.flatMap(
          access(world, { client: { metadata: { ...metadata, redirectUris: [redirectUri] } } }),
          (api) => Effect.map(api.found, ({ client }) => client.client.id)
        )
      const first = yield* at("http://127.0.0.1/callback")
      const second = yield* at("http://127.0.0.1/other")
      expect(second).not.toBe(first)
      expect([yield* at("http://127.0.0.1/callback"), yield* at("http://127.0.0.1/other")]).toEqual([
        first,
        second
      ])
      world.set.metadata = { ...world.set.metadata, authorization_servers: ["https://other.test"] }
      expect(yield* at("http://127.0.0.1/callback")).toContain("https://other.test")
      expect(world.registrations()).toBe(3)
    }))

  it.scoped("is registered again, once, after the server has forgotten it, and the person logs in once", () =>
    Effect.gen(function*() {
      const { api, world } = yield* loggedIn
      knownAt(world, issuer).clear()
      const tokens = yield* Effect.all(Array.from({ length: 20 }, () => api.source.get), {
        concurrency: "unbounded"
      })
      expect(tokens.length).toBe(20)
      expect([world.registrations(), world.logins.length]).toEqual([2, 2])
      expect(world.logins[1]?.client).not.toBe(world.logins[0]?.client)
      // From then on it is renewed as that client.
      yield* TestClock.adjust("2 hours")
      yield* api.source.request({ interactive: false })
      expect(world.exchanges().at(-1)).toMatchObject({ client_id: world.logins[1]?.client })
      expect([world.registrations(), world.logins.length]).toEqual([2, 2])
    }))

  it.scoped("needs a person after that: where nobody may be asked, the error says so", () =>
    Effect.gen(function*() {
      const { api, world } = yield* loggedIn
      knownAt(world, issuer).clear()
      for (let index = 0; index < 10; index++) {
        expect(yield* Effect.flip(api.source.request({ interactive: false }))).toMatchObject({
          _tag: "TokenUnavailable",
          reason: "LoginRequired"
        })
      }
      // The refresh token of the old client was not sent as the new one's.
      expect(new Set(world.exchanges().map((form) => form["client_id"])).size).toBe(1)
      expect([world.registrations(), world.logins.length]).toEqual([2, 1])
      yield* api.source.get
      expect([world.registrations(), world.logins.length]).toEqual([2, 2])
    }))

  it.scoped("is not registered again and again where the server refuses every one", () =>
    Effect.gen(function*() {
      const { api, world } = yield* loggedIn
      world.set.before = ({ url }) =>
        url.endsWith("/token") ? Response.json({ error: "invalid_client" }, { status: 401 }) : undefined
      for (let index = 0; index < 10; index++) {
        yield* Effect.exit(api.source.request({ refresh: true, interactive: false }))
      }
      expect(world.registrations()).toBe(2)
      yield* api.login
      expect(yield* Effect.flip(api.source.request({ refresh: true, interactive: false }))).toMatchObject({
        _tag: "Misconfigured",
        reason: "InvalidClient"
      })
      expect(world.registrations()).toBe(2)
    }))

  it.scoped("is looked after before a person is sent to a page that would know nobody", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world)
      yield* api.login
      yield* TestClock.adjust("10 minutes")
      knownAt(world, issuer).clear()
      yield* api.login
      expect(world.registrations()).toBe(2)
      // Nobody was asked as the forgotten client.
      expect(world.logins.map(({ client }) => client)).toEqual([
        expect.stringContaining("client-1"),
        expect.stringContaining("client-1")
      ])
      expect(new Set(world.logins.map(({ client }) => client)).size).toBe(2)
      // An outage of that question is no reason to keep anybody from logging in.
      yield* TestClock.adjust("10 minutes")
      world.set.before = ({ url }) => url.endsWith("/token") ? "dropped" : undefined
      yield* api.login
      expect([world.registrations(), world.logins.length]).toEqual([2, 3])
    }))

  it.scoped("is the same for all processes, also where they register at once", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.registrationTakes = 1_000
      const ids = yield* Effect.fork(Effect.all(
        ["1", "2", "3"].map((name) =>
          Effect.flatMap(access(world, {}, asProcess(world, name)), (api) =>
            Effect.map(api.found, ({ client }) => client.client.id))
        ),
        { concurrency: "unbounded" }
      ))
      yield* TestClock.adjust("2 seconds")
      const found = yield* Fiber.join(ids)
      expect(new Set(found).size).toBe(1)
      expect(found).toHaveLength(3)
    }))

  it.scoped("that another process has registered anew is taken over", () =>
    Effect.gen(function*() {
      const { one, two, world } = yield* twoLoggedIn
      knownAt(world, issuer).clear()
      yield* one.source.get
      expect(world.registrations()).toBe(2)
      yield* two.source.get
      expect([world.registrations(), world.logins.length]).toEqual([2, 2])
    }))

  it.scoped("that another process has registered anew means one login for both, not two", () =>
    Effect.gen(function*() {
      const { one, two, world } = yield* twoLoggedIn
      knownAt(world, issuer).clear()
      world.set.registrationTakes = 1_000
      const both = yield* Effect.fork(
        Effect.all([one.source.get, two.source.get], { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(both)
      expect(world.logins.length).toBe(2)
    }))

  it.scoped("doesn't spoil the login of another client in another process", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const one = yield* access(world, {}, asProcess(world, "1"))
      yield* one.login
      // The registration is lost, and the next process makes another one.
      yield* Effect.flatMap(
        world.vault.list("OAUTH_CLIENT_"),
        Effect.forEach((key) => world.vault.remove(key))
      )
      yield* TestClock.adjust("10 minutes")
      const two = yield* access(world, {}, asProcess(world, "2"))
      yield* two.login
      yield* one.source.request({ refresh: true, interactive: false })
      yield* two.source.request({ refresh: true, interactive: false })
      expect(world.exchanges().map((form) => form["client_id"])).toEqual(
        world.logins.map(({ client }) => client)
      )
    }))

  it.scoped("is not made while the vault can't be read", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const down = new Unreachable({ vault: "memory", action: "get", detail: "it is away", hint: "Wait." })
      const api = yield* access(world, {}, { ...world.vault, get: () => Effect.fail(down) })
      expect(yield* Effect.flip(api.found)).toMatchObject({
        _tag: "TransientFailure",
        reason: "StoreUnreachable"
      })
      expect(world.registrations()).toBe(0)
    }))

  it.scoped("is used while the process lives where it can't be stored", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const down = new Unreachable({ vault: "memory", action: "set", detail: "it is full", hint: "Wait." })
      const api = yield* access(world, { cacheFor: "1 minute" }, {
        ...world.vault,
        compareAndSet: (key, expected, value) =>
          key.startsWith("OAUTH_CLIENT_")
            ? Effect.fail(down)
            : world.vault.compareAndSet(key, expected, value)
      })
      const first = yield* api.found
      yield* TestClock.adjust("5 minutes")
      expect((yield* api.found).client.client.id).toBe(first.client.client.id)
      expect(world.registrations()).toBe(1)
    }))
})

import { describe, expect, it } from "@effect/vitest"
import type * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import type * as Vault from "effect-credentials/vault/Vault"
import { Unreachable } from "effect-credentials/vault/VaultError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { access, asProcess, makeWorld, metadata, url } from "./resourceKit.js"
import type { World } from "./resourceKit.js"

/** A world in which somebody is logged in, and what the next process has. */
const loggedIn = (options: Partial<ResourceAccess.Options> = {}) =>
  Effect.gen(function*() {
    const world = yield* makeWorld
    world.set.server = (issuer) => ({ revocation_endpoint: `${issuer}/revoke` })
    world.set.before = (request) => request.url.endsWith("/revoke") ? new Response("") : undefined
    yield* (yield* access(world, options, asProcess(world, "1"))).login
    const api = yield* access(world, options, asProcess(world, "2"))
    world.requests.length = 0
    return { api, world }
  })

const grants = ({ vault }: World) => Effect.map(vault.list("OAUTH_REFRESH_TOKEN_"), ({ length }) => length)

const revocations = ({ requests }: World) =>
  requests.filter((request) => request.url.endsWith("/revoke")).length

describe("a logout by a process that has used nothing yet", () => {
  it.scoped("revokes both tokens, and removes the grant", () =>
    Effect.gen(function*() {
      const { api, world } = yield* loggedIn()
      yield* api.logout()
      expect([revocations(world), yield* grants(world)]).toEqual([2, 0])
      expect(world.registrations()).toBe(0)
    }))

  it.scoped("asks nobody where it is not to revoke", () =>
    Effect.gen(function*() {
      const { api, world } = yield* loggedIn()
      yield* api.logout({ revoke: false })
      expect(world.requests).toEqual([])
      expect(yield* grants(world)).toBe(0)
      expect(yield* Effect.flip(api.source.request({ interactive: false }))).toMatchObject({
        reason: "LoginRequired"
      })
    }))

  it.scoped("asks nobody where nobody is logged in any more", () =>
    Effect.gen(function*() {
      const { api, world } = yield* loggedIn()
      yield* api.logout({ revoke: false })
      world.set.before = () => "dropped"
      yield* (yield* access(world, {}, asProcess(world, "3"))).logout()
      expect(world.requests).toEqual([])
    }))

  it.scoped("removes the grant where the network is away, and says that it was not revoked", () =>
    Effect.gen(function*() {
      const { api, world } = yield* loggedIn()
      world.set.before = () => "dropped"
      expect(yield* Effect.flip(api.logout())).toMatchObject({ _tag: "TransientFailure" })
      expect(yield* grants(world)).toBe(0)
      yield* api.logout()
    }))

  it.scoped("removes the grant also when whoever wanted it has left meanwhile", () =>
    Effect.gen(function*() {
      const { api, world } = yield* loggedIn()
      world.set.before = () => "hangs"
      const leaving = yield* Effect.fork(api.logout())
      yield* TestClock.adjust("1 second")
      expect(Exit.isInterrupted(yield* Fiber.interrupt(leaving))).toBe(true)
      expect(yield* grants(world)).toBe(0)
    }))

  it.scoped("removes the grant of a resource that has moved on", () =>
    Effect.gen(function*() {
      const { api, world } = yield* loggedIn()
      world.set.metadata = { resource: url, authorization_servers: ["https://other.test"] }
      yield* api.logout()
      expect(yield* grants(world)).toBe(0)
    }))

  it.scoped("leaves alone what another client of the resource has", () =>
    Effect.gen(function*() {
      const { world } = yield* loggedIn()
      const client = { metadata: { ...metadata, redirectUris: ["http://127.0.0.1/other"] } }
      world.set.before = () => "dropped"
      const other = yield* access(world, { client }, asProcess(world, "3"))
      expect(yield* Effect.flip(other.logout({ revoke: false }))).toMatchObject({ _tag: "TransientFailure" })
      expect(yield* grants(world)).toBe(1)
    }))

  it.scoped("says so where the vault can't remove it", () =>
    Effect.gen(function*() {
      const { world } = yield* loggedIn()
      const down = new Unreachable({ vault: "memory", action: "remove", detail: "it is away", hint: "Wait." })
      const vault: Vault.Service = {
        ...asProcess(world, "3"),
        capabilities: { ...world.vault.capabilities, lease: "none" },
        remove: () => Effect.fail(down)
      }
      const api = yield* access(world, {}, vault)
      for (const revoke of [undefined, false]) {
        expect(yield* Effect.flip(api.logout({ revoke }))).toMatchObject({ reason: "StoreUnreachable" })
      }
    }))

  for (const text of ["", "x", "../../etc/passwd", "A".repeat(64), "0".repeat(63)]) {
    it.scoped(`takes nothing for a trace that can't be one (${text.slice(0, 20)})`, () =>
      Effect.gen(function*() {
        const { world } = yield* loggedIn()
        const [place = ""] = yield* world.vault.list("OAUTH_RESOURCE_")
        yield* world.vault.set(place, Redacted.make(text))
        const api = yield* access(world, {}, asProcess(world, "3"))
        yield* api.logout()
        expect([revocations(world), yield* grants(world)]).toEqual([2, 0])
      }))
  }
})

describe("what is written down of a login", () => {
  it.scoped("tells neither resource nor issuer nor any secret", () =>
    Effect.gen(function*() {
      const { world } = yield* loggedIn()
      const [place = ""] = yield* world.vault.list("OAUTH_RESOURCE_")
      const { value } = Option.getOrThrow(yield* world.vault.get(place))
      expect(`${place} ${Redacted.value(value)}`).toMatch(/^OAUTH_RESOURCE_[0-9a-f]{64} [0-9a-f]{64}$/)
    }))

  it.scoped("is not missed by a login where the vault doesn't take it", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const vault: Vault.Service = {
        ...world.vault,
        set: (key, value) => key.startsWith("OAUTH_RESOURCE_") ? Effect.never : world.vault.set(key, value)
      }
      const logging = yield* Effect.fork(Effect.flatMap(access(world, {}, vault), (api) => api.login))
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.join(logging)
      expect(world.logins.length).toBe(1)
    }))
})

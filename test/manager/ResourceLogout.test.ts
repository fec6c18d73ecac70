import { describe, expect, it } from "@effect/vitest"
import type * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as Client from "effect-credentials/oauth/Client"
import type * as Vault from "effect-credentials/vault/Vault"
import { Unreachable } from "effect-credentials/vault/VaultError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { access, asProcess, issuer, knownAt, makeWorld, metadata, url } from "./resourceKit.js"
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

/** What is written down of the logins. */
const parties = ({ vault }: World) =>
  Effect.gen(function*() {
    const [place = ""] = yield* vault.list("OAUTH_RESOURCE_")
    const { value } = Option.getOrThrow(yield* vault.get(place))
    const all: ReadonlyArray<Record<string, unknown>> = JSON.parse(Redacted.value(value))
    return all
  })

/** What the next process has, once the resource has moved there. */
const movedTo = (world: World, there: string, options: Partial<ResourceAccess.Options> = {}) =>
  Effect.suspend(() => {
    world.set.metadata = { resource: url, authorization_servers: [there] }
    return access(world, options, asProcess(world, there))
  })

const other = "https://other.test"

/** Somebody is logged in at two issuers, since the resource has moved; gives what has the second login. */
const loggedInTwice = (options: Partial<ResourceAccess.Options> = {}) =>
  Effect.gen(function*() {
    const { world } = yield* loggedIn(options)
    const api = yield* movedTo(world, other, options)
    yield* api.login
    world.requests.length = 0
    return { api, world }
  })

/** Who was asked to revoke, and as which client. */
const revokers = ({ requests }: World) =>
  requests.filter((request) => request.url.endsWith("/revoke")).map((request) => [
    new URL(request.url).origin,
    new URLSearchParams(request.body).get("client_id")
  ])

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

  it.scoped("leaves alone what another client by hand has", () =>
    Effect.gen(function*() {
      const by = (id: string) => ({ client: { clients: { [issuer]: { id } } } })
      const { world } = yield* loggedIn(by("one"))
      yield* (yield* access(world, by("two"), asProcess(world, "3"))).login
      yield* (yield* access(world, by("one"), asProcess(world, "4"))).logout()
      expect(new Set(revokers(world).map(([, client]) => client))).toEqual(new Set(["one"]))
      yield* (yield* access(world, by("two"), asProcess(world, "5"))).source.request({ interactive: false })
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

describe("a logout from a resource that has moved to another issuer", () => {
  for (const who of ["the process that has seen it", "the next process"] as const) {
    const ending = (options: Partial<ResourceAccess.Options> = {}) =>
      Effect.gen(function*() {
        const { api, world } = yield* loggedInTwice(options)
        const next = access(world, options, asProcess(world, "next"))
        return { world, api: who === "the next process" ? yield* next : api }
      })

    it.scoped(`revokes each grant where it is from, as the client that got it, by ${who}`, () =>
      Effect.gen(function*() {
        const { api, world } = yield* ending()
        yield* api.logout()
        const [first, second] = world.logins.map(({ client }) => client)
        expect(revokers(world)).toHaveLength(4)
        expect(revokers(world)).toEqual(
          expect.arrayContaining([[issuer, first], [issuer, first], [other, second], [other, second]])
        )
        expect(yield* grants(world)).toBe(0)
        expect(world.registrations()).toBe(0)
      }))

    it.scoped(`removes what can't be revoked, and says so, by ${who}`, () =>
      Effect.gen(function*() {
        const { api, world } = yield* ending()
        world.set.before = ({ url }) => {
          if (url.startsWith(issuer)) return "dropped"
          return url.endsWith("/revoke") ? new Response("") : undefined
        }
        const failing = yield* Effect.fork(Effect.flip(api.logout()))
        yield* TestClock.adjust("1 minute")
        expect(yield* Fiber.join(failing)).toMatchObject({ _tag: "TransientFailure" })
        expect(new Set(revokers(world).map(([issuer]) => issuer))).toEqual(new Set([other]))
        expect(yield* grants(world)).toBe(0)
      }))

    it.scoped(`removes both when whoever wanted it has left meanwhile, by ${who}`, () =>
      Effect.gen(function*() {
        const { api, world } = yield* ending()
        world.set.before = () => "hangs"
        const leaving = yield* Effect.fork(api.logout())
        yield* TestClock.adjust("1 second")
        expect(Exit.isInterrupted(yield* Fiber.interrupt(leaving))).toBe(true)
        expect(yield* grants(world)).toBe(0)
      }))

    it.scoped(`asks nobody where it is not to revoke, by ${who}`, () =>
      Effect.gen(function*() {
        const { api, world } = yield* ending()
        yield* api.logout({ revoke: false })
        expect(revokers(world)).toEqual([])
        expect(yield* grants(world)).toBe(0)
      }))

    it.scoped(`takes the client that was given for each, with its own secret, by ${who}`, () =>
      Effect.gen(function*() {
        const by = (id: string) => ({ id, auth: Client.post(Redacted.make(`secret-${id}`)) })
        const { api, world } = yield* ending({
          client: { clients: { [issuer]: by("one"), [other]: by("two") } }
        })
        yield* api.logout()
        const shown = world.requests.filter(({ url }) => url.endsWith("/revoke")).map(({ body, url }) =>
          [url, ...["client_id", "client_secret"].map((name) => new URLSearchParams(body).get(name))].join(
            " "
          )
        )
        expect(new Set(shown)).toEqual(
          new Set([`${issuer}/revoke one secret-one`, `${other}/revoke two secret-two`])
        )
      }))
  }

  it.scoped("asks none that is not trusted any more, and says so", () =>
    Effect.gen(function*() {
      const { world } = yield* loggedInTwice()
      const api = yield* access(world, { trust: (there) => there === other }, asProcess(world, "next"))
      expect(yield* Effect.flip(api.logout())).toMatchObject({ reason: "IssuerMismatch" })
      expect(world.requests.filter(({ url }) => url.startsWith(issuer))).toEqual([])
      expect([revocations(world), yield* grants(world)]).toEqual([2, 0])
    }))
})

describe("a logout of a program that has become another client of the server", () => {
  for (const [what, answer] of [["knows", undefined], ["has forgotten", "invalid_client"]] as const) {
    it.scoped(`ends what the one before had, which the server ${what}`, () =>
      Effect.gen(function*() {
        const { api, world } = yield* loggedIn()
        yield* TestClock.adjust("10 minutes")
        knownAt(world, issuer).clear()
        yield* api.login
        const [first, second] = world.logins.map(({ client }) => client)
        expect([first === second, yield* grants(world)]).toEqual([false, 2])
        world.set.before = (request) => {
          if (!request.url.endsWith("/revoke")) return undefined
          const isForgotten = answer !== undefined && request.body.includes(encodeURIComponent(first ?? ""))
          return isForgotten ? Response.json({ error: answer }, { status: 401 }) : new Response("")
        }
        yield* api.logout()
        expect(new Set(revokers(world).map(([, client]) => client))).toEqual(new Set([first, second]))
        expect(yield* grants(world)).toBe(0)
      }))
  }
})

describe("a logout from a resource that is older than metadata", () => {
  it.scoped("revokes nothing, since there is no place for that, and removes the grant", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.metadata = undefined
      const options = { legacy: true, client: { clients: { "https://api.test": { id: "by-hand" } } } }
      yield* (yield* access(world, options, asProcess(world, "1"))).login
      expect([world.logins[0]?.issuer, yield* grants(world)]).toEqual(["https://api.test", 1])
      yield* (yield* access(world, options, asProcess(world, "2"))).logout()
      expect([revocations(world), yield* grants(world)]).toEqual([0, 0])
    }))
})

describe("what is written down of a login", () => {
  it.scoped("holds no secret, and its name tells nothing", () =>
    Effect.gen(function*() {
      const { world } = yield* loggedIn()
      const [place = ""] = yield* world.vault.list("OAUTH_RESOURCE_")
      expect(place).toMatch(/^OAUTH_RESOURCE_[0-9a-f]{64}$/)
      expect(yield* parties(world)).toEqual([{ resource: url, client: world.logins[0]?.client, issuer }])
    }))

  it.scoped("is of the last eight whom there were logins with, each once", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      for (const number of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 4]) {
        yield* (yield* movedTo(world, `https://idp-${number}.test`)).login
      }
      expect((yield* parties(world)).map((party) => party["issuer"])).toEqual(
        [4, 9, 8, 7, 6, 5, 3, 2].map((number) => `https://idp-${number}.test`)
      )
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

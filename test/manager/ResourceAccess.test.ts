import { describe, expect, it } from "@effect/vitest"
import * as Client from "effect-credentials/oauth/Client"
import type * as Token from "effect-credentials/Token"
import { ReauthRequired } from "effect-credentials/TokenError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import {
  access,
  asProcess,
  call,
  challenge,
  issuer,
  knownAt,
  makeWorld,
  metadata,
  url
} from "./resourceKit.js"

const textOf = ({ value }: Token.Token) => Redacted.value(value)

const other = "https://other.test"

describe("access to a resource", () => {
  it.scoped("finds out nothing before its first use, and all of it once", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world)
      expect(world.requests).toEqual([])
      const tokens = yield* Effect.all(Array.from({ length: 50 }, () => api.source.get), {
        concurrency: "unbounded"
      })
      expect(new Set(tokens.map(textOf)).size).toBe(1)
      expect(world.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
        `GET ${url}`,
        "GET https://api.test/.well-known/oauth-protected-resource/mcp",
        `GET ${issuer}/.well-known/oauth-authorization-server`,
        `POST ${issuer}/register`
      ])
      expect(world.logins).toEqual([
        { issuer, client: expect.stringContaining("client-1"), scopes: undefined, resource: url }
      ])
    }))

  it.scoped("the next start needs neither a registration nor a login", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const first = yield* (yield* access(world, {}, asProcess(world, "1"))).source.get
      const second = yield* (yield* access(world, { login: undefined }, asProcess(world, "2"))).source.get
      expect(textOf(second)).toBe(textOf(first))
      expect([world.logins.length, world.registrations()]).toEqual([1, 1])
    }))

  it.scoped("a request opens no login unless it may", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world)
      expect(yield* Effect.flip(call(world, api))).toMatchObject({ reason: "LoginRequired" })
      expect(world.logins).toEqual([])
      yield* api.login
      expect(yield* call(world, api)).toBe(200)

      const eager = yield* makeWorld
      expect(yield* call(eager, yield* access(eager, { interactive: true }))).toBe(200)
      expect(eager.logins.length).toBe(1)
    }))

  it.scoped("the token goes to the resource's origin only", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world)
      yield* api.login
      world.requests.length = 0
      yield* api.http(world.http).get("https://elsewhere.test/")
      expect(world.requests[0]?.headers).not.toHaveProperty("authorization")
    }))

  it.scoped("a resource that is out of reach is tried again by the next call", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.before = () => "dropped"
      const api = yield* access(world)
      expect(yield* Effect.flip(api.source.get)).toMatchObject({
        _tag: "TransientFailure",
        reason: "Network"
      })
      world.set.before = () => undefined
      yield* api.source.get
      expect(world.logins.length).toBe(1)
    }))

  it.scoped("an outage of the metadata takes nothing away", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, { cacheFor: "10 minutes" })
      const token = yield* api.source.get
      yield* TestClock.adjust("11 minutes")
      world.set.before = ({ url }) =>
        url.includes("oauth-protected-resource") ? new Response("", { status: 503 }) : undefined
      expect(textOf(yield* api.source.get)).toBe(textOf(token))
      world.set.before = () => undefined
      yield* TestClock.adjust("2 minutes")
      expect(textOf(yield* api.source.get)).toBe(textOf(token))
      expect(world.logins.length).toBe(1)
    }))

  it.scoped("whoever leaves while it is found out stops nobody else", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.registrationTakes = 5_000
      const api = yield* access(world)
      const leaving = yield* Effect.fork(api.source.get)
      const staying = yield* Effect.fork(api.source.get)
      yield* TestClock.adjust("1 second")
      expect(Exit.isInterrupted(yield* Fiber.interrupt(leaving))).toBe(true)
      yield* TestClock.adjust("6 seconds")
      yield* Fiber.join(staying)
      expect(world.logins.length).toBe(1)
    }))

  it.scoped("status and peek ask nobody", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world)
      let told = 0
      const stop = api.source.onChange(() => told++)
      expect(yield* api.source.status).toMatchObject({ source: "api.test", health: "Idle" })
      expect(api.source.peek()._tag).toBe("None")
      expect(world.requests).toEqual([])
      yield* api.source.get
      expect(yield* api.source.status).toMatchObject({ source: "api.test", health: "Healthy" })
      expect(api.source.peek()._tag).toBe("Some")
      expect(told).toBeGreaterThan(0)
      const before = told
      stop()
      yield* TestClock.adjust("1 hour")
      yield* api.source.get
      expect(told).toBe(before)
    }))

  it.scoped("a logout ends it, and the next use asks again", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world)
      yield* api.source.get
      yield* api.logout()
      expect(yield* Effect.flip(api.source.request({ interactive: false }))).toMatchObject({
        reason: "LoginRequired"
      })
      yield* api.source.get
      expect(world.logins.length).toBe(2)
    }))
})

describe("the scopes of a first login are", () => {
  it.scoped("those that the program wants, else the challenge's, else the metadata's, else none", () =>
    Effect.gen(function*() {
      const scopesOf = (change: {
        readonly wanted?: ReadonlyArray<string>
        readonly challenged?: string
        readonly supported?: ReadonlyArray<string>
      }) =>
        Effect.gen(function*() {
          const world = yield* makeWorld
          world.set.metadata = { ...world.set.metadata, scopes_supported: change.supported }
          if (change.challenged !== undefined) world.set.challenge = challenge({ scope: change.challenged })
          yield* (yield* access(world, { scopes: change.wanted })).source.get
          return world.logins[0]?.scopes
        })
      const supported = ["s1", "s2"]
      expect(yield* scopesOf({ wanted: ["w"], challenged: "c", supported })).toEqual(["w"])
      expect(yield* scopesOf({ challenged: "c1 c2 c1", supported })).toEqual(["c1", "c2"])
      expect(yield* scopesOf({ supported })).toEqual(supported)
      expect(yield* scopesOf({})).toBe(undefined)
      expect(yield* scopesOf({ challenged: "good b\\\"ad \\u0007" })).toEqual(["good", "u0007"])
    }))
})

describe("which authorization server", () => {
  it.scoped("the first one whose metadata is there", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.metadata = { resource: url, authorization_servers: ["https://gone.test", issuer, other] }
      world.set.server = (issuer) => issuer === "https://gone.test" ? undefined : {}
      const api = yield* access(world)
      expect((yield* api.found).server.issuer).toBe(issuer)
    }))

  it.scoped("not the next one because the first is out of reach", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.metadata = { resource: url, authorization_servers: [issuer, other] }
      world.set.before = (request) => request.url.startsWith(issuer) ? "dropped" : undefined
      expect(yield* Effect.flip((yield* access(world)).found)).toMatchObject({ reason: "Network" })
      expect(world.requests.some(({ url }) => url.startsWith(other))).toBe(false)
    }))

  it.scoped("one that the program chooses, of those that are listed, and trusts", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.metadata = { resource: url, authorization_servers: [issuer, other] }
      const chosen = yield* access(world, {
        choose: (all) => ["https://unlisted.test", ...[...all].reverse()]
      })
      expect((yield* chosen.found).server.issuer).toBe(other)
      const trusted = yield* access(world, { trust: (one) => one === other })
      expect((yield* trusted.found).server.issuer).toBe(other)
      const none = yield* access(world, { choose: () => [] })
      expect(yield* Effect.flip(none.found)).toMatchObject({ reason: "IssuerMismatch" })
    }))

  it.scoped("never one whose document names another issuer", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.server = () => ({ issuer: "https://evil.test" })
      expect(yield* Effect.flip((yield* access(world)).found)).toMatchObject({ reason: "IssuerMismatch" })
      expect(world.registrations()).toBe(0)
    }))

  it.scoped("though a slash more or less at the end of a bare one is settled by its document", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.server = () => ({ issuer: `${issuer}/` })
      expect((yield* (yield* access(world)).found).server.issuer).toBe(`${issuer}/`)
      world.set.metadata = { resource: url, authorization_servers: [`${issuer}/`] }
      world.set.server = () => ({})
      expect((yield* (yield* access(world)).found).server.issuer).toBe(issuer)
    }))

  it.scoped("that of a resource from before has the usual endpoints, if nothing else is known", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.metadata = undefined
      world.set.challenge = undefined
      expect(yield* Effect.flip((yield* access(world)).found)).toMatchObject({ reason: "InvalidMetadata" })
      world.set.before = (request) =>
        request.url === "https://api.test/register"
          ? Response.json({ client_id: "old" }, { status: 201 })
          : undefined
      const api = yield* access(world, { legacy: true })
      yield* api.source.get
      expect(world.logins).toEqual([
        { issuer: "https://api.test", client: "old", scopes: undefined, resource: undefined }
      ])
    }))
})

describe("a resource that moves to another authorization server", () => {
  it.scoped("gets a new client and a new login, and nothing of the old one is sent there", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, { cacheFor: "10 minutes" })
      const before = yield* api.source.get
      world.set.metadata = { resource: url, authorization_servers: [other] }
      yield* TestClock.adjust("11 minutes")
      expect(yield* Effect.flip(api.source.request({ interactive: false }))).toMatchObject({
        _tag: "TokenUnavailable",
        reason: "LoginRequired"
      })
      const after = yield* api.source.get
      expect(textOf(after)).not.toBe(textOf(before))
      expect(world.logins.map(({ issuer }) => issuer)).toEqual([issuer, other])
      expect(world.logins[1]?.client).toContain(other)
      const sent = world.requests.filter((request) => request.url.startsWith(other))
      const known = [...world.tokens].flatMap(([token, grant]) => grant.issuer === issuer ? [token] : [])
      expect(known.length).toBeGreaterThan(0)
      for (const secret of [...known, ...knownAt(world, issuer)]) {
        expect(JSON.stringify(sent)).not.toContain(secret)
      }
      // And back: the old grant is still there.
      world.set.metadata = { resource: url, authorization_servers: [issuer] }
      yield* TestClock.adjust("11 minutes")
      expect(textOf(yield* api.source.get)).toBe(textOf(before))
      expect(world.logins.length).toBe(2)
    }))

  it.scoped("gets a new login also where the client has the same id at both", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.server = () => ({ client_id_metadata_document_supported: true })
      const client = { documentUrl: "https://app.test/client.json" }
      const api = yield* access(world, { client, cacheFor: "10 minutes" })
      const before = yield* api.source.get
      world.set.metadata = { resource: url, authorization_servers: [other] }
      yield* TestClock.adjust("11 minutes")
      expect(textOf(yield* api.source.get)).not.toBe(textOf(before))
      expect(world.logins).toEqual([issuer, other].map((issuer) => ({
        issuer,
        client: client.documentUrl,
        scopes: undefined,
        resource: url
      })))
      yield* TestClock.adjust("2 hours")
      yield* api.source.request({ interactive: false })
      expect(world.requests.filter((request) => request.url === `${issuer}/token`)).toEqual([])
    }))

  it.scoped("to one that is not trusted is an error, and the old session ends", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, { cacheFor: "10 minutes", trust: (one) => one === issuer })
      yield* api.source.get
      world.set.metadata = { resource: url, authorization_servers: ["https://evil.test"] }
      yield* TestClock.adjust("11 minutes")
      expect(yield* Effect.flip(api.source.get)).toMatchObject({ reason: "IssuerMismatch" })
      expect(world.requests.some(({ url }) => url.includes("evil"))).toBe(false)
    }))

  it.scoped.each([true, false])(
    "is noticed when it refuses a token that is new (grant dead: %s)",
    (isDead) =>
      Effect.gen(function*() {
        const world = yield* makeWorld
        const api = yield* access(world)
        yield* api.login
        yield* TestClock.adjust("5 minutes")
        if (isDead) world.tokens.clear()
        world.set.metadata = { resource: url, authorization_servers: [other] }
        world.set.before = (request) =>
          request.url === url && request.method === "POST" ? new Response("", { status: 401 }) : undefined
        yield* Effect.exit(call(world, api))
        yield* api.source.get
        expect(world.logins.map(({ issuer }) => issuer)).toEqual([issuer, other])
      })
  )
})

describe("the client", () => {
  it.scoped("is the one that was registered by hand at this issuer, before anything else", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const clients = { [issuer]: { id: "by-hand" }, [other]: { id: "elsewhere" } }
      world.set.server = () => ({ client_id_metadata_document_supported: true })
      const api = yield* access(world, {
        client: { clients, documentUrl: "https://app.test/c.json", metadata }
      })
      yield* api.source.get
      expect(world.logins[0]?.client).toBe("by-hand")
      expect(world.registrations()).toBe(0)
    }))

  it.scoped("is its document where the server knows such, else it registers itself", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const client = { documentUrl: "https://app.test/c.json", metadata }
      yield* (yield* access(world, { client })).source.get
      expect(world.logins[0]?.client).toContain("client-1")
      world.set.server = () => ({ client_id_metadata_document_supported: true })
      yield* (yield* access(world, { client })).login
      expect(world.logins[1]?.client).toBe("https://app.test/c.json")
      expect(world.registrations()).toBe(1)
    }))

  it.scoped("can't be one at an issuer for which nothing was given", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const clients = { [other]: { id: "elsewhere", auth: Client.basic(Redacted.make("secret")) } }
      const api = yield* access(world, { client: { clients } })
      expect(yield* Effect.flip(api.source.get)).toMatchObject({ reason: "InvalidClient" })
      expect(JSON.stringify(world.requests)).not.toContain("elsewhere")
      const clientsBelow = Object.create({ [issuer]: { id: "elsewhere" } })
      const inherited = yield* access(world, { client: { clients: clientsBelow } })
      expect(yield* Effect.flip(inherited.source.get)).toMatchObject({ reason: "InvalidClient" })
    }))

  it.scoped("can't have a document at an address that is none", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const made = access(world, { client: { documentUrl: "http://app.test/c.json" } })
      expect(yield* Effect.flip(made)).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
    }))
})

describe("a request that wants more scopes", () => {
  const ready = (options: Parameters<typeof access>[1] = {}) =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.challenge = challenge({ scope: "read" })
      const api = yield* access(world, { interactive: true, ...options })
      yield* api.login
      return { api, world }
    })

  it.scoped("gets them beside the old ones, by one login, and is sent once more", () =>
    Effect.gen(function*() {
      const { api, world } = yield* ready()
      world.set.needs = ["write"]
      expect(yield* call(world, api)).toBe(200)
      expect(world.logins.map(({ scopes }) => scopes)).toEqual([["read"], ["read", "write"]])
      expect(yield* call(world, api)).toBe(200)
      expect(world.logins.length).toBe(2)
    }))

  it.scoped("shares that login with others that want the same", () =>
    Effect.gen(function*() {
      const { api, world } = yield* ready()
      world.set.needs = ["write"]
      const statuses = yield* Effect.all(Array.from({ length: 20 }, () => call(world, api)), {
        concurrency: "unbounded"
      })
      expect(new Set(statuses)).toEqual(new Set([200]))
      expect(world.logins.length).toBe(2)
    }))

  it.scoped("fails and names them where it may ask nobody", () =>
    Effect.gen(function*() {
      const { api, world } = yield* ready({ interactive: false })
      world.set.needs = ["write", "delete"]
      expect(yield* Effect.flip(call(world, api))).toMatchObject({
        _tag: "RequestRejected",
        reason: "InvalidScope",
        detail: "the resource wants the scopes write, delete, and a request may not ask for a login"
      })
      expect(world.logins.length).toBe(1)
      // But somebody may.
      yield* api.stepUp(["write", "delete"])
      expect(yield* call(world, api)).toBe(200)
      expect(world.logins[1]?.scopes).toEqual(["read", "write", "delete"])
    }))

  it.scoped("fails where the login doesn't bring them, and asks for them once", () =>
    Effect.gen(function*() {
      const { api, world } = yield* ready()
      world.set.needs = ["write"]
      world.set.grants = () => ["read"]
      for (let index = 0; index < 5; index++) {
        expect(yield* Effect.flip(call(world, api))).toMatchObject({ reason: "InvalidScope" })
      }
      expect(world.logins.length).toBe(2)
      world.set.grants = (scopes) => scopes
      yield* api.stepUp(["write"])
      expect(yield* call(world, api)).toBe(200)
    }))

  it.scoped("is answered by the refusal where that goes on, without a loop", () =>
    Effect.gen(function*() {
      const { api, world } = yield* ready()
      world.set.needs = ["write"]
      world.set.before = (request) =>
        request.method === "POST" && request.url === url
          ? new Response("", { status: 403, headers: { "www-authenticate": world.set.refusal(["write"]) } })
          : undefined
      expect(yield* call(world, api)).toBe(403)
      expect(yield* Effect.flip(call(world, api))).toMatchObject({ reason: "InvalidScope" })
      expect(world.logins.length).toBe(2)
    }))

  it.scoped("leads to so many logins an hour, whatever it invents", () =>
    Effect.gen(function*() {
      const { api, world } = yield* ready({ maxStepUps: 2 })
      let count = 0
      world.set.before = (request) =>
        request.method === "POST" && request.url === url
          ? new Response("", {
            status: 403,
            headers: { "www-authenticate": world.set.refusal([`new-${count++}`]) }
          })
          : undefined
      for (let index = 0; index < 10; index++) yield* Effect.exit(call(world, api))
      expect(world.logins.length).toBe(3)
      expect(yield* Effect.flip(call(world, api))).toMatchObject({
        detail: expect.stringContaining("enough logins for more scopes within the hour")
      })
      yield* TestClock.adjust("61 minutes")
      yield* Effect.exit(call(world, api))
      expect(world.logins.length).toBe(4)
    }))

  it.scoped("counts as any login does, of which there are only so many an hour", () =>
    Effect.gen(function*() {
      const { api, world } = yield* ready({ maxStepUps: 100, maxLogins: 2 })
      let count = 0
      world.set.before = (request) =>
        request.method === "POST" && request.url === url
          ? new Response("", {
            status: 403,
            headers: { "www-authenticate": world.set.refusal([`new-${count++}`]) }
          })
          : undefined
      for (let index = 0; index < 10; index++) yield* Effect.exit(call(world, api))
      expect(world.logins.length).toBe(2)
    }))

  it.scoped("does not ask again at once after the person has said no", () =>
    Effect.gen(function*() {
      const { api, world } = yield* ready({ maxStepUps: 100 })
      world.set.needs = ["write"]
      world.set.denies = new ReauthRequired({
        source: "test login",
        reason: "AccessDenied",
        detail: "the person said no",
        hint: "Ask again."
      })
      expect(yield* Effect.flip(call(world, api))).toMatchObject({ reason: "AccessDenied" })
      for (let index = 0; index < 5; index++) yield* Effect.exit(call(world, api))
      expect(world.logins.length).toBe(2)
      world.set.denies = undefined
      yield* TestClock.adjust("2 minutes")
      // What was refused did not stay among what logins ask for.
      yield* api.login
      expect(world.logins[2]?.scopes).toEqual(["read"])
      expect(yield* call(world, api)).toBe(200)
      expect(world.logins[3]?.scopes).toEqual(["read", "write"])
    }))

  it.scoped("without names of scopes stays refused", () =>
    Effect.gen(function*() {
      const { api, world } = yield* ready()
      world.set.needs = ["write"]
      world.set.refusal = () => challenge({ error: "insufficient_scope" })
      expect(yield* call(world, api)).toBe(403)
      world.set.refusal = () => challenge({ scope: "write" })
      expect(yield* call(world, api)).toBe(403)
      expect(world.logins.length).toBe(1)
    }))
})

import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import { Misconfigured, ReauthRequired } from "effect-credentials/TokenError"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { access, call, challenge, issuer, makeWorld, metadata, person, url } from "./resourceKit.js"
import type { World } from "./resourceKit.js"

const other = "https://other.test"

/** A call a minute for 45 minutes, by a program that goes on whatever comes. */
const persist = (world: World, api: ResourceAccess.Service) =>
  Effect.repeatN(Effect.zipRight(Effect.exit(call(world, api)), TestClock.adjust("61 seconds")), 44)

const denial = new ReauthRequired({
  source: "test login",
  reason: "AccessDenied",
  detail: "the person said no",
  hint: "Ask again."
})

/** The API refuses every token, and the server every request for one, with this code. */
const refuseAll = (world: World, error: string, status: number): void => {
  world.set.before = (request) =>
    request.url === url && request.method === "POST"
      ? new Response("", { status: 401 })
      : request.url.endsWith("/token")
      ? Response.json({ error }, { status })
      : undefined
}

describe("a resource that wants to harm", () => {
  it.scoped("has a server that leads to this machine: nothing is sent there", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.server = () => ({ registration_endpoint: "http://127.0.0.1:2375/containers/create" })
      expect(yield* Effect.flip((yield* access(world)).source.get)).toMatchObject({
        _tag: "Misconfigured",
        reason: "InsecureUrl",
        detail: expect.stringContaining("registration_endpoint")
      })
      expect(world.requests.some(({ url }) => url.includes("127.0.0.1"))).toBe(false)
    }))

  it.scoped("refuses each token, and its server each grant: that leads to ten logins an hour", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, { interactive: true })
      refuseAll(world, "invalid_grant", 400)
      yield* persist(world, api)
      expect(world.logins.length).toBe(10)
      expect(yield* Effect.flip(call(world, api))).toMatchObject({
        _tag: "TokenUnavailable",
        reason: "LoginRequired",
        detail: "a login is needed, and there were enough of them within the hour"
      })
      // A person may always, and counting begins anew with that.
      yield* api.login
      expect(world.logins.length).toBe(11)
      yield* TestClock.adjust("2 minutes")
      yield* Effect.exit(call(world, api))
      expect(world.logins.length).toBe(12)
    }))

  it.scoped.each([false, true])(
    "moves on with each answer: it is followed five times an hour (person denies: %s)",
    (denies) =>
      Effect.gen(function*() {
        const world = yield* makeWorld
        const api = yield* access(world, { interactive: true, maxLogins: 8 })
        let count = 0
        world.set.before = (request) =>
          request.url === url && request.method === "POST"
            ? new Response("", { status: 401 })
            : request.url.includes("oauth-protected-resource")
            ? Response.json({ resource: url, authorization_servers: [`https://evil${count++}.test`] })
            : undefined
        if (denies) world.set.denies = denial
        yield* persist(world, api)
        expect(world.registrations()).toBeLessThanOrEqual(6)
        expect(world.logins.length).toBeLessThanOrEqual(8)
      })
  )

  it.scoped.each([[false, false], [true, false], [true, true]])(
    "has a server that forgets each client (interactive: %s, person denies: %s)",
    ([interactive, denies]) =>
      Effect.gen(function*() {
        const world = yield* makeWorld
        const api = yield* access(world, { interactive })
        yield* api.login
        if (denies) world.set.denies = denial
        refuseAll(world, "invalid_client", 401)
        yield* persist(world, api)
        expect(world.registrations()).toBeLessThanOrEqual(6)
        expect(world.logins.length).toBeLessThanOrEqual(interactive ? 10 : 1)
      }),
    60_000
  )

  it.scoped.each([60, 3_600, 100_000_000])(
    "has a server whose clients' secrets have ended at once (%s)",
    (at) =>
      Effect.gen(function*() {
        const world = yield* makeWorld
        yield* TestClock.setTime(100_000_000_000)
        let count = 0
        world.set.before = (request) =>
          request.url.endsWith("/register")
            ? Response.json({
              client_id: `client-${count++}`,
              client_secret: "secret",
              client_secret_expires_at: at
            }, { status: 201 })
            : undefined
        const api = yield* access(world)
        for (let index = 0; index < 10; index++) yield* api.source.get
        expect([world.registrations(), world.logins.length]).toEqual([1, 1])
      })
  )

  it.scoped("can't be kept under the name of another one by a search for it", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      yield* (yield* access(world)).login
      const keys = yield* world.vault.list("OAUTH_REFRESH_TOKEN_")
      expect(keys).toEqual([expect.stringMatching(/^OAUTH_REFRESH_TOKEN_[0-9a-f]{64}$/)])
    }))

  it.scoped("names fifty long scopes: the error stays short", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world)
      yield* api.login
      world.set.needs = Array.from({ length: 50 }, (_, index) => `${index}-${"x".repeat(250)}`)
      const error = yield* Effect.flip(call(world, api))
      expect(error).toMatchObject({ reason: "InvalidScope" })
      expect(error.message).toContain("and 40 more")
      expect(error.message.length).toBeLessThan(1_500)
    }))
})

describe("a document that is not what it should be", () => {
  const resourceDocument = "/.well-known/oauth-protected-resource/mcp"
  const serverDocument = "/.well-known/oauth-authorization-server"
  const big = JSON.stringify({ resource: url, authorization_servers: [issuer], pad: "x".repeat(2 ** 21) })
  const moved = new Response("", { status: 302, headers: { location: "https://evil.test/" } })
  const of = (document: unknown) => () => Response.json(document)
  const named = (...authorization_servers: ReadonlyArray<unknown>) =>
    of({ resource: url, authorization_servers })
  const server = (change: object) => of({ issuer, token_endpoint: `${issuer}/token`, ...change })
  const challenged = (place: string) => () =>
    new Response("", {
      status: 401,
      headers: { "www-authenticate": challenge({ resource_metadata: place }) }
    })

  const cases: ReadonlyArray<readonly [string, string, () => Response, string]> = [
    ["a resource's that is huge", resourceDocument, () => new Response(big), "MalformedAnswer"],
    ["a resource's that redirects", resourceDocument, () => moved.clone(), "MalformedAnswer"],
    ["a resource's that is a page", resourceDocument, () => new Response("<html>"), "MalformedAnswer"],
    ["a resource's that is a list", resourceDocument, of([]), "MalformedAnswer"],
    [
      "a resource's of another resource",
      resourceDocument,
      of({ resource: "https://b.test/" }),
      "InvalidMetadata"
    ],
    ["a resource's of a neighbour", resourceDocument, of({ resource: `${url}2` }), "InvalidMetadata"],
    [
      "a resource's of all of its host",
      resourceDocument,
      of({ resource: "https://api.test" }),
      "InvalidMetadata"
    ],
    ["a resource's with no server", resourceDocument, named(), "InvalidMetadata"],
    ["a resource's with servers of numbers", resourceDocument, named(1), "MalformedAnswer"],
    ["a resource's with a server here", resourceDocument, named("http://127.0.0.1:8080"), "InsecureUrl"],
    ["a resource's with a server next door", resourceDocument, named("https://192.168.1.1"), "InsecureUrl"],
    [
      "a resource's with a server of IPv6",
      resourceDocument,
      named("https://[::ffff:10.0.0.1]"),
      "InsecureUrl"
    ],
    ["a resource's with an odd number", resourceDocument, named("https://0x7f.1/"), "InsecureUrl"],
    ["a resource's with a server in clear", resourceDocument, named("http://idp.test"), "InsecureUrl"],
    ["a resource's with a query", resourceDocument, named(`${issuer}?x=/`), "InsecureUrl"],
    [
      "a resource's with a name that hides",
      resourceDocument,
      named("https://idp.test@evil.test"),
      "InsecureUrl"
    ],
    ["a server's that is huge", serverDocument, () => new Response(big), "MalformedAnswer"],
    ["a server's that redirects", serverDocument, () => moved.clone(), "MalformedAnswer"],
    ["a server's that is a page", serverDocument, () => new Response("<html>"), "MalformedAnswer"],
    [
      "a server's of another issuer",
      serverDocument,
      server({ issuer: "https://evil.test" }),
      "IssuerMismatch"
    ],
    ["a server's of a path of it", serverDocument, server({ issuer: `${issuer}/x` }), "IssuerMismatch"],
    ["a server's of nobody", serverDocument, of({ token_endpoint: `${issuer}/token` }), "MalformedAnswer"],
    [
      "a server's that registers in clear",
      serverDocument,
      server({ registration_endpoint: "http://idp.test/register" }),
      "InsecureUrl"
    ],
    [
      "a server's whose keys are next door",
      serverDocument,
      server({ jwks_uri: "https://169.254.169.254/latest" }),
      "InsecureUrl"
    ],
    [
      "a server's whose tokens are of this machine",
      serverDocument,
      server({ token_endpoint: "https://localhost/token" }),
      "InsecureUrl"
    ],
    ["a challenge that leads here", url, challenged("http://127.0.0.1:2375/"), "InsecureUrl"],
    ["a challenge that leads into the cloud", url, challenged("http://169.254.169.254/"), "InsecureUrl"]
  ]

  for (const [what, place, answer, reason] of cases) {
    it.scoped(`${what} leads to ${reason}: nothing is asked elsewhere, and nobody`, () =>
      Effect.gen(function*() {
        const world = yield* makeWorld
        world.set.before = (request) =>
          request.url === place || new URL(request.url).pathname === place ? answer() : undefined
        const api = yield* access(world)
        const error = yield* Effect.flip(api.source.get)
        expect(error.reason).toBe(reason)
        expect(error.message.length).toBeLessThan(400)
        expect([world.registrations(), world.logins.length]).toEqual([0, 0])
        const hosts = world.requests.map(({ url }) => new URL(url).hostname)
        expect(hosts.filter((host) => host !== "api.test" && host !== "idp.test")).toEqual([])
      }))
  }

  it.scoped("that puts its hundred servers one after the other is remembered for the last of them", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, {
        cacheFor: "1 minute",
        client: { documentUrl: "https://app.test/c.json" }
      })
      world.set.server = () => ({ client_id_metadata_document_supported: true })
      const visit = (name: string) =>
        Effect.suspend(() => {
          world.set.metadata = { resource: url, authorization_servers: [`https://${name}.test`] }
          return Effect.zipRight(TestClock.adjust("61 seconds"), api.found)
        })
      for (let index = 0; index < 30; index++) yield* visit(`s${index}`)
      const reads = (name: string) =>
        world.requests.filter((request) => request.url.startsWith(`https://${name}.test/`)).length
      yield* visit("s29")
      yield* visit("s0")
      expect([reads("s29"), reads("s0")]).toEqual([1, 2])
    }))
})

describe("a resource that changes", () => {
  it.scoped("while somebody logs in doesn't take that login away", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const slow = (options: ResourceAccess.LoginOptions) =>
        Effect.map(
          person(world)(options),
          (service) => ({ ...service, login: Effect.delay(service.login, "2 minutes") })
        )
      const api = yield* access(world, { cacheFor: "1 minute", login: slow })
      const logging = yield* Effect.fork(api.login)
      yield* TestClock.adjust("90 seconds")
      world.set.metadata = { resource: url, authorization_servers: [other] }
      expect(yield* Effect.flip(api.source.request({ interactive: false }))).toMatchObject({
        reason: "LoginRequired"
      })
      expect((yield* api.found).server.issuer).toBe(other)
      yield* TestClock.adjust("90 seconds")
      expect(Exit.isSuccess(yield* Fiber.await(logging))).toBe(true)
      expect(world.logins.map(({ issuer }) => issuer)).toEqual([issuer])
    }))

  it.scoped("to where no login can be made is not taken for what it was before", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const unfit = new Misconfigured({ source: "t", reason: "InvalidOption", detail: "not there", hint: "" })
      const api = yield* access(world, {
        cacheFor: "10 minutes",
        login: (options) => options.server.issuer === other ? Effect.fail(unfit) : person(world)(options)
      })
      yield* api.login
      world.set.metadata = { resource: url, authorization_servers: [other] }
      yield* TestClock.adjust("11 minutes")
      for (let index = 0; index < 3; index++) {
        expect(yield* Effect.flip(api.source.get)).toMatchObject({ detail: "not there" })
      }
    }))

  it.scoped("its scopes has logins ask for them, beside those that were got meanwhile", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      world.set.challenge = challenge({ scope: "a" })
      const api = yield* access(world, { cacheFor: "10 minutes" })
      yield* api.login
      yield* api.stepUp(["more"])
      world.set.challenge = challenge({ scope: "a b" })
      yield* TestClock.adjust("20 minutes")
      yield* api.login
      expect((yield* api.found).scopes).toEqual(["a", "b"])
      expect(world.logins.map(({ scopes }) => scopes)).toEqual([["a"], ["a", "more"], ["a", "b", "more"]])
    }))

  it.scoped("and wants bound tokens from now on has the next login bind them", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const bound: Array<unknown> = []
      const api = yield* access(world, {
        cacheFor: "10 minutes",
        login: (options) => Effect.tap(person(world)(options), () => bound.push(options.dpop))
      })
      yield* api.login
      world.set.metadata = { ...world.set.metadata, dpop_bound_access_tokens_required: true }
      yield* TestClock.adjust("20 minutes")
      yield* api.login
      expect([bound[0], bound.at(-1)]).toEqual([undefined, true])
    }))
})

describe("what a login is given", () => {
  const given = (client: ResourceAccess.Options["client"], options: Partial<ResourceAccess.Options> = {}) =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const seen: Array<ResourceAccess.LoginOptions> = []
      const api = yield* access(world, {
        client,
        login: (options) => {
          seen.push(options)
          return person(world)(options)
        },
        ...options
      })
      yield* api.login
      return seen.at(-1)
    })

  const redirects = [
    ["http://127.0.0.1/callback", { host: "127.0.0.1", path: "/callback", port: undefined }],
    ["http://localhost:8765/cb", { host: "localhost", path: "/cb", port: 8765 }],
    ["http://[::1]:3000/", { host: "[::1]", path: "/", port: 3000 }],
    ["http://127.0.0.1/cb?x=1", { manual: "http://127.0.0.1/cb?x=1" }],
    ["https://app.test/callback", { manual: "https://app.test/callback" }],
    ["com.example.app:/callback", { manual: "com.example.app:/callback" }]
  ] as const

  for (const [uri, redirect] of redirects) {
    it.scoped(`comes back to where it was registered: ${uri}`, () =>
      Effect.gen(function*() {
        const registered = { metadata: { ...metadata, redirectUris: [uri, "https://second.test/"] } }
        expect((yield* given(registered))?.redirect).toEqual(redirect)
        const byHand = { ...registered, clients: { [issuer]: { id: "by-hand" } } }
        expect((yield* given(byHand))?.redirect).toEqual(redirect)
      }))
  }

  it.scoped("comes back to nowhere in particular where nobody said", () =>
    Effect.gen(function*() {
      expect((yield* given({ clients: { [issuer]: { id: "by-hand" } } }))?.redirect).toBe(undefined)
    }))

  it.scoped("has the server say that it knows PKCE, as the protocol demands", () =>
    Effect.gen(function*() {
      expect((yield* given({ metadata }))?.requirePkce).toBe(true)
    }))
})

describe("the Layer", () => {
  it.effect("gives the access to the program", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const layer = ResourceAccess.layer({ url, client: { metadata }, login: person(world) }).pipe(
        Layer.provide(Layer.succeed(Vault.Vault, world.vault)),
        Layer.provide(Layer.succeed(HttpClient.HttpClient, world.http))
      )
      const status = yield* Effect.provide(
        Effect.flatMap(
          ResourceAccess.ResourceAccess,
          (api) => Effect.zipRight(api.source.get, call(world, api))
        ),
        layer
      )
      expect([status, world.logins.length]).toEqual([200, 1])
    }))
})

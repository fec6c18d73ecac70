import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as ClientRegistry from "effect-credentials/manager/ClientRegistry"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import { Denied } from "effect-credentials/vault/VaultError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { client as clientOf } from "../oauth/siteKit.js"
import type { Request } from "../oauth/siteKit.js"

const issuer = "https://idp.test"
const metadata = { name: "Test client", redirectUris: ["http://127.0.0.1/callback"] }

/** A server that registers everybody, a vault, and what processes over it have. */
const setting = (answer: (count: number) => Record<string, unknown> = () => ({})) =>
  Effect.gen(function*() {
    const vault = yield* MemoryVault.make()
    const requests: Array<Request> = []
    let count = 0
    const http = clientOf(
      () =>
        Effect.delay(
          Effect.sync(() => {
            count++
            return Response.json({ client_id: `client-${count}`, ...answer(count) }, { status: 201 })
          }),
          "1 second"
        ),
      requests
    )
    const server = yield* AuthorizationServer.make({
      issuer,
      tokenEndpoint: `${issuer}/token`,
      registrationEndpoint: `${issuer}/register`
    })
    const registry = (options: Partial<ClientRegistry.Options> = {}, store: Vault.Service = vault) =>
      ClientRegistry.make({ metadata, ...options }).pipe(
        Effect.provideService(Vault.Vault, store),
        Effect.provideService(HttpClient.HttpClient, http)
      )
    /** Lets the registration take its time. */
    const waited = <A, E>(self: Effect.Effect<A, E>) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.fork(self)
        yield* TestClock.adjust("1 second")
        return yield* Fiber.join(fiber)
      })
    const key = Effect.map(vault.list(""), (keys) => keys[0] ?? "")
    const stored = Effect.map(
      Effect.flatMap(key, vault.get),
      (entry) => Redacted.value(Option.getOrThrow(entry).value)
    )
    return { key, registry, requests, server, stored, vault, waited }
  })

describe("a client that registered itself", () => {
  for (
    const [answer, auth] of [
      [{}, Client.none],
      [{ client_secret: "secret-1" }, Client.basic(Redacted.make("secret-1"))],
      [
        { client_secret: "secret-1", token_endpoint_auth_method: "client_secret_post" },
        Client.post(Redacted.make("secret-1"))
      ]
    ] as const
  ) {
    it.effect(`by ${auth._tag} is kept and found by the next process`, () =>
      Effect.gen(function*() {
        const { registry, requests, server, waited } = yield* setting(() => ({
          ...answer,
          registration_client_uri: `${issuer}/register/1`,
          registration_access_token: "manage-1"
        }))
        const first = yield* waited((yield* registry()).resolve(server))
        const second = yield* (yield* registry()).resolve(server)
        expect(second).toEqual(first)
        expect(second.client.auth).toEqual(auth)
        expect(JSON.stringify(second)).not.toMatch(/secret-1|manage-1/)
        expect(requests).toHaveLength(1)
      }))
  }

  it.effect("by a key is found with that key, which is stored nowhere", () =>
    Effect.gen(function*() {
      const { registry, requests, server, stored, waited } = yield* setting()
      const options = {
        metadata: { ...metadata, authMethod: "private_key_jwt" as const },
        privateKey: Client.privateKeyJwt({ key: Redacted.make("the-private-key") })
      }
      yield* waited((yield* registry(options)).resolve(server))
      expect(yield* stored).not.toContain("the-private-key")
      const second = yield* (yield* registry(options)).resolve(server)
      expect(second.client.auth?._tag).toBe("PrivateKeyJwt")
      expect(requests).toHaveLength(1)
    }))

  it.effect("whose secret ends is registered again in time", () =>
    Effect.gen(function*() {
      const { registry, requests, server, waited } = yield* setting((count) => ({
        client_secret: `secret-${count}`,
        client_secret_expires_at: 3600 * count
      }))
      const clients = yield* registry()
      yield* waited(clients.resolve(server))
      yield* TestClock.setTime(3_539_999)
      expect((yield* clients.resolve(server)).client.id).toBe("client-1")
      yield* TestClock.setTime(3_540_000)
      expect((yield* waited(clients.resolve(server))).client.id).toBe("client-2")
      expect((yield* clients.resolve(server)).client.id).toBe("client-2")
      expect(requests).toHaveLength(2)
    }))

  it.effect("is kept under a key that tells neither issuer nor redirect URI", () =>
    Effect.gen(function*() {
      const { key, registry, server, waited } = yield* setting()
      yield* waited((yield* registry()).resolve(server))
      expect(yield* key).toMatch(/^OAUTH_CLIENT_[0-9a-f]{64}$/)
    }))

  it.effect("of another issuer is not taken, wherever it lies", () =>
    Effect.gen(function*() {
      const { key, registry, requests, server, stored, vault, waited } = yield* setting()
      yield* waited((yield* registry()).resolve(server))
      const record = { ...JSON.parse(yield* stored), issuer: "https://evil.test" }
      yield* vault.set(yield* key, Redacted.make(JSON.stringify(record)))
      expect((yield* waited((yield* registry()).resolve(server))).client.id).toBe("client-2")
      expect(requests).toHaveLength(2)
    }))

  for (const text of ["", "{", "null", "{}", "{\"schema\":2}", "[1]"]) {
    it.effect(`that can't be read (${JSON.stringify(text)}) is replaced`, () =>
      Effect.gen(function*() {
        const { key, registry, server, vault, waited } = yield* setting()
        yield* waited((yield* registry()).resolve(server))
        yield* vault.set(yield* key, Redacted.make(text))
        expect((yield* waited((yield* registry()).resolve(server))).client.id).toBe("client-2")
        expect((yield* (yield* registry()).resolve(server)).client.id).toBe("client-2")
      }))
  }

  it.effect("once by any number of fibers and of processes", () =>
    Effect.gen(function*() {
      const { registry, server, waited } = yield* setting()
      const [one, two] = [yield* registry(), yield* registry()]
      const found = yield* waited(
        Effect.all([one, one, two, two].map((clients) => clients.resolve(server)), {
          concurrency: "unbounded"
        })
      )
      expect(new Set(found.map(({ client }) => client.id)).size).toBe(1)
    }))

  it.effect("is stored even if whoever wanted it has left by then", () =>
    Effect.gen(function*() {
      const { registry, requests, server, stored } = yield* setting()
      const leaving = yield* Effect.fork((yield* registry()).resolve(server))
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(leaving)
      expect(yield* Effect.either(Effect.sandbox(stored))).toMatchObject({ _tag: "Left" })
      const staying = yield* Effect.fork((yield* registry()).resolve(server))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(staying)
      expect(yield* stored).toContain("client-")
      expect(requests).toHaveLength(2)
    }))

  it.effect("needs no vault that compares, and is given where nothing can be written", () =>
    Effect.gen(function*() {
      const { registry, requests, server, stored, vault, waited } = yield* setting()
      const plain = { ...vault, capabilities: { ...vault.capabilities, compareAndSet: "none" as const } }
      yield* waited((yield* registry({}, plain)).resolve(server))
      expect(yield* stored).toContain("client-1")
      const denied = new Denied({ vault: "memory", action: "set", detail: "it is read-only", hint: "None." })
      const clients = yield* registry({ metadata: { ...metadata, redirectUris: ["http://127.0.0.1/x"] } }, {
        ...vault,
        compareAndSet: () => Effect.fail(denied)
      })
      expect((yield* waited(clients.resolve(server))).client.id).toBe("client-2")
      expect((yield* clients.resolve(server)).client.id).toBe("client-2")
      expect(requests).toHaveLength(2)
    }))

  it.effect("is forgotten on demand", () =>
    Effect.gen(function*() {
      const { registry, server, waited } = yield* setting()
      const clients = yield* registry()
      yield* waited(clients.resolve(server))
      yield* clients.forget(issuer)
      expect((yield* waited(clients.resolve(server))).client.id).toBe("client-2")
    }))

  it.effect("shows the initial access token to its own issuer only", () =>
    Effect.gen(function*() {
      const { registry, requests, server, waited } = yield* setting()
      const initialAccessTokens = { "https://other.test": Redacted.make("not-for-this-one") }
      yield* waited((yield* registry({ initialAccessTokens })).resolve(server))
      expect(requests[0]?.headers).not.toHaveProperty("authorization")
    }))
})

describe("a client that its server has forgotten", () => {
  it.effect("is registered again, but not right after it was", () =>
    Effect.gen(function*() {
      const { registry, requests, server, waited } = yield* setting()
      const clients = yield* registry()
      const first = yield* waited(clients.resolve(server))
      expect(yield* Effect.flip(clients.renew(server, first))).toMatchObject({ reason: "InvalidClient" })
      yield* TestClock.adjust("1 minute")
      const second = yield* waited(clients.renew(server, first))
      expect(second.client.id).toBe("client-2")
      // Who still has the first one gets the second, not a third.
      expect((yield* clients.renew(server, first)).client.id).toBe("client-2")
      expect(yield* Effect.flip(clients.renew(server, second))).toMatchObject({ reason: "InvalidClient" })
      expect(requests).toHaveLength(2)
    }))

  it.effect("but did not register itself stays as it is", () =>
    Effect.gen(function*() {
      const { registry, requests, server } = yield* setting()
      const clients = yield* registry({ clients: { [issuer]: { id: "by-hand" } } })
      const given = yield* clients.resolve(server)
      expect(yield* Effect.flip(clients.renew(server, given))).toMatchObject({
        reason: "InvalidClient",
        detail: "the server refused the client, which did not register itself"
      })
      expect(requests).toEqual([])
    }))
})

describe("a client that may also log in by code on another device", () => {
  const device = "urn:ietf:params:oauth:grant-type:device_code"

  for (
    const [what, endpoint, asked, expected] of [
      ["says so where the server has such logins", true, ["authorization_code", device], [
        "authorization_code",
        device
      ]],
      ["does not where the server has none", false, ["authorization_code", device], ["authorization_code"]],
      ["does all the same where there is nothing else", false, [device], [device]],
      ["is what it is by default", false, undefined, ["authorization_code", "refresh_token"]]
    ] as const
  ) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const { registry, requests, waited } = yield* setting()
        const server = yield* AuthorizationServer.make({
          issuer,
          tokenEndpoint: `${issuer}/token`,
          registrationEndpoint: `${issuer}/register`,
          deviceAuthorizationEndpoint: endpoint ? `${issuer}/device` : undefined
        })
        const clients = yield* registry({ metadata: { ...metadata, grantTypes: asked } })
        yield* waited(clients.resolve(server))
        expect(JSON.parse(requests[0]?.body ?? "")["grant_types"]).toEqual(expected)
      }))
  }
})

describe("a client that is to have another grant from now on", () => {
  it.effect("is another one, and the one before stays for those who want that", () =>
    Effect.gen(function*() {
      const { registry, requests, server, waited } = yield* setting()
      const grantTypes = ["authorization_code", "refresh_token"]
      const before = yield* registry()
      const now = yield* registry({ metadata: { ...metadata, grantTypes } })
      expect((yield* waited(before.resolve(server))).client.id).toBe("client-1")
      expect((yield* waited(now.resolve(server))).client.id).toBe("client-2")
      expect((yield* before.resolve(server)).client.id).toBe("client-1")
      expect(requests).toHaveLength(2)
    }))
})

describe("a client that is known", () => {
  const documentUrl = "https://program.test/client.json"

  it.effect("is given, the program's document, or stored, and nobody is asked", () =>
    Effect.gen(function*() {
      const { registry, requests, server, waited } = yield* setting(() => ({ client_secret: "secret-1" }))
      const clients = yield* registry({ documentUrl, clients: { "https://other.test": { id: "by-hand" } } })
      expect(yield* clients.known(issuer, "client-1")).toEqual(Option.none())
      const { client } = yield* waited(clients.resolve(server))
      expect(yield* clients.known(issuer, "client-1")).toEqual(Option.some(client))
      expect(yield* clients.known(issuer, documentUrl)).toEqual(
        Option.some({ id: documentUrl, auth: Client.none })
      )
      expect(yield* clients.known("https://other.test", "by-hand")).toEqual(Option.some({ id: "by-hand" }))
      for (
        const [at, id] of [[issuer, "by-hand"], ["https://other.test", "client-1"], [
          issuer,
          "client-0"
        ]] as const
      ) {
        expect(yield* clients.known(at, id)).toEqual(Option.none())
      }
      expect(requests).toHaveLength(1)
    }))
})

describe("a server that answers no registration", () => {
  it.effect("is asked once by all who wait, and keeps nobody from another one", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      const requests: Array<Request> = []
      const http = clientOf(
        ({ url }) =>
          url.startsWith(issuer)
            ? Effect.never
            : Effect.succeed(Response.json({ client_id: "there" }, { status: 201 })),
        requests
      )
      const at = (issuer: string) =>
        AuthorizationServer.make({
          issuer,
          tokenEndpoint: `${issuer}/token`,
          registrationEndpoint: `${issuer}/register`
        })
      const clients = yield* ClientRegistry.make({ metadata, requestTimeLimit: "30 seconds" }).pipe(
        Effect.provideService(Vault.Vault, vault),
        Effect.provideService(HttpClient.HttpClient, http)
      )
      const silent = yield* at(issuer)
      const waiting = yield* Effect.forEach(
        [0, 1, 2, 3, 4],
        () => Effect.fork(Effect.flip(clients.resolve(silent)))
      )
      yield* TestClock.adjust("1 second")
      expect((yield* clients.resolve(yield* at("https://other.test"))).client.id).toBe("there")
      yield* TestClock.adjust("30 seconds")
      for (const error of yield* Effect.forEach(waiting, Fiber.join)) {
        expect(error).toMatchObject({ reason: "Timeout" })
      }
      expect(requests.filter(({ url }) => url.startsWith(issuer))).toHaveLength(1)
    }))
})

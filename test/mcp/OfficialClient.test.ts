/**
 * The official client of the Model Context Protocol as a yardstick: what it asks of whom, and in which order, on the
 * same servers as ours.
 */
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Mcp from "./kit.js"
import * as Official from "./official.js"

interface Told {
  /** The requests to both servers, in order; those of the person are left out. */
  readonly path: ReadonlyArray<string>
  /** Where the browser was sent. */
  readonly authorize: ReadonlyArray<URL>
  readonly admitted: Mcp.Mcp["admitted"]
}

/** What the resource and the provider are asked until the tool has answered, by the client that `run` is. */
const told = <E>(
  run: (
    mcp: Mcp.Mcp,
    idp: Mcp.Registrar,
    authorize: Array<URL>
  ) => Effect.Effect<unknown, E, HttpClient.HttpClient>,
  change: Partial<Mcp.Options> = {}
) =>
  Effect.gen(function*() {
    const idp = yield* Mcp.provider()
    const mcp = yield* Mcp.make({ issuer: idp.issuer, ...change })
    const order: Array<string> = []
    watch(order, mcp.requests, ({ path, rpc }) => rpc ?? path)
    watch(order, idp.requests as Array<Mcp.Registrar["requests"][number]>, ({ path }) => path)
    const authorize: Array<URL> = []
    yield* run(mcp, idp, authorize)
    // The provider's keys are read by the server, its pages by the person.
    const path = order.filter((one) => !/^\/(?:jwks|auth|interaction|consent)\b/.test(one))
    return { path, authorize, admitted: mcp.admitted } satisfies Told
  }).pipe(Effect.scoped)

const watch = <A>(order: Array<string>, list: Array<A>, name: (one: A) => string): void => {
  const push = list.push.bind(list)
  list.push = (...more) => {
    order.push(...more.map(name))
    return push(...more)
  }
}

/** The official client; the person's browser comes back to an address where nobody listens. */
const official = (mcp: Mcp.Mcp, idp: Mcp.Registrar, authorize: Array<URL>) =>
  Effect.promise(async () => {
    const client = await Official.connect({
      url: mcp.url,
      authorize,
      person: async (url) => {
        const back = new URL(await Effect.runPromise(idp.authorize(url.href)))
        return back.searchParams.get("code") ?? ""
      },
      held: {}
    })
    const { content } = await client.callTool({ name: "greet", arguments: {} })
    expect(content).toEqual(Mcp.greeting)
    await client.close()
  })

const ours = (mcp: Mcp.Mcp, idp: Mcp.Registrar, authorize: Array<URL>) =>
  Effect.gen(function*() {
    const api = yield* ResourceAccess.make({
      url: mcp.url,
      client: { metadata: { name: "Test client", redirectUris: [Official.redirectUri] } },
      login: BrowserLogin.make,
      interactive: true
    })
    const http = api.http(yield* HttpClient.HttpClient)
    yield* Mcp.say(http, mcp.url, "initialize", Mcp.initialize)
    const called = yield* Mcp.say(http, mcp.url, "tools/call", { name: "greet", arguments: {} })
    expect(called.body.result.content).toEqual(Mcp.greeting)
  }).pipe(
    Effect.scoped,
    Effect.provide([Mcp.person(idp.approve, authorize), RefreshScheduler.layer]),
    Effect.provideServiceEffect(Vault.Vault, MemoryVault.make())
  )

/** What both have to do with it before the first token. */
const untilToken = ({ path }: Told): ReadonlyArray<string> => path.slice(0, path.indexOf("/token") + 1)

const nothingMore = { requiredForCalls: [] }

describe("beside the official client, ours", () => {
  it.live("asks the same of the same servers, in the same order", () =>
    Effect.gen(function*() {
      const theirs = yield* told(official, nothingMore)
      const own = yield* told(ours, nothingMore)
      const steps = [
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/reg",
        "/token"
      ]
      // Theirs tries a real message first, and asks for all metadata again once the person has come back.
      expect(untilToken(theirs)).toEqual(["initialize", ...steps.slice(0, 3), ...steps.slice(0, 2), "/token"])
      // Ours asks for the address itself without a token.
      expect(untilToken(own)).toEqual(["/mcp", ...steps])
      expect([...theirs.path].filter((one) => one === "tools/call")).toEqual(["tools/call"])
      expect([...own.path].filter((one) => one === "tools/call")).toEqual(["tools/call"])
    }).pipe(Effect.provide(FetchHttpClient.layer)), 60_000)

  it.live(
    "sends the person to the same address, with a state beside it, and gets the same rights",
    () =>
      Effect.gen(function*() {
        const theirs = yield* told(official, nothingMore)
        const own = yield* told(ours, nothingMore)
        const fields = (url: URL | undefined) =>
          Object.fromEntries(
            [...url?.searchParams ?? []].map((
              [name, value]
            ) => [name, /challenge$|^client_id$|^redirect/.test(name) ? "" : value])
          )
        const { resource, scope, ...same } = fields(theirs.authorize[0])
        expect(fields(own.authorize[0])).toEqual({
          ...same,
          resource: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/mcp$/),
          // The provider offers renewal without the person; theirs doesn't ask for it.
          scope: `${scope} offline_access`,
          prompt: "consent",
          state: expect.stringMatching(/^[\w-]{43}$/)
        })
        expect(resource).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/mcp$/)
        const rights = ({ admitted }: Told) =>
          new Set(admitted.map(({ scopes }) => [...scopes].sort().join(" ")))
        expect(rights(theirs)).toEqual(new Set(["tools:read"]))
        expect(rights(own)).toEqual(rights(theirs))
      }).pipe(Effect.provide(FetchHttpClient.layer)),
    60_000
  )

  it.live(
    "keeps the scopes that it has when it asks for more, as theirs does not",
    () =>
      Effect.gen(function*() {
        const own = yield* told(ours)
        expect(own.authorize.map(({ searchParams }) => searchParams.get("scope")?.split(" ").sort())).toEqual(
          [
            ["offline_access", "tools:read"],
            ["offline_access", "tools:read", "tools:write"]
          ]
        )
        const failed = yield* Effect.flip(Effect.sandbox(told(official)))
        // With a refresh token in hand theirs renews that, which brings no new scope, and gives up.
        expect(String(Cause.squash(failed))).toContain("Server returned 403 after trying upscoping")
      }).pipe(Effect.provide(FetchHttpClient.layer)),
    60_000
  )
})

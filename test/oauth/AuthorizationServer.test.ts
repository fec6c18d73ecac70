import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import * as OidcProvider from "../support/OidcProvider.js"
import { inTurn, json, serve, text } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const issuer = "https://idp.test/tenant"

const document = (fields: Record<string, unknown> = {}) => ({
  issuer,
  token_endpoint: "https://idp.test/token",
  ...fields
})

const discovered = (
  handler: Handler,
  options: Partial<AuthorizationServer.DiscoverOptions> = {},
  calls: Array<Call> = []
) =>
  Effect.gen(function*() {
    const server = yield* AuthorizationServer.discover({ issuer, ...options })
    return yield* server.metadata
  }).pipe(Effect.provide(serve(handler, calls)))

const openid = "https://idp.test/tenant/.well-known/openid-configuration"
const oauth2 = "https://idp.test/.well-known/oauth-authorization-server/tenant"

describe("with a real provider", () => {
  it.scopedLive("discovers the endpoints", () =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make()
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      assert.deepStrictEqual(idp.requests, [])
      const metadata = yield* server.metadata
      yield* server.metadata
      assert.strictEqual(metadata.token_endpoint, `${idp.issuer}/token`)
      assert.strictEqual(metadata.device_authorization_endpoint, `${idp.issuer}/device/auth`)
      assert.deepStrictEqual(idp.requests.map((request) => request.path), [
        "/.well-known/openid-configuration"
      ])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  const wrong: ReadonlyArray<readonly [string, (issuer: string) => string]> = [
    ["another name for the same host", (found) => found.replace("127.0.0.1", "localhost")],
    ["a slash at the end", (found) => `${found}/`]
  ]
  for (const [name, change] of wrong) {
    it.scopedLive(`an issuer that differs by ${name} is a mismatch`, () =>
      Effect.gen(function*() {
        const idp = yield* OidcProvider.make()
        const server = yield* AuthorizationServer.discover({ issuer: change(idp.issuer) })
        const error = yield* Effect.flip(server.metadata)
        assert.strictEqual(error._tag, "Misconfigured")
        assert.strictEqual(error.reason, "IssuerMismatch")
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }
})

describe("which document", () => {
  const cases: ReadonlyArray<
    readonly [string, Handler, AuthorizationServer.DiscoverOptions["document"], Array<string>]
  > = [
    ["OpenID's first", inTurn(json(document())), undefined, [openid]],
    ["then RFC 8414's", inTurn(text("", { status: 404 }), json(document())), undefined, [openid, oauth2]],
    ["then RFC 8414's after a web page", inTurn(text("<html>"), json(document())), undefined, [
      openid,
      oauth2
    ]],
    ["only OpenID's", inTurn(json(document())), "openid", [openid]],
    ["only RFC 8414's", inTurn(json(document())), "oauth2", [oauth2]]
  ]
  for (const [name, handler, which, urls] of cases) {
    it.effect(name, () => {
      const calls: Array<Call> = []
      return Effect.gen(function*() {
        const metadata = yield* discovered(handler, { document: which }, calls)
        assert.strictEqual(metadata.token_endpoint, "https://idp.test/token")
        assert.deepStrictEqual(calls.map((call) => call.url), urls)
      })
    })
  }
})

describe("what is refused", () => {
  const cases: ReadonlyArray<readonly [string, Handler, string, string]> = [
    ["neither document", inTurn(text("", { status: 404 })), "Misconfigured", "InvalidMetadata"],
    ["two web pages", inTurn(text("<html>hush</html>")), "TransientFailure", "MalformedAnswer"],
    ["a list", inTurn(json([document()])), "TransientFailure", "MalformedAnswer"],
    [
      "no issuer",
      inTurn(json({ token_endpoint: "https://idp.test/token" })),
      "TransientFailure",
      "MalformedAnswer"
    ],
    [
      "another issuer",
      inTurn(json(document({ issuer: "https://hush.test" }))),
      "Misconfigured",
      "IssuerMismatch"
    ],
    [
      "another case",
      inTurn(json(document({ issuer: "https://IDP.test/tenant" }))),
      "Misconfigured",
      "IssuerMismatch"
    ],
    [
      "an http endpoint",
      inTurn(json(document({ token_endpoint: "http://idp.test/token" }))),
      "Misconfigured",
      "InsecureUrl"
    ],
    [
      "an http JWKS",
      inTurn(json(document({ jwks_uri: "http://idp.test/jwks" }))),
      "Misconfigured",
      "InsecureUrl"
    ],
    [
      "an endpoint that is none",
      inTurn(json(document({ token_endpoint: "hush" }))),
      "Misconfigured",
      "InvalidOption"
    ],
    [
      "an endpoint of another type",
      inTurn(json(document({ token_endpoint: 5 }))),
      "Misconfigured",
      "InvalidMetadata"
    ],
    [
      "a redirect",
      inTurn(text("", { status: 302, headers: { location: "https://hush.test" } })),
      ...malformed()
    ],
    ["a dropped connection", inTurn(() => "dropped"), "TransientFailure", "Network"],
    ["an outage", inTurn(text("", { status: 503 })), "TransientFailure", "ServerError"],
    ["2 MiB", inTurn(json(document({ scopes_supported: ["x".repeat(2 * 1024 * 1024)] }))), ...malformed()]
  ]
  for (const [name, handler, tag, reason] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(discovered(handler))
        assert.deepStrictEqual([error._tag, error.reason], [tag, reason])
        assert.notInclude(error.message + JSON.stringify(error), "hush")
      }))
  }

  function malformed(): [string, string] {
    return ["TransientFailure", "MalformedAnswer"]
  }

  const issuers: ReadonlyArray<readonly [string, string]> = [
    ["http://idp.test", "InsecureUrl"],
    ["http://127.0.0.1.idp.test", "InsecureUrl"],
    ["http://localhost.idp.test", "InsecureUrl"],
    ["http://0.0.0.0", "InsecureUrl"],
    ["ftp://localhost", "InsecureUrl"],
    ["idp.test", "InvalidOption"],
    ["", "InvalidOption"],
    ["https://user@idp.test", "InvalidOption"],
    ["https://idp.test#x", "InvalidOption"],
    ["https://idp.test?x=1", "InvalidOption"],
    [`https://idp.test/${"x".repeat(3000)}`, "InvalidOption"]
  ]
  for (const [bad, reason] of issuers) {
    it.effect(`the issuer "${bad.slice(0, 40)}"`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(discovered(inTurn(json(document())), { issuer: bad }))
        assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", reason])
      }))
  }

  for (const good of ["http://localhost:8080", "http://127.0.0.1", "http://127.9.9.9:1", "http://[::1]:5"]) {
    it.effect(`but not the issuer ${good}`, () =>
      Effect.gen(function*() {
        const metadata = yield* discovered(inTurn(json({ issuer: good, token_endpoint: null })), {
          issuer: good
        })
        assert.deepStrictEqual(metadata, { issuer: good })
      }))
  }
})

describe("how long it is remembered", () => {
  const counted = (options: Partial<AuthorizationServer.DiscoverOptions>, handler: Handler) => {
    const calls: Array<Call> = []
    return Effect.map(
      Effect.provide(
        AuthorizationServer.discover({ issuer, document: "openid", ...options }),
        serve(handler, calls)
      ),
      (server) => ({ calls, server })
    )
  }

  it.effect("for an hour", () =>
    Effect.gen(function*() {
      const { calls, server } = yield* counted({}, inTurn(json(document())))
      yield* server.metadata
      yield* TestClock.adjust("3599 seconds")
      yield* server.metadata
      assert.strictEqual(calls.length, 1)
      yield* TestClock.adjust("1 second")
      yield* server.metadata
      assert.strictEqual(calls.length, 2)
    }))

  it.effect("for longer while the server is out, asked once a minute", () =>
    Effect.gen(function*() {
      const { calls, server } = yield* counted(
        { cacheFor: "1 minute" },
        inTurn(json(document()), text("", { status: 500 }))
      )
      yield* server.metadata
      yield* TestClock.adjust("1 minute")
      yield* Effect.all([server.metadata, server.metadata, server.metadata], { concurrency: "unbounded" })
      assert.strictEqual(calls.length, 2)
      yield* TestClock.adjust("59 seconds")
      yield* server.metadata
      assert.strictEqual(calls.length, 2)
      yield* TestClock.adjust("1 second")
      yield* server.metadata
      assert.strictEqual(calls.length, 3)
    }))

  it.effect("not where the document turns out to be another's", () =>
    Effect.gen(function*() {
      const { calls, server } = yield* counted(
        { cacheFor: "1 minute" },
        inTurn(
          json(document()),
          json({ issuer: "https://evil.test" }),
          text("", { status: 500 }),
          json(document())
        )
      )
      yield* server.metadata
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Effect.flip(server.metadata)).reason, "IssuerMismatch")
      assert.strictEqual((yield* Effect.flip(server.metadata)).reason, "ServerError")
      assert.strictEqual((yield* server.metadata).issuer, issuer)
      assert.strictEqual(calls.length, 4)
    }))

  it.effect("not where it failed", () =>
    Effect.gen(function*() {
      const { calls, server } = yield* counted({}, inTurn(text("", { status: 500 }), json(document())))
      yield* Effect.flip(server.metadata)
      yield* server.metadata
      assert.strictEqual(calls.length, 2)
    }))

  it.effect("100 callers at once make one request, and share its failure", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { calls, server } = yield* counted(
        {},
        () => Effect.as(Deferred.await(gate), new Response("", { status: 500 }))
      )
      const fibers = yield* Effect.forEach(Array.from({ length: 100 }), () =>
        Effect.fork(Effect.flip(server.metadata)))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(gate, undefined)
      yield* Effect.forEach(fibers, Fiber.join)
      assert.strictEqual(calls.length, 1)
    }))

  it.effect("a caller that goes away does not take the others along", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const { calls, server } = yield* counted({}, () =>
        Effect.as(Deferred.await(gate), Response.json(document())))
      const first = yield* Effect.fork(server.metadata)
      yield* Effect.yieldNow()
      const second = yield* Effect.fork(server.metadata)
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(first)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(second)).issuer, issuer)
      assert.isAtMost(calls.length, 2)
    }))

  it.effect("a server that never answers is given up after the time limit", () =>
    Effect.gen(function*() {
      const { server } = yield* counted({ requestTimeLimit: "4 seconds" }, () => Effect.never)
      const fiber = yield* Effect.fork(Effect.flip(server.metadata))
      yield* TestClock.adjust("3999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 milli")
      assert.strictEqual((yield* Fiber.join(fiber)).reason, "Timeout")
    }))
})

describe("from endpoints", () => {
  it.effect("is called by its issuer, or else by its token endpoint", () =>
    Effect.gen(function*() {
      const tokenEndpoint = "https://idp.test/token"
      const named = yield* AuthorizationServer.make({ issuer, tokenEndpoint })
      const unnamed = yield* AuthorizationServer.make({ tokenEndpoint, jwksUri: "https://idp.test/jwks" })
      assert.deepStrictEqual([named.issuer, unnamed.issuer], [issuer, tokenEndpoint])
      assert.deepStrictEqual(yield* unnamed.metadata, {
        issuer: tokenEndpoint,
        token_endpoint: tokenEndpoint,
        jwks_uri: "https://idp.test/jwks"
      })
      assert.strictEqual(yield* Ref.get(named.clockOffset), 0)
    }))

  it.effect("each has to be safe", () =>
    Effect.gen(function*() {
      const bad = ["http://idp.test/x", "idp.test", "https://u:p@idp.test", "https://idp.test/#x"]
      for (const address of bad) {
        const tokenEndpoint = "https://idp.test/token"
        yield* Effect.flip(AuthorizationServer.make({ tokenEndpoint: address }))
        yield* Effect.flip(AuthorizationServer.make({ tokenEndpoint, revocationEndpoint: address }))
        yield* Effect.flip(AuthorizationServer.make({ tokenEndpoint, deviceAuthorizationEndpoint: address }))
      }
    }))
})

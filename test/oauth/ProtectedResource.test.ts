import { describe, expect, it } from "@effect/vitest"
import * as ProtectedResource from "effect-credentials/oauth/ProtectedResource"
import type { Misconfigured, TransientFailure } from "effect-credentials/TokenError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { serve } from "./kit.js"
import type { Call } from "./kit.js"

const url = "https://api.test/mcp"
const atPath = "https://api.test/.well-known/oauth-protected-resource/mcp"
const atRoot = "https://api.test/.well-known/oauth-protected-resource"
const issuer = "https://idp.test"

const metadata = (change: Record<string, unknown> = {}) => ({
  resource: url,
  authorization_servers: [issuer],
  ...change
})

type Site = Readonly<Record<string, (() => Response) | undefined>>

/** A site is a table of addresses; everything else is not there. */
const site = (pages: Site, calls: Array<Call> = []) =>
  serve(({ url }) => Effect.sync(() => pages[url]?.() ?? new Response("not here", { status: 404 })), calls)

const json = (body: unknown) => () => Response.json(body)

const discover = (pages: Site, options: Partial<ProtectedResource.Options> = {}, calls?: Array<Call>) =>
  Effect.provide(ProtectedResource.discover({ url, ...options }), site(pages, calls))

const failure = (pages: Site, options: Partial<ProtectedResource.Options> = {}) =>
  Effect.map(
    Effect.flip(discover(pages, options)),
    (error: TransientFailure | Misconfigured) => [error._tag, error.reason, error.detail]
  )

describe("the metadata of a resource", () => {
  it.effect("is read from where the challenge says", () =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const place = "https://docs.test/the-metadata"
      const found = yield* discover({ [place]: json(metadata({ scopes_supported: ["a", "b"] })) }, {
        metadataUrl: place
      }, calls)
      expect(found).toEqual({
        url,
        resource: url,
        issuers: [issuer],
        scopes: ["a", "b"],
        boundTokens: false,
        origin: "Metadata"
      })
      expect(calls.map(({ method, url }) => [method, url])).toEqual([["GET", place]])
      expect(calls[0]?.headers).not.toHaveProperty("authorization")
    }))

  it.effect("else with the path of the resource, then without", () =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      yield* discover({ [atPath]: json(metadata()) }, {}, calls)
      expect(calls.map(({ url }) => url)).toEqual([atPath])
      calls.length = 0
      yield* discover({ [atRoot]: json(metadata()) }, {}, calls)
      expect(calls.map(({ url }) => url)).toEqual([atPath, atRoot])
      calls.length = 0
      yield* discover({ [atRoot]: json(metadata()) }, { metadataUrl: "https://api.test/gone" }, calls)
      expect(calls.map(({ url }) => url)).toEqual(["https://api.test/gone", atPath, atRoot])
    }))

  it.effect("is asked for with the query of the resource, and without a slash at the end of its path", () =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      yield* Effect.ignore(discover({}, { url: "https://api.test/mcp/?tenant=1#part" }, calls))
      expect(calls.map(({ url }) => url)).toEqual([`${atPath}?tenant=1`, atRoot])
      calls.length = 0
      yield* Effect.ignore(discover({}, { url: "https://api.test" }, calls))
      expect(calls.map(({ url }) => url)).toEqual([atRoot])
    }))

  it.effect("goes on where a place has a page of a web site, or a redirect to one", () =>
    Effect.gen(function*() {
      const pages: ReadonlyArray<() => Response> = [
        () => new Response("<html>", { headers: { "content-type": "text/html" } }),
        () => new Response(null, { status: 302, headers: { location: "https://elsewhere.test/" } }),
        () => Response.json(["no object"]),
        () => Response.json({ resource: 1 }),
        () => new Response(null, { status: 401 })
      ]
      for (const page of pages) {
        const found = yield* discover({ [atPath]: page, [atRoot]: json(metadata()) })
        expect(found.issuers).toEqual([issuer])
      }
    }))

  it.effect("says what is there instead, where it is nowhere", () =>
    Effect.gen(function*() {
      expect(yield* failure({})).toEqual([
        "Misconfigured",
        "InvalidMetadata",
        "the resource does not say which authorization server it belongs to"
      ])
      expect((yield* failure({ [atRoot]: () => new Response("<html>") })).slice(0, 2)).toEqual([
        "TransientFailure",
        "MalformedAnswer"
      ])
      const redirect = () => new Response(null, { status: 307, headers: { location: atRoot } })
      expect(yield* failure({ [atPath]: redirect })).toEqual([
        "TransientFailure",
        "MalformedAnswer",
        "the resource answers a request for its metadata with a redirect, which is not followed"
      ])
    }))
})

describe("whose metadata it is", () => {
  /** [resource asked for, resource in the document, where the document is, whether it counts] */
  const table: ReadonlyArray<readonly [string, string, string, boolean]> = [
    [url, url, "https://cdn.test/x", true],
    [url, "HTTPS://API.test:443/mcp", atPath, true],
    ["https://api.test", "https://api.test/", atRoot, true],
    ["https://api.test/", "https://api.test", atRoot, true],
    // A parent, at its own place.
    [url, "https://api.test", atRoot, true],
    [url, "https://api.test/", atRoot, true],
    ["https://api.test/a/b", "https://api.test/a", `${atRoot}/a`, true],
    ["https://api.test/mcp/", "https://api.test/mcp", atPath, true],
    // The same, said by somebody else on the host.
    [url, "https://api.test", atPath, false],
    [url, "https://api.test", "https://api.test/mcp/metadata", false],
    [url, "https://api.test", "https://cdn.test/x", false],
    ["https://api.test/a/b", "https://api.test/a", `${atRoot}/a/b`, false],
    // No parent at all.
    [url, "https://api.test/mc", `${atRoot}/mc`, false],
    [url, "https://api.test/mcp/", `${atRoot}/mcp`, false],
    [url, "https://api.test/other", atRoot, false],
    [url, "https://evil.test/mcp", atPath, false],
    [url, "https://api.test.evil.test/mcp", atPath, false],
    [url, "http://api.test/mcp", atPath, false],
    [url, "https://api.test:8443/mcp", atPath, false],
    [url, "https://api.test/mcp#part", atPath, false],
    [url, "https://api.test/mcp?x=1", atPath, false],
    [url, "https://api.test/?x=1", atRoot, false],
    [url, "https://user:secret@api.test/", atRoot, false],
    [url, "https://api.test/\nmcp", atPath, false],
    [url, " https://api.test/mcp", atPath, false],
    [url, "not a url", atPath, false],
    [url, "/mcp", atPath, false]
  ]

  for (const [asked, resource, place, counts] of table) {
    it.effect(`${resource} at ${place} ${counts ? "stands" : "does not stand"} for ${asked}`, () =>
      Effect.gen(function*() {
        const pages = { [place]: json(metadata({ resource })) }
        const options = { url: asked, metadataUrl: place }
        if (counts) expect((yield* discover(pages, options)).resource).toBe(resource)
        else {
          expect(yield* failure(pages, options)).toEqual([
            "Misconfigured",
            "InvalidMetadata",
            "the metadata that was found is of another resource"
          ])
        }
      }))
  }

  it.effect("another resource is not taken for a place to look on", () =>
    Effect.gen(function*() {
      const pages = {
        [atPath]: json(metadata({ resource: "https://victim.test/" })),
        [atRoot]: json(metadata())
      }
      expect((yield* failure(pages))[1]).toBe("InvalidMetadata")
    }))
})

describe("the authorization servers", () => {
  it.effect("are those that the resource names, once each, in its order, and ten at most", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 50 }, (_, index) => `https://idp${index}.test`)
      const document = metadata({ authorization_servers: [issuer, issuer, ...many] })
      const found = yield* discover({ [atPath]: json(document) })
      expect(found.issuers).toEqual([issuer, ...many.slice(0, 9)])
    }))

  it.effect("are left out where they can't be asked safely", () =>
    Effect.gen(function*() {
      const unsafe = [
        "http://idp.test",
        "http://127.0.0.1:8080",
        "https://127.0.0.1",
        "https://localhost:8443",
        "https://10.0.0.1",
        "https://192.168.1.1",
        "https://172.16.0.1",
        "https://169.254.169.254",
        "https://100.100.100.200",
        "https://0.0.0.0",
        "https://2130706433",
        "https://0x7f.1",
        "https://[::1]",
        "https://[::ffff:127.0.0.1]",
        "https://[fd00::1]",
        "https://[fe80::1]",
        "https://[fec0::1]",
        "https://[ff02::1]",
        "https://[::127.0.0.1]",
        "https://[::ffff:0:127.0.0.1]",
        "https://[64:ff9b::127.0.0.1]",
        "https://[2002:7f00:1::]",
        "https://198.18.0.1",
        "https://224.0.0.1",
        "https://255.255.255.255",
        "https://127.0.0.1.",
        "https://intranet",
        "https://intranet.",
        "https://kubernetes.default.svc",
        "https://printer.local",
        "https://metadata.google.internal",
        "https://user:hunter2@idp.test",
        "https://idp.test?x",
        "https://idp.test#x",
        "https://idp.test/\u202egro.knab",
        "https://idp.test/\u200b",
        "https://idp.test/a\nb",
        "https://idp.te\tst",
        " https://idp.test",
        "ftp://idp.test",
        "javascript:alert(1)",
        "idp.test",
        ""
      ]
      for (const one of unsafe) {
        const pages = { [atPath]: json(metadata({ authorization_servers: [one] })) }
        expect([one, ...(yield* failure(pages)).slice(0, 2)]).toEqual([one, "Misconfigured", "InsecureUrl"])
      }
      const pages = { [atPath]: json(metadata({ authorization_servers: [...unsafe.slice(0, 5), issuer] })) }
      expect((yield* discover(pages)).issuers).toEqual([issuer])
    }))

  it.effect("may be in this network where the resource is", () =>
    Effect.gen(function*() {
      const local = "http://127.0.0.1:4000/mcp"
      const document = metadata({ resource: local, authorization_servers: ["http://localhost:5000"] })
      const pages = { "http://127.0.0.1:4000/.well-known/oauth-protected-resource/mcp": json(document) }
      expect((yield* discover(pages, { url: local })).issuers).toEqual(["http://localhost:5000"])
    }))

  it.effect("have to be trusted", () =>
    Effect.gen(function*() {
      const pages = { [atPath]: json(metadata({ authorization_servers: ["https://evil.test", issuer] })) }
      const trust = (one: string) => one === issuer
      expect((yield* discover(pages, { trust })).issuers).toEqual([issuer])
      expect((yield* failure(pages, { trust: () => false })).slice(0, 2)).toEqual([
        "Misconfigured",
        "IssuerMismatch"
      ])
    }))

  it.effect("have to be trusted also where they are the resource's own origin", () =>
    Effect.gen(function*() {
      for (const pages of [{}, { [atPath]: json(metadata({ authorization_servers: [] })) }]) {
        const options = { legacy: true, trust: (one: string) => one === issuer }
        expect((yield* failure(pages, options)).slice(0, 2)).toEqual(["Misconfigured", "IssuerMismatch"])
        const own = { legacy: true, trust: (one: string) => one === "https://api.test" }
        expect((yield* discover(pages, own)).issuers).toEqual(["https://api.test"])
      }
    }))

  it.effect("are the resource's own origin for one from before, only if that is allowed", () =>
    Effect.gen(function*() {
      expect(yield* discover({}, { legacy: true })).toEqual({
        url,
        resource: url,
        issuers: ["https://api.test"],
        scopes: [],
        boundTokens: false,
        origin: "Legacy"
      })
      const empty = { [atPath]: json({ resource: url, authorization_servers: [] }) }
      expect((yield* failure(empty))[2]).toBe("the resource's metadata names no authorization server")
      expect((yield* discover(empty, { legacy: true })).issuers).toEqual(["https://api.test"])
      // A wrong document is no missing one.
      const wrong = { [atPath]: json(metadata({ resource: "https://victim.test" })) }
      expect((yield* failure(wrong, { legacy: true }))[1]).toBe("InvalidMetadata")
    }))
})

describe("what is read of the document", () => {
  it.effect("scopes that are none, and too many, are left out", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 1000 }, (_, index) => `scope-${index}`)
      const scopes = [
        "good",
        "good",
        "",
        "two words",
        "quote\"",
        "line\nbreak",
        "ä",
        "x".repeat(257),
        ...many
      ]
      const found = yield* discover({ [atPath]: json(metadata({ scopes_supported: scopes })) })
      expect(found.scopes).toEqual(["good", ...many.slice(0, 199)])
    }))

  it.effect("that tokens have to be bound to a key", () =>
    Effect.gen(function*() {
      const pages = { [atPath]: json(metadata({ dpop_bound_access_tokens_required: true })) }
      expect((yield* discover(pages)).boundTokens).toBe(true)
    }))

  it.effect("fields that are null count as absent, and of a wrong type as no document", () =>
    Effect.gen(function*() {
      const found = yield* discover({ [atPath]: json(metadata({ scopes_supported: null })) })
      expect(found.scopes).toEqual([])
      for (
        const change of [{ scopes_supported: "a b" }, { authorization_servers: issuer }, { resource: "" }]
      ) {
        expect((yield* failure({ [atPath]: json(metadata(change)) }))[1]).toBe("MalformedAnswer")
      }
    }))

  it.effect("a huge one is not read", () =>
    Effect.gen(function*() {
      const huge = () => new Response(`{"resource":"${"x".repeat(300 * 1024)}"}`)
      expect(yield* failure({ [atPath]: huge })).toEqual([
        "TransientFailure",
        "MalformedAnswer",
        "the answer is larger than 262144 bytes"
      ])
    }))

  it.effect("one that never ends is given up", () =>
    Effect.gen(function*() {
      const layer = serve(() => Effect.never)
      const fiber = yield* Effect.fork(
        Effect.flip(Effect.provide(ProtectedResource.discover({ url }), layer))
      )
      yield* TestClock.adjust(Duration.seconds(15))
      expect(yield* Fiber.join(fiber)).toMatchObject({
        reason: "Timeout",
        detail: "the resource did not answer within 15s"
      })
    }))

  it.effect("an outage is one, and is not taken for a resource without metadata", () =>
    Effect.gen(function*() {
      for (
        const [status, reason] of [[500, "ServerError"], [503, "ServerError"], [429, "RateLimited"]] as const
      ) {
        const pages = { [atPath]: () => new Response("", { status, headers: { "retry-after": "7" } }) }
        const error = yield* Effect.flip(discover(pages, { legacy: true }))
        expect(error).toMatchObject({ _tag: "TransientFailure", reason, retryAt: 7000 })
      }
      const dropped = serve(() => Effect.fail("dropped"))
      const error = yield* Effect.flip(
        Effect.provide(ProtectedResource.discover({ url, legacy: true }), dropped)
      )
      expect(error).toMatchObject({
        reason: "Network",
        detail: "the connection to the resource failed (ECONNRESET)"
      })
    }))
})

describe("where the challenge points to", () => {
  /** [the resource, the address in the challenge] */
  const refused: ReadonlyArray<readonly [string, string]> = [
    [url, "http://api.test/metadata"],
    [url, "http://127.0.0.1/metadata"],
    [url, "https://127.0.0.1/metadata"],
    [url, "https://169.254.169.254/latest"],
    [url, "https://[::1]/metadata"],
    [url, "https://router/metadata"],
    [url, "https://user:hunter2@api.test/metadata"]
  ]
  for (const [asked, metadataUrl] of refused) {
    it.effect(`${metadataUrl} is not asked`, () =>
      Effect.gen(function*() {
        const calls: Array<Call> = []
        const error = yield* Effect.flip(discover({}, { url: asked, metadataUrl }, calls))
        expect(error._tag).toBe("Misconfigured")
        expect(error.message).not.toContain("hunter2")
        expect(calls).toEqual([])
      }))
  }
})

describe("the address of the resource", () => {
  for (const bad of ["http://api.test/mcp", "ftp://api.test", "mcp", "", "https://user:hunter2@api.test/"]) {
    it.effect(`can't be "${bad}"`, () =>
      Effect.gen(function*() {
        const calls: Array<Call> = []
        const error = yield* Effect.flip(discover({}, { url: bad }, calls))
        expect(error._tag).toBe("Misconfigured")
        expect(error.message).not.toContain("hunter2")
        expect(calls).toEqual([])
      }))
  }
})

describe("asking the resource itself", () => {
  it.effect("gives its challenge, without a credential, and follows no redirect", () =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const challenge = "Bearer resource_metadata=\"https://api.test/x\""
      const answer = yield* Effect.provide(
        ProtectedResource.ask({ url }),
        site(
          { [url]: () => new Response("", { status: 401, headers: { "www-authenticate": challenge } }) },
          calls
        )
      )
      expect(answer).toEqual({ status: 401, challenge })
      expect(calls).toHaveLength(1)
      expect(calls[0]?.headers).not.toHaveProperty("authorization")
      const away = yield* Effect.provide(
        ProtectedResource.ask({ url }),
        site(
          { [url]: () => new Response("", { status: 302, headers: { location: "https://evil.test" } }) },
          calls
        )
      )
      expect(away).toEqual({ status: 302, challenge: undefined })
      expect(calls).toHaveLength(2)
    }))
})

/**
 * The official client's behaviour point by point, each run beside ours on the same servers. Where ours does something
 * else, the point is explained in docs/mcp.md under the same words.
 */
import { describe, expect, it } from "@effect/vitest"
import type * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import * as Official from "./official.js"
import * as Web from "./web.js"

interface Point {
  readonly point: string
  /** Which function of theirs it is about. */
  readonly theirFunction: string
  readonly pages?: Web.Pages
  readonly document?: string
  readonly options?: Partial<ResourceAccess.Options>
  readonly theirs: Expected
  /** Where it differs. */
  readonly ours?: Expected
}

type Expected = { readonly [K in keyof Web.Told]?: unknown }

const doc = readFileSync(new URL("../../docs/mcp.md", import.meta.url), "utf8")

const root = "api.test/.well-known/oauth-protected-resource"
const own = `${root}/mcp`
const idp = "idp.test/.well-known/oauth-authorization-server"
const register = "idp.test/register"
const bearer = (parameters: string) => Web.challenged(`Bearer ${parameters}`)
const loginFor = (fields: object) => ({ login: { page: "idp.test/authorize", ...fields }, error: undefined })

const failed = (error: unknown) => ({ login: undefined, error })

const whereTheMetadataIs: ReadonlyArray<Point> = [
  {
    point: "the metadata is where the challenge says",
    theirFunction: "extractWWWAuthenticateParams",
    pages: {
      "api.test/mcp": bearer("resource_metadata=\"https://api.test/about\""),
      "api.test/about": Web.resourceMetadata()
    },
    theirs: { asked: ["api.test/about", idp, register], ...loginFor({ resource: Web.url }) }
  },
  {
    point: "a challenge may stand behind one of another scheme",
    theirFunction: "extractWWWAuthenticateParams",
    pages: {
      "api.test/mcp": Web.challenged(
        "Basic realm=\"x\", Bearer resource_metadata=\"https://api.test/about\""
      ),
      "api.test/about": Web.resourceMetadata()
    },
    theirs: { asked: [own, idp, register], ...loginFor({}) },
    ours: { asked: ["api.test/about", idp, register], ...loginFor({}) }
  },
  {
    point: "without a challenge it is at the well-known place with the path",
    theirFunction: "discoverOAuthProtectedResourceMetadata",
    pages: { "api.test/mcp": Web.challenged(undefined) },
    theirs: { asked: [own, idp, register], ...loginFor({ resource: Web.url }) }
  },
  {
    point: "else at the one without, under the name that it has there, letter by letter",
    theirFunction: "discoverMetadataWithFallback, selectResourceURL",
    pages: { [own]: undefined, [root]: Web.resourceMetadata({ resource: "https://api.test" }) },
    theirs: { asked: [own, root, idp, register], ...loginFor({ resource: "https://api.test" }) }
  },
  {
    point: "the challenge points to nothing",
    theirFunction: "discoverMetadataWithFallback",
    pages: {
      "api.test/mcp": bearer("resource_metadata=\"https://api.test/about\""),
      "api.test/.well-known/oauth-authorization-server": Web.serverMetadata({}, "https://api.test")
    },
    theirs: {
      asked: ["api.test/about", "api.test/.well-known/oauth-authorization-server", "api.test/register"],
      login: { page: "api.test/authorize", resource: null }
    },
    ours: { asked: ["api.test/about", own, idp, register], ...loginFor({ resource: Web.url }) }
  },
  {
    point: "the resource has no metadata",
    theirFunction: "discoverOAuthServerInfo",
    pages: {
      [own]: undefined,
      "api.test/.well-known/oauth-authorization-server": Web.serverMetadata({}, "https://api.test")
    },
    theirs: {
      asked: [own, root, "api.test/.well-known/oauth-authorization-server", "api.test/register"],
      login: { page: "api.test/authorize", resource: null }
    },
    ours: { asked: [own, root], ...failed("Misconfigured InvalidMetadata") }
  },
  {
    point: "the same, with `legacy: true`",
    theirFunction: "discoverOAuthServerInfo",
    pages: {
      [own]: undefined,
      "api.test/.well-known/oauth-authorization-server": Web.serverMetadata({}, "https://api.test")
    },
    options: { legacy: true },
    theirs: {
      asked: [own, root, "api.test/.well-known/oauth-authorization-server", "api.test/register"],
      login: { page: "api.test/authorize", resource: null }
    }
  },
  {
    point: "nor has its origin, with `legacy: true`: the endpoints of 2025-03-26",
    theirFunction: "startAuthorization, registerClient",
    pages: { [own]: undefined },
    options: { legacy: true },
    theirs: {
      asked: [
        own,
        root,
        "api.test/.well-known/oauth-authorization-server",
        "api.test/.well-known/openid-configuration",
        "api.test/register"
      ],
      login: { page: "api.test/authorize", resource: null }
    }
  },
  {
    point: "the metadata can't be had now",
    theirFunction: "discoverOAuthServerInfo",
    pages: { [own]: 503 },
    theirs: {
      asked: [
        own,
        "api.test/.well-known/oauth-authorization-server",
        "api.test/.well-known/openid-configuration",
        "api.test/register"
      ],
      login: { page: "api.test/authorize" }
    },
    ours: { asked: [own], ...failed("TransientFailure ServerError") }
  },
  {
    point: "the metadata is behind a redirect",
    theirFunction: "fetchWithinOrigin",
    pages: {
      [own]: () => new Response(null, { status: 302, headers: { location: "https://api.test/about" } }),
      "api.test/about": Web.resourceMetadata()
    },
    theirs: { asked: [own, "api.test/about", idp, register], ...loginFor({}) },
    ours: { asked: [own, root], ...failed("TransientFailure MalformedAnswer") }
  },
  {
    point: "the metadata is behind a redirect to another origin",
    theirFunction: "followWithinOrigin",
    pages: {
      [own]: () => new Response(null, { status: 302, headers: { location: "https://evil.test/about" } }),
      [root]: Web.resourceMetadata({ resource: "https://api.test" }),
      "evil.test/about": Web.resourceMetadata()
    },
    theirs: { asked: [own, root, idp, register], ...loginFor({ resource: "https://api.test" }) }
  }
]

const whatTheResourceIs: ReadonlyArray<Point> = [
  {
    point: "the metadata names a resource elsewhere",
    theirFunction: "selectResourceURL, checkResourceAllowed",
    pages: { [own]: Web.resourceMetadata({ resource: "https://victim.test/mcp" }) },
    theirs: failed(expect.stringContaining("does not match expected")),
    ours: failed("Misconfigured InvalidMetadata")
  },
  {
    point: "the metadata names a resource whose path begins with the same letters",
    theirFunction: "checkResourceAllowed",
    pages: { [own]: Web.resourceMetadata({ resource: "https://api.test/mc" }) },
    theirs: failed(expect.stringContaining("does not match expected")),
    ours: failed("Misconfigured InvalidMetadata")
  },
  {
    point: "the metadata names a child of the resource",
    theirFunction: "checkResourceAllowed",
    pages: { [own]: Web.resourceMetadata({ resource: "https://api.test/mcp/one" }) },
    theirs: failed(expect.stringContaining("does not match expected")),
    ours: failed("Misconfigured InvalidMetadata")
  },
  {
    point: "a document at the resource's own place speaks for all of its host",
    theirFunction: "checkResourceAllowed",
    pages: { [own]: Web.resourceMetadata({ resource: "https://api.test" }) },
    theirs: loginFor({ resource: "https://api.test" }),
    ours: failed("Misconfigured InvalidMetadata")
  }
]

const whichServer: ReadonlyArray<Point> = [
  {
    point: "an issuer with a path has its document at three places",
    theirFunction: "buildDiscoveryUrls",
    pages: {
      [own]: Web.resourceMetadata({ authorization_servers: ["https://idp.test/tenant"] }),
      "idp.test/tenant/.well-known/openid-configuration": {
        ...Web.serverMetadata({}, "https://idp.test/tenant"),
        authorization_endpoint: "https://idp.test/authorize",
        token_endpoint: "https://idp.test/token",
        registration_endpoint: "https://idp.test/register",
        jwks_uri: "https://idp.test/keys",
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256"]
      }
    },
    theirs: {
      asked: [
        own,
        `${idp}/tenant`,
        "idp.test/.well-known/openid-configuration/tenant",
        "idp.test/tenant/.well-known/openid-configuration",
        register
      ],
      ...loginFor({})
    }
  },
  {
    point: "the server is out of order",
    theirFunction: "discoverAuthorizationServerMetadata",
    pages: { [idp]: 503 },
    theirs: { asked: [own, idp], ...failed(expect.stringContaining("HTTP 503")) },
    ours: { asked: [own, idp], ...failed("TransientFailure ServerError") }
  },
  {
    point: "a server that the resource names has no metadata",
    theirFunction: "startAuthorization, registerClient",
    pages: { [idp]: undefined },
    theirs: {
      asked: [own, idp, "idp.test/.well-known/openid-configuration", register],
      ...loginFor({})
    },
    ours: {
      asked: [own, idp, "idp.test/.well-known/openid-configuration"],
      ...failed("Misconfigured InvalidMetadata")
    }
  },
  {
    point: "the server's metadata names another issuer",
    theirFunction: "authInternal",
    pages: { [idp]: Web.serverMetadata({ issuer: "https://other.test" }) },
    theirs: loginFor({}),
    ours: failed("Misconfigured IssuerMismatch")
  },
  {
    point: "of several servers the first one has no metadata",
    theirFunction: "discoverOAuthServerInfo",
    pages: {
      [own]: Web.resourceMetadata({ authorization_servers: ["https://second.test", Web.issuer] })
    },
    theirs: { login: { page: "second.test/authorize" } },
    ours: loginFor({})
  },
  {
    point: "the server does not say that it checks PKCE",
    theirFunction: "startAuthorization",
    pages: { [idp]: Web.serverMetadata({ code_challenge_methods_supported: undefined }) },
    theirs: loginFor({}),
    ours: failed(expect.stringMatching(/^Misconfigured /))
  },
  {
    point: "the server says that it checks PKCE in no way that is safe",
    theirFunction: "startAuthorization",
    pages: { [idp]: Web.serverMetadata({ code_challenge_methods_supported: ["plain"] }) },
    theirs: failed(expect.stringContaining("does not support code challenge method S256")),
    ours: failed(expect.stringMatching(/^Misconfigured /))
  },
  {
    point: "the server registers nobody",
    theirFunction: "registerClient",
    pages: { [idp]: Web.serverMetadata({ registration_endpoint: undefined }) },
    theirs: failed(expect.stringContaining("does not support dynamic client registration")),
    ours: failed("Misconfigured UnsupportedGrant")
  }
]

const document = "https://client.test/about.json"

const whichClientAndScopes: ReadonlyArray<Point> = [
  {
    point: "the client is the address of its document where the server knows such",
    theirFunction: "authInternal, isHttpsUrl",
    pages: { [idp]: Web.serverMetadata({ client_id_metadata_document_supported: true }) },
    document,
    theirs: { asked: [own, idp], ...loginFor({ client: document }) }
  },
  {
    point: "else it is registered",
    theirFunction: "registerClient",
    document,
    theirs: { asked: [own, idp, register], ...loginFor({ client: "client-1" }) }
  },
  {
    point: "the scopes are those of the challenge",
    theirFunction: "authInternal",
    pages: {
      "api.test/mcp": bearer("scope=\"one two\""),
      [own]: Web.resourceMetadata({ scopes_supported: ["three"] })
    },
    theirs: loginFor({ scope: "one two" })
  },
  {
    point: "else those of the resource's metadata",
    theirFunction: "authInternal",
    pages: { [own]: Web.resourceMetadata({ scopes_supported: ["three", "four"] }) },
    theirs: loginFor({ scope: "three four" })
  },
  {
    point: "else none",
    theirFunction: "authInternal",
    theirs: loginFor({ scope: null })
  },
  {
    point: "the resource itself wants offline access",
    theirFunction: "startAuthorization",
    pages: { "api.test/mcp": bearer("scope=\"one offline_access\"") },
    theirs: loginFor({ scope: "one offline_access", prompt: "consent" })
  },
  {
    point: "the server offers renewal without the person",
    theirFunction: "authInternal",
    pages: {
      "api.test/mcp": bearer("scope=\"one\""),
      [idp]: Web.serverMetadata({ scopes_supported: ["one", "offline_access"] })
    },
    theirs: loginFor({ scope: "one", prompt: null }),
    ours: loginFor({ scope: "one offline_access", prompt: "consent" })
  }
]

const points = [...whereTheMetadataIs, ...whatTheResourceIs, ...whichServer, ...whichClientAndScopes]

describe("the official client's behaviour, beside ours", () => {
  for (const { document, options, ours, pages = {}, point, theirFunction, theirs } of points) {
    it.live(`${point} (${theirFunction})`, () =>
      Effect.gen(function*() {
        const metadata = { name: "Test client", redirectUris: [Official.redirectUri] }
        const client = { metadata, documentUrl: document }
        expect(yield* Web.theirs(pages, document)).toMatchObject(theirs)
        expect(yield* Web.ours(pages, { client, ...options })).toMatchObject(ours ?? theirs)
        // Two errors differ by their words only.
        const differs = ours !== undefined && (theirs.error === undefined || ours.error === undefined)
        expect(doc.includes(`| ${point} |`)).toBe(differs)
      }))
  }
})

import { describe, expect, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Effect from "effect/Effect"
import { serve } from "./siteKit.js"
import type { Request } from "./siteKit.js"

const html = (): Response => new Response("<html>", { headers: { "content-type": "text/html" } })

/** Which addresses are asked, while only the last one has the document. */
const asked = (
  issuer: string,
  place: string,
  otherwise: () => Response = () => new Response("", { status: 404 })
) =>
  Effect.gen(function*() {
    const requests: Array<Request> = []
    const layer = serve(
      ({ url }) => Effect.sync(() => url === place ? Response.json({ issuer }) : otherwise()),
      requests
    )
    yield* Effect.provide(
      Effect.flatMap(
        AuthorizationServer.discover({ issuer, document: "mcp" }),
        ({ metadata }) => metadata
      ),
      layer
    )
    return requests.map(({ url }) => url)
  })

describe("the metadata of an authorization server, as the Model Context Protocol looks for it", () => {
  it.effect("for an issuer without a path: RFC 8414's, then OpenID's", () =>
    Effect.gen(function*() {
      const first = "https://idp.test/.well-known/oauth-authorization-server"
      const second = "https://idp.test/.well-known/openid-configuration"
      expect(yield* asked("https://idp.test", first)).toEqual([first])
      expect(yield* asked("https://idp.test", second)).toEqual([first, second])
      expect(yield* asked("https://idp.test/", second, html)).toEqual([first, second])
    }))

  it.effect("for one with a path: RFC 8414's, OpenID's in its manner, OpenID's own", () =>
    Effect.gen(function*() {
      const first = "https://idp.test/.well-known/oauth-authorization-server/tenant"
      const second = "https://idp.test/.well-known/openid-configuration/tenant"
      const third = "https://idp.test/tenant/.well-known/openid-configuration"
      const redirect = () => new Response(null, { status: 302, headers: { location: "https://evil.test" } })
      expect(yield* asked("https://idp.test/tenant", first)).toEqual([first])
      expect(yield* asked("https://idp.test/tenant", second, html)).toEqual([first, second])
      expect(yield* asked("https://idp.test/tenant", third)).toEqual([first, second, third])
      expect(yield* asked("https://idp.test/tenant", third, redirect)).toEqual([first, second, third])
    }))

  it.effect("an outage is not taken for a missing document", () =>
    Effect.gen(function*() {
      const requests: Array<Request> = []
      const server = yield* AuthorizationServer.discover({ issuer: "https://idp.test", document: "mcp" })
        .pipe(
          Effect.provide(serve(() => Effect.succeed(new Response("", { status: 503 })), requests))
        )
      expect(yield* Effect.flip(server.metadata)).toMatchObject({ reason: "ServerError" })
      expect(requests).toHaveLength(1)
    }))

  describe("of a server elsewhere", () => {
    const named = (issuer: string, fields: Record<string, unknown>) =>
      Effect.gen(function*() {
        const layer = serve(() => Effect.succeed(Response.json({ issuer, ...fields })), [])
        const server = yield* Effect.provide(AuthorizationServer.discover({ issuer, document: "mcp" }), layer)
        return yield* server.metadata
      })

    for (
      const fields of [
        { registration_endpoint: "http://127.0.0.1:2375/containers/create" },
        { token_endpoint: "https://192.168.1.1/token" },
        { authorization_endpoint: "http://localhost:8080/admin" },
        { jwks_uri: "https://169.254.169.254/latest" },
        { pushed_authorization_request_endpoint: "https://[::127.0.0.1]/par" },
        { mtls_endpoint_aliases: { token_endpoint: "https://intranet/token" } }
      ]
    ) {
      it.effect(`can't lead to ${JSON.stringify(fields)}`, () =>
        Effect.gen(function*() {
          expect(yield* Effect.flip(named("https://idp.test", fields))).toMatchObject({
            _tag: "Misconfigured",
            reason: "InsecureUrl"
          })
          expect(yield* named("http://127.0.0.1:9000", fields)).toMatchObject(fields)
        }))
    }

    it.effect("may lead elsewhere", () =>
      Effect.gen(function*() {
        const fields = { token_endpoint: "https://tokens.test/token" }
        expect(yield* named("https://idp.test", fields)).toMatchObject(fields)
      }))
  })

  it.effect("a document that names another issuer ends the search", () =>
    Effect.gen(function*() {
      const requests: Array<Request> = []
      const layer = serve(() => Effect.succeed(Response.json({ issuer: "https://evil.test" })), requests)
      const server = yield* Effect.provide(
        AuthorizationServer.discover({ issuer: "https://idp.test/tenant", document: "mcp" }),
        layer
      )
      expect(yield* Effect.flip(server.metadata)).toMatchObject({ reason: "IssuerMismatch" })
      expect(requests).toHaveLength(1)
    }))
})

import { describe, expect, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as Registration from "effect-credentials/oauth/Registration"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { serve } from "./siteKit.js"
import type { Request } from "./siteKit.js"

const issuer = "https://idp.test"
const metadata: Registration.ClientMetadata = {
  name: "Test client",
  redirectUris: ["http://127.0.0.1/callback"]
}

interface Case {
  /** What the server says about itself beside its addresses. */
  readonly server?: Record<string, unknown> | undefined
  readonly answer?: (() => Response) | undefined
  readonly options?: Partial<Registration.Options> | undefined
  readonly requests?: Array<Request> | undefined
}

const created = (change: Record<string, unknown> = {}) => () =>
  Response.json({ client_id: "made", ...change }, { status: 201 })

const register = ({ answer = created(), options, requests, server }: Case) =>
  Effect.gen(function*() {
    const discovered = yield* AuthorizationServer.discover({ issuer })
    return yield* Registration.register({ server: discovered, metadata, ...options })
  }).pipe(Effect.provide(serve(({ url }) =>
    Effect.sync(() => {
      if (url.includes(".well-known")) {
        return Response.json({
          issuer,
          token_endpoint: `${issuer}/token`,
          registration_endpoint: `${issuer}/register`,
          ...server
        })
      }
      return answer()
    }), requests)))

const failure = (one: Case) =>
  Effect.map(Effect.flip(register(one)), (error) => [error._tag, error.reason, error.detail, error.hint])

describe("what a client says about itself", () => {
  const sent = (one: Case) =>
    Effect.gen(function*() {
      const requests: Array<Request> = []
      yield* register({ ...one, requests })
      const request = requests.at(-1)
      return { request, body: JSON.parse(request?.body ?? "") }
    })

  it.effect("goes out as JSON, to the server's registration endpoint", () =>
    Effect.gen(function*() {
      const { body, request } = yield* sent({})
      expect(request).toMatchObject({ method: "POST", url: `${issuer}/register` })
      expect(request?.headers).toMatchObject({
        "content-type": "application/json",
        accept: "application/json"
      })
      expect(request?.headers).not.toHaveProperty("authorization")
      expect(body).toEqual({
        client_name: "Test client",
        redirect_uris: ["http://127.0.0.1/callback"],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: "none",
        application_type: "native"
      })
    }))

  it.effect("holds all that was given", () =>
    Effect.gen(function*() {
      const { body } = yield* sent({
        options: {
          metadata: {
            ...metadata,
            scopes: ["a", "b"],
            uri: "https://app.test",
            logoUri: "https://app.test/logo",
            contacts: ["ops@app.test"],
            softwareId: "id",
            softwareVersion: "1",
            jwksUri: "https://app.test/jwks",
            applicationType: "web",
            authMethod: "client_secret_post",
            further: { tos_uri: "https://app.test/terms", client_name: "never over the real one" }
          }
        },
        answer: created({ client_secret: "s", client_secret_expires_at: 0 })
      })
      expect(body).toMatchObject({
        client_name: "Test client",
        scope: "a b",
        client_uri: "https://app.test",
        logo_uri: "https://app.test/logo",
        contacts: ["ops@app.test"],
        software_id: "id",
        software_version: "1",
        jwks_uri: "https://app.test/jwks",
        application_type: "web",
        token_endpoint_auth_method: "client_secret_post",
        tos_uri: "https://app.test/terms"
      })
    }))

  const types: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
    [["http://127.0.0.1/callback"], "native"],
    [["http://[::1]/callback", "http://localhost:8080/callback"], "native"],
    [["com.example.app:/callback"], "native"],
    [["https://app.test/callback"], "web"],
    [["https://app.test/callback", "http://127.0.0.1/callback"], "web"]
  ]
  for (const [redirectUris, type] of types) {
    it.effect(`with ${redirectUris.join(" and ")} it is a ${type} application`, () =>
      Effect.gen(function*() {
        const { body } = yield* sent({ options: { metadata: { name: "n", redirectUris } } })
        expect(body.application_type).toBe(type)
      }))
  }

  it.effect("without a browser it asks for the device grant", () =>
    Effect.gen(function*() {
      const { body } = yield* sent({ options: { metadata: { name: "n" } } })
      expect(body).toMatchObject({
        redirect_uris: [],
        response_types: [],
        grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]
      })
    }))

  const methods: ReadonlyArray<readonly [ReadonlyArray<string> | undefined, string]> = [
    [undefined, "none"],
    [["none", "client_secret_basic"], "none"],
    [["client_secret_basic", "client_secret_post"], "client_secret_basic"],
    [["client_secret_post", "client_secret_basic"], "client_secret_basic"],
    [["client_secret_post"], "client_secret_post"]
  ]
  for (const [supported, method] of methods) {
    it.effect(`where the server knows ${supported?.join(" and ") ?? "nobody says what"}, it asks for ${method}`, () =>
      Effect.gen(function*() {
        const { body } = yield* sent({
          server: { token_endpoint_auth_methods_supported: supported },
          answer: created({ client_secret: "s", client_secret_expires_at: 0 })
        })
        expect(body.token_endpoint_auth_method).toBe(method)
      }))
  }

  it.effect("an initial access token goes into the header", () =>
    Effect.gen(function*() {
      const { request } = yield* sent({ options: { initialAccessToken: Redacted.make("initial-secret") } })
      expect(request?.headers["authorization"]).toBe("Bearer initial-secret")
    }))

  const refused: ReadonlyArray<readonly [string, Partial<Registration.ClientMetadata>]> = [
    ["no name", { name: " " }],
    ["http elsewhere", { redirectUris: ["http://app.test/callback"] }],
    ["a fragment", { redirectUris: ["https://app.test/#x"] }],
    ["credentials", { redirectUris: ["https://user:hunter2@app.test/"] }],
    ["javascript", { redirectUris: ["javascript:alert(1)"] }],
    ["data", { redirectUris: ["data:text/html,x"] }],
    ["a scheme that anybody may have", { redirectUris: ["myapp:/callback"] }],
    ["no URL", { redirectUris: ["callback"] }],
    ["nowhere to come back to", { redirectUris: [], grantTypes: ["authorization_code"] }]
  ]
  for (const [what, change] of refused) {
    it.effect(`${what} is refused before anybody is asked`, () =>
      Effect.gen(function*() {
        const requests: Array<Request> = []
        const error = yield* Effect.flip(
          register({ options: { metadata: { ...metadata, ...change } }, requests })
        )
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
        expect(error.message).not.toContain("hunter2")
        expect(requests.filter(({ method }) => method === "POST")).toEqual([])
      }))
  }
})

describe("the client that the server made", () => {
  it.effect("is public where there is no secret", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("5 seconds")
      expect(yield* register({})).toEqual({
        issuer,
        client: { id: "made", auth: { _tag: "None" } },
        redirectUris: ["http://127.0.0.1/callback"],
        registeredAt: 5000,
        secretExpiresAt: Infinity,
        management: undefined
      })
    }))

  /** [what the answer says, what the server knows, how it authenticates] */
  const table: ReadonlyArray<readonly [Record<string, unknown>, ReadonlyArray<string> | undefined, string]> =
    [
      [{ client_secret: "s" }, undefined, "Basic"],
      [{ client_secret: "s", token_endpoint_auth_method: "client_secret_post" }, undefined, "Post"],
      [
        { client_secret: "s", token_endpoint_auth_method: "client_secret_post" },
        ["client_secret_post"],
        "Post"
      ],
      [
        { client_secret: "s", token_endpoint_auth_method: "client_secret_post" },
        ["client_secret_basic"],
        "Basic"
      ],
      [
        { client_secret: "s", token_endpoint_auth_method: "client_secret_basic" },
        ["client_secret_post"],
        "Post"
      ],
      [{ client_secret: "s" }, ["client_secret_post", "none"], "Post"],
      [{ client_secret: "s" }, ["client_secret_post", "client_secret_basic"], "Basic"],
      [{ client_secret: "s", token_endpoint_auth_method: "none" }, undefined, "None"],
      [{ client_secret: "" }, undefined, "None"],
      [{ client_secret: null }, undefined, "None"]
    ]
  for (const [change, supported, tag] of table) {
    it.effect(`authenticates by ${tag} with ${JSON.stringify(change)} where the server knows ${supported}`, () =>
      Effect.gen(function*() {
        const { client } = yield* register({
          server: { token_endpoint_auth_methods_supported: supported },
          options: { metadata: { ...metadata, authMethod: "none" } },
          answer: created(change)
        })
        expect(client.auth?._tag).toBe(tag)
      }))
  }

  it.effect("keeps its secrets to itself", () =>
    Effect.gen(function*() {
      const registered = yield* register({
        answer: created({
          client_secret: "the-secret",
          client_secret_expires_at: 100,
          registration_client_uri: `${issuer}/register/made`,
          registration_access_token: "the-token"
        })
      })
      expect(registered.secretExpiresAt).toBe(100_000)
      expect(registered.management?.uri).toBe(`${issuer}/register/made`)
      expect(JSON.stringify(registered) + String(registered)).not.toMatch(/the-secret|the-token/)
    }))

  for (const at of [0, -1, "soon", null, Number.MAX_VALUE]) {
    it.effect(`has a secret that does not end where client_secret_expires_at is ${at}`, () =>
      Effect.gen(function*() {
        const answer = created({ client_secret: "s", client_secret_expires_at: at })
        expect((yield* register({ answer })).secretExpiresAt).toBe(Infinity)
      }))
  }

  it.effect("has a secret that does not end where it would have ended before it was made", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(200_000)
      const made = (at: number) =>
        Effect.map(
          register({ answer: created({ client_secret: "s", client_secret_expires_at: at }) }),
          ({ secretExpiresAt }) => secretExpiresAt
        )
      expect([yield* made(200), yield* made(201)]).toEqual([Infinity, 201_000])
    }))

  it.effect("signs with the key that was given", () =>
    Effect.gen(function*() {
      const privateKey = Client.privateKeyJwt({ key: Redacted.make("key") })
      const options = { metadata: { ...metadata, authMethod: "private_key_jwt" as const } }
      const { client } = yield* register({ options: { ...options, privateKey } })
      expect(client.auth?._tag).toBe("PrivateKeyJwt")
      expect((yield* failure({ options }))[1]).toBe("InvalidClient")
    }))

  it.effect("is managed at a safe address only", () =>
    Effect.gen(function*() {
      for (const uri of ["http://idp.test/register", "nowhere"]) {
        const answer = created({ registration_client_uri: uri, registration_access_token: "t" })
        expect((yield* register({ answer })).management).toBe(undefined)
      }
    }))
})

describe("answers that are no client", () => {
  /** [the answer, reason, what the detail tells] */
  const table: ReadonlyArray<readonly [string, () => Response, string, RegExp]> = [
    ["invalid_redirect_uri", refusal("invalid_redirect_uri"), "InvalidClient", /with invalid_redirect_uri$/],
    [
      "invalid_client_metadata",
      refusal("invalid_client_metadata"),
      "InvalidClient",
      /with invalid_client_metadata$/
    ],
    ["a bad statement", refusal("unapproved_software_statement"), "InvalidClient", /with unapproved_/],
    ["no token", refusal("invalid_token", 401), "InvalidClient", /with invalid_token$/],
    ["a bare 401", () => new Response("", { status: 401 }), "InvalidClient", /with status 401$/],
    [
      "a 401 that says why in its challenge",
      () =>
        new Response("", { status: 401, headers: { "www-authenticate": "Bearer error=\"invalid_token\"" } }),
      "InvalidClient",
      /with invalid_token$/
    ],
    ["a 403", () => new Response("<html>", { status: 403 }), "InvalidClient", /with status 403$/],
    ["a 404", () => new Response("", { status: 404 }), "InvalidClient", /with status 404$/],
    ["an odd code", refusal("<script>alert(1)</script>"), "InvalidClient", /with status 400$/],
    ["an outage", () => new Response("", { status: 503 }), "ServerError", /answered 503/],
    ["too many", () => new Response("", { status: 429 }), "RateLimited", /answered 429/],
    [
      "a redirect",
      () => new Response(null, { status: 307, headers: { location: "https://evil.test" } }),
      "MalformedAnswer",
      /redirect/
    ],
    ["a page", () => new Response("<html>"), "MalformedAnswer", /no registered client/],
    ["no id", () => Response.json({}), "MalformedAnswer", /no registered client/],
    ["an empty id", () => Response.json({ client_id: "" }), "MalformedAnswer", /no registered client/],
    [
      "an id with a line break",
      () => Response.json({ client_id: "a\nb" }),
      "MalformedAnswer",
      /no registered client/
    ],
    [
      "a huge id",
      () => Response.json({ client_id: "x".repeat(5000) }),
      "MalformedAnswer",
      /no registered client/
    ],
    [
      "a secret that is no text",
      () => Response.json({ client_id: "a", client_secret: 1 }),
      "MalformedAnswer",
      /no reg/
    ],
    ["a huge answer", () => new Response("x".repeat(300_000)), "MalformedAnswer", /larger than 262144/],
    [
      "other redirect URIs",
      created({ redirect_uris: ["https://evil.test/"] }),
      "InvalidClient",
      /other redirect URIs/
    ],
    [
      "a way to authenticate that needs what nobody has",
      created({ token_endpoint_auth_method: "client_secret_basic" }),
      "InvalidClient",
      /way to authenticate/
    ],
    [
      "a way to authenticate that nobody knows",
      created({ client_secret: "s", token_endpoint_auth_method: "tls_client_auth" }),
      "InvalidClient",
      /way to authenticate/
    ]
  ]
  for (const [what, answer, reason, detail] of table) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const initialAccessToken = Redacted.make("initial-secret")
        const error = yield* Effect.flip(register({ answer, options: { initialAccessToken } }))
        expect(error.reason).toBe(reason)
        expect(error.detail).toMatch(detail)
        expect(error.hint).not.toBe("")
        expect(error.message).not.toMatch(/initial-secret|evil|script/)
      }))
  }

  function refusal(error: string, status = 400) {
    return () => Response.json({ error, error_description: "<b>evil</b>" }, { status })
  }

  it.effect("a server that registers nobody says so itself", () =>
    Effect.gen(function*() {
      expect((yield* failure({ server: { registration_endpoint: undefined } })).slice(0, 3)).toEqual([
        "Misconfigured",
        "UnsupportedGrant",
        "the server registers no clients by itself"
      ])
    }))

  it.effect("one that never comes is given up, and can be interrupted", () =>
    Effect.gen(function*() {
      const server = yield* AuthorizationServer.make({
        tokenEndpoint: `${issuer}/token`,
        registrationEndpoint: `${issuer}/register`
      })
      const run = Registration.register({ server, metadata }).pipe(Effect.provide(serve(() => Effect.never)))
      const late = yield* Effect.fork(Effect.flip(run))
      yield* TestClock.adjust(Duration.seconds(15))
      expect(yield* Fiber.join(late)).toMatchObject({ reason: "Timeout" })
      const left = yield* Effect.fork(run)
      yield* TestClock.adjust(Duration.seconds(1))
      expect(Exit.isInterrupted(yield* Fiber.interrupt(left))).toBe(true)
    }))
})

describe("the document about a client", () => {
  const url = "https://app.test/client.json"

  it.effect("says what a registration would, and its own address", () =>
    Effect.gen(function*() {
      expect(yield* Registration.document(url, metadata)).toEqual({
        client_id: url,
        client_name: "Test client",
        redirect_uris: ["http://127.0.0.1/callback"],
        grant_types: ["authorization_code", "refresh_token"],
        response_types: ["code"],
        token_endpoint_auth_method: "none",
        application_type: "native"
      })
    }))

  it.effect("says where the keys are of a client that signs", () =>
    Effect.gen(function*() {
      const signs = { ...metadata, authMethod: "private_key_jwt" } as const
      const error = yield* Effect.flip(Registration.document(url, signs))
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
      const jwksUri = "https://app.test/keys.json"
      expect(yield* Registration.document(url, { ...signs, jwksUri })).toMatchObject({ jwks_uri: jwksUri })
    }))

  it.effect("holds no shared secret", () =>
    Effect.gen(function*() {
      for (
        const wrong of [{ authMethod: "client_secret_basic" }, {
          further: { client_secret: "s3cret" }
        }] as const
      ) {
        const error = yield* Effect.flip(Registration.document(url, { ...metadata, ...wrong }))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
        expect(error.message).not.toContain("s3cret")
      }
    }))

  const addresses: ReadonlyArray<readonly [string, boolean]> = [
    [url, true],
    ["https://app.test:8443/a/b?v=1", true],
    ["https://app.test/a..b/.hidden", true],
    ["https://app.test", false],
    ["https://app.test/", false],
    ["http://app.test/client.json", false],
    ["http://127.0.0.1/client.json", false],
    ["https://user:word@app.test/client.json", false],
    ["https://app.test/client.json#x", false],
    ["https://app.test/client.json#", false],
    ["https://app.test/a/../client.json", false],
    ["https://app.test/./client.json", false],
    ["https://app.test/a/..", false],
    ["https://app.test\\client.json", false],
    [" https://app.test/client.json", false],
    ["client.json", false],
    ["", false]
  ]
  for (const [address, fits] of addresses) {
    it.effect(`${fits ? "may" : "can't"} be at "${address}"`, () =>
      Effect.gen(function*() {
        expect(Registration.isDocumentUrl(address)).toBe(fits)
        const made = yield* Effect.exit(Registration.document(address, metadata))
        expect(Exit.isSuccess(made)).toBe(fits)
      }))
  }
})

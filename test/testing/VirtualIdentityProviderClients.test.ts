import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import * as Fault from "effect-credentials/testing/Fault"
import { VirtualIdentityProvider } from "effect-credentials/testing/VirtualIdentityProvider"
import * as Idp from "effect-credentials/testing/VirtualIdentityProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type { Got } from "./calls.js"
import { basic, get, issuer, post, refresh, resource, token } from "./calls.js"
import { authorize, logIn, push, redeem, redirectUri } from "./logins.js"

const send = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.gen(function*() {
    const response = yield* HttpClient.execute(request)
    const text = yield* response.text
    const body = (text === "" ? {} : JSON.parse(text)) as Got["body"]
    return { status: response.status, headers: response.headers, body } satisfies Got
  })

const register = (metadata: unknown, headers: Record<string, string> = {}) =>
  send(
    HttpClientRequest.post(`${issuer}/registration`, { headers }).pipe(
      HttpClientRequest.bodyUnsafeJson(metadata)
    )
  )

const native = { redirect_uris: ["http://127.0.0.1/callback"], token_endpoint_auth_method: "none" }

describe("registration (RFC 7591)", () => {
  it.effect("a public client logs in, and only at its own address", () =>
    Effect.gen(function*() {
      const { body, status } = yield* register({ ...native, client_name: "An app" })
      assert.strictEqual(status, 201)
      assert.deepInclude(body, { ...native, client_name: "An app", grant_types: ["authorization_code"] })
      assert.notProperty(body, "client_secret")
      const id = String(body["client_id"])
      const tokens = yield* logIn({ client_id: id })
      assert.strictEqual(tokens.status, 200)
      assert.notProperty(tokens.body, "refresh_token")
      const other = yield* Effect.flip(authorize({ client_id: id, redirect_uri: "http://127.0.0.1/other" }))
      assert.strictEqual(other.error, "invalid_redirect_uri")
      const { registrations } = yield* (yield* VirtualIdentityProvider).counts
      assert.strictEqual(registrations, 1)
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("a confidential client gets a secret and has to use it", () =>
    Effect.gen(function*() {
      const { body } = yield* register({ grant_types: ["client_credentials"], scope: "a b" })
      assert.deepInclude(body, { token_endpoint_auth_method: "client_secret_basic", response_types: [] })
      const ask = (secret: string, scope = "a") =>
        token(
          { grant_type: "client_credentials", scope },
          basic(String(body["client_id"]), secret)
        )
      assert.strictEqual((yield* ask(String(body["client_secret"]))).status, 200)
      assert.strictEqual((yield* ask(String(body["client_secret"]), "c")).body["error"], "invalid_scope")
      assert.strictEqual((yield* ask("x")).body["error"], "invalid_client")
    }).pipe(Effect.provide(Idp.layer())))

  const bad: ReadonlyArray<readonly [string, unknown, string]> = [
    ["no address", { ...native, redirect_uris: undefined }, "invalid_redirect_uri"],
    ["http on another host", { ...native, redirect_uris: ["http://app.test/"] }, "invalid_redirect_uri"],
    ["a script", { ...native, redirect_uris: ["javascript:alert(1)"] }, "invalid_redirect_uri"],
    ["a fragment", { ...native, redirect_uris: ["https://app.test/#a"] }, "invalid_redirect_uri"],
    ["addresses that are no list", { ...native, redirect_uris: "https://app.test/" }, "invalid_redirect_uri"],
    ["an unknown method", { ...native, token_endpoint_auth_method: "x" }, "invalid_client_metadata"],
    ["an unknown grant", { ...native, grant_types: ["x"] }, "invalid_client_metadata"],
    ["an implicit login", { ...native, response_types: ["token"] }, "invalid_client_metadata"],
    [
      "a public client by itself",
      { ...native, grant_types: ["authorization_code", "client_credentials"] },
      "invalid_client_metadata"
    ],
    [
      "a key that is missing",
      { ...native, token_endpoint_auth_method: "private_key_jwt" },
      "invalid_client_metadata"
    ],
    ["a list", [], "invalid_request"],
    ["null", null, "invalid_request"]
  ]
  for (const [name, metadata, error] of bad) {
    it.effect(`${name}: ${error}`, () =>
      Effect.gen(function*() {
        const { body, status } = yield* register(metadata)
        assert.deepStrictEqual([status, body["error"]], [400, error])
      }).pipe(Effect.provide(Idp.layer())))
  }

  it.effect("a form is none, nor is broken JSON", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* post(`${issuer}/registration`, { client_name: "x" })).status, 400)
      const broken = HttpClientRequest.post(`${issuer}/registration`).pipe(
        HttpClientRequest.bodyText("{", "application/json")
      )
      assert.strictEqual((yield* send(broken)).body["error"], "invalid_request")
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("takes an initial access token, or nobody at all, where it is told so", () =>
    Effect.gen(function*() {
      const at = (registration: "Closed" | Redacted.Redacted<string>, headers = {}) =>
        Effect.provide(register(native, headers), Idp.layer({ registration }))
      const guarded = Redacted.make("let-me-in")
      const refused = yield* at(guarded)
      assert.deepStrictEqual([refused.status, refused.body["error"]], [401, "invalid_token"])
      assert.strictEqual((yield* at(guarded, { authorization: "Bearer let-me-in" })).status, 201)
      assert.strictEqual((yield* at("Closed")).status, 404)
      const metadata = yield* Effect.provide(
        get(`${issuer}/.well-known/openid-configuration`),
        Idp.layer({ registration: "Closed" })
      )
      assert.notProperty(metadata.body, "registration_endpoint")
    }))

  it.effect("a dropped reply leaves a client behind that nobody knows", () =>
    Effect.gen(function*() {
      const idp = yield* VirtualIdentityProvider
      yield* idp.inject(Fault.droppedReply, { endpoint: "registration", times: 1 })
      assert.strictEqual((yield* Effect.exit(register(native)))._tag, "Failure")
      assert.strictEqual((yield* idp.counts).registrations, 1)
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("is forgotten when purged, with all that was given; other clients are not", () =>
    Effect.gen(function*() {
      const idp = yield* VirtualIdentityProvider
      const id = String(
        (yield* register({ ...native, grant_types: ["authorization_code", "refresh_token"] }))
          .body["client_id"]
      )
      const { body } = yield* logIn({ client_id: id })
      const bystander = yield* logIn()
      yield* idp.purge()
      const renewal = yield* refresh(body["refresh_token"], { client_id: id })
      assert.deepStrictEqual([renewal.status, renewal.body["error"]], [401, "invalid_client"])
      assert.strictEqual((yield* Effect.flip(authorize({ client_id: id }))).error, "invalid_client")
      assert.strictEqual((yield* resource(body["access_token"])).status, 401)
      assert.strictEqual((yield* refresh(bystander.body["refresh_token"])).status, 200)
      yield* idp.purge("app")
      assert.strictEqual((yield* Effect.flip(authorize())).error, "invalid_client")
      yield* idp.register({ id: "app" })
      assert.strictEqual((yield* logIn()).status, 200)
    }).pipe(Effect.provide(Idp.layer())))
})

describe("a client id that is the address of a document", () => {
  const id = "https://app.test/client.json"
  const document = { client_id: id, client_name: "An app", redirect_uris: [redirectUri] }

  it.effect("is known by what stands there", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* get(id)).body, document)
      const { body } = yield* logIn({ client_id: id })
      assert.deepInclude((yield* resource(body["access_token"])).body, { client: id })
      const other = yield* Effect.flip(authorize({ client_id: id, redirect_uri: "https://evil.test/" }))
      assert.strictEqual(other.error, "invalid_redirect_uri")
      assert.strictEqual((yield* push({ client_id: id })).status, 201)
      const { body: told } = yield* get(`${issuer}/.well-known/openid-configuration`)
      assert.strictEqual(told["client_id_metadata_document_supported"], true)
    }).pipe(Effect.provide(Idp.layer({ documents: { [id]: document } }))))

  it.effect("is read with the other client, anew for each login", () =>
    Effect.gen(function*() {
      const host = yield* Idp.make({ issuer: "https://app.test", documents: { [id]: document } })
      const idp = yield* Idp.make({ elsewhere: host.client })
      const login = Effect.provideService(authorize({ client_id: id }), VirtualIdentityProvider, idp)
      assert.isString((yield* login).code)
      yield* host.inject(Fault.withField("redirect_uris", ["https://app.test/new"]), { endpoint: "document" })
      assert.strictEqual((yield* Effect.flip(login)).error, "invalid_redirect_uri")
    }))

  const bad: ReadonlyArray<readonly [string, string, unknown]> = [
    ["of another client", id, { ...document, client_id: "https://app.test/other.json" }],
    ["with a secret", id, { ...document, client_secret: "x" }],
    ["that wants a secret", id, { ...document, token_endpoint_auth_method: "client_secret_basic" }],
    ["without addresses", id, { client_id: id }],
    ["that is a list", id, []],
    ["by http", "http://app.test/client.json", { ...document, client_id: "http://app.test/client.json" }],
    ["without a path", "https://app.test/", { ...document, client_id: "https://app.test/" }]
  ]
  for (const [name, address, metadata] of bad) {
    it.effect(`${name}: invalid_client`, () =>
      Effect.gen(function*() {
        const refused = yield* Effect.flip(authorize({ client_id: address }))
        assert.strictEqual(refused.error, "invalid_client")
      }).pipe(Effect.provide(Idp.layer({ documents: { [address]: metadata } }))))
  }

  it.effect("is unknown where the provider reads none", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(authorize({ client_id: id }))).error, "invalid_client")
    }).pipe(Effect.provide(Idp.layer({ clientIdDocuments: false, documents: { [id]: document } }))))
})

describe("a resource that says by whom it is protected (RFC 9728)", () => {
  const mcp = "https://mcp.test/mcp"
  const options = {
    resources: [{ url: mcp, scopes: ["read"], scopesByMethod: { POST: ["write"] } }]
  }
  const call = (access: unknown, method: "GET" | "POST" = "GET", url = mcp) =>
    send(HttpClientRequest.make(method)(url, { headers: { authorization: `Bearer ${String(access)}` } }))
  const challengeOf = ({ headers }: Got) => headers["www-authenticate"] ?? ""

  it.effect("a client that knows its address alone gets in, and steps up when it must", () =>
    Effect.gen(function*() {
      const first = yield* get(mcp)
      assert.strictEqual(first.status, 401)
      const address = /resource_metadata="([^"]+)"/.exec(challengeOf(first))?.[1] ?? ""
      assert.strictEqual(address, "https://mcp.test/.well-known/oauth-protected-resource/mcp")
      const { body: metadata } = yield* get(address)
      assert.deepInclude(metadata, {
        resource: mcp,
        authorization_servers: [issuer],
        scopes_supported: ["read", "write"]
      })
      const { body: server } = yield* get(`${issuer}/.well-known/oauth-authorization-server`)
      const { body: client } = yield* send(
        HttpClientRequest.post(String(server["registration_endpoint"])).pipe(
          HttpClientRequest.bodyUnsafeJson({ ...native, scope: "read write" })
        )
      )
      const enter = (scope: string) =>
        Effect.map(
          logIn({ client_id: String(client["client_id"]), resource: mcp, scope }),
          ({ body }) => body["access_token"]
        )
      const reader = yield* enter("read")
      assert.deepInclude((yield* call(reader)).body, { scope: "read", resources: [mcp] })
      const refused = yield* call(reader, "POST")
      assert.strictEqual(refused.status, 403)
      assert.match(challengeOf(refused), /error="insufficient_scope", scope="read write", resource_metadata=/)
      assert.strictEqual((yield* call(yield* enter("read write"), "POST")).status, 200)
    }).pipe(Effect.provide(Idp.layer(options))))

  it.effect("takes no token that was made for somebody else, or for nobody", () =>
    Effect.gen(function*() {
      const of = (resource: string | undefined) =>
        Effect.map(logIn({ resource, scope: "read" }), ({ body }) => body["access_token"])
      assert.strictEqual((yield* call(yield* of(undefined))).status, 401)
      assert.strictEqual((yield* call(yield* of("https://other.test/"))).status, 401)
      assert.strictEqual((yield* call(yield* of(mcp), "GET", `${mcp}/messages?a=b`)).status, 200)
      assert.strictEqual((yield* authorize({ resource: "https://unknown.test/" }))["error"], "invalid_target")
    }).pipe(Effect.provide(Idp.layer({
      resources: [...options.resources, { url: "https://other.test/" }]
    }))))

  it.effect("can be silent, lenient, bound to keys, or lie about itself", () =>
    Effect.gen(function*() {
      assert.strictEqual(challengeOf(yield* get("https://silent.test/")), `Bearer realm="${issuer}"`)
      const { body } = yield* logIn()
      assert.strictEqual((yield* call(body["access_token"], "GET", "https://lenient.test/")).status, 200)
      const other = (yield* logIn({ resource: "https://silent.test/" })).body["access_token"]
      assert.strictEqual((yield* call(other, "GET", "https://lenient.test/")).status, 401)
      assert.strictEqual((yield* resource(other)).status, 401)
      assert.strictEqual((yield* resource(body["access_token"])).status, 200)
      const bound = yield* call(body["access_token"], "GET", "https://bound.test/")
      assert.match(challengeOf(bound), /^DPoP .*error="invalid_token".*algs="/)
      const liar = yield* get("https://liar.test/.well-known/oauth-protected-resource")
      assert.strictEqual(liar.body["resource"], "https://victim.test/")
      const idp = yield* VirtualIdentityProvider
      yield* idp.inject(Fault.malformed("Huge"), { endpoint: "resource_metadata" })
      const text = yield* Effect.flatMap(
        HttpClient.get("https://liar.test/.well-known/oauth-protected-resource"),
        (response) => response.text
      )
      assert.isAbove(text.length, 20_000_000)
    }).pipe(Effect.provide(Idp.layer({
      resources: [
        { url: "https://silent.test/", challenges: false },
        { url: "https://lenient.test/", anyAudience: true },
        { url: "https://bound.test/", requireDpop: true, anyAudience: true },
        { url: "https://liar.test/", metadata: { resource: "https://victim.test/" } }
      ]
    }))))

  it.effect("other addresses of its origin are not there", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.exit(get("https://mcp.test/other")))._tag, "Failure")
      assert.strictEqual((yield* Effect.exit(get("https://mcp.test/mcpx")))._tag, "Failure")
      assert.strictEqual((yield* redeem("x")).status, 400)
    }).pipe(Effect.provide(Idp.layer(options))))
})

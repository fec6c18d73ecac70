import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import { inTurn, json, serve } from "./kit.js"

const redirectUri = "http://127.0.0.1:49152/callback"

/** A server that says of itself what the metadata says. */
const discovered = (metadata: Record<string, unknown>) =>
  AuthorizationServer.discover({ issuer: "https://idp.test" }).pipe(
    Effect.flatMap((server) => AuthorizationCode.make({ server, client: { id: "app" } })),
    Effect.provide(serve(inTurn(json({
      issuer: "https://idp.test",
      authorization_endpoint: "https://idp.test/authorize",
      token_endpoint: "https://idp.test/token",
      ...metadata
    }))))
  )

describe("the callback", () => {
  const promising = { authorization_response_iss_parameter_supported: true }

  /** What a callback with these fields is judged to be; `STATE` stands for the right one. */
  const judged = (query: string, metadata: Record<string, unknown> = {}) =>
    Effect.gen(function*() {
      const code = yield* discovered(metadata)
      const attempt = yield* code.begin({ redirectUri })
      const callback = new URLSearchParams(query.replaceAll("STATE", Redacted.value(attempt.state)))
      return yield* Effect.either(code.judge(attempt, callback))
    })

  const fit: ReadonlyArray<readonly [string, string, Record<string, unknown>?]> = [
    ["code and state", "code=c-1&state=STATE"],
    ["more fields beside", "code=c-1&state=STATE&session_state=x&scope=a%20b&foo=1&foo=2"],
    ["an issuer that nobody promised", "code=c-1&state=STATE&iss=https%3A%2F%2Fidp.test"],
    ["the issuer that was promised", "code=c-1&state=STATE&iss=https%3A%2F%2Fidp.test", promising]
  ]
  for (const [name, query, metadata] of fit) {
    it.effect(`belongs to the login: ${name}`, () =>
      Effect.gen(function*() {
        const result = yield* judged(query, metadata)
        assert.strictEqual(result._tag, "Right")
        if (result._tag === "Right") assert.strictEqual(Redacted.value(result.right.value), "c-1")
      }))
  }

  const stray: ReadonlyArray<readonly [string, string, Record<string, unknown>?]> = [
    ["nothing at all", ""],
    ["no state", "code=evil"],
    ["an empty state", "code=evil&state="],
    ["another state", "code=evil&state=other"],
    ["another state of the right length", `code=evil&state=${"x".repeat(43)}`],
    ["the state and one more", "code=evil&state=STATE&state=other"],
    ["the state twice", "code=evil&state=STATE&state=STATE"],
    ["an error with no state", "error=access_denied&error_description=evil"],
    ["an error with another state", "error=access_denied&error_description=evil&state=other"],
    [
      "an error from another issuer",
      "error=access_denied&error_description=evil&state=STATE&iss=https://evil.test"
    ],
    ["another issuer", "code=evil&state=STATE&iss=https%3A%2F%2Fevil.test"],
    ["the issuer but for a slash", "code=evil&state=STATE&iss=https%3A%2F%2Fidp.test%2F"],
    ["an empty issuer", "code=evil&state=STATE&iss="],
    ["two issuers", "code=evil&state=STATE&iss=https%3A%2F%2Fidp.test&iss=https%3A%2F%2Fevil.test"],
    ["no issuer though one was promised", "code=evil&state=STATE", promising],
    ["an error without the issuer that was promised", "error=evil&state=STATE", promising],
    ["no code", "state=STATE"],
    ["an empty code", "code=&state=STATE"],
    ["two codes", "code=evil&code=evil2&state=STATE"],
    ["two errors", "error=evil&error=evil2&state=STATE"],
    ["a code that can't be sent", "code=evil%0A&state=STATE"],
    ["a huge code", `code=evil${"x".repeat(20_000)}&state=STATE`],
    ["a huge field beside", `code=evil&state=STATE&x=${"x".repeat(20_000)}`],
    ["very many fields", `code=evil&state=STATE${"&x=1".repeat(100)}`],
    ["a signed answer that anybody can send", "response=evil"]
  ]
  for (const [name, query, metadata] of stray) {
    it.effect(`does not end the login: ${name}`, () =>
      Effect.gen(function*() {
        const result = yield* judged(query, metadata)
        assert.strictEqual(result._tag, "Left")
        if (result._tag === "Right") return
        assert.strictEqual(result.left._tag, "Unrelated")
        assert.notMatch(`${result.left.message} ${JSON.stringify(result.left)}`, /evil/)
      }))
  }

  const ends: ReadonlyArray<readonly [string, string, string, string]> = [
    ["the person says no", "error=access_denied", "ReauthRequired", "AccessDenied"],
    ["the server is busy", "error=temporarily_unavailable", "TransientFailure", "ServerError"],
    ["the server failed", "error=server_error", "TransientFailure", "ServerError"],
    ["a scope that is none", "error=invalid_scope", "RequestRejected", "InvalidScope"],
    ["a resource that is none", "error=invalid_target", "RequestRejected", "InvalidTarget"],
    ["a client that may not", "error=unauthorized_client", "Misconfigured", "UnsupportedGrant"],
    ["a request that is wrong", "error=invalid_request", "RequestRejected", "InvalidRequest"],
    ["a code that is none", "error=%3Cb%3Eevil", "RequestRejected", "InvalidRequest"],
    ["an error and a code", "error=access_denied&code=evil", "ReauthRequired", "AccessDenied"],
    [
      "a page for a description",
      "error=access_denied&error_description=%3Cscript%3Eevil",
      "ReauthRequired",
      "AccessDenied"
    ],
    ["a signed answer", "response=evil", "Misconfigured", "UnsupportedGrant"],
    ["an ID token in the query", "code=evil&id_token=evil", "Misconfigured", "UnsupportedGrant"]
  ]
  for (const [name, query, tag, reason] of ends) {
    it.effect(`ends the login: ${name}`, () =>
      Effect.gen(function*() {
        const result = yield* judged(`${query}&state=STATE`)
        assert.strictEqual(result._tag, "Left")
        if (result._tag === "Right" || result.left._tag === "Unrelated") throw new Error("it goes on")
        assert.deepStrictEqual([result.left._tag, result.left.reason], [tag, reason])
        assert.notMatch(`${result.left.message} ${JSON.stringify(result.left)}`, /evil|script/)
      }))
  }

  it.effect("is never believed without the state, whatever else it says", () =>
    Effect.gen(function*() {
      const code = yield* discovered({})
      const attempt = yield* code.begin({ redirectUri })
      const name = FastCheck.constantFrom("code", "state", "iss", "error", "response", "id_token", "x")
      const fields = FastCheck.array(FastCheck.tuple(name, FastCheck.string({ unit: "binary" })), {
        maxLength: 80
      })
      for (const callback of FastCheck.sample(fields, 500)) {
        const error = yield* Effect.flip(code.judge(attempt, new URLSearchParams(callback)))
        assert.strictEqual(error._tag, "Unrelated")
      }
    }))

  it.effect("that names an issuer of which nobody knows what it should be ends the login", () =>
    Effect.gen(function*() {
      const server = yield* AuthorizationServer.make({
        tokenEndpoint: "https://idp.test/token",
        authorizationEndpoint: "https://idp.test/authorize"
      })
      const code = yield* Effect.provide(
        AuthorizationCode.make({ server, client: { id: "app" } }),
        serve(() => Effect.never)
      )
      const attempt = yield* code.begin({ redirectUri })
      const state = Redacted.value(attempt.state)
      yield* code.judge(attempt, new URLSearchParams({ code: "c-1", state }))
      const named = new URLSearchParams({ code: "c-1", state, iss: "https://evil.test" })
      const error = yield* Effect.flip(code.judge(attempt, named))
      assert.strictEqual(error._tag, "Misconfigured")
      assert.notInclude(error.message, "evil")
    }))
})

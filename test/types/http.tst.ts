import type * as HttpClient from "@effect/platform/HttpClient"
import type { HttpClientError } from "@effect/platform/HttpClientError"
import type { HttpClientResponse } from "@effect/platform/HttpClientResponse"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import type { Misconfigured, ReauthRequired, TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { describe, expect, it } from "tstyche"

declare const client: HttpClient.HttpClient
declare const fewer: HttpClient.HttpClient.With<"mine", "needs">
declare const source: TokenSource.TokenSource<ReauthRequired>
declare const silent: TokenSource.TokenSource<never>
declare const password: Redacted.Redacted<string>
class Api extends TokenSource.Tag("test/Api")<Api>() {}
const at = { origins: "https://api.test" }

describe("errors", () => {
  it("are those of the source, of the set-up and of the client", () => {
    expect(client.pipe(HttpAuth.bearer(source, at)).get("")).type.toBe<
      Effect.Effect<HttpClientResponse, HttpClientError | ReauthRequired | Misconfigured>
    >()
  })

  it("of a source without errors are only those of the set-up", () => {
    expect(HttpAuth.bearer(silent, at)).type.toBe<HttpAuth.Middleware<Misconfigured>>()
    expect(HttpAuth.basic({ username: "u", password }, at)).type.toBe<HttpAuth.Middleware<Misconfigured>>()
    expect(HttpAuth.basic({ username: "u", password: source }, at)).type.toBe<
      HttpAuth.Middleware<ReauthRequired | Misconfigured>
    >()
  })

  it("and needs of the client below stay", () => {
    expect(fewer.pipe(HttpAuth.bearer(silent, at))).type.toBe<
      HttpClient.HttpClient.With<"mine" | Misconfigured, "needs">
    >()
  })
})

describe("origins", () => {
  it("have to be given", () => {
    expect(HttpAuth.bearer).type.not.toBeCallableWith(source)
    expect(HttpAuth.bearer).type.not.toBeCallableWith(source, {})
    expect(HttpAuth.bearer).type.not.toBeCallableWith(source, { origins: [] })
    expect(HttpAuth.bearer).type.toBeCallableWith(source, { origins: "any" })
    expect(HttpAuth.bearer).type.toBeCallableWith(source, { origins: "http://a.test", insecure: true })
    expect(HttpAuth.bearer).type.toBeCallableWith(source, { origins: new URL("https://a.test") })
    expect(HttpAuth.bearer).type.toBeCallableWith(source, {
      origins: ["https://a.test", new URL("https://b.test")]
    })
  })
})

describe("an API key", () => {
  it("goes into a header or into the query", () => {
    expect(HttpAuth.apiKey).type.toBeCallableWith(silent, { ...at, header: "x-api-key" })
    expect(HttpAuth.apiKey).type.toBeCallableWith(silent, { ...at, query: "key" })
    expect(HttpAuth.apiKey).type.not.toBeCallableWith(silent, at)
  })
})

describe("a plain client", () => {
  it("is what transformClient and the layer give", () => {
    expect(HttpAuth.toHttpClient(client.pipe(HttpAuth.bearer(source, at)))).type.toBe<HttpClient.HttpClient>()
    expect(HttpAuth.layer(Api, (api) => HttpAuth.bearer(api, at))).type.toBe<
      Layer.Layer<HttpClient.HttpClient, never, HttpClient.HttpClient | Api>
    >()
    expect<HttpAuth.Middleware<TokenError>>().type.toBeAssignableFrom<HttpAuth.Middleware<ReauthRequired>>()
  })

  it("is not what a credential gives by itself", () => {
    expect<HttpClient.HttpClient>().type.not.toBeAssignableFrom(client.pipe(HttpAuth.bearer(source, at)))
  })
})

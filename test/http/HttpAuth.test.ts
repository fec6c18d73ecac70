import * as Headers from "@effect/platform/Headers"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import type * as Placement from "effect-credentials/http/Placement"
import { ReauthRequired, TransientFailure } from "effect-credentials/TokenError"
import type { TokenError, TokenUnavailable } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Kit from "./kit.js"

const at = { origins: Kit.api }
const ok = () => new Response("ok")

const reauth = new ReauthRequired({ source: "s", reason: "GrantRejected", detail: "d", hint: "h" })
const transient = (reason: "Network" | "RejectedWhileFresh") =>
  new TransientFailure({ source: "s", reason, detail: "d", hint: "h", retryAt: undefined })

describe("bearer", () => {
  it.effect("puts the token on", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(ok)
      const response = yield* client.pipe(HttpAuth.bearer(Kit.source(["a"]).source, at)).get(`${Kit.api}/x`)
      expect(yield* response.text).toBe("ok")
      expect(sent()).toEqual(["Bearer a"])
    }))

  it.effect("asks for the token anew for each request", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(ok)
      const { log, source } = Kit.source(["a", "b"])
      const authed = client.pipe(HttpAuth.bearer(source, at))
      yield* authed.get(Kit.api)
      log.held++
      yield* authed.get(Kit.api)
      expect(sent()).toEqual(["Bearer a", "Bearer b"])
    }))

  it.effect.each(["DPoP", "dpop", "N_A", "mac"])(
    "refuses a token of the type %s",
    (type) =>
      Effect.gen(function*() {
        const { client, requests } = Kit.fake(ok)
        const { source } = Kit.source(["a"], { type })
        const error = yield* Effect.flip(client.pipe(HttpAuth.bearer(source, at)).get(Kit.api))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
        expect(requests).toEqual([])
      })
  )

  it.effect("presents types that it does not know as Bearer", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(ok)
      yield* client.pipe(HttpAuth.bearer(Kit.source(["a"], { type: "bot" }).source, at)).get(Kit.api)
      expect(sent()).toEqual(["Bearer a"])
    }))

  it.effect("leaves a header that is there already, and does not react to its refusal", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(Kit.only("Bearer b"))
      const { log, source } = Kit.source(["a", "b"])
      const response = yield* client.pipe(HttpAuth.bearer(source, at))
        .get(Kit.api, { headers: { Authorization: "Basic x" } })
      expect(response.status).toBe(401)
      expect(sent()).toEqual(["Basic x"])
      expect(log.invalidated).toEqual([])
    }))

  it.effect("fails with the error of the source", () =>
    Effect.gen(function*() {
      const { client, requests } = Kit.fake(ok)
      const source = yield* TokenSource.fromEffect(Effect.fail(reauth))
      expect(yield* Effect.flip(client.pipe(HttpAuth.bearer(source, at)).get(Kit.api))).toBe(reauth)
      expect(requests).toEqual([])
    }))
})

describe("secrets that no header may carry", () => {
  const bad: ReadonlyArray<readonly [string, string, string]> = [
    ["empty", "", "EmptySecret"],
    ["a line break", "a\r\nx-evil: 1", "InvalidSecret"],
    ["a line feed at the end", "a\n", "InvalidSecret"],
    ["a control character", "a\u0000", "InvalidSecret"],
    ["delete", "a\u007f", "InvalidSecret"],
    ["a blank", "Bearer a", "InvalidSecret"],
    ["not ASCII", "é", "InvalidSecret"],
    ["a smart quote", "“a”", "InvalidSecret"]
  ]
  const ways = [
    ["bearer", HttpAuth.bearer<never>],
    [
      "apiKey",
      (source: TokenSource.TokenSource<never>) => HttpAuth.apiKey(source, { ...at, header: "x-key" })
    ]
  ] as const
  for (const [way, credential] of ways) {
    it.effect.each(bad)(`${way}: %s`, ([, value, reason]) =>
      Effect.gen(function*() {
        const { client, requests } = Kit.fake(ok)
        const error = yield* Effect.flip(client.pipe(credential(Kit.source([value]).source, at)).get(Kit.api))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason })
        expect(requests).toEqual([])
        if (value.length > 2) expect(JSON.stringify(error) + String(error)).not.toContain(value)
      }))
  }
})

describe("apiKey", () => {
  it.effect("in a header, in a header behind a scheme, in the query", () =>
    Effect.gen(function*() {
      const urls: Array<string> = []
      const { client, requests } = Kit.fake((_, url) => {
        urls.push(url.href)
        return ok()
      })
      const { source } = Kit.source(["k&y"])
      yield* client.pipe(HttpAuth.apiKey(source, { ...at, header: "X-Goog-Api-Key" })).get(Kit.api)
      yield* client.pipe(HttpAuth.apiKey(source, { ...at, header: "Authorization", scheme: "Token" })).get(
        Kit.api
      )
      yield* client.pipe(HttpAuth.apiKey(source, { ...at, query: "key" })).get(`${Kit.api}/x?a=1`)
      expect(requests[0]?.headers["x-goog-api-key"]).toBe("k&y")
      expect(requests[1]?.headers["authorization"]).toBe("Token k&y")
      expect(urls[2]).toBe(`${Kit.api}/x?a=1&key=k%26y`)
    }))

  it.effect.each(["", " ", "Tok en", "Token ", "Tok\nen", "Tök€n", "Token:"])(
    "the scheme %j is Misconfigured, and the key is not quoted",
    (scheme) =>
      Effect.gen(function*() {
        const { client, requests } = Kit.fake(ok)
        const authed = client.pipe(
          HttpAuth.apiKey(Kit.source(["k3y"]).source, { ...at, header: "x", scheme })
        )
        const error = yield* Effect.flip(authed.get(Kit.api))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
        expect(JSON.stringify(error)).not.toContain("k3y")
        expect(requests).toEqual([])
      })
  )

  it.effect.each(["", " ", "\t\n", "\u00a0"])(
    "the blank key %j is never sent",
    (key) =>
      Effect.gen(function*() {
        const { client, requests } = Kit.fake(ok)
        for (
          const where of [{ query: "key" }, { header: "x-key" }, { header: "authorization", scheme: "Token" }]
        ) {
          const authed = client.pipe(HttpAuth.apiKey(Kit.source([key]).source, { ...at, ...where }))
          expect(yield* Effect.flip(authed.get(Kit.api))).toMatchObject({
            _tag: "Misconfigured",
            reason: "EmptySecret"
          })
        }
        expect(requests).toEqual([])
      })
  )

  it.effect("a key that the query has already stays, in the URL and in the parameters", () =>
    Effect.gen(function*() {
      const urls: Array<string> = []
      const { client } = Kit.fake((_, url) => {
        urls.push(url.href)
        return ok()
      })
      const authed = client.pipe(HttpAuth.apiKey(Kit.source(["mine"]).source, { ...at, query: "key" }))
      yield* authed.get(`${Kit.api}/?a=1&key=own#key`)
      yield* authed.get(Kit.api, { urlParams: { key: "own" } })
      yield* authed.get(`${Kit.api}/?keys=1#?key=2`)
      expect(urls[0]).toBe(`${Kit.api}/?a=1&key=own#key`)
      expect(urls[1]).toBe(`${Kit.api}/?key=own`)
      expect(urls[2]).toBe(`${Kit.api}/?keys=1&key=mine#?key=2`)
    }))

  it.effect.each(["", "x key", "x:key", "x\r\nkey"])(
    "the header name %j is Misconfigured",
    (header) =>
      Effect.gen(function*() {
        const { client, requests } = Kit.fake(ok)
        const authed = client.pipe(HttpAuth.apiKey(Kit.source(["k"]).source, { ...at, header }))
        expect(yield* Effect.flip(authed.get(Kit.api))).toMatchObject({
          _tag: "Misconfigured",
          reason: "InvalidOption"
        })
        expect(requests).toEqual([])
      })
  )

  it.effect.each(["", "k"])(
    "in the query: an empty name or key is Misconfigured (%j)",
    (query) =>
      Effect.gen(function*() {
        const { client } = Kit.fake(ok)
        const authed = client.pipe(HttpAuth.apiKey(Kit.source([""]).source, { ...at, query }))
        expect(yield* Effect.flip(authed.get(Kit.api))).toMatchObject({
          reason: query === "" ? "InvalidOption" : "EmptySecret"
        })
      })
  )

  it.effect("a parameter that is there already stays, whether in the URL or beside it", () =>
    Effect.gen(function*() {
      const urls: Array<string> = []
      const { client } = Kit.fake((_, url) => {
        urls.push(url.href)
        return ok()
      })
      const authed = client.pipe(HttpAuth.apiKey(Kit.source(["k"]).source, { ...at, query: "key" }))
      yield* authed.get(`${Kit.api}/?key=mine`)
      yield* authed.get(Kit.api, { urlParams: { key: "mine" } })
      expect(urls).toEqual([`${Kit.api}/?key=mine`, `${Kit.api}/?key=mine`])
    }))
})

describe("basic", () => {
  const send = (credentials: HttpAuth.BasicCredentials) => {
    const { client, sent } = Kit.fake(ok)
    return Effect.map(client.pipe(HttpAuth.basic(credentials, at)).get(Kit.api), () => sent())
  }

  it.effect("encodes in UTF-8", () =>
    Effect.gen(function*() {
      const sent = yield* send({ username: "test", password: Redacted.make("123£") })
      expect(sent).toEqual(["Basic dGVzdDoxMjPCow=="])
    }))

  it.effect("takes a secret user name and an empty password", () =>
    Effect.gen(function*() {
      const sent = yield* send({ username: Redacted.make("sk"), password: Redacted.make("") })
      expect(sent).toEqual([`Basic ${btoa("sk:")}`])
    }))

  it.effect.each([["a:b", "p"], ["a", "p\r\n"], ["a\u0000", "p"]] as const)(
    "%j is Misconfigured",
    ([username, password]) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(send({ username, password: Redacted.make(password) }))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidSecret" })
      })
  )

  it.effect("a password from a source is renewed on a 401", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(Kit.only(`Basic ${btoa("u:b")}`))
      const authed = client.pipe(
        HttpAuth.basic({ username: "u", password: Kit.source(["a", "b"]).source }, at)
      )
      expect((yield* authed.get(Kit.api)).status).toBe(200)
      expect(sent()).toEqual([`Basic ${btoa("u:a")}`, `Basic ${btoa("u:b")}`])
    }))

  it.effect("a fixed password is not tried twice", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(Kit.only("nothing"))
      const authed = client.pipe(HttpAuth.basic({ username: "u", password: Redacted.make("p") }, at))
      expect((yield* authed.get(Kit.api)).status).toBe(401)
      expect(sent()).toHaveLength(1)
    }))
})

describe("a refused token", () => {
  it.effect("is invalidated, and the request is sent once more with the next one", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(Kit.only("Bearer b"))
      const { log, source } = Kit.source(["a", "b"])
      const response = yield* client.pipe(HttpAuth.bearer(source, at)).get(Kit.api)
      expect(yield* response.text).toBe("welcome")
      expect(sent()).toEqual(["Bearer a", "Bearer b"])
      expect(log).toMatchObject({ renewals: 1, invalidated: ["a"] })
    }))

  it.effect("goes out once when the source has no other", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(Kit.only("Bearer b"))
      const { log, source } = Kit.source(["a"])
      const response = yield* client.pipe(HttpAuth.bearer(source, at)).get(Kit.api)
      expect([response.status, yield* response.text]).toEqual([401, "refused"])
      expect(sent()).toEqual(["Bearer a"])
      expect(log.invalidated).toEqual(["a"])
    }))

  const challenges: ReadonlyArray<readonly [string, string | undefined, boolean]> = [
    ["no challenge", undefined, true],
    ["an empty challenge", "", true],
    ["Bearer alone", "Bearer", true],
    ["a realm", "Bearer realm=\"r\"", true],
    ["invalid_token", "Bearer error=\"invalid_token\"", true],
    ["an error of its own", "Bearer error=\"token_expired\"", true],
    ["another scheme", "Basic realm=\"r\"", true],
    ["unreadable", "\"\"\"", true],
    ["insufficient_scope", "Bearer error=\"insufficient_scope\", scope=\"a\"", false],
    ["invalid_request", "Bearer error=\"invalid_request\"", false],
    ["step-up", "Bearer error=\"insufficient_user_authentication\", acr_values=\"x\"", false],
    ["both", "Bearer error=\"insufficient_scope\", DPoP error=\"invalid_token\"", true]
  ]
  it.effect.each(challenges)("challenge: %s", ([, challenge, again]) =>
    Effect.gen(function*() {
      const headers = challenge === undefined ? {} : { "www-authenticate": challenge }
      const { client, sent } = Kit.fake(() => new Response("", { status: 401, headers }))
      const { log, source } = Kit.source(["a", "b", "c"])
      yield* client.pipe(HttpAuth.bearer(source, at)).get(Kit.api)
      expect(sent()).toEqual(again ? ["Bearer a", "Bearer b"] : ["Bearer a"])
      expect(log.invalidated).toEqual(again ? ["a"] : [])
    }))

  it.effect.each([200, 204, 302, 400, 403, 407, 500])(
    "status %s is no refusal",
    (status) =>
      Effect.gen(function*() {
        const { client, sent } = Kit.fake(() => new Response(null, { status }))
        yield* client.pipe(HttpAuth.bearer(Kit.source(["a", "b"]).source, at)).get(Kit.api)
        expect(sent()).toEqual(["Bearer a"])
      })
  )

  it.effect("what counts as a refusal can be told", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(() => new Response(null, { status: 403 }))
      const rejected = (response: { readonly status: number }) => response.status === 403
      yield* client.pipe(HttpAuth.bearer(Kit.source(["a", "b"]).source, { ...at, rejected })).get(Kit.api)
      expect(sent()).toEqual(["Bearer a", "Bearer b"])
    }))

  const failures: ReadonlyArray<readonly [string, TokenError, boolean]> = [
    ["ReauthRequired", reauth, true],
    ["a transient failure: it is no reason to log anybody out", transient("Network"), true],
    ["RejectedWhileFresh: the answer itself tells more", transient("RejectedWhileFresh"), false]
  ]
  it.effect.each(failures)("no new token: %s", ([, failure, wins]) =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(Kit.only("Bearer b"))
      const { source } = Kit.source(["a", "b"], { onRenewal: Effect.fail(failure) })
      const result = yield* Effect.either(client.pipe(HttpAuth.bearer(source, at)).get(Kit.api))
      expect(Either.isLeft(result)).toBe(wins)
      if (Either.isLeft(result)) expect(result.left).toBe(failure)
      else expect([result.right.status, yield* result.right.text]).toEqual([401, "refused"])
      expect(sent()).toEqual(["Bearer a"])
    }))

  it.effect("the first answer's body is released before the second try", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const { client } = Kit.fake((request) => {
        const first = request.headers["authorization"] === "Bearer a"
        log.push(first ? "first" : "second")
        const body = new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(16_384)),
          cancel: () => void log.push("released")
        })
        return new Response(body, { status: first ? 401 : 200 })
      })
      yield* client.pipe(HttpAuth.bearer(Kit.source(["a", "b"]).source, at)).get(Kit.api)
      expect(log).toEqual(["first", "released", "second"])
    }))

  it.live("a body that never ends holds up the second try for a second at most", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake((request) =>
        request.headers["authorization"] === "Bearer a"
          ? new Response(new ReadableStream({ pull: () => new Promise(() => {}) }), { status: 401 })
          : ok()
      )
      yield* client.pipe(HttpAuth.bearer(Kit.source(["a", "b"]).source, at)).get(Kit.api)
      expect(sent()).toEqual(["Bearer a", "Bearer b"])
    }))

  it.effect("an interrupted renewal sends nothing more and releases the answer", () =>
    Effect.gen(function*() {
      const renewing = yield* Deferred.make<void>()
      const released = yield* Deferred.make<void>()
      const { client, sent } = Kit.fake(() =>
        new Response(
          new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
            cancel: () => Deferred.unsafeDone(released, Effect.void)
          }),
          { status: 401 }
        )
      )
      const onRenewal = Effect.zipRight(Deferred.succeed(renewing, undefined), Effect.never)
      const { log, source } = Kit.source(["a", "b"], { onRenewal })
      const fiber = yield* Effect.fork(client.pipe(HttpAuth.bearer(source, at)).get(Kit.api))
      yield* Deferred.await(renewing)
      yield* Fiber.interrupt(fiber)
      yield* Deferred.await(released)
      expect(sent()).toEqual(["Bearer a"])
      expect(log).toMatchObject({ renewals: 0, invalidated: ["a"] })
    }))

  it.effect("an interrupted second try leaves the next request unharmed", () =>
    Effect.gen(function*() {
      const second = yield* Deferred.make<void>()
      let hang = true
      const { client, sent } = Kit.fake((request) => {
        if (request.headers["authorization"] === "Bearer a") return new Response(null, { status: 401 })
        return hang ? Effect.zipRight(Deferred.succeed(second, undefined), Effect.never) : ok()
      })
      const { log, source } = Kit.source(["a", "b"])
      const authed = client.pipe(HttpAuth.bearer(source, at))
      const fiber = yield* Effect.fork(authed.get(Kit.api))
      yield* Deferred.await(second)
      yield* Fiber.interrupt(fiber)
      hang = false
      expect((yield* authed.get(Kit.api)).status).toBe(200)
      expect(sent()).toEqual(["Bearer a", "Bearer b", "Bearer b"])
      expect(log).toMatchObject({ renewals: 1, invalidated: ["a"] })
    }))

  it.effect("each try of a retry below carries a token of its own, and the last one counts as refused", () =>
    Effect.gen(function*() {
      let tries = 0
      const { client, sent } = Kit.fake(() => new Response(null, { status: [503, 401, 200][tries++] ?? 500 }))
      const { log, source } = Kit.source(["a", "b", "c"])
      const counting = { ...source, get: Effect.suspend(() => Effect.as(source.get, Kit.token(`t${tries}`))) }
      const authed = client.pipe(
        HttpClient.retryTransient({ times: 1, schedule: Schedule.recurs(1) }),
        HttpAuth.bearer(counting, { ...at, interactive: true })
      )
      expect((yield* authed.get(Kit.api)).status).toBe(200)
      expect(sent()).toEqual(["Bearer t0", "Bearer t1", "Bearer a"])
      expect(log.invalidated).toEqual(["t1"])
    }))
})

it.effect("a retry below that goes elsewhere carries nothing, and its 401 refuses nothing", () =>
  Effect.gen(function*() {
    const bases = [Kit.api, "https://elsewhere.test"]
    const { client, sent } = Kit.fake((_, url) =>
      new Response(null, { status: url.origin === Kit.api ? 503 : 401 })
    )
    const { log, source } = Kit.source(["a", "b"])
    const wandering = client.pipe(
      HttpClient.mapRequestEffect((request) =>
        Effect.sync(() => HttpClientRequest.prependUrl(request, bases.shift() ?? ""))
      ),
      HttpClient.retryTransient({ times: 1 })
    )
    const response = yield* wandering.pipe(HttpAuth.bearer(source, at)).get("/x")
    expect(response.status).toBe(401)
    expect(sent()).toEqual(["Bearer a", undefined])
    expect(log.invalidated).toEqual([])
  }))

describe("origins", () => {
  const table: ReadonlyArray<readonly [string, HttpAuth.Origins, string, boolean]> = [
    ["the origin itself", "https://api.test", "https://api.test", true],
    ["a path of it", "https://api.test", "https://api.test/a/b?c#d", true],
    ["a query without a path", "https://api.test", "https://api.test?c", true],
    ["the origin is given with a path", "https://api.test/v1/", "https://api.test/v2", true],
    ["the origin is given as a URL", new URL("https://api.test/v1"), "https://api.test/v2", true],
    ["the default port is spelled out", "https://api.test", "https://api.test:443/", true],
    ["upper case", "https://API.test", "HTTPS://api.TEST/x", true],
    ["one of several", ["https://a.test", "https://b.test"], "https://b.test/", true],
    ["none of several", ["https://a.test", "https://b.test"], "https://c.test/", false],
    ["another port", "https://api.test", "https://api.test:8443/", false],
    ["plain http", "https://api.test", "http://api.test/", false],
    ["a longer name", "https://api.test", "https://api.test.evil.test/", false],
    ["a name that only starts alike", "https://api.test", "https://api.tester/", false],
    ["a subdomain", "https://api.test", "https://x.api.test/", false],
    ["user information", "https://api.test", "https://api.test@evil.test/", false],
    ["user information with a slash in it", "https://api.test", "https://api.test:x@evil.test/", false],
    ["a backslash", "https://api.test", "https://evil.test\\@api.test/", false],
    ["a tab in the name", "https://api.test", "https://api.test\t.evil.test/", false],
    ["a line feed in the name", "https://api.test", "https://api.te\nst/", true],
    ["the name in the path", "https://api.test", "https://evil.test/https://api.test/", false],
    ["any", "any", "https://anything.test/", true],
    ["any, in upper case", "any", "HTTPS://anything.test/", true],
    ["any, on this machine", "any", "http://localhost:3000/", true],
    ["plain http on this machine, by name", "http://localhost:3000", "http://localhost:3000/x", true],
    ["plain http on this machine, by address", "http://127.0.0.1", "http://127.0.0.1/x", true],
    ["plain http on this machine, by another address", "http://127.8.9.10", "http://127.8.9.10/x", true],
    ["plain http on this machine, by a short address", "http://127.1", "http://127.0.0.1/x", true],
    ["plain http on this machine, in IPv6", "http://[::1]:80", "http://[::1]/x", true],
    ["a blob of the origin", "https://api.test", "blob:https://api.test/x", false]
  ]
  it.effect.each(table)("%s", ([, origins, url, carries]) =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(ok)
      yield* client.pipe(HttpAuth.bearer(Kit.source(["a"]).source, { origins })).get(url)
      expect(sent()).toEqual([carries ? "Bearer a" : undefined])
    }))

  const clear: ReadonlyArray<readonly [string, HttpAuth.Origins, string]> = [
    ["a host", "http://api.test", "http://api.test/"],
    ["one of several", ["https://api.test", "http://api.test"], "https://api.test/"],
    ["an address", "http://10.0.0.1", "http://10.0.0.1/"],
    ["a name that only ends alike", "http://notlocalhost", "http://notlocalhost/"],
    [
      "a name below localhost, which a resolver may send elsewhere",
      "http://a.localhost",
      "http://a.localhost/"
    ],
    ["a name that starts like an address", "http://127.0.0.1.api.test", "http://127.0.0.1.api.test/"],
    ["any", "any", "http://api.test/"],
    ["any, in upper case", "any", "HTTP://api.test/"]
  ]
  it.effect.each(clear)(
    "plain http is refused, unless it is said to be meant: %s",
    ([, origins, url]) =>
      Effect.gen(function*() {
        const { client, sent } = Kit.fake(ok)
        const { source } = Kit.source(["a"])
        const error = yield* Effect.flip(client.pipe(HttpAuth.bearer(source, { origins })).get(url))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InsecureUrl" })
        expect(error.message).toContain("insecure: true")
        expect(sent()).toEqual([])
        yield* client.pipe(HttpAuth.bearer(source, { origins, insecure: true })).get(url)
        expect(sent()).toEqual(["Bearer a"])
      })
  )

  it.effect("a request elsewhere asks for no token, and its 401 refuses none", () =>
    Effect.gen(function*() {
      const { client } = Kit.fake(() => new Response(null, { status: 401 }))
      const source = TokenSource.make<ReauthRequired>({ name: "s", request: () => Effect.fail(reauth) })
      const response = yield* client.pipe(HttpAuth.bearer(source, at)).get("https://elsewhere.test")
      expect(response.status).toBe(401)
    }))

  const invalid: ReadonlyArray<readonly [string, HttpAuth.Origins]> = [
    ["a host alone", "api.test"],
    ["a host and a port", "localhost:3000"],
    ["another scheme", "ftp://api.test"],
    ["empty", ""],
    ["one bad among good", ["https://api.test", "nonsense"]],
    ["none at all", [] as unknown as HttpAuth.Origins]
  ]
  it.effect.each(invalid)("%s is Misconfigured and sends nothing", ([, origins]) =>
    Effect.gen(function*() {
      const { client, requests } = Kit.fake(ok)
      const error = yield* Effect.flip(
        client.pipe(HttpAuth.bearer(Kit.source(["a"]).source, { origins })).get(Kit.api)
      )
      expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
      expect(requests).toEqual([])
    }))

  it.effect("the URL is looked at after what the client below makes of it", () =>
    Effect.gen(function*() {
      const { client, sent } = Kit.fake(ok)
      const based = (base: string) => HttpClient.mapRequest(client, HttpClientRequest.prependUrl(base))
      const credential = HttpAuth.bearer(Kit.source(["a"]).source, at)
      yield* based(Kit.api).pipe(credential).get("/x")
      yield* based("https://elsewhere.test").pipe(credential).get("/x")
      yield* client.pipe(credential, HttpClient.mapRequest(HttpClientRequest.prependUrl(Kit.api))).get("/x")
      expect(sent()).toEqual(["Bearer a", undefined, "Bearer a"])
    }))
})

describe("basic with nothing in it", () => {
  const pairs = [["", "", false], [" ", "\u00a0", false], ["key", "", true], ["", "key", true]] as const
  it.effect.each(pairs)("%j and %j", ([username, password, isSent]) =>
    Effect.gen(function*() {
      const { client, requests } = Kit.fake(ok)
      const credential = HttpAuth.basic({ username, password: Redacted.make(password) }, at)
      const result = yield* Effect.either(client.pipe(credential).get(Kit.api))
      expect(requests.length).toBe(isSent ? 1 : 0)
      if (Either.isLeft(result)) {
        expect(result.left).toMatchObject({ _tag: "Misconfigured", reason: "EmptySecret" })
      }
    }))
})

describe("a custom placement", () => {
  it.effect("sees the request that is sent, and its error is in the type", () =>
    Effect.gen(function*() {
      const { client, requests } = Kit.fake(ok)
      const placement: Placement.Placement<TokenUnavailable> = {
        secretHeaders: ["x-signature"],
        isOn: (request) => "x-signature" in request.headers,
        put: (request, token) =>
          Effect.succeed(
            HttpClientRequest.setHeader(request, "x-signature", `${request.url} ${Kit.secretOf(token)}`)
          )
      }
      yield* client.pipe(HttpAuth.authenticate(Kit.source(["a"]).source, placement, at)).get(`${Kit.api}/x`)
      expect(requests[0]?.headers["x-signature"]).toBe(`${Kit.api}/x a`)
    }))
})

describe("a plain HttpClient", () => {
  const refusing = (failure: TokenError) =>
    TokenSource.make<TokenError>({ name: "s", request: () => Effect.fail(failure) })

  it.effect.each([[reauth, "Encode"], [transient("Network"), "Transport"]] as const)(
    "the token's error travels as the cause of a RequestError: $1",
    ([failure, reason]) =>
      Effect.gen(function*() {
        const { client } = Kit.fake(ok)
        const plain: HttpClient.HttpClient = HttpAuth.toHttpClient(
          client.pipe(HttpAuth.bearer(refusing(failure), at))
        )
        const error = yield* Effect.flip(plain.get(Kit.api))
        expect(error).toMatchObject({ _tag: "RequestError", reason })
        expect(error.message).toContain(failure.hint)
        expect(HttpAuth.tokenError(error)).toEqual(Option.some(failure))
      })
  )

  it.effect("the token's error gets through a second credential above", () =>
    Effect.gen(function*() {
      const { client } = Kit.fake(ok)
      const below = HttpAuth.toHttpClient(
        client.pipe(HttpAuth.apiKey(refusing(reauth), { ...at, header: "x-key" }))
      )
      const error = yield* Effect.flip(below.pipe(HttpAuth.bearer(Kit.source(["a"]).source, at)).get(Kit.api))
      expect(HttpAuth.tokenError(error)).toEqual(Option.some(reauth))
      expect(JSON.stringify(error)).not.toContain("Bearer a")
    }))

  it.effect("errors of the request itself stay as they are and hold no token error", () =>
    Effect.gen(function*() {
      const { client } = Kit.fake(ok)
      const plain = HttpAuth.toHttpClient(client.pipe(HttpAuth.bearer(Kit.source(["a"]).source, at)))
      const error = yield* Effect.flip(plain.get("http://["))
      expect(error).toMatchObject({ _tag: "RequestError", reason: "InvalidUrl" })
      expect(HttpAuth.tokenError(error)).toEqual(Option.none())
      expect(HttpAuth.tokenError(undefined)).toEqual(Option.none())
    }))

  it.effect("the layer puts the credential on the client of the context", () =>
    Effect.gen(function*() {
      class Api extends TokenSource.Tag("test/Api")<Api>() {}
      const { client, sent } = Kit.fake(Kit.only("Bearer b"))
      const live = HttpAuth.layer(Api, (source) => HttpAuth.bearer(source, at)).pipe(
        Layer.provide([
          Layer.succeed(HttpClient.HttpClient, client),
          Api.layer(Effect.succeed(Kit.source(["a", "b"]).source))
        ])
      )
      const context = yield* Layer.build(live)
      const response = yield* Context.get(context, HttpClient.HttpClient).get(Kit.api)
      expect(response.status).toBe(200)
      expect(sent()).toEqual(["Bearer a", "Bearer b"])
    }).pipe(Effect.scoped))
})

describe("what the body reads and what the response shows pass through", () => {
  it.effect("json, text, stream, form data, URL parameters, bytes, headers, cookies", () =>
    Effect.gen(function*() {
      const headers = { "content-type": "application/x-www-form-urlencoded", "set-cookie": "c=1", "x-a": "b" }
      const { client } = Kit.fake((_, url) =>
        new Response(url.pathname === "/json" ? "{\"a\":1}" : "a=1", { headers })
      )
      const get = (path: string) =>
        client.pipe(HttpAuth.bearer(Kit.source(["t"]).source, at)).get(`${Kit.api}${path}`)
      const response = yield* get("/")
      expect([response.status, response.headers["x-a"]]).toEqual([200, "b"])
      expect(response.cookies.cookies).toHaveProperty("c")
      expect(Option.isNone(response.remoteAddress)).toBe(true)
      expect(yield* response.text).toBe("a=1")
      expect(yield* (yield* get("/json")).json).toEqual({ a: 1 })
      expect(yield* (yield* get("/")).urlParamsBody).toEqual([["a", "1"]])
      expect((yield* (yield* get("/")).formData).get("a")).toBe("1")
      expect((yield* (yield* get("/")).arrayBuffer).byteLength).toBe(3)
      const chunks = yield* Stream.runCollect((yield* get("/")).stream)
      expect(Array.from(chunks).flatMap((chunk) => Array.from(chunk))).toEqual([97, 61, 49])
    }))

  it.effect("HttpBody and headers of the caller reach the wire", () =>
    Effect.gen(function*() {
      const { client, requests } = Kit.fake(ok)
      yield* client.pipe(HttpAuth.bearer(Kit.source(["t"]).source, at))
        .post(Kit.api, { body: HttpBody.text("hello"), headers: { "x-a": "b" } })
      expect(requests[0]?.body._tag).toBe("Uint8Array")
      expect(Headers.has(requests[0]?.headers ?? Headers.empty, "x-a")).toBe(true)
    }))
})

describe("a login", () => {
  const asked = (options: Partial<HttpAuth.Options>) =>
    Effect.gen(function*() {
      const seen: Array<TokenSource.TokenRequest["interactive"]> = []
      const { source } = Kit.source(["a", "b"])
      const watched = TokenSource.withRequest(source, (request) => {
        seen.push(request.interactive)
        return source.request(request)
      })
      const { client } = Kit.fake(Kit.only("Bearer b"))
      const authed = client.pipe(HttpAuth.bearer(watched, { ...at, ...options }))
      expect((yield* authed.get(Kit.api)).status).toBe(200)
      return seen
    })

  it.effect("is opened by no request, neither the first nor after a refusal", () =>
    Effect.gen(function*() {
      expect(yield* asked({})).toEqual([false, false])
      expect(yield* asked({ interactive: false })).toEqual([false, false])
    }))

  it.effect("may be opened where the program allows it", () =>
    Effect.gen(function*() {
      expect(yield* asked({ interactive: true })).toEqual([undefined, undefined])
    }))
})

import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { proofIn } from "../oauth/dpopKit.js"
import { ath, demand, proofsOf, setup, tokens } from "./dpopKit.js"
import * as Kit from "./kit.js"

describe("each request", () => {
  it.effect("carries the token and a proof of its own for it", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const { all: [token], authed, requests } = yield* setup(() => new Response("ok"))
      yield* authed.get(`${Kit.api}/a?page=2#top`)
      yield* authed.post(`${Kit.api}/b/`, { urlParams: { secret: "1" }, body: HttpBody.text("x") })
      const [get, post] = yield* proofsOf(requests)
      const jkt = yield* Dpop.thumbprint(token?.proofKey ?? Redacted.make(""))
      const common = { jkt, ath: ath("t-0"), iat: 1_700_000_000, nonce: undefined }
      expect(get).toMatchObject({ ...common, htm: "GET", htu: `${Kit.api}/a` })
      expect(post).toMatchObject({ ...common, htm: "POST", htu: `${Kit.api}/b/` })
      expect(get?.jti).not.toBe(post?.jti)
      expect(requests.map(({ headers }) => headers["authorization"])).toEqual(["DPoP t-0", "DPoP t-0"])
    }))

  it.effect("has a fresh one in each try of the client below", () =>
    Effect.gen(function*() {
      const { client, credential, requests } = yield* setup((count) =>
        new Response("", { status: count < 3 ? 503 : 200 })
      )
      const stubborn = client.pipe(HttpClient.filterStatusOk, HttpClient.retry(Schedule.recurs(5)))
      expect((yield* credential(stubborn).get(Kit.api)).status).toBe(200)
      expect(new Set((yield* proofsOf(requests)).map(({ jti }) => jti)).size).toBe(3)
    }))

  it.effect("and in each hop of a redirect, to its own origins only", () =>
    Effect.gen(function*() {
      const to = ["", `${Kit.api}/second`, "https://elsewhere.test/third"]
      const { authed, requests } = yield* setup((count) =>
        count < 3
          ? new Response("", { status: 307, headers: { location: to[count] ?? "" } })
          : new Response("ok")
      )
      yield* HttpClient.followRedirects(authed).get(`${Kit.api}/first`)
      const proofs = yield* proofsOf(requests.slice(0, 2))
      expect(proofs.map(({ htu }) => htu)).toEqual([`${Kit.api}/first`, `${Kit.api}/second`])
      expect(requests[2]?.headers).not.toHaveProperty("dpop")
      expect(requests[2]?.headers).not.toHaveProperty("authorization")
    }))

  it.effect("that has an authorization of its own is left as it is", () =>
    Effect.gen(function*() {
      const { authed, requests } = yield* setup(() => new Response("ok"))
      yield* authed.get(Kit.api, { headers: { authorization: "Basic eDp5" } })
      expect(requests[0]?.headers["authorization"]).toBe("Basic eDp5")
      expect(requests[0]?.headers).not.toHaveProperty("dpop")
    }))
})

describe("a demand for a nonce", () => {
  it.effect("is met with the same token, which is no refused token", () =>
    Effect.gen(function*() {
      const { authed, log, requests } = yield* setup((count) =>
        count === 1 ? demand("n-1") : new Response("ok")
      )
      const response = yield* authed.post(Kit.api, { body: HttpBody.text("twice") })
      expect([response.status, yield* response.text]).toEqual([200, "ok"])
      const proofs = yield* proofsOf(requests)
      expect(proofs.map(({ nonce }) => nonce)).toEqual([undefined, "n-1"])
      expect(new Set(proofs.map(({ jti }) => jti)).size).toBe(2)
      expect(log).toEqual({ got: 1, renewals: 0, invalidated: [] })
      expect(requests.map(({ body }) => body)).toEqual([requests[0]?.body, requests[0]?.body])
    }))

  it.effect("comes once: each answer of the origin brings the next nonce", () =>
    Effect.gen(function*() {
      const { authed, requests } = yield* setup((count) =>
        count === 1 ? demand("n-1") : new Response("ok", { headers: { "dpop-nonce": `n-${count}` } })
      )
      yield* Effect.repeatN(authed.get(Kit.api), 2)
      expect((yield* proofsOf(requests)).map(({ nonce }) => nonce)).toEqual([undefined, "n-1", "n-2", "n-3"])
    }))

  it.effect("is of one origin: no other is told the nonce", () =>
    Effect.gen(function*() {
      const origins = [Kit.api, "https://two.test"] as const
      const { authed, requests } = yield* setup(
        (_, { url }) =>
          new Response("ok", { headers: { "dpop-nonce": url.includes("two") ? "two" : "one" } }),
        { origins }
      )
      for (const url of [...origins, ...origins, "https://api.test:8443/"]) yield* authed.get(url)
      const proofs = yield* proofsOf(requests.slice(0, 4))
      expect(proofs.map(({ nonce }) => nonce)).toEqual([undefined, undefined, "one", "two"])
      expect(requests[4]?.headers).not.toHaveProperty("dpop")
    }))

  it.effect("without end is met once, and its answer is the result", () =>
    Effect.gen(function*() {
      const { authed, log, requests } = yield* setup((count) => demand(`n-${count}`))
      const response = yield* authed.get(Kit.api)
      expect([response.status, requests.length]).toEqual([401, 2])
      expect(log).toEqual({ got: 1, renewals: 0, invalidated: [] })
    }))

  it.effect.each<readonly [string, string | undefined]>([
    ["none", undefined],
    ["empty", ""],
    ["a megabyte", "n".repeat(1_000_000)],
    ["with a quotation mark", "a\"b"],
    ["with a blank", "a b"],
    ["with a control character", "a\tb"],
    ["outside of ASCII", "é"]
  ])("with a nonce that no proof could carry is not met: %s", ([, nonce]) =>
    Effect.gen(function*() {
      const { authed, log, requests } = yield* setup(() => demand(nonce))
      expect((yield* authed.get(Kit.api)).status).toBe(401)
      expect(requests.length).toBe(1)
      expect((yield* proofsOf(requests)).map((proof) => proof.nonce)).toEqual([undefined])
      expect(log.invalidated).toEqual([])
    }))

  it.effect.each<readonly [string, number, string]>([
    ["another status", 400, "DPoP error=\"use_dpop_nonce\""],
    ["another error", 401, "DPoP error=\"insufficient_user_authentication\""],
    ["a text that only mentions it", 401, "Bearer error=\"invalid_request\", x=\"use_dpop_nonce\""]
  ])("is no other answer, though that brings a nonce: %s", ([, status, challenge]) =>
    Effect.gen(function*() {
      const headers = { "www-authenticate": challenge, "dpop-nonce": "n-1" }
      const { authed, requests } = yield* setup(() => new Response("", { status, headers }))
      expect((yield* authed.get(Kit.api)).status).toBe(status)
      expect(requests.length).toBe(1)
    }))

  it.effect("of a request that can't be sent again is the result, and the next request knows", () =>
    Effect.gen(function*() {
      const { authed, log, requests } = yield* setup((count) =>
        count === 1 ? demand("n-1") : new Response("ok")
      )
      const stream = HttpBody.stream(Stream.make(new Uint8Array([1])))
      expect((yield* authed.post(Kit.api, { body: stream })).status).toBe(401)
      expect((yield* authed.post(Kit.api, { body: stream })).status).toBe(200)
      expect((yield* proofsOf(requests)).map(({ nonce }) => nonce)).toEqual([undefined, "n-1"])
      expect(log.invalidated).toEqual([])
    }))

  it.effect("doesn't use up the one renewal of a refused token, nor the other way round", () =>
    Effect.gen(function*() {
      const refused = () =>
        new Response("", { status: 401, headers: { "www-authenticate": "DPoP error=\"invalid_token\"" } })
      for (
        const answers of [
          [demand("n"), refused(), new Response("ok")],
          [refused(), demand("n"), new Response("ok")]
        ]
      ) {
        const { all, authed, log, requests } = yield* setup(
          (count) => answers[count - 1] ?? new Response("", { status: 500 }),
          {},
          ["t-0", "t-1"]
        )
        expect((yield* authed.get(Kit.api)).status).toBe(200)
        expect(log).toMatchObject({ renewals: 1, invalidated: ["t-0"] })
        const [, , last] = yield* proofsOf(requests)
        const jkt = yield* Dpop.thumbprint(all[1]?.proofKey ?? Redacted.make(""))
        expect(last).toMatchObject({ jkt, ath: ath("t-1"), nonce: "n" })
      }
    }))

  it.effect("while a token is refused again and again makes three requests at most", () =>
    Effect.gen(function*() {
      const refused = () => new Response("", { status: 401 })
      const { authed, requests } = yield* setup(
        (count) => count % 2 === 1 ? demand(`n-${count}`) : refused(),
        {},
        ["t-0", "t-1", "t-2"]
      )
      expect((yield* authed.get(Kit.api)).status).toBe(401)
      expect(requests.length).toBe(3)
    }))

  it.effect("interrupted while it is met, nothing goes on", () =>
    Effect.gen(function*() {
      const { source } = yield* tokens("t-0")
      let count = 0
      const { client } = Kit.fake(() => ++count === 1 ? demand("n-1") : Effect.never)
      const fiber = yield* Effect.fork(HttpAuth.dpop(source, { origins: Kit.api })(client).get(Kit.api))
      yield* Effect.repeat(Effect.promise(() => new Promise((done) => setImmediate(done))), {
        while: () => count < 2
      })
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(count).toBe(2)
    }))
})

describe("a clock that differs", () => {
  const now = 1_700_000_000_000
  const at = (offset: number) => ({ date: new Date(now + offset).toUTCString() })
  const invalid = (headers: Record<string, string>) =>
    new Response("", {
      status: 401,
      headers: { "www-authenticate": "DPoP error=\"invalid_dpop_proof\"", ...headers }
    })

  it.effect("is learned from each answer of the origin", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now)
      const { authed, requests } = yield* setup(() => new Response("ok", { headers: at(-90_000) }))
      yield* Effect.repeatN(authed.get(Kit.api), 1)
      const seconds = (yield* proofsOf(requests)).map(({ iat }) => iat)
      expect(seconds).toEqual([1_700_000_000, 1_700_000_000 - 90])
    }))

  it.effect("cures a refused proof at once, with the same token", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now)
      const { authed, log, requests } = yield* setup((count) =>
        count === 1 ? invalid(at(3_600_000)) : new Response("ok", { headers: at(3_600_000) })
      )
      expect((yield* authed.get(Kit.api)).status).toBe(200)
      expect((yield* proofsOf(requests)).map(({ iat }) => iat)).toEqual([1_700_000_000, 1_700_003_600])
      expect(log).toEqual({ got: 1, renewals: 0, invalidated: [] })
    }))

  it.effect("is not what is wrong where the answer shows none, or the same", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now)
      for (const headers of [{}, at(0), { date: "yesterday" }, { ...at(3_600_000), age: "5" }]) {
        const { authed, log, requests } = yield* setup(() => invalid(headers))
        expect((yield* authed.get(Kit.api)).status).toBe(401)
        expect([requests.length, log.invalidated]).toEqual([1, []])
      }
    }))
})

describe.each([...Kit.realClients, ["fetch", FetchHttpClient.layer] as const])("over %s", (_, layer) => {
  it.scopedLive("a server gets what it asked for, with the whole body each time", () =>
    Effect.gen(function*() {
      const bodies: Array<string> = []
      const seen = new Set<string>()
      const origin = yield* Kit.serve(Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        bodies.push(yield* request.text)
        const proof = yield* proofIn(request.headers)
        const isNew = !seen.has(proof.jti)
        seen.add(proof.jti)
        return proof.nonce === "n-1" && isNew && proof.ath === ath("t-0")
          ? HttpServerResponse.text("welcome")
          : HttpServerResponse.text("x".repeat(100_000), {
            status: 401,
            headers: { "www-authenticate": "DPoP error=\"use_dpop_nonce\"", "dpop-nonce": "n-1" }
          })
      }))
      const { source } = yield* tokens("t-0")
      const client = Context.get(yield* Layer.build(layer), HttpClient.HttpClient)
      const authed = client.pipe(HttpAuth.dpop(source, { origins: origin }))
      for (let round = 0; round < 3; round++) {
        const response = yield* authed.post(`${origin}/things?page=1`, { body: HttpBody.text("a body") })
        expect([response.status, yield* response.text]).toEqual([200, "welcome"])
      }
      expect(bodies).toEqual(["a body", "a body", "a body", "a body"])
    }))
})

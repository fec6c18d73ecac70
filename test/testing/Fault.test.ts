import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import * as Fault from "effect-credentials/testing/Fault"
import { VirtualIdentityProvider } from "effect-credentials/testing/VirtualIdentityProvider"
import * as Idp from "effect-credentials/testing/VirtualIdentityProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { get, issuer, refresh, resource, startLogin } from "./calls.js"

const login = Effect.gen(function*() {
  const { refreshToken, token } = yield* (yield* VirtualIdentityProvider).issue("app")
  return {
    access: Redacted.value(token.value),
    refresh: refreshToken === undefined ? "none" : Redacted.value(refreshToken)
  }
})

const inject = (fault: Fault.Fault, reach?: Idp.Reach) =>
  Effect.flatMap(VirtualIdentityProvider, (idp) => idp.inject(fault, reach))

/** The raw answer to a refresh. */
const rawRefresh = (refreshToken: string) =>
  HttpClient.execute(
    HttpClientRequest.post(`${issuer}/token`).pipe(HttpClientRequest.bodyUrlParams({
      grant_type: "refresh_token",
      client_id: "app",
      refresh_token: refreshToken
    }))
  )

const redemptions = Effect.flatMap(
  VirtualIdentityProvider,
  (idp) => Effect.map(idp.counts, (c) => c.redemptions)
)

const lastEntry = Effect.flatMap(
  VirtualIdentityProvider,
  (idp) => Effect.map(idp.journal, (all) => all.at(-1))
)

describe("Fault", () => {
  it.effect("outage: the connection fails and nothing has happened", () =>
    Effect.gen(function*() {
      const held = yield* login
      const { hits } = yield* inject(Fault.outage, { endpoint: "token", times: 1 })
      const error = yield* Effect.flip(refresh(held.refresh))
      assert.deepInclude(error, { _tag: "RequestError", reason: "Transport" })
      assert.strictEqual(yield* redemptions, 0)
      assert.deepInclude(yield* lastEntry, {
        action: "None",
        delivery: "Lost",
        status: undefined,
        faults: ["Outage"]
      })
      assert.strictEqual(yield* hits, 1)
      assert.strictEqual((yield* refresh(held.refresh)).status, 200)
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("dropped reply: the refresh token is spent, and coming again costs the family", () =>
    Effect.gen(function*() {
      const held = yield* login
      yield* inject(Fault.droppedReply, { endpoint: "token", times: 1 })
      yield* Effect.flip(refresh(held.refresh))
      assert.strictEqual(yield* redemptions, 1)
      assert.deepInclude(yield* lastEntry, { action: "Redeemed", delivery: "Lost", status: 200 })
      assert.strictEqual((yield* refresh(held.refresh)).body["error"], "invalid_grant")
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("dropped reply with a grace window: coming again gives what was lost", () =>
    Effect.gen(function*() {
      const held = yield* login
      yield* inject(Fault.droppedReply, { times: 1 })
      yield* Effect.flip(refresh(held.refresh))
      const again = yield* refresh(held.refresh)
      assert.strictEqual((yield* resource(again.body["access_token"])).status, 200)
      assert.strictEqual(yield* redemptions, 1)
    }).pipe(Effect.provide(Idp.layer({ reuseGrace: "1 minute" }))))

  describe("status", () => {
    it.effect("stands in for the action", () =>
      Effect.gen(function*() {
        const held = yield* login
        yield* inject(Fault.status(503, { retryAfter: "1500 millis", body: "busy" }), { times: 1 })
        const response = yield* rawRefresh(held.refresh)
        assert.strictEqual(response.status, 503)
        assert.strictEqual(response.headers["retry-after"], "2")
        assert.strictEqual(yield* response.text, "busy")
        assert.strictEqual(yield* redemptions, 0)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("or for the answer alone", () =>
      Effect.gen(function*() {
        const held = yield* login
        yield* inject(Fault.status(502, { moment: "AfterAction" }), { times: 1 })
        assert.strictEqual((yield* rawRefresh(held.refresh)).status, 502)
        assert.strictEqual(yield* redemptions, 1)
        assert.deepInclude(yield* lastEntry, { action: "Redeemed", status: 502, delivery: "Delivered" })
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("Retry-After as a date is on the server's clock", () =>
      Effect.gen(function*() {
        yield* inject(Fault.status(429, { retryAfter: "1 minute", retryAfterFormat: "Date" }))
        const { headers } = yield* get(`${issuer}/resource`)
        assert.strictEqual(headers["date"], "Thu, 01 Jan 1970 00:10:00 GMT")
        assert.strictEqual(headers["retry-after"], "Thu, 01 Jan 1970 00:11:00 GMT")
      }).pipe(Effect.provide(Idp.layer({ skew: { ahead: "10 minutes" } }))))

    it.effect("204 has no body", () =>
      Effect.gen(function*() {
        yield* inject(Fault.status(204))
        assert.strictEqual((yield* get(`${issuer}/resource`)).status, 204)
      }).pipe(Effect.provide(Idp.layer())))
  })

  describe("slow", () => {
    it.effect("answers after the delay and not before", () =>
      Effect.gen(function*() {
        const held = yield* login
        yield* inject(Fault.slow("10 seconds"))
        const fiber = yield* Effect.fork(refresh(held.refresh))
        yield* TestClock.adjust("9999 millis")
        assert.isNull(fiber.unsafePoll())
        assert.strictEqual(yield* redemptions, 1)
        assert.deepInclude(yield* lastEntry, { delivery: "Pending", action: "Redeemed" })
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* Fiber.join(fiber)).status, 200)
        assert.deepInclude(yield* lastEntry, { delivery: "Delivered" })
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("interrupted after the action: the server has acted, and says so", () =>
      Effect.gen(function*() {
        const held = yield* login
        const { clear } = yield* inject(Fault.slow("10 seconds"))
        const fiber = yield* Effect.fork(refresh(held.refresh))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(fiber)
        assert.deepInclude(yield* lastEntry, { delivery: "Interrupted", action: "Redeemed" })
        yield* clear
        assert.strictEqual((yield* refresh(held.refresh)).body["error"], "invalid_grant")
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("interrupted before the action: nothing has happened", () =>
      Effect.gen(function*() {
        const held = yield* login
        const { clear } = yield* inject(Fault.slow("10 seconds", "BeforeAction"))
        const outcome = yield* Effect.fork(Effect.timeoutOption(refresh(held.refresh), "1 second"))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(outcome))._tag, "None")
        assert.deepInclude(yield* lastEntry, { delivery: "Interrupted", action: "None" })
        yield* clear
        assert.strictEqual((yield* refresh(held.refresh)).status, 200)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("adds to another fault", () =>
      Effect.gen(function*() {
        const held = yield* login
        yield* inject(Fault.slow("10 seconds"))
        yield* inject(Fault.slow("5 seconds"))
        yield* inject(Fault.droppedReply)
        const fiber = yield* Effect.fork(Effect.flip(refresh(held.refresh)))
        yield* TestClock.adjust("14999 millis")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("1 millis")
        assert.deepInclude(yield* Fiber.join(fiber), { reason: "Transport" })
        assert.deepInclude(yield* lastEntry, { faults: ["Slow", "Slow", "DroppedReply"] })
      }).pipe(Effect.provide(Idp.layer())))
  })

  describe("crash", () => {
    for (const [moment, redeemed] of [["BeforeAction", 0], ["AfterAction", 1]] as const) {
      it.effect(`${moment}: the caller gets no further, and the test knows when it is there`, () =>
        Effect.gen(function*() {
          const held = yield* login
          const { reached } = yield* inject(Fault.crash(moment), { grantType: "refresh_token", times: 1 })
          const fiber = yield* Effect.fork(refresh(held.refresh))
          yield* reached
          yield* TestClock.adjust("1 day")
          assert.isNull(fiber.unsafePoll())
          assert.strictEqual(yield* redemptions, redeemed)
          yield* Fiber.interrupt(fiber)
          assert.deepInclude(yield* lastEntry, { delivery: "Interrupted" })
        }).pipe(Effect.provide(Idp.layer())))
    }
  })

  it.effect("redirect: the server sends the caller elsewhere and does nothing", () =>
    Effect.gen(function*() {
      const held = yield* login
      yield* inject(Fault.redirect("https://evil.test/token"), { endpoint: "token" })
      const response = yield* rawRefresh(held.refresh)
      assert.strictEqual(response.status, 307)
      assert.strictEqual(response.headers["location"], "https://evil.test/token")
      assert.strictEqual(yield* redemptions, 0)
    }).pipe(Effect.provide(Idp.layer())))

  describe("malformed", () => {
    const spoilt = (fault: Fault.Fault) =>
      Effect.gen(function*() {
        const held = yield* login
        yield* inject(fault, { endpoint: "token" })
        return yield* rawRefresh(held.refresh)
      })

    it.effect("Html: a page with status 200, and the refresh token is spent", () =>
      Effect.gen(function*() {
        const response = yield* spoilt(Fault.malformed("Html"))
        assert.strictEqual(response.status, 200)
        assert.strictEqual(response.headers["content-type"], "text/html")
        assert.match(yield* response.text, /^<!doctype html>/)
        assert.strictEqual(yield* redemptions, 1)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("Empty", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* (yield* spoilt(Fault.malformed("Empty"))).text, "")
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("Truncated: it starts as JSON and does not end as such", () =>
      Effect.gen(function*() {
        const text = yield* (yield* spoilt(Fault.malformed("Truncated"))).text
        assert.match(text, /^\{"access_token":"/)
        assert.throws(() => JSON.parse(text))
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("Broken: reading fails half-way", () =>
      Effect.gen(function*() {
        const response = yield* spoilt(Fault.malformed("Broken"))
        const error = yield* Effect.flip(response.text)
        assert.strictEqual(error._tag, "ResponseError")
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("Huge: 20 MB that are made only as far as they are read", () =>
      Effect.gen(function*() {
        const response = yield* spoilt(Fault.malformed("Huge"))
        const read = yield* Ref.make(0)
        const count = (chunk: Uint8Array) => Ref.updateAndGet(read, (n) => n + chunk.length)
        yield* response.stream.pipe(
          Stream.mapEffect(count),
          Stream.takeUntil((n) => n > 100_000),
          Stream.runDrain
        )
        assert.isBelow(yield* Ref.get(read), 1_000_000)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("Huge: whoever reads it all has over 20 MB of sound JSON", () =>
      Effect.gen(function*() {
        const text = yield* (yield* spoilt(Fault.malformed("Huge"))).text
        assert.isAbove(text.length, 20 * 1024 * 1024)
        assert.hasAnyKeys(JSON.parse(text), ["access_token"])
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("a field left out", () =>
      Effect.gen(function*() {
        const body = yield* (yield* spoilt(Fault.without("access_token"))).json
        assert.doesNotHaveAnyKeys(body, ["access_token"])
        assert.hasAllKeys(body, ["token_type", "expires_in", "refresh_token"])
      }).pipe(Effect.provide(Idp.layer())))

    for (const value of ["soon", -1, 0, 1e300, null, "3600"]) {
      it.effect(`expires_in: ${JSON.stringify(value)}`, () =>
        Effect.gen(function*() {
          const body = yield* (yield* spoilt(Fault.withField("expires_in", value))).json
          assert.deepInclude(body, { expires_in: value, token_type: "Bearer" })
        }).pipe(Effect.provide(Idp.layer())))
    }
  })

  describe("reach", () => {
    it.effect("the next n requests", () =>
      Effect.gen(function*() {
        const { hits } = yield* inject(Fault.status(500), { times: 2 })
        const call = Effect.map(get(`${issuer}/resource`), ({ status }) => status)
        assert.deepStrictEqual(yield* Effect.all([call, call, call]), [500, 500, 401])
        assert.strictEqual(yield* hits, 2)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("a period of time, its end excluded", () =>
      Effect.gen(function*() {
        yield* inject(Fault.status(500), { during: "1 minute" })
        const call = Effect.map(get(`${issuer}/resource`), ({ status }) => status)
        yield* TestClock.adjust("59999 millis")
        assert.strictEqual(yield* call, 500)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* call, 401)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("until it is cleared, alone or with all others", () =>
      Effect.gen(function*() {
        const idp = yield* VirtualIdentityProvider
        const call = Effect.map(get(`${issuer}/resource`), ({ status }) => status)
        const first = yield* inject(Fault.status(500))
        yield* inject(Fault.status(502))
        assert.strictEqual(yield* call, 500)
        yield* first.clear
        assert.strictEqual(yield* call, 502)
        yield* idp.clearFaults
        assert.strictEqual(yield* call, 401)
        assert.strictEqual(yield* first.hits, 1)
      }).pipe(Effect.provide(Idp.layer())))

    it.effect("one endpoint, one grant type", () =>
      Effect.gen(function*() {
        const held = yield* login
        yield* inject(Fault.outage, { endpoint: "device_authorization" })
        yield* inject(Fault.outage, { grantType: "client_credentials" })
        assert.strictEqual((yield* refresh(held.refresh)).status, 200)
        assert.strictEqual((yield* Effect.exit(startLogin()))._tag, "Failure")
      }).pipe(Effect.provide(Idp.layer())))
  })
})

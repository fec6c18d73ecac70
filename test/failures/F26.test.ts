import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Token from "effect-credentials/Token"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import { inTurn, json, serve } from "../oauth/kit.js"
import type { Call } from "../oauth/kit.js"
import * as OidcProvider from "../support/OidcProvider.js"

const hour = 3_600_000

describe("F26 a clock that is wrong", () => {
  const ours: ReadonlyArray<readonly [string, number]> = [
    ["an hour behind", -hour],
    ["nearly a day behind", -23 * hour],
    ["nearly a day ahead", 23 * hour]
  ]
  for (const [name, shift] of ours) {
    it.scoped(`${name} signs for the server's time, and counts lifetimes by itself`, () =>
      Effect.gen(function*() {
        const now = new Date().getTime() + shift
        yield* TestClock.setTime(now)
        const idp = yield* OidcProvider.make()
        const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
        const source = yield* ClientCredentials.make({
          server,
          client: { id: "cc-jwt", auth: Client.privateKeyJwt({ key: idp.clientKey.key }) }
        })
        const token = yield* source.get
        assert.strictEqual(token.issuedAt, now)
        assert.strictEqual(Token.lifetime(token), hour)
        const offset = yield* Ref.get(server.clockOffset)
        assert.closeTo(offset, new Date().getTime() - now, 5_000)
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }
})

describe("F26 what the Date header teaches", () => {
  const learnt = (headers: Record<string, string>, status = 200) =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
      const client = { id: "app", auth: Client.post(Redacted.make("s")) }
      const source = yield* ClientCredentials.make({ server, client })
      yield* Effect.exit(source.get)
      return yield* Ref.get(server.clockOffset)
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" }, { headers, status })))))

  const cases: ReadonlyArray<readonly [string, Record<string, string>, number]> = [
    ["the same second", { date: "Thu, 01 Jan 1970 10:00:00 GMT" }, 0],
    ["the second before, which the rounding explains", { date: "Thu, 01 Jan 1970 09:59:59 GMT" }, 0],
    ["two seconds before", { date: "Thu, 01 Jan 1970 09:59:58 GMT" }, -1_500],
    ["an hour ahead", { date: "Thu, 01 Jan 1970 11:00:00 GMT" }, hour + 500],
    ["nothing out of a cache", { date: "Thu, 01 Jan 1970 11:00:00 GMT", age: "3600" }, 0],
    ["nothing from another notation", { date: "1970-01-01T11:00:00Z" }, 0],
    ["nothing from an obsolete one", { date: "Thu Jan  1 11:00:00 1970" }, 0],
    ["nothing from nonsense", { date: "now" }, 0],
    ["nothing from a month that is none", { date: "Thu, 01 Foo 1970 11:00:00 GMT" }, 0],
    ["nothing from day 0", { date: "Thu, 00 Feb 1970 11:00:00 GMT" }, 0],
    ["nothing from the 32nd", { date: "Thu, 32 Dec 1969 11:00:00 GMT" }, 0],
    ["nothing from hour 34", { date: "Thu, 31 Dec 1969 34:00:00 GMT" }, 0],
    ["nothing from minute 99", { date: "Thu, 01 Jan 1970 09:99:00 GMT" }, 0],
    ["nothing from second 99", { date: "Thu, 01 Jan 1970 11:00:99 GMT" }, 0],
    ["nearly a day", { date: "Fri, 02 Jan 1970 09:59:59 GMT" }, 24 * hour - 500],
    ["nothing above a day ahead", { date: "Fri, 02 Jan 1970 10:00:00 GMT" }, 0],
    ["nothing above a day behind", { date: "Wed, 31 Dec 1969 09:59:58 GMT" }, 0],
    ["nothing from the end of time", { date: "Fri, 31 Dec 9999 23:59:59 GMT" }, 0],
    ["nothing without one", {}, 0]
  ]
  for (const [name, headers, offset] of cases) {
    it.effect(name, () => Effect.map(learnt(headers), (found) => assert.strictEqual(found, offset)))
  }

  const statuses: ReadonlyArray<readonly [number, number]> = [
    [302, 0],
    [400, hour + 500],
    [401, hour + 500],
    [500, 0],
    [503, 0]
  ]
  for (const [status, offset] of statuses) {
    it.effect(`${offset === 0 ? "nothing" : "the time"} from status ${status}`, () =>
      Effect.map(
        learnt({ date: "Thu, 01 Jan 1970 11:00:00 GMT" }, status),
        (found) => assert.strictEqual(found, offset)
      ))
  }
})

const signing = Effect.map(
  Effect.promise(() =>
    crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"])
  ),
  (key) => ({ id: "app", auth: Client.privateKeyJwt({ key: key.privateKey }) })
)

it.effect("F26 a device login that signs is refused for its clock, and signs once more", () => {
  const headers = { date: new Date(10 * hour).toUTCString() }
  const calls: Array<Call> = []
  const started = json(
    { device_code: "d", user_code: "C", verification_uri: "https://idp.test/go" },
    { headers }
  )
  return Effect.gen(function*() {
    yield* TestClock.setTime(7 * hour)
    const server = yield* AuthorizationServer.make({
      tokenEndpoint: "https://idp.test/token",
      deviceAuthorizationEndpoint: "https://idp.test/device"
    })
    const device = yield* DeviceCode.make({ server, client: yield* signing })
    assert.strictEqual((yield* device.authorize).userCode, "C")
    assert.strictEqual(calls.length, 2)
  }).pipe(
    Effect.provide(serve(inTurn(json({ error: "invalid_client" }, { status: 401, headers }), started), calls))
  )
})

it.effect("F26 a client that signs is refused for its clock, learns the server's and signs once more", () => {
  const date = new Date(10 * hour).toUTCString()
  const refused = json({ error: "invalid_client" }, { status: 401, headers: { date } })
  const calls: Array<Call> = []
  return Effect.gen(function*() {
    const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
    const client = yield* signing
    yield* TestClock.setTime(7 * hour)
    const source = yield* ClientCredentials.make({ server, client })
    yield* source.get
    const issued = calls.map((call) => {
      const [, payload = ""] = call.form.get("client_assertion")?.split(".") ?? []
      return JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/"))).iat as number
    })
    assert.strictEqual(issued.length, 2)
    assert.closeTo(issued[0] ?? 0, 7 * 3600, 2)
    assert.closeTo(issued[1] ?? 0, 10 * 3600, 2)
    assert.strictEqual(yield* Ref.get(server.clockOffset), 3 * hour + 500)
    const again = yield* Effect.flip(source.get)
    assert.strictEqual(again.reason, "InvalidClient")
    assert.strictEqual(calls.length, 3)
  }).pipe(
    Effect.provide(serve(inTurn(refused, json({ access_token: "t" }, { headers: { date } }), refused), calls))
  )
})

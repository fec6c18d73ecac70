import { assert, describe, it } from "@effect/vitest"
import * as Fault from "effect-credentials/testing/Fault"
import * as Journal from "effect-credentials/testing/Journal"
import { VirtualIdentityProvider } from "effect-credentials/testing/VirtualIdentityProvider"
import * as Idp from "effect-credentials/testing/VirtualIdentityProvider"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import {
  basic,
  credentials,
  deviceGrant,
  get,
  issuer,
  poll,
  refresh,
  resource,
  startLogin,
  token
} from "./calls.js"

/** One request of each kind, some of them bad. */
const script = Effect.gen(function*() {
  yield* get(`${issuer}/.well-known/openid-configuration`)
  const service = yield* credentials
  yield* TestClock.adjust("1 second")
  const login = yield* startLogin({ scope: "a" })
  yield* poll(login.body["device_code"])
  yield* (yield* VirtualIdentityProvider).approve(String(login.body["user_code"]))
  const first = yield* poll(login.body["device_code"])
  const second = yield* refresh(first.body["refresh_token"])
  yield* resource(second.body["access_token"])
  yield* refresh(first.body["refresh_token"])
  yield* resource(second.body["access_token"])
  return { service, login, first, second }
})

const rows = Effect.flatMap(
  VirtualIdentityProvider,
  (idp) =>
    Effect.map(idp.journal, (entries) =>
      entries.map((
        entry
      ) => [entry.index, entry.at, entry.endpoint, entry.client, entry.action, entry.error]))
)

describe("Journal", () => {
  it.effect("tells every request in order", () =>
    Effect.gen(function*() {
      yield* script
      assert.deepStrictEqual(yield* rows, [
        [0, 0, "discovery", undefined, "Served", undefined],
        [1, 0, "token", "service", "Issued", undefined],
        [2, 1000, "device_authorization", "app", "LoginStarted", undefined],
        [3, 1000, "token", "app", "Waiting", "authorization_pending"],
        [4, 1000, "token", "app", "LoggedIn", undefined],
        [5, 1000, "token", "app", "Redeemed", undefined],
        [6, 1000, "resource", undefined, "Served", undefined],
        [7, 1000, "token", "app", "Reused", "invalid_grant"],
        [8, 1000, "resource", undefined, "Refused", "invalid_token"]
      ])
      assert.deepStrictEqual(yield* (yield* VirtualIdentityProvider).counts, {
        requests: 9,
        tokenRequests: 5,
        resourceCalls: 2,
        issued: 1,
        loginsStarted: 1,
        codes: 0,
        logins: 1,
        registrations: 0,
        redemptions: 1,
        replays: 0,
        reuses: 1
      })
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("holds no secret, and tells refresh tokens apart by their fingerprints", () =>
    Effect.gen(function*() {
      const { first, login, second, service } = yield* script
      const entries = yield* (yield* VirtualIdentityProvider).journal
      const text = JSON.stringify(entries)
      const secrets = [service, login, first, second].flatMap(({ body }) =>
        ["access_token", "refresh_token", "device_code", "user_code"].map((name) => body[name])
      ).filter((value) => value !== undefined)
      assert.strictEqual(secrets.length, 7)
      for (const secret of secrets) assert.notInclude(text, String(secret))
      assert.notInclude(text, "service-secret")
      const presented = entries.map(({ refreshToken }) => refreshToken).filter((print) => print !== undefined)
      const print = Journal.fingerprint(String(first.body["refresh_token"]))
      assert.deepStrictEqual(presented, [print, print])
      assert.notStrictEqual(print, Journal.fingerprint(String(second.body["refresh_token"])))
      assert.match(print, /^[0-9a-f]{8}$/)
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("names no client and no grant type that the provider doesn't know", () =>
    Effect.gen(function*() {
      yield* token({ grant_type: "hunter2", client_id: "app" })
      yield* token({ grant_type: deviceGrant }, basic("hunter2", "hunter2"))
      const entries = yield* (yield* VirtualIdentityProvider).journal
      assert.notInclude(JSON.stringify(entries), "hunter2")
      assert.deepStrictEqual(entries.map(({ client, grantType }) => [client, grantType]), [
        ["app", "unknown"],
        [undefined, deviceGrant]
      ])
    }).pipe(Effect.provide(Idp.layer())))

  it.effect("keeps the newest, and the counts go on", () =>
    Effect.gen(function*() {
      const idp = yield* VirtualIdentityProvider
      yield* Effect.replicateEffect(credentials, 5)
      assert.deepStrictEqual((yield* idp.journal).map(({ index }) => index), [3, 4])
      assert.strictEqual((yield* idp.counts).issued, 5)
    }).pipe(Effect.provide(Idp.layer({ journalLimit: 2 }))))

  it.effect("an entry that has gone is not brought back by its answer", () =>
    Effect.gen(function*() {
      const idp = yield* VirtualIdentityProvider
      yield* idp.inject(Fault.slow("1 minute"), { times: 1 })
      const fiber = yield* Effect.fork(credentials)
      yield* TestClock.adjust("1 second")
      yield* Effect.replicateEffect(credentials, 2)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* fiber.await)._tag, "Success")
      assert.deepStrictEqual((yield* idp.journal).map(({ index }) => index), [1, 2])
    }).pipe(Effect.provide(Idp.layer({ journalLimit: 2 }))))
})

/** What is bound to one key, and how often a login asks because of it. */
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { bound, demand, proofsIn } from "./dpopKit.js"
import { json, serve } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const explicit = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token",
  deviceAuthorizationEndpoint: "https://idp.test/device"
})

/** Moves the clock on until it is over, however long the signing takes. */
const waited = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.raceFirst(
    Effect.flatMap(Effect.fork(effect), Fiber.join),
    Effect.forever(TestClock.adjust("1 second"))
  )

describe("a device login", () => {
  const started = { device_code: "d", user_code: "u", verification_uri: "https://idp.test/go", interval: 1 }

  const login = (poll: Handler, options: Partial<DeviceCode.Options> = {}) =>
    Effect.gen(function*() {
      const polls: Array<Call> = []
      const layer = serve((call) => {
        if (call.url.endsWith("/device")) return Effect.sync(json(started))
        polls.push(call)
        return poll(call)
      })
      const device = yield* Effect.provide(
        DeviceCode.make({ server: yield* explicit, client: { id: "app" }, dpop: true, ...options }),
        layer
      )
      return { device, polls }
    })

  const pending = json({ error: "authorization_pending" }, { status: 400 })

  it.effect("proves the same key with each poll, and another one with the next login", () =>
    Effect.gen(function*() {
      let left = 0
      const { device, polls } = yield* login(() => Effect.sync(() => left-- > 0 ? pending() : bound()()))
      const keys = new Set<string>()
      for (const _ of [1, 2]) {
        left = 3
        polls.length = 0
        const { token } = yield* waited(device.login(() => Effect.void))
        const proofs = yield* proofsIn(polls)
        assert.strictEqual(proofs.length, 4)
        const jkt = yield* Dpop.thumbprint(token.proofKey ?? Redacted.make(""))
        assert.deepStrictEqual([...new Set(proofs.map((proof) => proof.jkt))], [jkt])
        keys.add(jkt)
      }
      assert.strictEqual(keys.size, 2)
    }))

  it.effect("has the key with what it polls with, so that another process can go on", () =>
    Effect.gen(function*() {
      const { device } = yield* login(() => Effect.sync(pending))
      const authorization = yield* device.authorize
      assert.isDefined(authorization.proofKey)
      const other = yield* login(() => Effect.sync(bound()), { dpop: undefined })
      const { token } = yield* waited(other.device.poll(authorization))
      assert.strictEqual(token.proofKey, authorization.proofKey)
    }))

  it.effect("has none where tokens aren't bound", () =>
    Effect.gen(function*() {
      const { device } = yield* login(() => Effect.sync(pending), { dpop: false })
      assert.isUndefined((yield* device.authorize).proofKey)
    }))
})

it.effect("one exchange asks once more for the clock and once for a nonce, and its time limit counts that", () =>
  Effect.gen(function*() {
    const jwk = {
      kty: "OKP",
      crv: "Ed25519",
      d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
      x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    }
    const codes = [
      "invalid_client",
      "use_dpop_nonce",
      "invalid_client",
      "invalid_dpop_proof",
      "invalid_client"
    ]
    const calls: Array<Call> = []
    const contrary: Handler = () =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const answer = demand(`n-${calls.length}`)()
        const date = new Date(now + calls.length * 3_600_000).toUTCString()
        const headers = { date, "dpop-nonce": answer.headers.get("dpop-nonce") ?? "" }
        return json({ error: codes[calls.length - 1] ?? "invalid_client" }, { status: 400, headers })()
      })
    const source = yield* Effect.provide(
      ClientCredentials.make({
        server: yield* explicit,
        client: { id: "app", auth: Client.privateKeyJwt({ key: Redacted.make(jwk) }) },
        dpop: true
      }),
      serve(contrary, calls)
    )
    yield* Effect.flip(source.get)
    assert.strictEqual(calls.length, 3)
    // 20 seconds for the metadata, and 15 for each request.
    assert.strictEqual(Duration.toSeconds(source.timeLimit), 20 + 3 * 15)
  }))

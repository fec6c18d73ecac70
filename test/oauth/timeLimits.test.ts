/** What may rightly take how long: each part as slow as it may be, each request sent as often as it may be. */
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as OAuthSource from "effect-credentials/manager/OAuthSource"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as TokenExchange from "effect-credentials/oauth/TokenExchange"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import type { Call, Handler } from "./kit.js"
import { inTurn, json, serve } from "./kit.js"

const server = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token"
})

const signing = {
  id: "app",
  auth: Client.privateKeyJwt({
    key: Redacted.make({
      kty: "OKP",
      crv: "Ed25519",
      d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
      x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    })
  })
}

/** A place where time passes only while somebody waits for it: what is really asynchronous takes none. */
const place = () => {
  let waiting = 0
  const slow = (millis: number) =>
    Effect.acquireUseRelease(
      Effect.sync(() => waiting++),
      () => Effect.sleep(millis),
      () => Effect.sync(() => waiting--)
    )
  /** Runs it, and tells how many milliseconds it took. */
  const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const start = yield* Clock.currentTimeMillis
      const fiber = yield* Effect.fork(
        Effect.zip(Effect.exit(self), Clock.currentTimeMillis)
      )
      while (fiber.unsafePoll() === null) {
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
        if (waiting > 0) yield* TestClock.adjust("1 second")
      }
      const [exit, end] = yield* Fiber.join(fiber)
      return { exit, took: end - start }
    })
  return { slow, timed }
}

/** As slow as it may be: one more millisecond, and it would be given up. */
const almost = (seconds: number) => seconds * 1000 - 1

/** Each answer takes almost as long as a request may. */
const slowly =
  (handler: Handler, slow: (millis: number) => Effect.Effect<void>, seconds: number): Handler => (call) =>
    Effect.zipRight(slow(almost(seconds)), handler(call))

const refuse = (code: string) => json({ error: code }, { status: 400 })

/** A refusal that tells that the clocks differ, and one that tells a nonce. */
const late = (hours: number) => (): Response =>
  Response.json({ error: "invalid_client" }, {
    status: 400,
    headers: { date: new Date(hours * 3_600_000).toUTCString() }
  })
const demand = (nonce: string) =>
  json({ error: "use_dpop_nonce" }, { status: 400, headers: { "dpop-nonce": nonce } })

describe("a token exchange", () => {
  /** A source that takes almost ten seconds for each token. */
  const given = (name: string, slow: (millis: number) => Effect.Effect<void>) =>
    TokenSource.make({
      name,
      timeLimit: Duration.seconds(10),
      request: () => Effect.as(slow(almost(10)), Token.make({ value: Redacted.make(name) }))
    })

  const setting = (...answers: ReadonlyArray<() => Response>) => {
    const { slow, timed } = place()
    const calls: Array<Call> = []
    const layer = serve(slowly(inTurn(...answers), slow, 15), calls)
    const options = Effect.map(server, (server) => ({
      server,
      client: { id: "app" },
      subject: given("subject", slow),
      actor: given("actor", slow)
    }))
    return { calls, layer, options, timed }
  }

  const twice = 2 * (almost(10) + almost(10) + almost(15))

  it.effect("whose subject is refused is tried with another one within the login's time limit", () => {
    const { calls, layer, options, timed } = setting(refuse("invalid_grant"), json({ access_token: "t" }))
    return Effect.gen(function*() {
      const { login, timeLimit } = yield* TokenExchange.makeLogin(yield* options)
      const { exit, took } = yield* timed(login)
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(calls.length, 2)
      assert.strictEqual(took, twice)
      assert.isAtLeast(Duration.toMillis(timeLimit), twice)
      assert.strictEqual(Duration.toSeconds(timeLimit), 2 * (10 + 10 + 20 + 15))
    }).pipe(Effect.provide(layer))
  })

  it.scoped("and a cache over the source leaves it that time", () => {
    const { calls, layer, options, timed } = setting(refuse("invalid_token"), json({ access_token: "t" }))
    return Effect.gen(function*() {
      const source = yield* TokenExchange.make(yield* options)
      assert.strictEqual(Duration.toSeconds(source.timeLimit), 2 * (10 + 10 + 20 + 15))
      const cached = yield* TokenCache.cached(Effect.succeed(source))
      const { exit } = yield* timed(cached.get)
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(calls.length, 2)
    }).pipe(Effect.provide([RefreshScheduler.layer, layer]))
  })

  it.effect("that is refused for the clock and for a nonce too is within it all the same", () => {
    const { calls, layer, options, timed } = setting(
      late(3),
      demand("n1"),
      refuse("invalid_grant"),
      demand("n2"),
      late(9),
      json({ access_token: "t", token_type: "DPoP" })
    )
    return Effect.gen(function*() {
      const login = yield* TokenExchange.makeLogin({ ...yield* options, client: signing, dpop: true })
      const { exit, took } = yield* timed(login.login)
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(calls.length, 6)
      assert.isAtLeast(took, 6 * almost(15) + 4 * almost(10))
      assert.isAtMost(took, Duration.toMillis(login.timeLimit))
    }).pipe(Effect.provide(layer))
  })
})

describe("a renewal", () => {
  const grantOf = (proofKey: Redacted.Redacted<string> | undefined) =>
    Grant.make({
      token: Token.make({ value: Redacted.make("old"), type: "DPoP", proofKey }),
      refreshToken: Redacted.make("refresh-0")
    })

  it.effect("of a bound grant may take longer, though nothing is said of keys", () => {
    const { slow, timed } = place()
    const calls: Array<Call> = []
    const answers = inTurn(late(3), demand("n1"), json({ access_token: "new", token_type: "DPoP" }))
    /** The request that only looks for a nonce has a limit of its own. */
    const handler: Handler = (call) =>
      call.form.get("refresh_token") === "refresh-0"
        ? slowly(answers, slow, 30)(call)
        : Effect.as(slow(almost(10)), refuse("invalid_grant")())
    return Effect.gen(function*() {
      const options = { server: yield* server, client: signing }
      const redeem = yield* RefreshToken.make(options)
      const grant = grantOf(yield* Dpop.generate())
      const { exit, took } = yield* timed(redeem(grant))
      assert.strictEqual(exit._tag, "Success")
      assert.deepStrictEqual(
        calls.map(({ form }) => form.get("refresh_token") === "refresh-0"),
        [false, true, true, true]
      )
      assert.isAtLeast(took, almost(10) + 3 * almost(30))
      assert.isAtMost(took, Duration.toMillis(RefreshToken.timeLimit(options, grant)))
    }).pipe(Effect.provide(serve(handler, calls)))
  })

  /** A stored grant that is bound to a key, at a server that is as slow as it may be and demands one more nonce. */
  const stored = (options: Partial<OAuthSource.Options>) => {
    const { slow, timed } = place()
    const answers = inTurn(demand("n1"), json({ access_token: "new", token_type: "DPoP", expires_in: 3600 }))
    const handler: Handler = (call) =>
      call.form.get("refresh_token") === "refresh-0"
        ? slowly(answers, slow, 30)(call)
        : Effect.as(slow(almost(10)), refuse("invalid_grant")())
    const renewal = Effect.gen(function*() {
      const refresh = { server: yield* server, client: { id: "app" } }
      yield* Persisted.save(yield* OAuthSource.keyOf(refresh), grantOf(yield* Dpop.generate()))
      const source = yield* OAuthSource.make({ ...options, refresh })
      return yield* timed(source.request({ refresh: true }))
    })
    return Effect.provide(renewal, [MemoryVault.layer, RefreshScheduler.layer, serve(handler)])
  }

  it.scoped("has its time under a source that stores grants: an answer that comes in time is not lost", () =>
    Effect.gen(function*() {
      const { exit, took } = yield* stored({})
      assert.strictEqual(exit._tag, "Success")
      assert.isAtLeast(took, almost(10) + 2 * almost(30))
    }))

  it.scoped("has no more than the deadline that is given", () =>
    Effect.gen(function*() {
      const { exit, took } = yield* stored({ deadline: "1 minute" })
      assert.strictEqual(exit._tag, "Failure")
      assert.strictEqual(took, 60_000)
    }))

  it.effect("may take as long as its requests and what comes before them", () =>
    Effect.gen(function*() {
      const key = yield* Dpop.generate()
      const shared = { server: yield* server, client: { id: "app" } }
      const seconds = (options: Partial<RefreshToken.Options>, grant?: Grant.Grant) =>
        Duration.toSeconds(RefreshToken.timeLimit({ ...shared, ...options }, grant))
      assert.strictEqual(seconds({}, grantOf(undefined)), 20 + 30)
      assert.strictEqual(seconds({ client: signing }, grantOf(undefined)), 20 + 2 * 30)
      assert.strictEqual(seconds({}, grantOf(key)), 20 + 10 + 3 * 30)
      assert.strictEqual(seconds({ dpop: true }, grantOf(undefined)), 20 + 10 + 3 * 30)
      assert.strictEqual(seconds({}), 20 + 10 + 3 * 30, "of any grant")
      assert.strictEqual(seconds({ dpop: key, client: signing }, grantOf(key)), 20 + 10 + 3 * 30)
      assert.strictEqual(seconds({ requestTimeLimit: "5 seconds" }, grantOf(key)), 20 + 5 + 3 * 5)
      assert.strictEqual(seconds({ requestTimeLimit: "1 minute" }, grantOf(undefined)), 60 + 60)
    }))
})

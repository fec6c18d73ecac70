import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as OidcProvider from "../support/OidcProvider.js"
import { inTurn, json, serve, text } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const explicit = AuthorizationServer.make({
  tokenEndpoint: "https://idp.test/token",
  deviceAuthorizationEndpoint: "https://idp.test/device"
})

const authorization = (fields: Record<string, unknown> = {}) => ({
  device_code: "hush-device-code",
  user_code: "WDJB-MJHT",
  verification_uri: "https://idp.test/go",
  expires_in: 600,
  interval: 5,
  ...fields
})

const pending = json({ error: "authorization_pending" }, { status: 400 })
const slowDown = json({ error: "slow_down" }, { status: 400 })
const granted = json({ access_token: "granted", refresh_token: "r1" })

/** The first request starts, the others poll; each with the second at which it came. */
const serving = (start: unknown, poll: Handler) => {
  const calls: Array<Call & { readonly at: number }> = []
  const layer = serve((call) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      calls.push({ ...call, at: at / 1000 })
      return call.url.endsWith("/device") ? Effect.sync(() => Response.json(start)) : poll(call)
    })
  )
  const make = (options: Partial<DeviceCode.Options> = {}) =>
    Effect.flatMap(explicit, (server) => DeviceCode.make({ server, client: { id: "app" }, ...options })).pipe(
      Effect.provide(layer)
    )
  const polls = () => calls.slice(1).map((call) => call.at)
  return { calls, make, polls }
}

const run = (start: unknown, poll: Handler, during: Duration.DurationInput = "1 hour") =>
  Effect.gen(function*() {
    const { make, polls } = serving(start, poll)
    const device = yield* make()
    const events: Array<DeviceCode.Event> = []
    const login = device.login((event) => Effect.sync(() => events.push(event)))
    const fiber = yield* Effect.fork(Effect.exit(login))
    yield* TestClock.adjust(during)
    const exit = fiber.unsafePoll() === null ? undefined : yield* Fiber.join(fiber)
    return { events, exit, polls: polls(), tags: events.map((event) => event._tag) }
  })

const failure = (result: Effect.Effect.Success<ReturnType<typeof run>>) => {
  if (result.exit?._tag !== "Failure" || result.exit.cause._tag !== "Fail") throw new Error("it did not fail")
  return result.exit.cause.error
}

describe("with a real provider", () => {
  const setup = (scopes: ReadonlyArray<string>, options: OidcProvider.Options = {}) =>
    Effect.gen(function*() {
      // The provider's clock, by which its ID tokens are dated.
      yield* TestClock.setTime(Date.now())
      const idp = yield* OidcProvider.make(options)
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      return { device: yield* DeviceCode.make({ server, client: { id: "device" }, scopes }), idp }
    })

  it.scoped("waits until the person has approved", () =>
    Effect.gen(function*() {
      const { device, idp } = yield* setup(["openid", "offline_access", "read"])
      const started = yield* device.authorize
      assert.strictEqual(started.verificationUri, `${idp.issuer}/device`)
      assert.strictEqual(Duration.toSeconds(started.interval), 5)
      const events: Array<string> = []
      const fiber = yield* Effect.fork(
        device.poll(started, ({ _tag }) => Effect.sync(() => events.push(_tag)))
      )
      yield* TestClock.adjust("5 seconds")
      yield* waitUntil(() => events.length === 1)
      assert.match(yield* idp.approve(started.verificationUriComplete ?? ""), /Sign-in Success/)
      yield* TestClock.adjust("5 seconds")
      const grant = yield* Fiber.join(fiber)
      assert.deepStrictEqual(events, ["Pending", "Approved"])
      assert.deepStrictEqual(grant.token.scopes, ["openid", "offline_access", "read"])
      assert.isDefined(grant.refreshToken)
      assert.isDefined(grant.idToken)
      const known = yield* Effect.promise(() =>
        idp.provider.AccessToken.find(Redacted.value(grant.token.value))
      )
      assert.strictEqual(known?.accountId, "alice")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scoped("ends when the person aborts", () =>
    Effect.gen(function*() {
      const { device, idp } = yield* setup(["openid"])
      const started = yield* device.authorize
      yield* idp.deny(started.verificationUriComplete ?? "")
      const fiber = yield* Effect.fork(Effect.flip(device.poll(started)))
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "AccessDenied"])
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scoped("ends when the provider says that the code is too old", () =>
    Effect.gen(function*() {
      const { device, idp } = yield* setup(["openid"], { deviceCodeLifetime: 1 })
      const started = yield* device.authorize
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2_100)))
      const later = { ...started, expiresAt: Infinity }
      const fiber = yield* Effect.fork(Effect.flip(device.poll(later)))
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "LoginExpired"])
      assert.strictEqual(idp.requests.filter((request) => request.path === "/token").length, 1)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

const waitUntil = (condition: () => boolean): Effect.Effect<void> =>
  Effect.promise(async () => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
  })

describe("when it polls", () => {
  it.effect("first after the interval, then at each interval", () =>
    Effect.gen(function*() {
      const { polls, tags } = yield* run(authorization(), inTurn(pending, pending, granted))
      assert.deepStrictEqual(polls, [5, 10, 15])
      assert.deepStrictEqual(tags, ["Prompt", "Pending", "Pending", "Approved"])
    }))

  it.effect("slow_down adds five seconds for good, each time", () =>
    Effect.gen(function*() {
      const { events, polls } = yield* run(
        authorization(),
        inTurn(pending, slowDown, pending, slowDown, pending, pending, granted)
      )
      assert.deepStrictEqual(polls, [5, 10, 20, 30, 45, 60, 75])
      assert.deepStrictEqual(
        events.flatMap((event) => event._tag === "SlowedDown" ? [Duration.toSeconds(event.interval)] : []),
        [10, 15]
      )
    }))

  const intervals: ReadonlyArray<readonly [string, unknown, number]> = [
    ["missing", undefined, 5],
    ["null", null, 5],
    ["zero", 0, 1],
    ["a fraction", 0.2, 1],
    ["one", 1, 1],
    ["large", 30, 30],
    ["text", "7", 7],
    ["negative", -3, 5],
    ["nonsense", "often", 5],
    ["a list", [3], 5],
    ["huge", 1e300, 300],
    ["an hour", 3600, 300]
  ]
  for (const [name, interval, seconds] of intervals) {
    it.effect(`an interval that is ${name} counts as ${seconds} s`, () =>
      Effect.gen(function*() {
        const { polls } = yield* run(authorization({ interval, expires_in: 1200 }), inTurn(pending, granted))
        assert.deepStrictEqual(polls, [seconds, 2 * seconds])
      }))
  }

  it.effect("NaN can't be written in JSON, but what stands for it can", () =>
    Effect.gen(function*() {
      const { polls } = yield* run(authorization({ interval: "NaN" }), inTurn(pending, granted))
      assert.deepStrictEqual(polls, [5, 10])
    }))

  const lifetimes: ReadonlyArray<readonly [string, unknown, number]> = [
    ["one interval", 50, 1],
    ["exactly two intervals", 100, 2],
    ["a second more", 101, 2],
    ["a little more than that", 101.001, 3],
    ["missing", undefined, 12],
    ["zero", 0, 12],
    ["negative", -5, 12],
    ["nonsense", "soon", 12],
    ["text", "200", 4]
  ]
  for (const [name, expires_in, count] of lifetimes) {
    it.effect(`with a lifetime that is ${name} it polls ${count} times`, () =>
      Effect.gen(function*() {
        const result = yield* run(authorization({ expires_in, interval: 50 }), inTurn(pending))
        assert.strictEqual(result.polls.length, count)
        const error = failure(result)
        assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "LoginExpired"])
      }))
  }
})

describe("what ends it", () => {
  const cases: ReadonlyArray<readonly [string, string, string]> = [
    ["access_denied", "ReauthRequired", "AccessDenied"],
    ["authorization_declined", "ReauthRequired", "AccessDenied"],
    ["expired_token", "ReauthRequired", "LoginExpired"],
    ["invalid_grant", "ReauthRequired", "GrantRejected"],
    ["invalid_client", "Misconfigured", "InvalidClient"],
    ["unsupported_grant_type", "Misconfigured", "UnsupportedGrant"],
    ["invalid_scope", "RequestRejected", "InvalidScope"],
    ["something_else", "RequestRejected", "InvalidRequest"]
  ]
  for (const [code, tag, reason] of cases) {
    for (const status of [200, 400, 401, 403]) {
      it.effect(`${code} with status ${status}`, () =>
        Effect.gen(function*() {
          const result = yield* run(authorization(), inTurn(pending, json({ error: code }, { status })))
          const error = failure(result)
          assert.deepStrictEqual([error._tag, error.reason], [tag, reason])
          assert.deepStrictEqual(result.polls, [5, 10])
        }))
    }
  }
})

describe("a start that is refused", () => {
  const cases: ReadonlyArray<readonly [string, Record<string, unknown>]> = [
    ["no device code", { device_code: undefined }],
    ["an empty device code", { device_code: "" }],
    ["a device code with a line break", { device_code: "a\nb" }],
    ["no user code", { user_code: null }],
    ["a user code that moves the cursor", { user_code: "\u001b[2J" }],
    ["an endless user code", { user_code: "x".repeat(65) }],
    ["no address", { verification_uri: undefined }],
    ["an address that is a script", { verification_uri: "javascript:alert(1)" }],
    ["an address that looks like another", { verification_uri: "https://bank.test@evil.test/" }],
    ["an address that is a file", { verification_uri: "file:///etc/passwd" }],
    ["an address that is none", { verification_uri: "idp.test/go" }],
    ["an endless address", { verification_uri: `https://idp.test/${"x".repeat(3000)}` }]
  ]
  for (const [name, fields] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const result = yield* run(authorization(fields), inTurn(granted))
        const error = failure(result)
        assert.deepStrictEqual([error._tag, error.reason], ["TransientFailure", "MalformedAnswer"])
        assert.deepStrictEqual(result.polls, [])
      }))
  }

  it.effect("a complete address that is a script is left out", () =>
    Effect.gen(function*() {
      const { make } = serving(
        authorization({ verification_uri_complete: "javascript:alert(1)" }),
        inTurn(granted)
      )
      const started = yield* Effect.flatMap(make(), (device) => device.authorize)
      assert.isUndefined(started.verificationUriComplete)
    }))

  it.effect("addresses come in their encoded form", () =>
    Effect.gen(function*() {
      const { make } = serving(
        authorization({
          verification_uri: "https://idp.test/\u001b[31m",
          verification_uri_complete: "https://IDP.test/\u202e?a=\u0007b"
        }),
        inTurn(granted)
      )
      const started = yield* Effect.flatMap(make(), (device) => device.authorize)
      assert.strictEqual(started.verificationUri, "https://idp.test/%1B[31m")
      assert.strictEqual(started.verificationUriComplete, "https://idp.test/%E2%80%AE?a=%07b")
    }))

  it.effect("an address that is endless once it is encoded", () =>
    Effect.gen(function*() {
      const start = authorization({ verification_uri: `https://idp.test/${"é".repeat(1000)}` })
      const { make } = serving(start, inTurn(granted))
      const error = yield* Effect.flip(Effect.flatMap(make(), (device) => device.authorize))
      assert.strictEqual(error.reason, "MalformedAnswer")
    }))

  it.effect("the older name of the address is known", () =>
    Effect.gen(function*() {
      const { make } = serving(
        authorization({ verification_uri: undefined, verification_url: "https://idp.test/old" }),
        inTurn(granted)
      )
      const started = yield* Effect.flatMap(make(), (device) => device.authorize)
      assert.strictEqual(started.verificationUri, "https://idp.test/old")
    }))

  it.effect("a server without the endpoint", () =>
    Effect.gen(function*() {
      const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
      const device = yield* DeviceCode.make({ server, client: { id: "app" } })
      const error = yield* Effect.flip(device.authorize)
      assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "UnsupportedGrant"])
    }).pipe(Effect.provide(serve(inTurn(text(""))))))
})

describe("what is sent", () => {
  it.effect("scopes, resource and parameters", () =>
    Effect.gen(function*() {
      const { calls, make } = serving(authorization(), inTurn(granted))
      const device = yield* make({
        scopes: ["a", "b"],
        resource: ["https://one.test", "https://two.test"],
        parameters: { tenant: "t" },
        authorizationParameters: { tenant: "s" }
      })
      const fiber = yield* Effect.fork(device.login(() => Effect.void))
      yield* TestClock.adjust("5 seconds")
      const grant = yield* Fiber.join(fiber)
      const [start, poll] = calls.map((call) => [...call.form].sort())
      const resources = [["resource", "https://one.test"], ["resource", "https://two.test"]]
      assert.deepStrictEqual(start, [["client_id", "app"], ...resources, ["scope", "a b"], ["tenant", "s"]])
      assert.deepStrictEqual(poll, [
        ["client_id", "app"],
        ["device_code", "hush-device-code"],
        ["grant_type", "urn:ietf:params:oauth:grant-type:device_code"],
        ...resources,
        ["tenant", "t"]
      ])
      assert.deepStrictEqual(grant.extra, { resource: "https://one.test https://two.test" })
      const redeem = yield* Effect.provide(
        RefreshToken.make({ server: yield* explicit, client: { id: "app" } }),
        serve(inTurn(granted), calls as Array<Call>)
      )
      yield* redeem(grant)
      assert.deepStrictEqual(calls.at(-1)?.form.getAll("resource"), ["https://one.test", "https://two.test"])
    }))

  it.effect("an empty list of resources is none, now and later", () =>
    Effect.gen(function*() {
      const { calls, make } = serving(authorization(), inTurn(granted))
      const device = yield* make({ resource: [] })
      const fiber = yield* Effect.fork(device.login(() => Effect.void))
      yield* TestClock.adjust("5 seconds")
      const grant = yield* Fiber.join(fiber)
      assert.deepStrictEqual(grant.extra, {})
      const redeem = yield* Effect.provide(
        RefreshToken.make({ server: yield* explicit, client: { id: "app" } }),
        serve(inTurn(granted), calls as Array<Call>)
      )
      yield* redeem({ ...grant, extra: { resource: "" } })
      assert.isFalse(calls.some((call) => call.form.has("resource")))
    }))

  const refused: ReadonlyArray<readonly [string, Partial<DeviceCode.Options>]> = [
    ["a resource with a space", { resource: ["https://one.test/a b"] }],
    ["a resource with a line break", { resource: "https://one.test\n" }],
    ["an empty resource", { resource: ["https://one.test", ""] }],
    ["endless resources", { resource: Array.from({ length: 100 }, () => `https://${"x".repeat(100)}.test`) }],
    ["a device code among the parameters", { parameters: { device_code: "other" } }],
    ["a scope among the parameters of the start", { authorizationParameters: { scope: "admin" } }]
  ]
  for (const [name, options] of refused) {
    it.effect(`nothing with ${name}`, () =>
      Effect.gen(function*() {
        const { make } = serving(authorization(), inTurn(granted))
        const error = yield* Effect.flip(make(options))
        assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidOption"])
      }))
  }

  it.effect("PKCE ties the poll to the start", () =>
    Effect.gen(function*() {
      const { calls, make } = serving(authorization(), inTurn(granted))
      const device = yield* make({ pkce: true })
      const started = yield* device.authorize
      const fiber = yield* Effect.fork(device.poll(started))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
      const [start, poll] = calls.map((call) => call.form)
      const verifier = poll?.get("code_verifier") ?? ""
      const digest = yield* Effect.promise(() =>
        crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))
      )
      assert.isAtLeast(verifier.length, 43)
      assert.strictEqual(start?.get("code_challenge_method"), "S256")
      assert.strictEqual(start?.get("code_challenge"), Buffer.from(digest).toString("base64url"))
    }))
})

describe("events as a stream", () => {
  it.effect("end with the grant", () =>
    Effect.gen(function*() {
      const { make } = serving(authorization(), inTurn(pending, granted))
      const device = yield* make()
      const fiber = yield* Effect.fork(Stream.runCollect(device.events))
      yield* TestClock.adjust("10 seconds")
      const events = Chunk.toReadonlyArray(yield* Fiber.join(fiber))
      assert.deepStrictEqual(events.map((event) => event._tag), ["Prompt", "Pending", "Approved"])
      const last = events.at(-1)
      assert.strictEqual(
        last?._tag === "Approved" ? Redacted.value(last.grant.token.value) : undefined,
        "granted"
      )
    }))

  it.effect("fail as the login does", () =>
    Effect.gen(function*() {
      const { make } = serving(authorization(), inTurn(json({ error: "access_denied" }, { status: 400 })))
      const device = yield* make()
      const fiber = yield* Effect.fork(Effect.flip(Stream.runDrain(device.events)))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).reason, "AccessDenied")
    }))

  it.effect("stop the login when nobody reads on", () =>
    Effect.gen(function*() {
      const { make, polls } = serving(authorization(), inTurn(pending))
      const device = yield* make()
      const first = yield* Stream.runCollect(Stream.take(device.events, 1))
      assert.strictEqual(first.length, 1)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(polls(), [])
    }))
})

describe("interruption", () => {
  const moments = ["0 seconds", "3 seconds", "5 seconds", "7 seconds"] as const
  for (const moment of moments) {
    it.effect(`after ${moment} ends the polling at once`, () =>
      Effect.gen(function*() {
        let aborted = 0
        const hanging: Handler = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => aborted++))
        const { make, polls } = serving(authorization(), hanging)
        const device = yield* make()
        const fiber = yield* Effect.fork(device.login(() => Effect.void))
        yield* TestClock.adjust(moment)
        yield* Fiber.interrupt(fiber)
        const count = polls().length
        assert.strictEqual(aborted, count)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(polls().length, count)
      }))
  }
})

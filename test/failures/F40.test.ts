/** `resource` and `audience`: kept with the grant, said again at each renewal, and left out where a server fails over it. */
import type * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import type * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as CustomGrant from "effect-credentials/oauth/CustomGrant"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import type { Dialect } from "effect-credentials/oauth/Dialect"
import * as JwtBearer from "effect-credentials/oauth/JwtBearer"
import * as Password from "effect-credentials/oauth/Password"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import type * as TokenEndpoint from "effect-credentials/oauth/TokenEndpoint"
import * as TokenExchange from "effect-credentials/oauth/TokenExchange"
import type { TokenError } from "effect-credentials/TokenError"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { json, serve } from "../oauth/kit.js"
import type { Call } from "../oauth/kit.js"

interface Options extends TokenEndpoint.Options {
  readonly resource?: string | ReadonlyArray<string> | undefined
  readonly audience?: string | undefined
}

type Login = (options: Options) => Effect.Effect<Grant.Grant, TokenError, HttpClient.HttpClient>

const given = Effect.succeed(Redacted.make("given"))

/** Every login whose grant may hold a refresh token. */
const logins: Readonly<Record<string, Login>> = {
  "a device login": (options) =>
    Effect.gen(function*() {
      const device = yield* DeviceCode.make(options)
      const fiber = yield* Effect.fork(device.login(() => Effect.void))
      yield* TestClock.adjust("1 second")
      return yield* Fiber.join(fiber)
    }),
  "a password": (options) =>
    Effect.flatMap(
      Password.makeLogin({ ...options, username: "al", password: Redacted.make("x") }),
      ({ login }) => login
    ),
  "an assertion": (options) =>
    Effect.flatMap(JwtBearer.makeLogin({ ...options, assertion: given }), ({ login }) => login),
  "an exchange": (options) =>
    Effect.flatMap(TokenExchange.makeLogin({ ...options, subject: given }), ({ login }) => login),
  "a custom grant": (options) =>
    Effect.flatMap(CustomGrant.makeLogin({ ...options, grantType: "own", fields: {} }), ({ login }) => login)
}

const answer = (call: Call) =>
  call.url.endsWith("/device")
    ? json({
      device_code: "d",
      user_code: "U",
      verification_uri: "https://idp.test/go",
      interval: 1,
      expires_in: 60
    })
    : json({ access_token: "t", refresh_token: "r" })

const targetOf = ({ form }: Call) => ({
  resource: form.getAll("resource"),
  audience: form.getAll("audience")
})

/** Logs in, renews twice, and tells who the token was asked for each time. */
const run = (login: Login, target: Partial<Options>, dialect?: Dialect) => {
  const calls: Array<Call> = []
  return Effect.gen(function*() {
    const server = yield* AuthorizationServer.make({
      tokenEndpoint: "https://idp.test/token",
      deviceAuthorizationEndpoint: "https://idp.test/device"
    })
    const shared = { server, client: { id: "app" }, dialect }
    const redeem = yield* RefreshToken.make(shared)
    const grant = yield* login({ ...shared, ...target })
    const renewed = yield* redeem(yield* redeem(grant))
    return { asked: calls.map(targetOf), calls, grant, renewed }
  }).pipe(Effect.provide(serve((call) => Effect.sync(answer(call)), calls)))
}

describe("F40 what the token is for", () => {
  const resource = ["https://one.test/mcp", "https://two.test/"]
  const audience = "the API, of acme"

  for (const [what, login] of Object.entries(logins)) {
    it.effect(`is kept with the grant of ${what}, and said again at each renewal`, () =>
      Effect.gen(function*() {
        const { asked, calls, grant, renewed } = yield* run(login, { resource, audience })
        expect(calls.length).toBeGreaterThanOrEqual(3)
        expect(calls.slice(-2).map(({ form }) => form.get("grant_type"))).toEqual([
          "refresh_token",
          "refresh_token"
        ])
        for (const target of asked) expect(target).toMatchObject({ resource })
        // A device says its audience when the login starts, not at each poll.
        for (const target of [asked[0], ...asked.slice(-2)]) {
          expect(target).toMatchObject({ audience: [audience] })
        }
        expect(grant.extra).toMatchObject({ resource: resource.join(" "), audience })
        expect(renewed.extra).toEqual(grant.extra)
      }))

    it.effect(`is said of nothing where ${what} named nothing`, () =>
      Effect.gen(function*() {
        const { asked, grant } = yield* run(login, {})
        for (const target of asked) expect(target).toEqual({ resource: [], audience: [] })
        expect(grant.extra).not.toHaveProperty("resource")
        expect(grant.extra).not.toHaveProperty("audience")
      }))

    it.effect(`is said as audience by ${what}, where the server knows no resource`, () =>
      Effect.gen(function*() {
        const { asked, grant } = yield* run(login, { resource }, { target: "audience" })
        for (const target of asked) expect(target.resource).toEqual([])
        for (const target of [asked[0], ...asked.slice(-2)]) {
          expect(target).toMatchObject({ audience: resource })
        }
        expect(grant.extra).toMatchObject({ resource: resource.join(" ") })
      }))

    it.effect(`is not said at all by ${what}, where the server fails over it, and kept all the same`, () =>
      Effect.gen(function*() {
        const { asked, grant } = yield* run(login, { resource, audience }, { target: "none" })
        for (const target of asked) expect(target).toEqual({ resource: [], audience: [] })
        expect(grant.extra).toMatchObject({ resource: resource.join(" "), audience })
      }))
  }

  it.effect("of client credentials follows the server too", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
      for (const target of ["resource", "audience", "none"] as const) {
        const options = { server, client: { id: "app" }, resource: "https://one.test", dialect: { target } }
        yield* Effect.flatMap(ClientCredentials.make(options), (source) => source.get)
      }
      expect(calls.map(targetOf)).toEqual([
        { resource: ["https://one.test"], audience: [] },
        { resource: [], audience: ["https://one.test"] },
        { resource: [], audience: [] }
      ])
    }).pipe(Effect.provide(serve((call) => Effect.sync(answer(call)), calls)))
  })

  for (const name of ["blank", "of two lines", "without end"] as const) {
    it.effect(`is refused as an audience that is ${name}, before anything is sent`, () => {
      const audiences = { blank: "  ", "of two lines": "a\nb", "without end": "a".repeat(8 * 1024 + 1) }
      return Effect.gen(function*() {
        const error = yield* Effect.flip(run(logins["a password"] as Login, { audience: audiences[name] }))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
      })
    })
  }
})

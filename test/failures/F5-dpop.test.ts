/**
 * A server that spends the refresh token and only then asks for a nonce (bluesky-social/atproto#3859): the
 * repetition looks like reuse, and the login is gone.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as TokenFileVault from "effect-credentials/vault/TokenFileVault"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import { bound, demand, proofIn } from "../oauth/dpopKit.js"
import { json, serve } from "../oauth/kit.js"
import type { Call, Handler } from "../oauth/kit.js"
import * as OidcProvider from "../support/OidcProvider.js"

const held = Effect.map(Dpop.generate(), (proofKey) =>
  Grant.make({
    token: Token.make({ value: Redacted.make("access-0"), type: "DPoP", proofKey }),
    refreshToken: Redacted.make("refresh-0")
  }))

/** Rotates, and looks at the nonce after that; a nonce holds for `lifetime` milliseconds. */
const careless = (lifetime: number) => {
  const log = { redemptions: 0, demands: 0, lost: false }
  let current = "refresh-0"
  const handler: Handler = ({ form, headers }) =>
    Effect.gen(function*() {
      const nonce = `n-${Math.floor((yield* Clock.currentTimeMillis) / lifetime)}`
      const isKnown = form.get("refresh_token")?.startsWith("refresh-") === true
      if (isKnown && form.get("refresh_token") !== current) {
        log.lost = true
        return json({ error: "invalid_grant" }, { status: 400 })()
      }
      if (isKnown) current = `refresh-${++log.redemptions}`
      if ((yield* proofIn(headers)).nonce !== nonce) {
        log.demands++
        return demand(nonce)()
      }
      return isKnown
        ? bound({ refresh_token: current })()
        : json({ error: "invalid_grant" }, { status: 400 })()
    })
  return { handler, log }
}

const renewing = (handler: Handler) =>
  Effect.gen(function*() {
    const calls: Array<Call> = []
    const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
    const redeem = yield* Effect.provide(
      RefreshToken.make({ server, client: { id: "app" } }),
      serve(handler, calls)
    )
    /** What was redeemed: `own` for a refresh token of the login. */
    const redeemed = () =>
      calls.map(({ form }) => form.get("refresh_token") ?? "").map((token) =>
        token.startsWith("refresh-") ? "own" : token
      )
    return { calls, redeem, redeemed, server }
  })

describe("F5 the nonce is known before anything is spent", () => {
  it.effect("so a server that spends first has no demand left to make", () =>
    Effect.gen(function*() {
      const { handler, log } = careless(300_000)
      const { redeem, redeemed } = yield* renewing(handler)
      let grant = yield* held
      for (let round = 1; round <= 5; round++) {
        grant = yield* redeem(grant)
        assert.deepStrictEqual(grant.refreshToken, Redacted.make(`refresh-${round}`))
        yield* TestClock.adjust("1 hour")
      }
      assert.deepStrictEqual(log, { redemptions: 5, demands: 5, lost: false })
      const probes = redeemed().filter((one) => one !== "own")
      assert.strictEqual(new Set(probes).size, 5)
      for (const probe of probes) assert.match(probe, /^[\w-]{43}$/)
    }))

  it.effect("and it can be seen here what would happen without that", () =>
    Effect.gen(function*() {
      const { handler, log } = careless(300_000)
      const { redeem, server } = yield* renewing(handler)
      // Told a moment ago, and no longer true.
      yield* Ref.set(server.nonces, new Map([["https://idp.test", { value: "stale", at: 0 }]]))
      const error = yield* Effect.flip(Effect.flatMap(held, redeem))
      assert.strictEqual(error._tag, "ReauthRequired")
      assert.isTrue(log.lost)
    }))

  it.effect("one that was told within the last minute is not asked for again", () =>
    Effect.gen(function*() {
      const { handler } = careless(24 * 3_600_000)
      const { redeem, redeemed } = yield* renewing(handler)
      let grant = yield* redeem(yield* held)
      assert.strictEqual(redeemed().length, 2)
      yield* TestClock.adjust("59 seconds")
      grant = yield* redeem(grant)
      assert.strictEqual(redeemed().length, 3)
      // This answer, and that of the probe after it, tell none: the one that is known still holds.
      yield* TestClock.adjust("1 second")
      grant = yield* redeem(grant)
      assert.strictEqual(redeemed().length, 5)
      yield* TestClock.adjust("59 seconds")
      grant = yield* redeem(grant)
      assert.strictEqual(redeemed().length, 6)
      yield* TestClock.adjust("1 second")
      yield* redeem(grant)
      assert.strictEqual(redeemed().length, 8)
    }))

  it.effect("a server that uses none is asked once", () =>
    Effect.gen(function*() {
      const { redeem, redeemed } = yield* renewing(({ form }) =>
        Effect.sync(() =>
          form.get("refresh_token")?.startsWith("refresh-") === true
            ? bound({ refresh_token: "refresh-1" })()
            : json({ error: "invalid_grant" }, { status: 400 })()
        )
      )
      let grant = yield* held
      for (let round = 0; round < 4; round++) {
        grant = yield* redeem(grant)
        yield* TestClock.adjust("1 day")
      }
      assert.deepStrictEqual(redeemed().map((one) => one === "own"), [false, true, true, true, true])
    }))

  it.effect("and asked again once it begins to tell some", () =>
    Effect.gen(function*() {
      let headers: Record<string, string> = {}
      const { redeem, redeemed } = yield* renewing(() => Effect.sync(() => bound({}, headers)()))
      const grant = yield* held
      yield* redeem(grant)
      headers = { "dpop-nonce": "n-1" }
      yield* redeem(grant)
      yield* TestClock.adjust("2 minutes")
      yield* redeem(grant)
      assert.deepStrictEqual(redeemed().map((one) => one === "own"), [false, true, true, false, true])
    }))

  it.effect("a server that can't be reached then has spent nothing", () =>
    Effect.gen(function*() {
      const { redeem, redeemed } = yield* renewing(() => Effect.fail("dropped" as const))
      const error = yield* Effect.flip(Effect.flatMap(held, redeem))
      expect(error).toMatchObject({ _tag: "TransientFailure", reason: "Network" })
      assert.notInclude(redeemed(), "own")
    }))

  it.effect("one that never answers has spent nothing either, and interruption ends it", () =>
    Effect.gen(function*() {
      let asked = 0
      const { redeem, redeemed } = yield* renewing(() => {
        asked++
        return Effect.never
      })
      const grant = yield* held
      const arrived = Effect.repeat(Effect.promise(() => new Promise((done) => setImmediate(done))), {
        while: () => asked === 0
      })
      const fiber = yield* Effect.fork(Effect.flip(redeem(grant)))
      yield* arrived
      yield* TestClock.adjust("10 seconds")
      expect(yield* Fiber.join(fiber)).toMatchObject({ _tag: "TransientFailure", reason: "Network" })
      asked = 0
      const second = yield* Effect.fork(redeem(grant))
      yield* arrived
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(second)))
      assert.notInclude(redeemed(), "own")
    }))

  it.effect.each([429, 500, 503])(
    "a %s to that question is no answer, and doesn't keep from renewing",
    (status) =>
      Effect.gen(function*() {
        const { redeem, redeemed } = yield* renewing(({ form }) =>
          Effect.sync(() =>
            form.get("refresh_token")?.startsWith("refresh-") === true
              ? bound()()
              : new Response("", { status })
          )
        )
        const grant = yield* held
        yield* redeem(grant)
        yield* redeem(grant)
        assert.deepStrictEqual(redeemed().map((one) => one === "own"), [false, true, false, true])
      })
  )
})

describe("F5 a demand that comes all the same", () => {
  /** Looks at the nonce first, as servers should; each one holds for one request. */
  const rotating = (until: number) => {
    let count = 0
    return (({ headers }) =>
      Effect.map(proofIn(headers), ({ nonce }) => {
        count++
        return nonce === `n-${count - 1}` && count > until
          ? bound({ refresh_token: "refresh-1" }, { "dpop-nonce": `n-${count}` })()
          : demand(`n-${count}`)()
      })) satisfies Handler
  }

  it.effect("is met once with the same refresh token", () =>
    Effect.gen(function*() {
      const { redeem, redeemed } = yield* renewing(rotating(2))
      const renewed = yield* redeem(yield* held)
      assert.deepStrictEqual(renewed.refreshToken, Redacted.make("refresh-1"))
      assert.deepStrictEqual(redeemed().map((one) => one === "own"), [false, true, true])
    }))

  it.effect("and not a second time: it can be tried later, and the login is not given up", () =>
    Effect.gen(function*() {
      const { redeem, redeemed } = yield* renewing(rotating(Infinity))
      const error = yield* Effect.flip(Effect.flatMap(held, redeem))
      expect(error).toMatchObject({ _tag: "TransientFailure", reason: "ServerError" })
      assert.deepStrictEqual(redeemed().map((one) => one === "own"), [false, true, true])
    }))
})

describe.each([true, false])("F5 a certified provider, nonces wanted: %s", (requireNonce) => {
  const login = Effect.gen(function*() {
    yield* TestClock.setTime(new Date().getTime())
    const idp = yield* OidcProvider.make({
      features: {
        dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => requireNonce }
      }
    })
    const redeemed: Array<string> = []
    idp.provider.on("grant.success", ({ oidc }) => {
      if (oidc.params?.["grant_type"] === "refresh_token") redeemed.push(String(oidc.params["refresh_token"]))
    })
    const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
    const device = yield* DeviceCode.make({
      server,
      client: { id: "device" },
      dpop: true,
      scopes: ["openid", "offline_access", "read"]
    })
    const authorization = yield* device.authorize
    yield* idp.approve(authorization.verificationUriComplete ?? "")
    const polling = yield* Effect.fork(device.poll(authorization))
    yield* TestClock.adjust("5 seconds")
    return { grant: yield* Fiber.join(polling), idp, redeemed }
  })

  /** Another process: nothing is shared but the vault. */
  const restarted = (issuer: string) =>
    Effect.gen(function*() {
      const server = yield* AuthorizationServer.discover({ issuer })
      const redeem = yield* RefreshToken.make({ server, client: { id: "device" } })
      return yield* Persisted.make({ key: "login", redeem })
    })

  const vaults = {
    MemoryVault: MemoryVault.layer,
    FileVault: Layer.unwrapScoped(
      Effect.map(
        Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()),
        (home) => FileVault.layer({ directory: `${home}/vault` })
      )
    ).pipe(Layer.provide(NodeContext.layer)),
    TokenFileVault: Layer.unwrapScoped(
      Effect.map(
        Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped()),
        (home) => TokenFileVault.layer({ path: `${home}/login.json` })
      )
    ).pipe(Layer.provide(NodeContext.layer))
  }

  it.scoped.each(Object.entries(vaults))(
    "the key stays with the refresh token in a %s",
    ([, vault]) =>
      Effect.gen(function*() {
        const { grant, idp, redeemed } = yield* login
        assert.strictEqual(grant.token.type, "DPoP")
        yield* Persisted.save("login", grant)
        let token = grant.token
        for (let start = 0; start < 3; start++) {
          const source = yield* restarted(idp.issuer)
          token = yield* source.request({ supersede: token })
          assert.deepStrictEqual(token.proofKey, grant.token.proofKey)
          const api = (yield* HttpClient.HttpClient).pipe(HttpAuth.dpop(source, { origins: idp.issuer }))
          const response = yield* api.get(`${idp.issuer}/me`)
          assert.deepStrictEqual([response.status, yield* response.json], [200, { sub: "alice" }])
        }
        assert.strictEqual(redeemed.length, 3)
        assert.strictEqual(new Set(redeemed).size, 3)
        const record = Option.getOrThrow(yield* Persisted.load("login"))
        assert.deepStrictEqual(record.grant.token.proofKey, grant.token.proofKey)
      }).pipe(Effect.provide([vault, NodeHttpClient.layerUndici]))
  )

  it.scoped("and without it the refresh token is worth nothing to whoever copied it", () =>
    Effect.gen(function*() {
      const { grant, idp } = yield* login
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const redeem = yield* RefreshToken.make({ server, client: { id: "device" } })
      const stolen = { ...grant, token: { ...grant.token, proofKey: undefined } }
      expect(yield* Effect.flip(redeem(stolen))).toMatchObject({ _tag: "ReauthRequired" })
      const forged = { ...grant, token: { ...grant.token, proofKey: yield* Dpop.generate() } }
      expect(yield* Effect.flip(redeem(forged))).toMatchObject({ _tag: "ReauthRequired" })
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

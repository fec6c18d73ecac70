/** Each preset with a device login, over the contract of the provider. */
import { assert, describe, it } from "@effect/vitest"
import * as Entra from "effect-credentials/provider/Entra"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Google from "effect-credentials/provider/Google"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import type * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { failure, logIn, polls, redeemer, revoker, secret, setup, start, success } from "./kit.js"
import * as Replay from "./Replay.js"

const tenant = "11111111-2222-3333-4444-555555555555"
const hour = 3_600_000
const day = 24 * hour

interface Expected {
  readonly provider: Provider.WithDevice
  readonly scopes?: ReadonlyArray<string>
  /** Seconds between two polls. */
  readonly interval: number
  /** How long the first token and the login live, in milliseconds. */
  readonly lifetime: number
  readonly refreshLifetime?: number
  /** In how many seconds the login has to be approved. */
  readonly deadline: number
  readonly extra: Readonly<Record<string, string>>
  /** Whether a renewal gives another refresh token. */
  readonly rotates: boolean
  readonly slowDown?: number
  readonly denied: string | undefined
  readonly expired: string | undefined
}

const presets: Readonly<Record<string, Expected>> = {
  github: {
    provider: GitHub.provider,
    interval: 5,
    lifetime: 8 * hour,
    refreshLifetime: 183 * day,
    deadline: 900,
    extra: {},
    rotates: true,
    // Five more would be ten; it names twenty.
    slowDown: 20,
    denied: "denied",
    expired: "expired"
  },
  google: {
    provider: Google.provider,
    scopes: ["https://www.googleapis.com/auth/drive.file"],
    interval: 5,
    lifetime: 3_920_000,
    deadline: 1800,
    extra: {},
    rotates: false,
    slowDown: 10,
    denied: "denied",
    expired: undefined
  },
  qwen: {
    provider: Qwen.provider,
    interval: 5,
    lifetime: 6 * hour,
    deadline: 900,
    extra: { resource_url: "portal.qwen.ai" },
    rotates: true,
    slowDown: 10,
    denied: "denied",
    expired: "expired"
  },
  minimax: {
    provider: MiniMax.provider,
    interval: 2.5,
    lifetime: day,
    deadline: 600,
    extra: { resource_url: "https://api.minimax.io/anthropic", notification_message: "Welcome" },
    rotates: true,
    denied: "denied",
    expired: undefined
  },
  entra: {
    provider: Entra.make({ tenant }),
    interval: 5,
    lifetime: 4_599_000,
    deadline: 900,
    extra: {},
    rotates: true,
    denied: "denied",
    expired: "expired"
  }
}

describe.each(Object.entries(presets))("%s", (name, expected) => {
  const contract = Replay.read(name)
  const changes = { scopes: expected.scopes }
  const run = Effect.fnUntraced(function*(...answers: ReadonlyArray<string>) {
    const scene = yield* setup(expected.provider, contract, { poll: answers })
    return { ...yield* logIn(expected.provider, scene, "1 hour", changes), scene }
  })

  it.effect("logs in, renews and ends as the contract has it", () =>
    Effect.gen(function*() {
      const { exit, scene, started } = yield* run("pending", "success")
      const { replay } = scene
      const grant = success(exit)
      assert.deepStrictEqual(replay.complaints, [])
      assert.strictEqual(Duration.toSeconds(started.interval), expected.interval)
      assert.strictEqual(started.expiresAt, start + expected.deadline * 1000)
      assert.deepStrictEqual(polls(replay), [expected.interval, 2 * expected.interval])
      const received = start + 2000 * expected.interval
      assert.strictEqual(grant.token.expiresAt, received + expected.lifetime)
      assert.strictEqual(
        grant.refreshExpiresAt,
        expected.refreshLifetime === undefined ? undefined : received + expected.refreshLifetime
      )
      assert.deepStrictEqual(grant.extra, expected.extra)

      const redeem = yield* redeemer(expected.provider, scene)
      const renewed = yield* redeem(grant)
      const again = yield* redeem(renewed)
      assert.notStrictEqual(secret(renewed.token.value), secret(grant.token.value))
      assert.strictEqual(secret(renewed.refreshToken) !== secret(grant.refreshToken), expected.rotates)
      assert.isDefined(again.refreshToken)
      assert.strictEqual(renewed.extra["notification_message"], grant.extra["notification_message"])
      assert.deepStrictEqual(replay.complaints, [])

      const revocation = yield* revoker(expected.provider, scene)
      const offered = contract.asks["revoke"] !== undefined
      assert.strictEqual(yield* revocation.isOffered, offered)
      if (offered) yield* revocation.revoke(again)
      assert.deepStrictEqual(replay.complaints, [])
    }))

  if (expected.slowDown !== undefined) {
    const slower = expected.slowDown
    it.effect("polls as much less often as it is told to", () =>
      Effect.gen(function*() {
        const { exit, scene, tags } = yield* run("slow_down", "pending", "success")
        success(exit)
        assert.deepStrictEqual(tags.slice(0, 2), ["SlowedDown", "Pending"])
        assert.deepStrictEqual(polls(scene.replay), [5, 5 + slower, 5 + 2 * slower])
      }))
  }

  const ends = [["AccessDenied", expected.denied], ["LoginExpired", expected.expired]] as const
  for (const [reason, answer] of ends) {
    if (answer === undefined) continue
    it.effect(`ends with ${reason}`, () =>
      Effect.gen(function*() {
        const { exit, scene } = yield* run("pending", answer)
        assert.deepInclude({ ...failure(exit) }, { _tag: "ReauthRequired", reason })
        assert.strictEqual(polls(scene.replay).length, 2)
        assert.deepStrictEqual(scene.replay.complaints, [])
      }))
  }

  if (expected.expired === undefined) {
    it.effect("ends when nobody decides", () =>
      Effect.gen(function*() {
        const { exit, scene } = yield* run("pending")
        assert.deepInclude({ ...failure(exit) }, { _tag: "ReauthRequired", reason: "LoginExpired" })
        assert.strictEqual(polls(scene.replay).at(-1), expected.deadline - 1)
      }))
  }

  it.effect("never hears of the resource that a token is for, but remembers it", () =>
    Effect.gen(function*() {
      const scene = yield* setup(expected.provider, contract)
      const resource = "https://api.test"
      const { exit } = yield* logIn(expected.provider, scene, "1 hour", { ...changes, resource })
      const redeem = yield* redeemer(expected.provider, scene)
      const renewed = yield* redeem(success(exit))
      assert.strictEqual(renewed.extra["resource"], resource)
      assert.deepStrictEqual(scene.replay.complaints, [])
    }))

  it.effect("knows a dead refresh token", () =>
    Effect.gen(function*() {
      const scene = yield* setup(expected.provider, contract, { refresh: ["dead"] })
      const { exit } = yield* logIn(expected.provider, scene, "1 hour", changes)
      const redeem = yield* redeemer(expected.provider, scene)
      const error = yield* Effect.flip(redeem(success(exit)))
      assert.deepInclude({ ...error }, { _tag: "ReauthRequired", reason: "GrantRejected" })
    }))

  it.effect("the contract is strict: a field too many is refused", () =>
    Effect.gen(function*() {
      const scene = yield* setup(expected.provider, contract)
      const error = yield* Effect.flip(
        logIn(expected.provider, scene, "1 hour", { ...changes, parameters: { surprise: "yes" } })
      )
      assert.notStrictEqual(error._tag, "Misconfigured")
      assert.deepStrictEqual(scene.replay.complaints, ["device: surprise is unknown or wrong"])
    }))
})

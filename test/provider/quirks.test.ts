/** What Qwen and MiniMax do in ways of their own, what they might do to us, and what other clients got wrong. */
import { assert, describe, it } from "@effect/vitest"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import type * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { failure, logIn, polls, redeemer, secret, setup, start, success } from "./kit.js"
import * as Replay from "./Replay.js"

/** The contract with an answer of this name to a request of that name. */
const bent = (contract: Replay.Contract, ask: string, body: unknown, status = 200): Replay.Contract => {
  const asked = contract.asks[ask]
  if (asked === undefined) throw new Error(`${contract.provider} has no request ${ask}`)
  const answers = { ...asked.answers, bent: { status, body } }
  return { ...contract, asks: { ...contract.asks, [ask]: { ...asked, answers } } }
}

/** The contract that wants this value in that field. */
const wanting = (contract: Replay.Contract, ask: string, field: string, value: string): Replay.Contract => {
  const asked = contract.asks[ask]
  if (asked === undefined) throw new Error(`${contract.provider} has no request ${ask}`)
  const fields = { ...asked.fields, [field]: value }
  return { ...contract, asks: { ...contract.asks, [ask]: { ...asked, fields } } }
}

const bodyOf = (contract: Replay.Contract, ask: string): Record<string, unknown> =>
  contract.asks[ask]?.answers["success"]?.body as Record<string, unknown>

const contracts = { qwen: Replay.read("qwen"), minimax: Replay.read("minimax") }
const providers: Readonly<Record<keyof typeof contracts, Provider.WithDevice>> = {
  qwen: Qwen.provider,
  minimax: MiniMax.provider
}
const names = ["qwen", "minimax"] as const

type Name = keyof typeof contracts

/** A login whose start is answered so, with these fields in the place of the usual ones. */
const startedWith = (
  name: Name,
  fields: Readonly<Record<string, unknown>>,
  { poll = ["success"], status }: { readonly poll?: ReadonlyArray<string>; readonly status?: number } = {}
) =>
  Effect.gen(function*() {
    const contract = contracts[name]
    const changed = bent(contract, "device", { ...bodyOf(contract, "device"), ...fields }, status)
    const scene = yield* setup(providers[name], changed, { device: ["bent"], poll })
    return { ...yield* logIn(providers[name], scene), scene }
  })

const unusable = "TransientFailure MalformedAnswer"

/** What each of them makes of the start of a login that was answered so. */
const outages: Readonly<Record<string, string>> = {
  "500": "TransientFailure ServerError",
  "502 with a page": "TransientFailure ServerError",
  "503 with a code": "TransientFailure ServerError",
  "429": "TransientFailure RateLimited",
  "429 for 20 s": "TransientFailure RateLimited",
  "a page": unusable,
  "a page that refuses": unusable,
  "a redirect": unusable,
  "half a body": unusable,
  "a list": unusable,
  "null": unusable,
  "dropped": "TransientFailure ReplyLost"
}

type Bent = readonly [
  what: string,
  fields: Readonly<Record<string, unknown>>,
  expected: string,
  status?: number
]

/** Of both, in whatever has to be shown to the person. */
const bentForAll: ReadonlyArray<Bent> = [
  ["no code for the person", { user_code: undefined }, unusable],
  ["a number for the person", { user_code: 123_456 }, unusable],
  ["a code with an escape sequence", { user_code: "AB\u001b[2J" }, unusable],
  ["a code of a page", { user_code: "A".repeat(65) }, unusable],
  ["an address that is a script", { verification_uri: "javascript:alert(1)" }, unusable],
  ["an address with a password", { verification_uri: "https://a:b@idp.test/" }, unusable],
  ["no address", { verification_uri: undefined }, unusable],
  ["a refusal of the standard's", { error: "invalid_client" }, "Misconfigured InvalidClient", 400]
]

const bentFor: Readonly<Record<Name, ReadonlyArray<Bent>>> = {
  qwen: [
    ["no code for the device", { device_code: undefined }, unusable],
    ["an unknown refusal", { base_resp: {} }, unusable, 400]
  ],
  minimax: [
    ["the state as a list", { state: ["{state}"] }, unusable],
    ["an empty state", { state: "" }, unusable],
    ["its own refusal", { base_resp: { status_code: 2013 } }, "RequestRejected InvalidRequest", 400],
    ["its own word for too many", { base_resp: {} }, "TransientFailure RateLimited", 429],
    ["its own refusal as a success", { user_code: undefined, base_resp: { status_code: 1004 } }, unusable]
  ]
}

for (const name of names) {
  describe(`${name}: the start of a login that is answered by`, () => {
    it("each outage is here", () => {
      assert.deepStrictEqual(Object.keys(outages).sort(), [...Replay.outageNames].sort())
    })

    for (const [outage, expected] of Object.entries(outages)) {
      it.effect(outage, () =>
        Effect.gen(function*() {
          const scene = yield* setup(providers[name], contracts[name], { device: [outage] })
          const error = yield* Effect.flip(logIn(providers[name], scene))
          assert.strictEqual(`${error._tag} ${error.reason}`, expected)
          assert.deepStrictEqual(polls(scene.replay), [])
        }))
    }

    for (const [what, fields, expected, status] of [...bentForAll, ...bentFor[name]]) {
      it.effect(what, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(startedWith(name, fields, { ...(status && { status }) }))
          assert.strictEqual(`${error._tag} ${error.reason}`, expected)
          for (const text of ["javascript", "a:b@", "\u001b"]) assert.notInclude(error.message, text)
        }))
    }
  })

  describe(`${name}: a secret that has other meanings in a form`, () => {
    const strange = "a+b&c=d%2B;\"e\"#~"

    it.effect("is sent as it was given", () =>
      Effect.gen(function*() {
        const code = name === "qwen" ? "device_code" : "user_code"
        const start = { ...bodyOf(contracts[name], "device"), [code]: strange }
        const granted = { ...bodyOf(contracts[name], "poll"), refresh_token: strange }
        const polled = wanting(bent(contracts[name], "device", start), "poll", code, strange)
        const contract = wanting(bent(polled, "poll", granted), "refresh", "refresh_token", strange)
        const scene = yield* setup(providers[name], contract, { device: ["bent"], poll: ["bent"] })
        const { exit } = yield* logIn(providers[name], scene)
        yield* Effect.flatMap(redeemer(providers[name], scene), (redeem) => redeem(success(exit)))
        assert.deepStrictEqual(scene.replay.calls.map(({ ask }) => ask), ["device", "poll", "refresh"])
        assert.deepStrictEqual(scene.replay.complaints, [])
      }))
  })
}

describe("Qwen", () => {
  const intervals: ReadonlyArray<readonly [string, unknown, number]> = [
    ["counts seconds", 7, 7],
    ["is not made shorter", 30, 30],
    ["may be text", "8", 8],
    ["is a second at least", 0, 1],
    ["is five minutes at most", 100_000, 300],
    ["is five seconds where it is missing", undefined, 5],
    ["is five seconds where it is nothing", null, 5]
  ]
  for (const [what, interval, seconds] of intervals) {
    it.effect(`an interval ${what}`, () =>
      Effect.gen(function*() {
        const { scene } = yield* startedWith("qwen", { interval, expires_in: 1800 }, {
          poll: ["pending", "success"]
        })
        assert.deepStrictEqual(polls(scene.replay), [seconds, 2 * seconds])
      }))
  }

  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const idTokens: ReadonlyArray<readonly [string, string]> = [
    ["is signed with a secret", `${part({ alg: "HS256" })}.${part({ iss: "https://chat.qwen.ai" })}.AA`],
    ["is of another issuer", `${part({ alg: "RS256" })}.${part({ iss: "https://qwen.test" })}.AA`],
    ["is none", "a.b"]
  ]
  for (const [what, id_token] of idTokens) {
    it.effect(`an ID token costs nobody the login, since nobody knows how to verify it: it ${what}`, () =>
      Effect.gen(function*() {
        const contract = bent(contracts.qwen, "poll", { ...bodyOf(contracts.qwen, "poll"), id_token })
        const scene = yield* setup(Qwen.provider, contract, { poll: ["bent"] })
        const grant = success((yield* logIn(Qwen.provider, scene)).exit)
        assert.isUndefined(grant.idToken)
      }))
  }

  const addresses: ReadonlyArray<readonly [string, unknown]> = [
    ["a number", 7],
    ["an object", { host: "evil.test" }],
    ["null", null],
    ["too long", "a".repeat(2049)]
  ]
  for (const [what, resource_url] of addresses) {
    it.effect(`an address of the API that is none doesn't take the place of one: ${what}`, () =>
      Effect.gen(function*() {
        const contract = bent(contracts.qwen, "refresh", {
          ...bodyOf(contracts.qwen, "refresh"),
          resource_url
        })
        const scene = yield* setup(Qwen.provider, contract, { refresh: ["bent"] })
        const grant = success((yield* logIn(Qwen.provider, scene)).exit)
        const redeem = yield* redeemer(Qwen.provider, scene)
        assert.deepStrictEqual((yield* redeem(grant)).extra, { resource_url: "portal.qwen.ai" })
      }))
  }
})

describe("MiniMax", () => {
  const ends: ReadonlyArray<readonly [string, Readonly<Record<string, unknown>>, number]> = [
    ["an instant", { expired_in: start + 300_000 }, 300],
    ["an instant as text", { expired_in: String(start + 300_000) }, 300],
    ["an instant in seconds", { expired_in: start / 1000 + 300 }, 300],
    ["seconds from now on", { expired_in: 300 }, 300],
    ["an instant that is past", { expired_in: start - 1 }, 600],
    ["nothing", { expired_in: undefined }, 600],
    ["the standard's field", { expired_in: undefined, expires_in: 120 }, 120]
  ]
  for (const [what, fields, seconds] of ends) {
    it.effect(`the end of a login is told by ${what}`, () =>
      Effect.gen(function*() {
        const { started } = yield* startedWith("minimax", fields)
        assert.strictEqual(started.expiresAt, start + seconds * 1000)
      }))
  }

  it.effect("the end of a login is the end, whatever form it was told in", () =>
    Effect.gen(function*() {
      const { exit, scene } = yield* startedWith("minimax", { expired_in: 60 }, { poll: ["pending"] })
      assert.deepInclude({ ...failure(exit) }, { _tag: "ReauthRequired", reason: "LoginExpired" })
      assert.strictEqual(polls(scene.replay).at(-1), 59)
    }))

  const intervals: ReadonlyArray<readonly [string, unknown, number]> = [
    ["counts milliseconds", 4000, 4],
    ["may be text", "4000", 4],
    ["that counts seconds is no storm", 2, 1],
    ["is five minutes at most", 1e9, 300],
    ["is two seconds where it is nothing", null, 2]
  ]
  for (const [what, interval, seconds] of intervals) {
    it.effect(`an interval ${what}`, () =>
      Effect.gen(function*() {
        const fields = { interval, expired_in: start + 3_600_000 }
        const { scene } = yield* startedWith("minimax", fields, { poll: ["pending", "success"] })
        assert.deepStrictEqual(polls(scene.replay), [seconds, 2 * seconds])
      }))
  }

  it.effect("a token that says nothing of its end counts as good for an hour", () =>
    Effect.gen(function*() {
      const body = { ...bodyOf(contracts.minimax, "poll"), expired_in: undefined }
      const scene = yield* setup(MiniMax.provider, bent(contracts.minimax, "poll", body), { poll: ["bent"] })
      const { exit } = yield* logIn(MiniMax.provider, scene)
      assert.strictEqual(success(exit).token.expiresAt, start + 2500 + 3_600_000)
    }))

  it.effect("a new refresh token is not lost in a renewal, and what is told beside it is kept", () =>
    Effect.gen(function*() {
      const scene = yield* setup(MiniMax.provider, contracts.minimax)
      const grant = success((yield* logIn(MiniMax.provider, scene)).exit)
      const redeem = yield* redeemer(MiniMax.provider, scene)
      const renewed = yield* redeem(grant)
      assert.notStrictEqual(secret(renewed.refreshToken), secret(grant.refreshToken))
      assert.strictEqual(renewed.token.expiresAt, (yield* Clock.currentTimeMillis) + 86_400_000)
      assert.deepStrictEqual(renewed.extra, grant.extra)
      yield* redeem(renewed)
      assert.deepStrictEqual(scene.replay.complaints, [])
    }))

  it.effect("in China is asked in China only, from the start to the renewal", () =>
    Effect.gen(function*() {
      const moved = JSON.parse(
        JSON.stringify(contracts.minimax).replaceAll("https://api.minimax.io", "https://api.minimaxi.com")
      ) as Replay.Contract
      const china = MiniMax.make({ region: "china" })
      const scene = yield* setup(china, moved, { poll: ["pending", "success"] })
      const grant = success((yield* logIn(china, scene)).exit)
      assert.strictEqual(grant.extra["resource_url"], "https://api.minimaxi.com/anthropic")
      yield* Effect.flatMap(redeemer(china, scene), (redeem) => redeem(grant))
      assert.deepStrictEqual(scene.replay.calls.map(({ ask }) => ask), ["device", "poll", "poll", "refresh"])
      assert.deepStrictEqual(scene.replay.complaints, [])
    }))
})

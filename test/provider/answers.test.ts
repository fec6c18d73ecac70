/** What each answer of a contract means here: none is left out. */
import { assert, describe, it } from "@effect/vitest"
import * as Anthropic from "effect-credentials/provider/Anthropic"
import * as Entra from "effect-credentials/provider/Entra"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Google from "effect-credentials/provider/Google"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import * as OpenAI from "effect-credentials/provider/OpenAI"
import type * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as Effect from "effect/Effect"
import type { Setup } from "./kit.js"
import { browse, logIn, redeemer, revoker, setup, success } from "./kit.js"
import * as Replay from "./Replay.js"

/** The tag and the reason of the error, `ok`, or `waits` where the login goes on. */
type Meanings = Readonly<Record<string, Readonly<Record<string, string>>>>

const meanings: Readonly<Record<string, Meanings>> = {
  github: {
    device: { success: "ok", disabled: "Misconfigured UnsupportedGrant" },
    poll: {
      success: "ok",
      endless: "ok",
      pending: "waits",
      slow_down: "waits",
      denied: "ReauthRequired AccessDenied",
      expired: "ReauthRequired LoginExpired",
      unknown_code: "ReauthRequired LoginExpired",
      wrong_client: "Misconfigured InvalidClient"
    },
    code: { success: "ok" },
    refresh: { success: "ok", dead: "ReauthRequired GrantRejected" }
  },
  google: {
    device: {
      success: "ok",
      disallowed: "RequestRejected InvalidScope",
      quota: "TransientFailure MalformedAnswer"
    },
    poll: {
      success: "ok",
      pending: "waits",
      slow_down: "waits",
      denied: "ReauthRequired AccessDenied",
      used: "ReauthRequired GrantRejected",
      wrong_client: "Misconfigured InvalidClient",
      internal: "RequestRejected InvalidRequest"
    },
    code: { success: "ok", limited: "ok" },
    refresh: { success: "ok", dead: "ReauthRequired GrantRejected" },
    revoke: { success: "ok", unknown: "ok" }
  },
  qwen: {
    device: { success: "ok" },
    poll: {
      success: "ok",
      pending: "waits",
      slow_down: "waits",
      denied: "ReauthRequired AccessDenied",
      expired: "ReauthRequired LoginExpired"
    },
    refresh: { success: "ok", kept: "ok", dead: "ReauthRequired GrantRejected" }
  },
  minimax: {
    device: {
      success: "ok",
      default_interval: "ok",
      other_state: "TransientFailure MalformedAnswer",
      no_state: "TransientFailure MalformedAnswer"
    },
    poll: {
      success: "ok",
      relative: "ok",
      pending: "waits",
      unsaid: "waits",
      denied: "ReauthRequired AccessDenied",
      refused: "ReauthRequired AccessDenied"
    },
    refresh: {
      success: "ok",
      kept: "ok",
      error: "RequestRejected InvalidRequest",
      dead: "ReauthRequired GrantRejected"
    }
  },
  entra: {
    device: { success: "ok" },
    poll: {
      success: "ok",
      pending: "waits",
      denied: "ReauthRequired AccessDenied",
      unknown_code: "ReauthRequired LoginExpired",
      expired: "ReauthRequired LoginExpired"
    },
    code: { success: "ok" },
    refresh: {
      success: "ok",
      dead: "ReauthRequired GrantRejected",
      interaction: "ReauthRequired GrantRejected"
    }
  },
  openai: {
    code: { success: "ok" },
    refresh: {
      success: "ok",
      dead: "ReauthRequired GrantRejected",
      expired: "ReauthRequired GrantRejected",
      invalidated: "ReauthRequired GrantRejected"
    },
    revoke: { success: "ok" }
  },
  anthropic: {
    code: { success: "ok" },
    refresh: {
      success: "ok",
      dead: "ReauthRequired GrantRejected",
      limited: "TransientFailure RateLimited"
    }
  }
}

const presets: Readonly<Record<string, Provider.Provider>> = {
  github: GitHub.provider,
  google: Google.provider,
  qwen: Qwen.provider,
  minimax: MiniMax.provider,
  entra: Entra.make({ tenant: "11111111-2222-3333-4444-555555555555" }),
  openai: OpenAI.provider,
  anthropic: Anthropic.provider
}

/** Does with the preset what leads to this request, and tells how that ended. */
const run = (provider: Provider.Provider, contract: Replay.Contract, ask: string, answer: string) =>
  Effect.gen(function*() {
    const scene = yield* setup(provider, contract, { [ask]: [answer, "success"] })
    const byDevice = provider.device !== undefined && ask !== "code"
    const { grant, waited } = yield* byDevice
      ? onDevice(provider as Provider.WithDevice, scene)
      : inBrowser(provider as Provider.WithBrowser, scene)
    if (waited) return "waits"
    if (ask === "refresh") yield* Effect.flatMap(redeemer(provider, scene), (redeem) => redeem(grant))
    if (ask === "revoke") yield* Effect.flatMap(revoker(provider, scene), ({ revoke }) => revoke(grant))
    return "ok"
  }).pipe(Effect.catchAll((error) => Effect.succeed(`${error._tag} ${error.reason}`)))

const onDevice = (provider: Provider.WithDevice, scene: Setup) =>
  Effect.gen(function*() {
    const { exit, tags } = yield* logIn(provider, scene)
    return { grant: yield* exit, waited: tags.length > 1 }
  })

const inBrowser = (provider: Provider.WithBrowser, scene: Setup) =>
  Effect.map(browse(provider, scene, redirectOf(provider)), ({ grant }) => ({ grant, waited: false }))

const redirectOf = ({ browser }: Provider.WithBrowser): string => {
  const { host, path, port } = browser.redirect
  return browser.pastePage ?? `http://${host}:${port ?? 49_152}${path}`
}

describe.each(Object.entries(meanings))("%s", (name, asks) => {
  const contract = Replay.read(name)
  const provider = presets[name]
  if (provider === undefined) throw new Error(`no preset is called ${name}`)

  it("every answer of the contract is here", () => {
    const recorded = Object.entries(contract.asks).map((
      [ask, { answers }]
    ) => [ask, Object.keys(answers).sort()])
    const known = Object.entries(asks).map(([ask, answers]) => [ask, Object.keys(answers).sort()])
    assert.deepStrictEqual(Object.fromEntries(known), Object.fromEntries(recorded))
    assert.isAtLeast(contract.sources.length, 1)
  })

  for (const [ask, answers] of Object.entries(asks)) {
    for (const [answer, expected] of Object.entries(answers)) {
      it.effect(`${ask}: ${answer}`, () =>
        Effect.gen(function*() {
          assert.strictEqual(yield* run(provider, contract, ask, answer), expected)
        }))
    }
  }
})

describe("GitHub", () => {
  it.effect("an OAuth app's token never expires, and is not renewed", () =>
    Effect.gen(function*() {
      const scene = yield* setup(GitHub.provider, Replay.read("github"), { poll: ["endless"] })
      const { exit } = yield* logIn(GitHub.provider, scene)
      const { refreshToken, token } = success(exit)
      assert.strictEqual(token.expiresAt, Infinity)
      assert.isUndefined(refreshToken)
      assert.deepStrictEqual(token.scopes, ["repo", "gist"])
    }))
})

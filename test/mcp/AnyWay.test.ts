import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as AnyLogin from "effect-credentials/login/AnyLogin"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as Surroundings from "effect-credentials/login/Surroundings"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as jose from "jose"
import * as Mcp from "./kit.js"

const deviceCode = "urn:ietf:params:oauth:grant-type:device_code"

const metadata = {
  name: "Test client",
  redirectUris: ["http://127.0.0.1/callback"],
  grantTypes: ["authorization_code", "refresh_token", deviceCode]
}

interface Place {
  readonly facts: Parameters<typeof Surroundings.layerOf>[0]
  /** Whether the server has device logins. */
  readonly device: boolean
  readonly canPaste?: boolean
  readonly grantTypes?: ReadonlyArray<string>
}

/** A person in this place, and what they saw. */
const setting = ({ canPaste = false, device, facts, grantTypes }: Place) =>
  Effect.gen(function*() {
    const idp = yield* Mcp.provider({ features: { deviceFlow: { enabled: device } } })
    const mcp = yield* Mcp.make({ issuer: idp.issuer })
    const shown: Array<LoginPrompt.Prompt["_tag"] | "opened"> = []
    const pasted = yield* Queue.unbounded<Redacted.Redacted<string>>()
    const show = (prompt: LoginPrompt.Prompt) =>
      Effect.gen(function*() {
        shown.push(prompt._tag)
        if (prompt._tag === "Device") {
          yield* Effect.forkDaemon(idp.approve(prompt.verificationUriComplete ?? ""))
        } else if (prompt.canPaste) {
          const end = Effect.flatMap(idp.authorize(prompt.url), (end) => pasted.offer(Redacted.make(end)))
          yield* Effect.forkDaemon(end)
        }
      })
    const open = (url: string) =>
      Effect.suspend(() => {
        shown.push("opened")
        return Effect.asVoid(Effect.forkDaemon(idp.approve(url)))
      })
    const prompt = LoginPrompt.make({
      show,
      progress: () => Effect.void,
      ...canPaste ? { pasted: () => pasted.take } : {}
    })
    const api = yield* ResourceAccess.make({
      url: mcp.url,
      client: { metadata: { ...metadata, grantTypes: grantTypes ?? metadata.grantTypes } },
      login: (options) => AnyLogin.make({ browser: options, device: options }),
      interactive: true
    }).pipe(
      Effect.provide(Layer.mergeAll(
        Layer.succeed(LoginPrompt.LoginPrompt, prompt),
        NodeCallbackListener.layer,
        BrowserLauncher.layerTest(open),
        Surroundings.layerOf(facts)
      )),
      Effect.provideServiceEffect(Vault.Vault, MemoryVault.make())
    )
    const http = api.http(yield* HttpClient.HttpClient)
    const say = (method: string, params?: Record<string, unknown>) => Mcp.say(http, mcp.url, method, params)
    return { api, idp, mcp, say, shown }
  })

const remote = { remote: "SSH_CONNECTION" }

describe("a login for an MCP server that takes the way that works", () => {
  const live = <E>(
    name: string,
    test: Effect.Effect<void, E, HttpClient.HttpClient | RefreshScheduler.RefreshScheduler | Scope.Scope>
  ) =>
    it.scopedLive(name, () => Effect.provide(test, [FetchHttpClient.layer, RefreshScheduler.layer]), 60_000)

  live(
    "opens a browser where one can open",
    Effect.gen(function*() {
      const { idp, say, shown } = yield* setting({ facts: {}, device: true })
      expect((yield* say("initialize", Mcp.initialize)).status).toBe(200)
      expect(shown).toContain("opened")
      expect(idp.requests.some(({ path }) => path.startsWith("/device"))).toBe(false)
    })
  )

  live(
    "shows a code where none can, for a token that is as good, and renewed",
    Effect.gen(function*() {
      const { api, mcp, say, shown } = yield* setting({ facts: remote, device: true })
      expect((yield* say("initialize", Mcp.initialize)).status).toBe(200)
      expect(shown).toEqual(["Device"])
      const token = yield* api.source.request({ refresh: true, interactive: false })
      expect(jose.decodeJwt(Redacted.value(token.value)).aud).toBe(mcp.url)
    })
  )

  live(
    "has the address pasted where the server has no codes",
    Effect.gen(function*() {
      const { say, shown } = yield* setting({ facts: remote, device: false, canPaste: true })
      expect((yield* say("initialize", Mcp.initialize)).status).toBe(200)
      expect(shown).toEqual(["Browser"])
    })
  )

  live(
    "asks nobody where there is no way at all",
    Effect.gen(function*() {
      const { api, shown } = yield* setting({ facts: remote, device: false })
      expect(yield* Effect.flip(api.login)).toMatchObject({
        _tag: "TokenUnavailable",
        reason: "LoginRequired",
        detail: expect.stringContaining("the server has no device login")
      })
      expect(shown).toEqual([])
    })
  )

  live(
    "fails at once where the client was not registered for codes",
    Effect.gen(function*() {
      const { api, idp, shown } = yield* setting({
        facts: remote,
        device: true,
        grantTypes: ["authorization_code", "refresh_token"]
      })
      expect(yield* Effect.flip(api.login)).toMatchObject({ source: expect.stringContaining("device login") })
      expect(shown).toEqual([])
      expect(idp.requests.filter(({ path }) => path === "/reg")).toHaveLength(1)
    })
  )
})

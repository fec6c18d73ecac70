/** What every preset has to be, as data. */
import { assert, describe, it } from "@effect/vitest"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Anthropic from "effect-credentials/provider/Anthropic"
import * as Entra from "effect-credentials/provider/Entra"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Google from "effect-credentials/provider/Google"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import * as OpenAI from "effect-credentials/provider/OpenAI"
import * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { readdirSync } from "node:fs"
import { serve } from "../oauth/kit.js"
import * as Replay from "./Replay.js"

const presets: ReadonlyArray<Provider.Provider> = [
  Anthropic.provider,
  Entra.provider,
  Entra.make({ tenant: "consumers" }),
  GitHub.provider,
  GitHub.make({ origin: "https://github.example.com" }),
  Google.provider,
  MiniMax.provider,
  MiniMax.make({ region: "china" }),
  OpenAI.provider,
  Qwen.provider
]

const texts = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : typeof value === "object" && value !== null
    ? Object.values(value).flatMap(texts)
    : []

describe.each(presets.map((preset) => [preset.name, preset.endpoints.issuer, preset] as const))(
  "%s at %s",
  (_name, _issuer, preset) => {
    it("has https addresses only, all of which a server takes", () => {
      for (const address of Object.values(preset.endpoints)) {
        assert.strictEqual(new URL(String(address)).protocol, "https:")
      }
    })

    it.effect("makes a server, whose addresses can be replaced one by one", () =>
      Effect.gen(function*() {
        const server = yield* Provider.server(preset)
        const { issuer, token_endpoint } = yield* server.metadata
        assert.strictEqual(issuer, preset.endpoints.issuer)
        assert.notStrictEqual(issuer, token_endpoint)
        const other = yield* Provider.server(preset, { tokenEndpoint: "https://proxy.test/token" })
        const metadata = yield* other.metadata
        assert.strictEqual(metadata.token_endpoint, "https://proxy.test/token")
        assert.strictEqual(metadata.issuer, issuer)
      }))

    it("has no client id, no secret and no key", () => {
      assert.deepStrictEqual(
        texts(preset).filter((text) =>
          /^app_|\.apps\.googleusercontent|^GOCSPX|^Iv1\.|-----BEGIN/.test(text)
        ),
        []
      )
      const ids = texts(preset).filter((text) => /^[0-9a-f-]{32,36}$/i.test(text))
      assert.deepStrictEqual(ids, [])
      assert.notProperty({ ...preset.browser?.parameters, ...preset.device?.parameters }, "client_id")
    })

    it("is plain data, with a way to log in", () => {
      assert.isTrue(preset.browser !== undefined || preset.device !== undefined)
      assert.deepStrictEqual(structuredClone({ ...preset, renewal: null, defaultLifetime: null }), {
        ...preset,
        renewal: null,
        defaultLifetime: null
      } as never)
      assert.isAtLeast(Duration.toMillis(preset.renewal.graceWindow), 0)
    })

    it("says whether it wants to be told who a token is for", () => {
      assert.isDefined(preset.dialect.target)
    })
  }
)

describe("a provider", () => {
  const server = Provider.server(Qwen.provider)

  it.effect("takes scopes, fields and limits of the caller", () =>
    Effect.gen(function*() {
      const options = Provider.browser(Google.provider, {
        server: yield* server,
        client: { id: "app" },
        name: "mail",
        scopes: ["email"],
        parameters: { prompt: "none", login_hint: "person" },
        requestTimeLimit: "3 seconds",
        maxResponseBytes: 1000
      })
      assert.deepInclude(options, {
        name: "mail",
        scopes: ["email"],
        authorizationParameters: { access_type: "offline", prompt: "none", login_hint: "person" },
        requestTimeLimit: "3 seconds",
        maxResponseBytes: 1000
      })
    }))

  const fields: ReadonlyArray<readonly [string, string | null, string | null]> = [
    ["resource", "https://api.test", null],
    ["audience", null, "https://api.test"],
    ["none", null, null]
  ]
  for (const [target, resource, audience] of fields) {
    it.effect(`is told who the token is for as it wants to be: ${target}`, () =>
      Effect.gen(function*() {
        const dialect = { ...Qwen.provider.dialect, target: target as "none" }
        const preset: Provider.WithDevice = { ...Qwen.provider, dialect }
        const options = { server: yield* server, client: { id: "app" }, resource: "https://api.test" }
        const sent: Array<string | null> = []
        const device = yield* DeviceCode.make(Provider.device(preset, options)).pipe(
          Effect.provide(serve((call) =>
            Effect.sync(() => {
              sent.push(call.form.get("resource"), call.form.get("audience"))
              return Response.json({})
            })
          ))
        )
        yield* Effect.flip(device.authorize)
        assert.deepStrictEqual(sent, [resource, audience])
      }))
  }

  it.effect("without a secret has a public client", () =>
    Effect.sync(() => assert.deepStrictEqual(Provider.client(Google.provider, { id: "app" }), { id: "app" })))

  for (
    const [way, tag, encoding] of [["post", "Post"], ["basic", "Basic", "form"], [
      "basic-raw",
      "Basic",
      "raw"
    ]]
  ) {
    it(`that wants a secret by ${way} gets it so`, () => {
      const preset = { ...Google.provider, secret: way as "post" }
      const { auth } = Provider.client(preset, { id: "app", secret: Redacted.make("s") })
      assert.strictEqual(auth?._tag, tag as "Post")
      assert.strictEqual(auth !== undefined && "encoding" in auth ? auth.encoding : undefined, encoding)
    })
  }
})

describe("Entra", () => {
  it("verifies ID tokens where their issuer is known", () => {
    const idToken = (tenant: string) => Entra.make({ tenant }).idToken
    assert.strictEqual(idToken("common"), "ignore")
    assert.strictEqual(idToken("organizations"), "ignore")
    assert.strictEqual(idToken("contoso.onmicrosoft.com"), "ignore")
    assert.strictEqual(idToken("consumers"), undefined)
    assert.strictEqual(idToken("11111111-2222-3333-4444-555555555555"), undefined)
  })
})

describe("the contracts", () => {
  const documented = ["entra", "github", "google"]

  it("are there for each preset, and say what they were written from", () => {
    const names = readdirSync(new URL("./contracts", import.meta.url)).sort()
    const ids = presets.map(({ id }) => `${id.replace("-china", "")}.json`)
    assert.deepStrictEqual(names, [...new Set(ids)].sort())
    for (const name of names.map((file) => file.replace(".json", ""))) {
      const { provider, sources, writtenFrom } = Replay.read(name)
      assert.strictEqual(provider, name)
      assert.strictEqual(
        writtenFrom,
        documented.includes(name)
          ? "the provider's published documents, not recorded live"
          : "what public clients of the provider send and take, not recorded live"
      )
      assert.isAtLeast(sources.length, 1)
      for (const source of sources) assert.strictEqual(new URL(source).protocol, "https:")
    }
  })
})

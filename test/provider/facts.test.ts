/**
 * Every value of every preset, once more: what is published of the provider, or what its public clients do. A value
 * that is changed, added or left out has to be so here too.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Anthropic from "effect-credentials/provider/Anthropic"
import * as Entra from "effect-credentials/provider/Entra"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Google from "effect-credentials/provider/Google"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import * as OpenAI from "effect-credentials/provider/OpenAI"
import type * as Provider from "effect-credentials/provider/Provider"
import * as Qwen from "effect-credentials/provider/Qwen"
import * as Duration from "effect/Duration"

const hour = 3_600_000
const day = 24 * hour
const tenant = "11111111-2222-3333-4444-555555555555"

/** What is so at most of them; each fact below says what isn't. */
const usual = {
  secret: "post",
  defaultLifetime: hour,
  keep: [],
  dialect: { target: "none" },
  idToken: undefined,
  device: undefined,
  browser: undefined
}
const plainDevice = { pkce: false, parameters: {} }
const pkceDevice = { pkce: true, parameters: {} }

/** An old refresh token that stays good is taken again for ever; one that is spent, or may be, never. */
const renewals = {
  /** "Does not rotate", six months without use. */
  google: { rotates: false, graceWindow: Infinity, idleLimit: 180 * day },
  /** A new one each time, without the old one being revoked; 90 days. */
  entra: { rotates: true, graceWindow: Infinity, idleLimit: 90 * day },
  /** Works once; six months. */
  github: { rotates: true, graceWindow: 0, idleLimit: 180 * day },
  /** `refresh_token_reused`. */
  openai: { rotates: true, graceWindow: 0, idleLimit: undefined },
  /** A second use ends the family (FAILURES F1). */
  anthropic: { rotates: true, graceWindow: 0, idleLimit: undefined },
  qwen: { rotates: true, graceWindow: 0, idleLimit: undefined },
  minimax: { rotates: true, graceWindow: 0, idleLimit: undefined }
}

const entra = (name: string, issuer: string, idToken: string | undefined) => ({
  ...usual,
  id: "entra",
  name: "Microsoft Entra ID",
  endpoints: {
    issuer: `https://login.microsoftonline.com/${issuer}/v2.0`,
    authorizationEndpoint: `https://login.microsoftonline.com/${name}/oauth2/v2.0/authorize`,
    tokenEndpoint: `https://login.microsoftonline.com/${name}/oauth2/v2.0/token`,
    deviceAuthorizationEndpoint: `https://login.microsoftonline.com/${name}/oauth2/v2.0/devicecode`,
    endSessionEndpoint: `https://login.microsoftonline.com/${name}/oauth2/v2.0/logout`,
    userinfoEndpoint: "https://graph.microsoft.com/oidc/userinfo",
    jwksUri: `https://login.microsoftonline.com/${name}/discovery/v2.0/keys`
  },
  scopes: ["openid", "profile", "offline_access"],
  renewal: renewals.entra,
  idToken,
  device: plainDevice,
  browser: {
    parameters: {},
    redirect: { host: "localhost", port: undefined, path: "/" },
    pastePage: undefined
  }
})

const github = (origin: string) => ({
  ...usual,
  id: "github",
  name: "GitHub",
  endpoints: {
    issuer: `${origin}/login/oauth`,
    authorizationEndpoint: `${origin}/login/oauth/authorize`,
    tokenEndpoint: `${origin}/login/oauth/access_token`,
    deviceAuthorizationEndpoint: `${origin}/login/device/code`
  },
  scopes: [],
  // An OAuth app's tokens never expire, and say nothing of it.
  defaultLifetime: Infinity,
  renewal: renewals.github,
  dialect: { target: "none", commaScopes: true },
  device: plainDevice,
  browser: {
    parameters: {},
    redirect: { host: "127.0.0.1", port: undefined, path: "/callback" },
    pastePage: undefined
  }
})

const minimax = (id: string, name: string, base: string) => ({
  ...usual,
  id,
  name,
  endpoints: {
    issuer: base,
    tokenEndpoint: `${base}/oauth/token`,
    deviceAuthorizationEndpoint: `${base}/oauth/code`
  },
  scopes: ["group_id", "profile", "model.completion"],
  keep: ["resource_url", "notification_message"],
  renewal: renewals.minimax,
  dialect: {
    target: "none",
    grantType: "urn:ietf:params:oauth:grant-type:user_code",
    code: "user_code",
    start: { response_type: "code" },
    state: true,
    status: "status",
    expiresAt: "expired_in",
    intervalUnit: "milliseconds",
    defaultInterval: "2 seconds",
    requestIds: true
  },
  device: pkceDevice
})

const facts: ReadonlyArray<readonly [string, Provider.Provider, unknown]> = [
  ["Google", Google.provider, {
    ...usual,
    id: "google",
    name: "Google",
    endpoints: {
      issuer: "https://accounts.google.com",
      authorizationEndpoint: "https://accounts.google.com/o/oauth2/v2/auth",
      tokenEndpoint: "https://oauth2.googleapis.com/token",
      deviceAuthorizationEndpoint: "https://oauth2.googleapis.com/device/code",
      revocationEndpoint: "https://oauth2.googleapis.com/revoke",
      userinfoEndpoint: "https://openidconnect.googleapis.com/v1/userinfo",
      jwksUri: "https://www.googleapis.com/oauth2/v3/certs"
    },
    scopes: ["https://www.googleapis.com/auth/generative-language.retriever"],
    renewal: renewals.google,
    device: plainDevice,
    browser: {
      parameters: { access_type: "offline", prompt: "consent" },
      redirect: { host: "127.0.0.1", port: undefined, path: "/" },
      pastePage: undefined
    }
  }],
  ["Qwen", Qwen.provider, {
    ...usual,
    id: "qwen",
    name: "Qwen",
    endpoints: {
      issuer: "https://chat.qwen.ai",
      tokenEndpoint: "https://chat.qwen.ai/api/v1/oauth2/token",
      deviceAuthorizationEndpoint: "https://chat.qwen.ai/api/v1/oauth2/device/code"
    },
    scopes: ["openid", "profile", "email", "model.completion"],
    keep: ["resource_url"],
    renewal: renewals.qwen,
    dialect: { target: "none", requestIds: true, endedBy: ["invalid_request"] },
    // Nobody knows who signs them.
    idToken: "ignore",
    device: pkceDevice
  }],
  ["MiniMax", MiniMax.provider, minimax("minimax", "MiniMax", "https://api.minimax.io")],
  [
    "MiniMax in China",
    MiniMax.make({ region: "china" }),
    minimax("minimax-china", "MiniMax (China)", "https://api.minimaxi.com")
  ],
  ["GitHub", GitHub.provider, github("https://github.com")],
  [
    "a GitHub server",
    GitHub.make({ origin: "https://github.example.com" }),
    github("https://github.example.com")
  ],
  ["Entra for any tenant", Entra.provider, entra("common", "common", "ignore")],
  ["Entra for one tenant", Entra.make({ tenant }), entra(tenant, tenant, undefined)],
  [
    "Entra for personal accounts",
    Entra.make({ tenant: "consumers" }),
    entra("consumers", "9188040d-6c67-4c5b-b112-36a304b66dad", undefined)
  ],
  ["OpenAI", OpenAI.provider, {
    ...usual,
    id: "openai",
    name: "OpenAI",
    endpoints: {
      issuer: "https://auth.openai.com",
      authorizationEndpoint: "https://auth.openai.com/oauth/authorize",
      tokenEndpoint: "https://auth.openai.com/oauth/token",
      revocationEndpoint: "https://auth.openai.com/oauth/revoke",
      jwksUri: "https://auth.openai.com/.well-known/jwks.json"
    },
    scopes: ["openid", "profile", "email", "offline_access"],
    renewal: renewals.openai,
    dialect: { target: "none", json: ["revocation"] },
    browser: {
      parameters: { id_token_add_organizations: "true", codex_cli_simplified_flow: "true" },
      redirect: { host: "localhost", port: 1455, path: "/auth/callback" },
      pastePage: undefined
    }
  }],
  ["Anthropic", Anthropic.provider, {
    ...usual,
    id: "anthropic",
    name: "Anthropic",
    endpoints: {
      issuer: "https://claude.ai",
      authorizationEndpoint: "https://claude.ai/oauth/authorize",
      tokenEndpoint: "https://console.anthropic.com/v1/oauth/token"
    },
    scopes: ["org:create_api_key", "user:profile", "user:inference"],
    renewal: renewals.anthropic,
    dialect: { target: "none", json: ["token"], start: { code: "true" }, redeemsState: true },
    browser: {
      parameters: {},
      redirect: { host: "localhost", port: undefined, path: "/callback" },
      pastePage: "https://console.anthropic.com/oauth/code/callback"
    }
  }]
]

const inMillis = (input: Duration.DurationInput | undefined) =>
  input === undefined ? undefined : Duration.toMillis(input)

describe("what is known of", () => {
  for (const [name, preset, known] of facts) {
    it(name, () => {
      const { defaultLifetime, renewal } = preset
      assert.deepStrictEqual<unknown>({
        ...preset,
        defaultLifetime: inMillis(defaultLifetime),
        renewal: {
          rotates: renewal.rotates,
          graceWindow: inMillis(renewal.graceWindow),
          idleLimit: inMillis(renewal.idleLimit)
        }
      }, known)
    })
  }
})

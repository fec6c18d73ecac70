// A certified provider on loopback, set up like the virtual one, for as long as the scope lasts.
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { JWK } from "jose"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import {
  type Adapter,
  type AdapterPayload,
  type ClientMetadata,
  type Configuration,
  errors,
  Provider
} from "oidc-provider"
import { deviceGrant } from "./calls.js"

export class LoginFailed extends Data.TaggedError("LoginFailed")<{ readonly cause: unknown }> {}

export interface RealProvider {
  readonly issuer: string
  /** A person opens the device page, logs in and consents, or aborts. */
  readonly decide: (userCode: string, verdict: "Approve" | "Deny") => Effect.Effect<void, LoginFailed>
  /** A browser without cookies goes there; the person logs in and consents, or cancels. */
  readonly authorize: (url: string, verdict: "Approve" | "Deny") => Effect.Effect<Arrival, LoginFailed>
}

/** Where a browser ends: outside the provider, or at a page of it. */
export type Arrival =
  | { readonly location: string }
  | { readonly status: number; readonly error: string | undefined }

/**
 * `brief` has device codes that live for a second. With `nonces` each proof of possession needs one.
 */
export const start = Effect.fnUntraced(
  function*(publicKey: JWK, options: { readonly nonces?: boolean } = {}) {
    const server = yield* Effect.acquireRelease(
      Effect.promise(() =>
        new Promise<http.Server>((resolve) => {
          const server = http.createServer()
          server.listen(0, "127.0.0.1", () => resolve(server))
        })
      ),
      (server) =>
        Effect.promise(() => {
          server.closeAllConnections()
          return new Promise((resolve) => server.close(resolve))
        })
    )
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const provider = new Provider(issuer, configuration(publicKey, options.nonces ?? false))
    server.on("request", provider.callback())
    return {
      issuer,
      decide: (userCode, verdict) =>
        Effect.tryPromise({
          try: () => visit(issuer, userCode, verdict),
          catch: (cause) => new LoginFailed({ cause })
        }),
      authorize: (url, verdict) =>
        Effect.tryPromise({
          try: () => browseLogin(issuer, url, verdict),
          catch: (cause) => new LoginFailed({ cause })
        })
    } satisfies RealProvider
  }
)

const configuration = (publicKey: JWK, nonces: boolean): Configuration => ({
  clients: clients(publicKey),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    dPoP: {
      enabled: true,
      ...(nonces ? { nonceSecret: Buffer.alloc(32, 1), requireNonce: () => true } : {})
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => [],
      getResourceServerInfo: (_ctx, indicator) => {
        if (indicator !== apiResource) throw new errors.InvalidTarget()
        return { scope: "read write", accessTokenTTL: 3600, accessTokenFormat: "opaque" }
      }
    }
  },
  scopes: ["openid", "offline_access", "read", "write"],
  clientAuthMethods: [
    "none",
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt"
  ],
  pkce: { required: () => true },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
  ttl: {
    DeviceCode: (_ctx, _code, client) => client.clientId === "brief" ? 1 : 600,
    ...Object.fromEntries(kinds.map((kind) => [kind, 3600]))
  },
  adapter: memory(),
  cookies: { keys: ["a key for tests"] }
})

/** The only one that tokens are issued for. */
export const apiResource = "https://api.test/v1"

const kinds = [
  "AccessToken",
  "AuthorizationCode",
  "ClientCredentials",
  "Grant",
  "IdToken",
  "Interaction",
  "RefreshToken",
  "Session"
]

const clients = (publicKey: JWK): Array<ClientMetadata> => {
  const none = { redirect_uris: [], response_types: [], application_type: "native" as const }
  const device = {
    ...none,
    token_endpoint_auth_method: "none" as const,
    grant_types: [deviceGrant, "refresh_token"]
  }
  const browser = {
    ...none,
    redirect_uris: ["http://127.0.0.1/callback", "https://app.test/callback"],
    post_logout_redirect_uris: ["http://127.0.0.1/logged-out"],
    response_types: ["code" as const],
    token_endpoint_auth_method: "none" as const,
    grant_types: ["authorization_code", "refresh_token"]
  }
  return [
    { ...browser, client_id: "native" },
    { ...browser, client_id: "pusher", require_pushed_authorization_requests: true },
    { ...browser, client_id: "bound", dpop_bound_access_tokens: true },
    { ...device, client_id: "app" },
    { ...device, client_id: "other" },
    { ...device, client_id: "brief" },
    {
      ...none,
      client_id: "hashed",
      client_secret: "a-secret-of-32-characters-at-least",
      token_endpoint_auth_method: "client_secret_jwt",
      grant_types: ["client_credentials"]
    },
    { ...none, client_id: "service", client_secret: "service-secret", grant_types: ["client_credentials"] },
    {
      ...none,
      client_id: "signer",
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: "ES256",
      grant_types: ["client_credentials"],
      jwks: { keys: [publicKey] }
    }
  ]
}

/** Storage that forgets nothing by itself, so that expiry is judged by the provider. */
const memory = (): (name: string) => Adapter => {
  const all = new Map<string, { readonly name: string; readonly payload: AdapterPayload }>()
  const key = (name: string, id: string) => `${name} ${id}`
  const search = (name: string, found: (payload: AdapterPayload) => boolean) =>
    [...all.values()].find((one) => one.name === name && found(one.payload))?.payload
  return (name) => ({
    upsert: async (id, payload) => void all.set(key(name, id), { name, payload }),
    find: async (id) => all.get(key(name, id))?.payload,
    findByUserCode: async (userCode) => search(name, (payload) => payload.userCode === userCode),
    findByUid: async (uid) => search(name, (payload) => payload.uid === uid),
    destroy: async (id) => void all.delete(key(name, id)),
    revokeByGrantId: async (grantId) => {
      for (const [id, one] of all) if (one.payload.grantId === grantId) all.delete(id)
    },
    consume: async (id) => {
      const payload = all.get(key(name, id))?.payload
      if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000)
    }
  })
}

/** Fills in every form that comes until a page has none. */
const visit = async (issuer: string, userCode: string, verdict: "Approve" | "Deny"): Promise<void> => {
  const jar = new Map<string, string>()
  let page = await browse(jar, `${issuer}/device`)
  const own = verdict === "Deny"
    ? { user_code: userCode, abort: "yes" }
    : { user_code: userCode, confirm: "yes" }
  for (let step = 0; step < 6; step++) {
    const form = /<form[^>]*action="([^"]+)"/.exec(page.text)?.[1]
    if (form === undefined || step > 0 && verdict === "Deny") return
    const inputs = [...page.text.matchAll(/<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g)]
    const filled = Object.fromEntries(inputs.map(([, name, value]) => [String(name), String(value)]))
    const body = step === 0 ? { ...filled, ...own } : { ...filled, login: "user", password: "any" }
    page = await browse(jar, new URL(form, page.url).href, new URLSearchParams(body))
  }
  throw new Error(`no end of forms at ${page.url}`)
}

/** Fills in every form until the browser leaves the provider or a page has none. */
const browseLogin = async (issuer: string, start: string, verdict: "Approve" | "Deny"): Promise<Arrival> => {
  const jar = new Map<string, string>()
  const leaves = (location: string) => !location.startsWith(issuer)
  let page = await browse(jar, start, undefined, leaves)
  for (let step = 0; step < 8; step++) {
    if (leaves(page.url)) return { location: page.url }
    const cancel = /href="([^"]+abort)"/.exec(page.text)?.[1]
    const form = /<form[^>]*action="([^"]+)"/.exec(page.text)?.[1]
    if (verdict === "Deny" && cancel !== undefined) {
      page = await browse(jar, new URL(cancel, page.url).href, undefined, leaves)
    } else if (form === undefined) {
      return { status: page.status, error: /error<\/strong>:\s*([a-z_]+)/.exec(page.text)?.[1] }
    } else {
      const inputs = [...page.text.matchAll(/<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g)]
      const filled = Object.fromEntries(inputs.map(([, name, value]) => [String(name), String(value)]))
      const body = new URLSearchParams({ ...filled, login: "alice", password: "any", logout: "yes" })
      page = await browse(jar, new URL(form, page.url).href, body, leaves)
    }
  }
  throw new Error(`no end of forms at ${page.url}`)
}

/** Follows redirects by hand, for the cookies that they set. */
const browse = async (
  jar: Map<string, string>,
  url: string,
  body?: URLSearchParams,
  leaves: (location: string) => boolean = () => false
): Promise<{ readonly url: string; readonly status: number; readonly text: string }> => {
  const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ")
  const response = await fetch(url, {
    redirect: "manual",
    headers: { cookie, accept: "text/html" },
    ...(body === undefined ? {} : { method: "POST", body })
  })
  for (const line of response.headers.getSetCookie()) {
    const [name, value] = (line.split(";")[0] ?? "").split("=")
    if (value) jar.set(String(name), value)
    else jar.delete(String(name))
  }
  const location = response.headers.get("location")
  if (location !== null) {
    const next = new URL(location, url).href
    return leaves(next)
      ? { url: next, status: response.status, text: "" }
      : browse(jar, next, undefined, leaves)
  }
  const text = await response.text()
  if (response.status >= 500) throw new Error(`${response.status} from ${url}`)
  return { url, status: response.status, text }
}

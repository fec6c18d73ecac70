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
  Provider
} from "oidc-provider"
import { deviceGrant } from "./calls.js"

export class LoginFailed extends Data.TaggedError("LoginFailed")<{ readonly cause: unknown }> {}

export interface RealProvider {
  readonly issuer: string
  /** A person opens the device page, logs in and consents, or aborts. */
  readonly decide: (userCode: string, verdict: "Approve" | "Deny") => Effect.Effect<void, LoginFailed>
}

/** `brief` has device codes that live for a second. */
export const start = Effect.fnUntraced(function*(publicKey: JWK) {
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
  const provider = new Provider(issuer, configuration(publicKey))
  server.on("request", provider.callback())
  return {
    issuer,
    decide: (userCode, verdict) =>
      Effect.tryPromise({
        try: () => visit(issuer, userCode, verdict),
        catch: (cause) => new LoginFailed({ cause })
      })
  } satisfies RealProvider
})

const configuration = (publicKey: JWK): Configuration => ({
  clients: clients(publicKey),
  features: {
    clientCredentials: { enabled: true },
    deviceFlow: { enabled: true },
    revocation: { enabled: true }
  },
  clientAuthMethods: ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
  rotateRefreshToken: true,
  issueRefreshToken: (_ctx, client) => client.grantTypeAllowed("refresh_token"),
  ttl: {
    DeviceCode: (_ctx, _code, client) => client.clientId === "brief" ? 1 : 600,
    ...Object.fromEntries(kinds.map((kind) => [kind, 3600]))
  },
  adapter: memory(),
  cookies: { keys: ["a key for tests"] }
})

const kinds = [
  "AccessToken",
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
  return [
    { ...device, client_id: "app" },
    { ...device, client_id: "other" },
    { ...device, client_id: "brief" },
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

/** Follows redirects by hand, for the cookies that they set. */
const browse = async (
  jar: Map<string, string>,
  url: string,
  body?: URLSearchParams
): Promise<{ readonly url: string; readonly text: string }> => {
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
  if (location !== null) return browse(jar, new URL(location, url).href)
  const text = await response.text()
  if (response.status >= 500) throw new Error(`${response.status} from ${url}`)
  return { url, text }
}

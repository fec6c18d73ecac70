/**
 * A certified OpenID provider on a free loopback port, for as long as the scope is open; and a browser
 * without a screen, that fills in the provider's development forms.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as jose from "jose"
import type { AddressInfo } from "node:net"
import { Provider } from "oidc-provider"
import type { Configuration } from "oidc-provider"
import * as Loopback from "../../examples/demo/loopback.js"

export interface OidcProvider {
  readonly issuer: string
  readonly provider: Provider
  /** The requests so far, oldest first. */
  readonly requests: ReadonlyArray<Seen>
  /** The private key of the client `cc-jwt`. */
  readonly clientKey: { readonly jwk: jose.JWK; readonly pem: string; readonly key: CryptoKey }
  /** Does what a person does who follows the link, logs in and consents; gives the text of the last page. */
  readonly approve: (url: string) => Effect.Effect<string>
  /** The same for a login whose browser is sent back to another address: gives that, and does not go there. */
  readonly authorize: (url: string) => Effect.Effect<string>
  /** A browser that keeps its session from one `authorize` to the next. */
  readonly browser: () => Pick<OidcProvider, "authorize">
  /** The same as `approve`, but aborts at the first form that asks to confirm the code. */
  readonly deny: (url: string) => Effect.Effect<string>
}

export interface Seen {
  readonly method: string
  readonly path: string
  readonly authorization: string | undefined
}

export interface Options {
  /** Seconds. Default 3600. */
  readonly accessTokenLifetime?: number | undefined
  /** Seconds. Default 600. */
  readonly deviceCodeLifetime?: number | undefined
  /** Clients beside those of `make`. */
  readonly clients?: Configuration["clients"]
  /** Laid over the features that are on anyway. */
  readonly features?: Configuration["features"]
  /** Laid over the rest of the configuration. */
  readonly configuration?: Configuration | undefined
}

/** The secrets hold every character that encodings get wrong. */
export const basicSecret = "b-a_s~i.c:+ %/&=?!*'()secret-of-basic"
export const postSecret = "p-o_s~t:+ %/&=?-secret-of-post-client"

/**
 * A provider with the clients `cc-basic`, `cc-post`, `cc-jwt` (client credentials), `device` (public), and for
 * logins in a browser `native` (public, on any loopback port under `/callback`) and `web` (with a secret).
 */
export const make = (options: Options = {}): Effect.Effect<OidcProvider, never, Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* Loopback.listen
    const clientKey = yield* Effect.promise(makeClientKey)
    const signingKey = yield* Effect.promise(() => makeJwk("RS256"))
    const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const provider = quietly(() => new Provider(issuer, configure(options, clientKey.jwk, signingKey)))
    const requests: Array<Seen> = []
    const isElsewhere = (location: string) => !location.startsWith(issuer)
    const handle = provider.callback()
    server.on("request", (request, response) => {
      const path = new URL(request.url ?? "/", issuer).pathname
      requests.push({ method: request.method ?? "", path, authorization: request.headers.authorization })
      void handle(request, response)
    })
    return {
      issuer,
      provider,
      requests,
      clientKey,
      approve: (url) => Effect.promise(() => browse(url, {})),
      authorize: (url) => Effect.promise(() => browse(url, {}, isElsewhere)),
      browser: () => {
        const jar: Jar = new Map()
        return { authorize: (url) => Effect.promise(() => browse(url, {}, isElsewhere, jar)) }
      },
      deny: (url) => Effect.promise(() => browse(url, { abort: "yes" }))
    }
  })

const makeJwk = async (alg: string): Promise<jose.JWK> => {
  const { privateKey } = await jose.generateKeyPair(alg, { extractable: true })
  return { ...await jose.exportJWK(privateKey), alg, use: "sig", kid: `kid-${alg}` }
}

const makeClientKey = async (): Promise<OidcProvider["clientKey"]> => {
  const { privateKey } = await jose.generateKeyPair("ES256", { extractable: true })
  const jwk = { ...await jose.exportJWK(privateKey), alg: "ES256", use: "sig", kid: "client-key" }
  return { jwk, pem: await jose.exportPKCS8(privateKey), key: privateKey }
}

/** It announces on the console that its development features are on; here they are wanted. */
const quietly = <A>(make: () => A): A => {
  const { info, warn } = console
  console.info = () => {}
  console.warn = () => {}
  try {
    return make()
  } finally {
    console.info = info
    console.warn = warn
  }
}

const configure = (options: Options, clientKey: jose.JWK, signingKey: jose.JWK): Configuration => {
  const { d: _, ...publicKey } = clientKey
  const machine = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [] }
  return {
    jwks: { keys: [signingKey as never] },
    cookies: { keys: ["cookie-key"] },
    scopes: ["openid", "offline_access", "read", "write"],
    clients: [
      {
        ...machine,
        client_id: "cc-basic",
        client_secret: basicSecret,
        token_endpoint_auth_method: "client_secret_basic"
      },
      {
        ...machine,
        client_id: "cc-post",
        client_secret: postSecret,
        token_endpoint_auth_method: "client_secret_post"
      },
      {
        ...machine,
        client_id: "cc-jwt",
        token_endpoint_auth_method: "private_key_jwt",
        token_endpoint_auth_signing_alg: "ES256",
        jwks: { keys: [publicKey as never] }
      },
      {
        client_id: "device",
        application_type: "native",
        token_endpoint_auth_method: "none",
        grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
        redirect_uris: [],
        response_types: []
      },
      {
        client_id: "native",
        application_type: "native",
        token_endpoint_auth_method: "none",
        grant_types: ["authorization_code", "refresh_token"],
        redirect_uris: ["http://127.0.0.1/callback", "http://[::1]/callback", "http://localhost/callback"],
        post_logout_redirect_uris: ["http://127.0.0.1/logged-out"],
        response_types: ["code"]
      },
      {
        client_id: "web",
        application_type: "native",
        client_secret: basicSecret,
        token_endpoint_auth_method: "client_secret_basic",
        grant_types: ["authorization_code", "refresh_token"],
        redirect_uris: ["http://127.0.0.1/callback"],
        response_types: ["code"]
      },
      ...options.clients ?? []
    ],
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: true },
      devInteractions: { enabled: true },
      ...options.features
    } as NonNullable<Configuration["features"]>,
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    ttl: {
      AccessToken: options.accessTokenLifetime ?? 3600,
      ClientCredentials: options.accessTokenLifetime ?? 3600,
      DeviceCode: options.deviceCodeLifetime ?? 600,
      RefreshToken: 86_400,
      IdToken: 3600,
      Grant: 86_400,
      Interaction: 3600,
      Session: 86_400
    },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    ...options.configuration
  }
}

/** The cookies of a browser, by their names. */
type Jar = Map<string, string>

/** Follows redirects, up to one where it ends, and submits each form that it meets, until a page has none. */
const browse = async (
  start: string,
  press: Readonly<Record<string, string>>,
  ends: (location: string) => boolean = () => false,
  jar: Jar = new Map()
): Promise<string> => {
  let request: { readonly url: string; readonly form?: URLSearchParams } = { url: start }
  for (let step = 0; step < 20; step++) {
    const response = await fetch(request.url, {
      redirect: "manual",
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(request.form === undefined ? {} : { method: "POST", body: request.form })
    })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      jar.set(name, value)
    }
    const location = response.headers.get("location")
    const page = await response.text()
    if (location !== null) {
      request = { url: new URL(location, request.url).href }
      if (ends(request.url)) return request.url
      continue
    }
    const form = readForm(page, press)
    // After an abort it only asks for another code.
    if (form === undefined || request.form?.has("abort") === true) return page
    request = { url: new URL(form.action, request.url).href, form: form.fields }
  }
  throw new Error("the provider's forms do not end")
}

const readForm = (page: string, press: Readonly<Record<string, string>>) => {
  const [, attributes = "", content = ""] = /<form([^>]*)>([\s\S]*?)<\/form>/.exec(page) ?? []
  const action = attribute(attributes, "action")
  if (action === undefined) return undefined
  const fields = new URLSearchParams(
    [...content.matchAll(/<input([^>]*)>/g)].flatMap(([, input = ""]) => {
      const name = attribute(input, "name")
      return name === undefined ? [] : [[name, attribute(input, "value") ?? typed[name] ?? ""]]
    })
  )
  // Whoever has come to log out presses the button that says so.
  if (attributes.includes("op.logoutForm")) fields.set("logout", "yes")
  if (fields.has("confirm")) Object.entries(press).forEach(([name, value]) => fields.set(name, value))
  return { action, fields }
}

const typed: Readonly<Record<string, string>> = { login: "alice", password: "any" }

const attribute = (text: string, name: string): string | undefined =>
  new RegExp(`\\b${name}="([^"]*)"`).exec(text)?.[1]

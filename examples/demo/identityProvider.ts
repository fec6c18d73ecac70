/**
 * A certified OpenID provider on loopback: access tokens of a few seconds, refresh tokens that rotate, and reuse of an
 * old one revokes the login. It can be stopped and started again without forgetting what it has given.
 */
import { Effect, MutableRef, Ref } from "effect"
import * as jose from "jose"
import { createServer } from "node:http"
import type { Server } from "node:http"
import type { AddressInfo } from "node:net"
import type { Configuration, Provider } from "oidc-provider"

export interface IdentityProvider {
  readonly issuer: string
  /** The public keys that its access tokens are signed with. */
  readonly keys: jose.JSONWebKeySet
  readonly start: Effect.Effect<void>
  readonly stop: Effect.Effect<void>
  readonly figures: Effect.Effect<Figures>
}

export interface Figures {
  readonly logins: number
  readonly redemptions: number
  readonly refusals: number
}

export const make = (options: { readonly api: string; readonly lifetime: number }) =>
  Effect.gen(function*() {
    const { port, start, stop } = yield* makeListener
    const issuer = `http://127.0.0.1:${port}`
    const key = yield* Effect.promise(makeKey)
    yield* silence
    const { errors, Provider } = yield* Effect.promise(() => import("oidc-provider"))
    const noSuchResource = () => new errors.InvalidTarget()
    const provider = new Provider(issuer, configure({ ...options, noSuchResource }, key))
    const handle = provider.callback()
    const figures = countGrants(provider)
    const { alg, e, kid, kty, n, use } = key
    const identityProvider: IdentityProvider = {
      issuer,
      keys: { keys: [{ alg, e, kid, kty, n, use } as jose.JWK] },
      start: start((request, response) => void handle(request, response)),
      stop,
      figures: Effect.sync(() => MutableRef.get(figures))
    }
    yield* identityProvider.start
    return identityProvider
  })

const countGrants = (provider: Provider): MutableRef.MutableRef<Figures> => {
  const figures = MutableRef.make<Figures>({ logins: 0, redemptions: 0, refusals: 0 })
  const add = (name: keyof Figures) =>
    MutableRef.update(figures, (all) => ({ ...all, [name]: all[name] + 1 }))
  const isRenewal = (parameters: Record<string, unknown> | undefined) =>
    parameters?.["grant_type"] === "refresh_token"
  provider.on("grant.success", ({ oidc }) => void add(isRenewal(oidc.params) ? "redemptions" : "logins"))
  provider.on("grant.error", ({ oidc }) => void (isRenewal(oidc.params) && add("refusals")))
  return figures
}

type Handler = Parameters<typeof createServer>[1]

/** A port that is kept while the server behind it is stopped and started. */
const makeListener = Effect.gen(function*() {
  const current = yield* Ref.make<Server | undefined>(undefined)
  const stop = Effect.flatMap(
    Ref.getAndSet(current, undefined),
    (server) => server === undefined ? Effect.void : close(server)
  )
  const open = (port: number, handler: Handler) =>
    Effect.flatMap(listen(port, handler), (server) => Effect.as(Ref.set(current, server), server))
  yield* Effect.addFinalizer(() => stop)
  const first = yield* open(0, undefined)
  const { port } = first.address() as AddressInfo
  yield* stop
  return { port, stop, start: (handler: Handler) => Effect.asVoid(open(port, handler)) }
})

const listen = (port: number, handler: Handler) =>
  Effect.async<Server>((resume) => {
    const server = createServer(handler)
    server.on("error", (error) => resume(Effect.die(error)))
    server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
  })

const close = (server: Server) =>
  Effect.async<void>((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

const makeKey = async (): Promise<jose.JWK> => {
  const { privateKey } = await jose.generateKeyPair("RS256", { extractable: true })
  return { ...await jose.exportJWK(privateKey), alg: "RS256", use: "sig", kid: "demo" }
}

/** It comments on its set-up through `console.info` and `console.warn`, which nobody else uses here. */
const silence = Effect.acquireRelease(
  Effect.sync(() => {
    const { info, warn } = console
    Object.assign(console, { info: () => {}, warn: () => {} })
    return { info, warn }
  }),
  (spoken) => Effect.sync(() => Object.assign(console, spoken))
)

const configure = (
  { api, lifetime, noSuchResource }: {
    readonly api: string
    readonly lifetime: number
    readonly noSuchResource: () => Error
  },
  key: jose.JWK
): Configuration => ({
  jwks: { keys: [key as never] },
  cookies: { keys: ["demo"] },
  scopes: ["openid", "profile", "read"],
  claims: { openid: ["sub"], profile: ["name"] },
  clients: [{
    client_id: "demo-app",
    application_type: "native",
    token_endpoint_auth_method: "none",
    grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "authorization_code", "refresh_token"],
    redirect_uris: ["http://127.0.0.1/callback"],
    response_types: ["code"]
  }],
  features: {
    deviceFlow: { enabled: true },
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, resource) => {
        if (resource !== api) throw noSuchResource()
        const token = {
          audience: api,
          scope: "read",
          accessTokenFormat: "jwt",
          accessTokenTTL: lifetime
        } as const
        return { ...token, jwt: { sign: { alg: "RS256" } } }
      }
    }
  },
  rotateRefreshToken: true,
  issueRefreshToken: () => true,
  ttl: {
    AccessToken: lifetime,
    DeviceCode: 600,
    RefreshToken: 86_400,
    Grant: 86_400,
    IdToken: 600,
    Interaction: 600,
    Session: 600
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, name: `${id} of the demo` }) })
})

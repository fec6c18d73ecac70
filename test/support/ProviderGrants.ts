/**
 * Grants that the certified provider has no hands for by itself: passwords, JWT assertions, token exchange, and one
 * that a vendor has made up. Each checks what its standard says, and gives tokens of the provider's own.
 */
import * as jose from "jose"
import { errors } from "oidc-provider"
import type { Configuration, KoaContextWithOIDC, Provider } from "oidc-provider"

export const grantTypes = {
  password: "password",
  jwtBearer: "urn:ietf:params:oauth:grant-type:jwt-bearer",
  tokenExchange: "urn:ietf:params:oauth:grant-type:token-exchange",
  account: "account_credentials"
} as const

export const password = "p-a_s~s.w:o+r% &=?*'()d of alice "

export const clientSecret = "secret-of-the-client-that-is-long-enough-for-every-hash-there-is-0123456789"

/** A client with a secret, and one without, that may use all of them. */
export const clients: NonNullable<Configuration["clients"]> = [
  {
    client_id: "machine",
    client_secret: clientSecret,
    token_endpoint_auth_method: "client_secret_basic",
    grant_types: [...Object.values(grantTypes), "refresh_token"],
    redirect_uris: [],
    response_types: []
  },
  {
    client_id: "public",
    token_endpoint_auth_method: "none",
    grant_types: [...Object.values(grantTypes), "refresh_token"],
    redirect_uris: [],
    response_types: []
  }
]

export interface Options {
  /** Who may sign assertions. */
  readonly key?: jose.JWK | undefined
}

/** Registers them. What they were asked with is kept, oldest first. */
export const register = (
  provider: Provider,
  { key }: Options = {}
): ReadonlyArray<Record<string, unknown>> => {
  const asked: Array<Record<string, unknown>> = []
  const used = new Set<unknown>()
  const on = (
    name: string,
    fields: ReadonlyArray<string>,
    accountOf: (params: Record<string, unknown>) => Promise<string | undefined>,
    extra: Record<string, unknown> = {}
  ) =>
    provider.registerGrantType(name, async (context) => {
      const params = { ...context.oidc.params }
      asked.push(params)
      const account = await accountOf(params)
      if (account === undefined) throw new errors.InvalidGrant("refused")
      context.body = { ...await issue(provider, context, account), ...extra }
    }, [...fields, "scope", "audience"])

  on(
    grantTypes.password,
    ["username", "password"],
    async (params) => params["username"] === "alice" && params["password"] === password ? "alice" : undefined
  )

  on(
    grantTypes.account,
    ["account_id", "account_key"],
    async (params) =>
      params["account_id"] === "acme" && params["account_key"] === "key/of+acme" ? "acme" : undefined
  )

  on(grantTypes.jwtBearer, ["assertion"], async ({ assertion }) => {
    if (key === undefined) return undefined
    const { d: _, ...publicKey } = key
    const verified = await jose.jwtVerify(String(assertion), await jose.importJWK(publicKey, key.alg), {
      issuer: "robot",
      audience: provider.issuer,
      requiredClaims: ["sub", "exp", "jti"]
    }).catch(() => undefined)
    if (verified === undefined || used.has(verified.payload.jti)) return undefined
    used.add(verified.payload.jti)
    return verified.payload.sub
  })

  on(
    grantTypes.tokenExchange,
    ["subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"],
    async (params) => {
      const subject = await provider.AccessToken.find(String(params["subject_token"]))
      return subject?.accountId
    },
    { issued_token_type: "urn:ietf:params:oauth:token-type:access_token" }
  )
  return asked
}

const issue = async (
  provider: Provider,
  { oidc }: KoaContextWithOIDC,
  accountId: string
): Promise<Record<string, unknown>> => {
  const { client, params } = oidc
  if (client === undefined) throw new errors.InvalidClient("none")
  const scope = String(params?.["scope"] ?? "read")
  const grant = new provider.Grant({ accountId, clientId: client.clientId })
  grant.addOIDCScope(scope)
  const shared = { accountId, client, grantId: await grant.save(), gty: "custom", scope, claims: {} }
  const access = new provider.AccessToken(shared as never)
  const refresh = new provider.RefreshToken(
    { ...shared, rotations: 0, iiat: Math.floor(Date.now() / 1000) } as never
  )
  return {
    access_token: await access.save(),
    refresh_token: await refresh.save(),
    expires_in: access.expiration,
    token_type: "Bearer",
    scope
  }
}

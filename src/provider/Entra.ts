/**
 * Microsoft Entra ID, version 2.0 of its endpoints, for one tenant or for several.
 *
 * - A refresh token comes only where `offline_access` is among the scopes. Each renewal gives a new one without
 *   ending the old one; unused they end after 90 days, and after 24 hours for single-page apps.
 * - `resource` is refused: who a token is for is told by its scopes, such as `api://app/read`.
 * - A device login that the person declines is `authorization_declined`, a code that is too old is
 *   `expired_token`, and an unknown one `bad_verification_code`.
 * - A redirect to this machine is registered as `http://localhost` with its path, and comes back to any port. An
 *   IP literal takes a change of the app's manifest.
 * - No address takes tokens back.
 * - ID tokens for `common` and `organizations` come from the issuer of the person's own tenant, whichever that
 *   is, so they can't be verified here and are ignored; name the tenant to have them verified.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Address from "./internal/address.js"
import type * as Provider from "./Provider.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The tenant's id; or `organizations` for any, `consumers` for personal accounts, `common` for both. Default
   * `common`. With a tenant's domain name ID tokens are ignored too, since their issuer has the id in it.
   */
  readonly tenant?: string | undefined
  /**
   * The origin of the cloud. Default `https://login.microsoftonline.com`. Of another one the address of the person's
   * claims is not known here, and a token of it belongs nowhere else: `Provider.server` takes it.
   */
  readonly origin?: string | undefined
}

/** The cloud that is meant where none is named. */
const worldwide = "https://login.microsoftonline.com"

/** The tenant that all personal accounts are of. */
const consumers = "9188040d-6c67-4c5b-b112-36a304b66dad"

/** A tenant's id: the one name of it that its issuer shows. */
const isId = (tenant: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(tenant)

/** The tenant as its issuer writes it. */
const idOf = (tenant: string): string => {
  if (tenant === "consumers") return consumers
  return isId(tenant) ? tenant.toLowerCase() : tenant
}

/** Empty where either is unusable. */
const tenantAt = (origin: string, tenant: string): string => {
  const segment = Address.segment(tenant)
  return origin === "" || segment === "" ? "" : `${origin}/${segment}`
}

/**
 * Microsoft Entra ID for one tenant or for several.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Provider.WithDevice & Provider.WithBrowser => {
  const tenant = options.tenant ?? "common"
  const origin = Address.origin(options.origin ?? worldwide)
  const base = tenantAt(origin, tenant)
  const id = idOf(tenant)
  return {
    id: "entra",
    name: "Microsoft Entra ID",
    endpoints: {
      issuer: `${tenantAt(origin, id)}/v2.0`,
      authorizationEndpoint: `${base}/oauth2/v2.0/authorize`,
      tokenEndpoint: `${base}/oauth2/v2.0/token`,
      deviceAuthorizationEndpoint: `${base}/oauth2/v2.0/devicecode`,
      endSessionEndpoint: `${base}/oauth2/v2.0/logout`,
      userinfoEndpoint: origin === worldwide ? "https://graph.microsoft.com/oidc/userinfo" : undefined,
      jwksUri: `${base}/discovery/v2.0/keys`
    },
    scopes: ["openid", "profile", "offline_access"],
    secret: "post",
    defaultLifetime: "1 hour",
    keep: [],
    renewal: { rotates: true, graceWindow: Duration.infinity, idleLimit: "90 days" },
    dialect: { target: "none" },
    idToken: isId(id) ? undefined : "ignore",
    device: { pkce: false, parameters: {} },
    browser: {
      parameters: {},
      redirect: { host: "localhost", port: undefined, path: "/" },
      pastePage: undefined
    }
  }
}

/**
 * Any tenant, and personal accounts.
 *
 * @since 0.1.0
 * @category presets
 */
export const provider: Provider.WithDevice & Provider.WithBrowser = make()

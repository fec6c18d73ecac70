/**
 * From what the user asks for to settings without gaps.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type * as Options from "../../VirtualProviderOptions.js"
import * as Settings from "./settings.js"
import type { Approval } from "./state.js"

export const settings = (options: Options.Options): Settings.Settings => {
  const issuer = options.issuer ?? "https://idp.test"
  const base = issuer.replace(/\/$/, "")
  const customGrants = new Map(Object.entries(options.customGrants ?? {}))
  const known = Settings.grantTypes({ customGrants })
  return {
    issuer,
    base,
    customGrants,
    clients: new Map((options.clients ?? defaultClients).map((one) => [one.id, client(one, known)])),
    ...lifetimes(options),
    announceRefreshLifetime: options.announceRefreshTokenLifetime ?? false,
    rotation: options.rotation ?? "Rotate",
    needsOfflineAccess: options.requireOfflineAccess ?? false,
    announceInterval: options.announceInterval ?? true,
    announceIssuer: options.announceIssuer ?? true,
    pushes: options.requirePushedRequests ?? false,
    idTokenAlgorithm: options.idTokenAlgorithm ?? "ES256",
    idTokenClaims: options.idTokenClaims ?? ((claims) => claims),
    dpop: dpop(options.dpop),
    person: person(options.person),
    resources: [{ url: `${base}/resource`, anyAudience: true }, ...options.resources ?? []].map(resource),
    trusted: options.trustedIssuers ?? [],
    registration: options.registration ?? "Open",
    clientIdDocuments: options.clientIdDocuments ?? true,
    documents: new Map(Object.entries(options.documents ?? {})),
    metadata: options.metadata ?? {}
  }
}

const lifetimes = (options: Options.Options) => ({
  accessLifetime: millis(options.accessTokenLifetime, "1 hour"),
  refreshLifetime: millis(options.refreshTokenLifetime, "30 days"),
  grace: millis(options.reuseGrace, 0),
  deviceLifetime: millis(options.deviceCodeLifetime, "10 minutes"),
  interval: millis(options.deviceInterval, "5 seconds"),
  codeLifetime: millis(options.authorizationCodeLifetime, "1 minute"),
  pushedLifetime: millis(options.pushedRequestLifetime, "1 minute"),
  idTokenLifetime: millis(options.idTokenLifetime, "1 hour")
})

const defaultClients: ReadonlyArray<Options.Client> = [
  { id: "app" },
  { id: "service", secret: Redacted.make("service-secret") }
]

export const client = (input: Options.Client, known: ReadonlyArray<string>): Settings.Client => {
  const methods = input.methods ?? defaultMethods(input)
  return {
    id: input.id,
    methods,
    secret: input.secret,
    publicKeys: input.publicKey === undefined ? [] : [input.publicKey],
    grants: input.grants ??
      known.filter((grant) => grant !== "client_credentials" || !methods.includes("none")),
    scopes: input.scopes,
    redirectUris: input.redirectUris ?? Settings.loopbackHosts.map((host) => `http://${host}/callback`),
    postLogoutRedirectUris: input.postLogoutRedirectUris ??
      Settings.loopbackHosts.map((host) => `http://${host}/logged-out`),
    pushes: input.requirePushedRequests ?? false,
    dpop: input.requireDpop ?? false
  }
}

const defaultMethods = (input: Options.Client): ReadonlyArray<Options.Method> => {
  if (input.publicKey !== undefined) return ["private_key_jwt"]
  return input.secret === undefined ? ["none"] : ["client_secret_basic", "client_secret_post"]
}

const dpop = (input: Options.DpopOptions = {}): Settings.Dpop => ({
  required: input.required ?? false,
  nonces: input.nonces ?? false,
  nonceLifetime: millis(input.nonceLifetime, "5 minutes"),
  proofWindow: millis(input.proofWindow, "1 minute")
})

const person = (input: Options.Person = {}): Settings.Person => ({
  subject: input.subject ?? "alice",
  claims: input.claims ?? { name: "Alice Example", email: "alice@idp.test", email_verified: true },
  password: input.password ?? Redacted.make("alice-password")
})

const resource = (input: Options.Resource): Settings.Resource => ({
  url: new URL(input.url),
  id: input.url,
  scopes: input.scopes ?? [],
  scopesByMethod: new Map(Object.entries(input.scopesByMethod ?? {})),
  anyAudience: input.anyAudience ?? false,
  dpop: input.requireDpop ?? false,
  challenges: input.challenges ?? true,
  metadata: input.metadata ?? {}
})

export const millis = (input: Duration.DurationInput | undefined, orElse: Duration.DurationInput): number =>
  Duration.toMillis(Duration.decode(input ?? orElse))

export const skew = (input: Options.Skew): number =>
  "ahead" in input ? millis(input.ahead, 0) : -millis(input.behind, 0)

export const approval = (input: Options.Approval): Approval | undefined => {
  if (input === "ByHand") return undefined
  return "approveAfter" in input
    ? { verdict: "Approve", after: millis(input.approveAfter, 0) }
    : { verdict: "Deny", after: millis(input.denyAfter, 0) }
}

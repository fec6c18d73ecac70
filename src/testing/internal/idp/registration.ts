/**
 * Clients that make themselves known: by registration (RFC 7591), or by a document at the address that is their
 * id (OAuth Client ID Metadata Document).
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Predicate from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import type * as Jose from "jose"
import type { Method } from "../../VirtualProviderOptions.js"
import * as Answer from "./answer.js"
import * as Incoming from "./incoming.js"
import * as RedirectUri from "./redirectUri.js"
import * as Settings from "./settings.js"
import * as State from "./state.js"

type Metadata = Readonly<Record<string, unknown>>

/** RFC 7591 §3. */
export const register = (
  { incoming, now, secrets, settings }: {
    readonly settings: Settings.Settings
    readonly incoming: Incoming.Incoming
    readonly secrets: State.Secrets
    readonly now: number
  },
  state: State.State
): Answer.Step => {
  const refused = admission(settings, incoming)
  if (refused !== undefined) return [refused, state]
  const metadata = isJson(incoming) ? parse(incoming.text) : undefined
  if (metadata === undefined) return [Answer.refuse("invalid_request"), state]
  return Either.match(read(settings, secrets.another("client"), metadata), {
    onLeft: (error) => [Answer.refuse(error), state],
    onRight: (client) => {
      const secret = usesSecret(client.methods) ? secrets.another("cs") : undefined
      const known = secret === undefined ? client : { ...client, secret: Redacted.make(secret) }
      const answer = Answer.created("Registered", told(metadata, known, secret, now))
      return [answer, State.register(state, known, "Itself")]
    }
  })
}

/** RFC 7591 §3: who may register at all. */
const admission = (
  { registration }: Settings.Settings,
  { authorization }: Incoming.Incoming
): Answer.Answer | undefined => {
  if (registration === "Open") return undefined
  if (registration === "Closed") return Answer.notFound
  return authorization === `Bearer ${Redacted.value(registration)}`
    ? undefined
    : Answer.refuse("invalid_token", {
      status: 401,
      headers: { "www-authenticate": "Bearer error=\"invalid_token\"" }
    })
}

const isJson = ({ contentType }: Incoming.Incoming): boolean =>
  Incoming.isType(contentType, "application/json")

const parse = (text: string): Metadata | undefined => {
  const value = Either.getOrUndefined(Either.try(() => JSON.parse(text) as unknown))
  return Predicate.isRecord(value) ? value : undefined
}

const usesSecret = (methods: ReadonlyArray<Method>): boolean =>
  methods.some((method) => method.startsWith("client_secret"))

/** RFC 7591 §3.2.1: everything that holds for the client from now on. */
const told = (
  metadata: Metadata,
  client: Settings.Client,
  secret: string | undefined,
  now: number
): Metadata => ({
  ...metadata,
  client_id: client.id,
  client_id_issued_at: Math.floor(now / 1000),
  ...(secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: 0 }),
  redirect_uris: client.redirectUris,
  grant_types: client.grants,
  response_types: client.grants.includes("authorization_code") ? ["code"] : [],
  token_endpoint_auth_method: client.methods[0]
})

/** What a document says about the client whose id is its address. */
export const readDocument = (
  settings: Settings.Settings,
  id: string,
  document: unknown
): Settings.Client | undefined => {
  if (!Predicate.isRecord(document) || document["client_id"] !== id || "client_secret" in document) {
    return undefined
  }
  const metadata = { token_endpoint_auth_method: "none", ...document }
  const client = Either.getOrUndefined(read(settings, id, metadata))
  return client === undefined || usesSecret(client.methods) ? undefined : client
}

/** RFC 7591 §2. */
const read = (
  settings: Settings.Settings,
  id: string,
  metadata: Metadata
): Either.Either<Settings.Client, "invalid_redirect_uri" | "invalid_client_metadata"> => {
  const redirectUris = texts(metadata["redirect_uris"], [])
  const grants = texts(metadata["grant_types"], ["authorization_code"])
  const method = metadata["token_endpoint_auth_method"] ?? "client_secret_basic"
  const needsUri = grants?.includes("authorization_code") ?? false
  if (redirectUris === undefined || !redirectUris.every(RedirectUri.isFine)) {
    return Either.left("invalid_redirect_uri")
  }
  if (needsUri && redirectUris.length === 0) return Either.left("invalid_redirect_uri")
  if (grants === undefined || !isMethod(method) || !isSound(settings, metadata, grants, method)) {
    return Either.left("invalid_client_metadata")
  }
  return Either.right({
    id,
    methods: [method],
    secret: undefined,
    publicKeys: keysOf(metadata) ?? [],
    grants,
    scopes: Predicate.isString(metadata["scope"]) ? Incoming.words(metadata["scope"]) : undefined,
    redirectUris,
    postLogoutRedirectUris: texts(metadata["post_logout_redirect_uris"], []) ?? [],
    pushes: metadata["require_pushed_authorization_requests"] === true,
    dpop: metadata["dpop_bound_access_tokens"] === true
  })
}

const methods: ReadonlyArray<Method> = [
  "none",
  "client_secret_basic",
  "client_secret_post",
  "client_secret_jwt",
  "private_key_jwt"
]

const isMethod = (method: unknown): method is Method => methods.some((one) => one === method)

const isSound = (
  settings: Settings.Settings,
  metadata: Metadata,
  grants: ReadonlyArray<string>,
  method: Method
): boolean => {
  const responseTypes = texts(
    metadata["response_types"],
    grants.includes("authorization_code") ? ["code"] : []
  )
  return grants.every((grant) => Settings.grantTypes(settings).includes(grant)) &&
    responseTypes !== undefined && responseTypes.every((type) => type === "code") &&
    grants.includes("authorization_code") === responseTypes.includes("code") &&
    !(method === "none" && grants.includes("client_credentials")) &&
    (method !== "private_key_jwt" || keysOf(metadata) !== undefined)
}

const keysOf = (metadata: Metadata): ReadonlyArray<Jose.JWK> | undefined => {
  const jwks = metadata["jwks"]
  return Predicate.isRecord(jwks) && Array.isArray(jwks["keys"]) && jwks["keys"].length > 0
    ? jwks["keys"] as ReadonlyArray<Jose.JWK>
    : undefined
}

/** A list of texts; undefined where it is something else. */
const texts = (value: unknown, orElse: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
  if (value === undefined) return orElse
  return Array.isArray(value) && value.every(Predicate.isString) ? value : undefined
}

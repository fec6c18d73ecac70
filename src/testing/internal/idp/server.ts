/**
 * What the server does with a request: one pure step.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Endpoint } from "../../Journal.js"
import * as Answer from "./answer.js"
import * as ClientAuth from "./clientAuth.js"
import * as Device from "./device.js"
import * as Grants from "./grants.js"
import * as Incoming from "./incoming.js"
import * as Settings from "./settings.js"
import * as State from "./state.js"

/** A request with everything that the step needs. */
export interface Request {
  readonly settings: Settings.Settings
  readonly incoming: Incoming.Incoming
  readonly credentials: Either.Either<ClientAuth.Credentials, Answer.Answer>
  readonly secrets: State.Secrets
  readonly now: number
}

/** Which part of the provider a URL names; undefined for another host. */
export const route = (settings: Settings.Settings, url: URL): Endpoint | undefined => {
  const base = new URL(settings.base)
  if (url.origin !== base.origin) return undefined
  const prefix = base.pathname === "/" ? "" : base.pathname
  if (url.pathname === `/.well-known/oauth-authorization-server${prefix}`) return "discovery"
  return url.pathname.startsWith(`${prefix}/`)
    ? paths.get(url.pathname.slice(prefix.length)) ?? "unknown"
    : "unknown"
}

const paths: ReadonlyMap<string, Endpoint> = new Map([
  ["/.well-known/openid-configuration", "discovery"],
  ["/token", "token"],
  ["/device_authorization", "device_authorization"],
  ["/revocation", "revocation"],
  ["/resource", "resource"]
])

/** The answer to a request, and the books after it. */
export const act = (request: Request, books: State.State): Grants.Step => {
  const state = State.cleared(books, request.settings, request.now)
  const { endpoint, form, method } = request.incoming
  if (endpoint === "resource") return [resource(request, state), state]
  if (endpoint === "discovery" && method === "GET") {
    return [Answer.ok("Served", metadata(request.settings)), state]
  }
  if (endpoint === "discovery" || endpoint === "unknown" || method !== "POST") {
    return [Answer.notFound, state]
  }
  if (form._tag === "Bad") return [Answer.refuse("invalid_request", { status: form.status }), state]
  return Either.match(authenticate(request, state), {
    onLeft: (answer) => [answer, state],
    onRight: ([client, next]) => asClient({ ...request, client }, next)
  })
}

const authenticate = (request: Request, state: State.State) =>
  Either.flatMap(
    request.credentials,
    (credentials) => ClientAuth.check(request.settings, state, request.incoming, credentials, request.now)
  )

const asClient = (call: Grants.Call, state: State.State): Grants.Step => {
  switch (call.incoming.endpoint) {
    case "device_authorization":
      return call.client.grants.includes(Settings.deviceGrant)
        ? Device.start(call, state)
        : [Answer.refuse("unauthorized_client"), state]
    case "revocation":
      return revoke(call, state)
    default:
      return token(call, state)
  }
}

const token = (call: Grants.Call, state: State.State): Grants.Step => {
  const grantType = Incoming.field(call.incoming, "grant_type")
  if (grantType === undefined) return [Answer.refuse("invalid_request"), state]
  if (!Settings.grantTypes.includes(grantType)) return [Answer.refuse("unsupported_grant_type"), state]
  if (!call.client.grants.includes(grantType)) return [Answer.refuse("unauthorized_client"), state]
  switch (grantType) {
    case "client_credentials":
      return Grants.clientCredentials(call, state)
    case "refresh_token":
      return Grants.refreshToken(call, state)
    default:
      return Device.poll(call, state)
  }
}

/** RFC 7009 §2: a token that is unknown or somebody else's is none of the caller's business. */
const revoke = (call: Grants.Call, state: State.State): Grants.Step => {
  const value = Incoming.field(call.incoming, "token")
  if (value === undefined) return [Answer.refuse("invalid_request"), state]
  const owned = State.ownerOf(state, value) === call.client.id
  return [Answer.nothing("Revoked"), owned ? State.revokeToken(state, value, call.now) : state]
}

/** RFC 6750 §3: without a token there is a challenge but no error. */
const resource = ({ incoming, now, settings }: Request, state: State.State): Answer.Answer => {
  const value = /^Bearer +(.+)$/i.exec(incoming.authorization ?? "")?.[1]
  const access = value === undefined ? undefined : State.validAccess(state, value, now)
  if (access !== undefined) {
    const { client, scopes } = access
    return Answer.ok("Served", {
      client,
      scope: scopes.join(" "),
      method: incoming.method,
      bytes: incoming.bytes
    })
  }
  const error = value === undefined ? "" : ", error=\"invalid_token\""
  return Answer.refuse("invalid_token", {
    status: 401,
    headers: { "www-authenticate": `Bearer realm="${settings.issuer}"${error}` }
  })
}

/** OpenID Connect Discovery §3, RFC 8414 §2. */
const metadata = (
  { base, clients, issuer, metadata }: Settings.Settings
): Readonly<Record<string, unknown>> => ({
  issuer,
  token_endpoint: `${base}/token`,
  device_authorization_endpoint: `${base}/device_authorization`,
  revocation_endpoint: `${base}/revocation`,
  response_types_supported: [],
  grant_types_supported: Settings.grantTypes,
  token_endpoint_auth_methods_supported: [
    ...new Set([...clients.values()].flatMap(({ methods }) => methods))
  ],
  ...metadata
})

/**
 * What the server does with a request: one pure step.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import type { Endpoint } from "../../Journal.js"
import * as Answer from "./answer.js"
import * as Assertions from "./assertions.js"
import * as Authorization from "./authorization.js"
import * as ClientAuth from "./clientAuth.js"
import * as Code from "./code.js"
import * as Device from "./device.js"
import * as Endings from "./endings.js"
import type { Evidence } from "./evidence.js"
import * as Grants from "./grants.js"
import * as Incoming from "./incoming.js"
import * as Metadata from "./metadata.js"
import * as Proof from "./proof.js"
import * as Pushed from "./pushed.js"
import * as Registration from "./registration.js"
import * as Resource from "./resource.js"
import * as Settings from "./settings.js"
import * as State from "./state.js"
import type * as Tokens from "./tokens.js"

/** A request with everything that the step needs. */
export interface Request {
  readonly settings: Settings.Settings
  readonly incoming: Incoming.Incoming
  readonly evidence: Evidence
  readonly secrets: State.Secrets
  readonly now: number
  /** What the person does with the page that the browser gets; as scripted where undefined. */
  readonly choice: Authorization.Choice | undefined
}

/** Which part of the provider a URL names; undefined for another host. */
export const route = (settings: Settings.Settings, url: URL): Endpoint | undefined => {
  const base = new URL(settings.base)
  if (settings.resources.some((resource) => isAt(Resource.metadataUrl(resource), url))) {
    return "resource_metadata"
  }
  const prefix = base.pathname === "/" ? "" : base.pathname
  if (url.origin === base.origin) {
    if (url.pathname === `/.well-known/oauth-authorization-server${prefix}`) return "discovery"
    const known = url.pathname.startsWith(`${prefix}/`) && paths.get(url.pathname.slice(prefix.length))
    if (known) return known
  }
  if (resourceAt(settings, url) !== undefined) return "resource"
  if (settings.documents.has(url.href)) return "document"
  return url.origin === base.origin ? "unknown" : undefined
}

const paths: ReadonlyMap<string, Endpoint> = new Map([
  ["/.well-known/openid-configuration", "discovery"],
  ["/jwks", "jwks"],
  ["/authorize", "authorization"],
  ["/par", "pushed_authorization_request"],
  ["/token", "token"],
  ["/device_authorization", "device_authorization"],
  ["/revocation", "revocation"],
  ["/introspection", "introspection"],
  ["/userinfo", "userinfo"],
  ["/end_session", "end_session"],
  ["/registration", "registration"]
])

const isAt = (one: URL, other: URL): boolean => one.origin === other.origin && one.pathname === other.pathname

/** The resource that a request is for: the one whose address is the longest. */
const resourceAt = ({ resources }: Settings.Settings, url: URL): Settings.Resource | undefined =>
  resources
    .filter((resource) => isAt(resource.url, url) || isBelow(resource.url, url))
    .sort((left, right) => right.url.pathname.length - left.url.pathname.length)[0]

const isBelow = (resource: URL, url: URL): boolean =>
  resource.origin === url.origin && url.pathname.startsWith(resource.pathname.replace(/\/?$/, "/"))

/** The answer to a request, and the books after it. */
export const act = (request: Request, books: State.State): Answer.Step => {
  const { incoming, now, secrets, settings } = request
  const state = Proof.withNonce(State.cleared(books, settings, now), settings, secrets, now)
  const one = { settings, incoming, now, proof: request.evidence.proof }
  const reads = incoming.method === "GET" || incoming.method === "POST"
  switch (incoming.endpoint) {
    case "resource": {
      const resource = resourceAt(settings, incoming.url)
      return resource === undefined ? [Answer.notFound, state] : Resource.serve(one, resource, state)
    }
    case "userinfo":
      return reads ? Resource.userinfo(one, state) : [Answer.notFound, state]
    case "authorization":
      return reads ? Authorization.visit(request, state) : [Answer.notFound, state]
    case "end_session":
      return reads ? Endings.logout(request, state) : [Answer.notFound, state]
    case "discovery":
    case "jwks":
    case "resource_metadata":
    case "document":
      return [incoming.method === "GET" ? tell(request) : Answer.notFound, state]
    default:
      return incoming.method === "POST" ? change(request, state) : [Answer.notFound, state]
  }
}

/** What anybody may read. */
const tell = ({ incoming, settings }: Request): Answer.Answer => {
  const { resources } = settings
  switch (incoming.endpoint) {
    case "discovery":
      return Answer.ok("Served", Metadata.metadata(settings))
    case "jwks":
      return { ...Answer.ok("Served", {}), finish: { _tag: "Keys" } }
    case "resource_metadata": {
      const found = resources.find((one) => isAt(Resource.metadataUrl(one), incoming.url))
      return found === undefined ? Answer.notFound : Answer.ok("Served", Resource.metadata(settings, found))
    }
    default:
      return Answer.ok("Served", settings.documents.get(incoming.url.href) as Record<string, unknown>)
  }
}

/** What is asked for by POST. */
const change = (request: Request, state: State.State): Answer.Step => {
  const { endpoint, form } = request.incoming
  if (endpoint === "unknown") return [Answer.notFound, state]
  if (endpoint === "registration") return Registration.register(request, state)
  if (form._tag === "Bad") return [Answer.refuse("invalid_request", { status: form.status }), state]
  return Either.match(authenticate(request, state), {
    onLeft: (answer) => [answer, state],
    onRight: ([client, next]) => asClient({ ...request, client, jkt: undefined }, next)
  })
}

const authenticate = (request: Request, state: State.State) =>
  Either.flatMap(
    request.evidence.credentials,
    (credentials) => ClientAuth.check(request.settings, state, request.incoming, credentials, request.now)
  )

const asClient = (call: Tokens.Call, state: State.State): Answer.Step => {
  switch (call.incoming.endpoint) {
    case "device_authorization":
      return call.client.grants.includes(Settings.deviceGrant)
        ? Device.start(call, state)
        : [Answer.refuse("unauthorized_client"), state]
    case "revocation":
      return Endings.revoke(call, state)
    case "introspection":
      return Endings.introspect(call, state)
    case "pushed_authorization_request":
      return withProof(call, state, false, Pushed.push)
    default:
      return token(call, state)
  }
}

/** Goes on with the key that was proved. */
const withProof = (
  call: Tokens.Call,
  state: State.State,
  isNeeded: boolean,
  next: (call: Tokens.Call, state: State.State) => Answer.Step
): Answer.Step => {
  const { proof } = call.evidence
  if (isNeeded && proof._tag === "None") return [Answer.refuse("invalid_dpop_proof"), state]
  return Either.match(Proof.judge({ ...call, proof }, state), {
    onLeft: (fault) => Proof.refusal(fault, state),
    onRight: ([jkt, books]) => {
      const [answer, after] = next({ ...call, jkt }, books)
      return [jkt === undefined ? answer : Answer.withHeaders(answer, Proof.nonceHeader(after)), after]
    }
  })
}

const token = (call: Tokens.Call, state: State.State): Answer.Step => {
  const grantType = Incoming.field(call.incoming, "grant_type")
  if (grantType === undefined) return [Answer.refuse("invalid_request"), state]
  if (!Settings.grantTypes(call.settings).includes(grantType)) {
    return [Answer.refuse("unsupported_grant_type"), state]
  }
  if (!call.client.grants.includes(grantType)) return [Answer.refuse("unauthorized_client"), state]
  const isNeeded = call.settings.dpop.required || call.client.dpop
  return withProof(call, state, isNeeded, (proved, books) => grant(grantType, proved, books))
}

const grant = (grantType: string, call: Tokens.Call, state: State.State): Answer.Step => {
  switch (grantType) {
    case "client_credentials":
      return Grants.clientCredentials(call, state)
    case "refresh_token":
      return Grants.refreshToken(call, state)
    case "authorization_code":
      return Code.exchange(call, state)
    case "password":
      return Grants.password(call, state)
    case Settings.deviceGrant:
      return Device.poll(call, state)
    case Settings.jwtBearerGrant:
      return Assertions.jwtBearer(call, state)
    case Settings.exchangeGrant:
      return Assertions.exchange(call, state)
    default:
      return custom(grantType, call, state)
  }
}

const custom = (grantType: string, call: Tokens.Call, state: State.State): Answer.Step => {
  const answer = call.settings.customGrants.get(grantType)
  const fields = call.incoming.form._tag === "Form" ? call.incoming.form.fields : new Map<string, string>()
  return answer === undefined
    ? [Answer.refuse("unsupported_grant_type"), state]
    : Assertions.custom(call, state, answer({ client: call.client.id, fields, now: call.now }))
}

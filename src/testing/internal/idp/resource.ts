/**
 * What takes access tokens: protected resources (RFC 6750, RFC 9728) and the userinfo endpoint (OpenID Connect
 * Core §5.3).
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Answer from "./answer.js"
import * as Proof from "./proof.js"
import type { Resource, Settings } from "./settings.js"
import * as State from "./state.js"
import * as Targets from "./targets.js"

/** What a challenge says (RFC 6750 §3, RFC 9449 §7.1). */
interface Challenge {
  readonly error?: string | undefined
  readonly status?: number | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
}

interface Presented {
  readonly scheme: string
  readonly token: string
}

/** A request to a protected resource. */
export const serve = (request: Proof.Case, resource: Resource, state: State.State): Answer.Step => {
  const { incoming, settings } = request
  const needed = [...resource.scopes, ...resource.scopesByMethod.get(incoming.method) ?? []]
  const refuse = (challenge: Challenge, books: State.State): Answer.Step => [
    challenged(settings, resource, { ...challenge, scopes: challenge.scopes ?? resource.scopes }, books),
    books
  ]
  return Either.match(admit(request, state, resource.dpop), {
    onLeft: (challenge) => refuse(challenge, state),
    onRight: ([access, next]) => {
      if (!isFor(settings, resource, access)) return refuse({ error: "invalid_token" }, next)
      if (!Targets.isWithin(needed, access.scopes)) {
        return refuse({ error: "insufficient_scope", status: 403, scopes: needed }, next)
      }
      return [withNonce(request, next, Answer.ok("Served", served(request, access))), next]
    }
  })
}

const served = ({ incoming }: Proof.Case, { client, resources, scopes, subject }: State.AccessToken) => ({
  client,
  scope: scopes.join(" "),
  method: incoming.method,
  bytes: incoming.bytes,
  ...(subject === undefined ? {} : { subject }),
  ...(resources.length === 0 ? {} : { resources })
})

/**
 * RFC 8707 §2, RFC 9728 §7.4: a token for somebody else is none. Where the provider knows no other resources, the
 * plain one stands for all.
 */
const isFor = (
  settings: Settings,
  { anyAudience, id }: Resource,
  { resources }: State.AccessToken
): boolean =>
  resources.includes(id) || (anyAudience && (resources.length === 0 || settings.resources.length === 1))

/** The token that came with a request, if it is good; else what the challenge says. */
const admit = (
  request: Proof.Case,
  state: State.State,
  needsKey: boolean
): Either.Either<readonly [State.AccessToken, State.State], Challenge> => {
  const presented = read(request.incoming.authorization)
  if (presented === undefined) return Either.left({})
  const access = State.validAccess(state, presented.token, request.now)
  if (access === undefined || (needsKey && access.jkt === undefined)) {
    return Either.left({ error: "invalid_token" })
  }
  const isBound = access.jkt !== undefined
  if (isBound !== (presented.scheme === "dpop")) return Either.left({ error: "invalid_token" })
  if (!isBound) return Either.right([access, state])
  if (request.proof._tag === "None") return Either.left({ error: "invalid_dpop_proof" })
  return Either.flatMap(
    Either.mapLeft(Proof.judge(request, state, presented.token), (error): Challenge => ({ error })),
    ([jkt, next]) =>
      jkt === access.jkt ? Either.right([access, next]) : Either.left<Challenge>({ error: "invalid_token" })
  )
}

/** RFC 6750 §2.1, RFC 9449 §7.1. */
const read = (authorization: string | undefined): Presented | undefined => {
  const [, scheme, token] = /^(Bearer|DPoP) +(.+)$/i.exec(authorization ?? "") ?? []
  return scheme === undefined || token === undefined ? undefined : { scheme: scheme.toLowerCase(), token }
}

const challenged = (
  settings: Settings,
  resource: Resource,
  { error, scopes = [], status = 401 }: Challenge,
  state: State.State
): Answer.Answer => {
  const isOfKey = resource.dpop || error === "invalid_dpop_proof" || error === "use_dpop_nonce"
  const fields = [
    ["realm", settings.issuer],
    ...error === undefined ? [] : [["error", error]],
    ...resource.challenges && scopes.length > 0 ? [["scope", scopes.join(" ")]] : [],
    ...resource.challenges ? [["resource_metadata", metadataUrl(resource).href]] : [],
    ...isOfKey ? [["algs", Proof.algorithms.join(" ")]] : []
  ]
  const text = fields.map(([name, value]) => `${name}="${value}"`).join(", ")
  return Answer.refuse(error ?? "invalid_token", {
    status,
    headers: {
      "www-authenticate": `${isOfKey ? "DPoP" : "Bearer"} ${text}`,
      ...(isOfKey ? Proof.nonceHeader(state) : {})
    }
  })
}

/** The next nonce goes to whoever proves a key (RFC 9449 §8.2). */
const withNonce = ({ proof }: Proof.Case, state: State.State, answer: Answer.Answer): Answer.Answer =>
  proof._tag === "Signed" ? Answer.withHeaders(answer, Proof.nonceHeader(state)) : answer

/** RFC 9728 §3.1. */
export const metadataUrl = ({ url }: Resource): URL => {
  const path = url.pathname === "/" ? "" : url.pathname
  return new URL(`/.well-known/oauth-protected-resource${path}${url.search}`, url)
}

/** RFC 9728 §2. */
export const metadata = (settings: Settings, resource: Resource): Readonly<Record<string, unknown>> => ({
  resource: resource.id,
  authorization_servers: [settings.issuer],
  bearer_methods_supported: ["header"],
  dpop_signing_alg_values_supported: Proof.algorithms,
  ...(resource.dpop ? { dpop_bound_access_tokens_required: true } : {}),
  ...scopesSupported(resource),
  ...resource.metadata
})

const scopesSupported = ({ scopes, scopesByMethod }: Resource) => {
  const all = [...new Set([...scopes, ...[...scopesByMethod.values()].flat()])]
  return all.length === 0 ? {} : { scopes_supported: all }
}

/** OpenID Connect Core §5.3. */
export const userinfo = (request: Proof.Case, state: State.State): Answer.Step => {
  const refuse = ({ error, status = 401 }: Challenge): Answer.Step => {
    const isOfKey = error === "invalid_dpop_proof" || error === "use_dpop_nonce"
    const text = error === undefined ? `realm="${request.settings.issuer}"` : `error="${error}"`
    const headers = {
      "www-authenticate": `${isOfKey ? "DPoP" : "Bearer"} ${text}`,
      ...(isOfKey ? Proof.nonceHeader(state) : {})
    }
    return [Answer.refuse(error ?? "invalid_token", { status, headers }), state]
  }
  return Either.match(admit(request, state, false), {
    onLeft: refuse,
    onRight: ([{ scopes, subject }, next]) => {
      if (subject === undefined || !scopes.includes("openid")) {
        return refuse({ error: "insufficient_scope", status: 403 })
      }
      const claims = { sub: subject, ...released(request.settings, scopes) }
      return [withNonce(request, next, Answer.ok("Served", claims)), next]
    }
  })
}

/** OpenID Connect Core §5.4. */
const released = ({ person }: Settings, scopes: ReadonlyArray<string>) =>
  Object.fromEntries(
    Object.entries(person.claims).filter(([name]) =>
      scopes.includes(name.startsWith("email") ? "email" : "profile")
    )
  )

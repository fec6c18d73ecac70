/**
 * How tokens and sessions are looked at and ended: introspection (RFC 7662), revocation (RFC 7009), logout
 * (OpenID Connect RP-Initiated Logout).
 *
 * @since 0.1.0
 */
import type * as Jose from "jose"
import * as Answer from "./answer.js"
import type { Evidence } from "./evidence.js"
import * as Incoming from "./incoming.js"
import * as RedirectUri from "./redirectUri.js"
import type { Settings } from "./settings.js"
import * as State from "./state.js"
import type * as Tokens from "./tokens.js"

/**
 * RFC 7009 §2.1, §2.2: a token that is unknown counts as revoked. A client that has proved itself is told that one is
 * somebody else's; from others that is kept.
 */
export const revoke = (call: Tokens.Call, state: State.State): Answer.Step => {
  const value = Incoming.field(call.incoming, "token")
  if (value === undefined) return [Answer.refuse("invalid_request"), state]
  const owner = State.ownerOf(state, value)
  if (owner === call.client.id) return [Answer.nothing("Revoked"), State.revokeToken(state, value, call.now)]
  return owner === undefined || call.client.methods.includes("none")
    ? [Answer.nothing("Revoked"), state]
    : [Answer.refuse("invalid_request"), state]
}

/** RFC 7662 §2.2. A client that can't prove itself learns of its own tokens only. */
export const introspect = (call: Tokens.Call, state: State.State): Answer.Step => {
  const value = Incoming.field(call.incoming, "token")
  if (value === undefined) return [Answer.refuse("invalid_request"), state]
  const access = State.validAccess(state, value, call.now)
  const token = access ?? State.validRefresh(state, value, call.now)
  const isTold = token !== undefined &&
    (token.client === call.client.id || !call.client.methods.includes("none"))
  return [
    Answer.ok("Served", isTold ? told(call.settings, token, access !== undefined) : { active: false }),
    state
  ]
}

const told = (
  { issuer }: Settings,
  { client, expiresAt, issuedAt, jkt, resources, scopes, subject }: State.AccessToken | State.RefreshToken,
  isAccess: boolean
): Readonly<Record<string, unknown>> => ({
  active: true,
  iss: issuer,
  client_id: client,
  iat: Math.floor(issuedAt / 1000),
  exp: Math.floor(expiresAt / 1000),
  ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") }),
  ...(subject === undefined ? {} : { sub: subject, username: subject }),
  ...(resources.length === 0 ? {} : { aud: resources.length === 1 ? resources[0] : resources }),
  ...(jkt === undefined ? {} : { cnf: { jkt } }),
  ...(isAccess ? { token_type: jkt === undefined ? "Bearer" : "DPoP" } : {})
})

/** The browser comes to end the session, and is sent back only to where the client may send it. */
export const logout = (
  { evidence, incoming, settings }: {
    readonly settings: Settings
    readonly incoming: Incoming.Incoming
    readonly evidence: Evidence
  },
  state: State.State
): Answer.Step => {
  const field = (name: string) => Incoming.field(incoming, name)
  const hint = evidence.claims.get("id_token_hint")
  const isBad = incoming.form._tag === "Bad" || (field("id_token_hint") !== undefined && hint === undefined)
  if (isBad) return [Answer.refuse("invalid_request"), state]
  const id = field("client_id") ?? clientOf(hint)
  const isOther = hint !== undefined && (id !== clientOf(hint) || hint.iss !== settings.issuer)
  const uri = field("post_logout_redirect_uri")
  const client = id === undefined ? undefined : State.clientOf(state, settings, id)
  const isFine = uri === undefined ||
    (client !== undefined && RedirectUri.isRegistered(client.postLogoutRedirectUris, uri))
  if (isOther || !isFine) return [Answer.refuse("invalid_request"), state]
  const ended = { ...state, session: undefined }
  return uri === undefined
    ? [Answer.nothing("LoggedOut"), ended]
    : [Answer.redirect("LoggedOut", RedirectUri.withParams(uri, { state: field("state") })), ended]
}

const clientOf = (hint: Jose.JWTPayload | undefined): string | undefined => [hint?.aud].flat()[0]

/**
 * How tokens are made, whatever the grant.
 *
 * @since 0.1.0
 */
import type * as Jose from "jose"
import * as Answer from "./answer.js"
import { halfDigest } from "./digest.js"
import type { Evidence } from "./evidence.js"
import type { Incoming } from "./incoming.js"
import type { Client, Settings } from "./settings.js"
import * as State from "./state.js"

/** What tokens are made for and from. */
export interface Basis {
  readonly settings: Settings
  readonly client: Client
  readonly secrets: State.Secrets
  readonly now: number
  /** The thumbprint of the key whose possession was proved. */
  readonly jkt: string | undefined
}

/** One request of a client that has proved itself. */
export interface Call extends Basis {
  readonly incoming: Incoming
  readonly evidence: Evidence
}

type Fields = Readonly<Record<string, unknown>>

/** What a client may do by itself. */
export const ownAuthority = (
  scopes: ReadonlyArray<string>,
  resources: ReadonlyArray<string>
): State.Authority => ({ scopes, resources, subject: undefined, authTime: undefined, nonce: undefined })

/** What a client may do for the person who has just logged in. */
export const personalAuthority = (
  call: Basis,
  state: State.State,
  scopes: ReadonlyArray<string>,
  resources: ReadonlyArray<string>
): State.Authority => ({
  scopes,
  resources,
  subject: call.settings.person.subject,
  authTime: call.now + state.skew,
  nonce: undefined
})

export const addAccess = (
  call: Basis,
  state: State.State,
  family: State.Family | undefined,
  authority: State.Authority
): State.State =>
  State.addAccess(state, call.secrets.access, {
    ...authority,
    client: call.client.id,
    family,
    issuedAt: call.now,
    expiresAt: call.now + call.settings.accessLifetime,
    jkt: call.jkt
  })

/** An access token alone. */
export const issue = (
  call: Basis,
  state: State.State,
  authority: State.Authority,
  fields: Fields = {}
): Answer.Step => [
  Answer.ok("Issued", { ...accessFields(call, authority.scopes), ...fields }),
  addAccess(call, state, undefined, authority)
]

/** Tokens for a login that has just been completed: a new family. */
export const login = (
  call: Basis,
  state: State.State,
  authority: State.Authority,
  fields: Fields = {}
): Answer.Step => {
  const { client, now, secrets, settings } = call
  const family = state.nextFamily
  const body = { ...accessFields(call, authority.scopes), ...fields }
  const next = addAccess(call, { ...state, nextFamily: family + 1 }, family, authority)
  const answer = withIdToken(call, state, authority, secrets.access, Answer.ok("LoggedIn", body))
  if (!givesRefreshToken(call, authority.scopes)) return [answer, next]
  const expiresAt = now + settings.refreshLifetime
  return [
    { ...answer, body: { ...body, ...refreshFields(call, secrets.refresh, expiresAt) } },
    State.addRefresh(next, secrets.refresh, {
      ...authority,
      client: client.id,
      family,
      issuedAt: now,
      expiresAt,
      jkt: isPublic(client) ? call.jkt : undefined
    })
  ]
}

/** RFC 9449 §5: the refresh tokens of a client that can't prove itself are bound to its key. */
const isPublic = (client: Client): boolean => client.methods.includes("none")

const givesRefreshToken = (call: Basis, scopes: ReadonlyArray<string>): boolean =>
  call.client.grants.includes("refresh_token") &&
  (!call.settings.needsOfflineAccess || scopes.includes("offline_access"))

/** The answer, to which an ID token is added where one was asked for (OpenID Connect Core §2, §3.1.3.3). */
export const withIdToken = (
  { client, now, settings }: Basis,
  state: State.State,
  { authTime, nonce, scopes, subject }: State.Authority,
  access: string,
  answer: Answer.Answer
): Answer.Answer => {
  if (!scopes.includes("openid") || subject === undefined) return answer
  const issuedAt = Math.floor((now + state.skew) / 1000)
  const claims: Jose.JWTPayload = {
    iss: settings.issuer,
    sub: subject,
    aud: client.id,
    iat: issuedAt,
    exp: issuedAt + Math.floor(settings.idTokenLifetime / 1000),
    at_hash: halfDigest(access),
    ...(authTime === undefined ? {} : { auth_time: Math.floor(authTime / 1000) }),
    ...(nonce === undefined ? {} : { nonce })
  }
  return { ...answer, finish: { _tag: "IdToken", claims: settings.idTokenClaims(claims) } }
}

/** RFC 6749 §5.1. Whole seconds, rounded down, so that nobody trusts a token for too long. */
export const accessFields = (
  { jkt, secrets, settings }: Basis,
  scopes: ReadonlyArray<string>,
  access: string = secrets.access,
  lifetime: number = settings.accessLifetime
): Fields => ({
  access_token: access,
  token_type: jkt === undefined ? "Bearer" : "DPoP",
  expires_in: Math.max(0, Math.floor(lifetime / 1000)),
  ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") })
})

export const refreshFields = (call: Basis, refresh: string, expiresAt: number): Fields => ({
  refresh_token: refresh,
  ...(call.settings.announceRefreshLifetime
    ? { refresh_token_expires_in: Math.floor((expiresAt - call.now) / 1000) }
    : {})
})

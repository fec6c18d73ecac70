/**
 * The books of a virtual identity provider: immutable data, and the small steps that change it. Instants are
 * Unix milliseconds.
 *
 * @since 0.1.0
 */
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import type { Client, Settings } from "./settings.js"

/** All tokens that came of one login; revoked together. */
export type Family = number

/** What somebody may do. */
export interface Authority {
  readonly scopes: ReadonlyArray<string>
  /** Undefined where a client acts for itself. */
  readonly subject: string | undefined
  /** Where the tokens are for; empty for anywhere (RFC 8707). */
  readonly resources: ReadonlyArray<string>
  /** When the person logged in, by the server's clock. */
  readonly authTime: number | undefined
  /** What the authorization request wanted to find in the ID token. */
  readonly nonce: string | undefined
}

export interface AccessToken extends Authority {
  readonly client: string
  readonly family: Family | undefined
  readonly issuedAt: number
  readonly expiresAt: number
  /** The thumbprint of the key that it is bound to (RFC 9449 §6). */
  readonly jkt: string | undefined
}

export interface RefreshToken extends Authority {
  readonly client: string
  readonly family: Family
  readonly issuedAt: number
  readonly expiresAt: number
  /** The thumbprint of the key that it is bound to (RFC 9449 §5). */
  readonly jkt: string | undefined
  /** Only where refresh tokens rotate. */
  readonly used: Use | undefined
}

/** An authorization request that has been found sound (RFC 6749 §4.1.1). */
export interface AuthorizationRequest {
  readonly client: string
  readonly redirectUri: string
  readonly state: string | undefined
  readonly scopes: ReadonlyArray<string>
  readonly resources: ReadonlyArray<string>
  readonly nonce: string | undefined
  readonly challenge: string
  readonly prompts: ReadonlyArray<string>
  /** Milliseconds. */
  readonly maxAge: number | undefined
  /** The key that the code is bound to (RFC 9449 §10). */
  readonly jkt: string | undefined
}

export interface AuthorizationCode {
  readonly request: AuthorizationRequest
  readonly authority: Authority
  readonly expiresAt: number
  /** Set once it has been exchanged. */
  readonly used: { readonly family: Family } | undefined
}

/** RFC 9126 §2.2. */
export interface PushedRequest {
  readonly request: AuthorizationRequest
  readonly expiresAt: number
}

/** A client that is not in the settings. */
export interface Registered {
  readonly client: Client
  readonly origin: "Itself" | "Document" | "ByHand"
}

export interface Nonce {
  readonly value: string
  readonly at: number
}

/** When a refresh token was redeemed, as the how manieth, and for what. */
export interface Use {
  readonly at: number
  readonly order: number
  readonly access: string
  readonly refresh: string
}

export type Verdict = "Approve" | "Deny"

export interface Decision {
  readonly verdict: Verdict
  readonly at: number
}

export interface DeviceCode {
  readonly client: string
  readonly userCode: string
  readonly scopes: ReadonlyArray<string>
  readonly resources: ReadonlyArray<string>
  /** What the poll's `code_verifier` must answer; undefined where none may be sent. */
  readonly challenge: string | undefined
  readonly expiresAt: number
  readonly interval: number
  readonly polledAt: number | undefined
  readonly decision: Decision | undefined
  /** Set once it has been exchanged or its denial told. */
  readonly closed: { readonly family: Family | undefined } | undefined
}

/** What a person will do about a login, and how long after its start. */
export interface Approval {
  readonly verdict: Verdict
  readonly after: number
}

export interface State {
  readonly access: HashMap.HashMap<string, AccessToken>
  readonly refresh: HashMap.HashMap<string, RefreshToken>
  readonly devices: HashMap.HashMap<string, DeviceCode>
  readonly codes: HashMap.HashMap<string, AuthorizationCode>
  readonly pushed: HashMap.HashMap<string, PushedRequest>
  readonly registered: HashMap.HashMap<string, Registered>
  /** Clients of the settings that are no more. */
  readonly forgotten: HashSet.HashSet<string>
  /** When the person logged in, by the server's clock; undefined while nobody is. */
  readonly session: number | undefined
  /** The nonces that proofs may hold, oldest first. */
  readonly nonces: ReadonlyArray<Nonce>
  readonly nextFamily: Family
  readonly revoked: HashSet.HashSet<Family>
  /** How many refresh tokens have been redeemed for others. */
  readonly spent: number
  /** Which assertions and proofs were used, by sender and `jti`, and when they expire. */
  readonly assertions: HashMap.HashMap<string, number>
  /** What happens to the next logins, in order; undefined stands for a login that is left alone. */
  readonly approvals: ReadonlyArray<Approval | undefined>
  /** What happens to the logins after those. */
  readonly approval: Approval | undefined
  /** How far the server's clock is ahead. */
  readonly skew: number
  /** How much the books may hold before they are cleared of what no longer matters. */
  readonly room: number
}

const leastRoom = 512

export const empty: State = {
  access: HashMap.empty(),
  refresh: HashMap.empty(),
  devices: HashMap.empty(),
  codes: HashMap.empty(),
  pushed: HashMap.empty(),
  registered: HashMap.empty(),
  forgotten: HashSet.empty(),
  session: undefined,
  nonces: [],
  nextFamily: 1,
  revoked: HashSet.empty(),
  spent: 0,
  assertions: HashMap.empty(),
  approvals: [],
  approval: undefined,
  skew: 0,
  room: leastRoom
}

/** What the person does about a login that begins now. */
export const nextApproval = (state: State): readonly [Approval | undefined, State] =>
  state.approvals.length === 0
    ? [state.approval, state]
    : [state.approvals[0], { ...state, approvals: state.approvals.slice(1) }]

/** The random texts that one request may need. */
export interface Secrets {
  readonly access: string
  readonly refresh: string
  readonly device: string
  readonly user: string
  /** A further one of this kind. */
  readonly another: (prefix: string) => string
}

/** Whoever is called by this id, if anybody is. */
export const clientOf = (state: State, settings: Settings, id: string): Client | undefined => {
  const registered = Option.getOrUndefined(HashMap.get(state.registered, id))
  if (registered !== undefined) return registered.client
  return HashSet.has(state.forgotten, id) ? undefined : settings.clients.get(id)
}

export const register = (state: State, client: Client, origin: Registered["origin"]): State => ({
  ...state,
  registered: HashMap.set(state.registered, client.id, { client, origin })
})

/** A client is no more, and neither is anything that it was given. */
export const forget = (state: State, id: string): State => ({
  ...state,
  registered: HashMap.remove(state.registered, id),
  forgotten: HashSet.add(state.forgotten, id),
  access: HashMap.filter(state.access, ({ client }) => client !== id),
  refresh: HashMap.filter(state.refresh, ({ client }) => client !== id),
  devices: HashMap.filter(state.devices, ({ client }) => client !== id),
  codes: HashMap.filter(state.codes, ({ request }) => request.client !== id),
  pushed: HashMap.filter(state.pushed, ({ request }) => request.client !== id)
})

/** The ids of the clients that have registered themselves. */
export const selfRegistered = (state: State): ReadonlyArray<string> =>
  [...HashMap.values(state.registered)].flatMap(({ client, origin }) =>
    origin === "Itself" ? [client.id] : []
  )

/** What is marked as used does not count again until it expires. */
export const markUsed = (state: State, id: string, expiresAt: number): State => ({
  ...state,
  assertions: HashMap.set(state.assertions, id, expiresAt)
})

export const isUsed = (state: State, id: string): boolean => HashMap.has(state.assertions, id)

export const isRevoked = (state: State, family: Family | undefined): boolean =>
  family !== undefined && HashSet.has(state.revoked, family)

export const revokeFamily = (state: State, family: Family | undefined): State =>
  family === undefined ? state : { ...state, revoked: HashSet.add(state.revoked, family) }

/** The access token, if the resource accepts it at this instant. */
export const validAccess = (state: State, token: string, now: number): AccessToken | undefined => {
  const found = Option.getOrUndefined(HashMap.get(state.access, token))
  return found !== undefined && now < found.expiresAt && !isRevoked(state, found.family) ? found : undefined
}

export const addAccess = (state: State, token: string, access: AccessToken): State => ({
  ...state,
  access: HashMap.set(state.access, token, access)
})

export const addRefresh = (
  state: State,
  token: string,
  refresh: Omit<RefreshToken, "used">
): State => ({
  ...state,
  refresh: HashMap.set(state.refresh, token, { ...refresh, used: undefined })
})

/** The refresh token, if it could be redeemed at this instant. */
export const validRefresh = (state: State, token: string, now: number): RefreshToken | undefined => {
  const found = Option.getOrUndefined(HashMap.get(state.refresh, token))
  return found !== undefined && now < found.expiresAt && found.used === undefined &&
      !isRevoked(state, found.family)
    ? found
    : undefined
}

/** Revokes an access token alone, a refresh token with its whole family, unless it has expired (RFC 7009 §2.1). */
export const revokeToken = (state: State, token: string, now: number): State => {
  const refresh = Option.getOrUndefined(HashMap.get(state.refresh, token))
  if (refresh === undefined) return { ...state, access: HashMap.remove(state.access, token) }
  return now < refresh.expiresAt ? revokeFamily(state, refresh.family) : state
}

/** The client that a token was given to. */
export const ownerOf = (state: State, token: string): string | undefined =>
  Option.getOrUndefined(HashMap.get(state.refresh, token))?.client ??
    Option.getOrUndefined(HashMap.get(state.access, token))?.client

/**
 * The books without what can't change an answer any more. They are cleared when they have grown to twice their
 * size, so that a request costs the same however many came before it.
 */
export const cleared = (state: State, settings: Settings, now: number): State => {
  if (sizeOf(state) < state.room) return state
  const kept = {
    ...state,
    refresh: HashMap.filter(
      state.refresh,
      (token) => now < token.expiresAt && !isRevoked(state, token.family) && !isLongSpent(state, token)
    ),
    access: HashMap.filter(
      state.access,
      (token) => now < forgottenAt(token, settings) && !isRevoked(state, token.family)
    ),
    devices: HashMap.filter(state.devices, ({ expiresAt }) => now < expiresAt + codeMemory),
    codes: HashMap.filter(state.codes, ({ expiresAt }) => now < expiresAt + codeMemory),
    pushed: HashMap.filter(state.pushed, ({ expiresAt }) => now < expiresAt),
    assertions: HashMap.filter(state.assertions, (expiresAt) => Math.min(now, now + state.skew) < expiresAt)
  }
  const families = new Set([
    ...[...HashMap.values(kept.devices)].map(({ closed }) => closed?.family),
    ...[...HashMap.values(kept.codes)].map(({ used }) => used?.family)
  ])
  const all = { ...kept, revoked: HashSet.filter(state.revoked, (family) => families.has(family)) }
  return { ...all, room: Math.max(leastRoom, 2 * sizeOf(all)) }
}

/** How long an expired code is told from one that never was. */
const codeMemory = 24 * 3_600_000

/** How many spent refresh tokens are known again when they come back. */
const spentMemory = 10_000

const isLongSpent = ({ spent }: State, { used }: RefreshToken): boolean =>
  used !== undefined && used.order < spent - spentMemory

const sizeOf = (state: State): number =>
  HashMap.size(state.access) + HashMap.size(state.refresh) + HashMap.size(state.devices) +
  HashMap.size(state.codes) + HashMap.size(state.pushed) + HashMap.size(state.assertions) +
  HashSet.size(state.revoked)

/** An access token is given out again within the grace window, even if it lives for less. */
const forgottenAt = ({ expiresAt }: AccessToken, settings: Settings): number =>
  Math.max(expiresAt, expiresAt - settings.accessLifetime + settings.grace)

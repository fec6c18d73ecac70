/**
 * The books of a virtual identity provider: immutable data, and the small steps that change it. Instants are
 * Unix milliseconds.
 *
 * @since 0.1.0
 */
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Option from "effect/Option"
import type { Settings } from "./settings.js"

/** All tokens that came of one login; revoked together. */
export type Family = number

export interface AccessToken {
  readonly client: string
  readonly family: Family | undefined
  readonly scopes: ReadonlyArray<string>
  readonly expiresAt: number
}

export interface RefreshToken {
  readonly client: string
  readonly family: Family
  readonly scopes: ReadonlyArray<string>
  readonly expiresAt: number
  /** When it was redeemed, and for what; only where refresh tokens rotate. */
  readonly used: { readonly at: number; readonly access: string; readonly refresh: string } | undefined
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
  readonly nextFamily: Family
  readonly revoked: HashSet.HashSet<Family>
  /** The client and `jti` of each assertion that was used. */
  readonly assertions: HashSet.HashSet<string>
  /** What happens to the next logins, in order; undefined stands for a login that is left alone. */
  readonly approvals: ReadonlyArray<Approval | undefined>
  /** What happens to the logins after those. */
  readonly approval: Approval | undefined
  /** How far the server's clock is ahead. */
  readonly skew: number
}

export const empty: State = {
  access: HashMap.empty(),
  refresh: HashMap.empty(),
  devices: HashMap.empty(),
  nextFamily: 1,
  revoked: HashSet.empty(),
  assertions: HashSet.empty(),
  approvals: [],
  approval: undefined,
  skew: 0
}

/** The random texts that one request may need. */
export interface Secrets {
  readonly access: string
  readonly refresh: string
  readonly device: string
  readonly user: string
}

/** What tokens are made from. */
export interface Login {
  readonly client: string
  readonly family: Family
  readonly scopes: ReadonlyArray<string>
}

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
  settings: Settings,
  login: Login,
  secrets: Secrets,
  now: number
): State => ({
  ...state,
  refresh: HashMap.set(state.refresh, secrets.refresh, {
    ...login,
    expiresAt: now + settings.refreshLifetime,
    used: undefined
  })
})

/** Revokes an access token alone, a refresh token with its whole family (RFC 7009 §2.1). */
export const revokeToken = (state: State, token: string): State => {
  const refresh = Option.getOrUndefined(HashMap.get(state.refresh, token))
  return refresh === undefined
    ? { ...state, access: HashMap.remove(state.access, token) }
    : revokeFamily(state, refresh.family)
}

/** The client that a token was given to. */
export const ownerOf = (state: State, token: string): string | undefined =>
  Option.getOrUndefined(HashMap.get(state.refresh, token))?.client ??
    Option.getOrUndefined(HashMap.get(state.access, token))?.client

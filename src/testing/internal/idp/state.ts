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
  /** Only where refresh tokens rotate. */
  readonly used: Use | undefined
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
  readonly nextFamily: Family
  readonly revoked: HashSet.HashSet<Family>
  /** How many refresh tokens have been redeemed for others. */
  readonly spent: number
  /** The client and `jti` of each assertion that was used, and when it expires. */
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
  nextFamily: 1,
  revoked: HashSet.empty(),
  spent: 0,
  assertions: HashMap.empty(),
  approvals: [],
  approval: undefined,
  skew: 0,
  room: leastRoom
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
    assertions: HashMap.filter(state.assertions, (expiresAt) => Math.min(now, now + state.skew) < expiresAt)
  }
  const families = new Set([...HashMap.values(kept.devices)].map(({ closed }) => closed?.family))
  const all = { ...kept, revoked: HashSet.filter(state.revoked, (family) => families.has(family)) }
  return { ...all, room: Math.max(leastRoom, 2 * sizeOf(all)) }
}

/** How long an expired device code is told from one that never was. */
const codeMemory = 24 * 3_600_000

/** How many spent refresh tokens are known again when they come back. */
const spentMemory = 10_000

const isLongSpent = ({ spent }: State, { used }: RefreshToken): boolean =>
  used !== undefined && used.order < spent - spentMemory

const sizeOf = ({ access, assertions, devices, refresh, revoked }: State): number =>
  HashMap.size(access) + HashMap.size(refresh) + HashMap.size(devices) + HashMap.size(assertions) +
  HashSet.size(revoked)

/** An access token is given out again within the grace window, even if it lives for less. */
const forgottenAt = ({ expiresAt }: AccessToken, settings: Settings): number =>
  Math.max(expiresAt, expiresAt - settings.accessLifetime + settings.grace)

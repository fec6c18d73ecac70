/**
 * The grants of the token endpoint, each a pure step from books to answer and books.
 *
 * @since 0.1.0
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Answer from "./answer.js"
import * as Incoming from "./incoming.js"
import type { Client, Settings } from "./settings.js"
import * as State from "./state.js"

/** What tokens are made for and from. */
export interface Basis {
  readonly settings: Settings
  readonly client: Client
  readonly secrets: State.Secrets
  readonly now: number
}

/** One request of a client that has proved itself. */
export interface Call extends Basis {
  readonly incoming: Incoming.Incoming
}

export type Step = readonly [Answer.Answer, State.State]

/** RFC 6749 §4.4. */
export const clientCredentials = (call: Call, state: State.State): Step => {
  const scopes = requestedScopes(call)
  if (!isWithin(scopes, call.client.scopes)) return [Answer.refuse("invalid_scope"), state]
  const body = tokens(scopes, call.secrets.access, call.settings.accessLifetime)
  return [Answer.ok("Issued", body), addAccess(call, state, undefined, scopes)]
}

/** RFC 6749 §6. */
export const refreshToken = (call: Call, state: State.State): Step => {
  const value = Incoming.field(call.incoming, "refresh_token")
  if (value === undefined) return [Answer.refuse("invalid_request"), state]
  const held = Option.getOrUndefined(HashMap.get(state.refresh, value))
  if (held === undefined || held.client !== call.client.id || State.isRevoked(state, held.family)) {
    return invalidGrant(state)
  }
  if (call.now >= held.expiresAt) return invalidGrant(state)
  const asked = requestedScopes(call)
  if (!isWithin(asked, held.scopes)) return [Answer.refuse("invalid_scope"), state]
  const scopes = asked.length === 0 ? held.scopes : asked
  return held.used === undefined
    ? redeem(call, state, value, held, scopes)
    : again(call, state, held, held.used)
}

const redeem = (
  call: Call,
  state: State.State,
  value: string,
  held: State.RefreshToken,
  scopes: ReadonlyArray<string>
): Step => {
  const { secrets, settings } = call
  const body = tokens(scopes, secrets.access, settings.accessLifetime)
  const next = addAccess(call, state, held.family, scopes)
  if (settings.rotation === "Omit") return [Answer.ok("Redeemed", body), next]
  if (settings.rotation === "Repeat") {
    return [Answer.ok("Redeemed", { ...body, ...refreshFields(call, value, held.expiresAt) }), next]
  }
  const used = { at: call.now, order: next.spent, access: secrets.access, refresh: secrets.refresh }
  const marked = {
    ...next,
    spent: next.spent + 1,
    refresh: HashMap.set(next.refresh, value, { ...held, used })
  }
  const fields = refreshFields(call, secrets.refresh, call.now + settings.refreshLifetime)
  return [
    Answer.ok("Redeemed", { ...body, ...fields }),
    State.addRefresh(marked, settings, held, secrets, call.now)
  ]
}

/** A used one: the same tokens inside the grace window, else the end of the family (RFC 9700 §4.14.2). */
const again = (
  call: Call,
  state: State.State,
  held: State.RefreshToken,
  used: State.Use
): Step => {
  const access = Option.getOrUndefined(HashMap.get(state.access, used.access))
  const refresh = Option.getOrUndefined(HashMap.get(state.refresh, used.refresh))
  if (call.now - used.at >= call.settings.grace || access === undefined || refresh === undefined) {
    return [Answer.refuse("invalid_grant", { action: "Reused" }), State.revokeFamily(state, held.family)]
  }
  const body = tokens(access.scopes, used.access, access.expiresAt - call.now)
  return [Answer.ok("Replayed", { ...body, ...refreshFields(call, used.refresh, refresh.expiresAt) }), state]
}

/** Tokens for a login that has just been completed: a new family. */
export const login = (call: Basis, state: State.State, scopes: ReadonlyArray<string>): Step => {
  const { client, now, secrets, settings } = call
  const family = state.nextFamily
  const body = tokens(scopes, secrets.access, settings.accessLifetime)
  const next = addAccess(call, { ...state, nextFamily: family + 1 }, family, scopes)
  if (!givesRefreshToken(call, scopes)) return [Answer.ok("LoggedIn", body), next]
  const fields = refreshFields(call, secrets.refresh, now + settings.refreshLifetime)
  return [
    Answer.ok("LoggedIn", { ...body, ...fields }),
    State.addRefresh(next, settings, { client: client.id, family, scopes }, secrets, now)
  ]
}

const givesRefreshToken = (call: Basis, scopes: ReadonlyArray<string>): boolean =>
  call.client.grants.includes("refresh_token") &&
  (!call.settings.needsOfflineAccess || scopes.includes("offline_access"))

export const invalidGrant = (state: State.State): Step => [Answer.refuse("invalid_grant"), state]

export const requestedScopes = (call: Call): ReadonlyArray<string> =>
  (Incoming.field(call.incoming, "scope") ?? "").split(" ").filter((scope) => scope !== "")

export const isWithin = (
  scopes: ReadonlyArray<string>,
  allowed: ReadonlyArray<string> | undefined
): boolean => allowed === undefined || scopes.every((scope) => allowed.includes(scope))

const addAccess = (
  call: Basis,
  state: State.State,
  family: State.Family | undefined,
  scopes: ReadonlyArray<string>
): State.State =>
  State.addAccess(state, call.secrets.access, {
    client: call.client.id,
    family,
    scopes,
    expiresAt: call.now + call.settings.accessLifetime
  })

/** RFC 6749 §5.1. Whole seconds, rounded down, so that nobody trusts a token for too long. */
const tokens = (
  scopes: ReadonlyArray<string>,
  access: string,
  lifetime: number
): Readonly<Record<string, unknown>> => ({
  access_token: access,
  token_type: "Bearer",
  expires_in: Math.max(0, Math.floor(lifetime / 1000)),
  ...(scopes.length === 0 ? {} : { scope: scopes.join(" ") })
})

const refreshFields = (
  call: Basis,
  refresh: string,
  expiresAt: number
): Readonly<Record<string, unknown>> => ({
  refresh_token: refresh,
  ...(call.settings.announceRefreshLifetime
    ? { refresh_token_expires_in: Math.floor((expiresAt - call.now) / 1000) }
    : {})
})

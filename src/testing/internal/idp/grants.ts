/**
 * The grants of RFC 6749 but for the authorization code, each a pure step from books to answer and books.
 *
 * @since 0.1.0
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Answer from "./answer.js"
import * as Incoming from "./incoming.js"
import * as State from "./state.js"
import * as Targets from "./targets.js"
import * as Tokens from "./tokens.js"

/** RFC 6749 §4.4. */
export const clientCredentials = (call: Tokens.Call, state: State.State): Answer.Step =>
  Targets.orRefuse(
    Targets.asked(call),
    state,
    ({ resources, scopes }) => Tokens.issue(call, state, Tokens.ownAuthority(scopes, resources))
  )

/** RFC 6749 §4.3. */
export const password = (call: Tokens.Call, state: State.State): Answer.Step => {
  const name = Incoming.field(call.incoming, "username")
  const secret = Incoming.field(call.incoming, "password")
  if (name === undefined || secret === undefined) return [Answer.refuse("invalid_request"), state]
  const { person } = call.settings
  if (name !== person.subject || secret !== Redacted.value(person.password)) return invalidGrant(state)
  return Targets.orRefuse(
    Targets.asked(call),
    state,
    ({ resources, scopes }) =>
      Tokens.login(call, state, Tokens.personalAuthority(call, state, scopes, resources))
  )
}

/** RFC 6749 §6. */
export const refreshToken = (call: Tokens.Call, state: State.State): Answer.Step => {
  const value = Incoming.field(call.incoming, "refresh_token")
  if (value === undefined) return [Answer.refuse("invalid_request"), state]
  const held = Option.getOrUndefined(HashMap.get(state.refresh, value))
  if (held === undefined || held.client !== call.client.id || State.isRevoked(state, held.family)) {
    return invalidGrant(state)
  }
  if (call.now >= held.expiresAt || (held.jkt !== undefined && held.jkt !== call.jkt)) {
    return invalidGrant(state)
  }
  const asked = Incoming.list(call.incoming, "scope")
  if (!Targets.isWithin(asked, held.scopes)) return [Answer.refuse("invalid_scope"), state]
  return Targets.orRefuse(
    Targets.narrowed(call.settings, Incoming.resources(call.incoming), held.resources),
    state,
    (resources) => {
      const authority = { ...held, resources, scopes: asked.length === 0 ? held.scopes : asked }
      return held.used === undefined
        ? redeem(call, state, value, held, authority)
        : again(call, state, held, held.used)
    }
  )
}

const redeem = (
  call: Tokens.Call,
  state: State.State,
  value: string,
  held: State.RefreshToken,
  { authTime, resources, scopes, subject }: State.Authority
): Answer.Step => {
  const { secrets, settings } = call
  const authority = { authTime, resources, scopes, subject, nonce: undefined }
  const body = Tokens.accessFields(call, scopes)
  const next = Tokens.addAccess(call, state, held.family, authority)
  const answer = (fields: Readonly<Record<string, unknown>>) =>
    Tokens.withIdToken(call, state, authority, secrets.access, Answer.ok("Redeemed", { ...body, ...fields }))
  if (settings.rotation === "Omit") return [answer({}), next]
  if (settings.rotation === "Repeat") {
    return [answer(Tokens.refreshFields(call, value, held.expiresAt)), next]
  }
  const used = { at: call.now, order: next.spent, access: secrets.access, refresh: secrets.refresh }
  const marked = {
    ...next,
    spent: next.spent + 1,
    refresh: HashMap.set(next.refresh, value, { ...held, used })
  }
  const expiresAt = call.now + settings.refreshLifetime
  return [
    answer(Tokens.refreshFields(call, secrets.refresh, expiresAt)),
    State.addRefresh(marked, secrets.refresh, { ...held, issuedAt: call.now, expiresAt })
  ]
}

/** A used one: the same tokens inside the grace window, else the end of the family (RFC 9700 §4.14.2). */
const again = (
  call: Tokens.Call,
  state: State.State,
  held: State.RefreshToken,
  used: State.Use
): Answer.Step => {
  const access = Option.getOrUndefined(HashMap.get(state.access, used.access))
  const refresh = Option.getOrUndefined(HashMap.get(state.refresh, used.refresh))
  if (call.now - used.at >= call.settings.grace || access === undefined || refresh === undefined) {
    return [Answer.refuse("invalid_grant", { action: "Reused" }), State.revokeFamily(state, held.family)]
  }
  const bound = { ...call, jkt: access.jkt }
  const body = Tokens.accessFields(bound, access.scopes, used.access, access.expiresAt - call.now)
  const fields = Tokens.refreshFields(call, used.refresh, refresh.expiresAt)
  return [Answer.ok("Replayed", { ...body, ...fields }), state]
}

export const invalidGrant = (state: State.State): Answer.Step => [Answer.refuse("invalid_grant"), state]

/**
 * The authorization code grant at the token endpoint (RFC 6749 §4.1.3, RFC 7636 §4.6).
 *
 * @since 0.1.0
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Answer from "./answer.js"
import * as Grants from "./grants.js"
import * as Incoming from "./incoming.js"
import * as State from "./state.js"
import * as Targets from "./targets.js"
import * as Tokens from "./tokens.js"

export const exchange = (call: Tokens.Call, state: State.State): Answer.Step => {
  const value = Incoming.field(call.incoming, "code")
  const redirectUri = Incoming.field(call.incoming, "redirect_uri")
  if (value === undefined || redirectUri === undefined) return [Answer.refuse("invalid_request"), state]
  const code = Option.getOrUndefined(HashMap.get(state.codes, value))
  if (code === undefined || code.request.client !== call.client.id) return Grants.invalidGrant(state)
  if (code.used !== undefined) return Grants.invalidGrant(State.revokeFamily(state, code.used.family))
  if (!fits(call, code, redirectUri)) return Grants.invalidGrant(state)
  return Targets.orRefuse(
    Targets.narrowed(call.settings, Incoming.resources(call.incoming), code.authority.resources),
    state,
    (resources) => redeem(call, state, value, code, resources)
  )
}

/** In time, for the same address, with the verifier and by the key that were announced. */
const fits = (
  call: Tokens.Call,
  { expiresAt, request }: State.AuthorizationCode,
  redirectUri: string
): boolean =>
  call.now < expiresAt && request.redirectUri === redirectUri &&
  request.challenge === call.incoming.challenge &&
  (request.jkt === undefined || request.jkt === call.jkt)

/** The access token is for what was named now, the refresh token for all that was granted (RFC 8707 §2.2). */
const redeem = (
  call: Tokens.Call,
  state: State.State,
  value: string,
  code: State.AuthorizationCode,
  resources: ReadonlyArray<string>
): Answer.Step => {
  const used = { family: state.nextFamily }
  const marked = { ...state, codes: HashMap.set(state.codes, value, { ...code, used }) }
  const [answer, next] = Tokens.login(call, marked, code.authority)
  return [answer, Tokens.addAccess(call, next, used.family, { ...code.authority, resources })]
}

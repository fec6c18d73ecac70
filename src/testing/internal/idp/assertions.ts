/**
 * Grants that live on what the client presents: a signed assertion (RFC 7523 §2.1), another token (RFC 8693),
 * or whatever the user's own grant wants.
 *
 * @since 0.1.0
 */
import type * as Jose from "jose"
import type { CustomAnswer } from "../../VirtualProviderOptions.js"
import * as Answer from "./answer.js"
import * as ClientAuth from "./clientAuth.js"
import * as Grants from "./grants.js"
import * as Incoming from "./incoming.js"
import * as State from "./state.js"
import * as Targets from "./targets.js"
import * as Tokens from "./tokens.js"

/** RFC 7523 §2.1, §3. */
export const jwtBearer = (call: Tokens.Call, state: State.State): Answer.Step => {
  if (Incoming.field(call.incoming, "assertion") === undefined) {
    return [Answer.refuse("invalid_request"), state]
  }
  const claims = call.evidence.claims.get("assertion")
  const { base, issuer } = call.settings
  if (claims === undefined || typeof claims.sub !== "string" || claims.iss === issuer) {
    return Grants.invalidGrant(state)
  }
  const id = `${claims.iss} ${claims.jti}`
  const isFresh = claims.jti === undefined || !State.isUsed(state, id)
  if (!isFresh || !ClientAuth.isTimely(claims, [issuer, `${base}/token`], call.now + state.skew)) {
    return Grants.invalidGrant(state)
  }
  const marked = claims.jti === undefined ? state : State.markUsed(state, id, 1000 * Number(claims.exp))
  return Targets.orRefuse(Targets.asked(call), state, ({ resources, scopes }) =>
    Tokens.issue(call, marked, {
      ...Tokens.ownAuthority(scopes, resources),
      subject: claims.sub
    }))
}

const accessType = "urn:ietf:params:oauth:token-type:access_token"

interface Presented {
  readonly subject: string | undefined
  readonly scopes: ReadonlyArray<string> | undefined
}

/** RFC 8693 §2. Gives access tokens only. */
export const exchange = (call: Tokens.Call, state: State.State): Answer.Step => {
  const field = (name: string) => Incoming.field(call.incoming, name)
  const wanted = field("requested_token_type") ?? accessType
  const hasActor = field("actor_token") !== undefined
  if (hasActor !== (field("actor_token_type") !== undefined) || wanted !== accessType) {
    return [Answer.refuse("invalid_request"), state]
  }
  const subject = presented(call, state, "subject_token")
  const actor = hasActor ? presented(call, state, "actor_token") : subject
  if (subject === undefined || actor === undefined) return [Answer.refuse("invalid_request"), state]
  return Targets.orRefuse(Targets.asked(call), state, (asked) => {
    if (!Targets.isWithin(asked.scopes, subject.scopes)) return [Answer.refuse("invalid_scope"), state]
    const scopes = asked.scopes.length === 0
      ? Targets.within(subject.scopes ?? [], call.client.scopes)
      : asked.scopes
    const authority = { ...Tokens.ownAuthority(scopes, asked.resources), subject: subject.subject }
    return Tokens.issue(call, state, authority, { issued_token_type: wanted })
  })
}

/** What a token says that was presented; undefined where it is not valid (RFC 8693 §2.2.2). */
const presented = (call: Tokens.Call, state: State.State, name: string): Presented | undefined => {
  const token = Incoming.field(call.incoming, name) ?? ""
  switch (Incoming.field(call.incoming, `${name}_type`)) {
    case accessType:
      return State.validAccess(state, token, call.now)
    case "urn:ietf:params:oauth:token-type:refresh_token":
      return State.validRefresh(state, token, call.now)
    case "urn:ietf:params:oauth:token-type:id_token":
    case "urn:ietf:params:oauth:token-type:jwt":
      return ofClaims(call.evidence.claims.get(name), call.now + state.skew)
    default:
      return undefined
  }
}

const ofClaims = (claims: Jose.JWTPayload | undefined, at: number): Presented | undefined =>
  claims !== undefined && typeof claims.sub === "string" && at < 1000 * Number(claims.exp)
    ? { subject: claims.sub, scopes: undefined }
    : undefined

/** A grant of the user's own. */
export const custom = (call: Tokens.Call, state: State.State, answer: CustomAnswer): Answer.Step => {
  if ("error" in answer) {
    return [Answer.refuse(answer.error, answer.status === undefined ? {} : { status: answer.status }), state]
  }
  const authority = {
    ...Tokens.ownAuthority(answer.scopes ?? [], Incoming.resources(call.incoming)),
    subject: answer.subject
  }
  return answer.refreshToken === true
    ? Tokens.login(call, state, authority, answer.fields)
    : Tokens.issue(call, state, authority, answer.fields)
}

/**
 * Pushed authorization requests (RFC 9126).
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Answer from "./answer.js"
import * as Authorization from "./authorization.js"
import * as Incoming from "./incoming.js"
import type * as State from "./state.js"
import type * as Tokens from "./tokens.js"

/** RFC 9126 §2. A key that was proved binds the code as `dpop_jkt` does (RFC 9449 §10.1). */
export const push = (call: Tokens.Call, state: State.State): Answer.Step => {
  if (Incoming.field(call.incoming, "request_uri") !== undefined) {
    return [Answer.refuse("invalid_request"), state]
  }
  return Either.match(Authorization.check(call, call.client), {
    onLeft: ({ error, to }) => [Answer.refuse(to === undefined ? "invalid_request" : error), state],
    onRight: (request) => {
      const jkt = request.jkt ?? call.jkt
      return call.jkt === undefined || jkt === call.jkt
        ? keep(call, state, { ...request, jkt })
        : [Answer.refuse("invalid_dpop_proof"), state]
    }
  })
}

const keep = (
  { now, secrets, settings }: Tokens.Call,
  state: State.State,
  request: State.AuthorizationRequest
): Answer.Step => {
  const uri = `urn:ietf:params:oauth:request_uri:${secrets.another("pr")}`
  const pushed = { request, expiresAt: now + settings.pushedLifetime }
  return [
    Answer.created("Pushed", { request_uri: uri, expires_in: Math.floor(settings.pushedLifetime / 1000) }),
    { ...state, pushed: HashMap.set(state.pushed, uri, pushed) }
  ]
}

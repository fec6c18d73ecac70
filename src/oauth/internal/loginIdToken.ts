/**
 * The ID token that comes with the grant of a login: it holds, or the login fails; one that nobody asked for is
 * thrown away unread.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as oauth from "oauth4webapi"
import type { Grant } from "../../Grant.js"
import { Misconfigured } from "../../TokenError.js"
import * as IdToken from "../IdToken.js"
import type { GrantError } from "../TokenEndpoint.js"
import type * as Endpoint from "./tokenEndpoint.js"
import type * as TokenResponse from "./tokenResponse.js"

/** What is done with it: `expect` verifies one that comes, `demand` fails where none does. */
export type Mode = "demand" | "expect" | "ignore"

/** Judges the rest of the answer: the ID token is judged afterwards, and with a reason that can be told. */
export const judgeRest = ({ client, server }: Endpoint.Party): TokenResponse.Judge => (response, options) =>
  response.json().then((body: Readonly<Record<string, unknown>>) => {
    const { id_token: idToken, ...rest } = body
    return oauth.processGenericTokenEndpointResponse(server, client, Response.json(rest), options).then(
      (judged) => typeof idToken === "string" ? { ...judged, id_token: idToken } : judged
    )
  })

export interface Expected {
  readonly source: string
  readonly identity: IdToken.IdToken
  readonly mode: Mode
  readonly checks?: Pick<IdToken.Checks, "maxAge" | "nonce"> | undefined
}

/** The grant, once its ID token is known to hold. */
export const settle = (
  { checks, identity, mode, source }: Expected,
  grant: Grant
): Effect.Effect<Grant, GrantError> => {
  if (mode === "ignore") return Effect.succeed({ ...grant, idToken: undefined })
  if (grant.idToken === undefined) {
    return mode === "demand"
      ? Effect.fail(none(source))
      : Effect.succeed(grant)
  }
  return identity.verify(grant.idToken, { ...checks, direct: true }).pipe(
    Effect.as(grant),
    Effect.catchTag("IdTokenRejected", (rejected) => Effect.fail(IdToken.toGrantError(rejected)))
  )
}

const none = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the server gave no ID token that can be read, though one was asked for",
    hint:
      "Leave openid out of the scopes, or set idToken to ignore, where nobody needs to know who logged in."
  })

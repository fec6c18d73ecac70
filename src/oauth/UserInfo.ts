/**
 * What a server tells about the person whose token it is (OpenID Connect Core §5.3).
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import type * as Token from "../Token.js"
import { Misconfigured, ReauthRequired, RequestRejected } from "../TokenError.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import type { Profile } from "./Claims.js"
import type { Client } from "./Client.js"
import * as Body from "./internal/body.js"
import * as DpopKey from "./internal/dpopKey.js"
import * as Failure from "./internal/failure.js"
import * as IdTokenClaims from "./internal/idTokenClaims.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import type * as Transport from "./internal/transport.js"
import type { Limits } from "./Limits.js"
import type * as TokenEndpoint from "./TokenEndpoint.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Limits {
  readonly server: AuthorizationServer
  readonly client: Pick<Client, "id">
  /** The name that errors and spans show. Default: the server's host. */
  readonly name?: string | undefined
}

/**
 * What the server tells of a person.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claims extends Profile {
  readonly sub: string
  /** Everything that was told, as it was. */
  readonly raw: Readonly<Record<string, unknown>>
}

/**
 * Asks one server.
 *
 * @since 0.1.0
 * @category models
 */
export interface UserInfo {
  readonly name: string
  /**
   * What the server tells of the person with this token, which has to be the `sub` of their ID token: an answer about
   * anybody else fails it. A token that the server rejects is `ReauthRequired`. Answers that are signed or encrypted
   * are not read.
   */
  readonly fetch: (token: Token.Token, subject: string) => Effect.Effect<Claims, TokenEndpoint.GrantError>
}

/**
 * Asks the userinfo endpoint of one server through the HttpClient in the context.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<UserInfo, Misconfigured, HttpClient.HttpClient> =>
  // The token authenticates, so whatever the client has to prove itself with stays where it is.
  Effect.map(
    Endpoint.make("userinfo", { ...options, client: { id: options.client.id } }),
    (endpoint) => ({
      name: endpoint.source,
      fetch: (token, subject) =>
        Effect.flatMap(keyOf(endpoint.source, token), (proofKey) =>
          endpoint.ask({
            span: "oauth.userinfo",
            endpoint: "userinfo_endpoint",
            proofKey,
            request: ({ client, server }, requestOptions) =>
              oauth.userInfoRequest(server, client, Redacted.value(token.value), requestOptions),
            decode: (answer) =>
              answer.status === 403
                ? Effect.fail(insufficient(endpoint.source))
                : decode(endpoint.source, answer, subject)
          })).pipe(Effect.catchTag("Refusal", (refusal) => Effect.fail(ofRefusal(refusal))))
    })
  )

/** The key to prove, for a token that is sent with a proof. */
const keyOf = (
  source: string,
  { proofKey, type }: Token.Token
): Effect.Effect<Token.Token["proofKey"], RequestRejected | Misconfigured> => {
  switch (type.toLowerCase()) {
    case "n_a":
      return Effect.fail(notSendable(source))
    case "dpop":
      return proofKey === undefined ? Effect.fail(DpopKey.missing(source)) : Effect.succeed(proofKey)
    default:
      return Effect.succeed(undefined)
  }
}

type Decoded = Effect.Effect<Claims, Failure.Refusal | TokenEndpoint.GrantError>

const decode = (source: string, answer: Transport.Answer, subject: string): Decoded =>
  Effect.zipRight(
    Failure.ofAnswer(source, answer, true),
    Effect.suspend((): Decoded => {
      if (isJwt(answer)) return Effect.fail(signedAnswer(source))
      return Effect.flatMap(
        Effect.mapError(Body.parse(answer.text), () =>
          Failure.malformed(source, "the answer is no JSON object")),
        (raw) =>
          toClaims(source, raw, subject)
      )
    })
  )

const toClaims = (
  source: string,
  raw: Body.Fields,
  subject: string
): Effect.Effect<Claims, TokenEndpoint.GrantError> => {
  const { sub } = raw
  if (typeof sub !== "string" || sub === "") {
    return Effect.fail(Failure.malformed(source, "the answer does not say who it is about"))
  }
  return sub === subject
    ? Effect.succeed({ ...IdTokenClaims.profile(raw), sub, raw })
    : Effect.fail(somebodyElse(source))
}

const isJwt = ({ headers }: Transport.Answer): boolean =>
  /^application\/jwt\b/i.test(headers["content-type"] ?? "")

/** Every 401 is about the token, whatever it is said to be about. */
const ofRefusal = (refusal: Failure.Refusal): TokenEndpoint.GrantError => {
  switch (refusal.code) {
    case "invalid_token":
    case "invalid_client":
      return rejected(refusal.source)
    default:
      return Failure.ofRefusal(refusal)
  }
}

const rejected = (source: string): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "GrantRejected",
    detail: "the server rejected the token",
    hint: "Renew it; log in again if that doesn't help."
  })

const insufficient = (source: string): RequestRejected =>
  new RequestRejected({
    source,
    reason: "InvalidScope",
    detail: "the token was not given for this",
    hint: "Log in with openid among the scopes."
  })

const somebodyElse = (source: string): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "GrantRejected",
    detail: "the answer is about somebody else",
    hint: "Give the sub of the ID token that came with this token, or log in again."
  })

const signedAnswer = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "UnsupportedGrant",
    detail: "the server answers with a JWT, which is not read here",
    hint: "Register the client without userinfo_signed_response_alg, so that the answer is plain JSON."
  })

const notSendable = (source: string): RequestRejected =>
  new RequestRejected({
    source,
    reason: "InvalidRequest",
    detail: "the token is not one that can be sent",
    hint: "Give an access token."
  })

/**
 * Introspection (RFC 7662): asks the server about a token.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import type { Misconfigured, TransientFailure } from "../TokenError.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import type { Client } from "./Client.js"
import type { Dialect } from "./Dialect.js"
import * as Body from "./internal/body.js"
import * as Failure from "./internal/failure.js"
import * as Seconds from "./internal/seconds.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import type * as Transport from "./internal/transport.js"
import * as Unattended from "./internal/unattended.js"
import type { Limits } from "./Limits.js"
import type { UnattendedError } from "./UnattendedLogin.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Limits {
  readonly server: AuthorizationServer
  /** Who asks. Servers answer only clients that authenticate. */
  readonly client: Client
  /** The name that errors and spans show. Default: `introspection` and the server's host. */
  readonly name?: string | undefined
  /** How the server departs from the standard. Default: not at all. */
  readonly dialect?: Dialect | undefined
}

/**
 * What the server says of a token. That it is not active is an answer like any other; why, nobody says (RFC 7662
 * §2.2).
 *
 * @since 0.1.0
 * @category models
 */
export type State = Inactive | Active

/**
 * The token is not valid: it has expired, was revoked, is not known, or is not for whoever asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Inactive {
  readonly _tag: "Inactive"
}

/**
 * The token is valid at the moment. A fact that the server did not tell, or told in another form than the standard's,
 * is undefined or empty. Instants are Unix milliseconds of the server's clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Active {
  readonly _tag: "Active"
  readonly scopes: ReadonlyArray<string>
  /** The client that the token was given to. */
  readonly clientId: string | undefined
  readonly username: string | undefined
  /** Such as `Bearer` or `DPoP`. */
  readonly tokenType: string | undefined
  readonly expiresAt: number | undefined
  readonly issuedAt: number | undefined
  readonly notBefore: number | undefined
  readonly subject: string | undefined
  readonly audience: ReadonlyArray<string>
  readonly issuer: string | undefined
  readonly tokenId: string | undefined
  /** The whole answer, for what else the server tells, such as the key that a token is bound to (`cnf`). */
  readonly claims: Readonly<Record<string, unknown>>
}

/**
 * Asks for one client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Introspection {
  readonly name: string
  /** How long one answer may rightly take. */
  readonly timeLimit: Duration.Duration
  /**
   * What the server says of the token now. `Misconfigured` where the server has no such endpoint or does not let the
   * client ask; it has nothing to do with the token itself.
   */
  readonly introspect: (
    token: Redacted.Redacted<string>,
    /** What kind of token it is, so that the server finds it sooner. */
    hint?: "access_token" | "refresh_token"
  ) => Effect.Effect<State, UnattendedError>
}

/**
 * The introspection endpoint for one client. Fails when the client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<Introspection, Misconfigured, HttpClient.HttpClient> =>
  Effect.map(Endpoint.make("introspection", { ...options, dialect: inForms(options) }), (endpoint) => ({
    name: endpoint.source,
    timeLimit: endpoint.timeLimit,
    introspect: (token, hint) => introspect(endpoint, token, hint)
  }))

/** No dialect is known that asks in JSON. */
const inForms = ({ dialect }: Options): Dialect | undefined => dialect && { ...dialect, json: [] }

const introspect = (
  endpoint: Endpoint.TokenEndpoint,
  token: Redacted.Redacted<string>,
  hint: string | undefined
): Effect.Effect<State, UnattendedError> =>
  endpoint.ask({
    span: "oauth.introspection",
    endpoint: "introspection_endpoint",
    request: ({ auth, client, server }, requestOptions) =>
      oauth.introspectionRequest(server, client, auth, Redacted.value(token), {
        ...requestOptions,
        additionalParameters: Endpoint.fields({ token_type_hint: hint })
      }),
    decode: (answer) => decode(endpoint, answer)
  }).pipe(Unattended.settled("Check the client's credentials, and that it may ask about tokens."))

/** What the answer says, if it is one. Only a plain `true` or `false` says whether the token is active. */
const decode = (
  { authenticates, source }: Endpoint.TokenEndpoint,
  answer: Transport.Answer
): Effect.Effect<State, Failure.Refusal | TransientFailure> =>
  Effect.zipRight(
    Failure.ofAnswer(source, answer, authenticates),
    Effect.suspend(() => {
      const fields = Option.getOrElse(Body.parse(answer.text), (): Body.Fields => ({}))
      if (fields["active"] === false) return Effect.succeed<State>({ _tag: "Inactive" })
      return fields["active"] === true
        ? Effect.succeed<State>(toActive(fields))
        : Effect.fail(Failure.malformed(source, "the answer does not say whether the token is active"))
    })
  )

/** Each fact is read by itself: one that is not as it should be takes nothing from the others. */
const toActive = (claims: Body.Fields): Active => ({
  _tag: "Active",
  scopes: (text(claims["scope"]) ?? "").split(" ").filter((scope) => scope !== ""),
  clientId: text(claims["client_id"]),
  username: text(claims["username"]),
  tokenType: text(claims["token_type"]),
  expiresAt: instant(claims["exp"]),
  issuedAt: instant(claims["iat"]),
  notBefore: instant(claims["nbf"]),
  subject: text(claims["sub"]),
  audience: [claims["aud"]].flat().flatMap((one) => typeof one === "string" ? [one] : []),
  issuer: text(claims["iss"]),
  tokenId: text(claims["jti"]),
  claims
})

const text = (input: unknown): string | undefined => typeof input === "string" ? input : undefined

const instant = (input: unknown): number | undefined =>
  Option.getOrUndefined(Option.map(Seconds.decode(input), (seconds) => seconds * 1000))

/**
 * What the grants have in common that ask no person.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as oauth from "oauth4webapi"
import type { Grant } from "../../Grant.js"
import type { ReauthRequired, TokenError } from "../../TokenError.js"
import { Misconfigured } from "../../TokenError.js"
import * as TokenSource from "../../TokenSource.js"
import type { Options as CommonOptions, Parameters } from "../TokenEndpoint.js"
import type { UnattendedError, UnattendedLogin } from "../UnattendedLogin.js"
import * as Failure from "./failure.js"
import * as Target from "./target.js"
import * as Endpoint from "./tokenEndpoint.js"

/** What each of them is asked with. */
export interface Options extends Target.Target, Pick<CommonOptions, "server" | "dialect" | "parameters"> {
  readonly scopes?: ReadonlyArray<string> | undefined
}

/** What one of them is. */
export interface Kind {
  /** How spans call it. */
  readonly grant: string
  readonly grantType: string
  /** Whether its fields are signed here, and so the server's clock may turn out to be another one. */
  readonly signs?: boolean | undefined
  /** What to check where the server refuses for good. */
  readonly hint: string
}

/** One exchange with these fields, and what it means that it was refused. */
export const exchange = (
  endpoint: Endpoint.TokenEndpoint,
  options: Options,
  kind: Kind,
  own: Parameters,
  /** See `Endpoint.Exchange`. */
  once: boolean = false
): Effect.Effect<Grant, UnattendedError | Failure.Refusal> =>
  endpoint.exchange({
    grant: kind.grant,
    once,
    request: ({ auth, client, server }, requestOptions) =>
      oauth.genericTokenEndpointRequest(
        server,
        client,
        auth,
        kind.grantType,
        Endpoint.fields(
          options.parameters,
          { scope: Endpoint.scope(options.scopes) },
          Target.fields(options.dialect, options),
          own
        ),
        requestOptions
      )
  }).pipe(
    Effect.map((grant) => Endpoint.remember(grant, options.resource, options.audience)),
    Effect.catchTag("ReauthRequired", (error) => Effect.fail(refused(error, kind.hint)))
  )

/** The login whose own fields are made anew for each request: servers may take an assertion only once. */
export const make = <E extends TokenError>(
  endpoint: Endpoint.TokenEndpoint,
  options: Options,
  kind: Kind,
  fields: Effect.Effect<Parameters, E>
): UnattendedLogin<E | UnattendedError> => {
  const attempt = Effect.flatMap(fields, (fields) => exchange(endpoint, options, kind, fields, true))
  const login = endpoint.insist(attempt, kind.signs === true ? ["invalid_grant"] : [])
  return {
    name: endpoint.source,
    login: Effect.catchIf(login, isRefusal, (refusal) => Effect.fail(toError(refusal, kind.hint))),
    timeLimit: kind.signs === true ? Duration.times(endpoint.timeLimit, 2) : endpoint.timeLimit
  }
}

const isRefusal = <E>(error: E | Failure.Refusal): error is Failure.Refusal =>
  error instanceof Failure.Refusal

/** There is nobody who could log in: what is refused here for good is how the program is set up. */
export const toError = (refusal: Failure.Refusal, hint: string): UnattendedError => {
  const error = Failure.ofRefusal(refusal)
  return error._tag === "ReauthRequired" ? refused(error, hint) : error
}

/** The same for an error that says to log in again. */
export const refused = (error: ReauthRequired, hint: string): Misconfigured =>
  new Misconfigured({ source: error.source, reason: "InvalidClient", detail: error.detail, hint })

/** A request whose refusals are all given so. */
export const settled = (hint: string) =>
<A>(
  self: Effect.Effect<A, UnattendedError | ReauthRequired | Failure.Refusal>
): Effect.Effect<A, UnattendedError> =>
  Effect.catchTags(self, {
    Refusal: (refusal) => Effect.fail(toError(refusal, hint)),
    ReauthRequired: (error) => Effect.fail(refused(error, hint))
  })

/** Its tokens, each asked for anew. */
export const toSource = <E extends TokenError>(
  { login, name, timeLimit }: UnattendedLogin<E>
): TokenSource.TokenSource<E> => {
  const token = Effect.map(login, (grant) => grant.token)
  return TokenSource.make({ name, timeLimit, request: () => token })
}

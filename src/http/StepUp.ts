/**
 * Requests that want more scopes than their token has (RFC 6750 §3.1, RFC 9470 for the idea): the answer says which,
 * somebody gets them, and the request is sent once more.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Token from "../Token.js"
import type { TokenError } from "../TokenError.js"
import * as TokenSource from "../TokenSource.js"
import * as Challenge from "./Challenge.js"
import type { Middleware } from "./HttpAuth.js"
import { discard, isReplayable } from "./internal/exchange.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<E extends TokenError, E2 extends TokenError> {
  readonly source: TokenSource.TokenSource<E>
  /** How the tokens are put on requests, such as `(source) => HttpAuth.bearer(source, { origins })`. */
  readonly credential: (source: TokenSource.TokenSource<E>) => Middleware<E2>
  /**
   * Sees to it that `source` gives a token with these scopes, which the given one lacks. Its failure is that of the
   * request.
   */
  readonly obtain: (
    scopes: ReadonlyArray<string>,
    lacking: Token.Token
  ) => Effect.Effect<unknown, E2>
}

/**
 * The scopes that this answer wants, be they new to the token or not: of a 403 or 401 whose challenge says
 * `insufficient_scope`. At most fifty, and only those that can be scopes.
 *
 * @since 0.1.0
 * @category getters
 */
export const wanted = (response: HttpClientResponse.HttpClientResponse): ReadonlyArray<string> =>
  response.status !== 403 && response.status !== 401
    ? []
    : Challenge.scopes(
      Challenge.parse(response.headers["www-authenticate"]).filter((challenge) =>
        challenge.parameters.get("error") === "insufficient_scope"
      )
    )

/**
 * A credential that gets more scopes where an answer wants them. At most once a request, and only where its body can
 * be sent again; the second answer is the result whatever it says. An answer that doesn't say which scopes it wants
 * stays as it is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E extends TokenError, E2 extends TokenError>(
  { credential, obtain, source }: Options<E, E2>
): Middleware<E2> =>
<E3, R>(client: HttpClient.HttpClient.With<E3, R>): HttpClient.HttpClient.With<E2 | E3, R> => {
  const authed = credential(noting(source))(client)
  return HttpClient.makeWith<never, never, E2 | E3, R>(
    Effect.flatMap((request) =>
      Effect.suspend(() => {
        const cell: Cell = { token: undefined }
        return Effect.flatMap(
          Effect.provideService(authed.execute(request), Used, cell),
          (response): Effect.Effect<HttpClientResponse.HttpClientResponse, E2 | E3, R> => {
            const scopes = wanted(response)
            if (cell.token === undefined || scopes.length === 0 || !isReplayable(request.body)) {
              return Effect.succeed(response)
            }
            return discard(response).pipe(
              Effect.zipRight(obtain(scopes, cell.token)),
              Effect.zipRight(authed.execute(request))
            )
          }
        )
      })
    ),
    Effect.succeed
  )
}

/** The token that the last try of a request has carried. */
interface Cell {
  token: Token.Token | undefined
}

class Used extends Context.Reference<Used>()<"effect-credentials/StepUp/Used", Cell | undefined>(
  "effect-credentials/StepUp/Used",
  { defaultValue: () => undefined }
) {}

/** The credential is made once, since it may learn; so each request brings the cell that is its own. */
const noting = <E extends TokenError>(source: TokenSource.TokenSource<E>): TokenSource.TokenSource<E> =>
  TokenSource.withRequest(
    source,
    (request) =>
      Effect.zipWith(source.request(request), Used, (token, cell) => {
        if (cell !== undefined) cell.token = token
        return token
      })
  )

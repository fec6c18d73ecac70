/**
 * Token exchange (RFC 8693): a token for another token, to act for somebody, or somewhere else.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as ChildToken from "../ChildToken.js"
import * as Grant from "../Grant.js"
import * as Token from "../Token.js"
import type { Misconfigured, TokenError } from "../TokenError.js"
import { RequestRejected } from "../TokenError.js"
import * as TokenSource from "../TokenSource.js"
import type { Refusal } from "./internal/failure.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import * as Unattended from "./internal/unattended.js"
import type * as TokenEndpoint from "./TokenEndpoint.js"
import type { UnattendedError, UnattendedLogin } from "./UnattendedLogin.js"

/**
 * What `make` and `makeLogin` take.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out E extends TokenError = never> extends TokenEndpoint.Options {
  /** Whom the new token acts for. Taken afresh for each exchange. */
  readonly subject: Given<E>
  /** What the subject's token is. Default `tokenTypes.accessToken`. */
  readonly subjectTokenType?: string | undefined
  /** Who acts, where that is another party. Taken afresh for each exchange. */
  readonly actor?: Given<E> | undefined
  /** What the actor's token is. Default `tokenTypes.accessToken`. */
  readonly actorTokenType?: string | undefined
  /** What the new token is to be. Default: as the server decides. */
  readonly requestedTokenType?: string | undefined
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Where the new token is for, as URIs (RFC 8693 §2.1); kept as `resource` in `Grant.extra`. */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** The same by the names that the server has for its services; kept as `audience`. */
  readonly audience?: string | ReadonlyArray<string> | undefined
}

/**
 * Where a token comes from that is given in exchange: a source, or an effect where its lifetime does not matter.
 *
 * @since 0.1.0
 * @category models
 */
export type Given<E extends TokenError> =
  | TokenSource.TokenSource<E>
  | Effect.Effect<Redacted.Redacted<string>, E>

/**
 * The kinds of tokens that have registered names (RFC 8693 §3).
 *
 * @since 0.1.0
 * @category constants
 */
export const tokenTypes: {
  readonly accessToken: string
  readonly refreshToken: string
  readonly idToken: string
  readonly saml1: string
  readonly saml2: string
  readonly jwt: string
} = {
  accessToken: "urn:ietf:params:oauth:token-type:access_token",
  refreshToken: "urn:ietf:params:oauth:token-type:refresh_token",
  idToken: "urn:ietf:params:oauth:token-type:id_token",
  saml1: "urn:ietf:params:oauth:token-type:saml1",
  saml2: "urn:ietf:params:oauth:token-type:saml2",
  jwt: "urn:ietf:params:oauth:token-type:jwt"
}

/**
 * A source that exchanges the subject's token on every request, as a `ChildToken`: what it gives expires with the
 * subject's token at the latest. `TokenCache.cached` makes it remember. A subject's token that the server refuses is
 * invalidated, and another one tried once. A token of type `N_A` is none that an API takes in a header (RFC 8693
 * §2.2.1).
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <E extends TokenError = never>(
  options: Options<E>
): Effect.Effect<TokenSource.TokenSource<E | UnattendedError>, Misconfigured, HttpClient.HttpClient> =>
  Effect.flatMap(prepare(options), ({ exchange, insist, name, subject, timeLimit }) =>
    Effect.map(
      ChildToken.from({
        parent: subject,
        mint: (token) => Effect.map(exchange(token), (grant) => grant.token),
        name,
        // The subject's own time once is counted there.
        timeLimit: Duration.sum(subject.timeLimit, Duration.times(timeLimit, 2))
      }),
      (source) => TokenSource.withRequest(source, (request) => insist(source.request(request)))
    ))

/**
 * The same as a login, which gives the whole grant with the refresh token, if the server gives one, and what the new
 * token is as `issued_token_type` in `Grant.extra`. Fails when the client's secret or key can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeLogin = <E extends TokenError = never>(
  options: Options<E>
): Effect.Effect<UnattendedLogin<E | UnattendedError>, Misconfigured, HttpClient.HttpClient> =>
  Effect.map(prepare(options), ({ exchange, insist, name, subject, timeLimit }) => ({
    name,
    login: insist(Effect.flatMap(
      Grant.apart(subject.get),
      (parent) =>
        Effect.map(exchange(parent), (grant): Grant.Grant => ({
          ...grant,
          token: ChildToken.within(grant.token, parent)
        }))
    )),
    timeLimit: Duration.times(Duration.sum(subject.timeLimit, timeLimit), 2)
  }))

interface Prepared<E extends TokenError> {
  readonly name: string
  readonly subject: TokenSource.TokenSource<E>
  /** How long one exchange may take, without the subject's own time. There may be two, each with another subject. */
  readonly timeLimit: Duration.Duration
  readonly exchange: (subject: Token.Token) => Effect.Effect<Grant.Grant, E | UnattendedError>
  /** Runs it once more where the server has refused the subject's token. */
  readonly insist: <A, E2 extends object>(attempt: Effect.Effect<A, E2>) => Effect.Effect<A, E2>
}

const prepare: <E extends TokenError>(
  options: Options<E>
) => Effect.Effect<Prepared<E>, Misconfigured, HttpClient.HttpClient> = Effect.fnUntraced(
  function*<E extends TokenError>(options: Options<E>) {
    const keep = ["issued_token_type", ...options.keep ?? []]
    const endpoint = yield* Endpoint.make("token exchange", { ...options, keep })
    const subject = yield* toSource(`subject of ${endpoint.source}`, options.subject)
    const actor = options.actor && (yield* toSource(`actor of ${endpoint.source}`, options.actor))
    const blame: Blame = { doubt: { _tag: "None" }, errors: new WeakSet() }
    const exchange = (token: Token.Token) =>
      Effect.flatMap(
        actor === undefined ? Effect.sync(() => undefined) : Grant.apart(actor.get),
        (actor) => Unattended.exchange(endpoint, options, kind, fieldsOf(options, token, actor))
      ).pipe(
        Effect.tap(() => Effect.sync(() => blame.doubt = { _tag: "None" })),
        Effect.catchTag("Refusal", (refusal) => refuse(blame, subject, token, refusal))
      )
    return {
      name: endpoint.source,
      subject,
      timeLimit: actor === undefined ? endpoint.timeLimit : Duration.sum(endpoint.timeLimit, actor.timeLimit),
      exchange,
      insist: insist(blame)
    }
  }
)

const toSource = <E extends TokenError>(
  name: string,
  given: Given<E>
): Effect.Effect<TokenSource.TokenSource<E>> =>
  Effect.isEffect(given)
    ? TokenSource.fromEffect(Effect.map(given, (value) => Token.make({ value })), { name })
    : Effect.succeed(given)

const fieldsOf = (
  { actorTokenType, requestedTokenType, subjectTokenType }: Options<TokenError>,
  subject: Token.Token,
  actor: Token.Token | undefined
): TokenEndpoint.Parameters => ({
  subject_token: Redacted.value(subject.value),
  subject_token_type: subjectTokenType ?? tokenTypes.accessToken,
  ...(requestedTokenType === undefined ? {} : { requested_token_type: requestedTokenType }),
  ...(actor === undefined ? {} : {
    actor_token: Redacted.value(actor.value),
    actor_token_type: actorTokenType ?? tokenTypes.accessToken
  })
})

const kind: Unattended.Kind = {
  grant: "token_exchange",
  grantType: "urn:ietf:params:oauth:grant-type:token-exchange",
  hint: "Check the tokens' types, issuers and audiences, and that the client may exchange them."
}

/** What refusals have shown. */
interface Blame {
  doubt: Doubt
  /** The errors after which another token is worth a try. */
  readonly errors: WeakSet<object>
}

/** `Token`: this one was refused, maybe to several at once. `Setup`: so was another one, and it is not the token. */
type Doubt =
  | { readonly _tag: "None" }
  | { readonly _tag: "Token"; readonly token: Token.Token }
  | { readonly _tag: "Setup" }

/** What servers say of a token that has ended before its time; `invalid_request` is the standard's (RFC 8693 §2.2.2). */
const againstToken = new Set(["invalid_grant", "invalid_token", "invalid_request"])

const refuse = <E extends TokenError>(
  blame: Blame,
  subject: TokenSource.TokenSource<E>,
  token: Token.Token,
  refusal: Refusal
): Effect.Effect<never, UnattendedError> =>
  Effect.suspend(() => {
    const error = meaning(refusal)
    if (!againstToken.has(refusal.code)) return Effect.fail(error)
    blame.doubt = doubtOf(blame.doubt, token)
    if (blame.doubt._tag === "Setup") return Effect.fail(error)
    blame.errors.add(error)
    return Effect.zipRight(subject.invalidate(token), Effect.fail(error))
  })

const doubtOf = (before: Doubt, token: Token.Token): Doubt =>
  before._tag === "None" || before._tag === "Token" && Token.isSame(before.token, token)
    ? { _tag: "Token", token }
    : { _tag: "Setup" }

/** A token that has ended, and a parameter that is wrong, are told by the same code. */
const meaning = (refusal: Refusal): UnattendedError => {
  const error = Unattended.toError(refusal, kind.hint)
  return error._tag === "RequestRejected" && error.reason === "InvalidRequest"
    ? new RequestRejected({
      source: error.source,
      reason: "InvalidRequest",
      detail: error.detail,
      hint: "Check the tokens' types and the parameters; the subject's or the actor's token may have ended."
    })
    : error
}

/** Whoever gets the same token once more learns from it that no other one is to be had. */
const insist = (blame: Blame) => <A, E extends object>(attempt: Effect.Effect<A, E>): Effect.Effect<A, E> => {
  const isOfToken = (error: E) => blame.errors.has(error)
  const last = Effect.tapError(attempt, (error) =>
    Effect.sync(() => {
      if (isOfToken(error)) blame.doubt = { _tag: "Setup" }
    }))
  return Effect.catchIf(attempt, isOfToken, () => last)
}

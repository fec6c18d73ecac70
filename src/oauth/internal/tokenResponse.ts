/**
 * The answer of a token endpoint, from bytes to a grant. What servers get wrong without harm is put right
 * here, before oauth4webapi judges the rest. Nothing wrong with the rest may lose a refresh token that
 * was just rotated, and nothing is let in that a vault could not store.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import * as Grant from "../../Grant.js"
import * as Token from "../../Token.js"
import type { TransientFailure } from "../../TokenError.js"
import { Misconfigured, ReauthRequired } from "../../TokenError.js"
import * as Body from "./body.js"
import * as Failure from "./failure.js"
import * as Seconds from "./seconds.js"
import type * as Transport from "./transport.js"

/** How oauth4webapi judges one kind of answer. */
export type Judge = (
  response: Response,
  options: { readonly recognizedTokenTypes: oauth.RecognizedTokenTypes }
) => Promise<oauth.TokenEndpointResponse>

export interface Options {
  readonly source: string
  /** Whether the client authenticates itself. */
  readonly authenticates: boolean
  readonly judge: Judge
  readonly defaultLifetime: Duration.Duration
  readonly keep: ReadonlyArray<string>
  /** Whether an ID token that does not hold is left out of the grant instead of failing it. */
  readonly lenientIdToken: boolean
  /** The refresh token that was sent. */
  readonly spends: string | undefined
  /** The key to which the token was to be bound. */
  readonly proofKey: Redacted.Redacted<string> | undefined
}

const printable = /^[\x20-\x7e]+$/

/** What a vault can store: see the bounds of its records. */
const most = { secret: 256 * 1024, scopes: 1_000, scope: 1_024, kept: 50, text: 2_048 }

/**
 * The grant in the answer. Where a refresh token was spent, a new one is given even if nothing else in the
 * answer is any good: with an access token that has expired already, or with one that is not bound, whose
 * type says so to whoever presents it.
 */
export const decode = (
  answer: Transport.Answer,
  options: Options
): Effect.Effect<Grant.Grant, Failure.Refusal | TransientFailure | ReauthRequired | Misconfigured> =>
  Effect.zipRight(
    Failure.ofAnswer(options.source, answer, options.authenticates),
    Effect.suspend((): Effect.Effect<Grant.Grant, TransientFailure | ReauthRequired | Misconfigured> => {
      const fields = Option.getOrElse(Body.parse(answer.text), (): Body.Fields => ({}))
      const { source, spends } = options
      const renewed = refreshToken(fields)
      if (spends !== undefined && renewed === undefined && isPresent(fields["refresh_token"])) {
        return Effect.fail(unreadable(source))
      }
      const judged = judge(fields, options)
      return Effect.zipWith(
        spends === undefined || renewed === undefined || renewed === spends
          ? Effect.filterOrFail(judged, isBound(options), () => notBound(source))
          : Effect.orElseSucceed(judged, () => undefined),
        Clock.currentTimeMillis,
        (judged, now) => toGrant(fields, judged, now, options)
      )
    })
  )

/** Some servers write nothing as nothing. */
const isPresent = (input: unknown): boolean => input !== undefined && input !== null && input !== ""

const refreshToken = (fields: Body.Fields): string | undefined => {
  const input = fields["refresh_token"]
  return secret(Number.isSafeInteger(input) ? String(input) : input)
}

const judge = (
  fields: Body.Fields,
  options: Options
): Effect.Effect<oauth.TokenEndpointResponse, TransientFailure | Misconfigured> => {
  const cleaned = clean(fields)
  if (cleaned === undefined) {
    return Effect.fail(
      Failure.malformed(options.source, "the answer holds no access token that could be sent")
    )
  }
  const { id_token: _, ...withoutIdToken } = cleaned
  const whole = askJudge(cleaned, options)
  return options.lenientIdToken && "id_token" in cleaned
    ? Effect.orElse(whole, () => askJudge(withoutIdToken, options))
    : whole
}

const askJudge = (
  fields: Readonly<Record<string, string>>,
  options: Options
): Effect.Effect<oauth.TokenEndpointResponse, TransientFailure | Misconfigured> =>
  Effect.tryPromise({
    try: () => options.judge(Response.json(fields), { recognizedTokenTypes: { n_a: () => {} } }),
    catch: (error) =>
      error instanceof oauth.UnsupportedOperationError
        ? unsupported(options.source)
        : Failure.malformed(options.source, "the token or ID token in the answer can't be used")
  })

const unsupported = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "UnsupportedGrant",
    detail: "the server gave a token of a type that can't be presented here",
    hint: "Have the server give Bearer tokens to this client."
  })

const isBound = ({ proofKey }: Options) => ({ token_type }: oauth.TokenEndpointResponse): boolean =>
  proofKey === undefined || token_type !== "bearer"

/** Who asks for a bound token relies on it; the server may not know of proofs at all (RFC 9449 §5). */
const notBound = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "UnsupportedGrant",
    detail: "the server gave a bearer token where one was asked for that is bound to a key",
    hint:
      "Have the server bind this client's tokens (RFC 9449), or leave out the dpop option and log in again."
  })

const unreadable = (source: string): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "Ambiguous",
    detail: "the server gave a new refresh token that can't be read",
    hint: "Log in again: the old refresh token is probably spent. Report it to whoever runs the server."
  })

/** The fields that oauth4webapi looks at, if there is a usable access token. */
const clean = (fields: Body.Fields): Readonly<Record<string, string>> | undefined => {
  const accessToken = secret(fields["access_token"])
  if (accessToken === undefined) return undefined
  const idToken = secret(fields["id_token"])
  const tokenType = fields["token_type"]
  return {
    access_token: accessToken,
    token_type: typeof tokenType === "string" && tokenType.trim() !== "" ? tokenType.trim() : "bearer",
    ...(idToken === undefined ? {} : { id_token: idToken })
  }
}

const secret = (input: unknown): string | undefined =>
  typeof input === "string" && input.length <= most.secret && printable.test(input) && input.trim() !== ""
    ? input
    : undefined

const redacted = (value: string | undefined): Redacted.Redacted<string> | undefined =>
  value === undefined ? undefined : Redacted.make(value)

const toGrant = (
  fields: Body.Fields,
  judged: oauth.TokenEndpointResponse | undefined,
  now: number,
  options: Options
): Grant.Grant =>
  Grant.make({
    token: judged === undefined ? expired(now, options) : toToken(fields, judged, now, options),
    refreshToken: redacted(refreshToken(fields)),
    refreshExpiresAt: refreshExpiry(fields, now),
    idToken: redacted(secret(judged?.id_token)),
    extra: pick(fields, options.keep)
  })

const toToken = (
  fields: Body.Fields,
  judged: oauth.TokenEndpointResponse,
  now: number,
  { defaultLifetime, proofKey }: Options
): Token.Token => {
  const lifetime = Option.getOrElse(
    Seconds.lifetime(fields["expires_in"]),
    () => Duration.toMillis(defaultLifetime)
  )
  return Token.make({
    value: Redacted.make(judged.access_token),
    type: typeOf(judged.token_type),
    issuedAt: now,
    expiresAt: now + lifetime,
    scopes: scopesOf(fields["scope"]),
    proofKey
  })
}

/** Stands where there is no access token, so that what came with it is kept. */
const expired = (now: number, { proofKey }: Options): Token.Token =>
  Token.make({ value: Redacted.make(""), issuedAt: now, expiresAt: now, proofKey })

const typeOf = (type: string): string => type === "dpop" ? "DPoP" : type === "n_a" ? "N_A" : "Bearer"

/** Text with spaces between, or a list as some servers have it. */
const scopesOf = (input: unknown): ReadonlyArray<string> => {
  const text = Array.isArray(input) ? input.filter((item) => typeof item === "string").join(" ") : input
  return typeof text === "string"
    ? text.split(/\s+/).filter((scope) => scope !== "" && scope.length <= most.scope).slice(0, most.scopes)
    : []
}

const refreshExpiry = (fields: Body.Fields, now: number): number | undefined =>
  Option.getOrUndefined(
    Option.map(
      Option.orElse(
        Seconds.lifetime(fields["refresh_token_expires_in"]),
        () => Seconds.lifetime(fields["refresh_expires_in"])
      ),
      (lifetime) => now + lifetime
    )
  )

const pick = (fields: Body.Fields, names: ReadonlyArray<string>): Record<string, string> =>
  Object.fromEntries(
    names.slice(0, most.kept).flatMap((name) => {
      const value = fields[name]
      return typeof value === "string" && value.length <= most.text ? [[name, value]] : []
    })
  )

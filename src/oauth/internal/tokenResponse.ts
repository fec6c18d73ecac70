/**
 * The answer of a token endpoint, from bytes to a grant. What servers get wrong without harm is put right
 * here, before oauth4webapi judges the rest: a bad `expires_in` or `scope` must never lose a refresh token
 * that was just rotated.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as oauth from "oauth4webapi"
import * as Grant from "../../Grant.js"
import * as Token from "../../Token.js"
import type { TransientFailure } from "../../TokenError.js"
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
  readonly judge: Judge
  readonly defaultLifetime: Duration.Duration
  readonly keep: ReadonlyArray<string>
  /** Whether an ID token that does not hold is left out of the grant instead of failing it. */
  readonly lenientIdToken: boolean
}

const printable = /^[\x20-\x7e]+$/

/** The grant in the answer. */
export const decode = (
  answer: Transport.Answer,
  options: Options
): Effect.Effect<Grant.Grant, Failure.Refusal | TransientFailure> =>
  Effect.zipRight(
    Failure.ofAnswer(options.source, answer),
    Effect.suspend(() => {
      const fields = Option.getOrElse(Body.parse(answer.text), (): Body.Fields => ({}))
      return Effect.zipWith(judge(fields, options), Clock.currentTimeMillis, (judged, now) =>
        toGrant(fields, judged, now, options))
    })
  )

const judge = (
  fields: Body.Fields,
  options: Options
): Effect.Effect<oauth.TokenEndpointResponse, TransientFailure> => {
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
): Effect.Effect<oauth.TokenEndpointResponse, TransientFailure> =>
  Effect.tryPromise({
    try: () => options.judge(Response.json(fields), { recognizedTokenTypes: { n_a: () => {} } }),
    catch: () => Failure.malformed(options.source, "the token or ID token in the answer can't be used")
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
  typeof input === "string" && printable.test(input) ? input : undefined

const redacted = (input: unknown): Redacted.Redacted<string> | undefined => {
  const value = secret(input)
  return value === undefined ? undefined : Redacted.make(value)
}

const toGrant = (
  fields: Body.Fields,
  judged: oauth.TokenEndpointResponse,
  now: number,
  options: Options
): Grant.Grant => {
  const lifetime = Option.getOrElse(
    Seconds.lifetime(fields["expires_in"]),
    () => Duration.toMillis(options.defaultLifetime)
  )
  return Grant.make({
    token: Token.make({
      value: Redacted.make(judged.access_token),
      type: typeOf(judged.token_type),
      issuedAt: now,
      expiresAt: now + lifetime,
      scopes: scopesOf(fields["scope"])
    }),
    refreshToken: redacted(fields["refresh_token"]),
    refreshExpiresAt: refreshExpiry(fields, now),
    idToken: redacted(judged.id_token),
    extra: pick(fields, options.keep)
  })
}

const typeOf = (type: string): string => type === "dpop" ? "DPoP" : type === "n_a" ? "N_A" : "Bearer"

/** Text with spaces between, or a list as some servers have it. */
const scopesOf = (input: unknown): ReadonlyArray<string> => {
  const text = Array.isArray(input) ? input.filter((item) => typeof item === "string").join(" ") : input
  return typeof text === "string" ? text.split(/\s+/).filter((scope) => scope !== "") : []
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
  Object.fromEntries(names.flatMap((name) => {
    const value = fields[name]
    return typeof value === "string" && value.length <= 2048 ? [[name, value]] : []
  }))

/**
 * What an ID token says, decoded and compared (OpenID Connect Core §2, §3.1.3.7).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Claims, Profile } from "../Claims.js"
import * as Doubt from "./idTokenDoubt.js"

/** The longest text of a field that is given as one. */
const longest = 2048

const Text = Schema.String.pipe(Schema.maxLength(longest))
const Name = Schema.NonEmptyString.pipe(Schema.maxLength(longest))
const Instant = Schema.JsonNumber.pipe(Schema.nonNegative())
const Names = Schema.Array(Name).pipe(Schema.minItems(1), Schema.maxItems(100))
const Texts = Schema.Array(Text).pipe(Schema.maxItems(100))

/** Some servers write a flag as text. */
const Flag = Schema.Union(
  Schema.Boolean,
  Schema.transformLiterals(["true", true], ["false", false])
)

/** What every ID token has to say, and what is compared where it is there. */
const Required = Schema.Struct({
  iss: Name,
  sub: Name,
  aud: Schema.Union(Name, Names),
  exp: Instant,
  iat: Instant,
  nbf: Schema.optional(Instant),
  auth_time: Schema.optional(Schema.NullOr(Instant)),
  nonce: Schema.optional(Schema.NullOr(Text)),
  azp: Schema.optional(Schema.NullOr(Name))
})

type Raw = Readonly<Record<string, unknown>>

const decodeRequired = Schema.decodeUnknownOption(Required)
const text = lenient(Text)
const texts = lenient(Texts)
const flag = lenient(Flag)

/** The value, or undefined where it is missing or of another type. */
function lenient<A, I>(schema: Schema.Schema<A, I>): (input: unknown) => A | undefined {
  const decode = Schema.decodeUnknownOption(schema)
  return (input) => Option.getOrUndefined(decode(input))
}

/** What is said of a person. */
export const profile = (raw: Raw): Profile => ({
  name: text(raw["name"]),
  given_name: text(raw["given_name"]),
  family_name: text(raw["family_name"]),
  nickname: text(raw["nickname"]),
  preferred_username: text(raw["preferred_username"]),
  picture: text(raw["picture"]),
  email: text(raw["email"]),
  email_verified: flag(raw["email_verified"]),
  phone_number: text(raw["phone_number"]),
  phone_number_verified: flag(raw["phone_number_verified"]),
  locale: text(raw["locale"]),
  zoneinfo: text(raw["zoneinfo"])
})

/** The claims, if it has those that every ID token has. */
export const decodeOption = (raw: Raw): Option.Option<Claims> =>
  Option.map(decodeRequired(raw), ({ aud, auth_time: authTime, azp, exp, iat, iss, nonce, sub }) => ({
    ...profile(raw),
    iss,
    sub,
    aud: [aud].flat(),
    exp,
    iat,
    auth_time: authTime ?? undefined,
    nonce: nonce ?? undefined,
    acr: text(raw["acr"]),
    amr: texts(raw["amr"]),
    azp: azp ?? undefined,
    sid: text(raw["sid"]),
    raw
  }))

export const decode = (raw: Raw): Effect.Effect<Claims, Doubt.Doubt> =>
  Effect.mapError(decodeOption(raw), () => Doubt.make("Malformed"))

/** Whose an ID token has to be. */
export interface Parties {
  readonly issuer: string
  readonly clientId: string
}

/** What the claims are compared with. Instants in seconds, on the server's clock. */
export interface Expected extends Parties {
  readonly now: number
  readonly tolerance: number
  readonly nonce: string | undefined
  readonly maxAge: number | undefined
  readonly subject: string | undefined
}

/** The first reason not to believe them. */
export const doubt = (claims: Claims, expected: Expected): Doubt.Doubt | undefined =>
  first([...ofParties, ...ofLogin], claims, expected)

/** The same of what stays true when the login is long past. */
export const doubtOfParties = (claims: Claims, expected: Parties): Doubt.Doubt | undefined =>
  first(ofParties, claims, expected)

type Check<Against> = readonly [Doubt.Reason, (claims: Claims, expected: Against) => boolean]

const first = <Against>(
  checks: ReadonlyArray<Check<Against>>,
  claims: Claims,
  expected: Against
): Doubt.Doubt | undefined => {
  const reason = checks.find(([, isDoubtful]) => isDoubtful(claims, expected))?.[0]
  return reason === undefined ? undefined : Doubt.make(reason)
}

const ofParties: ReadonlyArray<Check<Parties>> = [
  ["Issuer", ({ iss }, { issuer }) => iss !== issuer],
  [
    "Audience",
    ({ aud, azp }, { clientId }) =>
      !aud.includes(clientId) || (aud.length > 1 && azp === undefined) ||
      (azp !== undefined && azp !== clientId)
  ]
]

const ofLogin: ReadonlyArray<Check<Expected>> = [
  ["Nonce", (claims, { nonce }) => nonce !== undefined && claims.nonce !== nonce],
  ["Expired", ({ exp }, { now, tolerance }) => exp <= now - tolerance],
  [
    "NotYetValid",
    ({ iat, raw }, { now, tolerance }) =>
      Math.max(iat, typeof raw["nbf"] === "number" ? raw["nbf"] : 0) > now + tolerance
  ],
  [
    "LoginTooOld",
    ({ auth_time: authTime }, { maxAge, now, tolerance }) =>
      maxAge !== undefined && (authTime === undefined || authTime + maxAge < now - tolerance)
  ],
  ["Subject", ({ sub }, { subject }) => subject !== undefined && sub !== subject]
]

/**
 * Assertions that are signed here, each only once (RFC 7523 §3).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as jose from "jose"
import * as oauth from "oauth4webapi"
import { Misconfigured } from "../../TokenError.js"
import type { AuthorizationServer } from "../AuthorizationServer.js"
import * as PrivateKey from "./privateKey.js"

/** As `JwtBearer.Signed` documents it. */
export interface Options extends PrivateKey.Options {
  readonly issuer: string
  readonly subject?: string | undefined
  readonly audience?: string | undefined
  readonly lifetime?: Duration.DurationInput | undefined
  readonly claims?: Readonly<Record<string, unknown>> | undefined
}

/** Signs a new one each time that it runs. */
export const make = (
  source: string,
  server: AuthorizationServer,
  options: Options
): Effect.Effect<Effect.Effect<Redacted.Redacted<string>, Misconfigured>, Misconfigured> =>
  Effect.map(
    check(source, options),
    ({ header, key, lifetime }) =>
      Effect.flatMap(secondsAt(server), (now) =>
        sign(source, key, header, {
          iss: options.issuer,
          sub: options.subject ?? options.issuer,
          aud: options.audience ?? server.issuer,
          iat: now,
          exp: now + Math.floor(lifetime),
          jti: oauth.generateRandomState(),
          ...options.claims
        }))
  )

interface Checked {
  readonly header: jose.JWTHeaderParameters
  readonly key: oauth.CryptoKey
  /** In seconds. */
  readonly lifetime: number
}

const check: (source: string, options: Options) => Effect.Effect<Checked, Misconfigured> = Effect.fnUntraced(
  function*(source, options) {
    const lifetime = Duration.toSeconds(options.lifetime ?? Duration.minutes(5))
    if (!(lifetime >= 1 && lifetime <= 3600)) return yield* badLifetime(source)
    if (options.issuer.trim() === "") return yield* blankIssuer(source)
    const { key, keyId } = yield* PrivateKey.load(source, options)
    const alg = options.algorithm ?? PrivateKey.algorithmOf(key)
    if (alg === undefined) return yield* unknownKey(source)
    return { header: { alg, typ: "JWT", ...(keyId === undefined ? {} : { kid: keyId }) }, key, lifetime }
  }
)

/** What second it is on the server's clock. */
const secondsAt = (server: AuthorizationServer): Effect.Effect<number> =>
  Effect.zipWith(
    Clock.currentTimeMillis,
    Ref.get(server.clockOffset),
    (now, offset) => Math.floor((now + offset) / 1000)
  )

const sign = (
  source: string,
  key: oauth.CryptoKey,
  header: jose.JWTHeaderParameters,
  claims: jose.JWTPayload
): Effect.Effect<Redacted.Redacted<string>, Misconfigured> =>
  Effect.tryPromise({
    try: () => new jose.SignJWT(claims).setProtectedHeader(header).sign(key),
    catch: () => unsigned(source)
  }).pipe(Effect.map((assertion) => Redacted.make(assertion)))

const badLifetime = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the lifetime of the assertion is under a second or above an hour",
    hint: "Give some minutes: an assertion is used at once, and only once."
  })

const blankIssuer = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the issuer of the assertion is blank",
    hint: "Give the name that the server knows the key's owner by."
  })

const unknownKey = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidKey",
    detail: "the key is of a kind that can't sign here",
    hint: "Give an RSA, EC or Ed25519 key."
  })

const unsigned = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidKey",
    detail: "the assertion could not be signed",
    hint: "Check that the key fits its algorithm, and that the claims can be written as JSON."
  })

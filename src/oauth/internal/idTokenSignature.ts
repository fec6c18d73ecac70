/**
 * Who signed an ID token (RFC 7515, RFC 8725): only keys that the server alone has count, never a secret that the
 * client shares with it, nor none at all.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as jose from "jose"
import type { Misconfigured, TransientFailure } from "../../TokenError.js"
import type * as AuthorizationServer from "../AuthorizationServer.js"
import * as Body from "./body.js"
import * as Doubt from "./idTokenDoubt.js"
import * as Keys from "./keys.js"

export interface Options {
  readonly source: string
  readonly keys: Keys.Keys
  /** Whether the server publishes keys at all. */
  readonly published: boolean
  /** Those that the server announces. */
  readonly algorithms: ReadonlyArray<string> | undefined
  /** Whether it came from the server itself just now. */
  readonly direct: boolean
}

/** An ID token with hundreds of groups in it has less. */
const longest = 64 * 1024

const asymmetric = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519"
]

/** What was signed, if it was. */
export const verify = (
  options: Options,
  jwt: string
): Effect.Effect<Body.Fields, Doubt.Doubt | TransientFailure | Misconfigured> =>
  Effect.flatMap(headerOf(jwt), (header) => {
    const { algorithms: announced, direct, keys, published, source } = options
    const algorithms = announced === undefined || announced.length === 0
      ? asymmetric
      : asymmetric.filter((algorithm) => announced.includes(algorithm))
    if (!algorithms.includes(header.alg ?? "")) return Effect.fail(Doubt.make("Algorithm"))
    if (published) return withKeys(keys, { algorithms, header, jwt })
    return direct
      ? Effect.mapError(payloadOf(jwt), () => Doubt.make("Malformed"))
      : Effect.fail(Keys.noKeys(source))
  })

const headerOf = (jwt: string): Effect.Effect<jose.ProtectedHeaderParameters, Doubt.Doubt> =>
  jwt.length > longest || jwt.split(".").length !== 3 ? Effect.fail(Doubt.make("Malformed")) : Effect.try({
    try: () => jose.decodeProtectedHeader(jwt),
    catch: () => Doubt.make("Malformed")
  })

/** What it says, whoever signed it. */
export const payloadOf = (jwt: string): Option.Option<Body.Fields> =>
  jwt.length > longest ? Option.none() : Option.liftThrowable((): Body.Fields => jose.decodeJwt(jwt))()

interface Signed {
  readonly jwt: string
  readonly header: jose.ProtectedHeaderParameters
  readonly algorithms: ReadonlyArray<string>
}

/** A key that isn't among those at hand may be a new one. */
const withKeys = (
  keys: Keys.Keys,
  signed: Signed
): Effect.Effect<Body.Fields, Doubt.Doubt | TransientFailure | Misconfigured> =>
  Effect.flatMap(
    keys.current,
    (held) =>
      Effect.catchIf(check(signed, held), (doubt) => mayBeNew(signed, doubt), (doubt) =>
        Effect.flatMap(
          keys.newerThan(held),
          Option.match({ onNone: () => Effect.fail(doubt), onSome: (newer) => check(signed, newer) })
        ))
  )

/** Without a name, another key may be meant than the one that was tried. */
const mayBeNew = ({ header }: Signed, { reason }: Doubt.Doubt): boolean =>
  reason === "UnknownKey" || reason === "Signature" && header.kid === undefined

const check = (
  { algorithms, jwt }: Signed,
  { keys }: AuthorizationServer.Keys
): Effect.Effect<Body.Fields, Doubt.Doubt> => {
  const set = jose.createLocalJWKSet({ keys: [...keys] as Array<jose.JWK> })
  const options = { algorithms: [...algorithms] }
  return Effect.tryPromise({
    try: () => jose.compactVerify(jwt, set, options).catch(eachOf(jwt, options)),
    catch: toDoubt
  }).pipe(
    Effect.flatMap(({ payload }) =>
      Effect.mapError(Body.parse(new TextDecoder().decode(payload)), () => Doubt.make("Malformed"))
    )
  )
}

/** Where several keys fit, the first with which it holds. */
const eachOf = (jwt: string, options: jose.VerifyOptions) => async (error: unknown) => {
  if (!(error instanceof jose.errors.JWKSMultipleMatchingKeys)) throw error
  for await (const key of error) {
    const verified = await jose.compactVerify(jwt, key, options).catch(() => undefined)
    if (verified !== undefined) return verified
  }
  throw new jose.errors.JWSSignatureVerificationFailed()
}

const toDoubt = (error: unknown): Doubt.Doubt => {
  if (error instanceof jose.errors.JWKSNoMatchingKey) return Doubt.make("UnknownKey")
  if (error instanceof jose.errors.JWSSignatureVerificationFailed) return Doubt.make("Signature")
  if (error instanceof jose.errors.JOSEAlgNotAllowed) return Doubt.make("Algorithm")
  return error instanceof jose.errors.JWSInvalid || error instanceof jose.errors.JOSENotSupported
    ? Doubt.make("Malformed")
    : Doubt.make("UnknownKey")
}

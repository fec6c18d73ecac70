/**
 * What a request proves by its signatures, found out before the server acts: Web Crypto takes its time, and a
 * step of the books may not.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Jose from "jose"
import type * as Answer from "./answer.js"
import * as ClientAuth from "./clientAuth.js"
import * as Incoming from "./incoming.js"
import type * as Keys from "./keys.js"
import * as Proof from "./proof.js"
import * as Settings from "./settings.js"

export interface Evidence {
  /** Who sends the request, or the answer that refuses it. */
  readonly credentials: Either.Either<ClientAuth.Credentials, Answer.Answer>
  readonly proof: Proof.Reading
  /** The claims of the JWTs in it, by the names of their fields, that the provider or whom it trusts has signed. */
  readonly claims: ReadonlyMap<string, Jose.JWTPayload>
}

export const read = (
  settings: Settings.Settings,
  keys: Keys.Keys,
  lookup: ClientAuth.Lookup,
  incoming: Incoming.Incoming
): Effect.Effect<Evidence> =>
  Effect.all({
    credentials: ClientAuth.read(lookup, incoming),
    proof: Proof.read(incoming),
    claims: Effect.map(
      Effect.forEach(fields, (name) => verified(settings, keys, name, Incoming.field(incoming, name))),
      (found) => new Map(found.flat())
    )
  })

const fields = ["assertion", "subject_token", "actor_token", "id_token_hint"]

type Found = ReadonlyArray<readonly [string, Jose.JWTPayload]>

const nothing: Found = []

const verified = (
  settings: Settings.Settings,
  keys: Keys.Keys,
  name: string,
  token: string | undefined
): Effect.Effect<Found> => {
  const issuer = token === undefined
    ? undefined
    : Either.getOrUndefined(Either.try(() => Jose.decodeJwt(token).iss))
  if (token === undefined || issuer === undefined) return Effect.succeed(nothing)
  return Effect.flatMap(
    keysOf(settings, keys, issuer),
    (jwks) =>
      Effect.promise(() => verify(token, jwks).then((claims): Found => [[name, claims]], () => nothing))
  )
}

const keysOf = (
  settings: Settings.Settings,
  keys: Keys.Keys,
  issuer: string
): Effect.Effect<ReadonlyArray<Jose.JWK>> =>
  issuer === settings.issuer
    ? keys.published
    : Effect.succeed(settings.trusted.flatMap((trusted) => trusted.issuer === issuer ? trusted.keys : []))

/** Whichever of the keys it was signed with. */
const verify = async (token: string, keys: ReadonlyArray<Jose.JWK>): Promise<Jose.JWTPayload> => {
  const algorithms = [...Settings.algorithms]
  const { payload } = await Promise.any(keys.map((key) => Jose.compactVerify(token, key, { algorithms })))
  return JSON.parse(new TextDecoder().decode(payload)) as Jose.JWTPayload
}

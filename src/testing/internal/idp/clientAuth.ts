/**
 * Client authentication (RFC 6749 §2.3, RFC 7523 §2.2).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as HashMap from "effect/HashMap"
import * as Redacted from "effect/Redacted"
import * as Jose from "jose"
import * as Answer from "./answer.js"
import * as Incoming from "./incoming.js"
import * as Settings from "./settings.js"
import type { State } from "./state.js"

/** What the request says about who sends it. */
export type Credentials =
  | { readonly _tag: "None"; readonly id: string }
  | {
    readonly _tag: "Secret"
    readonly id: string
    readonly method: Settings.Method
    readonly secret: string
  }
  | {
    readonly _tag: "Assertion"
    readonly id: string
    readonly claims: Jose.JWTPayload
    readonly signed: boolean
  }

/** Who sends the request, or the answer that refuses it. Signatures are checked here, times are not. */
export const read = (
  settings: Settings.Settings,
  incoming: Incoming.Incoming
): Effect.Effect<Either.Either<Credentials, Answer.Answer>> => {
  const assertion = Incoming.field(incoming, "client_assertion")
  const secret = Incoming.field(incoming, "client_secret")
  const id = Incoming.field(incoming, "client_id")
  const mechanisms = [incoming.authorization, assertion, secret].filter((value) => value !== undefined)
  if (mechanisms.length > 1) return Effect.succeed(malformed)
  if (assertion !== undefined) return readAssertion(settings, incoming, assertion)
  if (incoming.authorization !== undefined) return Effect.succeed(readBasic(incoming.authorization, id))
  if (id === undefined) return Effect.succeed(malformed)
  return Effect.succeed(Either.right(
    secret === undefined ? { _tag: "None", id } : { _tag: "Secret", id, method: "client_secret_post", secret }
  ))
}

const malformed: Either.Either<never, Answer.Answer> = Either.left(Answer.refuse("invalid_request"))

const readBasic = (header: string, id: string | undefined): Either.Either<Credentials, Answer.Answer> => {
  const [scheme, encoded] = header.split(" ")
  const decoded = scheme?.toLowerCase() === "basic" ? Encoding.decodeBase64String(encoded ?? "") : undefined
  if (decoded === undefined || Either.isLeft(decoded)) return malformed
  const [user, ...rest] = decoded.right.split(":")
  const basicId = formDecode(user ?? "")
  const secret = formDecode(rest.join(":"))
  if (!basicId || !secret || (id !== undefined && id !== basicId)) return malformed
  return Either.right({ _tag: "Secret", id: basicId, method: "client_secret_basic", secret })
}

/** RFC 6749 §2.3.1: both parts are form-encoded. */
const formDecode = (text: string): string | undefined =>
  Either.getOrUndefined(Either.try(() => decodeURIComponent(text.replaceAll("+", " "))))

const readAssertion = (
  settings: Settings.Settings,
  incoming: Incoming.Incoming,
  assertion: string
): Effect.Effect<Either.Either<Credentials, Answer.Answer>> => {
  const claims = Either.getOrUndefined(Either.try(() => Jose.decodeJwt(assertion)))
  const id = Incoming.field(incoming, "client_id")
  if (claims === undefined || Incoming.field(incoming, "client_assertion_type") !== Settings.assertionType) {
    return Effect.succeed(malformed)
  }
  if (claims.sub === undefined) return Effect.succeed(Either.left(unknownClient(incoming)))
  if (id !== undefined && id !== claims.sub) return Effect.succeed(malformed)
  return Effect.map(
    isSigned(settings.clients.get(claims.sub), assertion),
    (signed) => Either.right({ _tag: "Assertion", id: claims.sub ?? "", claims, signed })
  )
}

/** A client without a registered key is believed. */
const isSigned = (client: Settings.Client | undefined, assertion: string): Effect.Effect<boolean> => {
  const key = client?.publicKey
  return key === undefined ?
    Effect.succeed(true) :
    Effect.promise(() => Jose.compactVerify(assertion, key, { algorithms }).then(() => true, () => false))
}

const algorithms = [
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

/** The client behind the credentials, with the books in which its assertion is marked as used. */
export const check = (
  settings: Settings.Settings,
  state: State,
  incoming: Incoming.Incoming,
  credentials: Credentials,
  now: number
): Either.Either<readonly [Settings.Client, State], Answer.Answer> => {
  const client = settings.clients.get(credentials.id)
  const refused = Either.left(unknownClient(incoming))
  if (client === undefined) return refused
  switch (credentials._tag) {
    case "None":
      return client.methods.includes("none") ? Either.right([client, state]) : refused
    case "Secret":
      return client.methods.includes(credentials.method) && isSecret(client, credentials.secret)
        ? Either.right([client, state])
        : refused
    case "Assertion": {
      const id = assertionId(settings, state, credentials, now)
      const expiresAt = 1000 * Number(credentials.claims.exp)
      return id !== undefined && client.methods.includes("private_key_jwt")
        ? Either.right([client, { ...state, assertions: HashMap.set(state.assertions, id, expiresAt) }])
        : refused
    }
  }
}

const isSecret = (client: Settings.Client, secret: string): boolean =>
  client.secret !== undefined && Redacted.value(client.secret) === secret

/** How far ahead an assertion may expire, in seconds: whoever signs for longer signs a password. */
const longest = 3600

/** What a valid assertion is marked as used by; undefined for one that is not valid (RFC 7523 §3). */
const assertionId = (
  settings: Settings.Settings,
  state: State,
  credentials: Extract<Credentials, { _tag: "Assertion" }>,
  now: number
): string | undefined => {
  const { aud, exp, iat, iss, jti, nbf } = credentials.claims
  const seconds = (now + state.skew) / 1000
  const key = `${credentials.id} ${jti}`
  const forUs = [aud].flat().some((one) => one === settings.issuer || one === `${settings.base}/token`)
  const inTime = typeof exp === "number" && seconds < exp && exp <= seconds + longest &&
    !(Number(nbf ?? 0) > seconds) && !(Number(iat ?? 0) > seconds)
  const fresh = typeof jti === "string" && jti !== "" && !HashMap.has(state.assertions, key)
  return credentials.signed && iss === credentials.id && forUs && inTime && fresh ? key : undefined
}

/** RFC 6749 §5.2: the challenge answers an `Authorization` header. */
const unknownClient = (incoming: Incoming.Incoming): Answer.Answer =>
  Answer.refuse("invalid_client", {
    status: 401,
    headers: incoming.authorization === undefined
      ? {}
      : { "www-authenticate": "Basic error=\"invalid_client\"" }
  })

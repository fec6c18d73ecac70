/**
 * Client authentication (RFC 6749 §2.3, RFC 7523 §2.2).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as Jose from "jose"
import type { Method } from "../../VirtualProviderOptions.js"
import * as Answer from "./answer.js"
import * as Incoming from "./incoming.js"
import * as Settings from "./settings.js"
import * as State from "./state.js"

/** What the request says about who sends it; `Nobody` presents an assertion without naming a client. */
export type Credentials =
  | { readonly _tag: "Nobody"; readonly id: "" }
  | { readonly _tag: "None"; readonly id: string }
  | {
    readonly _tag: "Secret"
    readonly id: string
    readonly method: Method
    readonly secret: string
  }
  | {
    readonly _tag: "Assertion"
    readonly id: string
    readonly method: Method
    readonly claims: Jose.JWTPayload
    readonly signed: boolean
  }

/** Whoever is called by an id. */
export type Lookup = (id: string) => Settings.Client | undefined

/** Who sends the request, or the answer that refuses it. Signatures are checked here, times are not. */
export const read = (
  lookup: Lookup,
  incoming: Incoming.Incoming
): Effect.Effect<Either.Either<Credentials, Answer.Answer>> => {
  const assertion = Incoming.field(incoming, "client_assertion")
  const secret = Incoming.field(incoming, "client_secret")
  const id = Incoming.field(incoming, "client_id")
  const mechanisms = [incoming.authorization, assertion, secret].filter((value) => value !== undefined)
  if (mechanisms.length > 1) return Effect.succeed(malformed)
  if (assertion !== undefined) return readAssertion(lookup, incoming, assertion)
  if (incoming.authorization !== undefined) return Effect.succeed(readBasic(incoming.authorization, id))
  if (id === undefined) return Effect.succeed(isOwnProof(incoming) ? nobody : malformed)
  return Effect.succeed(Either.right(
    secret === undefined ? { _tag: "None", id } : { _tag: "Secret", id, method: "client_secret_post", secret }
  ))
}

/** Where the assertion says it all, the client need not say who it is (RFC 7523 §3.1). */
const isOwnProof = (incoming: Incoming.Incoming): boolean =>
  Incoming.field(incoming, "grant_type") === Settings.jwtBearerGrant

const nobody: Either.Either<Credentials> = Either.right({ _tag: "Nobody", id: "" })

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
  lookup: Lookup,
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
    isSigned(lookup(claims.sub), assertion),
    (signed) =>
      Either.right({ _tag: "Assertion", id: claims.sub ?? "", method: methodOf(assertion), claims, signed })
  )
}

const isShared = (assertion: string): boolean => {
  const header = Either.getOrUndefined(Either.try(() => Jose.decodeProtectedHeader(assertion)))
  return header?.alg?.startsWith("HS") ?? false
}

const methodOf = (assertion: string): Method => isShared(assertion) ? "client_secret_jwt" : "private_key_jwt"

/** A client without a registered key is believed; one without a secret can't have signed with it. */
const isSigned = (client: Settings.Client | undefined, assertion: string): Effect.Effect<boolean> => {
  if (isShared(assertion)) return isSignedBySecret(client?.secret, assertion)
  const keys = client?.publicKeys ?? []
  if (keys.length === 0) return Effect.succeed(true)
  const attempt = (key: Jose.JWK) => Jose.compactVerify(assertion, key, { algorithms })
  return Effect.promise(() => Promise.any(keys.map(attempt)).then(() => true, () => false))
}

const isSignedBySecret = (
  secret: Redacted.Redacted<string> | undefined,
  assertion: string
): Effect.Effect<boolean> => {
  if (secret === undefined) return Effect.succeed(false)
  const key = new TextEncoder().encode(Redacted.value(secret))
  return Effect.promise(() =>
    Jose.compactVerify(assertion, key, { algorithms: ["HS256", "HS384", "HS512"] })
      .then(() => true, () => false)
  )
}

const algorithms = [...Settings.algorithms]

/** The client behind the credentials, with the books in which its assertion is marked as used. */
export const check = (
  settings: Settings.Settings,
  state: State.State,
  incoming: Incoming.Incoming,
  credentials: Credentials,
  now: number
): Either.Either<readonly [Settings.Client, State.State], Answer.Answer> => {
  if (credentials._tag === "Nobody") return Either.right([anybody, state])
  const client = State.clientOf(state, settings, credentials.id)
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
      const id = assertionId(settings, state, incoming, credentials, now)
      return id !== undefined && client.methods.includes(credentials.method)
        ? Either.right([client, State.markUsed(state, id, 1000 * Number(credentials.claims.exp))])
        : refused
    }
  }
}

/** Whoever presents an assertion of a trusted issuer. */
const anybody: Settings.Client = {
  id: "",
  methods: ["none"],
  secret: undefined,
  publicKeys: [],
  grants: [Settings.jwtBearerGrant],
  scopes: undefined,
  redirectUris: [],
  postLogoutRedirectUris: [],
  pushes: false,
  dpop: false
}

const isSecret = (client: Settings.Client, secret: string): boolean =>
  client.secret !== undefined && Redacted.value(client.secret) === secret

/** How far ahead an assertion may expire, in seconds: whoever signs for longer signs a password. */
const longest = 3600

/** What a valid assertion is marked as used by; undefined for one that is not valid (RFC 7523 §3). */
const assertionId = (
  settings: Settings.Settings,
  state: State.State,
  incoming: Incoming.Incoming,
  { claims, id, signed }: Extract<Credentials, { _tag: "Assertion" }>,
  now: number
): string | undefined => {
  const key = `${id} ${claims.jti}`
  const ours = [settings.issuer, `${settings.base}/token`, `${incoming.url.origin}${incoming.url.pathname}`]
  const fresh = typeof claims.jti === "string" && claims.jti !== "" && !State.isUsed(state, key)
  return signed && claims.iss === id && isTimely(claims, ours, now + state.skew) && fresh ? key : undefined
}

/** Whether a JWT is for one of these and is good at this instant, in milliseconds (RFC 7523 §3). */
export const isTimely = (
  { aud, exp, iat, nbf }: Jose.JWTPayload,
  audiences: ReadonlyArray<string>,
  at: number
): boolean => {
  const seconds = at / 1000
  return [aud].flat().some((one) => one !== undefined && audiences.includes(one)) &&
    typeof exp === "number" && seconds < exp && exp <= seconds + longest &&
    !(Number(nbf ?? 0) > seconds) && !(Number(iat ?? 0) > seconds)
}

/** RFC 6749 §5.2: the challenge answers an `Authorization` header. */
const unknownClient = (incoming: Incoming.Incoming): Answer.Answer =>
  Answer.refuse("invalid_client", {
    status: 401,
    headers: incoming.authorization === undefined
      ? {}
      : { "www-authenticate": "Basic error=\"invalid_client\"" }
  })

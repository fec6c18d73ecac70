/**
 * The request that a browser carries to the authorization endpoint, or that is pushed there first (RFC 9126).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as oauth from "oauth4webapi"
import type { TransientFailure } from "../../TokenError.js"
import { Misconfigured } from "../../TokenError.js"
import type { Dialect } from "../Dialect.js"
import * as Dpop from "../Dpop.js"
import type * as TokenEndpoint from "../TokenEndpoint.js"
import * as Failure from "./failure.js"
import * as OfflineAccess from "./offlineAccess.js"
import * as Pkce from "./pkce.js"
import * as Seconds from "./seconds.js"
import * as Target from "./target.js"
import * as Endpoint from "./tokenEndpoint.js"
import type * as Transport from "./transport.js"
import * as Url from "./url.js"

/** What a request is made from. */
export interface Settings {
  /** Whether there has to be an ID token. */
  readonly openid: boolean
  readonly client: { readonly id: string }
  readonly scopes?: ReadonlyArray<string> | undefined
  readonly resource?: string | ReadonlyArray<string> | undefined
  readonly audience?: string | undefined
  readonly parameters?: TokenEndpoint.Parameters | undefined
  readonly authorizationParameters?: TokenEndpoint.Parameters | undefined
  readonly offlineAccess?: boolean | undefined
  readonly pushed?: boolean | undefined
  readonly requirePkce?: boolean | undefined
  /** Finite. */
  readonly maxAge?: Duration.Duration | undefined
  readonly dialect?: Dialect | undefined
}

/** The login that was begun. */
export interface Attempt {
  readonly url: string
  readonly redirectUri: string
  readonly state: Redacted.Redacted<string>
  readonly expiresAt: number | undefined
  readonly codeVerifier: Redacted.Redacted<string>
  readonly nonce: Redacted.Redacted<string> | undefined
  readonly proofKey: Redacted.Redacted<string> | undefined
  readonly issuer: { readonly name: string | undefined; readonly namesItself: boolean }
}

/** The fields that a login makes itself, or whose answer could not be read here. */
const own = ["state", "nonce", "response_mode", "max_age", "dpop_jkt", "request", "request_uri"]

/** Fails where an option would undo what another one decides. */
export const check = (
  source: string,
  { authorizationParameters = {}, maxAge, openid }: Settings
): Effect.Effect<void, Misconfigured> => {
  const name = own.find((name) => Object.hasOwn(authorizationParameters, name))
  if (name !== undefined) return Effect.fail(ownField(source, name))
  return maxAge !== undefined && !openid ? Effect.fail(ageUnknown(source)) : Effect.void
}

/** Makes the secrets of one login, and the address for its browser. */
export const begin = (
  endpoint: Endpoint.TokenEndpoint,
  settings: Settings,
  redirectUri: string
): Effect.Effect<Attempt, TokenEndpoint.GrantError> =>
  Effect.gen(function*() {
    yield* checkRedirect(endpoint.source, redirectUri)
    const { server } = yield* endpoint.party
    const address = yield* addressOf(endpoint.source, server)
    if (settings.requirePkce === true && !knowsPkce(server)) return yield* withoutPkce(endpoint.source)
    const proofKey = yield* endpoint.proofKey
    const login = makeSecrets(settings, proofKey)
    const fields = yield* Effect.map(proofs(login), (proofs) =>
      requestFields(settings, server, { ...proofs, redirect_uri: redirectUri }))
    const isPushed = settings.pushed === true || server.require_pushed_authorization_requests === true
    const target = isPushed ? yield* push(endpoint, fields, proofKey) : { fields, expiresAt: undefined }
    return {
      ...login,
      url: withFields(address, settings.client.id, target.fields),
      redirectUri,
      expiresAt: target.expiresAt,
      issuer: issuerOf(server)
    }
  }).pipe(Effect.catchTag("Refusal", (refusal) =>
    Effect.fail(Failure.ofRefusal(refusal))))

/** A server that was given by its endpoints alone is called by its token endpoint, which is no name. */
const issuerOf = (server: oauth.AuthorizationServer): Attempt["issuer"] => ({
  name: server.issuer === server.token_endpoint ? undefined : server.issuer,
  namesItself: server.authorization_response_iss_parameter_supported === true
})

type Secrets = Pick<Attempt, "state" | "codeVerifier" | "nonce" | "proofKey">

const makeSecrets = ({ openid }: Settings, proofKey: Secrets["proofKey"]): Secrets => ({
  state: Redacted.make(oauth.generateRandomState()),
  codeVerifier: Redacted.make(oauth.generateRandomCodeVerifier()),
  nonce: openid ? Redacted.make(oauth.generateRandomNonce()) : undefined,
  proofKey
})

type Fields = Readonly<Record<string, string | ReadonlyArray<string> | undefined>>

/** What binds the answer to this login. */
const proofs = ({ codeVerifier, nonce, proofKey, state }: Secrets): Effect.Effect<Fields, Misconfigured> =>
  Effect.map(
    Effect.transposeOption(Option.map(Option.fromNullable(proofKey), Dpop.thumbprint)),
    (jkt) => ({
      state: Redacted.value(state),
      nonce: nonce && Redacted.value(nonce),
      ...Pkce.challenge(Redacted.value(codeVerifier)),
      dpop_jkt: Option.getOrUndefined(jkt)
    })
  )

const requestFields = (
  { audience, authorizationParameters, dialect, maxAge, offlineAccess, resource, scopes }: Settings,
  server: oauth.AuthorizationServer,
  login: Fields
): URLSearchParams => {
  const asked = OfflineAccess.scopes(scopes, offlineAccess, server.scopes_supported)
  const consents = offlineAccess === true && authorizationParameters?.["prompt"] === undefined
  return Endpoint.fields(
    dialect?.start,
    { prompt: consents ? "consent" : undefined },
    authorizationParameters,
    {
      response_type: "code",
      scope: Endpoint.scope(asked),
      ...Target.fields(dialect, { resource, audience }),
      max_age: maxAge === undefined ? undefined : String(Math.floor(Duration.toSeconds(maxAge)))
    },
    login
  )
}

/** The endpoint's address, whose own query stays, with the fields in the place of any of the same name. */
const withFields = (address: URL, clientId: string, fields: URLSearchParams): string => {
  const url = new URL(address)
  for (const name of fields.keys()) url.searchParams.delete(name)
  for (const [name, value] of fields) url.searchParams.append(name, value)
  url.searchParams.set("client_id", clientId)
  return url.href
}

const addressOf = (source: string, server: oauth.AuthorizationServer): Effect.Effect<URL, Misconfigured> =>
  server.authorization_endpoint === undefined
    ? Effect.fail(noEndpoint(source))
    : Url.secure(source, "the authorization endpoint", server.authorization_endpoint)

const isRedirect = (text: string): boolean => {
  const url = Url.parse(text)
  return url !== undefined && url.hash === "" && url.username === "" && url.password === "" &&
    !["javascript:", "data:", "file:", "blob:"].includes(url.protocol) &&
    (url.protocol !== "http:" || !Url.isInsecure(url))
}

const checkRedirect = (source: string, redirectUri: string): Effect.Effect<void, Misconfigured> =>
  isRedirect(redirectUri) ? Effect.void : Effect.fail(unusableRedirect(source))

const knowsPkce = (server: oauth.AuthorizationServer): boolean =>
  server.code_challenge_methods_supported?.includes("S256") === true

interface Pushed {
  readonly fields: URLSearchParams
  readonly expiresAt: number
}

const push = (
  endpoint: Endpoint.TokenEndpoint,
  fields: URLSearchParams,
  proofKey: Secrets["proofKey"]
) =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (sent) =>
      endpoint.ask({
        span: "oauth.pushed_authorization",
        endpoint: "pushed_authorization_request_endpoint",
        proofKey,
        request: ({ auth, client, server }, options) =>
          oauth.pushedAuthorizationRequest(server, client, auth, fields, options),
        decode: (answer) => decode(endpoint, answer, sent)
      })
  )

const Body = Schema.Struct({
  request_uri: Schema.String.pipe(Schema.pattern(/^[\x21-\x7e]{1,1024}$/)),
  expires_in: Schema.optional(Schema.Unknown)
})

const decodeBody = Schema.decodeOption(Schema.parseJson(Body))

const decode = (
  { authenticates, source }: Endpoint.TokenEndpoint,
  answer: Transport.Answer,
  sent: number
): Effect.Effect<Pushed, Failure.Refusal | TransientFailure> =>
  Effect.zipRight(
    Failure.ofAnswer(source, answer, authenticates),
    Effect.mapBoth(decodeBody(answer.text), {
      onFailure: () => Failure.malformed(source, "the answer to the pushed request names no request"),
      onSuccess: (body): Pushed => ({
        fields: new URLSearchParams({ request_uri: body.request_uri }),
        expiresAt: sent + lifetimeOf(body.expires_in)
      })
    })
  )

const second = 1_000
const day = 24 * 60 * 60 * second

/** Missing or nonsense counts as a minute, and more than a day as a day. */
const lifetimeOf = (input: unknown): number =>
  Math.min(Option.getOrElse(Seconds.lifetime(input), () => 60 * second), day)

const ownField = (source: string, name: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: `${name} is among the further parameters, and is decided by the login itself`,
    hint: "Leave it out, or use the option of that meaning."
  })

const ageUnknown = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "maxAge is given, and there is no ID token that could tell when the person logged in",
    hint: "Ask for openid, or leave maxAge out."
  })

const noEndpoint = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "UnsupportedGrant",
    detail: "the server has no authorization endpoint",
    hint: "Give authorizationEndpoint explicitly, or log in another way."
  })

const withoutPkce = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "UnsupportedGrant",
    detail: "the server's metadata does not say that it knows PKCE with S256",
    hint: "Report it to whoever runs the server. Say `requirePkce: false` where you know that it does."
  })

const unusableRedirect = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the redirect URI is no address that a code can be sent back to",
    hint: "Give https, http on a loopback address, or the program's own scheme, without a fragment."
  })

/**
 * The answer of a registration endpoint (RFC 7591 §3.2), bounded in every field.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Misconfigured } from "../../TokenError.js"
import type { TransientFailure } from "../../TokenError.js"
import * as Client from "../Client.js"
import type { Management, RegisteredClient } from "../RegisteredClient.js"
import * as Body from "./body.js"
import * as Failure from "./failure.js"
import type { Fields } from "./registrationMetadata.js"
import type * as Transport from "./transport.js"
import * as Url from "./url.js"

export interface Options {
  readonly source: string
  readonly answer: Transport.Answer
  /** What was asked for. */
  readonly asked: Fields
  readonly privateKey: Client.PrivateKeyJwt | undefined
  /** The ways to authenticate that the server names. */
  readonly supported: ReadonlyArray<string>
}

export type Decoded = Omit<RegisteredClient, "issuer" | "registeredAt">

/** The client in the answer. */
export const decode = (options: Options): Effect.Effect<Decoded, TransientFailure | Misconfigured> => {
  const { answer, source } = options
  return Effect.zipRight(
    Failure.ofStatus(source, answer),
    Effect.suspend(() =>
      answer.status >= 400
        ? Effect.fail(refused(source, answer))
        : Effect.flatMap(parse(source, answer), (body) => toClient(options, body))
    )
  )
}

const optional = <A, I>(schema: Schema.Schema<A, I>) =>
  Schema.optionalWith(schema, { exact: true, nullable: true })

const Secret = Schema.Redacted(Schema.String.pipe(Schema.maxLength(8 * 1024)))

const Answer = Schema.Struct({
  client_id: Schema.String.pipe(Schema.pattern(/^[\x20-\x7e]{1,2048}$/)),
  client_secret: optional(Secret),
  client_secret_expires_at: optional(Schema.Unknown),
  token_endpoint_auth_method: optional(Schema.String),
  redirect_uris: optional(Schema.Array(Schema.String)),
  registration_client_uri: optional(Schema.String),
  registration_access_token: optional(Secret)
})

const decodeAnswer = Schema.decodeOption(Schema.parseJson(Answer))

const parse = (
  source: string,
  { text }: Transport.Answer
): Effect.Effect<typeof Answer.Type, TransientFailure> =>
  Effect.mapError(decodeAnswer(text), () => Failure.malformed(source, "the answer is no registered client"))

const toClient = (options: Options, body: typeof Answer.Type): Effect.Effect<Decoded, Misconfigured> => {
  const { asked, source } = options
  const redirectUris = body.redirect_uris ?? asked.redirect_uris
  if (!asked.redirect_uris.every((uri) => redirectUris.includes(uri))) return Effect.fail(redirected(source))
  return Effect.map(authOf(options, body), (auth) => ({
    client: { id: body.client_id, auth },
    redirectUris: asked.redirect_uris,
    secretExpiresAt: auth._tag === "None" ? Infinity : expiry(body.client_secret_expires_at),
    management: managementOf(body)
  }))
}

/** How the client authenticates: as it was registered, or in the first way of the server that its secret allows. */
const authOf = (
  { asked, privateKey, source, supported }: Options,
  body: typeof Answer.Type
): Effect.Effect<Client.ClientAuth, Misconfigured> => {
  const secret = body.client_secret === undefined || Redacted.value(body.client_secret) === ""
    ? undefined
    : body.client_secret
  const method = body.token_endpoint_auth_method ??
    (secret === undefined ? asked.token_endpoint_auth_method : "client_secret_basic")
  if (method === "none") return Effect.succeed(Client.none)
  if (method === "private_key_jwt") {
    return privateKey === undefined ? Effect.fail(unknownMethod(source)) : Effect.succeed(privateKey)
  }
  if (secret === undefined || !secretMethods.has(method)) return Effect.fail(unknownMethod(source))
  const takes = (name: string) => supported.length === 0 || supported.includes(name)
  if (method === "client_secret_post" && takes(method)) return Effect.succeed(Client.post(secret))
  return Effect.succeed(
    takes("client_secret_basic") || !takes("client_secret_post") ? Client.basic(secret) : Client.post(secret)
  )
}

const secretMethods: ReadonlySet<string> = new Set(["client_secret_basic", "client_secret_post"])

/** Seconds since 1970; 0, missing or nonsense: it doesn't end. */
const expiry = (input: unknown): number =>
  typeof input === "number" && input > 0 && input < 8.64e12 ? input * 1000 : Infinity

const managementOf = (body: typeof Answer.Type): Management | undefined => {
  const { registration_access_token: token, registration_client_uri: uri } = body
  const url = uri === undefined ? undefined : Url.parse(uri)
  return token === undefined || url === undefined || Url.isInsecure(url)
    ? undefined
    : { uri: url.href, token }
}

const refused = (source: string, { headers, status, text }: Transport.Answer): Misconfigured => {
  const code = codeOf(text) ?? /\berror="?([a-z_]{1,40})\b/.exec(headers["www-authenticate"] ?? "")?.[1]
  return new Misconfigured({
    source,
    reason: "InvalidClient",
    detail: code === undefined
      ? `the server refused to register the client, with status ${status}`
      : `the server refused to register the client, with ${code}`,
    hint: hintOf(code, status)
  })
}

const codeOf = (text: string): string | undefined =>
  Option.getOrUndefined(
    Option.filter(Option.fromNullable(Body.errorCode(text)), (code) => /^[a-z_]{1,40}$/.test(code))
  )

const hintOf = (code: string | undefined, status: number): string => {
  switch (code) {
    case "invalid_redirect_uri":
      return "Give redirect URIs that this server allows, such as http://127.0.0.1/callback."
    case "invalid_client_metadata":
      return "Check what the client says about itself: its grant types, scopes and way to authenticate."
    case "invalid_software_statement":
    case "unapproved_software_statement":
      return "Get a software statement that this server takes."
    default:
      return status === 401 || status === 403
        ? "Give the initial access token that the server's owner hands out, or register the program by hand."
        : "Register the program there by hand, and give its client id."
  }
}

const redirected = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidClient",
    detail: "the server registered the client with other redirect URIs than it asked for",
    hint: "Register the program there by hand, and give its client id."
  })

const unknownMethod = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidClient",
    detail: "the server registered the client for a way to authenticate that it has no secret or key for",
    hint: "Give a private key for private_key_jwt, or register the program there by hand."
  })

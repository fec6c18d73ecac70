/**
 * What an authorization server says about itself (RFC 8414 §2, OpenID Connect Discovery §3), decoded and
 * checked.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Misconfigured } from "../TokenError.js"
import * as Address from "./internal/resourceAddress.js"

/**
 * The metadata that this library reads, under the names of the registry. Each address may be sent secrets.
 *
 * @since 0.1.0
 * @category models
 */
export type ServerMetadata = {
  readonly issuer: string
  readonly authorization_endpoint?: string
  readonly token_endpoint?: string
  readonly device_authorization_endpoint?: string
  readonly pushed_authorization_request_endpoint?: string
  readonly registration_endpoint?: string
  readonly revocation_endpoint?: string
  readonly introspection_endpoint?: string
  readonly userinfo_endpoint?: string
  readonly end_session_endpoint?: string
  readonly jwks_uri?: string
  readonly mtls_endpoint_aliases?: Readonly<Record<string, string>>
  readonly scopes_supported?: Array<string>
  readonly response_types_supported?: Array<string>
  readonly grant_types_supported?: Array<string>
  readonly code_challenge_methods_supported?: Array<string>
  readonly token_endpoint_auth_methods_supported?: Array<string>
  readonly id_token_signing_alg_values_supported?: Array<string>
  readonly dpop_signing_alg_values_supported?: Array<string>
  readonly authorization_response_iss_parameter_supported?: boolean
  readonly require_pushed_authorization_requests?: boolean
  readonly client_id_metadata_document_supported?: boolean
}

/** The fields that are addresses. */
const endpoints = [
  "authorization_endpoint",
  "token_endpoint",
  "device_authorization_endpoint",
  "pushed_authorization_request_endpoint",
  "registration_endpoint",
  "revocation_endpoint",
  "introspection_endpoint",
  "userinfo_endpoint",
  "end_session_endpoint",
  "jwks_uri"
] as const satisfies ReadonlyArray<keyof ServerMetadata>

const text = Schema.optionalWith(Schema.String, { exact: true, nullable: true })
const texts = Schema.optionalWith(Schema.mutable(Schema.Array(Schema.String)), {
  exact: true,
  nullable: true
})
const flag = Schema.optionalWith(Schema.Boolean, { exact: true, nullable: true })

const aliases = Schema.optionalWith(Schema.Record({ key: Schema.String, value: Schema.String }), {
  exact: true,
  nullable: true
})

const decodeTypes = Schema.decodeUnknown(Schema.Struct({
  issuer: Schema.NonEmptyString,
  authorization_endpoint: text,
  token_endpoint: text,
  device_authorization_endpoint: text,
  pushed_authorization_request_endpoint: text,
  registration_endpoint: text,
  revocation_endpoint: text,
  introspection_endpoint: text,
  userinfo_endpoint: text,
  end_session_endpoint: text,
  jwks_uri: text,
  mtls_endpoint_aliases: aliases,
  scopes_supported: texts,
  response_types_supported: texts,
  grant_types_supported: texts,
  code_challenge_methods_supported: texts,
  token_endpoint_auth_methods_supported: texts,
  id_token_signing_alg_values_supported: texts,
  dpop_signing_alg_values_supported: texts,
  authorization_response_iss_parameter_supported: flag,
  require_pushed_authorization_requests: flag,
  client_id_metadata_document_supported: flag
}))

/**
 * The metadata in a document that claims to be of `issuer`. A different issuer, by even a slash, is
 * `IssuerMismatch` (RFC 8414 §3.3); an address that secrets can't be sent to safely is `InsecureUrl`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const decode = (
  source: string,
  issuer: string,
  document: unknown
): Effect.Effect<ServerMetadata, Misconfigured> =>
  decodeTypes(document).pipe(
    Effect.mapError(() =>
      invalid(source, "the metadata document lacks an issuer or has fields of a wrong type")
    ),
    Effect.filterOrFail((metadata) => metadata.issuer === issuer, ({ issuer: found }) =>
      mismatch(source, issuer, found)),
    Effect.tap((metadata) =>
      checkEndpoints(source, metadata)
    )
  )

/**
 * Fails unless secrets may be sent to each of the addresses. Of a server that is `unknown` until now, and not of
 * this machine or its network, none may be there either (RFC 9728 §7.7).
 *
 * @since 0.1.0
 * @category constructors
 */
export const checkEndpoints = (
  source: string,
  metadata: ServerMetadata,
  unknown?: URL
): Effect.Effect<void, Misconfigured> =>
  Effect.forEach([
    ...endpoints.map((name) => [name, metadata[name]] as const),
    ...Object.entries(metadata.mtls_endpoint_aliases ?? {})
  ], ([name, address]) =>
    address === undefined ? Effect.void : checkEndpoint(source, name, address, unknown), { discard: true })

const checkEndpoint = (
  source: string,
  name: string,
  address: string,
  unknown: URL | undefined
): Effect.Effect<URL, Misconfigured> =>
  unknown === undefined
    ? Address.secure(source, name, address)
    : Address.reachable(source, name, address, unknown)

const invalid = (source: string, detail: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidMetadata",
    detail,
    hint: "Give the endpoints explicitly, or report it to whoever runs the server."
  })

const mismatch = (source: string, expected: string, found: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "IssuerMismatch",
    detail: "the metadata document names another issuer",
    hint: found === `${expected}/`
      ? "Write the issuer with a slash at its end, as the server does."
      : expected === `${found}/`
      ? "Write the issuer without the slash at its end, as the server does."
      : "Give the issuer exactly as the server's metadata names it, once you trust that document."
  })

/**
 * What a client says about itself, as it goes on the wire (RFC 7591 §2).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Misconfigured } from "../../TokenError.js"
import type { AuthMethod, ClientMetadata } from "../RegisteredClient.js"
import * as Url from "./url.js"

/** The fields under the names of the registry. */
export interface Fields extends Record<string, Field> {
  readonly client_name: string
  readonly redirect_uris: Array<string>
  readonly token_endpoint_auth_method: AuthMethod
}

type Field = string | number | boolean | Array<string>

/** The fields, checked as far as any server would. `supported` is what the server says of authentication. */
export const encode = (
  source: string,
  metadata: ClientMetadata,
  supported: ReadonlyArray<string> | undefined
): Effect.Effect<Fields, Misconfigured> => {
  const { redirectUris = [] } = metadata
  if (metadata.name.trim() === "") return Effect.fail(nameless(source))
  if (!redirectUris.every(isRedirectUri)) return Effect.fail(unfitRedirect(source))
  const grantTypes = metadata.grantTypes ?? defaultGrants(redirectUris)
  const usesCode = grantTypes.includes("authorization_code")
  if (usesCode && redirectUris.length === 0) return Effect.fail(nowhere(source))
  return Effect.succeed({
    ...metadata.further,
    client_name: metadata.name,
    redirect_uris: [...redirectUris],
    grant_types: [...grantTypes],
    response_types: usesCode ? ["code"] : [],
    token_endpoint_auth_method: metadata.authMethod ?? chooseMethod(supported),
    application_type: metadata.applicationType ?? (redirectUris.every(isNative) ? "native" : "web"),
    ...given("scope", metadata.scopes?.join(" ")),
    ...given("client_uri", metadata.uri),
    ...given("logo_uri", metadata.logoUri),
    ...given("contacts", metadata.contacts && [...metadata.contacts]),
    ...given("software_id", metadata.softwareId),
    ...given("software_version", metadata.softwareVersion),
    ...given("jwks_uri", metadata.jwksUri)
  })
}

const given = (name: string, value: Field | undefined): Record<string, Field> =>
  value === undefined ? {} : { [name]: value }

const defaultGrants = (redirectUris: ReadonlyArray<string>): ReadonlyArray<string> => [
  redirectUris.length > 0 ? "authorization_code" : "urn:ietf:params:oauth:grant-type:device_code",
  "refresh_token"
]

/** A program on somebody's machine keeps no secret, so it asks for one only where the server wants that. */
const chooseMethod = (supported: ReadonlyArray<string> | undefined): AuthMethod => {
  if (supported === undefined || supported.includes("none")) return "none"
  return supported.includes("client_secret_basic") || !supported.includes("client_secret_post")
    ? "client_secret_basic"
    : "client_secret_post"
}

/** https, http on this machine, or a scheme of the program's own (RFC 8252 §7). */
const isRedirectUri = (text: string): boolean => {
  const url = Url.parse(text)
  if (url === undefined || text.includes("#") || url.username !== "" || url.password !== "") return false
  return /^https?:$/.test(url.protocol) ? !Url.isInsecure(url) : isOwnScheme(url)
}

/** A scheme of a program has a dot in it, as those of no browser do (RFC 8252 §7.1). */
const isOwnScheme = ({ protocol }: URL): boolean => protocol.includes(".")

const isNative = (text: string): boolean => {
  const url = Url.parse(text)
  return url !== undefined && (url.protocol === "http:" || isOwnScheme(url))
}

const nameless = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the client has no name",
    hint: "Give the name that people know the program by; they are shown it when they log in."
  })

const unfitRedirect = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "a redirect URI is not one that a login may come back to",
    hint: "Give https URLs, http URLs on a loopback address, or URIs of a scheme like com.example.app."
  })

const nowhere = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the authorization code grant needs a redirect URI",
    hint: "Give one, such as http://127.0.0.1/callback, or other grant types."
  })

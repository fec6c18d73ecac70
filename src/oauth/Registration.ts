/**
 * How a program becomes a client of a server that has never heard of it: by dynamic registration (RFC 7591), or
 * by a document about itself whose address is its client id (OAuth Client ID Metadata Documents).
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import type { TransientFailure } from "../TokenError.js"
import { Misconfigured } from "../TokenError.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import type * as Client from "./Client.js"
import * as Protocol from "./internal/protocol.js"
import * as Answer from "./internal/registrationAnswer.js"
import * as Metadata from "./internal/registrationMetadata.js"
import * as Transport from "./internal/transport.js"
import * as Url from "./internal/url.js"
import type { Limits } from "./Limits.js"
import type { ClientMetadata, RegisteredClient } from "./RegisteredClient.js"

export type { AuthMethod, ClientMetadata, Management, RegisteredClient } from "./RegisteredClient.js"

/**
 * What `register` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Limits {
  readonly server: AuthorizationServer
  readonly metadata: ClientMetadata
  /** What a server that registers not everybody has given out for this. */
  readonly initialAccessToken?: Redacted.Redacted<string> | undefined
  /** The key that the client will sign with, where it is registered for `private_key_jwt`. */
  readonly privateKey?: Client.PrivateKeyJwt | undefined
  /** The name that errors show. Default `registration at` the issuer's host. */
  readonly name?: string | undefined
}

/**
 * Registers a new client (RFC 7591 §3). Each run makes another one: keep the answer. A refusal is
 * `Misconfigured`, its reason `InvalidClient`, and the detail tells the server's code, such as
 * `invalid_redirect_uri`; where the server registers nobody, it is `UnsupportedGrant`. Takes two requests at most:
 * one for the server's metadata.
 *
 * @since 0.1.0
 * @category constructors
 */
export const register: (
  options: Options
) => Effect.Effect<RegisteredClient, TransientFailure | Misconfigured, HttpClient.HttpClient> = Effect
  .fnUntraced(
    function*(options) {
      const { initialAccessToken, server } = options
      const source = options.name ?? `registration at ${Url.parse(server.issuer)?.host ?? "the server"}`
      const metadata = yield* server.metadata
      if (metadata.registration_endpoint === undefined) return yield* closed(source)
      const asked = yield* Metadata.encode(
        source,
        options.metadata,
        metadata.token_endpoint_auth_methods_supported
      )
      const { clockOffset } = server
      const send = yield* Transport.make({
        ...options,
        maxResponseBytes: options.maxResponseBytes ?? most,
        source,
        clockOffset
      })
      const call = (fetch: Protocol.Fetch) =>
        oauth.dynamicClientRegistrationRequest(metadata, asked, {
          ...initialAccessToken && { initialAccessToken: Redacted.value(initialAccessToken) },
          [oauth.customFetch]: fetch,
          [oauth.allowInsecureRequests]: Protocol.allowLoopback(metadata.registration_endpoint)
        })
      const answer = yield* Effect.withSpan(Protocol.perform(source, call, send), "oauth.registration", {
        kind: "client",
        captureStackTrace: false,
        attributes: { "oauth.source": source }
      })
      const registeredAt = yield* Clock.currentTimeMillis
      const { privateKey } = options
      const supported = metadata.token_endpoint_auth_methods_supported ?? []
      const registered = yield* Answer.decode({ source, answer, asked, privateKey, supported })
      // One that has ended already is nonsense, or one of the clocks is wrong: the server will say so itself.
      const secretExpiresAt = registered.secretExpiresAt > registeredAt
        ? registered.secretExpiresAt
        : Infinity
      return { ...registered, issuer: server.issuer, registeredAt, secretExpiresAt }
    }
  )

/** Such answers are small. */
const most = 256 * 1024

/**
 * The document to publish at `url`, as JSON, so that servers which know such documents take `url` as the id of
 * this client. Fails where `url` can't be one (see `isDocumentUrl`), and for a client with a shared secret, or
 * with a key that nobody can find.
 *
 * @since 0.1.0
 * @category constructors
 */
export const document = (
  url: string,
  metadata: ClientMetadata
): Effect.Effect<Readonly<Record<string, unknown>>, Misconfigured> => {
  const source = "client id document"
  if (!isDocumentUrl(url)) return Effect.fail(unfitUrl(source))
  if (hasSharedSecret(metadata)) return Effect.fail(sharedSecret(source))
  if (metadata.authMethod === "private_key_jwt" && metadata.jwksUri === undefined) {
    return Effect.fail(keyless(source))
  }
  return Effect.map(
    Metadata.encode(source, { authMethod: "none", ...metadata }, undefined),
    (fields) => ({ client_id: url, ...fields })
  )
}

const hasSharedSecret = ({ authMethod, further = {} }: ClientMetadata): boolean =>
  authMethod?.startsWith("client_secret") === true || Object.hasOwn(further, "client_secret")

/**
 * Whether this can be the address of such a document: https, with a path, and without credentials and a fragment. It has
 * to be written as a browser would write it, with no dot segments, default port or capitals in the host, since servers
 * compare it letter by letter with what they have read.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isDocumentUrl = (text: string): boolean => {
  const url = Url.parse(text)
  return url !== undefined && url.href === text && url.protocol === "https:" && url.pathname !== "/" &&
    url.username === "" && url.password === "" && !text.includes("#")
}

const closed = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "UnsupportedGrant",
    detail: "the server registers no clients by itself",
    hint: "Register the program there by hand, and give its client id."
  })

const unfitUrl = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "its address can't be a client id",
    hint: "Give an https URL with a path, without credentials and a fragment, as a browser would write it."
  })

const sharedSecret = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "a client that anybody can read about has no shared secret",
    hint: "Use `none`, or `private_key_jwt` and `jwksUri`."
  })

const keyless = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "it does not say where the public key is that the client signs with",
    hint: "Publish the key as a JWK set, and give its address as `jwksUri`."
  })

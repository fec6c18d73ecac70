/**
 * An authorization server: its metadata, discovered by issuer or given as endpoints, and how far its clock is
 * from ours.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { TransientFailure } from "../TokenError.js"
import { Misconfigured } from "../TokenError.js"
import * as Discovery from "./internal/discovery.js"
import * as Memo from "./internal/memo.js"
import * as Transport from "./internal/transport.js"
import * as Url from "./internal/url.js"
import type { Limits } from "./Limits.js"
import * as ServerMetadata from "./ServerMetadata.js"

/**
 * A server that grants can be asked of.
 *
 * @since 0.1.0
 * @category models
 */
export interface AuthorizationServer {
  /** What the server is called by, exactly; its token endpoint where nobody said. */
  readonly issuer: string
  /** Its metadata. Fetched when first needed where it is discovered, then remembered for a time. */
  readonly metadata: Effect.Effect<ServerMetadata.ServerMetadata, TransientFailure | Misconfigured>
  /** Milliseconds that its clock is ahead of `Clock`, as the last answer's `Date` told; 0 before. */
  readonly clockOffset: Ref.Ref<number>
  /** The nonces that its last answers asked proofs of possession for, by origin (RFC 9449 §8). */
  readonly nonces: Ref.Ref<ReadonlyMap<string, Nonce>>
  /** The public keys that it signs with, once they were needed. */
  readonly keys: Ref.Ref<Keys | undefined>
}

/**
 * A nonce of a server.
 *
 * @since 0.1.0
 * @category models
 */
export interface Nonce {
  readonly value: string
  /** When it was received, in Unix milliseconds. */
  readonly at: number
}

/**
 * A server's public keys (RFC 7517 §5).
 *
 * @since 0.1.0
 * @category models
 */
export interface Keys {
  readonly keys: ReadonlyArray<Readonly<Record<string, unknown>>>
  /** When they were received, in Unix milliseconds. */
  readonly at: number
}

/**
 * What `make` takes: the addresses, and what the server is called.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Default: the token endpoint. Signed assertions are addressed to it, ID tokens have to come from it. */
  readonly issuer?: string | undefined
  readonly tokenEndpoint: string
  readonly authorizationEndpoint?: string | undefined
  readonly deviceAuthorizationEndpoint?: string | undefined
  readonly pushedAuthorizationRequestEndpoint?: string | undefined
  readonly registrationEndpoint?: string | undefined
  readonly revocationEndpoint?: string | undefined
  readonly introspectionEndpoint?: string | undefined
  readonly userinfoEndpoint?: string | undefined
  readonly endSessionEndpoint?: string | undefined
  readonly jwksUri?: string | undefined
}

/**
 * A server from its endpoints. Each must be https, or http on a loopback address.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<AuthorizationServer, Misconfigured> => {
  const metadata = toMetadata(options)
  return Effect.zipRight(
    ServerMetadata.checkEndpoints("authorization server", metadata),
    Effect.map(
      learnt,
      (learnt) => ({ issuer: metadata.issuer, metadata: Effect.succeed(metadata), ...learnt })
    )
  )
}

/** What answers will tell. */
const learnt: Effect.Effect<Pick<AuthorizationServer, "clockOffset" | "nonces" | "keys">> = Effect.all({
  clockOffset: Ref.make(0),
  nonces: Ref.make<ReadonlyMap<string, Nonce>>(new Map()),
  keys: Ref.make<Keys | undefined>(undefined)
})

const toMetadata = (options: Options): ServerMetadata.ServerMetadata => ({
  issuer: options.issuer ?? options.tokenEndpoint,
  token_endpoint: options.tokenEndpoint,
  ...given("authorization_endpoint", options.authorizationEndpoint),
  ...given("device_authorization_endpoint", options.deviceAuthorizationEndpoint),
  ...given("pushed_authorization_request_endpoint", options.pushedAuthorizationRequestEndpoint),
  ...given("registration_endpoint", options.registrationEndpoint),
  ...given("revocation_endpoint", options.revocationEndpoint),
  ...given("introspection_endpoint", options.introspectionEndpoint),
  ...given("userinfo_endpoint", options.userinfoEndpoint),
  ...given("end_session_endpoint", options.endSessionEndpoint),
  ...given("jwks_uri", options.jwksUri)
})

const given = (name: string, value: string | undefined): Record<string, string> =>
  value === undefined ? {} : { [name]: value }

/**
 * What `discover` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface DiscoverOptions extends Limits {
  /** The issuer, exactly as the server writes it. */
  readonly issuer: string
  /**
   * Which document is read: OpenID Connect's, RFC 8414's, or OpenID's first and RFC 8414's where there is
   * none. `mcp` reads RFC 8414's first, then OpenID's, that one also where its path comes last, as the Model
   * Context Protocol wants it, for servers that only a resource has named: none elsewhere may name an address of
   * this machine or its network. Default `any`.
   */
  readonly document?: Discovery.Document | undefined
  /** How long the metadata is remembered. Default 1 hour. */
  readonly cacheFor?: Duration.DurationInput | undefined
}

/**
 * A server by its issuer. The metadata is fetched on first use, once for all concurrent callers; an outage of
 * the server doesn't take away metadata that was read before. Fails when the issuer can't be one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const discover: (
  options: DiscoverOptions
) => Effect.Effect<AuthorizationServer, Misconfigured, HttpClient.HttpClient> = Effect.fnUntraced(
  function*(options) {
    const url = yield* Url.secure("discovery", "the issuer", options.issuer)
    if (url.search !== "") return yield* hasQuery
    const source = `discovery of ${url.host}`
    const known = yield* learnt
    const send = yield* Transport.make({ ...options, source, clockOffset: known.clockOffset })
    const read = Discovery.read({ source, issuer: options.issuer, document: options.document ?? "any", send })
    const cacheFor = Duration.decode(options.cacheFor ?? Duration.hours(1))
    const metadata = yield* Memo.make(read, cacheFor, isUntrustworthy)
    return { issuer: options.issuer, metadata, ...known }
  }
)

/** What takes away metadata that was read before: the issuer is not, or no longer, what it was taken for. */
const isUntrustworthy = ({ reason }: TransientFailure | Misconfigured): boolean =>
  reason === "IssuerMismatch" || reason === "InsecureUrl"

const hasQuery = new Misconfigured({
  source: "discovery",
  reason: "InvalidOption",
  detail: "the issuer has a query",
  hint: "Give the issuer itself, not the address of its metadata."
})

/**
 * A protected resource by its address alone: what it says about itself, and which authorization servers give
 * tokens for it (RFC 9728).
 *
 * All of it is text under the resource's influence. So a document counts only for the resource that it was
 * asked for, redirects are not followed, and a resource elsewhere can't point to this machine or its network. That is
 * judged by the host as it is written, which is not looked up: a public name of a local address passes.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import { Misconfigured } from "../TokenError.js"
import type { TransientFailure } from "../TokenError.js"
import * as Address from "./internal/resourceAddress.js"
import * as Metadata from "./internal/resourceMetadata.js"
import * as Transport from "./internal/transport.js"
import type { Limits } from "./Limits.js"

/**
 * What is known of a resource.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProtectedResource {
  /** Where it was asked for, without a fragment. */
  readonly url: string
  /** What it calls itself, letter by letter; requests for tokens name it (RFC 8707). */
  readonly resource: string
  /** The authorization servers that it takes tokens of and that may be used, the first one first. */
  readonly issuers: ReadonlyArray<string>
  /** The scopes that it knows of; empty where it names none. */
  readonly scopes: ReadonlyArray<string>
  /** Whether it takes only tokens that are bound to a key (RFC 9449 §5.1). */
  readonly boundTokens: boolean
  /** Where this is from: its metadata, or the convention of resources that are older than that. */
  readonly origin: "Metadata" | "Legacy"
}

/**
 * What `discover` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Limits {
  /** The address of the resource: https, or http on a loopback address. */
  readonly url: string
  /** Where the metadata is, as the resource's challenge says. Default: looked for at the well-known places. */
  readonly metadataUrl?: string | undefined
  /** Whether this authorization server may be used. Default: any may. */
  readonly trust?: ((issuer: string) => boolean) | undefined
  /**
   * Whether a resource without metadata counts as one whose authorization server is its own origin, as MCP had
   * it before 2025-06-18. Default false.
   */
  readonly legacy?: boolean | undefined
  /** The name that errors show. Default the resource's host. */
  readonly name?: string | undefined
}

/**
 * The metadata of a resource, read from where its challenge says, else from its well-known places: first with
 * its path in the address, then without (RFC 9728 §3.1).
 *
 * It is `InvalidMetadata` where there is none, or where it names another resource. A parent of the resource
 * may stand for it, if the document is at the parent's own well-known place: so nobody on a shared host can
 * ask for tokens that open all of it. Authorization servers that can't be asked safely are left out, and so
 * are those that `trust` refuses; `InsecureUrl` and `IssuerMismatch` say that none is left.
 *
 * @since 0.1.0
 * @category constructors
 */
export const discover: (
  options: Options
) => Effect.Effect<ProtectedResource, TransientFailure | Misconfigured, HttpClient.HttpClient> = Effect
  .fnUntraced(function*(options) {
    const url = yield* locate(options)
    const source = options.name ?? url.host
    const send = yield* sender(options, source)
    const place = yield* Effect.transposeOption(Option.map(
      Option.fromNullable(options.metadataUrl),
      (text) => Address.reachable(source, "the address of the metadata", text, url)
    ))
    const found = yield* Effect.withSpan(
      Metadata.read({ source, url, place: Option.getOrUndefined(place), send }),
      "oauth.resource",
      { kind: "client", captureStackTrace: false, attributes: { "oauth.source": source } }
    )
    return yield* Option.match(found, {
      onNone: () =>
        options.legacy === true ? trusting(options, source, legacy(url)) : Effect.fail(absent(source)),
      onSome: (document) => judge(options, source, url, document)
    })
  })

/**
 * What a resource answers to somebody without a token.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly status: number
  /** The header `WWW-Authenticate`, as it was sent. */
  readonly challenge: string | undefined
}

/**
 * Asks the resource for itself without any credential, to learn its challenge. A redirect is not followed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ask: (
  options: Pick<Options, "maxResponseBytes" | "name" | "requestTimeLimit" | "url">
) => Effect.Effect<Answer, TransientFailure | Misconfigured, HttpClient.HttpClient> = Effect.fnUntraced(
  function*(options) {
    const url = yield* locate(options)
    const source = options.name ?? url.host
    const send = yield* sender(options, source)
    const { headers, status } = yield* Effect.withSpan(
      Metadata.get(send, url.href),
      "oauth.resource.challenge",
      { kind: "client", captureStackTrace: false, attributes: { "oauth.source": source } }
    )
    return { status, challenge: headers["www-authenticate"] }
  }
)

/** A fragment names a part of a document and no resource (RFC 8707 §2). */
const locate = ({ name, url }: Pick<Options, "name" | "url">): Effect.Effect<URL, Misconfigured> =>
  Address.secure(name ?? "resource", "the address of the resource", url.replace(/#.*$/s, ""))

const sender = (
  limits: Limits,
  source: string
): Effect.Effect<Transport.Send, never, HttpClient.HttpClient> =>
  Effect.flatMap(
    Ref.make(0),
    (clockOffset) =>
      Transport.make({ ...limits, maxResponseBytes: limits.maxResponseBytes ?? most, source, clockOffset })
  )

/** Such documents are small. */
const most = 256 * 1024

const legacy = (url: URL): ProtectedResource => ({
  url: url.href,
  resource: url.href,
  issuers: [url.origin],
  scopes: [],
  boundTokens: false,
  origin: "Legacy"
})

const judge = (
  options: Options,
  source: string,
  url: URL,
  document: Metadata.Document
): Effect.Effect<ProtectedResource, Misconfigured> => {
  const { resource, scopes } = document
  const known = { url: url.href, resource, scopes, boundTokens: document.boundTokens }
  if (document.issuers.length === 0) {
    return options.legacy === true
      ? trusting(options, source, { ...known, issuers: [url.origin], origin: "Metadata" })
      : Effect.fail(serverless(source))
  }
  const safe = document.issuers.filter((issuer) => Address.isIssuer(issuer, url))
  return safe.length === 0
    ? Effect.fail(unsafe(source))
    : trusting(options, source, { ...known, issuers: safe, origin: "Metadata" })
}

/** The resource with those of its authorization servers that may be used. */
const trusting = (
  { trust = () => true }: Options,
  source: string,
  resource: ProtectedResource
): Effect.Effect<ProtectedResource, Misconfigured> => {
  const issuers = resource.issuers.filter((issuer) => trust(issuer))
  return issuers.length === 0 ? Effect.fail(untrusted(source)) : Effect.succeed({ ...resource, issuers })
}

const absent = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidMetadata",
    detail: "the resource does not say which authorization server it belongs to",
    hint: "Check its address. Give the authorization server yourself, or say `legacy: true` for an old one."
  })

const serverless = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidMetadata",
    detail: "the resource's metadata names no authorization server",
    hint: "Give the authorization server yourself, or report it to whoever runs the resource."
  })

const unsafe = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InsecureUrl",
    detail: "the resource names only authorization servers without https, or in this network",
    hint: "Don't log in there unless you know why; report it to whoever runs the resource."
  })

const untrusted = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "IssuerMismatch",
    detail: "the resource names no authorization server that is trusted here",
    hint: "Add the issuer to those that `trust` allows, if you know it."
  })

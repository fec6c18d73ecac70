/**
 * The exchange that all grants share: a request made for this client, the answer as a grant.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as oauth from "oauth4webapi"
import type { Grant } from "../../Grant.js"
import type { ReauthRequired, RequestRejected } from "../../TokenError.js"
import { Misconfigured, TransientFailure } from "../../TokenError.js"
import type { Limits } from "../Limits.js"
import type { ServerMetadata } from "../ServerMetadata.js"
import type { Parameters } from "../TokenEndpoint.js"
import * as ClientAuth from "./clientAuth.js"
import { Refusal } from "./failure.js"
import * as Options from "./options.js"
import * as Protocol from "./protocol.js"
import * as TokenResponse from "./tokenResponse.js"
import * as Transport from "./transport.js"
import * as Url from "./url.js"

/** What oauth4webapi's functions are called with. */
export interface Party {
  readonly server: oauth.AuthorizationServer
  readonly client: oauth.Client
  readonly auth: oauth.ClientAuth
}

/** The options of a request that oauth4webapi is to send through here. */
export type RequestOptions = oauth.TokenEndpointRequestOptions

export interface Exchange {
  /** The name of the grant, for spans. */
  readonly grant: string
  readonly request: (party: Party, options: RequestOptions) => Promise<Response>
  /** How the answer is judged. Default: as of any grant without an interaction. */
  readonly judge?: ((party: Party) => TokenResponse.Judge) | undefined
  /** Default true. */
  readonly lenientIdToken?: boolean | undefined
  /** The refresh token that it spends. */
  readonly spends?: string | undefined
}

/** A question to an endpoint of the server that gives no grants. */
export interface Question<A> {
  /** The name of the span, such as `oauth.revocation`. */
  readonly span: string
  readonly endpoint: EndpointName
  readonly request: (party: Party, options: RequestOptions) => Promise<Response>
  readonly decode: (
    answer: Transport.Answer
  ) => Effect.Effect<A, Refusal | TransientFailure | ReauthRequired | RequestRejected | Misconfigured>
}

type EndpointName = Extract<keyof ServerMetadata, `${string}_endpoint`>

export interface TokenEndpoint {
  readonly source: string
  /** How long one exchange may take: the metadata, then the request, which may be signed once more. */
  readonly timeLimit: Duration.Duration
  /** Whether the client has a secret or a key. */
  readonly authenticates: boolean
  readonly party: Effect.Effect<Party, TransientFailure | Misconfigured>
  readonly send: Transport.Send
  /** Repeats an attempt once whose assertion was refused while its answer taught that the clocks differ. */
  readonly againOnSkew: <A, E>(attempt: Effect.Effect<A, E | Refusal>) => Effect.Effect<A, E | Refusal>
  /** From the moment that the answer is there, it is not interrupted. */
  readonly exchange: (
    exchange: Exchange
  ) => Effect.Effect<Grant, Refusal | TransientFailure | ReauthRequired | Misconfigured>
  /**
   * Asks another endpoint, signed once more where the clocks turn out to differ. `Misconfigured` where the
   * server has no such endpoint. From the moment that the answer is there, it is not interrupted.
   */
  readonly ask: <A>(
    question: Question<A>
  ) => Effect.Effect<A, Refusal | TransientFailure | ReauthRequired | RequestRejected | Misconfigured>
}

/** The endpoint for one client. `grant` names it where the options don't, `defaults` limit it. */
export const make = (
  grant: string,
  options: Options.Options,
  defaults: Limits = {}
): Effect.Effect<TokenEndpoint, Misconfigured, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const source = options.name ?? `${grant} at ${hostOf(options.server.issuer)}`
    yield* Options.check(source, options)
    const auth = yield* ClientAuth.make(source, options.client)
    const requestTimeLimit = options.requestTimeLimit ?? defaults.requestTimeLimit
    const { clockOffset } = options.server
    const send = yield* Transport.make({ ...options, requestTimeLimit, source, clockOffset })
    const party = Effect.zipWith(
      metadataWithin(source, options, Transport.metadataTimeLimit(options)),
      Protocol.client(options.client.id, clockOffset),
      (server, client): Party => ({ server, client, auth })
    )
    const timeLimit = Duration.sum(
      Transport.metadataTimeLimit(options),
      Duration.times(Transport.timeLimit({ requestTimeLimit }), signs(options) ? 2 : 1)
    )
    const authenticates = (options.client.auth?._tag ?? "None") !== "None"
    const decoding = {
      source,
      authenticates,
      defaultLifetime: Duration.decode(options.defaultLifetime ?? Duration.hours(1)),
      keep: options.keep ?? []
    }
    const attempt = (exchange: Exchange) =>
      Effect.flatMap(exchange.spends === undefined ? party : Effect.mapError(party, unspent), (party) =>
        received(
          (send) =>
            Protocol.perform(source, (fetch) =>
              exchange.request(party, requestOptions(party, fetch)), send),
          send,
          (answer) =>
            TokenResponse.decode(answer, {
              ...decoding,
              judge: (exchange.judge ?? judgeAny)(party),
              lenientIdToken: exchange.lenientIdToken ?? true,
              spends: exchange.spends
            })
        ))
    const again: TokenEndpoint["againOnSkew"] = (attempt) =>
      signs(options) ? againOnSkew(attempt, clockOffset) : attempt
    const exchange = (exchange: Exchange) =>
      traced("oauth.token", { "oauth.grant": exchange.grant, "oauth.source": source })(
        again(attempt(exchange))
      )
    const ask: TokenEndpoint["ask"] = (question) =>
      Effect.flatMap(party, (party) => {
        const address = party.server[question.endpoint]
        return address === undefined ? Effect.fail(absent(source, question.endpoint)) : received(
          (send) =>
            Protocol.perform(
              source,
              (fetch) =>
                question.request(party, requestOptions(party, fetch, address)),
              send
            ),
          send,
          question.decode
        )
      }).pipe(again, traced(question.span, { "oauth.source": source }))
    return { source, timeLimit, authenticates, party, send, againOnSkew: again, exchange, ask }
  })

/** Sends interruptibly, and decodes what has arrived without being interrupted. */
const received = <A, E, E2>(
  perform: (send: Transport.Send) => Effect.Effect<Transport.Answer, E>,
  send: Transport.Send,
  decode: (answer: Transport.Answer) => Effect.Effect<A, E2>
): Effect.Effect<A, E | E2> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(perform((request) => restore(send(request))), decode)
  )

/** The metadata, read before anything is spent and within a limit of its own. */
const metadataWithin = (source: string, { server }: Options.Options, limit: Duration.Duration) =>
  Effect.timeoutFail(server.metadata, {
    duration: limit,
    onTimeout: () =>
      new TransientFailure({
        source,
        reason: "Timeout",
        detail: `the server's metadata did not arrive within ${Duration.format(limit)}`,
        hint: "Try again, or give the endpoints explicitly.",
        retryAt: undefined
      })
  })

/** Whatever went wrong with the metadata, nothing was sent that could be spent. */
const unspent = <E>(error: E | TransientFailure): E | TransientFailure =>
  error instanceof TransientFailure && error.reason !== "ServerError" && error.reason !== "RateLimited"
    ? new TransientFailure({ ...fieldsOf(error), reason: "Network" })
    : error

const fieldsOf = ({ detail, hint, retryAt, source }: TransientFailure) => ({ detail, hint, retryAt, source })

const signs = (options: Options.Options): boolean => options.client.auth?._tag === "PrivateKeyJwt"

const againOnSkew = <A, E>(
  attempt: Effect.Effect<A, E | Refusal>,
  clockOffset: Ref.Ref<number>
): Effect.Effect<A, E | Refusal> =>
  Effect.flatMap(
    Ref.get(clockOffset),
    (before) =>
      Effect.catchIf(attempt, isInvalidClient, (refusal) =>
        Effect.flatMap(Ref.get(clockOffset), (after) =>
          Math.abs(after - before) < 1_000 ? Effect.fail(refusal) : attempt))
  )

const isInvalidClient = <E>(error: E | Refusal): error is Refusal =>
  error instanceof Refusal && error.code === "invalid_client"

const judgeAny = ({ client, server }: Party): TokenResponse.Judge => (response, options) =>
  oauth.processGenericTokenEndpointResponse(server, client, response, options)

const requestOptions = (
  { server }: Party,
  fetch: Protocol.Fetch,
  address: string | undefined = server.token_endpoint
): RequestOptions => ({
  [oauth.customFetch]: fetch,
  [oauth.allowInsecureRequests]: Protocol.allowLoopback(address)
})

const absent = (source: string, endpoint: EndpointName): Misconfigured =>
  new Misconfigured({
    source,
    reason: "UnsupportedGrant",
    detail: `the server has no ${endpoint.replaceAll("_", " ")}`,
    hint: "Give the endpoint explicitly if the server has one that its metadata doesn't tell."
  })

const hostOf = (issuer: string): string => Url.parse(issuer)?.host ?? "the authorization server"

/** A span that tells names and how it ended, nothing else. */
export const traced =
  (name: string, attributes: Readonly<Record<string, string>>) =>
  <A, E extends { readonly _tag: string }, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    self.pipe(
      Effect.tapBoth({
        onSuccess: () => Effect.annotateCurrentSpan("oauth.outcome", "ok"),
        onFailure: (error) => Effect.annotateCurrentSpan("oauth.outcome", error._tag)
      }),
      Effect.withSpan(name, { kind: "client", captureStackTrace: false, attributes })
    )

/** The fields of a request; those of the grant come last and win. */
export const fields = (
  ...parts: ReadonlyArray<Readonly<Record<string, string | ReadonlyArray<string> | undefined>> | undefined>
): URLSearchParams => {
  const merged: Parameters = Object.fromEntries(
    parts.flatMap((part) => Object.entries(part ?? {})).flatMap(([name, value]) =>
      value === undefined || value.length === 0 ? [] : [[name, value]]
    )
  )
  return new URLSearchParams(
    Object.entries(merged).flatMap(([name, value]) =>
      typeof value === "string" ? [[name, value]] : value.map((item) => [name, item])
    )
  )
}

/** Scopes as they go on the wire; nothing when there are none. */
export const scope = (scopes: ReadonlyArray<string> | undefined): string | undefined =>
  scopes === undefined || scopes.length === 0 ? undefined : scopes.join(" ")

/** The grant with the resource it was asked for, for its renewals. */
export const remember = (grant: Grant, resource: string | ReadonlyArray<string> | undefined): Grant =>
  resource === undefined || resource.length === 0
    ? grant
    : { ...grant, extra: { ...grant.extra, resource: [resource].flat().join(Options.separator) } }

/** The resource that a grant was asked for. */
export const remembered = (grant: Grant): ReadonlyArray<string> | undefined =>
  grant.extra["resource"]?.split(Options.separator).filter((resource) => resource !== "")

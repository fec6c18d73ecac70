/**
 * The exchange that all grants share: a request made for this client, the answer as a grant.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as oauth from "oauth4webapi"
import type { Grant } from "../../Grant.js"
import * as Grants from "../../Grant.js"
import type { ReauthRequired, RequestRejected } from "../../TokenError.js"
import { Misconfigured, TransientFailure } from "../../TokenError.js"
import type { Limits } from "../Limits.js"
import type { ServerMetadata } from "../ServerMetadata.js"
import type { Parameters } from "../TokenEndpoint.js"
import * as ClientAuth from "./clientAuth.js"
import * as Dialect from "./dialect.js"
import * as Binding from "./dpopBinding.js"
import type { Refusal } from "./failure.js"
import * as Options from "./options.js"
import * as Protocol from "./protocol.js"
import * as Repeat from "./repeat.js"
import * as Target from "./target.js"
import * as TokenResponse from "./tokenResponse.js"
import * as Transport from "./transport.js"
import * as Url from "./url.js"

/** What oauth4webapi's functions are called with. */
export interface Party {
  readonly server: oauth.AuthorizationServer
  readonly client: oauth.Client
  readonly auth: oauth.ClientAuth
}

/** The options of a request that oauth4webapi is to send through here; with a key, what makes its proofs. */
export type RequestOptions =
  & oauth.TokenEndpointRequestOptions
  & Pick<oauth.UserInfoRequestOptions, typeof oauth.customFetch>

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
  /** The key that is proven. Default: as the options say, a new one where they name none. */
  readonly proofKey?: Redacted.Redacted<string> | undefined
  /** Whether it is sent only once: whoever asks has to `insist` with other fields. Default false. */
  readonly once?: boolean | undefined
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
  /** The key that is proven. Default: none. */
  readonly proofKey?: Redacted.Redacted<string> | undefined
}

type EndpointName = Extract<keyof ServerMetadata, `${string}_endpoint`>

export interface TokenEndpoint {
  readonly source: string
  /**
   * How long one request of the client may take that spends nothing and proves no other key than the options say: the
   * metadata, then the request as often as it may be sent. See `timeLimitOf`.
   */
  readonly timeLimit: Duration.Duration
  /** Whether the client has a secret or a key. */
  readonly authenticates: boolean
  readonly party: Effect.Effect<Party, TransientFailure | Misconfigured>
  /** The key for one new login, if its tokens are to be bound to one. */
  readonly proofKey: Effect.Effect<Redacted.Redacted<string> | undefined, Misconfigured>
  /**
   * Repeats an attempt once that was refused while its answer taught that the clocks differ, as far as something in
   * it is dated, and once where it taught the nonce for its proof. `dated`: what else is refused for its date.
   */
  readonly insist: <A, E>(
    attempt: Effect.Effect<A, E | Refusal>,
    dated?: ReadonlyArray<string>
  ) => Effect.Effect<A, E | Refusal>
  /** From the moment that the answer is there, it is not interrupted. */
  readonly exchange: (
    exchange: Exchange
  ) => Effect.Effect<Grant, Refusal | TransientFailure | ReauthRequired | Misconfigured>
  /**
   * Asks another endpoint, once more as `insist` does. `Misconfigured` where the server has no such endpoint. From
   * the moment that the answer is there, it is not interrupted.
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
  Effect.map(prepare(grant, options, defaults), (self) => ({
    source: self.source,
    timeLimit: timeLimitOf(options, defaults),
    authenticates: ClientAuth.authenticates(options.client),
    party: self.party,
    proofKey: self.binding.proofKey,
    insist: insisting(self, binds(options)),
    exchange: (asked) =>
      exchange(self, asked).pipe(
        traced("oauth.token", { "oauth.grant": asked.grant, "oauth.source": self.source })
      ),
    ask: (question) => ask(self, question).pipe(traced(question.span, { "oauth.source": self.source }))
  }))

/** What all requests of one client share. */
interface Self {
  readonly source: string
  readonly options: Options.Options
  readonly party: TokenEndpoint["party"]
  readonly binding: Binding.Binding
  readonly send: Transport.Send
}

const prepare = Effect.fnUntraced(function*(grant: string, options: Options.Options, defaults: Limits) {
  const { client, dialect, server } = options
  const { clockOffset } = server
  const source = options.name ?? `${grant} at ${hostOf(server.issuer)}`
  yield* Options.check(source, options)
  const auth = yield* ClientAuth.make(source, client)
  const binding = yield* Binding.make(source, options.dpop, server)
  const requestTimeLimit = options.requestTimeLimit ?? defaults.requestTimeLimit
  const sender = yield* Transport.make({ ...options, requestTimeLimit, source, clockOffset })
  const send = binding.listening(Dialect.speak(dialect, clockOffset, sender))
  const party = Effect.zipWith(
    metadataWithin(source, options, Transport.metadataTimeLimit(options)),
    Protocol.client(client.id, clockOffset),
    (metadata, named): Party => ({ server: ClientAuth.addresses(client, metadata), client: named, auth })
  )
  return { source, options, party, binding, send } satisfies Self
})

const exchange = Effect.fnUntraced(function*(self: Self, asked: Exchange) {
  const { binding, party } = self
  const bound = yield* binding.bind(asked.proofKey ?? (yield* binding.proofKey))
  const spends = asked.spends !== undefined
  if (spends && bound !== undefined) yield* prime(self, bound)
  const attempt = requestOnce(self, {
    endpoint: "token_endpoint",
    party: spends ? Effect.mapError(party, unspent) : party,
    bound,
    request: asked.request,
    decode: decoding(self, asked, bound)
  })
  return yield* asked.once === true ? attempt : insisting(self, bound !== undefined)(attempt)
})

const ask = <A>(self: Self, question: Question<A>) =>
  Effect.flatMap(
    self.binding.bind(question.proofKey),
    (bound) =>
      insisting(self, bound !== undefined)(requestOnce(self, { ...question, party: self.party, bound }))
  )

/** One request, whatever it is for. */
interface Call<A, E> {
  readonly endpoint: EndpointName
  readonly party: TokenEndpoint["party"]
  readonly bound: Binding.Bound | undefined
  readonly request: Exchange["request"]
  readonly decode: (answer: Transport.Answer, party: Party) => Effect.Effect<A, E>
}

/** Signed and proven by what is known of the server now. */
const requestOnce = <A, E>(self: Self, { bound, decode, endpoint, party, request }: Call<A, E>) =>
  Effect.flatMap(Effect.zip(party, self.binding.prover(bound)), ([party, prover]) => {
    const address = party.server[endpoint]
    if (address === undefined) return Effect.fail(absent(self.source, endpoint))
    const perform = (send: Transport.Send) =>
      Protocol.perform(
        self.source,
        (fetch) => request(party, { ...requestOptions(fetch, address), ...prover }),
        send
      )
    return Effect.mapError(
      received(perform, self.send, (answer) => decode(answer, party)),
      ClientAuth.explain(self.options.client, party.server)
    )
  })

const decoding = (
  { options, source }: Self,
  { judge = judgeAny, lenientIdToken = true, spends }: Exchange,
  bound: Binding.Bound | undefined
) =>
(answer: Transport.Answer, party: Party) =>
  Grants.arriving(TokenResponse.decode(answer, {
    source,
    authenticates: ClientAuth.authenticates(options.client),
    judge: judge(party),
    defaultLifetime: Duration.decode(options.defaultLifetime ?? Duration.hours(1)),
    keep: options.keep ?? [],
    lenientIdToken,
    spends,
    proofKey: bound?.key
  }))

const insisting = ({ options }: Self, isBound: boolean): TokenEndpoint["insist"] => (attempt, dated = []) =>
  Repeat.repeated(attempt, options.server, {
    clock: [
      ...dated,
      ...signs(options) ? ["invalid_client"] : [],
      ...isBound ? ["invalid_dpop_proof"] : []
    ],
    nonce: isBound ? ["use_dpop_nonce"] : []
  })

/** Learns the nonce for a proof before something is spent. */
const prime = ({ binding, party, send, source }: Self, bound: Binding.Bound) =>
  Effect.flatMap(party, (party) => {
    const address = party.server.token_endpoint
    const ask = Effect.flatMap(binding.prover(bound), (prover) =>
      Protocol.perform(
        source,
        (fetch) => askInVain(party, { ...requestOptions(fetch, address), ...prover }),
        send
      ))
    return binding.prime({ address, ask })
  }).pipe(Effect.mapError(unspent))

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

const signs = ({ client }: Options.Options): boolean =>
  client.auth?._tag === "PrivateKeyJwt" || client.auth?._tag === "ClientSecretJwt"

/** What decides how often a request may be sent, beside the options. */
export interface Effort {
  /** The key that is proven. Default: as the options say. */
  readonly proofKey?: Redacted.Redacted<string> | undefined
  /** Whether a refresh token is spent. Default false. */
  readonly spends?: boolean | undefined
}

/**
 * How long one exchange may take: the metadata, and the nonce where it is asked for before something is spent; then the
 * request, once more by the right clock, and with a key once more for a nonce. A key may come with what is exchanged:
 * a grant that is bound is renewed with its own, whatever the options say.
 */
export const timeLimitOf = (
  options: Options.Options,
  defaults: Limits = {},
  { proofKey, spends = false }: Effort = {}
): Duration.Duration => {
  const isBound = proofKey !== undefined || binds(options)
  const requests = 1 + (signs(options) || isBound ? 1 : 0) + (isBound ? 1 : 0)
  const requestTimeLimit = options.requestTimeLimit ?? defaults.requestTimeLimit
  const one = Transport.timeLimit({ requestTimeLimit })
  return Duration.sum(
    Duration.sum(
      Transport.metadataTimeLimit(options),
      isBound && spends ? Duration.min(one, Binding.patience) : Duration.zero
    ),
    Duration.times(one, requests)
  )
}

const binds = ({ dpop }: Options.Options): boolean => dpop !== undefined && dpop !== false

/**
 * A request that no server has anything to lose by: it redeems a refresh token that was never given. Only such
 * a request is sure to come to where a proof is looked at, since servers read the grant first.
 */
const askInVain = ({ auth, client, server }: Party, options: RequestOptions): Promise<Response> =>
  oauth.refreshTokenGrantRequest(server, client, auth, oauth.generateRandomCodeVerifier(), options)

const judgeAny = ({ client, server }: Party): TokenResponse.Judge => (response, options) =>
  oauth.processGenericTokenEndpointResponse(server, client, response, options)

const requestOptions = (fetch: Protocol.Fetch, address: string | undefined): RequestOptions => ({
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

/** The grant with what it was asked for, for its renewals. */
export const remember = (
  grant: Grant,
  resource: string | ReadonlyArray<string> | undefined,
  audience?: string | ReadonlyArray<string> | undefined
): Grant => Target.remember(grant, { resource, audience })

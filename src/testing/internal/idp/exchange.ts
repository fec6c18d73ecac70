/**
 * One exchange: a request arrives, meets its faults, the server acts, the answer goes out.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type * as Fault from "../../Fault.js"
import * as Journal from "../../Journal.js"
import type * as Answer from "./answer.js"
import type * as Authorization from "./authorization.js"
import * as Documents from "./documents.js"
import * as Evidence from "./evidence.js"
import * as Faults from "./faults.js"
import * as Incoming from "./incoming.js"
import type * as Keys from "./keys.js"
import * as Log from "./log.js"
import * as Secrets from "./secrets.js"
import * as Server from "./server.js"
import * as Settings from "./settings.js"
import * as State from "./state.js"
import * as Wire from "./wire.js"

/** A provider: what it is set up to do, its books, its faults and its journal. */
export interface Provider {
  readonly settings: Settings.Settings
  readonly state: Ref.Ref<State.State>
  readonly faults: Ref.Ref<Faults.Faults>
  readonly log: Ref.Ref<Log.Log>
  readonly journalLimit: number
  readonly keys: Keys.Keys
  /** What answers requests to other origins. */
  readonly elsewhere: HttpClient.HttpClient | undefined
  /** The server's clock before its skew. */
  readonly now: Effect.Effect<number>
}

type Exchange = Effect.Effect<HttpClientResponse.HttpClientResponse, HttpClientError.RequestError>

/** Answers a request to one of the provider's endpoints. */
export const exchange: (
  provider: Provider,
  endpoint: Journal.Endpoint,
  request: HttpClientRequest.HttpClientRequest,
  url: URL,
  choice?: Authorization.Choice
) => Exchange = Effect.fnUntraced(function*(provider, endpoint, request, url, choice) {
  const { keys, settings } = provider
  const incoming = yield* Incoming.read(endpoint, request, url)
  yield* Documents.introduce(provider, incoming)
  const state = yield* Ref.get(provider.state)
  const lookup = (id: string) => State.clientOf(state, settings, id)
  const evidence = yield* Evidence.read(settings, keys, lookup, incoming)
  return yield* record({ provider, request, incoming, evidence, choice })
})

/** From its arrival on, the journal knows of it, however it ends. */
const record = (context: Context): Exchange =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(arrive(context), ({ faults, index }) =>
      restore(serve(context, faults, index)).pipe(
        Effect.onInterrupt(() => note(context.provider, index, { delivery: "Interrupted" }))
      ))
  )

interface Context {
  readonly provider: Provider
  readonly request: HttpClientRequest.HttpClientRequest
  readonly incoming: Incoming.Incoming
  readonly evidence: Evidence.Evidence
  readonly choice: Authorization.Choice | undefined
}

const arrive = Effect.fnUntraced(function*({ evidence, incoming, provider }: Context) {
  const at = yield* provider.now
  const { endpoint, method } = incoming
  const grantType = knownGrant(provider, incoming)
  const client = knownClient(provider, yield* Ref.get(provider.state), incoming, evidence)
  const picked = yield* Ref.modify(
    provider.faults,
    (faults) => Faults.pick(faults, { endpoint, grantType, now: at })
  )
  yield* Effect.forEach(picked, hit, { discard: true })
  const faults = picked.map(({ fault }) => fault)
  const presented = Incoming.field(incoming, "refresh_token")
  const index = yield* Ref.modify(provider.log, (log) =>
    Log.arrive(log, {
      at,
      endpoint,
      method,
      grantType,
      client,
      refreshToken: presented === undefined ? undefined : Journal.fingerprint(presented),
      faults: faults.map(({ _tag }) => _tag)
    }, provider.journalLimit))
  return { index, faults }
})

const hit = ({ hits, reached }: Faults.Planned): Effect.Effect<void> =>
  Effect.zipRight(Ref.update(hits, (n) => n + 1), Deferred.succeed(reached, undefined))

/** Text from outside stays out of the journal unless it is known: it may be a secret in the wrong place. */
const knownGrant = ({ settings }: Provider, incoming: Incoming.Incoming): string | undefined => {
  const grantType = Incoming.field(incoming, "grant_type")
  return grantType === undefined || Settings.grantTypes(settings).includes(grantType) ? grantType : "unknown"
}

const knownClient = (
  { settings }: Provider,
  state: State.State,
  incoming: Incoming.Incoming,
  { credentials }: Evidence.Evidence
): string | undefined => {
  const id = Either.isRight(credentials) ? credentials.right.id : Incoming.field(incoming, "client_id")
  return id === undefined ? undefined : State.clientOf(state, settings, id)?.id
}

const serve = (context: Context, faults: ReadonlyArray<Fault.Fault>, index: number): Exchange => {
  const obstacle = faults.find(({ _tag }) => _tag !== "Slow")
  return delay(faults, "BeforeAction").pipe(
    Effect.zipRight(before(context, obstacle, index)),
    Effect.flatMap(Option.match({
      onNone: () => acted(context, faults, obstacle, index),
      onSome: Effect.succeed
    })),
    Effect.flatMap((reply) => deliver(context, index, reply))
  )
}

const acted = (
  context: Context,
  faults: ReadonlyArray<Fault.Fault>,
  obstacle: Fault.Fault | undefined,
  index: number
): Effect.Effect<Wire.Reply, HttpClientError.RequestError> =>
  Effect.uninterruptible(act(context, index)).pipe(
    Effect.flatMap((answer) => decide(context, index, answer)),
    Effect.zipLeft(delay(faults, "AfterAction")),
    Effect.flatMap((answer) => after(context, obstacle, index, answer))
  )

const delay = (faults: ReadonlyArray<Fault.Fault>, moment: Fault.Moment): Effect.Effect<void> => {
  const millis = faults.map((fault) =>
    fault._tag === "Slow" && fault.moment === moment ? Duration.toMillis(fault.delay) : 0
  )
  const total = millis.reduce((sum, one) => sum + one, 0)
  return total === 0 ? Effect.void : Clock.sleep(total)
}

/** The reply that stands in for the action; none where the server gets to act. */
const before = (
  context: Context,
  fault: Fault.Fault | undefined,
  index: number
): Effect.Effect<Option.Option<Wire.Reply>, HttpClientError.RequestError> => {
  switch (fault?._tag) {
    case "Outage":
      return lose(context, index, unreachable)
    case "Redirect":
      return Effect.succeedSome(Wire.redirect(fault))
    case "Status":
      return fault.moment === "BeforeAction" ? Effect.asSome(gateway(context, fault)) : Effect.succeedNone
    case "Crash":
      return fault.moment === "BeforeAction" ? Effect.never : Effect.succeedNone
    default:
      return Effect.succeedNone
  }
}

const act = Effect.fnUntraced(function*(context: Context, index: number) {
  const { choice, evidence, incoming, provider } = context
  const now = yield* provider.now
  const secrets = yield* Secrets.draw
  const { settings } = provider
  const answer = yield* Ref.modify(
    provider.state,
    (state) => Server.act({ settings, incoming, evidence, secrets, now, choice }, state)
  )
  yield* acknowledge(provider, index, answer)
  return yield* finish(provider.keys, answer)
})

const acknowledge = (provider: Provider, index: number, answer: Answer.Answer): Effect.Effect<void> => {
  const { action, error, later, status } = answer
  return note(provider, index, { action, error, status: later === undefined ? status : undefined })
}

/** Waits for the person where there is one to wait for. */
const decide = (
  { provider }: Context,
  index: number,
  answer: Answer.Answer
): Effect.Effect<Answer.Answer> => {
  const { later } = answer
  if (later === undefined) return Effect.succeed(answer)
  if (later.after === Infinity) return Effect.never
  const decision = Effect.flatMap(
    provider.now,
    (now) => Ref.modify(provider.state, (state) => later.step(state, now))
  ).pipe(Effect.tap((answer) => acknowledge(provider, index, answer)))
  return Effect.zipRight(Clock.sleep(later.after), Effect.uninterruptible(decision))
}

/** Puts in what takes a signature. */
export const finish = (keys: Keys.Keys, answer: Answer.Answer): Effect.Effect<Answer.Answer> => {
  const withField = (name: string) => (value: unknown): Answer.Answer => ({
    ...answer,
    body: { ...answer.body, [name]: value }
  })
  switch (answer.finish?._tag) {
    case undefined:
      return Effect.succeed(answer)
    case "Keys":
      return Effect.map(keys.published, withField("keys"))
    case "IdToken":
      return Effect.map(keys.sign(answer.finish.claims), withField("id_token"))
  }
}

const after = (
  context: Context,
  fault: Fault.Fault | undefined,
  index: number,
  answer: Answer.Answer
): Effect.Effect<Wire.Reply, HttpClientError.RequestError> => {
  switch (fault?._tag) {
    case "DroppedReply":
      return lose(context, index, broken)
    case "Status":
      return gateway(context, fault)
    case "Crash":
      return Effect.never
    case "Malformed":
      return Effect.succeed(Wire.spoilt(answer, fault.spoiling))
    default:
      return Effect.succeed(Wire.sound(answer))
  }
}

const gateway = (
  { provider }: Context,
  fault: Extract<Fault.Fault, { _tag: "Status" }>
): Effect.Effect<Wire.Reply> => Effect.map(serverTime(provider), (now) => Wire.gateway(fault, now))

const lose = (
  { provider, request }: Context,
  index: number,
  failure: (request: HttpClientRequest.HttpClientRequest) => HttpClientError.RequestError
): Effect.Effect<never, HttpClientError.RequestError> =>
  Effect.zipRight(note(provider, index, { delivery: "Lost" }), Effect.fail(failure(request)))

const deliver = Effect.fnUntraced(
  function*({ provider, request }: Context, index: number, reply: Wire.Reply) {
    const now = yield* serverTime(provider)
    yield* note(provider, index, { status: reply.status, delivery: "Delivered" })
    return HttpClientResponse.fromWeb(request, Wire.toResponse(reply, now))
  }
)

const serverTime = (provider: Provider): Effect.Effect<number> =>
  Effect.zipWith(provider.now, Ref.get(provider.state), (now, { skew }) => now + skew)

const note = (provider: Provider, index: number, known: Partial<Journal.Entry>): Effect.Effect<void> =>
  Ref.update(provider.log, (log) => Log.update(log, index, known))

/** What a client gets when there is no connection: it knows that nothing was sent. */
export const unreachable = (request: HttpClientRequest.HttpClientRequest): HttpClientError.RequestError =>
  failed(request, "ECONNREFUSED")

/** What a client gets when a connection breaks: it can't know what became of its request. */
const broken = (request: HttpClientRequest.HttpClientRequest): HttpClientError.RequestError =>
  failed(request, "ECONNRESET")

const failed = (request: HttpClientRequest.HttpClientRequest, code: string): HttpClientError.RequestError =>
  new HttpClientError.RequestError({
    request,
    reason: "Transport",
    cause: Object.assign(new Error("the connection failed"), { code }),
    description: "the connection failed"
  })

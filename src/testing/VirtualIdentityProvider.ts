/**
 * An OAuth 2 identity provider without a network: a Layer that is an `HttpClient`, lives on the `Clock` (so
 * that under `TestClock` all of its time is virtual) and draws its tokens through `Random`. A service beside
 * it plays the person who logs in, breaks things on purpose, and tells what happened.
 *
 * Its endpoints stand below the issuer: `/token`, `/device_authorization`, `/revocation`, both discovery
 * documents, and `/resource`, which wants a valid access token.
 *
 * It forgets what is over (expired tokens, device codes a day later, all but the last 10,000 spent refresh
 * tokens), so that a long run costs no more than a short one.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as Jose from "jose"
import * as Grant from "../Grant.js"
import * as Token from "../Token.js"
import type * as Fault from "./Fault.js"
import * as Device from "./internal/idp/device.js"
import * as Exchange from "./internal/idp/exchange.js"
import type * as Faults from "./internal/idp/faults.js"
import * as Grants from "./internal/idp/grants.js"
import * as Log from "./internal/idp/log.js"
import * as Input from "./internal/idp/options.js"
import * as Secrets from "./internal/idp/secrets.js"
import * as Server from "./internal/idp/server.js"
import type * as Settings from "./internal/idp/settings.js"
import * as State from "./internal/idp/state.js"
import * as Journal from "./Journal.js"

/**
 * A registered client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly id: string
  readonly secret?: Redacted.Redacted<string> | undefined
  /** Its public key, as a JWK, which the signatures of its assertions must match. */
  readonly publicKey?: Jose.JWK | undefined
  /**
   * How it may authenticate. Default: what it has a key or a secret for (`client_secret_basic` and
   * `client_secret_post` with a secret), else `none`. `private_key_jwt` without a key checks all but the
   * signature; an hour ahead is the most that `exp` may be.
   */
  readonly methods?:
    | ReadonlyArray<"none" | "client_secret_basic" | "client_secret_post" | "private_key_jwt">
    | undefined
  /** The grant types that it may use. Default all, but `client_credentials` only if it authenticates. */
  readonly grants?: ReadonlyArray<string> | undefined
  /** The scopes that it may ask for. Default any. */
  readonly scopes?: ReadonlyArray<string> | undefined
}

/**
 * What the person does about a login, counted from its start: nothing until `approve` or `deny` is called, or
 * one of the two by itself.
 *
 * @since 0.1.0
 * @category models
 */
export type Approval =
  | "ByHand"
  | { readonly approveAfter: Duration.DurationInput }
  | { readonly denyAfter: Duration.DurationInput }

/**
 * How far the server's clock is from the `Clock`. It shows in `Date` headers and in the judgement of
 * assertions; lifetimes of tokens are not affected.
 *
 * @since 0.1.0
 * @category models
 */
export type Skew =
  | { readonly ahead: Duration.DurationInput }
  | { readonly behind: Duration.DurationInput }

/**
 * What `make` takes; everything has a default.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Default `https://idp.test`. */
  readonly issuer?: string | undefined
  /** Default a public client `app` and a confidential client `service` with the secret `service-secret`. */
  readonly clients?: ReadonlyArray<Client> | undefined
  /** Default 1 hour. */
  readonly accessTokenLifetime?: Duration.DurationInput | undefined
  /** How long a refresh token lives, from its own issue. Default 30 days. */
  readonly refreshTokenLifetime?: Duration.DurationInput | undefined
  /** Whether answers tell that lifetime as `refresh_token_expires_in`. Default false. */
  readonly announceRefreshTokenLifetime?: boolean | undefined
  /**
   * What a refresh does to the refresh token: `Rotate` gives a new one (the default), `Repeat` sends the same
   * one again, `Omit` leaves it as it is without a word (RFC 6749 §6).
   */
  readonly rotation?: "Rotate" | "Repeat" | "Omit" | undefined
  /**
   * How long after its redemption a refresh token that comes again gets the same tokens again. After that it
   * costs its whole family. Default 0.
   */
  readonly reuseGrace?: Duration.DurationInput | undefined
  /** Whether a login gives a refresh token only for the scope `offline_access`. Default false. */
  readonly requireOfflineAccess?: boolean | undefined
  /** Default 10 minutes. */
  readonly deviceCodeLifetime?: Duration.DurationInput | undefined
  /** How far apart polls must be; an earlier one gets `slow_down` and adds 5 seconds. Default 5 seconds. */
  readonly deviceInterval?: Duration.DurationInput | undefined
  /** Whether the client is told that interval. Default true. */
  readonly announceInterval?: boolean | undefined
  /** What the person does: one for every login, or a list for the first ones, with `ByHand` after it. */
  readonly approvals?: Approval | ReadonlyArray<Approval> | undefined
  /** Default none. */
  readonly skew?: Skew | undefined
  /** Fields to add to the discovery documents, or to put in place of theirs. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  /** How many requests the journal keeps; the counts go on. Default 1000. */
  readonly journalLimit?: number | undefined
  /** What answers requests to other origins. Default nothing: the connection fails. */
  readonly elsewhere?: HttpClient.HttpClient | undefined
  /** The server's clock, where it shall not be that of the requesting fiber. */
  readonly clock?: Clock.Clock | undefined
}

/**
 * Which requests meet a fault. Without more: all, until it is cleared.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reach {
  /** Default every endpoint. */
  readonly endpoint?: Journal.Endpoint | undefined
  /** Only requests with this grant type. Default any. */
  readonly grantType?: string | undefined
  /** Only the next so many. Default any number. */
  readonly times?: number | undefined
  /** Only for so long from now on. Default until it is cleared. */
  readonly during?: Duration.DurationInput | undefined
}

/**
 * A fault in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface Injected {
  /** Waits until the first request meets it. */
  readonly reached: Effect.Effect<void>
  /** How many requests have met it. */
  readonly hits: Effect.Effect<number>
  /** Takes it away; requests that have met it stay met. */
  readonly clear: Effect.Effect<void>
}

/**
 * The hands on a virtual identity provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly issuer: string
  /** The provider as an `HttpClient`; the Layer provides it under its own tag too. */
  readonly client: HttpClient.HttpClient
  /** The person approves now; false where no login waits under that user code. */
  readonly approve: (userCode: string) => Effect.Effect<boolean>
  /** The person refuses now; false where no login waits under that user code. */
  readonly deny: (userCode: string) => Effect.Effect<boolean>
  /** The user codes that wait for a decision. */
  readonly waiting: Effect.Effect<ReadonlyArray<string>>
  /** What the person does about the next logins, after those already scripted. */
  readonly script: (approvals: ReadonlyArray<Approval>) => Effect.Effect<void>
  /** A grant as if somebody had just logged in, without a request. Dies for an unknown client. */
  readonly issue: (client: string, scopes?: ReadonlyArray<string>) => Effect.Effect<Grant.Grant>
  /** Revokes an access token alone, a refresh token that has not expired with all tokens of its login. */
  readonly revoke: (token: Redacted.Redacted<string>) => Effect.Effect<void>
  /** Sets the server's clock right, or wrong. */
  readonly setSkew: (skew: Skew) => Effect.Effect<void>
  /** Puts a fault in place. A request meets the first that applies, and every slow one. */
  readonly inject: (fault: Fault.Fault, reach?: Reach) => Effect.Effect<Injected>
  /** Takes all faults away. */
  readonly clearFaults: Effect.Effect<void>
  /** The requests so far, oldest first. */
  readonly journal: Effect.Effect<ReadonlyArray<Journal.Entry>>
  /** How often things happened so far. */
  readonly counts: Effect.Effect<Journal.Counts>
}

/**
 * The tag of the control service.
 *
 * @since 0.1.0
 * @category tags
 */
export class VirtualIdentityProvider
  extends Context.Tag("effect-credentials/testing/VirtualIdentityProvider")<
    VirtualIdentityProvider,
    Service
  >()
{}

/**
 * A provider of its own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Service> =>
  Effect.gen(function*() {
    const provider: Exchange.Provider = {
      settings: settingsOf(options),
      state: yield* Ref.make(initialState(options)),
      faults: yield* Ref.make<Faults.Faults>([]),
      log: yield* Ref.make(Log.empty(Journal.noCounts)),
      journalLimit: options.journalLimit ?? 1000,
      now: options.clock?.currentTimeMillis ?? Clock.currentTimeMillis
    }
    return {
      issuer: provider.settings.issuer,
      client: clientOf(provider, options.elsewhere),
      ...person(provider),
      ...books(provider),
      ...sabotage(provider)
    }
  })

const settingsOf = (options: Options): Settings.Settings => {
  const issuer = options.issuer ?? "https://idp.test"
  return {
    issuer,
    base: issuer.replace(/\/$/, ""),
    clients: new Map((options.clients ?? defaultClients).map((client) => [client.id, Input.client(client)])),
    accessLifetime: Input.millis(options.accessTokenLifetime, "1 hour"),
    refreshLifetime: Input.millis(options.refreshTokenLifetime, "30 days"),
    announceRefreshLifetime: options.announceRefreshTokenLifetime ?? false,
    rotation: options.rotation ?? "Rotate",
    grace: Input.millis(options.reuseGrace, 0),
    needsOfflineAccess: options.requireOfflineAccess ?? false,
    deviceLifetime: Input.millis(options.deviceCodeLifetime, "10 minutes"),
    interval: Input.millis(options.deviceInterval, "5 seconds"),
    announceInterval: options.announceInterval ?? true,
    metadata: options.metadata ?? {}
  }
}

const defaultClients: ReadonlyArray<Client> = [
  { id: "app" },
  { id: "service", secret: Redacted.make("service-secret") }
]

const initialState = ({ approvals, skew }: Options): State.State => ({
  ...State.empty,
  approvals: Array.isArray(approvals) ? approvals.map(Input.approval) : [],
  approval: approvals === undefined || Array.isArray(approvals)
    ? undefined
    : Input.approval(approvals as Approval),
  skew: skew === undefined ? 0 : Input.skew(skew)
})

const clientOf = (
  provider: Exchange.Provider,
  elsewhere: HttpClient.HttpClient | undefined
): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    const endpoint = Server.route(provider.settings, url)
    if (endpoint !== undefined) return Exchange.exchange(provider, endpoint, request)
    return elsewhere === undefined ? Effect.fail(Exchange.unreachable(request)) : elsewhere.execute(request)
  })

const person = (
  { now, state }: Exchange.Provider
): Pick<Service, "approve" | "deny" | "waiting" | "script"> => {
  const decide = (verdict: State.Verdict) => (userCode: string): Effect.Effect<boolean> =>
    Effect.flatMap(now, (now) => Ref.modify(state, (state) => Device.decide(state, userCode, verdict, now)))
  return {
    approve: decide("Approve"),
    deny: decide("Deny"),
    waiting: Effect.zipWith(now, Ref.get(state), (now, state) => Device.waiting(state, now)),
    script: (approvals) =>
      Ref.update(state, (state) => ({
        ...state,
        approvals: [...state.approvals, ...approvals.map(Input.approval)]
      }))
  }
}

const books = (
  provider: Exchange.Provider
): Pick<Service, "issue" | "revoke" | "setSkew" | "journal" | "counts"> => ({
  issue: (client, scopes = []) => issue(provider, client, scopes),
  revoke: (token) =>
    Effect.flatMap(
      provider.now,
      (now) => Ref.update(provider.state, (state) => State.revokeToken(state, Redacted.value(token), now))
    ),
  setSkew: (skew) => Ref.update(provider.state, (state) => ({ ...state, skew: Input.skew(skew) })),
  journal: Effect.map(Ref.get(provider.log), Log.entries),
  counts: Effect.map(Ref.get(provider.log), ({ counts }) => counts)
})

const issue = Effect.fnUntraced(function*(
  { now, settings, state }: Exchange.Provider,
  id: string,
  scopes: ReadonlyArray<string>
) {
  const client = settings.clients.get(id)
  if (client === undefined) return yield* Effect.dieMessage(`the provider has no client "${id}"`)
  const issuedAt = yield* now
  const secrets = yield* Secrets.draw
  const basis = { settings, client, secrets, now: issuedAt }
  const answer = yield* Ref.modify(
    state,
    (state) => Grants.login(basis, State.cleared(state, settings, issuedAt), scopes)
  )
  const renews = answer.body?.["refresh_token"] !== undefined
  return Grant.make({
    token: Token.make({
      value: Redacted.make(secrets.access),
      issuedAt,
      expiresAt: issuedAt + settings.accessLifetime,
      scopes
    }),
    refreshToken: renews ? Redacted.make(secrets.refresh) : undefined,
    refreshExpiresAt: renews && settings.announceRefreshLifetime
      ? issuedAt + settings.refreshLifetime
      : undefined
  })
})

const sabotage = ({ faults, now }: Exchange.Provider): Pick<Service, "inject" | "clearFaults"> => ({
  clearFaults: Ref.set(faults, []),
  inject: Effect.fnUntraced(function*(fault, reach = {}) {
    const reached = yield* Deferred.make<void>()
    const hits = yield* Ref.make(0)
    const from = yield* now
    const planned = {
      fault,
      endpoint: reach.endpoint,
      grantType: reach.grantType,
      times: reach.times ?? Infinity,
      from,
      until: from + Input.millis(reach.during, Infinity),
      reached,
      hits
    }
    yield* Ref.update(faults, (all) => [...all, planned])
    return {
      reached: Deferred.await(reached),
      hits: Ref.get(hits),
      clear: Ref.update(faults, (all) => all.filter((one) => one.reached !== reached))
    }
  })
})

/**
 * Provides a provider of its own as the `HttpClient` of the program, and its control service.
 *
 * @example
 * ```ts
 * import * as Fault from "effect-credentials/testing/Fault"
 * import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
 * import * as Effect from "effect/Effect"
 *
 * // What a program sees whose rotated refresh token gets lost on its way back.
 * const lostRotation = Effect.gen(function*() {
 *   const idp = yield* VirtualIdentityProvider.VirtualIdentityProvider
 *   const grant = yield* idp.issue("app")
 *   yield* idp.inject(Fault.droppedReply, { grantType: "refresh_token", times: 1 })
 *   // … refresh `grant` with the code under test …
 *   return yield* idp.counts
 * }).pipe(Effect.provide(VirtualIdentityProvider.layer({ reuseGrace: "10 seconds" })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<HttpClient.HttpClient | VirtualIdentityProvider> =>
  Layer.effectContext(
    Effect.map(
      make(options),
      (service) =>
        Context.make(VirtualIdentityProvider, service).pipe(
          Context.add(HttpClient.HttpClient, service.client)
        )
    )
  )

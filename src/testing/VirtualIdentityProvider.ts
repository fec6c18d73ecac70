/**
 * An OAuth 2 and OpenID identity provider without a network: a Layer that is an `HttpClient`, lives on the
 * `Clock` (so that under `TestClock` all of its time is virtual) and draws its tokens through `Random`. A
 * service beside it plays the person who logs in, breaks things on purpose, and tells what happened.
 *
 * Its endpoints stand below the issuer: `/authorize`, `/par`, `/token`, `/device_authorization`, `/revocation`,
 * `/introspection`, `/userinfo`, `/end_session`, `/registration`, `/jwks`, both discovery documents, and
 * `/resource`, which wants a valid access token. It judges requests strictly, by the RFCs alone: PKCE with S256
 * is a must, redirect addresses are compared exactly, codes and pushed requests and proofs count once.
 *
 * It forgets what is over (expired tokens, codes a day later, all but the last 10,000 spent refresh tokens), so
 * that a long run costs no more than a short one.
 *
 * Signatures are real, and Web Crypto makes and checks them on another thread: ID tokens, `private_key_jwt`,
 * assertions and DPoP proofs. On a virtual clock a request with one of them is not over when `fork` and
 * `TestClock.adjust` are: await the fiber before the clock moves on. Everything else is answered on the spot.
 * The same seed gives the same tokens and codes; keys are new each time.
 *
 * @since 0.1.0
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Control from "./internal/idp/control.js"
import * as Exchange from "./internal/idp/exchange.js"
import type * as Faults from "./internal/idp/faults.js"
import * as Keys from "./internal/idp/keys.js"
import * as Log from "./internal/idp/log.js"
import * as Input from "./internal/idp/options.js"
import * as Server from "./internal/idp/server.js"
import * as State from "./internal/idp/state.js"
import * as Journal from "./Journal.js"
import type * as VirtualProviderControls from "./VirtualProviderControls.js"
import type * as VirtualProviderOptions from "./VirtualProviderOptions.js"

/**
 * A registered client; see `VirtualProviderOptions`.
 *
 * @since 0.1.0
 * @category models
 */
export type Client = VirtualProviderOptions.Client

/**
 * What the person does about a login; see `VirtualProviderOptions`.
 *
 * @since 0.1.0
 * @category models
 */
export type Approval = VirtualProviderOptions.Approval

/**
 * How far the server's clock is from the `Clock`; see `VirtualProviderOptions`.
 *
 * @since 0.1.0
 * @category models
 */
export type Skew = VirtualProviderOptions.Skew

/**
 * What `make` takes; see `VirtualProviderOptions`. Everything has a default.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = VirtualProviderOptions.Options

/**
 * Which requests meet a fault; see `VirtualProviderControls`.
 *
 * @since 0.1.0
 * @category models
 */
export type Reach = VirtualProviderControls.Reach

/**
 * A fault in place; see `VirtualProviderControls`.
 *
 * @since 0.1.0
 * @category models
 */
export type Injected = VirtualProviderControls.Injected

/**
 * The hands on a virtual identity provider; see `VirtualProviderControls`.
 *
 * @since 0.1.0
 * @category models
 */
export type Service = VirtualProviderControls.Service

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
    const settings = Input.settings(options)
    const provider: Exchange.Provider = {
      settings,
      state: yield* Ref.make(initialState(options)),
      faults: yield* Ref.make<Faults.Faults>([]),
      log: yield* Ref.make(Log.empty(Journal.noCounts)),
      keys: yield* Keys.make(settings.idTokenAlgorithm),
      elsewhere: options.elsewhere,
      journalLimit: options.journalLimit ?? 1000,
      now: options.clock?.currentTimeMillis ?? Clock.currentTimeMillis
    }
    return {
      issuer: settings.issuer,
      client: clientOf(provider),
      ...Control.person(provider),
      ...Control.books(provider),
      ...Control.sabotage(provider)
    }
  })

const initialState = ({ approvals, skew }: Options): State.State => ({
  ...State.empty,
  approvals: Array.isArray(approvals) ? approvals.map(Input.approval) : [],
  approval: approvals === undefined || Array.isArray(approvals)
    ? undefined
    : Input.approval(approvals as Approval),
  skew: skew === undefined ? 0 : Input.skew(skew)
})

const clientOf = (provider: Exchange.Provider): HttpClient.HttpClient =>
  HttpClient.make((request, url) => {
    const { elsewhere, settings } = provider
    const endpoint = Server.route(settings, url)
    if (endpoint !== undefined) return Exchange.exchange(provider, endpoint, request, url)
    return elsewhere === undefined ? Effect.fail(Exchange.unreachable(request)) : elsewhere.execute(request)
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

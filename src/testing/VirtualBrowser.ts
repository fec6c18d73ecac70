/**
 * A browser without a screen, and a machine without ports, for logins at a virtual identity provider: whatever
 * the program opens goes to the provider, where the person decides as scripted, and from there back to the
 * program's listener. Nothing is real, so it all happens on the `Clock`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import * as BrowserLauncher from "../login/BrowserLauncher.js"
import * as CallbackListener from "../login/CallbackListener.js"
import { VirtualIdentityProvider } from "./VirtualIdentityProvider.js"
import * as VirtualProviderControls from "./VirtualProviderControls.js"

/**
 * The hands on the browser.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Goes to an address of the provider or of a listener, as a person does who has pasted it; gives the page at
   * which it ends. Without a choice the person follows the provider's script. Fails where the provider shows an
   * error, or where nobody listens.
   */
  readonly visit: (
    url: string,
    choice?: VirtualProviderControls.Choice
  ) => Effect.Effect<CallbackListener.Page, VirtualProviderControls.NotRedirected>
  /** The addresses that the program has had opened, oldest first; the last 1000. */
  readonly opened: Effect.Effect<ReadonlyArray<string>>
  /** The pages that listeners have shown, oldest first; the last 1000. */
  readonly pages: Effect.Effect<ReadonlyArray<CallbackListener.Page>>
}

/**
 * The tag of that service.
 *
 * @since 0.1.0
 * @category tags
 */
export class VirtualBrowser
  extends Context.Tag("effect-credentials/testing/VirtualBrowser")<VirtualBrowser, Service>()
{}

/** Somebody who listens. */
interface Place {
  readonly origin: string
  readonly options: CallbackListener.Options
  readonly visits: Queue.Queue<CallbackListener.Visit>
  readonly closed: Deferred.Deferred<never, VirtualProviderControls.NotRedirected>
}

interface Machine {
  readonly idp: VirtualProviderControls.Service
  readonly places: Ref.Ref<ReadonlyArray<Place>>
  readonly opened: Ref.Ref<ReadonlyArray<string>>
  readonly pages: Ref.Ref<ReadonlyArray<CallbackListener.Page>>
}

/** As a browser that finds nobody there. */
const nobody = new VirtualProviderControls.NotRedirected({ status: undefined, error: undefined })

const visit = (
  machine: Machine,
  url: string,
  choice?: VirtualProviderControls.Choice
): Effect.Effect<CallbackListener.Page, VirtualProviderControls.NotRedirected> =>
  Effect.if(isListening(machine, url), {
    onTrue: () => arrive(machine, url, 0),
    onFalse: () =>
      Effect.flatMap(machine.idp.authorize(url, choice), (location) => arrive(machine, location, 0))
  })

const placeAt = (machine: Machine, url: string): Effect.Effect<Place | undefined> =>
  Effect.map(
    Ref.get(machine.places),
    (places) => URL.canParse(url) ? places.find(({ origin }) => origin === new URL(url).origin) : undefined
  )

const isListening = (machine: Machine, url: string): Effect.Effect<boolean> =>
  Effect.map(placeAt(machine, url), (place) => place !== undefined)

/** Remembers one thing more, but no more than a long run can afford. */
const note = <A>(all: Ref.Ref<ReadonlyArray<A>>, one: A): Effect.Effect<void> =>
  Ref.update(all, (known) => [...known, one].slice(-mostNoted))

const mostNoted = 1000

const mostRedirects = 5

/** The browser comes to a listener, and follows it where it is sent on. */
const arrive: (
  machine: Machine,
  url: string,
  redirects: number
) => Effect.Effect<CallbackListener.Page, VirtualProviderControls.NotRedirected> = Effect.fnUntraced(
  function*(machine, url, redirects) {
    const place = yield* placeAt(machine, url)
    if (place === undefined || redirects > mostRedirects) return yield* nobody
    const page = yield* ask(place, new URL(url))
    yield* note(machine.pages, page)
    const location = page.headers["location"]
    return location === undefined
      ? page
      : yield* arrive(machine, new URL(location, url).href, redirects + 1)
  }
)

const ask = (
  { closed, options, visits }: Place,
  { pathname, searchParams }: URL
): Effect.Effect<CallbackListener.Page, VirtualProviderControls.NotRedirected> => {
  const tag = pathname === options.path ? "Callback" : pathname === options.resultPath ? "Result" : undefined
  if (tag === undefined) return Effect.succeed({ status: 404, headers: {}, body: "" })
  return Effect.gen(function*() {
    const answered = yield* Deferred.make<Effect.Effect<CallbackListener.Page>>()
    yield* Queue.offer(visits, {
      _tag: tag,
      parameters: Redacted.make(tag === "Callback" ? searchParams : new URLSearchParams()),
      answer: (page) => Effect.asVoid(Deferred.succeed(answered, page))
    })
    return yield* Effect.raceFirst(Effect.flatten(Deferred.await(answered)), Deferred.await(closed))
  })
}

const originOf = (host: CallbackListener.Host, port: number): string =>
  new URL(`http://${host}:${port}`).origin

/** A port at which nobody listens, drawn through `Random`. */
const freePort = (machine: Machine, host: CallbackListener.Host): Effect.Effect<number> =>
  Effect.flatMap(Ref.get(machine.places), (places) =>
    Effect.repeat(Random.nextIntBetween(49_152, 65_536), {
      until: (port) => places.every(({ origin }) => origin !== originOf(host, port))
    }))

const listen = (
  machine: Machine,
  options: CallbackListener.Options
): Effect.Effect<CallbackListener.Listening, CallbackListener.ListenFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const { host = "127.0.0.1" } = options
    const port = options.port ?? (yield* freePort(machine, host))
    const origin = originOf(host, port)
    const place: Place = {
      origin,
      options,
      visits: yield* Queue.unbounded<CallbackListener.Visit>(),
      closed: yield* Deferred.make<never, VirtualProviderControls.NotRedirected>()
    }
    const isTaken = yield* Ref.modify(machine.places, (places) => {
      const taken = places.some((other) => other.origin === origin)
      return [taken, taken ? places : [...places, place]]
    })
    if (isTaken) return yield* portBusy(port)
    yield* Effect.addFinalizer(() => close(machine, place))
    return { redirectUri: `${origin}${options.path}`, next: Queue.take(place.visits) }
  }).pipe(Effect.uninterruptible)

const close = (machine: Machine, place: Place): Effect.Effect<void> =>
  Effect.zipRight(
    Ref.update(machine.places, (places) => places.filter((other) => other !== place)),
    Deferred.fail(place.closed, nobody)
  )

const portBusy = (port: number): CallbackListener.ListenFailed =>
  new CallbackListener.ListenFailed({
    reason: "PortBusy",
    detail: `port ${port} is taken`,
    hint: "Close the other login, or name another port."
  })

/** Goes there in the background, until the scope closes. */
const open = (
  machine: Machine,
  scope: Scope.Scope,
  url: string
): Effect.Effect<void> =>
  note(machine.opened, url).pipe(
    Effect.zipRight(Effect.forkIn(Effect.ignore(visit(machine, url)), scope)),
    Effect.asVoid
  )

/**
 * Provides the browser and the listener that logins ask for, and the hands on the browser.
 *
 * @example
 * ```ts
 * import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
 * import * as VirtualBrowser from "effect-credentials/testing/VirtualBrowser"
 * import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
 * import * as Layer from "effect/Layer"
 *
 * // Everything that `BrowserLogin.make` needs.
 * export const LoginTest = Layer.provideMerge(
 *   Layer.merge(VirtualBrowser.layer, LoginPrompt.layerSilent),
 *   VirtualIdentityProvider.layer()
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  VirtualBrowser | BrowserLauncher.BrowserLauncher | CallbackListener.CallbackListener,
  never,
  VirtualIdentityProvider
> = Layer.scopedContext(Effect.gen(function*() {
  const scope = yield* Effect.scope
  const machine: Machine = {
    idp: yield* VirtualIdentityProvider,
    places: yield* Ref.make<ReadonlyArray<Place>>([]),
    opened: yield* Ref.make<ReadonlyArray<string>>([]),
    pages: yield* Ref.make<ReadonlyArray<CallbackListener.Page>>([])
  }
  return Context.make(VirtualBrowser, {
    visit: (url, choice) => visit(machine, url, choice),
    opened: Ref.get(machine.opened),
    pages: Ref.get(machine.pages)
  }).pipe(
    Context.add(
      BrowserLauncher.BrowserLauncher,
      BrowserLauncher.make({
        available: Effect.succeed(Option.none()),
        open: (url) => open(machine, scope, url)
      })
    ),
    Context.add(CallbackListener.CallbackListener, { listen: (options) => listen(machine, options) })
  )
}))

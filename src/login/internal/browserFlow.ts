/** One login in a browser, from the listener to the grant and the last page. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type { Grant } from "../../Grant.js"
import type * as AuthorizationCode from "../../oauth/AuthorizationCode.js"
import type { GrantError } from "../../oauth/TokenEndpoint.js"
import { Misconfigured, ReauthRequired, TransientFailure } from "../../TokenError.js"
import type * as BrowserLauncher from "../BrowserLauncher.js"
import type * as CallbackListener from "../CallbackListener.js"
import type * as LoginPages from "../LoginPages.js"
import type * as LoginPrompt from "../LoginPrompt.js"
import * as Paste from "./browserPaste.js"
import type * as Redirect from "./browserRedirect.js"
import * as Pages from "./pages.js"
import * as Telling from "./telling.js"

/** What all logins of one client share. */
export interface Setup {
  readonly source: string
  readonly code: AuthorizationCode.AuthorizationCode
  readonly prompt: LoginPrompt.Service
  readonly launcher: BrowserLauncher.Service
  readonly listener: CallbackListener.Service
  readonly render: LoginPages.Render
  readonly place: Redirect.Place
  readonly limit: Duration.Duration
  readonly openBrowser: boolean
  readonly paste: boolean
}

/** What one login has found out so far. */
interface Login extends Setup {
  /** The first callback that belongs to it. */
  readonly arrived: Deferred.Deferred<Arrival, GrantError>
  /** What the browser is shown at the end. */
  readonly page: Deferred.Deferred<CallbackListener.Page>
  /** Done when a browser has been given that. */
  readonly seen: Deferred.Deferred<void>
  /** Whether the callback came from a browser, that now waits for a page. */
  readonly isVisited: Ref.Ref<boolean>
  /** How many visits did not belong to it. */
  readonly strays: Ref.Ref<number>
}

interface Arrival {
  readonly attempt: AuthorizationCode.Attempt
  readonly code: AuthorizationCode.Code
}

/** How long a browser may take to ask for its last page, once that is there. */
export const farewellLimit: Duration.Duration = Duration.seconds(2)

export const run = (setup: Setup): Effect.Effect<Grant, GrantError> =>
  Effect.scoped(Effect.flatMap(prepare(setup), settled)).pipe(
    Telling.ended(setup.prompt, setup.source)
  )

const prepare = (setup: Setup): Effect.Effect<Login> =>
  Effect.map(
    Effect.all({
      arrived: Deferred.make<Arrival, GrantError>(),
      page: Deferred.make<CallbackListener.Page>(),
      seen: Deferred.make<void>(),
      isVisited: Ref.make(false),
      strays: Ref.make(0)
    }),
    (state) => ({ ...setup, ...state })
  )

/** However it ends, the browser is told. What keeps the grant runs this by `Grant.keeping`. */
const settled = (login: Login): Effect.Effect<Grant, GrantError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    restore(awaitCallback(login)).pipe(
      Effect.flatMap(({ attempt, code }) => restore(login.code.exchange(attempt, code))),
      Effect.exit,
      Effect.tap((exit) => farewell(login, exit)),
      Effect.flatten
    )
  )

/** Everything up to the callback, within the time limit. */
const awaitCallback = Effect.fnUntraced(
  function*(login: Login) {
    const start = yield* Clock.currentTimeMillis
    const { redirectUri, visits } = yield* listen(login)
    const attempt = yield* login.code.begin({ redirectUri })
    yield* attend(login, Effect.forever(Effect.flatMap(visits, (visit) => greet(login, attempt, visit))))
    const inviting = yield* attend(login, invite(login, attempt, start))
    // From then on the keys are the program's again: Ctrl-C has to reach it.
    return yield* Effect.zipLeft(Deferred.await(login.arrived), Fiber.interruptFork(inviting))
  },
  (self, login) => Effect.timeoutFail(self, { duration: login.limit, onTimeout: () => tooSlow(login) })
)

/** Opens the browser, tells the person, and reads what is pasted. A screen that hangs holds up no callback. */
const invite = Effect.fnUntraced(
  function*(login: Login, attempt: AuthorizationCode.Attempt, start: number) {
    const opened = yield* launch(login, attempt.url)
    yield* Telling.quickly(login.prompt.show({
      _tag: "Browser",
      source: login.source,
      url: attempt.url,
      expiresAt: expiry(login, attempt, start, opened),
      opened,
      canPaste: login.paste
    }))
    if (login.paste) yield* readPastes(login, attempt)
  }
)

/** In the background, for as long as the login lasts. If it breaks, so does the login. */
const attend = (
  login: Login,
  work: Effect.Effect<void>
): Effect.Effect<Fiber.RuntimeFiber<void>, never, Scope.Scope> =>
  Effect.forkScoped(Effect.onError(work, (cause) => Deferred.failCause(login.arrived, cause)))

/** A pushed request may expire before the person has opened it by hand; one that is open lives on. */
const expiry = (
  login: Login,
  attempt: AuthorizationCode.Attempt,
  start: number,
  opened: boolean
): number => {
  const end = start + Duration.toMillis(login.limit)
  return opened ? end : Math.min(end, attempt.expiresAt ?? end)
}

interface Door {
  readonly redirectUri: string
  readonly visits: Effect.Effect<CallbackListener.Visit>
}

const listen = ({ listener, place, source }: Setup): Effect.Effect<Door, GrantError, Scope.Scope> =>
  place._tag === "Manual"
    ? Effect.succeed({ redirectUri: place.redirectUri, visits: Effect.never })
    : Effect.mapBoth(listener.listen(place.listen), {
      onSuccess: ({ next, redirectUri }) => ({ redirectUri, visits: next }),
      onFailure: ({ detail, hint, reason }) =>
        reason === "Failed"
          ? new TransientFailure({ source, reason: "Network", detail, hint, retryAt: undefined })
          : new Misconfigured({ source, reason: "InvalidOption", detail, hint })
    })

/** Whether a browser was opened. One that can't be opened is no failure: the person is shown the address. */
const launch = ({ launcher, openBrowser }: Setup, url: string): Effect.Effect<boolean> =>
  openBrowser
    ? Effect.if(Effect.map(launcher.available, ({ _tag }) => _tag === "None"), {
      onTrue: () => Effect.as(launcher.open(url), true),
      onFalse: () => Effect.succeed(false)
    }).pipe(
      Effect.catchAll((error) => Effect.as(Effect.logDebug(error.message), false)),
      Effect.catchAllCause(() => Effect.succeed(false)),
      Effect.disconnect,
      Effect.timeoutTo({ duration: "10 seconds", onSuccess: (opened) => opened, onTimeout: () => false })
    )
    : Effect.succeed(false)

type Reception = "Accepted" | "AlreadyDone" | "Unrelated"

/** The first callback that belongs to the login decides it, be it a code or a refusal. */
const receive = (
  login: Login,
  attempt: AuthorizationCode.Attempt,
  callback: URLSearchParams,
  onStray: (detail: string) => Effect.Effect<void>
): Effect.Effect<Reception> =>
  Effect.matchEffect(login.code.judge(attempt, callback), {
    onSuccess: (code) => decide(Deferred.succeed(login.arrived, { attempt, code })),
    onFailure: (error) =>
      error._tag === "Unrelated"
        ? Effect.as(onStray(error.detail), "Unrelated" as const)
        : decide(Deferred.fail(login.arrived, error))
  })

const decide = (first: Effect.Effect<boolean>): Effect.Effect<Reception> =>
  Effect.map(first, (isFirst) => isFirst ? "Accepted" : "AlreadyDone")

/** Answers one visit. Whoever has a callback that belongs here is sent on to the page of the result. */
const greet = (
  login: Login,
  attempt: AuthorizationCode.Attempt,
  visit: CallbackListener.Visit
): Effect.Effect<void> =>
  visit._tag === "Result" ? answerResult(login, visit) : answerCallback(login, attempt, visit)

const answerCallback = Effect.fnUntraced(
  function*(login: Login, attempt: AuthorizationCode.Attempt, visit: CallbackListener.Visit) {
    const callback = Redacted.value(visit.parameters)
    const reception = yield* receive(login, attempt, callback, (detail) => tellStray(login, detail))
    if (reception !== "Accepted") return yield* visit.answer(rendered(login, reception))
    yield* Ref.set(login.isVisited, true)
    yield* visit.answer(Effect.succeed(Pages.redirect(resultPath(login))))
  }
)

const resultPath = ({ place }: Setup): string => place._tag === "Loopback" ? place.listen.resultPath : "/"

/** Whoever asks early can't have come from here. */
const answerResult = (login: Login, visit: CallbackListener.Visit): Effect.Effect<void> =>
  Effect.flatMap(Deferred.isDone(login.arrived), (isDecided) =>
    visit.answer(
      isDecided
        ? Effect.tap(Deferred.await(login.page), () => Deferred.succeed(login.seen, undefined))
        : rendered(login, "Unrelated")
    ))

const rendered = (login: Login, _tag: "AlreadyDone" | "Unrelated"): Effect.Effect<CallbackListener.Page> =>
  Effect.sync(() => login.render({ _tag }))

/** Of a flood, the person is told the first few. */
const tellStray = (login: Login, detail: string): Effect.Effect<void> =>
  Effect.flatMap(
    Ref.getAndUpdate(login.strays, (count) => count + 1),
    (count) => count < maxStraysTold ? Effect.asVoid(Effect.fork(tellRejected(login, detail))) : Effect.void
  )

const maxStraysTold = 5

const tellRejected = ({ prompt, source }: Setup, detail: string): Effect.Effect<void> =>
  Telling.quickly(prompt.progress({ _tag: "Rejected", source, detail }))

/** Reads until something belongs here, more and more slowly, in case what is pasted never ends. */
const readPastes = Effect.fnUntraced(function*(login: Login, attempt: AuthorizationCode.Attempt) {
  const onStray = (detail: string) => tellRejected(login, detail)
  for (let count = 1;; count++) {
    const pasted = yield* login.prompt.pasted(login.source)
    const reception = yield* Either.match(Paste.parse(Redacted.value(pasted), attempt.redirectUri), {
      onLeft: (detail) => Effect.as(onStray(detail), "Unrelated" as const),
      onRight: (callback) => receive(login, attempt, callback, onStray)
    })
    if (reception !== "Unrelated") return
    yield* Effect.sleep(Duration.millis(Math.min(250 * count, 10_000)))
  }
})

/**
 * The last page and the last word. Nobody waits for a screen; a browser that is on its way gets a moment to ask for
 * its page.
 */
const farewell = Effect.fnUntraced(function*(login: Login, exit: Exit.Exit<Grant, GrantError>) {
  const { page, prompt, seen, source } = login
  yield* Deferred.succeed(page, login.render(stateOf(exit)))
  if (Exit.isSuccess(exit)) {
    yield* Effect.forkDaemon(Telling.quickly(prompt.progress({ _tag: "Succeeded", source })))
  }
  if (Exit.isInterrupted(exit) || !(yield* Ref.get(login.isVisited))) return
  yield* Deferred.await(seen).pipe(Effect.interruptible, Effect.timeoutOption(farewellLimit), Effect.exit)
})

const stateOf = (exit: Exit.Exit<Grant, GrantError>): LoginPages.State =>
  Exit.match(exit, {
    onSuccess: (): LoginPages.State => ({ _tag: "Succeeded" }),
    onFailure: (cause) => {
      const [error] = Cause.failures(cause)
      if (error !== undefined) return stateOfError(error)
      return Cause.isInterrupted(cause)
        ? { _tag: "Cancelled" }
        : { _tag: "Failed", reason: "Defect", hint: "Look at what the program says." }
    }
  })

const stateOfError = ({ hint, reason }: GrantError): LoginPages.State => {
  switch (reason) {
    case "AccessDenied":
      return { _tag: "Denied" }
    case "LoginExpired":
      return { _tag: "Expired" }
    default:
      return { _tag: "Failed", reason, hint }
  }
}

const tooSlow = ({ limit, source }: Setup): ReauthRequired =>
  new ReauthRequired({
    source,
    reason: "LoginExpired",
    detail: `nobody finished the login in the browser within ${Duration.format(limit)}`,
    hint: "Start the login again."
  })

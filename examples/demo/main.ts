/**
 * The demo: a real identity provider and a protected API on loopback, and an ordinary app that calls the API for longer
 * than several token lifetimes; then a restart of the app, an outage of the identity provider, and its return.
 *
 * `npm run demo` approves the login by script; `npm run demo -- --manual` lets you do it in a browser.
 * `npm run demo -- --browser` logs in with the authorization code in a headless Chromium. Where none is installed it says
 * so and takes the script; `CHROMIUM` is its place where that is not Debian's.
 * `npm run demo -- --fleet 8` runs eight apps over one vault instead, which renew one login together.
 */
import { Command, FileSystem } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Cause, Clock, Console, Data, Deferred, Effect, Ref, Schedule, Stream } from "effect"
import { parseArgs } from "node:util"
import * as Api from "./api.js"
import * as Browser from "./browser.js"
import * as Events from "./events.js"
import * as IdentityProvider from "./identityProvider.js"
import * as Person from "./person.js"
import * as Tally from "./tally.js"

class DemoFailed extends Data.TaggedError("DemoFailed")<{ readonly message: string }> {}

/** Seconds that an access token lives. */
const lifetime = 6
const { values: { browser, fleet, manual } } = parseArgs({
  options: {
    browser: { type: "boolean", default: false },
    fleet: { type: "string" },
    manual: { type: "boolean", default: false }
  }
})

interface Stage {
  readonly say: (line: string) => Effect.Effect<void>
  readonly tally: Ref.Ref<Tally.Tally>
  readonly environment: Record<string, string>
}

/** Starts the app in a process of its own, and follows what it tells until the scope ends. */
const startApp = (stage: Stage, name: string) =>
  Effect.gen(function*() {
    yield* stage.say(`${name}: starts`)
    yield* note(stage, Tally.appStarted)
    const app = yield* Command.make(process.execPath, "--import", "tsx", "examples/demo/app.ts").pipe(
      Command.env(stage.environment),
      Command.stderr("inherit"),
      Command.start
    )
    yield* app.stdout.pipe(
      Stream.decodeText(),
      Stream.splitLines,
      Stream.mapEffect(Events.decode),
      Stream.runForEach((event) => follow(stage, name, event)),
      Effect.orDie,
      Effect.forkScoped
    )
  })

const follow = (stage: Stage, name: string, event: Events.AppEvent) =>
  Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const line = yield* Ref.modify(stage.tally, (tally) => Tally.count(tally, event, now))
    if (line !== undefined) yield* stage.say(`${name}: ${line}`)
    if (event._tag !== "Prompt") return
    if (manual) return yield* stage.say("open the address above in a browser on this machine")
    const person = browser ? inBrowser(stage, event.url) : byScript(stage, event.url)
    yield* Effect.forkDaemon(
      Effect.catchAllCause(person, (cause) => stage.say(`the person got nowhere: ${Cause.pretty(cause)}`))
    )
  })

const byScript = (stage: Stage, url: string) =>
  Effect.zipRight(stage.say("the person approves it by script"), Person.approve(url))

/** A real browser, unless there is none; then it says so, and the script does what one does. */
const inBrowser = (stage: Stage, url: string) =>
  Browser.approve(url).pipe(
    Effect.flatMap((page) => stage.say(`the person logged in with Chromium, which shows: ${page}`)),
    Effect.catchTag("NoBrowser", ({ place }) =>
      Effect.zipRight(
        stage.say(`there is no Chromium at ${place}, so a script takes the place of the browser`),
        byScript(stage, url)
      ))
  )

/** Waits until the counts say so, or fails with what did not happen. */
const until = (stage: Stage, what: string, seconds: number, reached: (tally: Tally.Tally) => boolean) =>
  Ref.get(stage.tally).pipe(
    Effect.repeat({ until: reached, schedule: Schedule.spaced("50 millis") }),
    Effect.timeoutFail({
      duration: `${seconds} seconds`,
      onTimeout: () => new DemoFailed({ message: `this did not happen within ${seconds} s: ${what}` })
    })
  )

const calls = (stage: Stage) => Effect.map(Ref.get(stage.tally), (tally) => tally.succeeded)

const note = (stage: Stage, change: (tally: Tally.Tally) => Tally.Tally) => Ref.update(stage.tally, change)

/** First act: one login, then many lifetimes without another one. */
const manyLifetimes = (stage: Stage) =>
  Effect.gen(function*() {
    yield* startApp(stage, "first app")
    yield* until(stage, "the login and a first call", manual ? 600 : 40, (tally) => tally.succeeded > 0)
    const generations = yield* Effect.map(Ref.get(stage.tally), (tally) => tally.renewals)
    yield* until(stage, "four renewals", lifetime * 8, (tally) => tally.renewals >= generations + 4)
  }).pipe(Effect.scoped, Effect.zipRight(stage.say("first app: ends")))

/** Instead of both: many apps over one vault, for many lifetimes. */
const manyApps = (stage: Stage, count: number) =>
  Effect.gen(function*() {
    yield* startApp(stage, "app 1")
    yield* until(stage, "the login and a first call", manual ? 600 : 40, (tally) => tally.succeeded > 0)
    for (let index = 2; index <= count; index++) yield* startApp(stage, `app ${index}`)
    const before = yield* calls(stage)
    yield* until(stage, "calls of all apps", 60, (tally) => tally.succeeded >= before + 20 * count)
    const { renewals } = yield* Ref.get(stage.tally)
    yield* until(stage, "six renewals", lifetime * 10, (tally) => tally.renewals >= renewals + 6)
  }).pipe(Effect.scoped, Effect.zipRight(stage.say("all apps: end")))

/** A fleet redeems as often as one app would: no more than every half of a lifetime. */
const judgeFleet = (
  count: number,
  seconds: number,
  { logins, redemptions, refusals }: IdentityProvider.Figures
) =>
  Effect.gen(function*() {
    const most = Math.ceil(seconds / (lifetime / 2)) + 1
    yield* Console.log(
      `\n${count} apps, ${seconds.toFixed(0)} s: ${logins} login, ${redemptions} redemptions ` +
        `(at most ${most} for one app alone), ${refusals} refused`
    )
    if (logins !== 1) return yield* new DemoFailed({ message: "there should have been one login" })
    if (refusals > 0) return yield* new DemoFailed({ message: "a refresh token was refused" })
    if (redemptions > most) return yield* new DemoFailed({ message: "the apps did not renew together" })
  })

/** Second act: another process finds the token, then the identity provider goes away and comes back. */
const outage = (stage: Stage, provider: IdentityProvider.IdentityProvider) =>
  Effect.gen(function*() {
    const before = yield* calls(stage)
    yield* startApp(stage, "second app")
    yield* until(stage, "calls without a login", 20, (tally) => tally.succeeded >= before + 10)
    yield* provider.stop
    yield* note(stage, Tally.providerDown)
    yield* stage.say("identity provider: stopped")
    yield* until(stage, "the hard expiry", lifetime * 3, (tally) => tally.refused > 0)
    yield* Effect.sleep("3 seconds")
    yield* provider.start
    yield* note(stage, Tally.providerUp)
    yield* stage.say("identity provider: started again")
    yield* until(stage, "the recovery", 20, (tally) => tally.phase === "Up")
    const after = yield* calls(stage)
    yield* until(stage, "calls as before", 20, (tally) => tally.succeeded >= after + 40)
  }).pipe(Effect.scoped, Effect.zipRight(stage.say("second app: ends")))

const program = Effect.gen(function*() {
  const began = yield* Clock.currentTimeMillis
  const say = (line: string) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        Console.log(
          `${((now - began) / 1000).toFixed(1).padStart(6)} s  ${line.replaceAll("\n", "\n          ")}`
        )
    )
  const trust = yield* Deferred.make<Api.Trust>()
  const api = yield* Api.serve(trust)
  const provider = yield* IdentityProvider.make({ api, lifetime })
  yield* Deferred.succeed(trust, provider)
  yield* say(`identity provider at ${provider.issuer}, tokens of ${lifetime} s; protected API at ${api}`)
  const vault = `${yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped()}/vault`
  const tally = yield* Ref.make(Tally.empty)
  const environment = {
    DEMO_API: api,
    DEMO_ISSUER: provider.issuer,
    DEMO_LOGIN: browser ? "browser" : "device",
    DEMO_VAULT: vault
  }
  const stage: Stage = { say, tally, environment }
  if (fleet !== undefined) {
    const count = Math.max(1, Math.min(50, Number.parseInt(fleet, 10) || 1))
    yield* manyApps(stage, count)
    const seconds = ((yield* Clock.currentTimeMillis) - began) / 1000
    return yield* judgeFleet(count, seconds, yield* provider.figures)
  }
  yield* manyLifetimes(stage)
  yield* outage(stage, provider)
  yield* judge(yield* Ref.get(tally), yield* provider.figures)
}).pipe(Effect.scoped)

const judge = (tally: Tally.Tally, figures: IdentityProvider.Figures) =>
  Effect.gen(function*() {
    yield* Console.log([
      "",
      `logins               ${figures.logins}`,
      `redemptions          ${figures.redemptions} (refused by the identity provider: ${figures.refusals})`,
      `API calls            ${
        tally.succeeded + tally.refused + tally.unexpected
      } (${tally.succeeded} answered)`,
      `failures             ${tally.refused} while there was no valid token to be had, ${tally.unexpected} others`
    ].join("\n"))
    if (figures.logins !== 1) return yield* new DemoFailed({ message: "there should have been one login" })
    if (figures.refusals > 0) return yield* new DemoFailed({ message: "a refresh token was refused" })
    if (tally.unexpected > 0) return yield* new DemoFailed({ message: "calls failed that should not have" })
  })

program.pipe(
  Effect.tapErrorTag("DemoFailed", ({ message }) => Console.error(`demo failed: ${message}`)),
  Effect.provide(NodeContext.layer),
  NodeRuntime.runMain({ disableErrorReporting: false })
)

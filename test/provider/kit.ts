/** Runs a preset against a contract, on the virtual clock. */
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Revocation from "effect-credentials/oauth/Revocation"
import * as Provider from "effect-credentials/provider/Provider"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Replay from "./Replay.js"

/** Instants on the wire are told from lifetimes by their size, so the clock has to show a time of today. */
export const start = Date.UTC(2030, 0, 1)

export const setup = Effect.fnUntraced(
  function*(provider: Provider.Provider, contract: Replay.Contract, script: Replay.Script = {}) {
    yield* TestClock.setTime(start)
    const replay = yield* Replay.make(contract, script)
    const server = yield* Provider.server(provider)
    const secret = contract.client.secret
    const client = Provider.client(provider, {
      id: contract.client.id,
      secret: secret === undefined ? undefined : Redacted.make(secret)
    })
    return { replay, options: { server, client } }
  }
)

export type Setup = Effect.Effect.Success<ReturnType<typeof setup>>

/** Starts a login, then lets time pass until it is decided. */
export const logIn = Effect.fnUntraced(
  function*(
    provider: Provider.WithDevice,
    { options, replay }: Setup,
    during: Duration.DurationInput = "1 hour",
    changes: Partial<Provider.LoginOptions> = {}
  ) {
    const device = yield* DeviceCode.make(Provider.device(provider, { ...options, ...changes })).pipe(
      Effect.provide(replay.layer)
    )
    const started = yield* device.authorize
    const events: Array<DeviceCode.Event> = []
    const fiber = yield* Effect.fork(
      Effect.exit(device.poll(started, (event) => Effect.sync(() => events.push(event))))
    )
    yield* TestClock.adjust(during)
    const exit = yield* Fiber.join(fiber)
    const tags = events.map((event) => event._tag)
    return { started, exit, events, tags, at: yield* Clock.currentTimeMillis }
  }
)

/** Follows the link as a browser would, and redeems the code that comes back. */
export const browse = Effect.fnUntraced(
  function*(
    provider: Provider.WithBrowser,
    { options, replay }: Setup,
    redirectUri: string,
    changes: Partial<Provider.LoginOptions> = {}
  ) {
    const login = yield* AuthorizationCode.make(Provider.browser(provider, { ...options, ...changes })).pipe(
      Effect.provide(replay.layer)
    )
    const attempt = yield* login.begin({ redirectUri })
    const callback = yield* replay.browse(attempt.url)
    const code = yield* Effect.catchTag(login.judge(attempt, callback), "Unrelated", Effect.die)
    return { attempt, callback, login, grant: yield* login.exchange(attempt, code) }
  }
)

export const redeemer = (provider: Provider.Provider, { options, replay }: Setup) =>
  Effect.provide(RefreshToken.make(Provider.refresh(provider, options)), replay.layer)

export const revoker = (provider: Provider.Provider, { options, replay }: Setup) =>
  Effect.provide(Revocation.make(Provider.revocation(provider, options)), replay.layer)

/** When the polls came, in seconds from the start. */
export const polls = ({ calls }: Replay.Replay): ReadonlyArray<number> =>
  calls.filter(({ ask }) => ask === "poll").map(({ at }) => (at - start) / 1000)

export const failure = <E>(exit: Exit.Exit<unknown, E>): E => {
  if (exit._tag === "Success" || exit.cause._tag !== "Fail") throw new Error("it did not fail")
  return exit.cause.error
}

export const success = <A>(exit: Exit.Exit<A, unknown>): A => {
  if (exit._tag === "Failure") throw new Error(`it failed: ${String(exit.cause)}`)
  return exit.value
}

export const secret = (value: Redacted.Redacted<string> | undefined): string | undefined =>
  value === undefined ? undefined : Redacted.value(value)

/** The logins of a session: what each asks for, and what goes before it. */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Grant from "../../Grant.js"
import type * as Login from "../../login/Login.js"
import type * as LoginGate from "../../LoginGate.js"
import * as RefreshToken from "../../oauth/RefreshToken.js"
import * as Token from "../../Token.js"
import { TokenUnavailable } from "../../TokenError.js"
import type { Misconfigured, TokenError } from "../../TokenError.js"
import type { Found, LoginOptions, Options } from "../ResourceSettings.js"
import type * as Hourly from "./hourly.js"

/** What is known of a session by the time of a login. */
export interface Asking {
  found: Found
  /** What logins were asked for beside what was found out, and have come back from. */
  brought: ReadonlyArray<string>
  /** Whether the last login ended because the server doesn't know the client. */
  isUnknown: boolean
}

/** What a login asks for if nobody says more. */
export const scopesOf = ({ brought, found }: Asking): ReadonlyArray<string> => [
  ...new Set([...found.scopes, ...brought])
]

/** What somebody wants of the login that is opened for them. It goes with the fiber, to where the login is begun. */
export interface Wish {
  /** Whether a person has asked for the login by name, or it opens by itself. */
  readonly kind: keyof LoginGate.LoginGate
  /** What to ask for. */
  readonly scopes?: ReadonlyArray<string> | undefined
  /** Told that a login that asked for this has brought a grant, whoever has left by then. */
  readonly met?: (() => void) | undefined
}

/** A login that somebody else's waiting brings about is one that opens by itself. */
class Wished extends Context.Reference<Wished>()("effect-credentials/manager/Wished", {
  defaultValue: (): Wish => ({ kind: "automatic" })
}) {}

/** Has the login that this opens, if it opens one, be as wished. */
export const wishing = <A, E, R>(self: Effect.Effect<A, E, R>, wish: Wish): Effect.Effect<A, E, R> =>
  Effect.provideService(self, Wished, wish)

/** What all logins for a resource pass, whichever the session. */
export interface Limits {
  readonly gate: LoginGate.LoginGate
  readonly logins: Hourly.Hourly
}

export interface Settings<R> extends Limits {
  readonly name: string
  readonly login: Options<R>["login"]
  /** What logins are made from beside the scopes. */
  readonly base: (found: Found) => Omit<LoginOptions, "scopes">
  /** Run before each login that is about to open. */
  readonly before: Effect.Effect<void>
}

/** Each login asks for what is wanted by then. */
export const make = <R>(
  settings: Settings<R>,
  asking: Asking
): Effect.Effect<Login.Service, Misconfigured, R | HttpClient.HttpClient> => {
  const { base, login, name } = settings
  if (login === undefined) return Effect.succeed(nobody(name))
  return Effect.flatMap(Effect.context<R | HttpClient.HttpClient>(), (context) => {
    const prepare = (scopes: ReadonlyArray<string>) =>
      Effect.suspend(() => {
        const options = base(asking.found)
        return Effect.flatMap(offlineAccess(options, scopes), (wanted) =>
          Effect.provide(
            login({ ...options, offlineAccess: wanted, scopes: scopes.length === 0 ? undefined : scopes }),
            context
          ))
      })
    const checked = Effect.suspend(() => Effect.provide(check(asking.found), context))
    return Effect.map(prepare(scopesOf(asking)), (first): Login.Service => ({
      name: first.name,
      timeLimit: Duration.sum(first.timeLimit, Duration.minutes(1)),
      login: Effect.flatMap(Wished, (wish) => passing(settings, wish, checked, one(asking, wish, prepare)))
    }))
  })
}

/** Where renewal without the person is asked for, the person is asked about it: strict servers give it only then. */
const offlineAccess = (
  { offlineAccess, server }: Omit<LoginOptions, "scopes">,
  scopes: ReadonlyArray<string>
): Effect.Effect<boolean | undefined> =>
  offlineAccess !== undefined || scopes.length === 0
    ? Effect.succeed(offlineAccess)
    : Effect.match(server.metadata, {
      onFailure: () => undefined,
      onSuccess: ({ scopes_supported: known = [] }) =>
        [...scopes, ...known].includes("offline_access") ? true : undefined
    })

/** One login; what it was asked for counts from when its grant is there, whoever has left by then. */
const one = (
  asking: Asking,
  { met, scopes }: Wish,
  prepare: (scopes: ReadonlyArray<string>) => Effect.Effect<Login.Service, Misconfigured>
): Effect.Effect<Grant.Grant, TokenError> =>
  Effect.suspend(() => {
    asking.isUnknown = false
    return Effect.flatMap(prepare(scopes ?? scopesOf(asking)), (service) => service.login)
  }).pipe(
    Effect.tapBoth({
      onSuccess: () =>
        Effect.sync(() => {
          asking.brought = [...new Set([...asking.brought, ...scopes ?? []])]
          met?.()
        }),
      onFailure: (error) =>
        Effect.sync(() => {
          asking.isUnknown = isInvalidClient(error)
        })
    })
  )

/** The gate sees what the login itself comes to: what was found out before it, without a person, doesn't count. */
const passing = <R>(
  { before, gate, logins, name }: Settings<R>,
  { kind }: Wish,
  checked: Effect.Effect<void, TokenError>,
  login: Effect.Effect<Grant.Grant, TokenError>
): Effect.Effect<Grant.Grant, TokenError> =>
  Effect.flatten(
    gate[kind]({ source: name })(
      Effect.matchEffect(Effect.zipRight(logins.note, checked), {
        onFailure: (error) => Effect.succeed(Effect.fail(error)),
        onSuccess: () => Effect.map(Effect.zipRight(before, login), (grant) => Effect.succeed(grant))
      })
    )
  )

export const nobody = (name: string): Login.Service => ({
  name,
  timeLimit: Duration.zero,
  login: Effect.fail(
    new TokenUnavailable({
      source: name,
      reason: "LoginRequired",
      detail: "nobody is logged in, and nobody can be asked here",
      hint: "Log in where somebody can be asked, over the same vault.",
      tiers: []
    })
  )
})

/** A registration that is younger than this, in milliseconds, is still there. */
const trusted = 5 * 60_000

/**
 * Fails where the server has forgotten a client that registered itself: a browser would show the person an error page
 * then, and nobody would ever come back. Any request of the client tells, and one for no token at all does no harm.
 */
const check = Effect.fnUntraced(function*({ client, server }: Found) {
  const now = yield* Clock.currentTimeMillis
  if (client._tag !== "Registered" || now - client.registration.registeredAt < trusted) return
  const redeem = yield* RefreshToken.make({ server, client: client.client, name: "client registration" })
  yield* Effect.catchIf(Grant.apart(redeem(probe)), (error) => !isInvalidClient(error), () => Effect.void)
})

const probe = Grant.make({
  token: Token.make({ value: Redacted.make("") }),
  refreshToken: Redacted.make("is-this-client-known")
})

export const isInvalidClient = (error: TokenError): error is Misconfigured =>
  error._tag === "Misconfigured" && error.reason === "InvalidClient"

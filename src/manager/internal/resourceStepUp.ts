/** Logins for more scopes: one at a time, for what the present token lacks, and not without end. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Token from "../../Token.js"
import { RequestRejected } from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"
import * as Hourly from "./hourly.js"
import * as Logins from "./resourceLogin.js"
import type { Session } from "./resourceSession.js"

export interface Options {
  readonly name: string
  /** How many there may be within an hour. */
  readonly most: number
  readonly current: Effect.Effect<Session, TokenError>
}

export interface Demand {
  readonly scopes: ReadonlyArray<string>
  /** A token that lacks them; absent where a person wants them. */
  readonly refused: Token.Token | undefined
  /** Lets the person log in. */
  readonly login: (session: Session, wish: Wish) => Effect.Effect<Token.Token, TokenError>
}

export type Wish = Required<Pick<Logins.Wish, "met" | "scopes">>

export type StepUp = (demand: Demand) => Effect.Effect<Token.Token, TokenError>

export const make = (options: Options): Effect.Effect<StepUp> =>
  Effect.zipWith(
    Effect.makeSemaphore(1),
    Hourly.make(options.most),
    (semaphore, logins) => (demand) => semaphore.withPermits(1)(run(options, logins, demand))
  )

const run = Effect.fnUntraced(function*(options: Options, logins: Hourly.Hourly, demand: Demand) {
  const { refused, scopes } = demand
  const session = yield* options.current
  const held = Option.getOrUndefined(session.signIn.source.peek())
  if (refused !== undefined) {
    const isAsked = scopes.every((scope) => session.brought.includes(scope))
    if (held !== undefined && !Token.isSame(held, refused) && has(held, scopes, isAsked)) return held
    if (isAsked) return yield* missing(options.name, scopes, "and a login for them did not bring them")
    if (!(yield* logins.take)) return yield* missing(options.name, scopes, tooOften)
  }
  const present = held === undefined || held.scopes.length === 0 ? Logins.scopesOf(session) : held.scopes
  const token = yield* asking(session, [...new Set([...present, ...scopes])], demand)
  const lacking = token.scopes.length === 0 ? [] : scopes.filter((scope) => !token.scopes.includes(scope))
  return lacking.length === 0
    ? token
    : yield* missing(options.name, lacking, "and the login did not bring them")
})

/** Whoever had to wait for another login got what that had asked for, and asks once more. */
const asking = (
  session: Session,
  scopes: ReadonlyArray<string>,
  demand: Demand
): Effect.Effect<Token.Token, TokenError> =>
  Effect.suspend(() => {
    let isMet = false
    const met = () => {
      isMet = true
    }
    const login = demand.login(session, { scopes, met })
    return Effect.flatMap(
      login,
      (token) => isMet || has(token, demand.scopes, false) ? Effect.succeed(token) : login
    )
  })

/** A token that doesn't say what it has got is taken for one that has what was asked for. */
const has = (token: Token.Token, scopes: ReadonlyArray<string>, isAsked: boolean): boolean =>
  token.scopes.length === 0 ? isAsked : scopes.every((scope) => token.scopes.includes(scope))

const tooOften = "and there were enough logins for more scopes within the hour"

/** Says which scopes a request needs, and why they can't be had now. */
export const missing = (source: string, scopes: ReadonlyArray<string>, why: string): RequestRejected =>
  new RequestRejected({
    source,
    reason: "InvalidScope",
    detail: `the resource wants ${scopes.length === 1 ? "the scope" : "the scopes"} ${
      listed(scopes)
    }, ${why}`,
    hint: "Log in again with these scopes, by somebody who may grant them."
  })

/** The resource made them up: a few, and the beginning of each, are enough for people. */
const listed = (scopes: ReadonlyArray<string>): string => {
  const shown = scopes.slice(0, 10).map((scope) => scope.length > 100 ? `${scope.slice(0, 100)}…` : scope)
  return [...shown, ...scopes.length > 10 ? [`and ${scopes.length - 10} more`] : []].join(", ")
}

/** Logins for more scopes: one at a time, for what the present token lacks, and not without end. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Token from "../../Token.js"
import { RequestRejected } from "../../TokenError.js"
import type { TokenError } from "../../TokenError.js"
import * as Hourly from "./hourly.js"
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
  readonly login: (session: Session) => Effect.Effect<Token.Token, TokenError>
}

export type StepUp = (demand: Demand) => Effect.Effect<Token.Token, TokenError>

export const make = (options: Options): Effect.Effect<StepUp> =>
  Effect.zipWith(Effect.makeSemaphore(1), Hourly.make(options.most), (semaphore, logins) => {
    const memory: Memory = { logins, asked: new WeakMap() }
    return (demand) => semaphore.withPermits(1)(run(options, memory, demand))
  })

interface Memory {
  /** The logins that were opened. */
  readonly logins: Hourly.Hourly
  /** What logins of a session have asked for and come back from. */
  readonly asked: WeakMap<Session, ReadonlySet<string>>
}

const run = Effect.fnUntraced(function*(options: Options, memory: Memory, demand: Demand) {
  const { refused, scopes } = demand
  const session = yield* options.current
  const held = Option.getOrUndefined(session.signIn.source.peek())
  const asked = memory.asked.get(session) ?? new Set()
  if (refused !== undefined) {
    const isAsked = scopes.every((scope) => asked.has(scope))
    if (held !== undefined && !Token.isSame(held, refused) && has(held, scopes, isAsked)) return held
    if (isAsked) return yield* missing(options.name, scopes, "and a login for them did not bring them")
    if (!(yield* memory.logins.take)) return yield* missing(options.name, scopes, tooOften)
  }
  const present = held === undefined || held.scopes.length === 0 ? session.scopes : held.scopes
  const token = yield* asking(session, union(present, scopes), demand.login(session))
  memory.asked.set(session, new Set([...asked, ...scopes]))
  const lacking = token.scopes.length === 0 ? [] : scopes.filter((scope) => !token.scopes.includes(scope))
  return lacking.length === 0
    ? token
    : yield* missing(options.name, lacking, "and the login did not bring them")
})

/** A token that doesn't say what it has got is taken for one that has what was asked for. */
const has = (token: Token.Token, scopes: ReadonlyArray<string>, isAsked: boolean): boolean =>
  token.scopes.length === 0 ? isAsked : scopes.every((scope) => token.scopes.includes(scope))

const union = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...new Set([...one, ...other])
]

/** What the login asks for is what later ones ask for too, if it comes to something. */
const asking = <A, E>(
  session: Session,
  scopes: ReadonlyArray<string>,
  login: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const before = session.scopes
    session.scopes = scopes
    return Effect.onError(login, () =>
      Effect.sync(() => {
        session.scopes = before
      }))
  })

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

/** Keeps the one session of a resource: opened when it is first needed, replaced when what was found out changes. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as LoginGate from "../../LoginGate.js"
import { Misconfigured } from "../../TokenError.js"
import type { TransientFailure } from "../../TokenError.js"
import * as Vault from "../../vault/Vault.js"
import type * as ClientRegistry from "../ClientRegistry.js"
import type { Found, Options } from "../ResourceSettings.js"
import * as Hourly from "./hourly.js"
import * as Finding from "./resourceFinding.js"
import * as Session from "./resourceSession.js"
import * as Trace from "./resourceTrace.js"
import * as Turns from "./turns.js"

type Failure = TransientFailure | Misconfigured

export interface Keeper {
  /** The logins for the resource. */
  readonly logins: Hourly.Hourly
  /** The session, as of what was found out not too long ago. */
  readonly current: Effect.Effect<Session.Session, Failure>
  /** The session with a client in place of one that its server has forgotten; five times an hour. */
  readonly renewed: (session: Session.Session) => Effect.Effect<Session.Session, Failure>
  /** A resource that refuses a new token may have moved: the next call finds out, five times an hour. */
  readonly doubt: Effect.Effect<void>
  /** With whom there were logins, as far as this was written down. */
  readonly traced: Trace.Trace["find"]
  readonly peek: () => Session.Session | undefined
  readonly onChange: (listener: () => void) => () => void
}

interface State {
  session: Session.Session | undefined
  unsubscribe: () => void
  /** When it was found out, and until when that counts. */
  since: number
  until: number
}

/**
 * For how long a session is not asked about after it could not be found out whether it still is one, in milliseconds;
 * ten times as long as that took, if that is longer, so that callers rarely wait for a resource that answers nobody.
 */
const grace = 60_000

/** How many times an hour a server that forgets its clients, or a resource that moves on, is followed. */
const patience = 5

/** How long before the end of a client's secret another client is looked for; what the registry thinks too. */
const margin = 60_000

/** What the keeper works with. */
interface Self {
  readonly state: State
  readonly find: Effect.Effect<Found, Failure>
  readonly open: (
    found: Found,
    before: Session.Session | undefined
  ) => Effect.Effect<Session.Session, Failure>
  readonly registry: ClientRegistry.ClientRegistry
  /** For how long what was found out counts, in milliseconds. */
  readonly lasting: number
  /** Finds out, and renews a client, one at a time. */
  readonly looking: Turns.Join<Failure>
  readonly renewing: Turns.Join<Failure>
  /** Opens the gate of the logins. */
  readonly reopen: Effect.Effect<void>
  readonly doubts: Hourly.Hourly
  readonly renewals: Hourly.Hourly
  readonly tell: () => void
  readonly scope: Scope.Scope
}

export const make: <R>(
  options: Options<R>,
  name: string,
  registry: ClientRegistry.ClientRegistry
) => Effect.Effect<Keeper, never, Session.Needs | R> = Effect.fnUntraced(function*<R>(
  options: Options<R>,
  name: string,
  registry: ClientRegistry.ClientRegistry
) {
  const context = yield* Effect.context<Session.Needs | R>()
  const lock = yield* Effect.makeSemaphore(1)
  const logins = yield* Hourly.make(options.maxLogins ?? 10)
  const place = yield* Trace.placeOf(options)
  const gate = LoginGate.unsafeOf((yield* Vault.Vault).identity, place)
  const trace = yield* Trace.make(place)
  const listeners = new Set<() => void>()
  const self: Self = {
    state: { session: undefined, unsubscribe: () => {}, since: 0, until: 0 },
    find: Effect.provide(Finding.find(settings(options, name), new Map(), registry), context),
    open: (found, before) =>
      Effect.provide(Session.open({ options, name, gate, logins, trace }, found, before), context),
    registry,
    lasting: Duration.toMillis(options.cacheFor ?? Duration.hours(1)),
    looking: Turns.make(lock),
    renewing: Turns.make(lock),
    reopen: Effect.ignore(gate.explicit({ source: name })(Effect.void)),
    doubts: yield* Hourly.make(patience),
    renewals: yield* Hourly.make(patience),
    tell: () => listeners.forEach((listener) => listener()),
    scope: yield* Effect.scope
  }
  return {
    logins,
    traced: trace.find,
    current: current(self),
    renewed: (session) => self.renewing(renewed(self, session)),
    doubt: doubt(self),
    peek: () => self.state.session,
    onChange: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
})

const current = (self: Self): Effect.Effect<Session.Session, Failure> => {
  const found = self.looking(look(self))
  return Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { session } = self.state
    return session !== undefined && isFresh(self.state, now) ? Effect.succeed(session) : found
  })
}

/** The session, after somebody else may have found it out. */
const look = (self: Self): Effect.Effect<Session.Session, Failure> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { session } = self.state
    return session !== undefined && isFresh(self.state, now)
      ? Effect.succeed(session)
      : Effect.matchEffect(self.find, { onFailure: keep(self, now), onSuccess: adopt(self) })
  })

/** The session for what was found out: the one that is open, if it is about the same. */
const adopt = (self: Self) => (found: Found): Effect.Effect<Session.Session, Failure> => {
  const { lasting, state } = self
  const { session } = state
  const next = session !== undefined && Session.isStill(session, found)
    ? Effect.sync(() => Object.assign(session, { found }))
    : Effect.tap(self.open(found, session), (session) => put(self, session))
  return Effect.uninterruptible(Effect.zipWith(next, Clock.currentTimeMillis, (session, now) => {
    state.since = now
    state.until = Math.min(now + lasting, Math.max(secretEnd(found) - margin, now + grace))
    return session
  }))
}

/**
 * What could not be found out takes nothing away, unless it says that the session is not to be trusted. That it failed
 * is remembered from now on, however long it took: who waited doesn't look once more.
 */
const keep = (self: Self, began: number) => (error: Failure): Effect.Effect<Session.Session, Failure> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const { lasting, state } = self
    const { session } = state
    if (session === undefined) return Effect.fail(error)
    if (isUntrustworthy(error)) return Effect.zipRight(put(self, undefined), Effect.fail(error))
    state.since = now
    state.until = now + Math.max(grace, Math.min(10 * (now - began), lasting))
    return Effect.succeed(session)
  })

const put = ({ scope, state, tell }: Self, session: Session.Session | undefined): Effect.Effect<void> =>
  Effect.suspend(() => {
    const old = state.session
    state.unsubscribe()
    state.session = session
    state.unsubscribe = session?.signIn.source.onChange(tell) ?? (() => {})
    tell()
    return old === undefined ? Effect.void : Effect.forkIn(old.close, scope)
  })

const renewed = (self: Self, session: Session.Session): Effect.Effect<Session.Session, Failure> =>
  Effect.suspend(() =>
    self.state.session === session
      ? Effect.if(self.renewals.take, {
        onTrue: () => renew(self, session),
        onFalse: () => Effect.fail(forgetful(session))
      })
      : look(self)
  )

/** A login that came to nothing for the want of this client is no reason to hold back the next one. */
const renew = (self: Self, { found, isUnknown }: Session.Session): Effect.Effect<Session.Session, Failure> =>
  self.registry.renew(found.server, found.client).pipe(
    Effect.flatMap((client) => adopt(self)({ ...found, client })),
    Effect.zipLeft(isUnknown ? self.reopen : Effect.void)
  )

const doubt = ({ doubts, state }: Self): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    now - state.since < grace || now >= state.until
      ? Effect.void
      : Effect.map(doubts.take, (isLeft) => {
        if (isLeft) state.until = now
      }))

const settings = <R>(options: Options<R>, name: string): Finding.Options => ({
  name,
  url: options.url,
  ask: options.ask ?? true,
  legacy: options.legacy ?? false,
  trust: options.trust,
  choose: options.choose ?? ((issuers) => issuers),
  scopes: options.scopes,
  requestTimeLimit: options.requestTimeLimit,
  maxResponseBytes: options.maxResponseBytes
})

const forgetful = ({ found }: Session.Session): Misconfigured =>
  new Misconfigured({
    source: `client at ${found.server.issuer}`,
    reason: "InvalidClient",
    detail: "the server forgets the clients that it registers, again and again",
    hint: "Try again in an hour, or register the program there by hand, and give its client id."
  })

const isFresh = ({ since, until }: State, now: number): boolean => now >= since && now < until

const secretEnd = ({ client }: Found): number =>
  client._tag === "Registered" ? client.registration.secretExpiresAt : Infinity

/** What says that the resource is not, or no longer, what it was taken for. */
const isUntrustworthy = ({ reason }: Failure): boolean =>
  reason === "IssuerMismatch" || reason === "InsecureUrl"

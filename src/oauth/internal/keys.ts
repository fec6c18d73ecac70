/**
 * The public keys of a server (RFC 7517 §5): kept with the server, fetched again when they are old or one is missing,
 * but never in a storm.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import { Misconfigured } from "../../TokenError.js"
import type { TransientFailure } from "../../TokenError.js"
import type * as AuthorizationServer from "../AuthorizationServer.js"
import type { Limits } from "../Limits.js"
import * as Body from "./body.js"
import * as Failure from "./failure.js"
import { traced } from "./tokenEndpoint.js"
import * as Transport from "./transport.js"

export interface Options extends Limits {
  readonly source: string
  readonly server: AuthorizationServer.AuthorizationServer
}

export interface Keys {
  /** How long fetching them may take. */
  readonly timeLimit: Duration.Duration
  /** Those at hand, fetched where there are none or they are old. Old ones stand in during an outage. */
  readonly current: Effect.Effect<AuthorizationServer.Keys, TransientFailure | Misconfigured>
  /** Those that came after the given ones; none where it is too early to ask again, or nothing could be had. */
  readonly newerThan: (
    known: AuthorizationServer.Keys
  ) => Effect.Effect<Option.Option<AuthorizationServer.Keys>>
}

/**
 * In milliseconds: when keys are old, how long old ones stand in, when those without news may be fetched again, and when
 * after a failure.
 */
const times = { old: 60 * 60_000, stale: 24 * 60 * 60_000, coolDown: 30_000, afterFailure: 5_000 }

const most = { bytes: 256 * 1024, keys: 100 }

type Held = AuthorizationServer.Keys

type Fetch = Effect.Effect<Held, TransientFailure | Misconfigured>

/** One fetch at a time; those who waited for it take what it gave. */
export const make = (options: Options): Effect.Effect<Keys, never, HttpClient.HttpClient> =>
  Effect.gen(function*() {
    const { server } = options
    const fetch = yield* Effect.flatMap(makeFetch(options), gently)
    const semaphore = yield* Effect.makeSemaphore(1)
    const kept = Effect.tap(fetch, (keys) => Ref.set(server.keys, keys))
    const look = Effect.zip(Clock.currentTimeMillis, Ref.get(server.keys))
    const unless = (isGood: (held: Held, now: number) => boolean): Fetch =>
      Effect.flatMap(look, ([now, held]) => {
        if (held === undefined || age(held, now) >= times.stale) return kept
        return isGood(held, now) ? Effect.succeed(held) : Effect.orElseSucceed(kept, () => held)
      })
    const inTurn = semaphore.withPermits(1)
    const current = Effect.flatMap(
      look,
      ([now, held]) =>
        held !== undefined && isYoung(held, now) ? Effect.succeed(held) : inTurn(unless(isYoung))
    )
    const newerThan: Keys["newerThan"] = (known) =>
      inTurn(unless((held, now) => held !== known || age(held, now) < times.coolDown)).pipe(
        Effect.option,
        Effect.map(Option.filter((keys) => keys !== known))
      )
    return { timeLimit: timeLimit(options), current, newerThan }
  })

/** However the clock was set meanwhile. */
const age = (held: Held, now: number): number => Math.abs(now - held.at)

const isYoung = (held: Held, now: number): boolean => age(held, now) < times.old

interface Failed {
  readonly at: number
  readonly failure: TransientFailure | Misconfigured
}

/** For a moment after a failure, that is the answer. */
const gently = (fetch: Fetch): Effect.Effect<Fetch> =>
  Effect.map(Ref.make<Failed | undefined>(undefined), (last) => {
    const attempt = Effect.tapError(
      fetch,
      (failure) => Effect.flatMap(Clock.currentTimeMillis, (at) => Ref.set(last, { at, failure }))
    )
    return Effect.flatMap(
      Effect.zip(Clock.currentTimeMillis, Ref.get(last)),
      ([now, failed]) =>
        failed !== undefined && Math.abs(now - failed.at) < times.afterFailure
          ? Effect.fail(failed.failure)
          : attempt
    )
  })

/** A fetch that fails is tried once more. */
const timeLimit = (limits: Limits): Duration.Duration =>
  Duration.sum(
    Transport.metadataTimeLimit(limits),
    Duration.sum(Duration.times(Transport.timeLimit(limits), 2), pause)
  )

const pause = Duration.millis(500)

const makeFetch = (options: Options): Effect.Effect<Fetch, never, HttpClient.HttpClient> => {
  const { maxResponseBytes = most.bytes, server, source } = options
  // They may be kept on another machine, whose clock says nothing of the server's.
  const sender = Effect.flatMap(
    Ref.make(0),
    (clockOffset) => Transport.make({ ...options, maxResponseBytes, clockOffset })
  )
  return Effect.map(sender, (send) => {
    const ask = (url: string): Fetch =>
      Effect.flatMap(send({ ...request, url }), (answer) => decode(source, answer))
    return Effect.flatMap(
      server.metadata,
      ({ jwks_uri: url }) => url === undefined ? Effect.fail(noKeys(source)) : ask(url)
    ).pipe(
      Effect.retry({
        times: 1,
        schedule: Schedule.spaced(pause),
        while: (error) => error._tag === "TransientFailure" && error.reason !== "RateLimited"
      }),
      traced("oauth.keys", { "oauth.source": source })
    )
  })
}

const request: Omit<Transport.Request, "url"> = {
  method: "GET",
  headers: { accept: "application/jwk-set+json, application/json" },
  body: undefined
}

const decode = (
  source: string,
  answer: Transport.Answer
): Effect.Effect<AuthorizationServer.Keys, TransientFailure> =>
  Effect.zipRight(
    Failure.ofStatus(source, answer),
    Effect.zipWith(
      answer.status === 200
        ? Effect.mapError(keysIn(answer.text), () => unreadable(source))
        : Effect.fail(unreadable(source)),
      Clock.currentTimeMillis,
      (keys, at) => ({ keys, at })
    )
  )

/** Those that signatures can be verified with, without anything that is not public. */
const keysIn = (text: string): Option.Option<AuthorizationServer.Keys["keys"]> =>
  Option.map(
    Option.filter(Option.map(Body.parse(text), ({ keys }) => keys), Array.isArray),
    (keys: ReadonlyArray<unknown>) =>
      keys.slice(0, most.keys).filter(Predicate.isRecord).filter(isPublic).map(publicPart)
  )

const isPublic = ({ kty, use }: Readonly<Record<string, unknown>>): boolean =>
  (kty === "RSA" || kty === "EC" || kty === "OKP") && (use === undefined || use === "sig")

const publicFields = ["kty", "kid", "use", "alg", "key_ops", "crv", "x", "y", "n", "e"]

const publicPart = (key: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(publicFields.flatMap((name) => key[name] === undefined ? [] : [[name, key[name]]]))

const unreadable = (source: string): TransientFailure =>
  Failure.malformed(source, "the server's address of public keys does not answer with keys")

/** A server of which nobody can tell what it has signed. */
export const noKeys = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidMetadata",
    detail: "the server publishes no keys, so nobody can tell who signed the ID token",
    hint: "Give jwksUri along with the endpoints if the server has one."
  })

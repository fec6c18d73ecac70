/**
 * What binds the tokens of one server to keys (RFC 9449): proofs on requests, and the nonces that the server wants
 * in them.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as oauth from "oauth4webapi"
import type { Misconfigured } from "../../TokenError.js"
import { TransientFailure } from "../../TokenError.js"
import type { AuthorizationServer } from "../AuthorizationServer.js"
import type { Setting } from "../Dpop.js"
import * as Key from "./dpopKey.js"
import * as Nonces from "./dpopNonces.js"
import * as Proof from "./dpopProof.js"
import type * as Transport from "./transport.js"

type Secret = Redacted.Redacted<string>

/** A key that can sign, and its text. */
export interface Bound {
  readonly key: Secret
  readonly keys: Key.Keys
}

/** What oauth4webapi's options take. */
type Prover = oauth.DPoPRequestOptions

export interface Binding {
  /** The key for one new login, if its tokens are to be bound. */
  readonly proofKey: Effect.Effect<Secret | undefined, Misconfigured>
  /** The key ready for use; nothing for none. */
  readonly bind: (key: Secret | undefined) => Effect.Effect<Bound | undefined, Misconfigured>
  /** What makes the proofs of one attempt, by what is known of the server now. */
  readonly prover: (bound: Bound | undefined) => Effect.Effect<Prover>
  /** Sends, and learns the nonces of the answers. */
  readonly listening: (send: Transport.Send) => Transport.Send
  /** Learns the nonce before something is spent that a demand for one might cost. */
  readonly prime: (probe: Probe) => Effect.Effect<void, TransientFailure | Misconfigured>
}

/** A harmless request to an address, of which only the headers of the answer matter. */
export interface Probe {
  readonly address: string | undefined
  readonly ask: Effect.Effect<Transport.Answer, TransientFailure | Misconfigured>
}

/** Fails when the key that the setting names can't sign proofs. */
export const make = (
  source: string,
  setting: Setting | undefined,
  server: AuthorizationServer
): Effect.Effect<Binding, Misconfigured> => {
  const bind = bindTo(source)
  const given = Redacted.isRedacted(setting) ? setting : undefined
  return Effect.zipWith(bind(given), Ref.make(false), (_, askedInVain) => ({
    proofKey: setting === true ? Key.generate(source, "ES256") : Effect.succeed(given),
    bind,
    prover: (bound) => bound === undefined ? unbound : proverOf(bound, server),
    listening: (send) => (request) =>
      Effect.tap(
        send(request),
        ({ headers }) => Nonces.learn(server.nonces, request.url, headers["dpop-nonce"])
      ),
    prime: (probe) => prime({ source, server, askedInVain }, probe)
  }))
}

const bindTo = (source: string): Binding["bind"] => (key) =>
  key === undefined
    ? Effect.succeed(undefined)
    : Effect.map(Key.imported(source, key), (keys) => ({ key, keys }))

const unbound: Effect.Effect<Prover> = Effect.succeed({})

const proverOf = ({ keys }: Bound, { clockOffset, nonces }: AuthorizationServer): Effect.Effect<Prover> =>
  Effect.zip(Ref.get(nonces), Ref.get(clockOffset)).pipe(
    Effect.flatMap(([nonces, offset]) => Proof.handle(keys, nonces, offset)),
    Effect.map((DPoP) => ({ DPoP }))
  )

/** A nonce younger than this is taken to be good still; servers accept theirs for minutes. */
const fresh = 60_000

/** How long to wait for one. */
export const patience: Duration.Duration = Duration.seconds(10)

interface Primed {
  readonly source: string
  readonly server: AuthorizationServer
  /** Whether the server was asked and told none. */
  readonly askedInVain: Ref.Ref<boolean>
}

/**
 * Asks where no nonce is known that is fresh, but not a server again that was asked and told none. An answer
 * without a nonce to a proof with one says that it is good.
 */
const prime = Effect.fnUntraced(function*(
  { askedInVain, server: { nonces }, source }: Primed,
  { address = "", ask }: Probe
) {
  const at = yield* Clock.currentTimeMillis
  const before = Nonces.find(yield* Ref.get(nonces), address, at)
  if (before === undefined ? yield* Ref.get(askedInVain) : at - before.at < fresh) return
  const { status } = yield* Effect.timeoutFail(ask, { duration: patience, onTimeout: () => silent(source) })
  if (status === 429 || status >= 500) return
  const after = Nonces.find(yield* Ref.get(nonces), address, at)
  if (after === undefined) return yield* Ref.set(askedInVain, true)
  if (after === before) yield* Nonces.learn(nonces, address, after.value)
})

const silent = (source: string): TransientFailure =>
  new TransientFailure({
    source,
    reason: "Network",
    detail: `the authorization server told no nonce for the proof within ${Duration.format(patience)}`,
    hint: "Try again; nothing was spent.",
    retryAt: undefined
  })

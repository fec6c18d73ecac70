/**
 * Tokens that are bound to a key, and the proofs of possessing it that go with each request (RFC 9449).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type * as Token from "../Token.js"
import type { Misconfigured } from "../TokenError.js"
import * as Key from "./internal/dpopKey.js"
import * as Nonces from "./internal/dpopNonces.js"
import * as Proof from "./internal/dpopProof.js"
import * as Transport from "./internal/transport.js"

/**
 * What a grant takes: whether its tokens are bound, and to which key. `true` makes a new one for each login; a
 * text is a private JWK, as `generate` makes one.
 *
 * @since 0.1.0
 * @category models
 */
export type Setting = boolean | Redacted.Redacted<string>

/**
 * What a key signs with (RFC 7518 §3.1, RFC 9864 §2). All servers that bind tokens know `ES256`.
 *
 * @since 0.1.0
 * @category models
 */
export type Algorithm = "ES256" | "ES384" | "ES512" | "Ed25519" | "PS256" | "RS256"

/**
 * A new private key, as a JWK in JSON text. Default `ES256`. Fails where the platform has no such algorithm.
 *
 * @since 0.1.0
 * @category constructors
 */
export const generate = (
  options?: { readonly algorithm?: Algorithm | undefined }
): Effect.Effect<Redacted.Redacted<string>, Misconfigured> =>
  Key.generate("DPoP", options?.algorithm ?? "ES256")

/**
 * The thumbprint of the public key, by which servers know it: `dpop_jkt` of an authorization request
 * (RFC 9449 §10), and `jkt` of a bound token (§6). Fails when the text is no key that can sign proofs.
 *
 * @since 0.1.0
 * @category getters
 */
export const thumbprint = (key: Redacted.Redacted<string>): Effect.Effect<string, Misconfigured> =>
  Effect.flatMap(Key.imported("DPoP", key), Proof.thumbprint)

/**
 * A request to a resource that is to be proven. The query and the fragment of the address don't count.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  /** The bound token that goes with it. */
  readonly token: Token.Token
  readonly method: string
  readonly url: URL
}

/**
 * What counts of a resource's answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  /** Where the request went. */
  readonly url: URL
  readonly status: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>
}

/**
 * What an answer told that was not known before.
 *
 * @since 0.1.0
 * @category models
 */
export interface News {
  /** Whether it brought a nonce. */
  readonly nonce: boolean
  /** Whether the resource's clock is off by a second or more from what was believed. */
  readonly clock: boolean
}

/**
 * Makes proofs for requests to resources, with the nonce and by the clock of each origin (RFC 9449 §7, §9).
 *
 * @since 0.1.0
 * @category models
 */
export interface Prover {
  /**
   * What goes into the header `DPoP` of this one request; each try needs its own. `Misconfigured` for a token
   * without a key that can sign.
   */
  readonly prove: (request: Request) => Effect.Effect<Redacted.Redacted<string>, Misconfigured>
  /** Learns from an answer; the last nonce and clock of up to 64 origins are remembered. */
  readonly learn: (answer: Answer) => Effect.Effect<News>
}

/**
 * A prover that knows of no origin yet. `source` is the name that errors show.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unsafeProver = (source: string): Prover => {
  const nonces = Ref.unsafeMake<Nonces.Nonces>(new Map())
  const clocks = Ref.unsafeMake<ReadonlyMap<string, number>>(new Map())
  return {
    learn: ({ headers, status, url }) =>
      Effect.zipWith(
        Nonces.learn(nonces, url.origin, headers["dpop-nonce"]),
        learnClock(clocks, url.origin, { headers, status }),
        (nonce, clock) => ({ nonce, clock })
      ),
    prove: ({ method, token, url }) =>
      token.proofKey === undefined ? Effect.fail(Key.missing(source)) : Effect.all([
        Key.imported(source, token.proofKey),
        Ref.get(nonces),
        Effect.map(Ref.get(clocks), (clocks) => clocks.get(url.origin) ?? 0)
      ]).pipe(
        Effect.flatMap((known) => Proof.handle(...known)),
        Effect.flatMap((dpop) =>
          Proof.forResource(source, dpop, { accessToken: Redacted.value(token.value), method, url })
        )
      )
  }
}

/** The clock as of the answer; whether that is news. */
const learnClock = (
  clocks: Ref.Ref<ReadonlyMap<string, number>>,
  origin: string,
  answer: Pick<Answer, "headers" | "status">
): Effect.Effect<boolean> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const offset = Transport.offsetIn(answer, now, now)
    return offset === undefined ? Effect.succeed(false) : Ref.modify(clocks, (known) => [
      Math.abs(offset - (known.get(origin) ?? 0)) >= 1_000,
      known.get(origin) === offset ? known : Nonces.put(known, origin, offset)
    ])
  })

/**
 * A prover that knows of no origin yet. `source` is the name that errors show.
 *
 * @since 0.1.0
 * @category constructors
 */
export const prover = (source: string): Effect.Effect<Prover> => Effect.sync(() => unsafeProver(source))

/**
 * Proofs of possession (RFC 9449), judged by hand and with jose. Signatures are checked when a request arrives;
 * time, nonce and reuse when the server acts.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Jose from "jose"
import * as Answer from "./answer.js"
import { digest } from "./digest.js"
import type { Incoming } from "./incoming.js"
import * as Settings from "./settings.js"
import * as State from "./state.js"

/** What the `DPoP` header of a request holds. */
export type Reading =
  | { readonly _tag: "None" }
  | { readonly _tag: "Bad" }
  | { readonly _tag: "Signed"; readonly jkt: string; readonly claims: Jose.JWTPayload }

const none: Reading = { _tag: "None" }
const bad: Reading = { _tag: "Bad" }

/** Reads the header and checks what doesn't depend on time (RFC 9449 §4.3, points 1 to 7). */
export const read = ({ proof }: Incoming): Effect.Effect<Reading> => {
  if (proof === undefined) return Effect.succeed(none)
  const header = Either.getOrUndefined(Either.try(() => Jose.decodeProtectedHeader(proof)))
  const jwk = header?.jwk
  if (header?.typ !== "dpop+jwt" || jwk === undefined || isSecret(jwk)) return Effect.succeed(bad)
  return Effect.promise(() => verify(proof, jwk).catch(() => bad))
}

const isSecret = (jwk: Jose.JWK): boolean => "d" in jwk || "k" in jwk || jwk.kty === "oct"

const verify = async (proof: string, jwk: Jose.JWK): Promise<Reading> => {
  const { payload } = await Jose.compactVerify(proof, jwk, { algorithms: [...Settings.algorithms] })
  const claims = JSON.parse(new TextDecoder().decode(payload)) as Jose.JWTPayload
  return { _tag: "Signed", jkt: await Jose.calculateJwkThumbprint(jwk), claims }
}

/** What a proof is judged by. */
export interface Case {
  readonly settings: Settings.Settings
  readonly incoming: Incoming
  readonly proof: Reading
  readonly now: number
}

/** Why a proof does not count. */
export type Fault = "invalid_dpop_proof" | "use_dpop_nonce"

/**
 * The thumbprint of the key whose possession was proved, with the books in which the proof is marked as used;
 * no thumbprint where there is no proof.
 */
export const judge = (
  one: Case,
  state: State.State,
  access?: string
): Either.Either<readonly [string | undefined, State.State], Fault> => {
  const { now, proof, settings } = one
  if (proof._tag === "None") return Either.right([undefined, state])
  if (proof._tag === "Bad" || !fits(one, proof.claims, state, access)) {
    return Either.left("invalid_dpop_proof")
  }
  if (settings.dpop.nonces && !isNonce(state, settings, proof.claims["nonce"], now)) {
    return Either.left("use_dpop_nonce")
  }
  const id = `${proof.jkt} ${proof.claims.jti}`
  if (State.isUsed(state, id)) return Either.left("invalid_dpop_proof")
  const expiresAt = now + state.skew + 2 * settings.dpop.proofWindow
  return Either.right([proof.jkt, State.markUsed(state, id, expiresAt)])
}

/** RFC 9449 §4.3, points 8 to 12. */
const fits = (
  { incoming, now, settings }: Case,
  { ath, htm, htu, iat, jti }: Jose.JWTPayload,
  state: State.State,
  access: string | undefined
): boolean =>
  htm === incoming.method && typeof htu === "string" && plain(htu) === plain(incoming.url.href) &&
  typeof jti === "string" && jti !== "" && typeof iat === "number" &&
  Math.abs(1000 * iat - now - state.skew) <= settings.dpop.proofWindow + 999 &&
  (access === undefined || ath === digest(access))

/** An address without query and fragment; undefined where it is none. */
const plain = (address: string): string | undefined => {
  const url = Either.getOrUndefined(Either.try(() => new URL(address)))
  return url === undefined ? undefined : `${url.origin}${url.pathname}`
}

const isNonce = (state: State.State, settings: Settings.Settings, value: unknown, now: number): boolean =>
  state.nonces.some((nonce) => nonce.value === value && now < nonce.at + settings.dpop.nonceLifetime)

/** The books with a nonce to hand out: a new one when the newest has half of its life behind it. */
export const withNonce = (
  state: State.State,
  settings: Settings.Settings,
  secrets: State.Secrets,
  now: number
): State.State => {
  if (!settings.dpop.nonces) return state
  const { nonceLifetime } = settings.dpop
  const kept = state.nonces.filter(({ at }) => now < at + nonceLifetime)
  const newest = kept.at(-1)
  const isDue = newest === undefined || now >= newest.at + nonceLifetime / 2
  return { ...state, nonces: isDue ? [...kept, { value: secrets.another("nonce"), at: now }] : kept }
}

/** What tells a client which nonce its next proof must hold (RFC 9449 §8). */
export const nonceHeader = (state: State.State): Readonly<Record<string, string>> => {
  const nonce = state.nonces.at(-1)
  return nonce === undefined ? {} : { "dpop-nonce": nonce.value }
}

/** The answer of the authorization server to a proof that does not count (RFC 9449 §5, §8). */
export const refusal = (fault: Fault, state: State.State): Answer.Step => [
  Answer.refuse(fault, { headers: nonceHeader(state) }),
  state
]

/** RFC 9449 §5.1: what is told in metadata. */
export const algorithms: ReadonlyArray<string> = ["ES256", "RS256", "PS256", "EdDSA", "Ed25519"]

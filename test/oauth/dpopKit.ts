/** Reads proofs of possession by a library of its own, as a server would. */
import * as Effect from "effect/Effect"
import * as jose from "jose"
import type { Call } from "./kit.js"
import { json } from "./kit.js"

export interface Proof {
  /** The thumbprint of the key that signed it. */
  readonly jkt: string
  readonly jti: string
  readonly iat: number
  readonly htm: unknown
  readonly htu: unknown
  readonly nonce: unknown
  readonly ath: unknown
  readonly text: string
}

/** The proof of a request, its signature checked; dies where there is none that holds. */
export const proofIn = (headers: Readonly<Record<string, string | undefined>>): Effect.Effect<Proof> =>
  Effect.promise(async () => {
    const text = headers["dpop"] ?? ""
    const { payload, protectedHeader } = await jose.jwtVerify(text, jose.EmbeddedJWK, { typ: "dpop+jwt" })
    const { ath, htm, htu, iat = NaN, jti = "", nonce } = payload
    if (protectedHeader.jwk === undefined || "d" in protectedHeader.jwk) throw new Error("no public key")
    return {
      jkt: await jose.calculateJwkThumbprint(protectedHeader.jwk),
      jti,
      iat,
      htm,
      htu,
      nonce,
      ath,
      text
    }
  })

export const proofsIn = (calls: ReadonlyArray<Call>): Effect.Effect<ReadonlyArray<Proof>> =>
  Effect.forEach(calls, ({ headers }) => proofIn(headers))

/** A token as servers bind it. */
export const bound = (fields: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
  json({ access_token: "bound-access", token_type: "DPoP", expires_in: 3600, ...fields }, { headers })

/** A refusal for want of a nonce, in the body. */
export const demand = (nonce: string) =>
  json({ error: "use_dpop_nonce" }, { status: 400, headers: { "dpop-nonce": nonce } })

/**
 * The nonces that servers want to find in proofs of possession, by origin (RFC 9449 §8, §9).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { Nonce } from "../AuthorizationServer.js"
import * as Url from "./url.js"

export type Nonces = ReadonlyMap<string, Nonce>

/** How many origins are remembered. */
const most = 64

/** How long a nonce is sent: no longer than any server accepts it, so that one which stopped using them is served. */
const longest = 60 * 60 * 1000

/** What a nonce may be made of (RFC 9449 §8.1), of a length that still fits into a header. */
const form = /^[\x21\x23-\x5b\x5d-\x7e]{1,2048}$/

/**
 * Remembers the nonce of an answer from this address, and tells whether there was one; what no proof could
 * carry is none.
 */
export const learn = (
  nonces: Ref.Ref<Nonces>,
  url: string,
  value: string | undefined
): Effect.Effect<boolean> => {
  const origin = originOf(url)
  return value === undefined || !form.test(value) || origin === undefined
    ? Effect.succeed(false)
    : Effect.flatMap(
      Clock.currentTimeMillis,
      (at) => Effect.as(Ref.update(nonces, (known) => put(known, origin, { value, at })), true)
    )
}

/** The nonce for this address at the instant `now`. */
export const find = (nonces: Nonces, url: string, now: number): Nonce | undefined => {
  const found = nonces.get(originOf(url) ?? "")
  return found !== undefined && now - found.at < longest ? found : undefined
}

const originOf = (url: string): string | undefined => Url.parse(url)?.origin

/** The map with this entry as its newest; beyond the bound, the oldest goes. */
export const put = <A>(map: ReadonlyMap<string, A>, key: string, value: A): ReadonlyMap<string, A> =>
  new Map([...[...map].filter(([name]) => name !== key).slice(1 - most), [key, value]])

/**
 * Random texts, drawn through `Random`: the same ones under the same seed.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { bytesOf } from "./digest.js"
import type { Secrets } from "./state.js"

/** 120 bits as 24 letters and digits. */
const token = (prefix: string): Effect.Effect<string> =>
  Effect.map(
    Effect.all([part, part, part, part]),
    (parts) => `${prefix}_${parts.map((n) => n.toString(32).padStart(6, "0")).join("")}`
  )

const part = Random.nextIntBetween(0, 2 ** 30)

/** Eight letters that can't be misread (RFC 8628 §6.1). */
const userCode: Effect.Effect<string> = Effect.map(
  Effect.all([Random.nextIntBetween(0, 20 ** 4), Random.nextIntBetween(0, 20 ** 4)]),
  (halves) => halves.map(letters).join("-")
)

const letters = (n: number): string =>
  [0, 1, 2, 3].map((i) => alphabet.charAt(Math.floor(n / 20 ** i) % 20)).join("")

const alphabet = "BCDFGHJKLMNPQRSTVWXZ"

/** As many draws for each request, whatever it is, so that one answer never changes the next one's tokens. */
export const draw: Effect.Effect<Secrets> = Effect.map(
  Effect.all({ access: token("at"), refresh: token("rt"), device: token("dc"), user: userCode }),
  (drawn) => ({ ...drawn, another: (prefix) => `${prefix}_${derived(`${prefix} ${drawn.refresh}`)}` })
)

/** What few requests need is not drawn: it follows from what is. */
const derived = (text: string): string =>
  Array.from(bytesOf(text).subarray(0, 24), (byte) => (byte % 32).toString(32)).join("")

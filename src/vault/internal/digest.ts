/**
 * SHA-256. Computed on the spot: Web Crypto would answer from another thread, and work on a virtual clock can't
 * wait for that.
 */
import { sha256 } from "@noble/hashes/sha2.js"
import * as Effect from "effect/Effect"

const encoder = new TextEncoder()

/** The SHA-256 of the text's UTF-8, as 64 lower-case hex digits. */
export const sha256Hex = (text: string): Effect.Effect<string> =>
  Effect.sync(() => Array.from(sha256(encoder.encode(text)), hex).join(""))

const hex = (byte: number): string => byte.toString(16).padStart(2, "0")

/** Bytes for encryption: random ones, and texts of which every UTF-16 code unit survives. */
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Option from "effect/Option"

export type Bytes = Uint8Array<ArrayBuffer>

/**
 * From the platform's cryptographic generator. Nothing can replace it: a repeated one would break the cipher.
 */
export const randomBytes = (length: number): Effect.Effect<Bytes> =>
  Effect.sync(() => globalThis.crypto.getRandomValues(new Uint8Array(length)))

export const toBase64Url = (bytes: Uint8Array): string => Encoding.encodeBase64Url(bytes)

/** `None` for text that is not what `toBase64Url` makes of some bytes. */
export const fromBase64Url = (text: string): Option.Option<Bytes> =>
  Option.getRight(Encoding.decodeBase64Url(text)).pipe(
    Option.filter((bytes) => toBase64Url(bytes) === text),
    Option.map((bytes) => new Uint8Array(bytes))
  )

/** How long `toBase64Url` makes so many bytes, and how many bytes fit into so many characters. */
export const base64UrlLength = (bytes: number): number => Math.ceil(bytes * 4 / 3)
export const bytesWithin = (characters: number): number => Math.floor(characters * 3 / 4)

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/**
 * UTF-8, in which half of a surrogate pair is written as if it were a character of its own. `TextEncoder`
 * would replace it; its place takes as many bytes, so that the length is the same.
 */
export const encodeText = (text: string): Bytes => {
  const parts = text.split(/([\ud800-\udfff])/u).map((part, index) =>
    index % 2 === 0 ? encoder.encode(part) : encodeUnit(part.charCodeAt(0))
  )
  const [only] = parts
  return parts.length === 1 && only !== undefined ? only : concat(parts)
}

const encodeUnit = (unit: number): Bytes =>
  Uint8Array.of(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f))

export const concat = (parts: ReadonlyArray<Uint8Array>): Bytes => {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** The text that `encodeText` made these bytes of; `None` for others. */
export const decodeText: (bytes: Uint8Array) => Option.Option<string> = Option.liftThrowable((bytes) => {
  const parts: Array<string> = []
  let from = 0
  for (let at = loneUnit(bytes, from); at >= 0; at = loneUnit(bytes, from)) {
    parts.push(decoder.decode(bytes.subarray(from, at)), decodeUnit(bytes, at))
    from = at + 3
  }
  return parts.join("") + decoder.decode(bytes.subarray(from))
})

/**
 * The next byte that starts half of a surrogate pair, which valid UTF-8 never has; -1 where there is none.
 */
const loneUnit = (bytes: Uint8Array, from: number): number => {
  let at = bytes.indexOf(0xed, from)
  while (at >= 0 && (bytes[at + 1] ?? 0) < 0xa0) at = bytes.indexOf(0xed, at + 1)
  return at
}

const decodeUnit = (bytes: Uint8Array, at: number): string =>
  String.fromCharCode(0xd000 | ((bytes[at + 1] ?? 0) & 0x3f) << 6 | ((bytes[at + 2] ?? 0) & 0x3f))

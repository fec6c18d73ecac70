/** Texts that are too long for one entry: a head that tells what belongs together, and the pieces. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { sha256Hex } from "./digest.js"
import { ownFieldsOnly } from "./json.js"

/** What the entry of the name holds in place of the text. */
export interface Head {
  /** Different for each write, so that no piece is ever taken for one of another write. */
  readonly id: string
  readonly count: number
  /** The SHA-256 of the text. */
  readonly digest: string
}

const format = "effect-credentials/chunks"
const formatVersion = 1

/** The fewest bytes an entry must take, so that every head fits. */
export const minEntryBytes = 512

/** So many pieces hold the longest record in the shortest entries. */
const maxCount = 32_768

const decodeHead = Schema.decodeUnknownOption(
  Schema.parseJson(
    Schema.Struct({
      format: Schema.Literal(format),
      version: Schema.Literal(formatVersion),
      id: Schema.String.pipe(Schema.pattern(/^[0-9a-z]{1,12}-[0-9a-z]{1,12}$/)),
      count: Schema.Int.pipe(Schema.between(1, maxCount)),
      digest: Schema.String.pipe(Schema.pattern(/^[0-9a-f]{64}$/))
    }),
    ownFieldsOnly
  )
)

/** The head in the text of an entry; `None` when it is none, and so the text itself. */
export const readHead = (text: string): Option.Option<Head> =>
  text.length <= minEntryBytes / 2
    ? Option.map(decodeHead(text), ({ count, digest, id }) => ({ id, count, digest }))
    : Option.none()

export const renderHead = ({ count, digest, id }: Head): string =>
  JSON.stringify({ format, version: formatVersion, id, count, digest })

/** The pieces of a text, each of so many UTF-16 code units at most; no character is cut in two. */
export const split = (text: string, units: number): ReadonlyArray<string> => {
  const pieces: Array<string> = []
  for (let start = 0; start < text.length;) {
    const end = start + units
    const isInside = end < text.length && /[\ud800-\udbff]/.test(text.charAt(end - 1))
    const piece = text.slice(start, isInside ? end - 1 : end)
    pieces.push(piece)
    start += piece.length
  }
  return pieces
}

/** The head of these pieces. */
export const headOf = (id: string, text: string, count: number): Effect.Effect<Head> =>
  Effect.map(sha256Hex(text), (digest) => ({ id, count, digest }))

/** Whether the pieces are those of the head. */
export const isWhole = (head: Head, text: string): Effect.Effect<boolean> =>
  Effect.map(sha256Hex(text), (digest) => digest === head.digest)

/** No encoded key holds this character, so that pieces are told from entries. */
const mark = "#"

export const pieceName = (name: string, id: string, index: number): string =>
  `${name}${mark}${id}${mark}${index}`

export const isPiece = (account: string): boolean => account.includes(mark)

/** A piece of a name. */
export interface Piece {
  readonly account: string
  readonly id: string
  /** When its write began, in Unix milliseconds: its id begins with that. */
  readonly writtenAt: number
}

/** The pieces among the accounts that belong to the name. */
export const piecesOf = (name: string, accounts: ReadonlyArray<string>): ReadonlyArray<Piece> =>
  accounts.flatMap((account) => {
    const [owner, id, index] = account.split(mark)
    if (owner !== name || id === undefined || index === undefined) return []
    return [{ account, id, writtenAt: parseInt(id, 36) }]
  })

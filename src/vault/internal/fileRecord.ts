/** The envelope around a value in a file: it tells a whole record of ours from anything else. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { sha256Hex } from "./digest.js"
import { ownFieldsOnly } from "./json.js"

export interface FileRecord {
  readonly key: string
  /** Counts the writes of a key. */
  readonly revision: number
  /** Different for each write, so that two processes that write the same revision make different versions. */
  readonly id: string
  readonly value: Redacted.Redacted<string>
}

/** Why bytes are no record, and what to do about it. */
export interface Problem {
  readonly detail: string
  readonly hint: string
}

/** A record with its checksum. */
export interface Sealed extends FileRecord {
  readonly version: string
}

const format = "effect-credentials/record"
const formatVersion = 1

/** The longest value, in bytes of UTF-8. */
export const maxValueBytes: number = 1024 * 1024

/**
 * The longest file: JSON spends at most 6 bytes where UTF-8 spends one, and the key and the rest are short.
 */
export const maxFileBytes: number = 6 * maxValueBytes + 8 * 1024

const Header = Schema.parseJson(
  Schema.Struct({ format: Schema.Literal(format), version: Schema.Int }),
  ownFieldsOnly
)
const Body = Schema.parseJson(
  Schema.Struct({
    key: Schema.String,
    revision: Schema.NonNegativeInt,
    id: Schema.String.pipe(Schema.maxLength(64)),
    value: Schema.String,
    checksum: Schema.String.pipe(Schema.length(64))
  }),
  ownFieldsOnly
)
const decodeHeader = Schema.decodeUnknown(Header)
const decodeBody = Schema.decodeUnknown(Body)

/** The bytes of a record and its version. */
export const seal = (
  record: FileRecord
): Effect.Effect<{ readonly bytes: Uint8Array; readonly version: string }> =>
  Effect.map(checksumOf(record), (checksum) => {
    const { id, key, revision } = record
    const value = Redacted.value(record.value)
    const text = JSON.stringify({ format, version: formatVersion, key, revision, id, checksum, value })
    return { bytes: new TextEncoder().encode(text + "\n"), version: versionOf(revision, checksum) }
  })

const checksumOf = ({ id, key, revision, value }: FileRecord): Effect.Effect<string> =>
  sha256Hex(JSON.stringify([format, formatVersion, key, revision, id, Redacted.value(value)]))

const versionOf = (revision: number, checksum: string): string => `${revision}-${checksum.slice(0, 16)}`

/** The record in these bytes, if they are one in whole. */
export const open = (bytes: Uint8Array): Effect.Effect<Sealed, Problem> =>
  Effect.gen(function*() {
    if (bytes.length === 0) return yield* Effect.fail(empty)
    const text = new TextDecoder().decode(bytes)
    const header = yield* Effect.mapError(decodeHeader(text), () => foreign)
    if (header.version !== formatVersion) return yield* Effect.fail(otherVersion(header.version))
    const { checksum, ...body } = yield* Effect.mapError(decodeBody(text), () => torn)
    const record = { ...body, value: Redacted.make(body.value) }
    if ((yield* checksumOf(record)) !== checksum) return yield* Effect.fail(torn)
    return { ...record, version: versionOf(record.revision, checksum) }
  })

const recover = "Restore the backup beside it, or log in again; the file is then moved aside, not deleted."

const empty: Problem = { detail: "the file is empty", hint: recover }
const foreign: Problem = { detail: "the file is torn, or no record of this library", hint: recover }
const torn: Problem = {
  detail: "the file is torn or was changed: its checksum does not match",
  hint: recover
}
const otherVersion = (version: number): Problem => ({
  detail: `the file has format version ${version}, and this library reads ${formatVersion}`,
  hint: "Use the release of the library that wrote it."
})

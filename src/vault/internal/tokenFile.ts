/**
 * The form of a token file: what any program may read and write at the top (`access`, `refresh`, `expires`,
 * `resourceUrl`), and one field with what only this library knows, which is believed as far as it speaks of
 * the tokens that stand there.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Grant from "../../Grant.js"
import * as Token from "../../Token.js"
import * as GrantRecord from "../GrantRecord.js"
import { sha256Hex } from "./digest.js"
import { ownFieldsOnly } from "./json.js"

/** The longest file, in bytes. */
export const maxFileBytes: number = 1024 * 1024

/** The longest value, in bytes of UTF-8: indentation and foreign fields need room too. */
export const maxValueBytes: number = 512 * 1024

/**
 * The last instant that a `Date` has stands for "never expires"; programs that know no such thing wait for
 * it.
 */
const never = 8.64e15

/** The name under which a file keeps `resourceUrl` in `Grant.extra`, as token answers call it. */
const resourceField = "resource_url"

/** The four fields, as they are compared. `refresh` is empty where there is none. */
interface Shared {
  readonly access: string
  readonly refresh: string
  /** Unix milliseconds. */
  readonly expires: number
  readonly resourceUrl: string | undefined
}

type Fields = Readonly<Record<string, unknown>>

/** Why bytes are no login or a value can't be stored, and what to do about it. */
export interface Problem {
  readonly _tag: "Problem"
  readonly detail: string
  readonly hint: string
}

/** What a file says. */
export interface Opened {
  /** The text of a `GrantRecord`. */
  readonly value: Redacted.Redacted<string>
  readonly version: string
  /** The fields at the top that are not ours. */
  readonly others: Redacted.Redacted<Fields>
}

const Any = { key: Schema.String, value: Schema.Unknown }
const Text = Schema.optional(Schema.NullOr(Schema.String))
const Digest = Schema.String.pipe(Schema.length(64))

const Top = Schema.Struct({
  access: Text,
  refresh: Text,
  expires: Schema.optional(Schema.Unknown),
  resourceUrl: Text,
  effectCredentials: Schema.optional(Schema.Unknown)
}, Any)

const Own = Schema.Struct({
  version: Schema.Literal(1),
  /** The hash of all four fields with which this was written. */
  fields: Digest,
  /** The hash of the refresh token alone. */
  refresh: Digest,
  record: Schema.Struct({
    generation: Schema.NonNegativeInt,
    extra: Schema.Record({ key: Schema.String, value: Schema.String })
  }, Any)
})

/** What is needed of the text of a `GrantRecord`. */
const Value = Schema.Struct({
  accessToken: Schema.String,
  refreshToken: Schema.optional(Schema.String),
  expiresAt: Schema.NullOr(Schema.Number),
  extra: Schema.Record({ key: Schema.String, value: Schema.String })
}, Any)

const decodeJson = Schema.decodeUnknown(Schema.parseJson(Schema.Unknown, ownFieldsOnly))
const decodeTop = Schema.decodeUnknown(Top)
const decodeOwn = Schema.decodeUnknown(Own)
const decodeValue = Schema.decodeUnknown(Schema.parseJson(Value, ownFieldsOnly))

/**
 * The login in these bytes. A login of another program is bound to what the vault is bound to, because it is
 * the user who says whose file this is.
 */
export const open = (bytes: Uint8Array, binding: string | undefined): Effect.Effect<Opened, Problem> =>
  Effect.gen(function*() {
    const text = yield* Effect.try({
      try: () => new TextDecoder("utf-8", { fatal: true }).decode(bytes),
      catch: () => torn
    })
    const json = yield* Effect.mapError(decodeJson(text), () => torn)
    const top = yield* Effect.mapError(decodeTop(json), () => odd)
    const { access, effectCredentials, expires, refresh, resourceUrl, ...others } = top
    const shared: Shared = {
      access: access ?? "",
      refresh: refresh ?? "",
      expires: toInstant(expires),
      resourceUrl: resourceUrl ?? undefined
    }
    if (shared.access === "" && shared.refresh === "") return yield* Effect.fail(nothing)
    const value = yield* login(shared, effectCredentials, binding)
    return { value, version: yield* versionOf(text), others: Redacted.make(others) }
  })

/** What is no instant is long past: a token is rather renewed than used for ever. */
const toInstant = (expires: unknown): number =>
  typeof expires === "number" && expires >= 0 && expires <= never ? Math.floor(expires) : 0

const versionOf = (text: string): Effect.Effect<string> =>
  Effect.map(sha256Hex(text), (hash) => hash.slice(0, 32))

const login = Effect.fnUntraced(function*(shared: Shared, field: unknown, binding: string | undefined) {
  if (field === undefined) return yield* foreign(shared, 0, binding)
  const own = yield* Effect.mapError(decodeOwn(field), () => unknownField)
  if (own.fields === (yield* hashOf(shared))) return yield* ours(shared, own.record)
  const { generation } = own.record
  return shared.refresh !== "" && own.refresh === (yield* sha256Hex(shared.refresh))
    ? yield* ours(shared, { ...own.record, ...another(shared, generation) })
    : yield* foreign(shared, generation, binding)
})

/**
 * Another program has renewed with the same refresh token, and so what is known of that one still holds.
 */
const another = ({ expires }: Shared, generation: number): Fields => ({
  generation: Number.isSafeInteger(generation + 1) ? generation + 1 : 1,
  issuedAt: 0,
  expiresAt: expires
})

const ours = (
  { access, refresh, resourceUrl }: Shared,
  record: Fields & { readonly extra: Readonly<Record<string, string>> }
): Effect.Effect<Redacted.Redacted<string>, Problem> =>
  Effect.flatMap(
    write({
      ...record,
      accessToken: access,
      refreshToken: refresh === "" ? undefined : refresh,
      extra: resourceUrl === undefined ? record.extra : { ...record.extra, [resourceField]: resourceUrl }
    }, ""),
    (text) => {
      const value = Redacted.make(text)
      return Effect.mapBoth(GrantRecord.decode(value, ""), {
        onSuccess: () => value,
        onFailure: () => unknownField
      })
    }
  )

/** A login of which nothing is known but what stands at the top. */
const foreign = (
  { access, expires, refresh, resourceUrl }: Shared,
  after: number,
  binding: string | undefined
): Effect.Effect<Redacted.Redacted<string>, Problem> => {
  const grant = Grant.make({
    token: Token.make({ value: Redacted.make(access), expiresAt: expires }),
    refreshToken: refresh === "" ? undefined : Redacted.make(refresh),
    extra: resourceUrl === undefined ? {} : { [resourceField]: resourceUrl }
  })
  return Effect.mapError(GrantRecord.encode(GrantRecord.make(grant, after, binding), ""), () => odd)
}

/**
 * The bytes for a value, with the fields that are not ours. Fails for a value that is no `GrantRecord`. They
 * come first, because some readers ignore case and take the last field of a name.
 */
export const seal = (
  value: Redacted.Redacted<string>,
  others: Redacted.Redacted<Fields>,
  id: string
): Effect.Effect<{ readonly bytes: Uint8Array; readonly version: string }, Problem> =>
  Effect.gen(function*() {
    yield* Effect.mapError(GrantRecord.decode(value, ""), () => noLogin)
    const { accessToken, refreshToken, ...record } = yield* Effect.mapError(
      decodeValue(Redacted.value(value)),
      () => noLogin
    )
    const { [resourceField]: resourceUrl, ...extra } = record.extra
    const shared: Shared = {
      access: accessToken,
      refresh: refreshToken ?? "",
      expires: record.expiresAt === null ? never : Math.floor(record.expiresAt),
      resourceUrl
    }
    const effectCredentials = {
      version: 1,
      id,
      fields: yield* hashOf(shared),
      refresh: yield* sha256Hex(shared.refresh),
      record: { ...record, extra }
    }
    const text = yield* write({ ...Redacted.value(others), ...shared, effectCredentials }, "\n", 2)
    const bytes = new TextEncoder().encode(text)
    return bytes.length <= maxFileBytes
      ? { bytes, version: yield* versionOf(text) }
      : yield* Effect.fail(tooLarge)
  })

/** JSON that was nested too deeply can be read, but not written. */
const write = (fields: Fields, end: string, indent?: number): Effect.Effect<string, Problem> =>
  Effect.try({ try: () => JSON.stringify(fields, undefined, indent) + end, catch: () => unwritable })

const hashOf = ({ access, expires, refresh, resourceUrl }: Shared): Effect.Effect<string> =>
  sha256Hex(JSON.stringify([access, refresh, expires, resourceUrl ?? null]))

const recover = "Restore the backup beside it, or log in again; the file is then moved aside, not deleted."

const problem = (detail: string, hint: string): Problem => ({ _tag: "Problem", detail, hint })

/** Also what another program leaves for a moment that does not replace the file in one step. */
export const torn: Problem = problem("the file is torn, or no JSON", recover)
const odd = problem("the file is JSON, but not of a token file's form", recover)
const nothing = problem("the file holds neither an access nor a refresh token", recover)
const unknownField = problem(
  "the field effectCredentials is not readable, and it may say that the refresh token is spent",
  "If a newer release of this library wrote it, use that one; else log in again."
)
const noLogin = problem(
  "a token file keeps a login, and the value is none",
  "Keep other secrets in another vault."
)
const unwritable = problem(
  "the fields of other programs are nested too deeply to be written again",
  "Remove them from the file, or use another vault."
)
const tooLarge = problem(
  `the file would be larger than ${maxFileBytes} bytes`,
  "Remove the fields of other programs from it, or use another vault."
)

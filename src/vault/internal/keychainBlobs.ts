/**
 * Texts in a keychain, in one entry each, or in checked pieces where an entry takes no more. Pieces are
 * written before the head that names them and removed after it names others, so that whoever stops in between
 * leaves the old text whole.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Action, VaultError } from "../VaultError.js"
import { Corrupt } from "../VaultError.js"
import { toVaultError } from "./blobFailure.js"
import type { Failure } from "./blobFailure.js"
import type { Blobs } from "./blobVault.js"
import { maxFileBytes } from "./fileRecord.js"
import { freshId } from "./freshId.js"
import * as Chunks from "./keychainChunks.js"
import type { Native } from "./keychainNative.js"

export interface Options {
  readonly vault: string
  readonly native: Native
  /** The longest text of an entry, in UTF-16 code units. */
  readonly maxUnits: number
}

export const make = (options: Options): Blobs => ({
  read: (action, name) => read(options, action, name, 5),
  write: (action, name, text) =>
    Effect.mapError(write(options, name, text), toVaultError(options.vault, action)),
  erase: (name) => Effect.mapError(erase(options, name), toVaultError(options.vault, "remove")),
  names: Effect.mapBoth(options.native.accounts, {
    onFailure: toVaultError(options.vault, "list"),
    onSuccess: (accounts) => accounts.filter((account) => !Chunks.isPiece(account))
  })
})

/**
 * The pieces of a head can be gone because another process has replaced it meanwhile: then there is another
 * head to go by.
 */
const read = Effect.fnUntraced(function*(
  options: Options,
  action: Action,
  name: string,
  tries: number
): Effect.fn.Return<Option.Option<string>, VaultError> {
  const get = Effect.mapError(options.native.get(name), toVaultError(options.vault, action))
  const found = yield* get
  const head = Option.flatMap(found, Chunks.readHead)
  if (Option.isNone(head)) return found
  const text = yield* Effect.mapError(
    assemble(options, name, head.value),
    toVaultError(options.vault, action)
  )
  if (Option.isSome(text)) return text
  const now = yield* get
  return Option.getOrUndefined(now) !== Option.getOrUndefined(found) && tries > 1
    ? yield* read(options, action, name, tries - 1)
    : yield* torn(options.vault, action, name)
})

/** The text of the head; `None` when pieces are missing or are not those it was written with. */
const assemble = Effect.fnUntraced(function*({ native }: Options, name: string, head: Chunks.Head) {
  const parts: Array<string> = []
  let length = 0
  for (let index = 0; index < head.count; index++) {
    const part = yield* native.get(Chunks.pieceName(name, head.id, index))
    if (Option.isNone(part)) return Option.none<string>()
    length += part.value.length
    if (length > maxFileBytes) return Option.none<string>()
    parts.push(part.value)
  }
  const text = parts.join("")
  return (yield* Chunks.isWhole(head, text)) ? Option.some(text) : Option.none<string>()
})

const torn = (vault: string, action: Action, name: string): Corrupt =>
  new Corrupt({
    vault,
    action,
    detail: `${name}: the entry names pieces that are missing or were changed`,
    hint: "Log in again, which replaces the entry, or remove it."
  })

const write = Effect.fnUntraced(function*(options: Options, name: string, text: string) {
  if (options.maxUnits === Infinity) return yield* options.native.set(name, text)
  const before = yield* headAt(options, name)
  const id = yield* freshId
  if (text.length <= options.maxUnits) yield* options.native.set(name, text)
  else yield* writePieces(options, name, id, text)
  // The text is written: pieces that stay behind are swept by a later write.
  yield* Effect.ignore(sweep(options, name, Option.map(before, (head) => head.id), id))
})

const headAt = ({ native }: Options, name: string): Effect.Effect<Option.Option<Chunks.Head>, Failure> =>
  Effect.map(native.get(name), Option.flatMap(Chunks.readHead))

const writePieces = Effect.fnUntraced(function*(
  { maxUnits, native }: Options,
  name: string,
  id: string,
  text: string
) {
  const pieces = Chunks.split(text, maxUnits)
  yield* Effect.forEach(pieces, (piece, index) => native.set(Chunks.pieceName(name, id, index), piece))
  yield* native.set(name, Chunks.renderHead(yield* Chunks.headOf(id, text, pieces.length)))
})

const erase = Effect.fnUntraced(function*(options: Options, name: string) {
  const before = yield* headAt(options, name)
  yield* options.native.erase(name)
  if (options.maxUnits === Infinity && Option.isNone(before)) return
  yield* sweep(options, name, Option.map(before, (head) => head.id), undefined)
})

/** Removes the pieces of the old head, and those of writes that stopped half-way long ago. */
const sweep = Effect.fnUntraced(function*(
  { native }: Options,
  name: string,
  old: Option.Option<string>,
  current: string | undefined
) {
  const pieces = Chunks.piecesOf(name, yield* native.accounts)
  if (pieces.length === 0) return
  const abandoned = (yield* Clock.currentTimeMillis) - longAgo
  const left = pieces.filter(({ id, writtenAt }) =>
    id !== current && (id === Option.getOrUndefined(old) || writtenAt < abandoned)
  )
  yield* Effect.forEach(left, ({ account }) => native.erase(account), { discard: true })
})

/** Milliseconds after which a write that has no head is taken for dead. */
const longAgo = 10 * 60 * 1000

/**
 * Texts in a password store, one entry each. `gpg` writes into the file that is there, so that a failure would
 * lose the old text with the new: an entry is made under another name first and then moved to its place, which
 * is one step.
 */
import type * as PlatformError from "@effect/platform/Error"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import type { Action, VaultError } from "../VaultError.js"
import { toVaultError } from "./blobFailure.js"
import type { Failure } from "./blobFailure.js"
import type { Blobs } from "./blobVault.js"
import * as Command from "./command.js"
import { freshId } from "./freshId.js"
import * as KeyedMutex from "./keyedMutex.js"
import { classify, failed, noStore, ofCommand } from "./passFailure.js"
import { bounded } from "./shielded.js"

export interface Store {
  readonly vault: string
  /** How `pass` is run. */
  readonly command: Command.Options
  readonly fs: FileSystem.FileSystem
  readonly path: Path.Path
  /** The whole store. */
  readonly directory: string
  /** The part of it that is ours. */
  readonly folder: string
}

export const make = (store: Store): Blobs => {
  const as = <A>(action: Action, self: Effect.Effect<A, Failure>): Effect.Effect<A, VaultError> =>
    Effect.mapError(self, toVaultError(store.vault, action))
  return {
    read: (action, name) => as(action, read(store, name)),
    write: (action, name, text) => as(action, alone(store, write(store, name, text))),
    erase: (name) => as("remove", alone(store, Effect.zipRight(erase(store, name), sweep(store, name)))),
    names: as("list", Effect.map(names(store), (found) => found.filter((name) => !name.includes(mark))))
  }
}

/** No encoded key holds this character, so that unfinished entries are told from others. */
const mark = "."

/** A few at a time, because each is half a dozen processes. */
const pass = (
  store: Store,
  args: ReadonlyArray<string>,
  input?: string
): Effect.Effect<Command.Answer, Failure> =>
  places.withPermits(1)(Effect.mapError(Command.run(store.command, args, input), ofCommand))

const places = globalValue("effect-credentials/pass/places", () => Effect.unsafeMakeSemaphore(4))

const entry = ({ folder }: Store, name: string): string => `${folder}/${name}`

const read = Effect.fnUntraced(function*(store: Store, name: string) {
  const { exitCode, stderr, stdout } = yield* show(store, name)
  if (exitCode === 0) return Option.some(new TextDecoder().decode(stdout))
  if (!stderr.includes("is not in the password store")) return yield* Effect.fail(classify(stderr))
  yield* isThere(store)
  return Option.none<string>()
})

/** What a program says and ends at once can be lost on a busy machine; one that says nothing is asked again. */
const show = (store: Store, name: string): Effect.Effect<Command.Answer, Failure> => {
  const ask = pass(store, ["show", entry(store, name)])
  return Effect.flatMap(
    ask,
    (answer) => answer.stdout.length === 0 && answer.stderr === "" ? ask : Effect.succeed(answer)
  )
}

/** A store that has gone away, with the disk that it is on, is not an empty one. */
const isThere = (store: Store): Effect.Effect<void, Failure> =>
  Effect.filterOrFail(
    onDisk(store, store.fs.exists(store.path.join(store.directory, ".gpg-id"))),
    (found) => found,
    () => noStore
  )

const write = Effect.fnUntraced(function*(store: Store, name: string, text: string) {
  const temporary = `${name}${mark}${yield* freshId}`
  yield* Effect.onError(
    Effect.zipRight(
      done(store, ["insert", "--multiline", "--force", entry(store, temporary)], text),
      done(store, ["mv", "--force", entry(store, temporary), entry(store, name)])
    ),
    () => Effect.ignore(erase(store, temporary))
  )
  yield* Effect.ignore(sweep(store, name))
})

const done = (store: Store, args: ReadonlyArray<string>, input?: string): Effect.Effect<void, Failure> =>
  Effect.flatMap(
    pass(store, args, input),
    ({ exitCode, stderr }) => exitCode === 0 ? Effect.void : Effect.fail(classify(stderr))
  )

const erase = Effect.fnUntraced(function*(store: Store, name: string) {
  const { exitCode, stderr } = yield* pass(store, ["rm", "--force", entry(store, name)])
  if (exitCode === 0) return
  if (!stderr.includes("is not in the password store")) return yield* Effect.fail(classify(stderr))
  yield* isThere(store)
})

/**
 * The files tell the names, because the program draws a tree for people, in which not every name can be read
 * back.
 */
const names = (store: Store): Effect.Effect<ReadonlyArray<string>, Failure> =>
  onDisk(store, store.fs.readDirectory(store.path.join(store.directory, store.folder))).pipe(
    Effect.catchIf((failure) => failure === missing, () => Effect.as(isThere(store), [])),
    Effect.map((files) => files.flatMap((file) => file.endsWith(".gpg") ? [file.slice(0, -4)] : []))
  )

const missing: Failure = { ...failed, detail: "the folder is missing" }

const onDisk = <A>(
  { command }: Store,
  self: Effect.Effect<A, PlatformError.PlatformError>
): Effect.Effect<A, Failure> =>
  bounded(
    Effect.mapError(self, (error) =>
      error._tag === "SystemError" && error.reason === "NotFound" ? missing : failed),
    command.timeLimit,
    () =>
      failed
  )

/** Removes what writes of this name left behind that stopped half-way long ago. */
const sweep = Effect.fnUntraced(function*(store: Store, name: string) {
  const now = yield* Clock.currentTimeMillis
  const left = (yield* names(store)).filter((found) => {
    const [owner, id] = found.split(mark)
    return owner === name && id !== undefined && parseInt(id, 36) < now - longAgo
  })
  yield* Effect.forEach(left, (found) => erase(store, found), { discard: true })
})

/** Milliseconds after which a write is taken for dead. */
const longAgo = 10 * 60 * 1000

/** One writer a store: it may be a git repository, and removing the last entry removes the folder. */
const alone = <A, E>(store: Store, self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  writers.withLock(store.directory)(self)

const writers = globalValue("effect-credentials/pass/writers", KeyedMutex.unsafeMake)

/**
 * The entries of one service in the keychain of the operating system, through its binding. Each call has a
 * time limit and fails with what the keychain said in words of ours.
 */
import type * as Keyring from "@napi-rs/keyring"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import type { Failure } from "./blobFailure.js"
import { classify, noBinding, unanswered } from "./keychainFailure.js"
import { bounded } from "./shielded.js"

export interface Native {
  readonly get: (account: string) => Effect.Effect<Option.Option<string>, Failure>
  /** In place: an entry that is there keeps its identity and who may use it. */
  readonly set: (account: string, text: string) => Effect.Effect<void, Failure>
  readonly erase: (account: string) => Effect.Effect<void, Failure>
  readonly accounts: Effect.Effect<ReadonlyArray<string>, Failure>
}

export interface Options {
  readonly service: string
  readonly timeLimit: Duration.Duration
}

/** The binding, loaded when it is first needed, so that platforms without it can do without. */
export const load: Effect.Effect<Binding, Failure> = Effect.tryPromise({
  try: () => Promise.all([import("@napi-rs/keyring"), import("node:os")]),
  catch: () => noBinding
}).pipe(Effect.map(([keyring, os]) => ({ keyring, isWindows: os.platform() === "win32" })))

export interface Binding {
  readonly keyring: Pick<typeof Keyring, "AsyncEntry" | "findCredentialsAsync">
  readonly isWindows: boolean
}

/** The entries of the service. */
export const make = ({ keyring }: Binding, { service, timeLimit }: Options): Native => {
  const call = <A>(run: () => Promise<A>) => bounded(inTurn(turns.entries, run), timeLimit, () => unanswered)
  const search = (service: string) =>
    bounded(
      inTurn(turns.searches, () => keyring.findCredentialsAsync(service)),
      timeLimit,
      () => unanswered
    )
  const entryOf = makeEntries(keyring, service, { call, search })
  const onEntry = <A>(account: string, use: (entry: Keyring.AsyncEntry) => Promise<A>) =>
    Effect.flatMap(entryOf(account), (entry) => call(() => use(entry)))
  return {
    get: (account) => Effect.map(onEntry(account, (entry) => entry.getPassword()), Option.fromNullable),
    set: (account, text) => onEntry(account, (entry) => entry.setPassword(text)),
    erase: (account) => Effect.asVoid(onEntry(account, (entry) => entry.deleteCredential())),
    accounts: Effect.map(search(service), (credentials) => credentials.map(({ account }) => account))
  }
}

/**
 * One native call at a time. Each holds a thread of the few that files and name look-ups also need, for as
 * long as a prompt stands open; its turn ends when the thread is free again, whoever has gone away meanwhile.
 */
const inTurn = <A>(turn: Effect.Semaphore, run: () => Promise<A>): Effect.Effect<A, Failure> =>
  turn.withPermits(1)(Effect.uninterruptible(Effect.tryPromise({ try: run, catch: classify })))

/** Searches have turns of their own: they are another part of the binding, and one has hung now and then. */
const turns = globalValue("effect-credentials/keychain/turns", () => ({
  entries: Effect.unsafeMakeSemaphore(1),
  searches: Effect.unsafeMakeSemaphore(1)
}))

interface Calls {
  readonly call: <A>(run: () => Promise<A>) => Effect.Effect<A, Failure>
  readonly search: (service: string) => Effect.Effect<unknown, Failure>
}

/**
 * Making an entry connects to the service on the thread of the event loop, which stands still if the service
 * hangs. So something harmless is asked first on another thread: the newest entry, or a search for nothing. An
 * entry has its connection until it is collected, so the last ones are kept and used again.
 */
const makeEntries = (
  keyring: Binding["keyring"],
  service: string,
  { call, search }: Calls
): (account: string) => Effect.Effect<Keyring.AsyncEntry, Failure> => {
  const entries = new Map<string, Keyring.AsyncEntry>()
  const keep = (account: string, entry: Keyring.AsyncEntry) => {
    entries.delete(account)
    entries.set(account, entry)
    const [oldest] = entries.keys()
    if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest)
    return entry
  }
  const create = (account: string, service: string) =>
    Effect.try({
      try: () => new keyring.AsyncEntry(service, account, secretServiceOnly),
      catch: classify
    })
  let nothing: Keyring.AsyncEntry | undefined
  const answers = Effect.suspend(() => {
    const known = nothing
    if (known !== undefined) return Effect.asVoid(call(() => known.getPassword()))
    return Effect.zipRight(search(elsewhere(service)), create("nothing", elsewhere(service))).pipe(
      Effect.map((entry) => {
        nothing = entry
      })
    )
  })
  return (account) =>
    Effect.suspend(() => {
      const entry = entries.get(account)
      if (entry !== undefined) return Effect.succeed(keep(account, entry))
      return Effect.map(Effect.zipRight(answers, create(account, service)), (made) => keep(account, made))
    })
}

const maxEntries = 32

/** A service without entries. */
const elsewhere = (service: string): string => `${service}/nothing`

/** Else a Linux without a Secret Service gets a store in the kernel that forgets at log-out. */
const secretServiceOnly: Keyring.EntryOptions = { linux: { store: "secret-service" } }

/**
 * The grant under one key of a vault: bounded reads, and writes that come one after the other, lose no grant
 * and replace nobody else's.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as GrantRecord from "../GrantRecord.js"
import type * as Vault from "../Vault.js"
import type { Action, Conflict, VaultError } from "../VaultError.js"
import { Denied, Unreachable } from "../VaultError.js"
import { conflict } from "./contract.js"
import type * as Pending from "./pending.js"
import type { Unsaved, Versioned } from "./pending.js"
import { reduced } from "./reduced.js"
import { bounded, shielded } from "./shielded.js"

export interface Cell {
  readonly vault: Vault.Service
  readonly key: string
  /** What the grant must be bound to. */
  readonly binding: string | undefined
  /** How long one read and one write may take. */
  readonly deadline: Duration.Duration
  readonly pending: Pending.Pending
  /** Told of each renewal and login that this process has stored. */
  readonly told: (record: GrantRecord.GrantRecord, kind: Unsaved["_tag"]) => Effect.Effect<void>
}

type Found = Option.Option<Versioned>

/** What is there, whoever it belongs to. */
export const look = (cell: Cell): Effect.Effect<Found, VaultError> =>
  Effect.suspend(() => cell.vault.get(cell.key)).pipe(
    Effect.flatMap(Option.match({
      onNone: () => Effect.succeedNone,
      onSome: ({ value, version }) =>
        Effect.map(GrantRecord.decode(value, cell.vault.name), (record) => Option.some({ record, version }))
    })),
    (self) => bounded(self, cell.deadline, () => noAnswer(cell, "get")),
    spanned(cell, "vault.get")
  )

/** What is there, if it is ours. */
export const read = (cell: Cell): Effect.Effect<Found, VaultError> => Effect.tap(look(cell), admit(cell))

/**
 * As `read`, or what could not be stored yet; a plain key may look at what is bound, so that it can be shown and
 * removed.
 */
export const load = (cell: Cell): Effect.Effect<Option.Option<GrantRecord.GrantRecord>, VaultError> =>
  Effect.map(cell.binding === undefined ? look(cell) : read(cell), (found) => {
    const unsaved = cell.pending.unsaved.get(cell.key)
    return unsaved === undefined
      ? Option.map(found, ({ record }) => record)
      : Option.some(unsaved.record)
  })

const admit = (cell: Cell) => (found: Option.Option<{ readonly record: GrantRecord.GrantRecord }>) =>
  Option.isNone(found) || found.value.record.binding === cell.binding
    ? Effect.void
    : Effect.fail(foreign(cell))

/** Fails if what is there, or is to be stored there, belongs to another; whether it can be read is another matter. */
export const claim = (cell: Cell): Effect.Effect<void, VaultError> =>
  Effect.zipRight(
    admit(cell)(Option.fromNullable(cell.pending.unsaved.get(cell.key))),
    Effect.matchEffect(look(cell), { onFailure: () => Effect.void, onSuccess: admit(cell) })
  )

const spanned = (cell: Cell, name: string) => <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.withSpan(self, name, { attributes: { "vault.name": cell.vault.name }, captureStackTrace: false })

/**
 * Waits for the write that an earlier transaction has given up: it may still land, and nothing is to be sent
 * or written before that is known.
 */
export const settled = (cell: Cell): Effect.Effect<void, Unreachable> =>
  Effect.suspend(() => {
    const fiber = cell.pending.running.get(cell.key)
    return fiber === undefined
      ? Effect.void
      : Effect.asVoid(bounded(Fiber.await(fiber), cell.deadline, () => stillWriting(cell)))
  })

/** Changes the vault, to its end or to the deadline, after every change before. */
const change = <A>(cell: Cell, action: Action, self: Effect.Effect<A, VaultError>) =>
  Effect.zipRight(
    settled(cell),
    shielded(tracked(cell, self), cell.deadline, {
      onTimeout: () => noAnswer(cell, action),
      onInterrupt: () => noAnswer(cell, action)
    })
  ).pipe(spanned(cell, `vault.${action}`))

/** As `Effect.disconnect`, but remembers the fiber until it has ended. */
const tracked = <A, E>({ key, pending: { running } }: Cell, self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.forkDaemon(Effect.interruptible(self)), (fiber) => {
      running.set(key, fiber)
      fiber.addObserver(() => {
        if (running.get(key) === fiber) running.delete(key)
      })
      return Effect.onInterrupt(restore(Fiber.join(fiber)), () => Fiber.interruptFork(fiber))
    })
  )

/** Writes as much of the record as can be stored, and gives what that was. */
const write = (
  cell: Cell,
  record: GrantRecord.GrantRecord,
  over: Option.Option<string> | "Anything"
): Effect.Effect<Versioned, VaultError> => {
  const { key, vault } = cell
  const isBlind = over === "Anything" || vault.capabilities.compareAndSet === "none"
  const send = (candidate: GrantRecord.GrantRecord): Effect.Effect<Versioned, VaultError> =>
    GrantRecord.encode(candidate, vault.name).pipe(
      Effect.flatMap((value) =>
        isBlind
          ? change(cell, "set", Effect.suspend(() => vault.set(key, value)))
          : change(cell, "compareAndSet", Effect.suspend(() => vault.compareAndSet(key, over, value)))
      ),
      Effect.map((version) => ({ record: candidate, version }))
    )
  return reduced(record).map(send).reduce((all, next) => Effect.catchTag(all, "Unsupported", () => next))
}

/** Replaces what was read by a changed form of it. */
export const replace = (
  cell: Cell,
  over: Versioned,
  record: GrantRecord.GrantRecord
): Effect.Effect<Versioned, VaultError> => write(cell, record, Option.some(over.version))

/**
 * Stores a new grant, and remembers it until that has succeeded. Gives what was stored, or nothing when it
 * lost to what somebody else had stored.
 */
export const store = (
  cell: Cell,
  unsaved: Unsaved
): Effect.Effect<Option.Option<GrantRecord.GrantRecord>, VaultError> =>
  Effect.uninterruptible(Effect.suspend(() => {
    cell.pending.unsaved.set(cell.key, unsaved)
    const stored = unsaved._tag === "Login"
      ? storeLogin(cell, unsaved, maxRounds)
      : storeRenewal(cell, unsaved.record, unsaved.over)
    return Effect.tap(stored, (found) => {
      cell.pending.unsaved.delete(cell.key)
      return Option.isSome(found) ? cell.told(found.value, unsaved._tag) : Effect.void
    })
  }))

/** How often a login starts again because somebody wrote in between. */
const maxRounds = 3

/** Stores what could not be stored before. */
export const flush = (cell: Cell): Effect.Effect<void, VaultError> =>
  Effect.suspend(() => {
    const unsaved = cell.pending.unsaved.get(cell.key)
    return unsaved === undefined ? Effect.void : store(cell, unsaved)
  })

const storeRenewal = (
  cell: Cell,
  record: GrantRecord.GrantRecord,
  over: Versioned
): Effect.Effect<Option.Option<GrantRecord.GrantRecord>, VaultError> =>
  Effect.map(replace(cell, over, record), stored).pipe(
    Effect.catchTag("Conflict", (conflict) => settleConflict(cell, record, over, conflict))
  )

const stored = ({ record }: Versioned): Option.Option<GrantRecord.GrantRecord> => Option.some(record)

/**
 * Somebody wrote since the grant was read. That may have been this very write, whose answer was lost; or a
 * mark on the grant that was redeemed, which the new one replaces. Anything else is a newer login, a logout
 * or another's renewal, and stays.
 */
const settleConflict = Effect.fnUntraced(
  function*(cell: Cell, record: GrantRecord.GrantRecord, over: Versioned, conflict: Conflict) {
    const now = Option.getOrUndefined(yield* read(cell))
    if (now === undefined) return Option.none<GrantRecord.GrantRecord>()
    if (GrantRecord.hasSameSecrets(now.record, record)) return Option.some(now.record)
    if (!GrantRecord.hasSameRefreshToken(now.record, over.record)) return Option.none()
    if (now.version === over.version) return yield* conflict
    return stored(yield* replace(cell, now, record))
  }
)

type Login = Extract<Unsaved, { readonly _tag: "Login" }>

/**
 * Stores a login at the version that is there, so that a write which is held up can't land on what comes
 * after it. Only what is damaged is overwritten as it is. A login that could not be stored when it was made
 * yields to whoever has logged in or out since.
 */
const storeLogin = (
  cell: Cell,
  login: Login,
  rounds: number
): Effect.Effect<Option.Option<GrantRecord.GrantRecord>, VaultError> =>
  read(cell).pipe(
    Effect.catchTag("Corrupt", () => Effect.succeed("Damaged" as const)),
    Effect.flatMap((found) => {
      if (found === "Damaged") return Effect.map(write(cell, login.record, "Anything"), stored)
      if (!isAsSeen(login, found)) return Effect.succeedNone
      cell.pending.unsaved.set(cell.key, { ...login, seen: found })
      return Effect.map(writeLogin(cell, login.record, found), stored)
    }),
    Effect.catchTag("Conflict", (conflict) =>
      rounds > 0 ? storeLogin(cell, { ...login, seen: "Unknown" }, rounds - 1) : Effect.fail(conflict))
  )

/** Marks on the grant don't count, and the login itself may have been stored without an answer. */
const isAsSeen = ({ record, seen }: Login, now: Found): boolean => {
  if (seen === "Unknown") return true
  if (Option.isNone(now) || Option.isNone(seen)) return Option.isNone(now) === Option.isNone(seen)
  return GrantRecord.hasSameRefreshToken(now.value.record, seen.value.record) ||
    GrantRecord.hasSameSecrets(now.value.record, record)
}

const writeLogin = (cell: Cell, login: GrantRecord.GrantRecord, found: Found) =>
  Option.match(found, {
    onNone: () => write(cell, login, Option.none()),
    onSome: ({ record, version }) =>
      record.status._tag === "Active" && GrantRecord.hasSameSecrets(record, login)
        ? Effect.succeed({ record, version })
        : write(cell, GrantRecord.make(login.grant, record.generation, cell.binding), Option.some(version))
  })

/**
 * Removes what is there and what was to be stored there. A bound key removes nobody else's; a damaged record
 * is removed, whosever it was.
 */
export const remove = (cell: Cell, only?: GrantRecord.GrantRecord): Effect.Effect<void, VaultError> => {
  const { key, pending, vault } = cell
  const isOurs = cell.binding === undefined
    ? Effect.void
    : Effect.zipRight(
      admit(cell)(Option.fromNullable(pending.unsaved.get(key))),
      Effect.catchTag(read(cell), "Corrupt", () => Effect.void)
    )
  return isOurs.pipe(
    Effect.zipRight(only === undefined ? Effect.succeedNone : versionOf(cell, only)),
    Effect.flatMap((version) =>
      change(
        cell,
        "remove",
        Effect.suspend(() => vault.remove(key, { version: Option.getOrUndefined(version) }))
      )
    ),
    Effect.zipRight(Effect.sync(() => {
      pending.unsaved.delete(key)
      pending.refused.delete(key)
      pending.doubted.delete(key)
      pending.answered.delete(key)
    }))
  )
}

/** The version at which just this grant is stored. A vault that can't compare removes what is there. */
const versionOf = (
  cell: Cell,
  only: GrantRecord.GrantRecord
): Effect.Effect<Option.Option<string>, VaultError> =>
  Effect.flatMap(read(cell), (found) => {
    if (Option.isNone(found)) return Effect.succeedNone
    if (!isMeant(cell, found.value.record, only)) return Effect.fail(conflict(cell.vault.name, "remove"))
    return Effect.succeed(
      cell.vault.capabilities.compareAndSet === "none" ? Option.none() : Option.some(found.value.version)
    )
  })

/** Whether a removal of `only` means what is stored: it is that, or what that could not replace yet. */
const isMeant = (
  { key, pending }: Cell,
  now: GrantRecord.GrantRecord,
  only: GrantRecord.GrantRecord
): boolean => {
  if (GrantRecord.hasSameSecrets(now, only)) return true
  const unsaved = pending.unsaved.get(key)
  return unsaved !== undefined && GrantRecord.hasSameSecrets(unsaved.record, only) &&
    (unsaved._tag === "Renewal"
      ? GrantRecord.hasSameRefreshToken(now, unsaved.over.record)
      : isAsSeen(unsaved, Option.some({ record: now, version: "" })))
}

const foreign = ({ vault }: Cell): Denied =>
  new Denied({
    vault: vault.name,
    action: "get",
    detail: "the grant under this key is bound to another resource or issuer than the one asked for",
    hint: "Use another prefix for one of the two, or remove what is stored there first."
  })

const noAnswer = ({ deadline, vault }: Cell, action: Action): Unreachable =>
  new Unreachable({
    vault: vault.name,
    action,
    detail: `no answer within ${Duration.format(deadline)}`,
    hint: action === "get"
      ? "Check that the vault is reachable."
      : "Check that the vault is reachable; a new grant is kept in memory and stored at the next call."
  })

const stillWriting = ({ vault }: Cell): Unreachable =>
  new Unreachable({
    vault: vault.name,
    action: "set",
    detail: "an earlier write has not ended, and nothing is sent before it has",
    hint: "Check that the vault is reachable, and try again."
  })

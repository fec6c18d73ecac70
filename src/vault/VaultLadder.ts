/**
 * Which vault a program uses where not every machine has the best one: rungs in order of preference, of which
 * the first that is available is taken. Nothing of it is silent: the report tells what was skipped and why, and
 * a warning is logged when it was not the first. A vault that is locked, refuses or fails is not absent; it
 * stops the ladder, unless its rung says otherwise.
 *
 * ```ts
 * VaultLadder.firstAvailable([
 *   { name: "keychain", make: KeychainVault.make(keychain), probe: KeychainVault.probe(keychain) },
 *   { name: "encrypted files", make: encryptedFiles }
 * ])
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { Misconfigured } from "../TokenError.js"
import { freshId } from "./internal/freshId.js"
import * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"
import { Denied, Locked, Unreachable } from "./VaultError.js"

/**
 * Whether a vault can be used here and now.
 *
 * @since 0.1.0
 * @category models
 */
export type Availability = { readonly _tag: "Available" } | Unavailable

/**
 * Why a vault can't be used: there is none, or there is one that is locked, refuses, or does not work.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unavailable {
  readonly _tag: "Absent" | "Locked" | "Denied" | "Unreachable"
  /** What was found, in one clause without secrets. */
  readonly detail: string
  /** What to do about it, in one sentence. */
  readonly hint: string
}

/**
 * One vault that may be there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rung<out E = never, out R = never> {
  /** The name that the report shows. */
  readonly name: string
  readonly make: Effect.Effect<Vault.Service, E, R>
  /** Whether it is available. Default: it is made and tried out as by `tryOut`. */
  readonly probe?: Effect.Effect<Availability, E, R> | undefined
  /**
   * What beyond `Absent` lets the next rung try. Default nothing: who locks a keychain has not asked for
   * secrets in files.
   */
  readonly fallThrough?: ReadonlyArray<"Locked" | "Denied" | "Unreachable"> | undefined
  /**
   * How long it may take to find out; then it is `Unreachable`. Default 10 seconds; give it more where a person
   * has to answer a prompt.
   */
  readonly timeLimit?: Duration.DurationInput | undefined
}

/**
 * What was taken, and what was skipped before it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report {
  /** The name of the rung. */
  readonly taken: string
  readonly skipped: ReadonlyArray<Skipped>
}

/**
 * A rung that was not available.
 *
 * @since 0.1.0
 * @category models
 */
export interface Skipped {
  /** The name of the rung. */
  readonly rung: string
  readonly reason: Unavailable
}

/**
 * The vault that was taken, with the report.
 *
 * @since 0.1.0
 * @category models
 */
export interface Taken {
  readonly vault: Vault.Service
  readonly report: Report
}

/**
 * How the program came to its vault, for whatever shows its state.
 *
 * @since 0.1.0
 * @category tags
 */
export class LadderReport extends Context.Tag("effect-credentials/LadderReport")<LadderReport, Report>() {}

type AnyRung = Rung<unknown, unknown>
type Rungs = readonly [AnyRung, ...ReadonlyArray<AnyRung>]
type ErrorOf<R extends Rungs> = Effect.Effect.Error<R[number]["make"]>
type ContextOf<R extends Rungs> = Effect.Effect.Context<R[number]["make"]>

/**
 * The first vault that is available. A rung that is locked, refuses or fails ends the search with its own
 * error, unless its `fallThrough` names that; one that can't be made ends it too. What a rung that is not taken has
 * opened is closed at once. When all are skipped the
 * error is `Misconfigured` and lists each with its reason and what to do about it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const firstAvailable = <const R extends Rungs>(
  rungs: R
): Effect.Effect<Taken, ErrorOf<R> | Misconfigured | VaultError, ContextOf<R>> =>
  climb(rungs as ReadonlyArray<AnyRung> as ReadonlyArray<Rung<ErrorOf<R>, ContextOf<R>>>)

const climb = <E, R>(
  rungs: ReadonlyArray<Rung<E, R>>
): Effect.Effect<Taken, E | Misconfigured | VaultError, R> =>
  Effect.gen(function*() {
    const skipped: Array<Skipped> = []
    for (const rung of rungs) {
      const found = yield* tryRung(rung)
      if (found._tag === "Taken") {
        const report: Report = { taken: rung.name, skipped }
        yield* warn(report)
        return { vault: found.vault, report }
      }
      if (found._tag !== "Absent" && rung.fallThrough?.includes(found._tag) !== true) {
        return yield* stop(rung.name, found)
      }
      skipped.push({ rung: rung.name, reason: found })
    }
    return yield* noneOf(skipped)
  })

type Found = Unavailable | { readonly _tag: "Taken"; readonly vault: Vault.Service }

/** What the rung opens lives as long as the ladder's scope if it is taken, and is closed at once if not. */
const tryRung = <E, R>(rung: Rung<E, R>): Effect.Effect<Found, E, R> =>
  Effect.acquireUseRelease(
    scopeOfRung,
    (scope) => Scope.extend(inTime(rung), scope),
    (scope, exit) =>
      Exit.isSuccess(exit) && exit.value._tag === "Taken" ? Effect.void : Scope.close(scope, exit)
  )

/** Without a scope around them no rung needs one. */
const scopeOfRung: Effect.Effect<Scope.CloseableScope> = Effect.flatMap(
  Effect.serviceOption(Scope.Scope),
  Option.match({
    onNone: () => Scope.make(),
    onSome: (scope) => Scope.fork(scope, ExecutionStrategy.sequential)
  })
)

const inTime = <E, R>(rung: Rung<E, R>): Effect.Effect<Found, E, R> =>
  find(rung).pipe(
    Effect.disconnect,
    Effect.timeoutTo({
      duration: rung.timeLimit ?? "10 seconds",
      onSuccess: (found): Found => found,
      onTimeout: () => silent
    })
  )

const silent: Unavailable = {
  _tag: "Unreachable",
  detail: "it did not answer in time",
  hint: "See whether it works and waits for nobody, or give it more time."
}

const find = <E, R>(rung: Rung<E, R>): Effect.Effect<Found, E, R> =>
  Effect.gen(function*() {
    const probed = rung.probe === undefined ? undefined : yield* rung.probe
    if (probed !== undefined && probed._tag !== "Available") return probed
    const vault = yield* rung.make
    const found = probed ?? (yield* tryOut(vault))
    return found._tag === "Available" ? { _tag: "Taken", vault } : found
  })

const warn = ({ skipped, taken }: Report): Effect.Effect<void> =>
  skipped.length === 0
    ? Effect.void
    : Effect.logWarning(`Secrets are kept in ${taken}, because nothing better is available: ${tell(skipped)}`)

const tell = (skipped: ReadonlyArray<Skipped>): string =>
  skipped.map(({ reason, rung }) => `${rung}: ${reason._tag}: ${reason.detail}. ${reason.hint}`).join(" ")

const stop = (vault: string, found: Unavailable): VaultError => {
  const fields = { vault, action: "get" as const, detail: found.detail, hint: found.hint }
  switch (found._tag) {
    case "Locked":
      return new Locked(fields)
    case "Denied":
      return new Denied(fields)
    case "Absent":
    case "Unreachable":
      return new Unreachable(fields)
  }
}

const noneOf = (skipped: ReadonlyArray<Skipped>): Misconfigured =>
  new Misconfigured({
    source: "vaults",
    reason: "StoreUnsupported",
    detail: `none of ${skipped.length} vaults is available`,
    hint: tell(skipped)
  })

/**
 * Whether the vault works: writes, reads and removes an entry without meaning, or only reads where it can't be
 * written.
 *
 * @since 0.1.0
 * @category probes
 */
export const tryOut = (vault: Vault.Service): Effect.Effect<Availability> =>
  Effect.flatMap(freshId, (id) =>
    vault.capabilities.writable
      ? writeAndRead(vault, `effect-credentials/probe/${id}`, Redacted.make(`without meaning ${id}`))
      : Effect.as(vault.get("effect-credentials/probe"), available)).pipe(
      Effect.catchAll((error) => Effect.succeed(unavailable(error)))
    )

const available: Availability = { _tag: "Available" }

const writeAndRead = (
  vault: Vault.Service,
  key: string,
  value: Redacted.Redacted<string>
): Effect.Effect<Availability, VaultError> =>
  vault.set(key, value).pipe(
    Effect.zipRight(vault.get(key)),
    Effect.map((entry) => Option.exists(entry, (found) => Equal.equals(found.value, value))),
    Effect.map((isThere) => isThere ? available : forgetful),
    Effect.ensuring(Effect.ignore(vault.remove(key)))
  )

const forgetful: Availability = {
  _tag: "Unreachable",
  detail: "the vault does not give back what it was given",
  hint: "Use another vault."
}

const unavailable = ({ _tag, detail, hint }: VaultError): Unavailable => {
  switch (_tag) {
    case "Locked":
    case "Denied":
      return { _tag, detail, hint }
    case "Unsupported":
      return { _tag: "Absent", detail, hint }
    case "Corrupt":
    case "Conflict":
    case "Unreachable":
      return { _tag: "Unreachable", detail, hint }
  }
}

/**
 * The first vault that is available as the program's vault, with the report of how it was found.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <const R extends Rungs>(
  rungs: R
): Layer.Layer<
  Vault.Vault | LadderReport,
  ErrorOf<R> | Misconfigured | VaultError,
  Exclude<ContextOf<R>, Scope.Scope>
> =>
  Layer.scopedContext(
    Effect.map(firstAvailable(rungs), ({ report, vault }) =>
      Context.make(Vault.Vault, vault).pipe(Context.add(LadderReport, report)))
  )

/** What is done to a fleet, and who takes the place of the fallen. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as fs from "node:fs"
import type { Programs } from "./compile.js"
import type { IdentityProvider } from "./IdentityProvider.js"
import { deadline, leaseTerm } from "./Notes.js"
import type { Member, Notes } from "./Notes.js"
import type { WorkerSettings } from "./protocol.js"
import type { Kind, Store } from "./Store.js"
import * as Workers from "./Workers.js"

/** What the issuer has more than the workers believe: their requests take time to arrive. */
export const slack = 2_000

export const faults = { dropReply: 0.06, dropRequest: 0.04, unavailable: 0.06, delay: 0.02, delayBy: 3_500 }

const crash: WorkerSettings["crash"] = {
  "lease.taken": 0.01,
  "lease.beating": 0.01,
  "lease.releasing": 0.01,
  "redeem.read": 0.02,
  "redeem.journaled": 0.04,
  "redeem.answered": 0.04,
  "redeem.stored": 0.04,
  "file.written": 0.01,
  "file.kept": 0.01,
  "file.replaced": 0.01
}

/** For longer than its lease lasts. */
const stand: WorkerSettings["stand"] = {
  "lease.taken": 0.005,
  "redeem.read": 0.01,
  "redeem.journaled": 0.01,
  "redeem.answered": 0.01,
  "file.written": 0.01,
  "file.kept": 0.02
}

const hour = 3_600_000
const skews: ReadonlyArray<number> = [0, 0, hour, -hour, 25 * hour, -25 * hour]

/** Where it happens. */
export interface Field {
  readonly kind: Kind
  /** What the workers believe of the issuer, in milliseconds. */
  readonly graceWindow: number
  readonly programs: Programs
  readonly notes: Notes
  readonly store: Store
  readonly provider: IdentityProvider
  readonly keys: ReadonlyArray<string>
}

const pick = <A>(all: ReadonlyArray<A>): Effect.Effect<A | undefined> =>
  all.length === 0
    ? Effect.succeed(undefined)
    : Effect.map(Random.nextIntBetween(0, all.length), (at) => all[at])

/** A library that shifts the time of day of a whole process, where it is installed. */
const faketime = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
  .map((directory) => `${directory}/faketime/libfaketime.so.1`)
  .find((file) => fs.existsSync(file))

/** SQLite in a file has no clock but that of the machine, which all its processes share. */
const skewedProcess = ({ kind }: Field, isSkewed: boolean): Record<string, string> =>
  isSkewed && faketime !== undefined && kind !== "libsql"
    ? { LD_PRELOAD: faketime, FAKETIME: "+1h", FAKETIME_DONT_FAKE_MONOTONIC: "1" }
    : {}

/** One more worker, which works as soon as it is ready. */
export const enlist = Effect.fnUntraced(function*(field: Field) {
  const { graceWindow, keys, notes, programs, provider, store } = field
  const member: Member = {
    id: notes.members.length + 1,
    worker: undefined,
    isReady: false,
    isStopped: false,
    ending: undefined
  }
  notes.members.push(member)
  notes.counters.starts++
  member.worker = yield* Workers.start({
    program: programs.worker,
    env: skewedProcess(field, (yield* Random.next) < 0.15),
    settings: {
      id: member.id,
      issuer: provider.address,
      place: store.place,
      seed: yield* Random.nextIntBetween(0, 2 ** 31),
      graceWindow,
      leaseTerm,
      deadline,
      clockOffset: (yield* pick(skews)) ?? 0,
      crash,
      stand
    },
    onReport: (report) => {
      if (report._tag === "Stands") wake(member, notes)
      if (report._tag === "Ready") {
        member.isReady = true
        member.worker?.process.send({ _tag: "Work", keys })
      }
      notes.hear(member.id, report)
    },
    onExit: (ending) => {
      member.ending = ending
      notes.log(`worker ${member.id}: ended (${ending})`)
    }
  })
  notes.log(`worker ${member.id}: starts`)
})

/** Who stopped itself goes on after more than a lease's term. */
const wake = (member: Member, notes: Notes): void => {
  member.isStopped = true
  setTimeout(() => {
    notes.log(`worker ${member.id}: goes on`)
    member.isStopped = false
    member.worker?.process.signal("SIGCONT")
  }, leaseTerm * 2)
}

export const alive = ({ notes }: Field): ReadonlyArray<Member> =>
  notes.members.filter(({ ending }) => ending === undefined)

const able = (field: Field): ReadonlyArray<Member> =>
  alive(field).filter(({ isReady, isStopped }) => isReady && !isStopped)

export const kill = Effect.fnUntraced(function*(field: Field) {
  const member = yield* pick(able(field))
  if (member === undefined) return
  field.notes.counters.kills++
  field.notes.blow("killed from outside", member.id)
  member.worker?.process.signal("SIGKILL")
})

/** It stands still for longer than its lease lasts, and goes on as if nothing had been. */
export const stop = Effect.fnUntraced(function*(field: Field) {
  const member = yield* pick(able(field))
  if (member === undefined) return
  field.notes.counters.stops++
  field.notes.blow("stopped", member.id)
  member.isStopped = true
  member.worker?.process.signal("SIGSTOP")
  yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(leaseTerm * 1.2, leaseTerm * 2.5)))
  field.notes.log(`worker ${member.id}: goes on`)
  member.worker?.process.signal("SIGCONT")
  member.isStopped = false
})

export const skew = Effect.fnUntraced(function*(field: Field) {
  const member = yield* pick(able(field))
  if (member === undefined) return
  const clockOffset = (yield* pick(skews)) ?? 0
  field.notes.counters.skews++
  field.notes.log(`worker ${member.id}: its clock jumps to ${clockOffset / hour} h`)
  member.worker?.process.send({ _tag: "Skew", clockOffset })
})

export const outage = Effect.fnUntraced(function*({ notes, store }: Field, ms: number) {
  const way = yield* pick(store.outages)
  if (way === undefined) return
  notes.counters.outages++
  notes.blow(`store: ${way.name}`)
  yield* Effect.acquireUseRelease(way.begin, () => Effect.sleep(Duration.millis(ms)), () => way.end)
  notes.blow("store: works again")
})

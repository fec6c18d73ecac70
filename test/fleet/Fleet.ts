/** A fleet of workers over one vault under torture, and what is proved of it afterwards. */
import type * as Vault from "effect-credentials/vault/Vault"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Blows from "./blows.js"
import type { Programs } from "./compile.js"
import * as Grants from "./grants.js"
import * as IdentityProvider from "./IdentityProvider.js"
import { causeOf, Notes } from "./Notes.js"
import type { Member } from "./Notes.js"
import * as Proof from "./proof.js"
import * as Store from "./Store.js"

export interface Plan {
  readonly kind: Store.Kind
  readonly seconds: number
  readonly workers: number
  readonly grants: number
  /** Milliseconds; 0: the issuer takes no refresh token twice. */
  readonly graceWindow: number
  readonly programs: Programs
  /** An empty directory. */
  readonly home: string
  readonly say: (line: string) => Effect.Effect<void>
}

export interface Result {
  readonly proofs: ReadonlyArray<Proof.Proof>
  readonly counters: Readonly<Record<string, number>>
  /** What happened, for whoever has to find out why a proof failed. */
  readonly events: ReadonlyArray<string>
  /** All that the processes wrote. */
  readonly outputs: ReadonlyArray<Output>
}

interface Output {
  readonly of: string
  readonly text: string
}

interface Field extends Blows.Field, Plan {
  readonly vault: Vault.Service
  /** The hash of the refresh token that the last login of each key gave. */
  readonly firsts: Map<string, string>
}

export const run = (plan: Plan): Effect.Effect<Result> =>
  Effect.scoped(Effect.gen(function*() {
    const field = yield* prepare(plan)
    yield* torment(field)
    yield* Effect.zipRight(plan.say("all faults end"), field.provider.faults({}))
    const settled = yield* settle(field)
    return yield* judge(field, settled)
  }))

const prepare = Effect.fnUntraced(function*(plan: Plan) {
  const notes = new Notes()
  const store = yield* Store.start(plan.kind, plan.home, true)
  const vault = yield* Store.openHere(store)
  const provider = yield* IdentityProvider.start(plan.programs.provider, {
    log: path.join(plan.home, "provider.log"),
    lifetime: 3,
    graceWindow: plan.graceWindow === 0 ? 0 : plan.graceWindow + Blows.slack,
    latency: 50
  })
  const keys = Array.from({ length: plan.grants }, (_, index) => `grant-${index + 1}`)
  const field: Field = { ...plan, notes, store, vault, provider, keys, firsts: new Map() }
  yield* Effect.forEach(keys, (key) => Effect.orDie(logIn(field, key)))
  yield* provider.faults({ ...Blows.faults, seed: yield* Random.nextIntBetween(0, 2 ** 31) })
  yield* Effect.replicateEffect(Blows.enlist(field), plan.workers)
  return field
})

const logIn = Effect.fnUntraced(function*(field: Field, key: string) {
  const login = yield* field.provider.login
  const grant = yield* Grants.ofLogin(login)
  yield* Effect.retry(Grants.save(field.vault, key, grant), Schedule.spaced("200 millis"))
  const stored = yield* Grants.load(field.vault, key)
  field.firsts.set(key, Option.match(stored, { onNone: () => "", onSome: Grants.hashOf }))
  field.notes.log(`${key}: login, the first refresh token is ${field.firsts.get(key)?.slice(0, 8)}`)
})

/** Blow after blow until the time is over; what takes time ends by itself. */
const torment = Effect.fnUntraced(function*(field: Field) {
  const until = (yield* Clock.currentTimeMillis) + field.seconds * 1000
  const running: Array<Fiber.RuntimeFiber<void>> = []
  const state = { storeIsFreeAt: (yield* Clock.currentTimeMillis) + 3_000 }
  let toldAt = yield* Clock.currentTimeMillis
  while ((yield* Clock.currentTimeMillis) < until) {
    yield* Effect.sleep(Duration.millis(yield* Random.nextIntBetween(200, 900)))
    const now = yield* Clock.currentTimeMillis
    if (Blows.alive(field).length < field.workers) yield* Blows.enlist(field)
    yield* logInAgain(field)
    const chance = yield* Random.next
    if (chance < 0.25) yield* Blows.kill(field)
    else if (chance < 0.45) running.push(yield* Effect.forkScoped(Blows.stop(field)))
    else if (chance < 0.55) yield* Blows.skew(field)
    else if (chance < 0.65) yield* field.provider.next(["dropReply", "dropReply"])
    else if (chance < 0.75 && now > state.storeIsFreeAt && now < until - 3_000) {
      const ms = yield* Random.nextIntBetween(1_000, 3_500)
      state.storeIsFreeAt = now + ms + 5_000
      running.push(yield* Effect.forkScoped(Blows.outage(field, ms)))
    }
    if (now - toldAt > 10_000) {
      toldAt = now
      yield* field.say(`${Math.ceil((until - now) / 1000)} s to go; ${describe(field.notes.counters)}`)
    }
  }
  yield* Effect.forEach(running, Fiber.join, { discard: true })
})

export const describe = (counters: Readonly<Record<string, number>>): string =>
  Object.entries(counters).map(([name, count]) => `${name} ${count}`).join(", ")

/** A person logs in where somebody was told to, if that is true; what made it necessary is looked for. */
const logInAgain = Effect.fnUntraced(function*(field: Field) {
  for (const key of Array.from(field.notes.toLogIn)) {
    field.notes.toLogIn.delete(key)
    const found = yield* Effect.either(Grants.load(field.vault, key))
    if (found._tag === "Left") {
      field.notes.toLogIn.add(key)
      continue
    }
    const status = Option.getOrUndefined(found.right)?.status
    if (status?._tag === "Active" || status?._tag === "Redeeming") continue
    const cause = status?._tag === "Ambiguous"
      ? causeOf(field.notes, yield* field.provider.log, status)
      : undefined
    field.notes.log(
      `${key}: ${status?._tag ?? "missing"} ${status?.hash.slice(0, 8)}: ${cause ?? "no cause is known"}`
    )
    const done = yield* Effect.either(logIn(field, key))
    if (done._tag === "Left") field.notes.toLogIn.add(key)
    else field.notes.relogins.push({ key, cause })
  }
})

interface Settled {
  readonly id: number
  readonly failures: ReadonlyArray<string> | undefined
}

/** Everybody who is alive uses each grant once more, in peace, and then ends in order. */
const settle = Effect.fnUntraced(function*(field: Field) {
  for (const { worker } of Blows.alive(field)) {
    worker?.process.send({ _tag: "Calm" })
    worker?.process.signal("SIGCONT")
  }
  yield* Effect.repeat(Effect.sleep("100 millis"), {
    until: () => Blows.alive(field).every(({ isReady }) => isReady)
  }).pipe(
    Effect.timeoutOption("30 seconds")
  )
  const people = yield* Effect.forkScoped(
    Effect.forever(Effect.delay(Effect.orDie(logInAgain(field)), "500 millis"))
  )
  const settled = yield* Effect.forEach(Blows.alive(field), (member) => finish(field, member), {
    concurrency: "unbounded"
  })
  yield* Fiber.interrupt(people)
  return settled
})

const finish = Effect.fnUntraced(function*({ graceWindow, keys }: Field, { id, worker }: Member) {
  if (worker === undefined) return { id, failures: undefined } satisfies Settled
  const heard = yield* worker.hear("Settled")
  const seconds = graceWindow / 1000 + 20
  yield* worker.tell({ _tag: "Settle", keys, seconds })
  const settled = yield* Effect.timeoutOption(heard, Duration.seconds(seconds + 10))
  yield* worker.tell({ _tag: "Stop" })
  const ending = yield* Effect.timeoutTo(worker.process.ended, {
    duration: "15 seconds",
    onSuccess: (ending) => ending,
    onTimeout: () => "it did not"
  })
  const failures = Option.getOrUndefined(settled)?.failures
  return {
    id,
    failures: ending === "0" ? failures : [...failures ?? [], `ended: ${ending}`]
  } satisfies Settled
})

const judge = Effect.fnUntraced(function*(field: Field, settled: ReadonlyArray<Settled>) {
  const { firsts, graceWindow, home, keys, notes, provider, store, vault } = field
  const log = yield* provider.log
  const kept = yield* Effect.forEach(
    keys,
    (key) =>
      Effect.map(Effect.option(Grants.load(vault, key)), (found): Proof.Kept => ({
        key,
        first: firsts.get(key) ?? "",
        stored: Option.getOrUndefined(Option.map(Option.flatten(found), Grants.hashOf))
      }))
  )
  const outputs: ReadonlyArray<Output> = [
    ...notes.members.map(({ id, worker }) => ({ of: `worker-${id}`, text: worker?.process.output() ?? "" })),
    { of: "provider", text: provider.process.output() },
    { of: "file-names", text: fs.readdirSync(home, { recursive: true, encoding: "utf8" }).join("\n") }
  ]
  const texts = [...outputs, { of: "events", text: notes.events.join("\n") }]
  const secrets = [...(yield* provider.secrets), ...store.secrets]
  const faulty = (fault: string) => log.filter((entry) => entry.fault === fault).length
  return {
    proofs: [
      Proof.redeemedOnce(log),
      Proof.nothingLost(log, kept, notes.relogins, graceWindow > 0),
      Proof.allServed(settled),
      Proof.nothingShown(secrets, texts)
    ],
    counters: {
      redemptions: log.filter(({ grant, outcome }) => grant === "refresh" && outcome === "redeemed").length,
      repeats: log.filter(({ outcome }) => outcome === "repeated").length,
      takeOvers: notes.takeovers,
      droppedReplies: faulty("dropReply"),
      droppedRequests: faulty("dropRequest"),
      unavailable: faulty("unavailable"),
      ...notes.counters
    },
    events: notes.events,
    outputs
  } satisfies Result
})

/**
 * Many processes, one expired grant in one vault, and all ask at the same moment. How long each waits, and
 * what the identity provider's own log says.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as fs from "node:fs"
import * as path from "node:path"
import { compile } from "./compile.js"
import type { Programs } from "./compile.js"
import * as Grants from "./grants.js"
import * as IdentityProvider from "./IdentityProvider.js"
import type { Place } from "./protocol.js"
import { temporary } from "./scene.js"
import * as Store from "./Store.js"
import * as Workers from "./Workers.js"

export interface Options {
  readonly processes: number
  /** How often they all meet, each time over another grant. */
  readonly rounds: number
  /** How long the provider takes for a redemption, in milliseconds. */
  readonly latency: number
  readonly kinds: ReadonlyArray<Store.Kind>
  /** The built library; the sources are compiled where there is none. */
  readonly library?: URL | undefined
}

export interface Result {
  readonly kind: Store.Kind
  /** How long one process alone takes for the same thing, in milliseconds, one value a round. */
  readonly alone: ReadonlyArray<number>
  readonly rounds: ReadonlyArray<Round>
}

/** One grant that all asked for at once. */
export interface Round {
  /** How long each process waited, in milliseconds, the shortest first. */
  readonly waits: ReadonlyArray<number>
  /** The CPU time that all of them took meanwhile, in milliseconds. */
  readonly cpu: number
  /** How late the last one asked, in milliseconds. */
  readonly late: number
  readonly redemptions: number
  readonly reuse: number
  /** How many got a token that the provider took. */
  readonly valid: number
  readonly failures: ReadonlyArray<string>
}

interface Stage {
  readonly programs: Programs
  readonly provider: IdentityProvider.IdentityProvider
  readonly place: Place
  readonly put: (key: string) => Effect.Effect<void>
}

export const run = (options: Options): Effect.Effect<ReadonlyArray<Result>> =>
  Effect.scoped(Effect.gen(function*() {
    const home = yield* temporary
    const programs = compile(path.join(home, "programs"), options.library)
    return yield* Effect.forEach(
      options.kinds,
      (kind) => Effect.scoped(measure(options, programs, home, kind))
    )
  }))

const measure = Effect.fnUntraced(
  function*(options: Options, programs: Programs, home: string, kind: Store.Kind) {
    const directory = path.join(home, kind)
    fs.mkdirSync(directory)
    const store = yield* Store.start(kind, directory, false)
    const vault = yield* Store.openHere(store)
    const provider = yield* IdentityProvider.start(programs.provider, {
      log: path.join(directory, "log"),
      lifetime: 3600,
      graceWindow: 0,
      latency: options.latency
    })
    const put = (key: string) =>
      provider.login.pipe(
        Effect.flatMap((login) => Grants.ofLogin(login, true)),
        Effect.flatMap((grant) => Grants.save(vault, key, grant)),
        Effect.orDie
      )
    const stage: Stage = { programs, provider, place: store.place, put }
    const alone = yield* Effect.scoped(meet(stage, "alone", [1], options.rounds))
    const ids = Array.from({ length: options.processes }, (_, index) => 100 + index)
    const rounds = yield* Effect.scoped(meet(stage, "shared", ids, options.rounds))
    return { kind, alone: alone.flatMap(({ waits }) => waits), rounds } satisfies Result
  }
)

const worker = Effect.fnUntraced(function*({ place, programs, provider }: Stage, id: number) {
  const started = yield* Workers.start({
    program: programs.worker,
    settings: {
      id,
      issuer: provider.address,
      place,
      seed: id,
      graceWindow: 0,
      leaseTerm: 15_000,
      deadline: 60_000,
      clockOffset: 0,
      crash: {},
      stand: {}
    }
  })
  if (!(yield* started.ready)) {
    return yield* Effect.dieMessage(`a worker ended at once: ${started.process.output()}`)
  }
  return started
})

const ask = Effect.fnUntraced(function*(worker: Workers.Worker, key: string, at: number) {
  const asked = yield* worker.hear("Asked")
  yield* worker.tell({ _tag: "Ask", key, at })
  return (yield* asked) ??
    { wait: Infinity, late: 0, cpu: 0, failure: `a worker ended: ${worker.process.output()}` }
})

/** Starts the processes, and lets them meet over one grant after the other; the first time doesn't count. */
const meet = Effect.fnUntraced(
  function*(stage: Stage, name: string, ids: ReadonlyArray<number>, rounds: number) {
    const workers = yield* Effect.forEach(ids, (id) => worker(stage, id), { concurrency: 4 })
    const all = yield* Effect.forEach(
      Array.from({ length: rounds + 1 }, (_, round) => `${name}-${round}`),
      (key) => together(stage, workers, key)
    )
    return all.slice(1)
  }
)

const together = Effect.fnUntraced(
  function*(stage: Stage, workers: ReadonlyArray<Workers.Worker>, key: string) {
    yield* stage.put(key)
    const before = (yield* stage.provider.log).length
    const at = Date.now() + 500
    const answers = yield* Effect.forEach(workers, (one) => ask(one, key, at), { concurrency: "unbounded" })
    const log = (yield* stage.provider.log).slice(before)
    const statuses = yield* Effect.forEach(workers, (one) => check(one, key), { concurrency: 4 })
    return {
      waits: answers.map(({ wait }) => wait).sort((a, b) => a - b),
      cpu: answers.reduce((sum, { cpu }) => sum + cpu, 0),
      late: Math.max(...answers.map(({ late }) => late)),
      redemptions: log.filter(({ outcome }) => outcome === "redeemed").length,
      reuse: log.filter(({ outcome }) => outcome === "refused").length,
      valid: statuses.filter((status) => status === 200).length,
      failures: answers.flatMap(({ failure }) => failure ?? [])
    } satisfies Round
  }
)

const check = Effect.fnUntraced(function*(worker: Workers.Worker, key: string) {
  const checked = yield* worker.hear("Checked")
  yield* worker.tell({ _tag: "Check", key })
  return Option.getOrElse(Option.fromNullable(yield* checked), () => ({ status: 0 })).status
})

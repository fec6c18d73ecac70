/**
 * A fleet under torture: workers are killed at random moments and stopped for longer than a lease, clocks
 * jump, replies are lost, the store goes away. At the end everything may settle, and the identity provider's
 * own log has to prove that nothing was redeemed twice and nothing was lost. Exit 0 only when all is proved.
 *
 * `npm run torture -- --minutes 1` spends a third of that on files, on PostgreSQL and on Redis each; with
 * `--vault file` (postgres, redis, libsql) all of it there. `--seed` repeats a run as far as chance decides
 * it; `--grace 0` is an issuer that takes no refresh token twice; `--workers` and `--grants` say how many;
 * `--keep` names a directory for what happened and for all that the processes wrote.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as fs from "node:fs"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { compile } from "./compile.js"
import * as Fleet from "./Fleet.js"
import * as Proof from "./proof.js"
import { temporary } from "./scene.js"
import * as Store from "./Store.js"

class TortureFailed extends Data.TaggedError("TortureFailed")<{ readonly message: string }> {}

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    vault: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    grace: { type: "string", default: "20" },
    workers: { type: "string", default: "6" },
    grants: { type: "string", default: "3" },
    keep: { type: "string" }
  }
})

const kinds = Store.kinds.filter((kind) =>
  values.vault === undefined ? kind !== "libsql" : kind === values.vault
)

const say = (line: string): Effect.Effect<void> => Console.log(line)

const torture = Effect.fnUntraced(
  function*(home: string, programs: Fleet.Plan["programs"], kind: Store.Kind) {
    const began = yield* Clock.currentTimeMillis
    const directory = path.join(home, kind)
    fs.mkdirSync(directory)
    const seconds = Number(values.minutes) * 60 / kinds.length
    yield* say(`== ${kind}, ${seconds.toFixed(0)} s, grace window ${values.grace} s, seed ${values.seed}`)
    const result = yield* Fleet.run({
      kind,
      seconds,
      workers: Number(values.workers),
      grants: Number(values.grants),
      graceWindow: Number(values.grace) * 1000,
      programs,
      home: directory,
      say
    }).pipe(Effect.withRandom(Random.make(`${values.seed} ${kind}`)))
    yield* say(Fleet.describe(result.counters))
    for (const proof of result.proofs) yield* say(Proof.render(proof))
    const took = ((yield* Clock.currentTimeMillis) - began) / 1000
    const ok = result.proofs.every((proof) => proof.ok)
    if (values.keep !== undefined) keep(path.join(values.keep, kind), result)
    yield* say(`${kind}: ${ok ? "ok" : "FAILED"} after ${took.toFixed(0)} s`)
    return { kind, ok }
  }
)

const keep = (directory: string, { events, outputs }: Fleet.Result): void => {
  fs.mkdirSync(directory, { recursive: true })
  fs.writeFileSync(path.join(directory, "events"), events.join("\n"))
  for (const { of, text } of outputs) fs.writeFileSync(path.join(directory, of), text)
}

const program = Effect.gen(function*() {
  if (kinds.length === 0) return yield* new TortureFailed({ message: `no such vault: ${values.vault}` })
  const home = yield* temporary
  const programs = compile(path.join(home, "programs"))
  const results = yield* Effect.forEach(kinds, (kind) => torture(home, programs, kind))
  const failed = results.filter(({ ok }) => !ok).map(({ kind }) => kind)
  if (failed.length === 0) return
  const message = `not proved on ${failed.join(", ")}; the same again: --seed ${values.seed}`
  return yield* new TortureFailed({ message })
})

program.pipe(
  Effect.scoped,
  Effect.tapErrorTag("TortureFailed", ({ message }) => Console.error(message)),
  NodeRuntime.runMain({ disableErrorReporting: false })
)

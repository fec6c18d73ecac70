/** An identity provider and real processes over one vault of files, for tests that need a few of them. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { compile } from "./compile.js"
import * as Grants from "./grants.js"
import * as IdentityProvider from "./IdentityProvider.js"
import type { ProviderSettings, WorkerSettings } from "./protocol.js"
import * as Store from "./Store.js"
import * as Workers from "./Workers.js"

export const temporary: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "fleet-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

/** A provider and a vault that holds one expired grant under `login`. */
export const make = Effect.fnUntraced(function*(options: Partial<ProviderSettings>) {
  const home = yield* temporary
  const programs = compile(path.join(home, "programs"))
  const store = yield* Store.start("file", home, false)
  const vault = yield* Store.openHere(store)
  const provider = yield* IdentityProvider.start(programs.provider, {
    log: path.join(home, "log"),
    lifetime: 3 * 3600,
    graceWindow: 0,
    latency: 50,
    ...options
  })
  const login = yield* provider.login
  const grant = yield* Grants.ofLogin(login, true)
  yield* Effect.orDie(Grants.save(vault, "login", grant))
  let id = 0
  const worker = Effect.fnUntraced(function*(settings: Partial<WorkerSettings>) {
    const started = yield* Workers.start({
      program: programs.worker,
      settings: {
        id: ++id,
        issuer: provider.address,
        place: store.place,
        seed: id,
        graceWindow: options.graceWindow ?? 0,
        leaseTerm: 1_000,
        deadline: 20_000,
        clockOffset: 0,
        crash: {},
        stand: {},
        ...settings
      }
    })
    return (yield* started.ready) ? started : yield* Effect.dieMessage(started.process.output())
  })
  return { vault, provider, worker, directory: path.join(home, "vault") }
})

/** Asks for a token; nothing when the worker dies. */
export const ask = Effect.fnUntraced(function*(worker: Workers.Worker) {
  const asked = yield* worker.hear("Asked")
  yield* worker.tell({ _tag: "Ask", key: "login", at: Date.now() })
  return yield* asked
})

/** What the issuer says to the token that `ask` got. */
export const check = Effect.fnUntraced(function*(worker: Workers.Worker) {
  const checked = yield* worker.hear("Checked")
  yield* worker.tell({ _tag: "Check", key: "login" })
  return (yield* checked)?.status
})

/** How often the provider redeemed, repeated and refused. */
export const tally = (provider: IdentityProvider.IdentityProvider) =>
  Effect.map(provider.log, (log) => {
    const count = (wanted: string) =>
      log.filter(({ grant, outcome }) => grant === "refresh" && outcome === wanted).length
    return { redeemed: count("redeemed"), repeated: count("repeated"), refused: count("refused") }
  })

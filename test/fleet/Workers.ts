/** The workers of a fleet, as handles on their processes. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Processes from "./Processes.js"
import type { Command, Report, WorkerSettings } from "./protocol.js"

export interface Worker {
  readonly id: number
  readonly process: Processes.Process
  /** When it has told that it is ready; nothing if it ends before. */
  readonly ready: Effect.Effect<boolean>
  readonly tell: (command: Command) => Effect.Effect<void>
  /** The next report of this kind from now on; nothing if the worker ends before. */
  readonly hear: <Tag extends Report["_tag"]>(
    tag: Tag
  ) => Effect.Effect<Effect.Effect<Extract<Report, { readonly _tag: Tag }> | undefined>>
}

export interface Options {
  readonly program: string
  readonly settings: WorkerSettings
  readonly env?: Readonly<Record<string, string>> | undefined
  readonly args?: ReadonlyArray<string> | undefined
  readonly onReport?: ((report: Report) => void) | undefined
  readonly onExit?: ((ending: string) => void) | undefined
}

export const start = (
  { args, env, onExit, onReport, program, settings }: Options
): Effect.Effect<Worker, never, Scope.Scope> =>
  Effect.gen(function*() {
    const hearers = new Set<(report: Report | undefined) => void>()
    const tellAll = (report: Report | undefined) => {
      for (const hearer of hearers) hearer(report)
    }
    const started = yield* Processes.start({
      program,
      args,
      env: { ...env, FLEET_WORKER: JSON.stringify(settings) },
      onReport: (line) => {
        const report = JSON.parse(line) as Report
        onReport?.(report)
        tellAll(report)
      },
      onExit: (ending) => {
        onExit?.(ending)
        tellAll(undefined)
      }
    })
    const hear: Worker["hear"] = Effect.fnUntraced(function*(tag) {
      const heard = yield* Deferred.make<Report | undefined>()
      const hearer = (report: Report | undefined) => {
        if (report !== undefined && report._tag !== tag) return
        hearers.delete(hearer)
        Deferred.unsafeDone(heard, Effect.succeed(report))
      }
      if (started.ending() === undefined) hearers.add(hearer)
      else hearer(undefined)
      return Deferred.await(heard) as never
    })
    const ready = yield* hear("Ready")
    return {
      id: settings.id,
      process: started,
      ready: Effect.map(ready, (report) => report !== undefined),
      tell: (command) => Effect.sync(() => started.send(command)),
      hear
    }
  })

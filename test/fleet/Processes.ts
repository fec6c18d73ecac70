/** Child processes that never outlive the scope, nor this process: each is ended by its own id. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import * as readline from "node:readline"
import type { Readable } from "node:stream"

export interface Started {
  /** A module to run with node. */
  readonly program: string
  readonly env: Readonly<Record<string, string>>
  /** Hears each line of what it tells on file descriptor 4. */
  readonly onReport?: ((line: string) => void) | undefined
  readonly onMessage?: ((message: unknown) => void) | undefined
  readonly onExit?: ((ending: string) => void) | undefined
  readonly args?: ReadonlyArray<string> | undefined
}

export interface Process {
  readonly pid: number
  /** All that it has written to its standard outputs. */
  readonly output: () => string
  readonly send: (message: object) => void
  /** Does nothing once it has ended. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** How it ended: `0`, another exit code, or the signal; `undefined` while it runs. */
  readonly ending: () => string | undefined
  readonly ended: Effect.Effect<string>
}

const alive = new Set<ChildProcess>()

process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL")
})

/** Ends with `SIGKILL` at the latest when the scope closes. */
export const start = (options: Started): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => run(options)),
    (started) => Effect.zipRight(Effect.sync(() => started.signal("SIGKILL")), started.ended)
  )

const run = ({ args = [], env, onExit, onMessage, onReport, program }: Started): Process => {
  const child = spawn(process.execPath, [...args, program], {
    env: { PATH: process.env["PATH"], NODE_NO_WARNINGS: "1", ...env },
    stdio: ["ignore", "pipe", "pipe", "ipc", "pipe"]
  })
  alive.add(child)
  let output = ""
  const keep = (chunk: Buffer) => {
    output += chunk.toString()
  }
  child.stdout?.on("data", keep)
  child.stderr?.on("data", keep)
  const reports = child.stdio[4] as Readable
  readline.createInterface({ input: reports }).on("line", (line) => onReport?.(line))
  if (onMessage !== undefined) child.on("message", onMessage)
  child.on("error", (error) => keep(Buffer.from(String(error))))
  let ending: string | undefined
  const ended = new Promise<string>((resolve) => {
    // `close` comes once the last report was read.
    child.once("close", (code, signal) => {
      ending ??= signal ?? String(code)
      alive.delete(child)
      onExit?.(ending)
      resolve(ending)
    })
  })
  child.once("exit", (code, signal) => {
    ending = signal ?? String(code)
  })
  return {
    pid: child.pid ?? 0,
    output: () => output,
    send: (message) => {
      if (child.connected) child.send(message, () => {})
    },
    signal: (signal) => {
      if (ending !== undefined) return
      child.kill(signal)
    },
    ending: () => ending,
    ended: Effect.promise(() => ended)
  }
}

/**
 * The terminal of a program whose standard output is for its results: it shows everything on the standard error, and
 * reads keys only if the standard input is a terminal, so that data which is piped in is left alone; nothing can be
 * pasted then. On Node, with
 * @effect/platform-node.
 *
 * @since 0.1.0
 */
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { BadArgument } from "@effect/platform/Error"
import * as Terminal from "@effect/platform/Terminal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
// oxlint-disable-next-line no-restricted-imports -- This is the platform service over it.
import { stderr, stdin } from "node:process"
import * as LineReader from "./internal/lineReader.js"

/**
 * The standard error as the program's terminal.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Terminal.Terminal> = Layer.scoped(
  Terminal.Terminal,
  Effect.map(NodeTerminal.make(), (terminal) =>
    Terminal.Terminal.of({
      columns: Effect.sync(() => stderr.columns ?? 0),
      rows: Effect.sync(() => stderr.rows ?? 0),
      isTTY: Effect.sync(() => stderr.isTTY === true),
      readInput: stdin.isTTY ? terminal.readInput : LineReader.noKeys,
      readLine: stdin.isTTY ? terminal.readLine : Effect.never,
      display
    }))
)

const display: Terminal.Terminal["display"] = (text) =>
  Effect.uninterruptible(Effect.async((resume) => {
    stderr.write(text, (error) => resume(error ? Effect.fail(refused()) : Effect.void))
  }))

const refused = (): BadArgument =>
  new BadArgument({
    module: "Terminal",
    method: "display",
    description: "the standard error takes no text"
  })

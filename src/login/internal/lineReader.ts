/** Reads a line from the keys of a terminal, without showing it. */
import type * as Terminal from "@effect/platform/Terminal"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"

/** The input of a terminal that reads no keys, by which it is known as one. */
export const noKeys: Terminal.Terminal["readInput"] = Mailbox.make<Terminal.UserInput>()

/**
 * The next line that is not blank. `onLength` is told how long it is meanwhile. Who ends the input (Ctrl-C, Ctrl-D)
 * gives up: the effect is interrupted. Keys beyond the line are lost.
 */
export const read = (
  terminal: Terminal.Terminal,
  onLength: (length: number) => Effect.Effect<void>
): Effect.Effect<string> =>
  Effect.scoped(Effect.flatMap(terminal.readInput, (keys) => {
    const next = (line: string): Effect.Effect<string> =>
      Effect.flatMap(keys.takeAll, ([inputs, isOver]) => {
        const now = Chunk.reduce(inputs, { line, isDone: false }, type)
        const told = now.line === line ? Effect.void : onLength(now.isDone ? 0 : now.line.length)
        if (now.isDone) return Effect.as(told, now.line)
        return isOver ? Effect.interrupt : Effect.zipRight(told, next(now.line))
      })
    return next("")
  }))

interface Typed {
  readonly line: string
  readonly isDone: boolean
}

const type = ({ isDone, line }: Typed, input: Terminal.UserInput): Typed => {
  if (isDone) return { line, isDone }
  if (!isEnter(input)) return { line: edit(line, input), isDone }
  return line.trim() === "" ? { line: "", isDone } : { line, isDone: true }
}

const isEnter = ({ input, key }: Terminal.UserInput): boolean =>
  key.name === "return" || key.name === "enter" ||
  Option.exists(input, (text) => text === "\r" || text === "\n")

const edit = (line: string, { input, key }: Terminal.UserInput): string => {
  if (key.name === "backspace") return line.slice(0, -1)
  if (key.ctrl && key.name === "u") return ""
  const text = Option.getOrElse(input, () => "")
  return key.ctrl || key.meta || /\p{Cc}/u.test(text) ? line : (line + text).slice(0, maxLength)
}

const maxLength = 16 * 1024
